//! A small file system of its own, for tests that fill it up or make it read-only.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Lives in memory; gone when dropped.
pub struct Tiny(PathBuf);

impl Tiny {
    /// Mounts one of so many KiB at `path`; prints a note and returns `None` where this process may
    /// not.
    pub fn mount(path: &Path, kibibytes: u64) -> Option<Tiny> {
        fs::create_dir_all(path).unwrap();
        let size = format!("size={kibibytes}k,mode=700");
        let options = ["-t", "tmpfs", "-o", &size, "tmpfs"];
        if run("mount", &options, path) {
            Some(Tiny(path.to_owned()))
        } else {
            println!("skipped: no file system can be mounted here");
            None
        }
    }

    /// From now on it holds so many KiB.
    pub fn resize(&self, kibibytes: u64) {
        let size = format!("remount,size={kibibytes}k");
        assert!(run("mount", &["-o", &size], &self.0));
    }

    pub fn read_only(&self, read_only: bool) {
        let option = if read_only {
            "remount,ro"
        } else {
            "remount,rw"
        };
        // A process that another test is starting holds this one's open files between its fork and
        // its exec, and none may be open for writing.
        let began = Instant::now();
        while !run("mount", &["-o", option], &self.0) {
            assert!(began.elapsed() < Duration::from_secs(60), "{option}");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Tiny {
    fn drop(&mut self) {
        // Lazily, so that a failed test does not leave it mounted because of an open file.
        let _ = run("umount", &["-l"], &self.0);
    }
}

fn run(program: &str, options: &[&str], path: &Path) -> bool {
    let mut command = Command::new(program);
    let command = command.args(options).arg(path).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

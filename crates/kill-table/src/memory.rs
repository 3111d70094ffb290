//! A group of processes with little memory: the kernel kills the one that wants more.

use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// A child with its lanes takes some 40 MB.
const MOST_BYTES: u64 = 96 << 20;
/// A group can be removed once the kernel has forgotten its last process.
const PATIENCE: Duration = Duration::from_secs(10);

/// A memory cgroup of its own, removed when dropped.
pub struct Group {
    path: PathBuf,
    /// Where the kernel counts its kills.
    kills: &'static str,
}

impl Group {
    /// Creates a group below that of this process, or at the top.
    ///
    /// # Errors
    /// The system has no memory cgroups, or this process may not make one.
    pub fn create() -> Result<Group> {
        let own = fs::read_to_string("/proc/self/cgroup").context("/proc/self/cgroup")?;
        let mut refusals = Vec::new();
        for (root, limit, kills) in [
            (
                "/sys/fs/cgroup/memory",
                "memory.limit_in_bytes",
                "memory.oom_control",
            ),
            ("/sys/fs/cgroup", "memory.max", "memory.events"),
        ] {
            for below in [place(&own, limit == "memory.max"), Some(String::new())] {
                let Some(below) = below else { continue };
                let above = PathBuf::from(format!("{root}{below}"));
                match Group::create_in(&above, limit, kills) {
                    Ok(group) => return Ok(group),
                    Err(error) => refusals.push(format!("{error:#}")),
                }
            }
        }
        bail!("no memory cgroup can be made here: {}", refusals.join("; "))
    }

    fn create_in(above: &Path, limit: &str, kills: &'static str) -> Result<Group> {
        ensure!(
            above.join("cgroup.procs").is_file(),
            "{} is no cgroup",
            above.display()
        );
        let path = above.join(format!("kill-table-{}", std::process::id()));
        fs::create_dir(&path).with_context(|| path.display().to_string())?;
        let group = Group { path, kills };
        let file = group.path.join(limit);
        // A file that is created here is none of the kernel's.
        ensure!(file.is_file(), "{} is missing", file.display());
        fs::write(&file, MOST_BYTES.to_string()).with_context(|| file.display().to_string())?;
        // Where there is swap, the kernel would move pages there for a while.
        for (file, value) in [("memory.swap.max", "0"), ("memory.swappiness", "0")] {
            let file = group.path.join(file);
            if file.is_file() {
                fs::write(file, value)?;
            }
        }
        Ok(group)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Processes of this group that the kernel has killed for want of memory.
    pub fn kills(&self) -> Result<u64> {
        let said = fs::read_to_string(self.path.join(self.kills))?;
        let line = said.lines().find_map(|line| line.strip_prefix("oom_kill "));
        Ok(line
            .context("the kernel does not count its kills")?
            .trim()
            .parse()?)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let began = Instant::now();
        while fs::remove_dir(&self.path).is_err() && began.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Where this process is among the groups: `4:memory:/below`, or `0::/below` for version 2.
fn place(own: &str, is_unified: bool) -> Option<String> {
    own.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        let is_it = match is_unified {
            true => controllers.is_empty(),
            false => controllers.split(',').any(|name| name == "memory"),
        };
        (is_it && path != "/").then(|| path.to_owned())
    })
}

/// In a child: joins the group.
pub fn join(group: &Path) -> Result<()> {
    let file = group.join("cgroup.procs");
    let own = std::process::id().to_string();
    fs::write(&file, own).with_context(|| file.display().to_string())
}

/// In a child: takes memory until the kernel ends it.
pub fn take_all() {
    loop {
        // Each page is written to, or the kernel would only promise it.
        let taken = black_box(vec![1_u8; 1 << 20]);
        std::mem::forget(taken);
    }
}

//! A process that is stopped at any call to the disk while it opens the file for writing, changes
//! something, and closes it again. All other reads end within their bound, with an answer or an
//! error that names that process. They succeed when it continues.

use std::env;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, waitpid};

use super::{HANG, scratch};
use crate::fs::failpoint::{Failpoint, IoCall, install};
use crate::{Error, Inference, Journal, Mode, Reader, Registry};

/// Where the child works, and at which call it stops.
const STOPS: &str = "ANNALS_TEST_STOPS";
/// Bound of a read here.
const PATIENCE: Duration = Duration::from_millis(250);

/// Stops its own process before call number `at`.
struct Stopping {
    at: usize,
    calls: AtomicUsize,
}

impl Failpoint for Stopping {
    fn before(&self, _path: &Path, _call: IoCall<'_>) -> io::Result<()> {
        if self.calls.fetch_add(1, Ordering::SeqCst) + 1 == self.at {
            kill_process(getpid(), Signal::STOP)?;
        }
        Ok(())
    }
}

/// Waits for locks for a short time only, as long as another process is stopped. A process that is
/// only slow gets the usual time.
#[derive(Default)]
struct Hasty(AtomicBool);

impl Failpoint for Hasty {
    fn before(&self, _path: &Path, _call: IoCall<'_>) -> io::Result<()> {
        Ok(())
    }

    fn lock_timeout(&self) -> Option<Duration> {
        self.0.load(Ordering::SeqCst).then_some(PATIENCE)
    }
}

/// Does nothing in the test run proper.
#[test]
fn what_the_stopped_process_does() {
    let Ok(words) = env::var(STOPS) else { return };
    let (at, dir) = words.split_once(' ').unwrap();
    let dir = Path::new(dir);
    let registry = Registry::open(dir).unwrap();
    let stopping = Stopping {
        at: at.parse().unwrap(),
        calls: AtomicUsize::new(0),
    };
    // From here on: the file is opened for writing, a change is made, and it is closed.
    let installed = install(dir, Arc::new(stopping));
    // Another one each time, so that there is something to change.
    let metric = format!("loss {at} {}", std::process::id());
    registry.set_monitor("m", &metric, Mode::Min).unwrap();
    drop(registry);
    drop(installed);
}

struct Stopped(Child);

impl Stopped {
    /// A process that stops at call number `at`; `None` if it ended before that.
    fn start(dir: &Path, at: usize) -> Option<Stopped> {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", "faults::stopped::what_the_stopped_process_does"]);
        command.env(STOPS, format!("{at} {}", dir.display()));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut stopped = Stopped(command.spawn().unwrap());
        let (_, status) = waitpid(Some(stopped.pid()), WaitOptions::UNTRACED)
            .unwrap()
            .unwrap();
        if status.stopped() {
            return Some(stopped);
        }
        let mut said = String::new();
        let output = stopped.0.stdout.as_mut().unwrap();
        output.read_to_string(&mut said).unwrap();
        assert_eq!(status.exit_status(), Some(0), "{said}");
        None
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.0)
    }

    fn go_on(self) {
        kill_process(self.pid(), Signal::CONT).unwrap();
        let (_, status) = waitpid(Some(self.pid()), WaitOptions::empty())
            .unwrap()
            .unwrap();
        assert_eq!(status.exit_status(), Some(0));
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        // It is gone, if all is well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An answer in time, or an error that names the process with the lock.
fn judge<T>(what: &str, pid: Pid, read: impl FnOnce() -> crate::Result<T>) -> bool {
    let began = Instant::now();
    let answer = read();
    let took = began.elapsed();
    assert!(took < HANG, "{what} took {took:?}");
    match answer {
        Ok(_) => true,
        Err(error @ Error::Locked { .. }) => {
            let said = error.to_string();
            let who = format!("process {} (", pid.as_raw_nonzero());
            assert!(
                said.contains(&who) && said.contains("stopped"),
                "{what}: {said}"
            );
            assert!(said.contains("kill -CONT"), "{what}: {said}");
            false
        }
        Err(error) => panic!("{what}: {error:?}"),
    }
}

#[test]
fn reads_end_wherever_another_process_is_stopped() {
    let directory = scratch();
    let dir = directory.path().join("data");
    let hasty = Arc::new(Hasty::default());
    let _installed = install(directory.path(), hasty.clone());
    let options = Journal::options().without_mirror().without_folding();
    let journal = options.close_timeout(HANG).open(&dir).unwrap();
    assert!(journal.log(Inference::new("m", "s", "BUY")).is_some());
    journal.flush().wait(HANG).unwrap();
    let reader = Reader::open(&dir).unwrap();
    let registry = Registry::open(&dir).unwrap();
    let newest = |reader: &Reader| reader.newest(1).next().unwrap().map(drop);
    let (mut at, mut held_up) = (1, 0);
    while let Some(stopped) = Stopped::start(&dir, at) {
        let pid = stopped.pid();
        hasty.0.store(true, Ordering::SeqCst);
        let all = [
            judge("a reader", pid, || newest(&reader)),
            judge("statistics", pid, || journal.stats("m").get()),
            judge("the registry", pid, || registry.latest("m")),
            judge("opening a reader", pid, || Reader::open(&dir)),
        ];
        // All are refused or none: they need the same lock.
        assert!(
            all.iter().all(|answered| *answered == all[0]),
            "at {at}: {all:?}"
        );
        held_up += usize::from(!all[0]);
        if !all[0] {
            // A later caller does not wait for the same time again.
            let began = Instant::now();
            judge("a reader again", pid, || newest(&reader));
            assert!(began.elapsed() < HANG);
        }
        hasty.0.store(false, Ordering::SeqCst);
        // Loops do not notice.
        assert!(journal.log(Inference::new("m", "s", "BUY")).is_some());
        stopped.go_on();
        // And it is over.
        newest(&reader).unwrap();
        registry.latest("m").unwrap();
        journal.flush().wait(HANG).unwrap();
        at += 1;
    }
    println!(
        "stopped at {} calls, {held_up} of them with the header",
        at - 1
    );
    assert!(at > 10, "it made {at} calls");
    assert!(held_up > 0, "it never stood in the way");
    journal.close().unwrap();
}

/// Readers that follow a vain wait share its bound. A process that has the lock after the stopped
/// one is waited for anew: it may only be slow.
#[test]
fn another_holder_gets_a_wait_of_its_own() {
    let directory = scratch();
    let dir = directory.path().join("data");
    let hasty = Arc::new(Hasty::default());
    let _installed = install(directory.path(), hasty.clone());
    let options = Journal::options().without_mirror().without_folding();
    let journal = options.close_timeout(HANG).open(&dir).unwrap();
    journal.flush().wait(HANG).unwrap();
    journal.close().unwrap();
    let reader = Reader::open(&dir).unwrap();
    let newest = |reader: &Reader| reader.newest(1).next().transpose();
    let (first, held) = holding_the_header(&dir, 1).unwrap();
    hasty.0.store(true, Ordering::SeqCst);
    newest(&reader).unwrap_err();
    first.go_on();
    let (second, _) = holding_the_header(&dir, held.saturating_sub(5).max(1)).unwrap();
    let began = Instant::now();
    let Err(Error::Locked { waited, .. }) = newest(&reader) else {
        panic!("it read past the second process");
    };
    assert!(began.elapsed() >= PATIENCE, "{waited:?}");
    // Those that follow share that wait.
    let again = newest(&reader).unwrap_err();
    assert!(matches!(again, Error::Locked { waited: more, .. } if more >= waited));
    second.go_on();
    hasty.0.store(false, Ordering::SeqCst);
    newest(&reader).unwrap();
}

/// A process that is stopped with the lock on the header, and the number of the call, from `at` on.
fn holding_the_header(dir: &Path, mut at: usize) -> Option<(Stopped, usize)> {
    let lock = fs::metadata(dir.join("runs/header.lock")).unwrap().ino();
    loop {
        let stopped = Stopped::start(dir, at)?;
        let handles = format!("/proc/{}/fdinfo", stopped.pid().as_raw_nonzero());
        let holds = fs::read_dir(handles).unwrap().any(|handle| {
            let said = fs::read_to_string(handle.unwrap().path()).unwrap_or_default();
            let words = format!(":{lock} ");
            said.lines()
                .any(|line| line.contains(" WRITE ") && line.contains(&words))
        });
        if holds {
            return Some((stopped, at));
        }
        stopped.go_on();
        at += 1;
    }
}

//! Shared by the tests with several processes: child processes that obey through pipes, and random
//! numbers that can be repeated.
//!
//! A test binary starts itself with the name of its test `child` and a role in the environment.
//! Parent and child talk in lines; all waiting is for a line, never for time to pass.

#![allow(
    dead_code,
    clippy::print_stdout,
    reason = "each test file uses its own part, and prints"
)]

#[allow(
    clippy::duplicate_mod,
    reason = "some tests share more than one of these modules"
)]
pub mod look;

use std::env;
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{self, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// More than anything here takes on a slow machine: a longer wait counts as a hang.
pub const BOUND: Duration = Duration::from_secs(60);

/// Whether journals have lanes here by default.
pub const HAS_LANES: bool = cfg!(all(
    target_os = "linux",
    target_pointer_width = "64",
    not(annals_portable)
));

const ROLE: &str = "ANNALS_TEST_ROLE";
const DIRECTORY: &str = "ANNALS_TEST_DIRECTORY";
const SEED: &str = "ANNALS_TEST_SEED";
/// Tells our lines from those of the test harness, which prints to the same pipe.
const MARK: &str = "@";

/// A process that plays a role beside the test; killed when dropped.
pub struct Child {
    process: process::Child,
    input: Option<ChildStdin>,
    lines: Receiver<Line>,
}

/// A child's line, and the time of hearing it.
pub struct Line {
    pub text: String,
    pub heard: Instant,
}

impl Child {
    /// Starts this test binary again, as `role` in `dir`.
    pub fn start(role: &str, dir: &Path) -> Child {
        Child::start_with(Command::new(env::current_exe().unwrap()), role, dir)
    }

    /// Like `start`, by a command that runs this test binary with the arguments that follow.
    pub fn start_with(mut command: Command, role: &str, dir: &Path) -> Child {
        let mut process = command
            .args(["--exact", "child", "--nocapture"])
            .env(ROLE, role)
            .env(DIRECTORY, dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = process.stdin.take();
        let output = process.stdout.take().unwrap();
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || listen(output, &sender));
        Child {
            process,
            input,
            lines,
        }
    }

    /// The number of the process.
    pub fn number(&self) -> u32 {
        self.process.id()
    }

    /// Gives the child a command.
    pub fn tell(&mut self, command: &str) {
        let input = self.input.as_mut().unwrap();
        input.write_all(format!("{command}\n").as_bytes()).unwrap();
    }

    /// The next thing that the child says.
    pub fn hear(&self) -> String {
        self.hear_line().text
    }

    /// The next thing that the child says, with its time.
    pub fn hear_line(&self) -> Line {
        match self.lines.recv_timeout(BOUND) {
            Ok(line) => line,
            Err(error) => panic!("process {} says nothing: {error}", self.number()),
        }
    }

    /// A command and its answer.
    pub fn ask(&mut self, command: &str) -> String {
        self.tell(command);
        self.hear()
    }

    /// Stops the child as a debugger would, wherever it is, and returns when it stands.
    #[cfg(unix)]
    pub fn stop(&self) {
        use rustix::process::{WaitOptions, waitpid};
        self.signal(rustix::process::Signal::STOP);
        let stands = waitpid(Some(self.pid()), WaitOptions::UNTRACED).unwrap();
        assert!(stands.is_some_and(|(_, status)| status.stopped()));
    }

    /// Lets a stopped child go on.
    #[cfg(unix)]
    pub fn go_on(&self) {
        self.signal(rustix::process::Signal::CONT);
    }

    #[cfg(unix)]
    fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(self.pid(), signal).unwrap();
    }

    #[cfg(unix)]
    pub fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(&self.process)
    }

    /// Kills the child as the kernel would, and returns its lines that were not heard yet.
    pub fn kill(mut self) -> Vec<Line> {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        // The pipe still holds what was written before; it ends with the process.
        self.lines.iter().collect()
    }

    /// Waits until the child has died of itself, or has said that it is done: `true`.
    pub fn die_or_say(mut self) -> bool {
        let said = self.lines.recv_timeout(BOUND).map(|line| line.text);
        match said {
            Ok(_) => {
                self.finish();
                true
            }
            Err(error) => {
                assert_eq!(error, RecvTimeoutError::Disconnected);
                assert!(!self.process.wait().unwrap().success());
                false
            }
        }
    }

    /// Lets the child come to its end by itself.
    pub fn finish(mut self) {
        drop(self.input.take());
        let rest = self.lines.recv_timeout(BOUND).map(|line| line.text);
        assert_eq!(rest, Err(RecvTimeoutError::Disconnected));
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Both fail if the child is gone, which is what they are for.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn listen(output: ChildStdout, sender: &Sender<Line>) {
    let mut output = BufReader::new(output);
    let mut text = String::new();
    while output.read_line(&mut text).is_ok_and(|bytes| bytes > 0) {
        // A line without an end was cut short by a kill and does not count.
        if let Some(said) = text.strip_prefix(MARK)
            && let Some(said) = said.strip_suffix('\n')
        {
            let (text, heard) = (said.to_owned(), Instant::now());
            // The test may have ended and left.
            let _ = sender.send(Line { text, heard });
        }
        text.clear();
    }
}

/// In a child: its role and its directory. In the test run proper: `None`.
pub fn role() -> Option<(String, PathBuf)> {
    let role = env::var(ROLE).ok()?;
    let dir = env::var_os(DIRECTORY)?;
    Some((role, dir.into()))
}

/// In a child: the parent's next command; `None` when there will be no more.
pub fn command() -> Option<String> {
    let mut line = String::new();
    let bytes = io::stdin().lock().read_line(&mut line).unwrap();
    (bytes > 0).then(|| line.trim_end().to_owned())
}

/// In a child: says one line to the parent.
pub fn say(text: &str) {
    let mut output = io::stdout().lock();
    // The harness may have left its own line open. One write, so that a kill cannot split it.
    let line = format!("\n{MARK}{text}\n");
    output.write_all(line.as_bytes()).unwrap();
    output.flush().unwrap();
}

/// The files of the spools in the journal in `dir`, in order.
pub fn spool_files(dir: &Path) -> Vec<PathBuf> {
    let Ok(files) = fs::read_dir(dir.join("runs")) else {
        return Vec::new();
    };
    let paths = files.map(|file| file.unwrap().path());
    let mut paths: Vec<_> = paths
        .filter(|path| path.to_string_lossy().contains(".spool-"))
        .collect();
    paths.sort();
    paths
}

/// Frames in these files.
pub fn spool_frames(dir: &Path) -> usize {
    let contents = spool_files(dir)
        .into_iter()
        .map(|path| fs::read(path).unwrap());
    contents
        .map(|bytes| bytes.windows(4).filter(|word| word == b"ANS1").count())
        .sum()
}

/// How many cases a test runs: the first number in an ordinary run, the second one where
/// `ANNALS_LONG` asks for the long one.
pub fn cases(ordinary: usize, long: usize) -> usize {
    if env::var_os("ANNALS_LONG").is_some_and(|value| value == "1") {
        long
    } else {
        ordinary
    }
}

/// A xorshift generator.
#[derive(Clone)]
pub struct Random(u64);

impl Random {
    /// Like `new`, and prints the seed: a failed test shows it.
    pub fn printed() -> Random {
        let random = Random::new();
        println!("seed {}", random.seed());
        random
    }

    /// Another sequence every time, unless `ANNALS_TEST_SEED` asks for a certain one.
    pub fn new() -> Random {
        let wanted = env::var(SEED).ok().and_then(|seed| seed.parse().ok());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let now = now.as_secs() ^ u64::from(now.subsec_nanos()) << 32;
        Random::from_seed(wanted.unwrap_or(now))
    }

    pub fn from_seed(seed: u64) -> Random {
        Random(seed.max(1))
    }

    pub fn seed(&self) -> u64 {
        self.0
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// Files in `dir` that the creation of a journal leaves behind when it is cut short.
pub fn unfinished(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    names
        .filter(|name| name.starts_with("journal.redb.new-"))
        .collect()
}

/// Burns time on the processor: a sleep is too coarse to hit a certain moment.
pub fn spin(time: Duration) {
    let began = Instant::now();
    while began.elapsed() < time {
        std::hint::spin_loop();
    }
}

/// All files below `from`, without links.
pub fn copied(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        let place = to.join(file.file_name());
        if file.file_type().unwrap().is_dir() {
            copied(&file.path(), &place);
        } else {
            fs::copy(file.path(), place).unwrap();
        }
    }
}

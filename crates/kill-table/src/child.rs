//! The process that is killed: it records decisions and says each number whose call was answered
//! with success, in eight bytes through a pipe. What is in the pipe outlives the process.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::memory;
use crate::shape::Shape;
use crate::subjects::{self, Subject};

/// In what the child says: the number is of a decision whose outcome was accepted.
pub const OUTCOME: u64 = 1 << 63;

/// How a process ends that nobody kills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    Abort,
    SegmentationFault,
    /// The signal of a kernel that has no memory, by the process itself.
    OwnKill,
    StackOverflow,
    /// A kernel that has no memory for the process's group.
    NoMemory,
}

impl Death {
    pub const ALL: [Death; 5] = [
        Death::Abort,
        Death::SegmentationFault,
        Death::OwnKill,
        Death::StackOverflow,
        Death::NoMemory,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Death::Abort => "abort",
            Death::SegmentationFault => "SIGSEGV",
            Death::OwnKill => "SIGKILL by itself",
            Death::StackOverflow => "stack overflow",
            Death::NoMemory => "out-of-memory kill",
        }
    }

    fn die(self) {
        match self {
            Death::Abort => std::process::abort(),
            #[cfg(unix)]
            Death::SegmentationFault => signal_self(rustix::process::Signal::SEGV),
            #[cfg(unix)]
            Death::OwnKill => signal_self(rustix::process::Signal::KILL),
            #[cfg(not(unix))]
            Death::SegmentationFault | Death::OwnKill => std::process::abort(),
            Death::StackOverflow => {
                std::hint::black_box(overflow(0));
            }
            Death::NoMemory => memory::take_all(),
        }
    }
}

/// The runtime's own handler takes the first `SIGSEGV`, finds that it is no overflow of a stack,
/// and leaves the next one to the system.
#[cfg(unix)]
fn signal_self(signal: rustix::process::Signal) {
    loop {
        let _ = rustix::process::kill_process(rustix::process::getpid(), signal);
    }
}

#[allow(unconditional_recursion, reason = "that is the point")]
fn overflow(depth: u64) -> u64 {
    let frame = std::hint::black_box([depth; 128]);
    overflow(depth + 1) + frame.get(1).copied().unwrap_or(0)
}

/// What the parent told a child.
#[derive(Clone, Debug, Default)]
pub struct Orders {
    /// How it ends by itself, after so many calls.
    pub death: Option<(Death, u64)>,
    /// The group of processes that it joins.
    pub group: Option<PathBuf>,
    /// Which of the processes it is that record in one place. Such a one ends in good order when
    /// its standard input ends.
    pub process: Option<u64>,
}

/// Threads of a process have numbers from a multiple of this on.
pub const THREADS: u64 = 16;

/// Records until it is killed, or dies after so many calls.
pub fn run(subject: &str, shape: Shape, dir: &Path, orders: &Orders) -> Result<()> {
    if let Some(group) = &orders.group {
        memory::join(group)?;
    }
    let kind = subjects::named(subject)?;
    let subject = kind.open(dir)?;
    let (calls, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..shape.threads())
            .map(|thread| {
                let (subject, calls, is_over) = (&*subject, &calls, &is_over);
                let thread = orders.process.unwrap_or(0) * THREADS + thread;
                scope.spawn(move || record(subject, shape, thread, orders.death, calls, is_over))
            })
            .collect();
        if orders.process.is_some() {
            // Nothing comes but the end.
            io::stdin().lock().read_to_end(&mut Vec::new())?;
            is_over.store(true, Ordering::Relaxed);
        }
        for thread in threads {
            thread.join().ok().context("a thread panicked")??;
        }
        Ok::<(), anyhow::Error>(())
    })?;
    if orders.process.is_none() {
        bail!("a child that records for ever came to an end");
    }
    subject.close()
}

fn record(
    subject: &dyn Subject,
    shape: Shape,
    thread: u64,
    death: Option<(Death, u64)>,
    calls: &AtomicU64,
    is_over: &AtomicBool,
) -> Result<()> {
    let mut due = Instant::now();
    for call in 0.. {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        shape.wait(call, &mut due);
        let number = thread << 32 | call;
        if subject.log(number)? {
            say(number)?;
            if shape.has_outcomes() && subject.attach_outcome(number)? {
                say(number | OUTCOME)?;
            }
        }
        if let Some((death, after)) = death
            && calls.fetch_add(1, Ordering::Relaxed) == after
        {
            death.die();
        }
    }
    Ok(())
}

/// What the process is killed in the middle of is cut off at the end of the pipe.
fn say(number: u64) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(&number.to_le_bytes())?;
    // What stays in this process dies with it.
    out.flush()
}

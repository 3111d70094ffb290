//! The process that is killed: it records decisions and says each number whose call was answered
//! with success, in eight bytes through a pipe. What is in the pipe outlives the process.

use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::shape::Shape;
use crate::subjects::{self, Subject};

/// In what the child says: the number is of a decision whose outcome was accepted.
pub const OUTCOME: u64 = 1 << 63;

/// How a process ends that nobody kills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    Abort,
    SegmentationFault,
    /// What the kernel does to a process when there is no memory.
    OutOfMemoryKill,
    StackOverflow,
}

impl Death {
    pub const ALL: [Death; 4] = [
        Death::Abort,
        Death::SegmentationFault,
        Death::OutOfMemoryKill,
        Death::StackOverflow,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Death::Abort => "abort",
            Death::SegmentationFault => "SIGSEGV",
            Death::OutOfMemoryKill => "SIGKILL by itself",
            Death::StackOverflow => "stack overflow",
        }
    }

    fn die(self) {
        match self {
            Death::Abort => std::process::abort(),
            #[cfg(unix)]
            Death::SegmentationFault => signal_self(rustix::process::Signal::SEGV),
            #[cfg(unix)]
            Death::OutOfMemoryKill => signal_self(rustix::process::Signal::KILL),
            #[cfg(not(unix))]
            Death::SegmentationFault | Death::OutOfMemoryKill => std::process::abort(),
            Death::StackOverflow => {
                std::hint::black_box(overflow(0));
            }
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

/// Records until it is killed, or dies after so many calls.
pub fn run(subject: &str, shape: Shape, dir: &Path, death: Option<(Death, u64)>) -> Result<()> {
    let kind = subjects::named(subject)?;
    let subject = kind.open(dir)?;
    let calls = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..shape.threads())
            .map(|thread| {
                let (subject, calls) = (&*subject, &calls);
                scope.spawn(move || record(subject, shape, thread, death, calls))
            })
            .collect();
        for thread in threads {
            thread.join().ok().context("a thread panicked")??;
        }
        bail!("a child that records for ever came to an end")
    })
}

fn record(
    subject: &dyn Subject,
    shape: Shape,
    thread: u64,
    death: Option<(Death, u64)>,
    calls: &AtomicU64,
) -> Result<()> {
    let mut due = Instant::now();
    for call in 0.. {
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

//! The rehearsal of a crash: a second process that decides and is killed in mid-loop.
//!
//! Printed facts from before the kill are looked for after it. The second process tells its parent
//! how many of its decisions the journal has called durable; the parent kills it, reads the journal
//! and counts.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use annals::InferenceId;
use anyhow::{Context, Result, bail};

use crate::features::Sample;
use crate::interrupt::Interrupt;
use crate::network::Network;
use crate::record::Book;

/// The name of the model in the journal: these decisions are not the agent's.
pub const NAME: &str = "crash_rehearsal";

/// So many decisions go to disk together.
const TOGETHER: u64 = 100;

/// The second process is killed when it was told of so many.
const ENOUGH: u64 = 1_000;

/// The promise before the kill, and the content after it.
#[derive(Debug, Clone, Copy)]
pub struct Rehearsed {
    /// The newest decision that was called durable.
    pub last: InferenceId,
    /// Decisions that were called durable.
    pub acknowledged: u64,
    /// How many of those the journal has.
    pub found: u64,
    /// How many later ones it has, which had been committed and not told yet.
    pub later: u64,
    /// Whether the journal says that the run died.
    pub is_known: bool,
}

/// The second process: decides without an end, and says what is durable.
///
/// # Errors
/// If the journal does not get decisions to disk, or the parent does not listen any more.
pub fn decide_until_killed(
    book: &Book,
    network: &Network,
    walk: &[Sample],
    out: &mut dyn Write,
) -> Result<()> {
    let mut count = 0_u64;
    for sample in walk.iter().cycle() {
        let decision = book.decide(sample.symbol, sample.time, &sample.features, |features| {
            network.probabilities(features)
        });
        let Some(id) = decision.and_then(|decision| decision.id) else {
            continue;
        };
        count += 1;
        if count.is_multiple_of(TOGETHER) {
            book.flush()?;
            writeln!(out, "{count} {id}")?;
            out.flush()?;
        }
    }
    Ok(())
}

/// Starts the second process, kills it, and looks for what it was told. `None` if the person asked
/// to stop in between.
///
/// # Errors
/// If the process does not start or ends by itself, or the journal cannot be read.
pub fn rehearse(
    mut command: Command,
    book: &Book,
    interrupt: &Interrupt,
) -> Result<Option<Rehearsed>> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = command
        .spawn()
        .context("the process that is to crash cannot be started")?;
    let mut last = None;
    if let Some(said) = child.stdout.take() {
        for line in BufReader::new(said).lines().map_while(Result::ok) {
            last = read(&line).or(last);
            let enough = last.is_some_and(|(count, _)| count >= ENOUGH);
            if enough || interrupt.is_asked() {
                break;
            }
        }
    }
    // It may have ended by itself, which shows in what it said.
    _ = child.kill();
    child
        .wait()
        .context("the killed process cannot be seen off")?;
    if interrupt.is_asked() {
        return Ok(None);
    }
    match last {
        Some((acknowledged, last)) if acknowledged >= ENOUGH => {
            book.look_for(NAME, acknowledged, last).map(Some)
        }
        _ => bail!("the process that was to crash ended by itself"),
    }
}

/// A line that the second process wrote.
fn read(line: &str) -> Option<(u64, InferenceId)> {
    let (count, id) = line.split_once(' ')?;
    Some((count.parse().ok()?, id.parse().ok()?))
}

//! Shared by the programs that measure: decisions to record, a place on a real disk, and the
//! system's figures of time and memory.

#![allow(
    dead_code,
    missing_docs,
    reason = "each program uses its own part of it"
)]

pub mod events;
pub mod journals;
pub mod machine;
pub mod paced;

use std::time::Duration;

pub type Failure = Box<dyn std::error::Error>;

/// Longer than anything here takes.
pub const BOUND: Duration = Duration::from_secs(3_600);

/// The value that follows `name` on the command line, as a list of numbers.
pub fn numbers(name: &str) -> Result<Option<Vec<u64>>, Failure> {
    let Some(text) = text(name) else {
        return Ok(None);
    };
    let numbers: Result<Vec<u64>, _> = text.split(',').map(str::parse).collect();
    Ok(Some(
        numbers.map_err(|error| format!("{name} {text}: {error}"))?,
    ))
}

/// The value that follows `name` on the command line, as a number.
pub fn number(name: &str) -> Result<Option<u64>, Failure> {
    Ok(numbers(name)?.and_then(|numbers| numbers.first().copied()))
}

/// The value that follows `name` on the command line.
pub fn text(name: &str) -> Option<String> {
    std::env::args()
        .skip_while(|argument| argument != name)
        .nth(1)
}

/// The middle one of `values`.
pub fn median<T: Ord + Copy>(mut values: Vec<T>) -> Option<T> {
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}

/// Whether `name` is on the command line.
pub fn asked(name: &str) -> bool {
    std::env::args().any(|argument| argument == name)
}

/// Whether this is a trial that shows only that the program works.
pub fn trial() -> bool {
    asked("--test")
}

//! Kept inputs: their bytes in files of their own, and the table that says what is committed of
//! each file.
//!
//! A file has frames and is only appended to. A commit syncs it and then stores how far it counts,
//! in the transaction of the decisions. Bytes behind that are garbage of a crash. So an input is
//! either there, or its decision reads as given up.

pub(crate) mod deflate;
mod file;
pub(crate) mod frame;
pub(crate) mod read;
pub(crate) mod rows;
mod seen;
pub(crate) mod store;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use super::directory::Directory;
use super::format::row::InputNumber;
use crate::entry::ids::{COUNTER_BITS, MAX_RUN, RunId};

/// End of a name of a file of inputs.
const EXTENSION: &str = ".inputs";

/// `<run>-<counter>.inputs`, by the number of the file's first input.
pub(crate) fn file_name(first: InputNumber) -> String {
    format!("{first}{EXTENSION}")
}

/// The number of the first input of the file with this name, if it is one of inputs.
pub(crate) fn first_of(name: &str) -> Option<InputNumber> {
    let (run, counter) = name.strip_suffix(EXTENSION)?.split_once('-')?;
    let run = run.parse().ok().filter(|run| *run <= MAX_RUN)?;
    let counter: u64 = counter.parse().ok()?;
    let first = InputNumber::new(RunId(run).first_id() | counter);
    // `parse` alone would take `+1` and `007`.
    (counter >> COUNTER_BITS == 0 && file_name(first) == name).then_some(first)
}

/// Where the file lies whose first input has this number.
pub(crate) fn path_of(directory: &Directory, first: InputNumber) -> PathBuf {
    directory.inputs().join(file_name(first))
}

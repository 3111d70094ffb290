//! Looking inputs up, and checking the files that have them.

// Stored numbers are not trusted: an unbounded one must be checked or saturate.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::file::FrameFile;
use super::frame::Frame;
use super::rows::{self, FileState, InputFile, InputFileRow};
use crate::engine::directory::Directory;
use crate::engine::format::row::InputNumber;
use crate::engine::meta::Identity;
use crate::engine::source::Source;
use crate::entry::error::{Error, Result};
use crate::entry::ids::RunId;
use crate::entry::input::InputValues;
use crate::entry::sequence::Sequence;

/// What a look-up found.
#[derive(Debug, PartialEq)]
pub(crate) enum FoundInput {
    Kept(InputValues),
    /// No file ever had it.
    GivenUp,
    /// Its file is gone.
    Removed,
}

/// The file and the frame that were read last: decisions are mostly read in order.
#[derive(Default)]
pub(crate) struct InputCache {
    file: Option<CachedFile>,
}

struct CachedFile {
    first: InputNumber,
    row: InputFileRow,
    file: FrameFile,
    frame: Option<Frame>,
}

impl Source {
    /// The input with this number.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if its file is damaged there.
    pub(crate) fn input(&self, number: InputNumber, cache: &mut InputCache) -> Result<FoundInput> {
        let mut known = match cache.file.take() {
            Some(known) if known.first <= number && number < known.row.next => known,
            known => {
                let Some(directory) = self.directory() else {
                    return Ok(FoundInput::GivenUp);
                };
                let found = self.read(|snapshot| rows::find(snapshot, self.path(), number))?;
                let Some((first, row)) = found else {
                    return Ok(FoundInput::GivenUp);
                };
                if row.state == FileState::Removed {
                    return Ok(FoundInput::Removed);
                }
                match known.filter(|known| known.first == first) {
                    // It has grown; what is known of its frames still holds.
                    Some(known) => CachedFile { row, ..known },
                    None => match FrameFile::open(directory, &self.identity()?, first)? {
                        Some(file) => CachedFile {
                            first,
                            row,
                            file,
                            frame: None,
                        },
                        None => return Ok(FoundInput::Removed),
                    },
                }
            }
        };
        let found = known.get(number);
        if found.is_ok() {
            cache.file = Some(known);
        }
        found
    }
}

impl CachedFile {
    fn get(&mut self, number: InputNumber) -> Result<FoundInput> {
        let frame = match self.frame.take() {
            Some(frame) if frame.has(number) => frame,
            _ => match self.file.find(&self.row, number)? {
                Some(place) => self.file.frame(place)?,
                None => return Ok(FoundInput::GivenUp),
            },
        };
        let found = frame.get(number);
        let found = found.map(|(kind, bytes)| InputValues::of(kind, bytes));
        self.frame = Some(frame);
        Ok(found.map_or(FoundInput::GivenUp, FoundInput::Kept))
    }
}

/// The frames at the front of a file that can be read, all of them checked.
pub(crate) struct Readable {
    /// What the file counts for without the rest; `None` if nothing of it can be read.
    pub(crate) row: Option<InputFileRow>,
    /// Why the rest cannot be read.
    pub(crate) defect: Option<Error>,
}

/// Reads all that a file counts for.
pub(crate) fn check(
    directory: &Directory,
    identity: &Identity,
    (first, row): &InputFile,
) -> Readable {
    let whole = Readable {
        row: Some(*row),
        defect: None,
    };
    if row.state == FileState::Removed {
        return whole;
    }
    let nothing = |defect| Readable {
        row: None,
        defect: Some(defect),
    };
    let mut file = match FrameFile::open(directory, identity, *first) {
        Ok(Some(file)) => file,
        Ok(None) => {
            return nothing(Error::Missing {
                path: super::path_of(directory, *first),
            });
        }
        Err(error) => return nothing(error),
    };
    loop {
        let before = file.end();
        let passed = match file.pass(row) {
            Ok(None) => return whole,
            Ok(Some(place)) => file.frame(place).map(drop),
            Err(error) => Err(error),
        };
        if let Err(defect) = passed {
            let (length, next) = before;
            let shorter = InputFileRow {
                length,
                next,
                ..*row
            };
            return Readable {
                row: (next > *first).then_some(shorter),
                defect: Some(defect),
            };
        }
    }
}

/// A row for the frames at the front of a file that has none; `None` if there is no whole frame.
pub(crate) fn whole(
    directory: &Directory,
    identity: &Identity,
    first: InputNumber,
    until: Sequence,
) -> Option<InputFileRow> {
    let everything = InputFileRow {
        next: InputNumber::new(RunId(first.run().get().saturating_add(1)).first_id()),
        length: rows::MOST_FILE,
        until,
        state: FileState::Ended,
    };
    // It ends before that, which is no defect here.
    check(directory, identity, &(first, everything)).row
}

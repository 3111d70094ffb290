//! Looking inputs up, and checking the files that have them.

// Stored numbers are not trusted: an unbounded one must be checked or saturate.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use super::deflate::inflated;
use super::file::FrameFile;
use super::frame::{Frame, FrameInput};
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

/// Files that a cache has open.
const MOST_FILES: usize = 8;

/// The files that were read last, each with an index of its frames and the frame that was read
/// last: decisions are mostly read in order, and those of several processes in turn. It holds a
/// frame for each of up to eight files.
#[derive(Default)]
pub(crate) struct InputCache {
    /// The one used last stands last.
    files: Vec<CachedFile>,
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
    #[inline]
    pub(crate) fn input(&self, number: InputNumber, cache: &mut InputCache) -> Result<FoundInput> {
        let last = cache.files.last().and_then(|file| file.frame.as_ref());
        if let Some(FrameInput::Values(values)) = last.and_then(|frame| frame.get(number)) {
            return Ok(FoundInput::Kept(values));
        }
        self.input_of_other_frame(number, cache)
    }

    fn input_of_other_frame(
        &self,
        number: InputNumber,
        cache: &mut InputCache,
    ) -> Result<FoundInput> {
        let has = |file: &CachedFile| file.first <= number && number < file.row.next;
        let known = cache.files.iter().position(has);
        let mut known = match known {
            Some(place) => cache.files.remove(place),
            None => {
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
                let known = cache.files.iter().position(|file| file.first == first);
                match known {
                    // It has grown; what is known of its frames still holds.
                    Some(place) => CachedFile {
                        row,
                        ..cache.files.remove(place)
                    },
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
        // A file with an error is opened anew by the next look-up.
        let found = known.get(number)?;
        if cache.files.len() >= MOST_FILES {
            cache.files.remove(0);
        }
        cache.files.push(known);
        Ok(found)
    }
}

impl CachedFile {
    fn get(&mut self, number: InputNumber) -> Result<FoundInput> {
        let known = self.frame.as_ref().and_then(|frame| frame.get(number));
        if known.is_some() {
            return self.values(number, known);
        }
        let Some(place) = self.file.find(&self.row, number)? else {
            return Ok(FoundInput::GivenUp);
        };
        let frame = self.frame.insert(self.file.frame(place)?);
        let found = frame.get(number);
        self.values(number, found)
    }

    fn values(&self, number: InputNumber, found: Option<FrameInput>) -> Result<FoundInput> {
        Ok(match found {
            None => FoundInput::GivenUp,
            Some(FrameInput::Values(values)) => FoundInput::Kept(values),
            Some(FrameInput::Deflated(bytes)) => match inflated(&bytes) {
                Some(bytes) => FoundInput::Kept(InputValues::Bytes(bytes.into())),
                None => {
                    let why = format!("the input {number} does not decompress");
                    return Err(self.file.damaged(&why));
                }
            },
        })
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

//! Position of the mirror, stored beside it, so that every line is written once.

// Stored numbers are not trusted: an unbounded one must be checked or saturate.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::io::{self, Write};
use std::path::Path;

use xxhash_rust::xxh3::xxh3_64;

use super::place::{FilePart, Position};
use crate::engine::format::codec;
use crate::entry::ids::JournalId;
use crate::entry::sequence::Sequence;
use crate::fs::disk;
use crate::fs::disk::NewFile;
use crate::options::logs::LogKind;

const FILE: &str = ".cursor";
/// No day has more parts: there is always a next one.
const MOST_PARTS: u32 = 1 << 30;
/// No state is longer.
const MOST_BYTES: u64 = 4_096;
const HEADER: &str = "annals mirror 1";

/// Invariant M2: every entry before `next` has its line in the files, and nothing from `next` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MirrorState {
    /// The sequence of the first entry whose line is not written.
    pub(super) next: Sequence,
    pub(super) positions: [Option<Position>; LogKind::COUNT],
}

impl MirrorState {
    pub(super) fn start() -> Self {
        MirrorState {
            next: Sequence::FIRST,
            positions: [None; LogKind::COUNT],
        }
    }

    /// The state stored in `directory` for `journal`; `None` if there is none, it is damaged, or
    /// it is another journal's.
    pub(super) fn load(directory: &Path, journal: JournalId) -> io::Result<Option<MirrorState>> {
        match disk::read_at_most(&directory.join(FILE), MOST_BYTES) {
            Ok(text) => {
                let text = text.and_then(|text| String::from_utf8(text).ok());
                Ok(text.and_then(|text| MirrorState::parse(&text, journal)))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            // A foreign file is in its place: it is replaced like a damaged one.
            Err(error) if disk::is_no_regular_file(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Stores the state durably: written aside, synced, renamed.
    pub(super) fn save(&self, directory: &Path, journal: JournalId) -> io::Result<()> {
        let path = directory.join(FILE);
        let aside = directory.join(".cursor.new");
        let mut file = NewFile::begin(&aside)?;
        file.write_all(self.print(journal).as_bytes())?;
        file.finish(&path)
    }

    fn print(&self, journal: JournalId) -> String {
        let mut body = format!("{HEADER}\njournal {journal}\nnext {}\n", self.next);
        for (kind, position) in LogKind::ALL.into_iter().zip(self.positions) {
            if let Some(Position { part, length }) = position {
                let (stem, FilePart { day, part }) = (kind.stem(), part);
                let day = day.map_or_else(|| "-".to_owned(), |day| day.to_string());
                body.push_str(&format!("{stem} {day} {part} {length}\n"));
            }
        }
        let sum = xxh3_64(body.as_bytes());
        body.push_str(&format!("sum {sum:016x}\n"));
        body
    }

    fn parse(text: &str, journal: JournalId) -> Option<MirrorState> {
        let (body, sum) = text.rsplit_once("sum ")?;
        let sum = u64::from_str_radix(sum.trim_end(), 16).ok()?;
        // A file that a crash cut short, or a person edited, must not send the mirror to a wrong
        // line.
        if sum != xxh3_64(body.as_bytes()) {
            return None;
        }
        let mut lines = body.lines();
        let owner = format!("journal {journal}");
        // After a restored or a new journal in this place, the lines of the old one must not be
        // continued.
        if lines.next()? != HEADER || lines.next()? != owner {
            return None;
        }
        let next = lines.next()?.strip_prefix("next ")?.parse().ok()?;
        codec::bounded("a sequence", next).ok()?;
        let mut state = MirrorState {
            next: Sequence::new(next),
            positions: [None; LogKind::COUNT],
        };
        for line in lines {
            let mut words = line.split(' ');
            let stem = words.next()?;
            let index = LogKind::ALL.iter().position(|kind| kind.stem() == stem)?;
            let day = match words.next()? {
                "-" => None,
                day => Some(day.parse().ok()?),
            };
            let part: u32 = words.next()?.parse().ok()?;
            if part > MOST_PARTS {
                return None;
            }
            let length = words.next()?.parse().ok()?;
            codec::bounded("a length", length).ok()?;
            state.positions[index] = Some(Position {
                part: FilePart { day, part },
                length,
            });
        }
        Some(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_read_back_and_a_damaged_or_foreign_one_is_not() {
        let state = MirrorState {
            next: Sequence::new(77),
            positions: [
                Some(Position {
                    part: FilePart {
                        day: Some(-1),
                        part: 2,
                    },
                    length: 9,
                }),
                Some(Position {
                    part: FilePart { day: None, part: 0 },
                    length: 1,
                }),
                None,
                None,
            ],
        };
        let printed = state.print(JournalId(5));
        assert_eq!(MirrorState::parse(&printed, JournalId(5)), Some(state));
        assert_eq!(MirrorState::parse(&printed, JournalId(6)), None);
        for index in 0..printed.len() - 1 {
            let mut damaged = printed.clone().into_bytes();
            damaged[index] ^= 1;
            let damaged = String::from_utf8_lossy(&damaged).into_owned();
            assert_eq!(
                MirrorState::parse(&damaged, JournalId(5)),
                None,
                "{damaged}"
            );
        }
    }
}

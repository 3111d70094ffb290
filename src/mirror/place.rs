//! The names of the files and the one that is current.

use std::fs;
use std::path::Path;

use super::days;
use super::settings::{LogKind, Rotation};

/// Which file of a kind is written: its day (0 if days do not matter) and its part of that day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Part {
    pub(super) day: i64,
    pub(super) part: u32,
}

/// How far one kind of file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) part: Part,
    /// Invariant M1: the file holds exactly this many bytes of whole lines, each once.
    pub(super) length: u64,
}

impl Part {
    /// The file's name: `inference_records.2026-11-23.txt`, `….2026-11-23.1.txt`; without days,
    /// `inference_records.part-0.txt`.
    pub(super) fn file_name(self, kind: LogKind, rotation: Rotation) -> String {
        format!("{}.{}.txt", kind.stem(), self.label(rotation))
    }

    /// The part of the name that differs between the files of a kind.
    pub(super) fn label(self, rotation: Rotation) -> String {
        match (rotation.is_daily(), self.part) {
            (true, 0) => days::name(self.day),
            (true, part) => format!("{}.{part}", days::name(self.day)),
            (false, part) => format!("part-{part}"),
        }
    }

    fn parse(label: &str) -> Option<Part> {
        if let Some(part) = label.strip_prefix("part-") {
            let part = part.parse().ok()?;
            return Some(Part { day: 0, part });
        }
        match label.split_once('.') {
            Some((day, part)) => Some(Part {
                day: days::parse(day)?,
                part: part.parse().ok()?,
            }),
            None => Some(Part {
                day: days::parse(label)?,
                part: 0,
            }),
        }
    }
}

/// A file of the mirror as it is found in the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) part: Part,
    pub(super) name: String,
    pub(super) compressed: bool,
}

/// The regular files of `kind` in `directory`, oldest first.
pub(super) fn files(directory: &Path, kind: LogKind) -> std::io::Result<Vec<Found>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if !entry.file_type()?.is_file() {
            continue;
        }
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let rest = name.strip_prefix(kind.stem());
        let Some(rest) = rest.and_then(|rest| rest.strip_prefix('.')) else {
            continue;
        };
        let (label, compressed) = match rest.strip_suffix(".txt.gz") {
            Some(label) => (Some(label), true),
            None => (rest.strip_suffix(".txt"), false),
        };
        if let Some(part) = label.and_then(Part::parse) {
            found.push(Found {
                part,
                name,
                compressed,
            });
        }
    }
    found.sort_by_key(|file| file.part);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for (rotation, part) in [
            (
                Rotation::Daily,
                Part {
                    day: 20_780,
                    part: 0,
                },
            ),
            (Rotation::Daily, Part { day: -3, part: 7 }),
            (Rotation::Never, Part { day: 0, part: 0 }),
            (Rotation::Size(1), Part { day: 0, part: 12 }),
        ] {
            assert_eq!(Part::parse(&part.label(rotation)), Some(part));
        }
        assert_eq!(Part::parse("before-annals"), None);
    }
}

//! The names of the files and the one that is current.

use std::fs;
use std::path::Path;

use super::days;
use crate::options::logs::LogKind;

/// Which file of a kind is written. Files without a day are older than those with one. Where the
/// rotation was daily before and is not now, the last day continues in parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FilePart {
    /// `None` if there never was a rotation by days.
    pub(super) day: Option<i64>,
    pub(super) part: u32,
}

/// Position in one kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) part: FilePart,
    /// Invariant M1: the file holds exactly this many bytes of whole lines, each once.
    pub(super) length: u64,
}

impl FilePart {
    /// The file's name: `inference_records.2026-11-23.txt`, `….2026-11-23.1.txt`; without days,
    /// `inference_records.part-0.txt`.
    pub(super) fn file_name(self, kind: LogKind) -> String {
        format!("{}.{}.txt", kind.stem(), self.label())
    }

    /// The part of the name that differs between the files of a kind.
    pub(super) fn label(self) -> String {
        match (self.day, self.part) {
            (Some(day), 0) => days::name(day),
            (Some(day), part) => format!("{}.{part}", days::name(day)),
            (None, part) => format!("part-{part}"),
        }
    }

    fn parse(label: &str) -> Option<FilePart> {
        if let Some(part) = label.strip_prefix("part-") {
            let part = part.parse().ok()?;
            return Some(FilePart { day: None, part });
        }
        match label.split_once('.') {
            Some((day, part)) => Some(FilePart {
                day: Some(days::parse(day)?),
                part: part.parse().ok()?,
            }),
            None => Some(FilePart {
                day: Some(days::parse(label)?),
                part: 0,
            }),
        }
    }
}

/// A file of the mirror as it is found in the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FoundFile {
    pub(super) part: FilePart,
    pub(super) name: String,
    pub(super) compressed: bool,
}

/// The regular files of `kind` in `directory`, oldest first.
pub(super) fn files(directory: &Path, kind: LogKind) -> std::io::Result<Vec<FoundFile>> {
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
        if let Some(part) = label.and_then(FilePart::parse) {
            found.push(FoundFile {
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
        let days = [None, Some(20_780), Some(0), Some(-3)];
        for (day, part) in days.into_iter().flat_map(|day| [(day, 0), (day, 7)]) {
            let part = FilePart { day, part };
            assert_eq!(FilePart::parse(&part.label()), Some(part));
        }
        assert_eq!(FilePart::parse("before-annals"), None);
    }
}

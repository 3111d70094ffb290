//! Findings of a check.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

/// Something that is not as it was written, or does not fit together.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Defect {
    /// The file that it is in.
    pub file: PathBuf,
    /// Kind of the defect.
    pub kind: DefectKind,
    /// The sequences that cannot be read because of it, if that is known.
    pub sequences: Option<Range<u64>>,
    /// The exact place, and the defect.
    pub detail: String,
}

/// The kinds of [`Defect`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DefectKind {
    /// A file or table cannot be read at all.
    Unreadable,
    /// A stored value differs from the written one.
    Checksum,
    /// A value is as it was written, and yet does not decode.
    Undecodable,
    /// Entries are not there.
    Missing,
    /// An index and the blocks disagree.
    Index,
    /// A segment differs from its registration.
    Registration,
    /// An unknown file; the next sealer removes it.
    Stray,
    /// Names and what uses them disagree.
    Name,
    /// Runs and their entries disagree.
    Run,
    /// The journal's extent or a cursor has an impossible value.
    Extent,
    /// Kept inputs cannot be read, or are not there.
    Input,
    /// The storage engine's own check found its pages out of order.
    Engine,
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {:?}: {}",
            self.file.display(),
            self.kind,
            self.detail
        )?;
        match &self.sequences {
            Some(lost) => write!(
                f,
                " (entries {} to {})",
                lost.start,
                lost.end.saturating_sub(1)
            ),
            None => Ok(()),
        }
    }
}

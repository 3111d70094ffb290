//! What a check of a journal finds.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

/// Something that is not as it was written, or does not fit together.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Defect {
    /// The file that it is in.
    pub file: PathBuf,
    /// What kind of defect it is.
    pub kind: DefectKind,
    /// The sequences that cannot be read because of it, if that is known.
    pub sequences: Option<Range<u64>>,
    /// Where exactly, and what is wrong.
    pub detail: String,
}

/// The kinds of [`Defect`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DefectKind {
    /// A file or table cannot be read at all.
    Unreadable,
    /// A stored value is not what was written.
    Checksum,
    /// A value is as it was written, and yet does not decode.
    Undecodable,
    /// Entries are not there.
    Missing,
    /// An index and the blocks disagree.
    Index,
    /// A segment is not what is registered of it.
    Registration,
    /// A file that nobody knows; whoever seals next removes it.
    Stray,
    /// Names and what uses them disagree.
    Name,
    /// Runs and what they recorded disagree.
    Run,
    /// What the journal says of its extent or of a cursor cannot be.
    Extent,
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

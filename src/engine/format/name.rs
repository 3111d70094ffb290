//! Kinds of names, and their greatest lengths.

/// Kind of a name. The number is stored.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum NameKind {
    Model = 1,
    Symbol = 2,
    Action = 3,
    Checkpoint = 4,
    /// The labels of a list of probabilities, joined by [`LABEL_SEPARATOR`].
    Labels = 5,
    Component = 6,
    /// Name of a named value of an outcome.
    OutcomeName = 7,
}

/// Joins labels into one name; a label that contains it is written out instead.
pub(crate) const LABEL_SEPARATOR: char = '\u{1f}';

/// A longer name is written out in its row: a table of long texts is of no use.
pub(crate) const LONGEST_NAME: usize = 255;

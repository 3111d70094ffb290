//! Errors of choosing columns.

/// A column was asked for that batches do not have.
#[derive(thiserror::Error, Clone, Debug, PartialEq, Eq)]
#[error("no column {name:?}: there are {}", known.join(", "))]
pub struct UnknownColumn {
    /// The name.
    pub name: String,
    /// The columns that there are, with the parts that were asked for.
    pub known: Vec<&'static str>,
}

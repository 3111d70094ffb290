//! A file that the registry leaves as it is.

use std::path::PathBuf;

/// Something on disk that does not fit the registry, and was left as it is.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Problem {
    /// The file.
    pub path: PathBuf,
    /// The reason why it is invalid.
    pub why: String,
}

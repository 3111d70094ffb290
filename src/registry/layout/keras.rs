//! Keras and TensorFlow: `.keras`, `.h5`, `.weights.h5`, `.index` with `.data-…`, and folders with
//! `saved_model.pb`.

use std::collections::BTreeSet;
use std::path::Path;

use super::{FoundCheckpoint, Listing, take};

/// The file that leads a SavedModel.
pub(super) const LEAD: &str = "saved_model.pb";

/// Whether a folder is a SavedModel.
pub(super) fn is_saved_model(listing: &Listing) -> bool {
    listing.files.contains(LEAD)
}

/// Takes the parts of `file`, if it is one of an index and its data, out of `files`; gives the
/// name that they share.
pub(super) fn index_and_data(
    folder: &Path,
    file: &str,
    files: &mut BTreeSet<String>,
    found: &mut FoundCheckpoint,
) -> Option<String> {
    if let Some(prefix) = file.strip_suffix(".index") {
        let data = format!("{prefix}.data-");
        let rest = take(files, |other| other.starts_with(&data));
        if rest.is_empty() {
            found.fault = Some(format!("{data}… is missing"));
        }
        found.parts = rest;
        return Some(prefix.to_owned());
    }
    // Data comes with its index, which sorts behind it.
    let (prefix, _) = file.split_once(".data-")?;
    let index = format!("{prefix}.index");
    if !files.remove(&index) {
        return None;
    }
    let data = format!("{prefix}.data-");
    let rest = take(files, |other| other.starts_with(&data));
    found.file = folder.join(index);
    found.parts = std::iter::once(file.to_owned()).chain(rest).collect();
    Some(prefix.to_owned())
}

/// The name of a file of weights without the part that marks it as one.
pub(super) fn stem(file: &str) -> Option<&str> {
    let stem = file.strip_suffix(".weights.h5")?;
    Some(if stem.is_empty() { ".weights" } else { stem })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_named_without_their_ending() {
        assert_eq!(stem("cp-0001.weights.h5"), Some("cp-0001"));
        assert_eq!(stem(".weights.h5"), Some(".weights"));
        assert_eq!(stem("best.h5"), None);
    }
}

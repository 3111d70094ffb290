//! Names that become names of files: refused ones, and those that are spelt differently on disk.

use std::path::{Path, PathBuf};

use crate::entry::error::Result;
use crate::entry::name::{check_word, refused};

/// Bytes that a model's name may have: its ids have to fit into a file's name.
pub(crate) const LONGEST_MODEL: usize = 160;
/// Longer names are cut short on disk, and told apart by their digest.
const LONGEST_SPELLING: usize = 64;

/// The folder of all checkpoints below the journal's directory.
pub(crate) const FOLDER: &str = "checkpoints";
/// Suffix of a file that is being written.
pub(crate) const PARTIAL: &str = ".partial";
pub(crate) const SIDECAR: &str = ".json";

/// Refuses a text that cannot be a model's name.
pub(crate) fn check_model(name: &str) -> Result<()> {
    if name.len() > LONGEST_MODEL {
        return Err(refused("model name", name, "it is longer than 160 bytes"));
    }
    if name.contains(['/', '\\']) {
        return Err(refused("model name", name, "it contains a path separator"));
    }
    if name.chars().all(|c| c == '.') && !name.is_empty() {
        return Err(refused("model name", name, "it is all dots"));
    }
    check_word("model name", name)
}

/// Refuses a text that cannot end the name of a file of weights.
pub(crate) fn check_extension(extension: &str) -> Result<()> {
    let plain = extension
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if !plain || extension.is_empty() || extension.len() > 16 {
        let why = "give 1 to 16 lower-case letters and digits";
        return Err(refused("extension", extension, why));
    }
    if [SIDECAR, PARTIAL]
        .iter()
        .any(|taken| taken[1..] == *extension)
    {
        return Err(refused(
            "extension",
            extension,
            "the registry needs it itself",
        ));
    }
    Ok(())
}

/// How a model's name is spelt on disk. Names of small letters, digits, `_`, `-` and inner dots
/// stay as they are. Any other is made of such characters and its digest, so that names that
/// differ in case only, or that a system reserves, have folders of their own everywhere.
pub(crate) fn spelling(name: &str) -> String {
    // No capital letters: some file systems do not tell them from small ones.
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-.".contains(c);
    let kept = name.len() <= LONGEST_SPELLING
        && name.chars().all(plain)
        // A dot hides the file, and a dash makes it look like an option.
        && !name.starts_with(['.', '-'])
        // Windows drops a dot at the end.
        && !name.ends_with('.')
        && !is_reserved(name);
    if kept {
        return name.to_owned();
    }
    let readable: String = name
        .chars()
        .map(|c| {
            if plain(c) || c.is_ascii_uppercase() {
                c
            } else {
                '_'
            }
        })
        .take(LONGEST_SPELLING - 24)
        .collect();
    // Different names of one readable form get different files.
    let digest = blake3::hash(name.as_bytes()).to_hex();
    format!("{}~{}", readable.replace('.', "_"), &digest[..16])
}

/// Names that Windows keeps for devices, with or without an extension.
fn is_reserved(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name);
    let device = |prefix| {
        let number: Option<&str> = stem.strip_prefix(prefix);
        number.is_some_and(|n| n.len() == 1 && n.bytes().all(|b| b.is_ascii_digit()))
    };
    ["con", "prn", "aux", "nul"].contains(&stem) || device("com") || device("lpt")
}

/// The folder of a model's checkpoints.
pub(crate) fn folder(root: &Path, model: &str) -> PathBuf {
    root.join(FOLDER).join(spelling(model))
}

/// How an id of `model` is spelt on disk, without extension. Ids that the registry gave begin with
/// the model's name; others were taken from files' names.
pub(crate) fn stem(model: &str, id: &str) -> String {
    match id.strip_prefix(model) {
        Some(rest) if is_stamp(rest) => format!("{}{rest}", spelling(model)),
        _ => spelling(id),
    }
}

/// `_YYYYMMDD_HHMMSS`, perhaps with a number behind it.
fn is_stamp(rest: &str) -> bool {
    let mut parts = rest.split('_');
    let digits = |part: Option<&str>, length: usize| {
        part.is_some_and(|p| p.len() == length && p.bytes().all(|b| b.is_ascii_digit()))
    };
    parts.next() == Some("")
        && digits(parts.next(), 8)
        && digits(parts.next(), 6)
        && parts
            .next()
            .is_none_or(|p| p.len() <= 9 && p.bytes().all(|b| b.is_ascii_digit()))
        && parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::error::Error;
    use proptest::prelude::*;

    #[test]
    fn plain_names_stay_and_others_are_told_apart() {
        for name in ["dqn_agent", "enhanced-cnn", "v1.2", "7", "a"] {
            assert_eq!(spelling(name), name);
        }
        let odd = [
            "DQN", "dqn", "Dqn", "con", "CON", "nul.txt", "com1", "-x", ".x", "x.", "ü", "a b",
        ];
        let mut spelt: Vec<String> = odd.iter().map(|n| spelling(n).to_lowercase()).collect();
        spelt.sort();
        spelt.dedup();
        assert_eq!(spelt.len(), odd.len(), "{spelt:?}");
    }

    #[test]
    fn path_tricks_are_refused() {
        let long = "x".repeat(10_240);
        for name in [
            "", ".", "..", "../x", "a/b", "a\\b", "a\0b", "a\nb", "\u{1b}", &long,
        ] {
            let error = check_model(name);
            assert!(matches!(error, Err(Error::InvalidName { .. })), "{name:?}");
            let said = error.map_or_else(|error| error.to_string(), |()| String::new());
            assert!(
                said.len() < 1_000 && !said.contains(['\0', '\n']),
                "{said:?}"
            );
        }
    }

    proptest! {
        /// Every name becomes one harmless component of a path.
        #[test]
        fn a_spelling_is_a_file_name(name in ".{1,200}") {
            let spelt = spelling(&name);
            prop_assert!(spelt.len() <= LONGEST_SPELLING);
            prop_assert!(spelt.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.~".contains(&b)));
            prop_assert!(!spelt.starts_with('.') && !spelt.ends_with('.'));
            prop_assert_eq!(spelling(&spelt) == spelt, spelt == name);
        }
    }
}

//! Any other file of weights: one checkpoint, or the first of its shards.

use std::collections::BTreeSet;
use std::path::Path;

use super::super::safetensors;
use super::super::tables::rows::MOST_PARTS;
use super::lightning::LoggerFiles;
use super::{FolderContents, FoundCheckpoint, keras, names, take};

/// Files of weights that are checkpoints by themselves, or with their shards.
pub(super) fn find(
    root: &Path,
    folder: &Path,
    mut files: BTreeSet<String>,
    layout: &mut FolderContents,
) {
    let mut beside: Option<LoggerFiles> = None;
    while let Some(file) = files.pop_first() {
        let path = folder.join(&file);
        if !is_weights(&file, &path) {
            layout.others += 1;
            continue;
        }
        let mut found = FoundCheckpoint {
            file: path.clone(),
            ..FoundCheckpoint::default()
        };
        let mut stem = stem(&file).to_owned();
        if let Some((prefix, _, of)) = is_shard(&file) {
            let is_other =
                |other: &str| is_shard(other).is_some_and(|(p, _, n)| p == prefix && n == of);
            let rest = take(&mut files, is_other);
            let there = rest.len() + 1;
            if u64::try_from(there) != Ok(of) {
                found.fault = Some(format!("{there} of {of} shards are there"));
            }
            found.parts = rest;
            stem = prefix.trim_end_matches(['-', '.']).to_owned();
        } else if let Some(prefix) = keras::index_and_data(folder, &file, &mut files, &mut found) {
            stem = prefix;
        }
        if found.parts.len() > MOST_PARTS {
            layout.skip(path, format!("it has more than {MOST_PARTS} files"));
            continue;
        }
        found.names = names(root, folder, &stem);
        if stem != file {
            found.names.push(file.clone());
        }
        found.metadata = safetensors::metadata(&path);
        let beside = beside.get_or_insert_with(|| LoggerFiles::read(root, folder));
        beside.describe(&file, &stem, &mut found);
        layout.found.push(found);
    }
}

/// A file's name without the part that marks it as a file of weights.
fn stem(file: &str) -> &str {
    let plain = || Path::new(file).file_stem().and_then(|stem| stem.to_str());
    keras::stem(file).or_else(plain).unwrap_or(file)
}

/// `prefix-00001-of-00003.ext`: the prefix, which one it is, and how many there are.
pub(super) fn is_shard(file: &str) -> Option<(&str, u64, u64)> {
    let (stem, _) = file.rsplit_once('.')?;
    let (head, of) = stem.rsplit_once("-of-")?;
    let (prefix, number) = head.rsplit_once('-')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(number) || !digits(of) || prefix.is_empty() {
        return None;
    }
    Some((prefix, number.parse().ok()?, of.parse().ok()?))
}

/// Files that are no weights, by what their names end in.
const NO_WEIGHTS: [&str; 12] = [
    "json", "partial", "txt", "md", "log", "csv", "yaml", "yml", "toml", "lock", "tmp", "py",
];

/// Whether the extension is none of files that never hold weights.
pub(crate) fn may_be_weights(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    let extension = extension.unwrap_or_default().to_lowercase();
    !NO_WEIGHTS.contains(&extension.as_str())
}

/// Files that accompany weights, by their names.
fn is_weights(file: &str, path: &Path) -> bool {
    const NEVER: [&str; 26] = [
        "png",
        "jpg",
        "jpeg",
        "svg",
        "gif",
        "pdf",
        "html",
        "ipynb",
        "sh",
        "db",
        "sqlite",
        "ini",
        "cfg",
        "conf",
        "jsonl",
        "parquet",
        "tsv",
        "out",
        "err",
        "pid",
        "xml",
        "rst",
        "jinja",
        "gitattributes",
        "model_card",
        "tmp",
    ];
    let extension = path.extension().and_then(|extension| extension.to_str());
    let extension = extension.unwrap_or_default().to_lowercase();
    let upper = file.to_uppercase();
    let is_text = ["LICENSE", "README", "NOTICE", "COMMIT_SUCCESS"];
    let is_log = file.starts_with("events.out.tfevents");
    let is_state = file == "checkpoint" || file.ends_with(".tfevents");
    may_be_weights(path)
        && !NEVER.contains(&extension.as_str())
        && !is_text
            .iter()
            .any(|word| upper.starts_with(word) && extension.len() < 4)
        && !is_log
        && !is_state
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_tell_shards() {
        assert_eq!(is_shard("m-00001-of-00003.safetensors"), Some(("m", 1, 3)));
        assert_eq!(is_shard("m-1.safetensors"), None);
        assert_eq!((stem("a.b.pt"), stem("x")), ("a.b", "x"));
    }
}

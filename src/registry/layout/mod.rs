//! Folders of checkpoints as training libraries lay them out: which files are one checkpoint, and
//! the facts in the files beside them.
//!
//! One file for each library: `hugging_face`, `lightning`, `keras`, `orbax`. `plain` is any other
//! file of weights, `whole` a folder that is one checkpoint, `words` the texts beside weights.

mod hugging_face;
mod keras;
mod lightning;
mod orbax;
pub(super) mod plain;
mod whole;
mod words;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{fs, io};

use super::metadata::Metadata;
use super::problem::Problem;
use crate::engine::directory::HOT_FILE;
use crate::entry::timestamp::Timestamp;

/// Folders within folders that are looked into.
const DEEPEST: usize = 16;
/// Bound on the names that one import examines.
const MOST_NAMES: usize = 1_000_000;

/// One checkpoint that was found.
#[derive(Debug, Default)]
pub(super) struct FoundCheckpoint {
    /// Candidates for its id: the first free one is taken.
    pub(super) names: Vec<String>,
    /// The first file: weights, or what leads to the parts.
    pub(super) file: PathBuf,
    /// Further files, relative to the first one's folder.
    pub(super) parts: Vec<String>,
    /// Why the weights are incomplete, if they are.
    pub(super) fault: Option<String>,
    /// The weights are gone, and only the files beside them are left.
    pub(super) missing: bool,
    pub(super) created: Option<Timestamp>,
    pub(super) metrics: Vec<(String, f64)>,
    pub(super) metadata: Vec<(String, Metadata)>,
    pub(super) step: Option<u64>,
    pub(super) epoch: Option<u64>,
}

/// Everything that a folder holds.
#[derive(Debug, Default)]
pub(super) struct FolderContents {
    pub(super) found: Vec<FoundCheckpoint>,
    pub(super) skipped: Vec<Problem>,
    /// Files that are no weights.
    pub(super) others: u64,
    seen: usize,
}

/// Looks through `root`, which exists.
pub(super) fn find(root: &Path) -> io::Result<FolderContents> {
    let mut layout = FolderContents::default();
    look(root, root, 0, &mut layout)?;
    Ok(layout)
}

/// Content of one folder, by name.
#[derive(Default)]
struct Listing {
    files: BTreeSet<String>,
    folders: BTreeSet<String>,
}

impl FolderContents {
    fn skip(&mut self, path: PathBuf, why: impl Into<String>) {
        self.skipped.push(Problem {
            path,
            why: why.into(),
        });
    }

    fn list(&mut self, folder: &Path) -> io::Result<Listing> {
        let mut listing = Listing::default();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            self.seen += 1;
            if self.seen > MOST_NAMES {
                let why = format!("more than {MOST_NAMES} names: import its folders one by one");
                return Err(io::Error::other(why));
            }
            let Ok(name) = entry.file_name().into_string() else {
                self.skip(entry.path(), "its name is no UTF-8");
                continue;
            };
            // Hidden names are those of tools: caches, locks, histories of versions.
            if name.starts_with('.') {
                continue;
            }
            let path = entry.path();
            let is_link = entry.file_type()?.is_symlink();
            match fs::metadata(&path) {
                Ok(known) if known.is_file() => drop(listing.files.insert(name)),
                // A link to a folder can lead round in circles.
                Ok(known) if known.is_dir() && is_link => {
                    self.skip(path, "a link to a folder is not followed");
                }
                Ok(known) if known.is_dir() => drop(listing.folders.insert(name)),
                Ok(_) => self.skip(path, "it is no regular file"),
                Err(error) if is_link && error.kind() == io::ErrorKind::NotFound => {
                    self.skip(path, "it is a link to nothing");
                }
                Err(error) => self.skip(path, error.to_string()),
            }
        }
        Ok(listing)
    }
}

fn look(root: &Path, folder: &Path, depth: usize, layout: &mut FolderContents) -> io::Result<()> {
    let listing = match layout.list(folder) {
        Ok(listing) => listing,
        // An inner folder that cannot be read costs itself. The one that was asked for is an error.
        Err(error) if depth > 0 && error.kind() == io::ErrorKind::PermissionDenied => {
            layout.skip(folder.to_owned(), error.to_string());
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let name = folder
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    if depth > 0 && orbax::is_unfinished(name) {
        layout.skip(folder.to_owned(), "its saver did not finish it");
        return Ok(());
    }
    if depth > 0 && listing.files.contains(HOT_FILE) {
        layout.skip(
            folder.to_owned(),
            "it is a journal, with checkpoints of its own",
        );
        return Ok(());
    }
    if let Some(kind) = whole::kind(folder, &listing) {
        return whole::find(root, folder, kind, layout);
    }
    let mut files = listing.files.clone();
    // It takes its files out of the list, so that `plain` does not find them once more.
    if let Some(found) = hugging_face::find(root, folder, &mut files, layout) {
        layout.found.push(found);
    }
    plain::find(root, folder, files, layout);
    for name in &listing.folders {
        let path = folder.join(name);
        if depth + 1 >= DEEPEST {
            layout.skip(path, format!("it lies deeper than {DEEPEST} folders"));
        } else if listing.files.contains(hugging_face::TRAINER_STATE)
            && name.starts_with("global_step")
        {
            layout.skip(path, "it is the state of an optimizer");
        } else {
            look(root, &path, depth + 1, layout)?;
        }
    }
    Ok(())
}

/// Ids that a checkpoint in `folder` may have, the shortest first.
fn names(root: &Path, folder: &Path, first: &str) -> Vec<String> {
    let mut names = vec![first.to_owned()];
    let mut above: Vec<&str> = folder
        .strip_prefix(root)
        .map(|path| path.iter().filter_map(|name| name.to_str()).collect())
        .unwrap_or_default();
    // A file in a folder of its own name has that name once.
    if above.last() == Some(&first) {
        above.pop();
    }
    above.retain(|name| *name != "checkpoints");
    if !above.is_empty() {
        names.push(format!("{}_{first}", above.join("_")));
    }
    names
}

/// The number that a name ends in.
fn trailing_number(name: &str) -> Option<u64> {
    let digits = name.bytes().rev().take_while(u8::is_ascii_digit).count();
    name.get(name.len() - digits..)?.parse().ok()
}

/// Takes those files out that belong together.
fn take(files: &mut BTreeSet<String>, belongs: impl Fn(&str) -> bool) -> Vec<String> {
    let all = std::mem::take(files).into_iter();
    let (taken, left): (BTreeSet<_>, _) = all.partition(|file| belongs(file));
    *files = left;
    taken.into_iter().collect()
}

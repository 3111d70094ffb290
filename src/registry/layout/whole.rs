//! Folders that are one checkpoint with everything in them.

use std::io;
use std::path::Path;

use super::super::tables::rows::{DEEPEST_PART, MOST_PARTS};
use super::{FolderContents, FoundCheckpoint, Listing, keras, names, orbax, trailing_number};

/// Kinds of such folders.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum FolderKind {
    Orbax,
    SavedModel,
}

/// The kind of `folder`, if it is one checkpoint.
pub(super) fn kind(folder: &Path, listing: &Listing) -> Option<FolderKind> {
    if orbax::is_step(folder, listing) {
        return Some(FolderKind::Orbax);
    }
    keras::is_saved_model(listing).then_some(FolderKind::SavedModel)
}

/// Takes everything in `folder` as one checkpoint.
pub(super) fn find(
    root: &Path,
    folder: &Path,
    kind: FolderKind,
    layout: &mut FolderContents,
) -> io::Result<()> {
    let mut files = Vec::new();
    if let Err(why) = gather(folder, "", 0, &mut files, layout)? {
        layout.skip(folder.to_owned(), why);
        return Ok(());
    }
    files.sort();
    let leads: &[&str] = match kind {
        FolderKind::Orbax => &orbax::LEADS,
        FolderKind::SavedModel => &[keras::LEAD],
    };
    let lead = leads
        .iter()
        .find(|lead| files.iter().any(|file| file == *lead));
    let Some(lead) = lead
        .map(|lead| (*lead).to_owned())
        .or_else(|| files.first().cloned())
    else {
        return Ok(());
    };
    files.retain(|file| *file != lead);
    let name = folder
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or("checkpoint");
    let step = trailing_number(name);
    let is_number = name.bytes().all(|byte| byte.is_ascii_digit());
    let first = if is_number {
        format!("step_{name}")
    } else {
        name.to_owned()
    };
    let mut found = FoundCheckpoint {
        names: names(root, folder, &first),
        file: folder.join(&lead),
        parts: files,
        step: step.filter(|_| kind == FolderKind::Orbax),
        ..FoundCheckpoint::default()
    };
    if kind == FolderKind::Orbax {
        orbax::describe(folder, &mut found);
    }
    if found.fault.is_none() || found.missing {
        layout.found.push(found);
    } else if let Some(why) = found.fault {
        layout.skip(folder.to_owned(), why);
    }
    Ok(())
}

/// All regular files below `folder`, as paths below it. The inner error has the reason why they are
/// no checkpoint.
fn gather(
    folder: &Path,
    above: &str,
    depth: usize,
    files: &mut Vec<String>,
    layout: &mut FolderContents,
) -> io::Result<Result<(), String>> {
    if depth >= DEEPEST_PART {
        return Ok(Err(format!(
            "it has files deeper than {DEEPEST_PART} folders"
        )));
    }
    let listing = layout.list(folder)?;
    for name in listing.files {
        files.push(format!("{above}{name}"));
        if files.len() > MOST_PARTS {
            return Ok(Err(format!("it has more than {MOST_PARTS} files")));
        }
    }
    for name in listing.folders {
        if orbax::is_unfinished(&name) {
            return Ok(Err("its saver did not finish it".to_owned()));
        }
        let inner = format!("{above}{name}/");
        let gathered = gather(&folder.join(&name), &inner, depth + 1, files, layout)?;
        if gathered.is_err() {
            return Ok(gathered);
        }
    }
    Ok(Ok(()))
}

//! Files of kept inputs: rows of bytes that are gone are shortened, and rows that are gone are made
//! of the files.

use std::fs;

use super::Mended;
use super::quarantine::quarantine;
use crate::engine::directory::Directory;
use crate::engine::inputs::rows::{self, FileState, InputFile, InputFileRow};
use crate::engine::inputs::{first_of, path_of, read};
use crate::engine::kv::{Kv, WriteFailure};
use crate::engine::meta::Identity;
use crate::entry::error::Result;
use crate::entry::sequence::Sequence;
use crate::fs::disk;
use crate::options::Sharing;

/// The rows whose bytes are all there. A file that lost some is set aside, as it is.
pub(super) fn mended(
    directory: &Directory,
    identity: &Identity,
    files: Vec<InputFile>,
    mended: &mut Mended,
) -> Result<Vec<InputFile>> {
    let mut right = Vec::with_capacity(files.len());
    for (first, row) in files {
        let readable = read::check(directory, identity, &(first, row));
        if let Some(defect) = readable.defect {
            mended
                .incomplete
                .push(format!("inputs from {first}: {defect}"));
            let path = path_of(directory, first);
            if disk::is_file_inside(directory.path(), &path) {
                mended.set_aside.push(quarantine(directory, &path)?);
            }
        }
        let removed = InputFileRow {
            state: FileState::Removed,
            ..row
        };
        right.push((first, readable.row.unwrap_or(removed)));
    }
    Ok(right)
}

/// Rows for the files that `known` lacks; `end` is the end of the journal.
pub(super) fn found(
    directory: &Directory,
    identity: &Identity,
    known: &[InputFile],
    end: Sequence,
) -> Vec<InputFile> {
    let folder = directory.inputs();
    let is_inside = disk::is_directory_inside(directory.path(), &folder);
    let entries = is_inside.then(|| fs::read_dir(&folder).into_iter().flatten().flatten());
    let mut files = Vec::new();
    for entry in entries.into_iter().flatten() {
        let Some(first) = entry.file_name().to_str().and_then(first_of) else {
            continue;
        };
        if known.iter().any(|(known, _)| *known == first) {
            continue;
        }
        let row = read::whole(directory, identity, first, end);
        files.extend(row.map(|row| (first, row)));
    }
    files.sort_unstable_by_key(|(first, _)| *first);
    files
}

/// The same in a hot file that is not written anew.
pub(super) fn mend(directory: &Directory, identity: &Identity, mended: &mut Mended) -> Result<()> {
    let path = directory.hot_file();
    // Opening for writing changes a file that is whole.
    let kv = Kv::open_read_only(&path, Sharing::native(), super::CACHE_BYTES)?;
    let files = kv.read(|snapshot| rows::list(snapshot, &path))?;
    drop(kv);
    let right = self::mended(directory, identity, files.clone(), mended)?;
    if right == files {
        return Ok(());
    }
    let kv = Kv::open(&path, Sharing::native(), super::CACHE_BYTES)?;
    kv.write(|transaction| {
        let mut changed = files.iter().zip(&right).filter(|(old, new)| old != new);
        changed.try_for_each(|(_, (first, row))| rows::put(transaction, *first, row))
    })
    .map_err(WriteFailure::into_error)?;
    mended.changed.push(path);
    Ok(())
}

//! Copies of the files of kept inputs: as much of each as its row counts.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use crate::engine::directory::Directory;
use crate::engine::inputs::rows::{self, FileState, InputFile};
use crate::engine::inputs::{file_name, first_of, read};
use crate::engine::kv::{Kv, WriteFailure};
use crate::engine::meta::Identity;
use crate::entry::error::{Error, Result};
use crate::fs::disk::{self, Below, NewFile};
use crate::options::Sharing;

/// Memory for cached pages of a copy's hot file.
const CACHE_BYTES: usize = 1 << 20;

/// Files of inputs that a copy does not have as their rows say.
#[derive(Default)]
pub(super) struct NotCopied {
    /// The names of those that are not whole in the original.
    pub(super) lacking: Vec<String>,
    /// Those that the original may have removed since the snapshot.
    pub(super) gone: Vec<InputFile>,
}

/// Copies what `to` lacks.
pub(super) fn copy(
    from: &Directory,
    to: &Directory,
    identity: &Identity,
    files: &[InputFile],
) -> Result<NotCopied> {
    let mut not_copied = NotCopied::default();
    let folder = to.inputs();
    for file in files
        .iter()
        .filter(|(_, row)| row.state != FileState::Removed)
    {
        disk::create_directory(&folder).map_err(|error| Error::io("create", &folder, error))?;
        let name = file_name(file.0);
        // A file is only ever appended to, so an equal length is an equal file. All of it is
        // verified later.
        let path = folder.join(&name);
        let known = fs::symlink_metadata(&path);
        if known.is_ok_and(|found| found.is_file() && found.len() == file.1.length) {
            continue;
        }
        match copy_file(from, &path, &name, file.1.length) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                not_copied.gone.push(*file);
                continue;
            }
            copied => copied.map_err(|error| Error::io("copy", &path, error))?,
        }
        if read::check(to, identity, file).defect.is_some() {
            if read::check(from, identity, file).defect.is_none() {
                let detail = format!("inputs/{name}: the copy is not as the original");
                return Err(Error::Corrupt { path, detail });
            }
            not_copied.lacking.push(name);
        }
    }
    Ok(not_copied)
}

impl NotCopied {
    /// Tells files that were removed from those that are missing, by the rows that the original has
    /// `now`. Inputs of the former read as removed in the copy, whose hot file this is.
    pub(super) fn settle(mut self, hot: &Path, now: &[InputFile]) -> Result<Vec<String>> {
        let is_removed = |first| {
            let row = now.iter().find(|(known, _)| *known == first);
            row.is_none_or(|(_, row)| row.state == FileState::Removed)
        };
        let (removed, missing): (Vec<_>, Vec<_>) = self
            .gone
            .into_iter()
            .partition(|(first, _)| is_removed(*first));
        let missing = missing.into_iter().map(|(first, _)| file_name(first));
        self.lacking.extend(missing);
        if !removed.is_empty() {
            let kv = Kv::open(hot, Sharing::native(), CACHE_BYTES)?;
            kv.write(|transaction| {
                removed.into_iter().try_for_each(|(first, mut row)| {
                    row.state = FileState::Removed;
                    rows::put(transaction, first, &row)
                })
            })
            .map_err(WriteFailure::into_error)?;
        }
        Ok(self.lacking)
    }
}

fn copy_file(from: &Directory, to: &Path, name: &str, length: u64) -> io::Result<()> {
    let below = Below::new(name).map_err(io::Error::other)?;
    let mut source = below.open(&from.inputs())?.take(length);
    let mut target = NewFile::begin(&to.with_extension("new"))?;
    io::copy(&mut source, &mut target)?;
    target.finish(to)
}

/// Removes files that an earlier copy had and this one does not.
pub(super) fn remove_others(to: &Directory, files: &[InputFile]) -> Result<()> {
    let folder = to.inputs();
    if !disk::is_directory_inside(to.path(), &folder) {
        return Ok(());
    }
    for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
        let first = entry.file_name().to_str().and_then(first_of);
        let is_of_copy = |first| {
            let mut files = files.iter();
            files.any(|(known, row)| *known == first && row.state != FileState::Removed)
        };
        if first.is_some_and(|first| !is_of_copy(first)) {
            let path = entry.path();
            disk::remove(&path).map_err(|error| Error::io("remove", &path, error))?;
        }
    }
    Ok(())
}

//! Copies of the files of kept inputs: as much of each as its row counts.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use crate::engine::directory::Directory;
use crate::engine::inputs::rows::{FileState, InputFile};
use crate::engine::inputs::{file_name, first_of, read};
use crate::engine::meta::Identity;
use crate::entry::error::{Error, Result};
use crate::fs::disk::{self, Below, NewFile};

/// Copies what `to` lacks; returns the names of files that are not whole in the original.
pub(super) fn copy(
    from: &Directory,
    to: &Directory,
    identity: &Identity,
    files: &[InputFile],
) -> Result<Vec<String>> {
    let mut lacking = Vec::new();
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
            // It was removed in the meantime, or is not there at all.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            copied => copied.map_err(|error| Error::io("copy", &path, error))?,
        }
        if read::check(to, identity, file).defect.is_some() {
            if read::check(from, identity, file).defect.is_none() {
                let detail = format!("inputs/{name}: the copy is not as the original");
                return Err(Error::Corrupt { path, detail });
            }
            lacking.push(name);
        }
    }
    Ok(lacking)
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

//! Weights in backups: those that lie elsewhere are copied beside the others, and a journal that is
//! restored has them there.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use super::files;
use super::files::Hashing;
use super::tables::look::RegistryView;
use super::tables::rows::{CheckpointRow, Condition, Origin, WeightsPart};
use super::tables::{ChangeFailure, Checkpoints, names};
use super::{checkpoint, load};
use crate::entry::error::{Error, Result};
use crate::fs::disk;
use crate::fs::disk::Below;

/// Suffix of the folder that holds copies of a registered checkpoint's files.
const COPIES: &str = ".registered";
/// Changes in one transaction: it has to stay short.
const SLICE: usize = 250;

/// State of the weights in a copy of a registry.
#[derive(Debug, Default)]
pub(crate) struct CopiedWeights {
    pub(crate) files: usize,
    /// Ids whose weights the copy lacks, and the reasons.
    pub(crate) lacking: Vec<(String, String)>,
}

fn rows(store: &Checkpoints) -> Result<Vec<(String, CheckpointRow)>> {
    store.read(|view| {
        let mut found = Vec::new();
        for (model, _) in view.models()? {
            found.extend(view.of_model(&model)?);
        }
        Ok(found)
    })
}

/// Where the copy of a registered checkpoint's first file lies, below the folder of all
/// checkpoints.
fn place(id: &str, row: &CheckpointRow) -> Option<String> {
    let file = Path::new(&row.file).file_name()?.to_str()?;
    let (model, stem) = (names::spelling(&row.model), names::stem(&row.model, id));
    let place = format!("{model}/{stem}{COPIES}/{file}");
    Below::new(&place).is_ok().then_some(place)
}

/// Copies the files of registered checkpoints into the backup `store`, and returns the weights that
/// it lacks. The files that the registry wrote are there already.
pub(crate) fn into_backup(store: &Checkpoints) -> Result<CopiedWeights> {
    let root: Arc<Path> = store.root().into();
    let mut copied = CopiedWeights::default();
    for (id, row) in rows(store)? {
        let outcome = match row.origin {
            // Only these lie outside of the journal's folder; the others were copied with it.
            Origin::Registered => copy_one(&root, &id, &row, &mut copied.files)?,
            _ => whole(&root, &row),
        };
        if let Err(why) = outcome {
            copied.lacking.push((id, why));
        }
    }
    Ok(copied)
}

/// Whether all files are at the places in the row, by their sizes.
fn whole(root: &Arc<Path>, row: &CheckpointRow) -> Result<(), String> {
    let found = checkpoint::metadata(root, row).map_err(|error| error.to_string())?;
    if !found.is_file() || found.len() != row.first_bytes() {
        return Err(load::other_size(found.len(), row.first_bytes()));
    }
    for part in &row.parts {
        let found = checkpoint::open_part(root, row, part).and_then(|file| file.metadata());
        let found = found.map_err(|error| format!("{}: {error}", part.file))?;
        if found.len() != part.bytes {
            return Err(format!(
                "{}: {}",
                part.file,
                load::other_size(found.len(), part.bytes)
            ));
        }
    }
    Ok(())
}

/// Copies one registered checkpoint. The inner error has the reason why the backup lacks it.
fn copy_one(
    root: &Arc<Path>,
    id: &str,
    row: &CheckpointRow,
    files: &mut usize,
) -> Result<Result<(), String>> {
    let Some(place) = place(id, row) else {
        return Ok(Err(format!("{:?} is no name for a copy", row.file)));
    };
    let Some(digest) = row.digest else {
        return Ok(Err(format!(
            "{} is missing, or was never read yet",
            row.file
        )));
    };
    let first = WeightsPart {
        file: String::new(),
        bytes: row.first_bytes(),
        digest,
    };
    let lead = root.join(names::FOLDER).join(&place);
    let folder = lead.parent().unwrap_or(root).to_owned();
    for part in std::iter::once(&first).chain(&row.parts) {
        let (to, opened) = if part.file.is_empty() {
            (lead.clone(), checkpoint::open(root, row))
        } else {
            (
                folder.join(&part.file),
                checkpoint::open_part(root, row, part),
            )
        };
        let shown = if part.file.is_empty() {
            &row.file
        } else {
            &part.file
        };
        // Weights are never written again.
        let known = fs::symlink_metadata(&to).ok().filter(fs::Metadata::is_file);
        if known.is_some_and(|known| known.len() == part.bytes) {
            continue;
        }
        let mut from = match opened {
            Ok(from) => from,
            Err(error) => return Ok(Err(format!("{shown}: {error}"))),
        };
        let writing = |error| Error::io("copy", &to, error);
        let above = to.parent().unwrap_or(root);
        disk::create_directory(above).map_err(writing)?;
        // No link in the backup leads the copy out of it.
        disk::inside(root, above).map_err(writing)?;
        let partial = above.join(format!(".copy{}", names::PARTIAL));
        disk::remove(&partial).map_err(writing)?;
        let mut out = Hashing::new(files::create(&partial).map_err(writing)?);
        // One byte more than expected shows a file that has grown, and a file without an end fills
        // no disk.
        let limited = &mut io::Read::take(&mut from, part.bytes.saturating_add(1));
        let written = files::copy(limited, &mut out).and_then(|()| out.flush());
        let found = out.fingerprint();
        if let Err(error) = written {
            let _ = files::remove(&partial);
            return Err(writing(error));
        }
        if found.bytes != part.bytes || found.digest != part.digest {
            let _ = files::remove(&partial);
            return Ok(Err(format!("{shown} is not what was registered")));
        }
        let opened = fs::File::open(&partial).map_err(writing)?;
        disk::sync(&opened, &partial).map_err(writing)?;
        disk::remove(&to).map_err(writing)?;
        disk::rename(&partial, &to).map_err(writing)?;
        files::sync_folder(above)?;
        *files += 1;
    }
    Ok(Ok(()))
}

/// Lets registered checkpoints of a restored journal point to the copies that came along; they are
/// found files of its own from then on. Lists absent weights.
pub(crate) fn after_restore(store: &Checkpoints) -> Result<CopiedWeights> {
    let root: Arc<Path> = store.root().into();
    let mut copied = CopiedWeights::default();
    let mut edits = Vec::new();
    for (id, row) in rows(store)? {
        let mut here = row.clone();
        if row.origin == Origin::Registered
            && let Some(place) = place(&id, &row)
        {
            // Not as saved: the registry removes only files that it wrote itself.
            here.origin = Origin::Found;
            here.file = place;
        }
        match whole(&root, &here) {
            Ok(()) if here.origin != row.origin => edits.push((id, here)),
            Ok(()) => {}
            // The file may still lie where it was registered.
            Err(_) if row.origin == Origin::Registered && whole(&root, &row).is_ok() => {}
            Err(why) => copied.lacking.push((id, why)),
        }
    }
    for slice in edits.chunks(SLICE) {
        let written = store.write(|change| {
            for (id, here) in slice {
                change.edit(id, |row| {
                    row.origin = here.origin;
                    row.file.clone_from(&here.file);
                    row.condition = Condition::Present;
                })?;
            }
            Ok(())
        });
        written.map_err(ChangeFailure::into_error)?;
    }
    Ok(copied)
}

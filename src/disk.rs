//! Files and directories: for their owner only, with names that survive a power cut.
//!
//! All that the store and the registry do to names goes through here.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::path::Path;

use crate::probe::{Call, meet};

/// Opens a new file that only its owner may read; fails if the name is taken.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    meet(path, Call::Create, || private(&mut options).open(path))
}

/// Opens a file that only its owner may read, creating it if it is missing.
pub(crate) fn open_or_create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    private(&mut options).open(path)
}

fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(all(unix, not(annals_portable)))]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options
}

/// Creates a directory with its parents, where they are missing, for its owner only, and makes
/// their names durable.
pub(crate) fn create_directory(path: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = path
        .ancestors()
        .take_while(|above| !above.as_os_str().is_empty() && !above.is_dir())
        .collect();
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(all(unix, not(annals_portable)))]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    // From the top, so that each has a parent.
    for directory in missing.into_iter().rev() {
        meet(directory, Call::CreateDirectory, || {
            builder.create(directory)
        })?;
        let above = match directory.parent() {
            Some(above) if !above.as_os_str().is_empty() => above,
            _ => Path::new("."),
        };
        match sync_directory(above) {
            // Who may make names in a directory need not be able to open it.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            synced => synced?,
        }
    }
    Ok(())
}

/// Makes the names in a directory durable.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    // Only Unix lets a directory be opened; elsewhere its entries are the system's business.
    #[cfg(all(unix, not(annals_portable)))]
    meet(path, Call::SyncDirectory, || File::open(path)?.sync_all())?;
    #[cfg(not(all(unix, not(annals_portable))))]
    let _ = path;
    Ok(())
}

/// Makes a file's contents durable.
pub(crate) fn sync(file: &File, path: &Path) -> io::Result<()> {
    meet(path, Call::Sync, || file.sync_all())
}

/// Gives a file another name, in place of whatever had it.
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    meet(from, Call::Rename(to), || fs::rename(from, to))
}

/// Gives a finished file its name; fails if the name is taken.
pub(crate) fn publish(finished: &Path, name: &Path) -> io::Result<()> {
    let linked = meet(finished, Call::Link(name), || fs::hard_link(finished, name));
    match linked {
        Ok(()) => {
            // It has its name; who tidies up removes the other one.
            let _ = remove(finished);
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        // File systems without hard links: a rename could replace a file that another process
        // creates in this very moment, so look first. See ARCHITECTURE.md.
        Err(_) if !name.exists() => rename(finished, name),
        Err(error) => Err(error),
    }
}

/// Removes a file; one that is not there is removed.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match meet(path, Call::Remove, || fs::remove_file(path)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

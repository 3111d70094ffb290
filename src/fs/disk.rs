//! Files and directories: for their owner only, with names that survive a power cut.
//!
//! All that the store and the registry do to names goes through here. It also holds every opening
//! of a file whose name may come from outside. A journal from elsewhere can hold links that lead
//! out of it, pipes that never answer, and rows that name other people's files.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use super::failpoint::{IoCall, guarded};

/// Opens a new file that only its owner may read; fails if the name is taken.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    guarded(path, IoCall::Create, || private(&mut options).open(path))
}

/// Opens a file that only its owner may read, creating it if it is missing.
pub(crate) fn open_or_create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    open_regular_with(path, private(&mut options))
}

/// Opens a regular file for reading. A link at the end of `path` is refused, and so is everything
/// else that is no regular file; neither is waited for.
pub(crate) fn open_regular(path: &Path) -> io::Result<File> {
    open_regular_with(path, OpenOptions::new().read(true))
}

/// The same with the settings of `options`.
pub(crate) fn open_regular_with(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    // Checked first: opening a device can have consequences. A file that is put there between the
    // two steps is found out by the third.
    match fs::symlink_metadata(path) {
        Ok(found) if !found.is_file() => return Err(no_regular_file(path)),
        _ => {}
    }
    // `O_NOFOLLOW` holds for the last name only. Folders above it are the journal's own, or were
    // checked by `inside`.
    let file = without_waiting(options, true).open(path)?;
    is_regular(file, path)
}

/// Opens the regular file for reading that `path` leads to, through links wherever they lead: for
/// places that the user named. Does not wait for the other end of a pipe.
pub(crate) fn open_regular_anywhere(path: &Path) -> io::Result<File> {
    if !fs::metadata(path)?.is_file() {
        return Err(no_regular_file(path));
    }
    let file = without_waiting(OpenOptions::new().read(true), false).open(path)?;
    is_regular(file, path)
}

/// Reads a small regular file; `None` if it has more than `most` bytes.
pub(crate) fn read_at_most(path: &Path, most: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    // Not by its length, which may grow during the read.
    // One byte more than allowed tells "too long" from "just right".
    let mut file = open_regular(path)?.take(most.saturating_add(1));
    file.read_to_end(&mut bytes)?;
    let fits = u64::try_from(bytes.len()).is_ok_and(|length| length <= most);
    Ok(fits.then_some(bytes))
}

/// Copies the regular file at `from` to a new file, for its owner only, and makes it durable.
/// Fails if the name is taken, also by a link to nowhere.
pub(crate) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let mut source = open_regular(from)?;
    // `create_new`: a link that somebody put there would lead the copy out of the folder.
    let mut target = create(to)?;
    io::copy(&mut source, &mut target)?;
    sync(&target, to)
}

/// Whether an open file has no other name, as far as the system reports it.
pub(crate) fn has_one_name(file: &File) -> bool {
    #[cfg(all(unix, not(annals_portable)))]
    {
        use std::os::unix::fs::MetadataExt;
        file.metadata().is_ok_and(|found| found.nlink() == 1)
    }
    #[cfg(not(all(unix, not(annals_portable))))]
    {
        let _ = file;
        true
    }
}

fn is_regular(file: File, path: &Path) -> io::Result<File> {
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(no_regular_file(path))
    }
}

fn no_regular_file(path: &Path) -> io::Error {
    let path = path.display();
    io::Error::other(NoRegularFile(format!(
        "{path} is no regular file: move it away"
    )))
}

/// The cause of an error that is about something else than a regular file.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct NoRegularFile(String);

/// Whether opening failed because there is something else than a regular file.
pub(crate) fn is_no_regular_file(error: &io::Error) -> bool {
    error
        .get_ref()
        .is_some_and(|cause| cause.is::<NoRegularFile>())
}

#[cfg(all(unix, not(annals_portable)))]
fn without_waiting(options: &mut OpenOptions, refuse_links: bool) -> &mut OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    let links = if refuse_links { libc::O_NOFOLLOW } else { 0 };
    // A pipe would block the opening for ever, and a terminal could become this process's own.
    options.custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | links)
}

#[cfg(not(all(unix, not(annals_portable))))]
fn without_waiting(options: &mut OpenOptions, _refuse_links: bool) -> &mut OpenOptions {
    options
}

/// A relative path that was read from a file, of plain names. It stays below any folder that it is
/// joined to, unless a link leads out of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Below<'a>(&'a str);

impl<'a> Below<'a> {
    /// Takes `text` if it is one to three plain names with `/` between them.
    pub(crate) fn new(text: &'a str) -> Result<Self, String> {
        const MOST_NAMES: usize = 3;
        const LONGEST_NAME: usize = 255;
        let is_plain = |name: &str| {
            let mut parts = Path::new(name).components();
            let one = matches!(parts.next(), Some(Component::Normal(part)) if part == name);
            // `components` drops `.` and doubled slashes, so the one part has to be equal to the
            // name.
            one && parts.next().is_none()
                && name.len() <= LONGEST_NAME
                && !name.chars().any(char::is_control)
        };
        // A hostile text of a million slashes costs four steps.
        let names = text.split('/').take(MOST_NAMES + 1);
        if names.clone().count() <= MOST_NAMES && names.clone().all(is_plain) {
            return Ok(Below(text));
        }
        let shown: String = text.chars().take(200).collect();
        Err(format!(
            "{shown:?} is no plain path below its folder: it would lead elsewhere"
        ))
    }

    /// Where it leads from `folder`. The folder itself may be a link, which its owner made; below
    /// it none is followed to outside. Fails as the system does if the path's own folder is
    /// missing.
    pub(crate) fn place(self, folder: &Path) -> io::Result<PathBuf> {
        let path = folder.join(self.0);
        let (Some(above), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(leads_elsewhere(&path));
        };
        // The folder is resolved, the last name is not: removing a link must not remove its target.
        let above = inside(folder, above)?;
        Ok(above.join(name))
    }

    /// Opens the regular file for reading. A link is followed as long as it stays below `folder`.
    pub(crate) fn open(self, folder: &Path) -> io::Result<File> {
        open_regular(&inside(folder, &folder.join(self.0))?)
    }

    /// Metadata of the regular file, found as by [`open`](Self::open).
    pub(crate) fn metadata(self, folder: &Path) -> io::Result<fs::Metadata> {
        fs::symlink_metadata(inside(folder, &folder.join(self.0))?)
    }

    /// Removes the file or the link of this name, if there is one. Returns whether it was there.
    pub(crate) fn remove(self, folder: &Path) -> io::Result<bool> {
        let place = match self.place(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            place => place?,
        };
        // Of the link itself, not of its target.
        let was_there = fs::symlink_metadata(&place).is_ok();
        remove(&place)?;
        Ok(was_there)
    }
}

/// Where `path` really is, if that is below `folder`.
pub(crate) fn inside(folder: &Path, path: &Path) -> io::Result<PathBuf> {
    // Links are resolved first: a name that looks harmless may lead anywhere.
    let whole = fs::canonicalize(path)?;
    if whole.starts_with(fs::canonicalize(folder)?) {
        Ok(whole)
    } else {
        Err(leads_elsewhere(path))
    }
}

/// Whether `path` is a directory, and no link out of `folder`.
pub(crate) fn is_directory_inside(folder: &Path, path: &Path) -> bool {
    inside(folder, path).is_ok_and(|whole| whole.is_dir())
}

/// Whether `path` is a regular file, and no link out of `folder`.
pub(crate) fn is_file_inside(folder: &Path, path: &Path) -> bool {
    inside(folder, path).is_ok_and(|whole| whole.is_file())
}

fn leads_elsewhere(path: &Path) -> io::Error {
    let path = path.display();
    io::Error::other(NoRegularFile(format!(
        "{path} leads out of its folder through a link: move the link away"
    )))
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
    // Not to make several at once, but because "exists already" is then no error: another process
    // may create the same directory.
    builder.recursive(true);
    #[cfg(all(unix, not(annals_portable)))]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    // From the top, so that each has a parent.
    for directory in missing.into_iter().rev() {
        guarded(directory, IoCall::CreateDirectory, || {
            builder.create(directory)
        })?;
        let above = match directory.parent() {
            Some(above) if !above.as_os_str().is_empty() => above,
            _ => Path::new("."),
        };
        // The new name is an entry of the directory above: without this a power cut could take the
        // journal away with its folder.
        match sync_directory(above) {
            // The right to make names in a directory does not include the right to open it.
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
    guarded(path, IoCall::SyncDirectory, || File::open(path)?.sync_all())?;
    #[cfg(not(all(unix, not(annals_portable))))]
    let _ = path;
    Ok(())
}

/// Opens a file for reading and writing that only its owner may read, creating it if it is missing,
/// by steps that tests can see. Returns whether it is new.
pub(crate) fn open_or_begin(path: &Path) -> io::Result<(File, bool)> {
    match open_regular_with(path, OpenOptions::new().read(true).write(true)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => match create(path) {
            // Another process was faster.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let mut options = OpenOptions::new();
                let file = open_regular_with(path, options.read(true).write(true))?;
                Ok((file, false))
            }
            created => Ok((created?, true)),
        },
        opened => Ok((opened?, false)),
    }
}

/// Cuts a file off, or makes it longer.
pub(crate) fn resize(file: &File, path: &Path, length: u64) -> io::Result<()> {
    guarded(path, IoCall::Resize(length), || file.set_len(length))
}

/// Writes `data` at `offset` by `write`, which has a handle of its own.
pub(crate) fn write_by(
    path: &Path,
    offset: u64,
    data: &[u8],
    write: impl FnOnce() -> io::Result<()>,
) -> io::Result<()> {
    guarded(path, IoCall::Write { offset, data }, write)
}

/// A new file that is written from its beginning to its end.
pub(crate) struct NewFile {
    file: File,
    path: PathBuf,
    length: u64,
}

impl NewFile {
    /// Begins with an empty file of this name. A file of that name was left by a crash or put there
    /// by another program. It is removed, and a link is not followed.
    pub(crate) fn begin(path: &Path) -> io::Result<NewFile> {
        // Removed and created, never truncated: the file may have a second name elsewhere.
        remove(path)?;
        Ok(NewFile {
            file: create(path)?,
            path: path.to_owned(),
            length: 0,
        })
    }

    /// Makes it durable and gives it its name, replacing an existing file; then the name is
    /// durable.
    pub(crate) fn finish(self, name: &Path) -> io::Result<()> {
        // The order is the whole point: contents, name, directory. A crash leaves the old file or
        // the new one, never a half of either.
        sync(&self.file, &self.path)?;
        rename(&self.path, name)?;
        sync_directory(name.parent().unwrap_or(Path::new(".")))
    }
}

impl io::Write for NewFile {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let call = IoCall::Write {
            offset: self.length,
            data,
        };
        let written = guarded(&self.path, call, || self.file.write(data))?;
        self.length = self.length.saturating_add(written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Makes a link that leads to `target`.
#[cfg(all(unix, not(annals_portable)))]
pub(crate) fn symlink(target: &str, path: &Path) -> io::Result<()> {
    guarded(path, IoCall::Symlink(target), || {
        std::os::unix::fs::symlink(target, path)
    })
}

/// Makes a file's contents durable.
pub(crate) fn sync(file: &File, path: &Path) -> io::Result<()> {
    guarded(path, IoCall::Sync, || file.sync_all())
}

/// Makes a file's contents durable, and of the rest only what is needed to read them.
pub(crate) fn sync_data(file: &File, path: &Path) -> io::Result<()> {
    guarded(path, IoCall::Sync, || file.sync_data())
}

/// Identity of the file, whatever its name, where the system provides one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FileId {
    device: u64,
    number: u64,
}

impl FileId {
    pub(crate) fn of(file: &File) -> Option<FileId> {
        FileId::in_metadata(&file.metadata().ok()?)
    }

    /// Of the file that `path` leads to.
    pub(crate) fn at(path: &Path) -> Option<FileId> {
        FileId::in_metadata(&fs::metadata(path).ok()?)
    }

    /// The number of the file on its device.
    pub(crate) fn number(self) -> u64 {
        self.number
    }

    #[cfg(all(unix, not(annals_portable)))]
    fn in_metadata(found: &fs::Metadata) -> Option<FileId> {
        use std::os::unix::fs::MetadataExt;
        Some(FileId {
            device: found.dev(),
            number: found.ino(),
        })
    }

    #[cfg(not(all(unix, not(annals_portable))))]
    fn in_metadata(_found: &fs::Metadata) -> Option<FileId> {
        None
    }

    /// The change of the file's name, if `path` does not lead to it any more: one look at the
    /// directory. Links are followed, as they were when the file was opened.
    pub(crate) fn lost_name(self, path: &Path) -> Option<&'static str> {
        match fs::metadata(path) {
            Ok(found) if FileId::in_metadata(&found) == Some(self) => None,
            // Our rows go on into the old file, which no opener finds any more.
            Ok(_) => Some("replaced by another file"),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                Some("removed or moved")
            }
            // A directory that may not be searched shows nothing of its files.
            Err(_) => None,
        }
    }
}

/// Gives a file another name, replacing an existing file.
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    guarded(from, IoCall::Rename(to), || fs::rename(from, to))
}

/// Gives a finished file its name; fails if the name is taken.
pub(crate) fn publish(finished: &Path, name: &Path) -> io::Result<()> {
    let linked = guarded(finished, IoCall::Link(name), || {
        fs::hard_link(finished, name)
    });
    match linked {
        Ok(()) => {
            // It has its name; a later clean-up removes the other one.
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

/// Removes a file, if it is there.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match guarded(path, IoCall::Remove, || fs::remove_file(path)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_plain_paths_are_taken() {
        for text in ["a", "a/b.bin", "dqn/x y.pt", "ü/~", "a/b/c", "...", "-x/-y"] {
            assert_eq!(Below::new(text), Ok(Below(text)));
        }
        let long = "x".repeat(256);
        for text in [
            "",
            "/",
            "/a",
            "a/",
            "a//b",
            ".",
            "..",
            "../a",
            "a/..",
            "a/./b",
            "a/../b",
            "/etc/passwd",
            "a/b/c/d",
            "a\0b",
            "a/\n",
            "\u{1b}[2J",
            &long,
        ] {
            let refused = Below::new(text).unwrap_err();
            assert!(!refused.contains(['\n', '\0', '\u{1b}']), "{refused}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_do_not_lead_out_and_nothing_but_files_is_opened() {
        use std::os::unix::fs::symlink;
        let scratch = tempfile::tempdir().unwrap();
        let folder = scratch.path().join("folder");
        let elsewhere = scratch.path().join("elsewhere");
        for path in [&folder, &elsewhere, &folder.join("model")] {
            fs::create_dir(path).unwrap();
        }
        let victim = elsewhere.join("victim");
        fs::write(&victim, "v").unwrap();
        fs::write(folder.join("model/a"), "a").unwrap();
        symlink(folder.join("model/a"), folder.join("model/same")).unwrap();
        symlink(&victim, folder.join("model/out")).unwrap();
        symlink(&elsewhere, folder.join("away")).unwrap();
        fs::create_dir(folder.join("model/folder")).unwrap();
        let below = |text| Below::new(text).unwrap();
        for text in ["model/a", "model/same"] {
            assert!(below(text).open(&folder).is_ok(), "{text}");
        }
        for text in ["model/out", "away/victim", "model/folder"] {
            let refused = below(text).open(&folder).unwrap_err();
            assert!(is_no_regular_file(&refused), "{text}: {refused}");
        }
        let missing = below("model/none").open(&folder).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        // The link is removed, not its target; nothing behind a link is removed.
        assert!(below("model/out").remove(&folder).unwrap());
        assert!(below("away/victim").remove(&folder).is_err());
        assert!(!below("none/victim").remove(&folder).unwrap());
        assert_eq!(fs::read(&victim).unwrap(), b"v");
        // The folder itself may be a link.
        let link = scratch.path().join("link");
        symlink(&folder, &link).unwrap();
        assert!(below("model/a").open(&link).is_ok());
        assert!(open_regular(&link.join("model/same")).is_err());
        assert!(open_regular_anywhere(&link.join("model/same")).is_ok());
    }

    #[test]
    fn no_more_is_read_than_was_asked_for() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("file");
        fs::write(&path, [7; 10]).unwrap();
        assert_eq!(read_at_most(&path, 10).unwrap(), Some(vec![7; 10]));
        assert_eq!(read_at_most(&path, 9).unwrap(), None);
    }
}

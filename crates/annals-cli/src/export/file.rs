//! A file that has its name only when it is whole.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::failure::{Failure, Result};

/// Begin and end of the names of unfinished files. Readers of data sets skip names with a dot in
/// front.
const BEGIN: &str = ".annals-";
const END: &str = ".partial";
/// End of the names of files that are whole and wait for their name, together with others.
const WHOLE: &str = ".whole";
/// Bytes that are held back for a file.
const BUFFER: usize = 1 << 18;
/// Links that are followed one after the other: as many as Linux does.
const MOST_LINKS: usize = 40;

/// The files that have no name yet. They are created, named and removed by the holder only.
static UNDER_WAY: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
/// The exit code, once the process has been asked to end; 0 until then.
static ASKED: AtomicI32 = AtomicI32::new(0);

fn under_way() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes all unfinished files and ends the process, whatever its other threads wait for.
pub fn abandon(code: i32) -> ! {
    // Before the lock: a file that waits for it is not named any more.
    ASKED.store(code, Ordering::SeqCst);
    abandon_all(&under_way(), code)
}

/// The list is held until the end: nothing is created or named any more.
fn abandon_all(under_way: &BTreeSet<PathBuf>, code: i32) -> ! {
    for partial in under_way {
        // The next export would remove it too.
        let _ = fs::remove_file(partial);
    }
    std::process::exit(code)
}

/// A file that is being written.
pub struct Unfinished {
    file: BufWriter<File>,
    path: PathBuf,
    /// Its name until it is whole; `None` for a pipe or a device, which is written to directly.
    partial: Option<PathBuf>,
}

impl Unfinished {
    /// Begins to write `path`. A regular file of that name is replaced when the new one is whole; a
    /// link leads to the file that is replaced; pipes and devices are written to. Missing folders
    /// above it are created.
    pub fn create(path: PathBuf) -> Result<Self> {
        Self::with_buffer(BUFFER, path)
    }

    /// The same with so many bytes held back, for one of many files.
    pub fn with_buffer(buffer: usize, path: PathBuf) -> Result<Self> {
        // A pipe behind /dev/fd has no path of its own: it is opened by the name that was given.
        let is_special = |found: &fs::Metadata| !found.is_file() && !found.is_dir();
        let path = match fs::metadata(&path) {
            Ok(found) if is_special(&found) || is_open_already(&path) => path,
            _ => through_links(path),
        };
        let named = |cause| Failure::io(format!("write {}", path.display()), cause);
        match fs::metadata(&path) {
            Ok(found) if found.is_dir() => {
                let why = "it is a directory: give a file's name, or --by-day";
                return Err(named(io::Error::other(why)));
            }
            Ok(found) if !found.is_file() || is_open_already(&path) => {
                let file = OpenOptions::new().append(true).open(&path).map_err(named)?;
                return Ok(Unfinished {
                    file: BufWriter::with_capacity(buffer, file),
                    path,
                    partial: None,
                });
            }
            Ok(found) if found.permissions().readonly() => {
                let why = "it may not be written: change its mode, or give another name";
                return Err(named(io::Error::other(why)));
            }
            _ => {}
        }
        let folder = folder_of(&path);
        let creating = |cause| {
            let what = format!("create a file for {}", path.display());
            Failure::io(what, cause)
        };
        fs::create_dir_all(folder).map_err(creating)?;
        remove_leftovers(folder);
        let mut under_way = under_way();
        let (file, partial) = create_partial(folder).map_err(creating)?;
        under_way.insert(partial.clone());
        drop(under_way);
        let begun = Unfinished {
            file: BufWriter::with_capacity(buffer, file),
            path: path.clone(),
            partial: Some(partial),
        };
        // A private file stays private.
        if let Ok(found) = fs::metadata(&path) {
            let kept = begun.file.get_ref().set_permissions(found.permissions());
            kept.map_err(creating)?;
        }
        Ok(begun)
    }
}

/// Whether the shell has opened it: it is written to behind what is there, and never replaced.
fn is_open_already(path: &Path) -> bool {
    ["/dev", "/proc"]
        .iter()
        .any(|folder| path.starts_with(folder))
}

/// The file that a link leads to, also if it is not there yet.
fn through_links(mut path: PathBuf) -> PathBuf {
    if let Ok(real) = fs::canonicalize(&path) {
        return real;
    }
    for _ in 0..MOST_LINKS {
        match fs::read_link(&path) {
            Ok(target) => path = folder_of(&path).join(target),
            Err(_) => break,
        }
    }
    path
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// A hidden name that this process has not given yet.
fn new_name(end: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{BEGIN}{}-{number}{end}", std::process::id())
}

/// Creates a file that no other export has, and locks it: who finds it unlocked may remove it.
fn create_partial(folder: &Path) -> io::Result<(File, PathBuf)> {
    loop {
        let partial = folder.join(new_name(END));
        let created = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&partial);
        match created {
            // Another export may have found it before it was locked, and removed it.
            Ok(file) => match file.try_lock() {
                Err(TryLockError::WouldBlock) => {}
                _ if fs::symlink_metadata(&partial).is_err() => {}
                // Where there are no locks, a leftover stays.
                _ => return Ok((file, partial)),
            },
            // A dead process had the same number.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

/// Removes what killed exports left in `folder`.
pub fn remove_leftovers(folder: &Path) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_regular = entry.file_type().is_ok_and(|kind| kind.is_file());
        if !is_regular || !name.starts_with(BEGIN) || !name.ends_with(END) {
            continue;
        }
        let path = entry.path();
        let is_dead = File::open(&path).is_ok_and(|file| file.try_lock().is_ok());
        if is_dead {
            // It does no harm, and the next export tries again.
            let _ = fs::remove_file(path);
        }
    }
}

/// Removes the whole files in `folder` that never got their name. The caller has locked the folder
/// of all of them: no other export makes any there.
pub fn remove_unpublished(folder: &Path) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(BEGIN) && name.ends_with(WHOLE) {
            // It does no harm, and the next export tries again.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// A file that is written, and gets its name together with others. It is removed if it gets none.
pub struct Unpublished {
    hidden: PathBuf,
}

impl Unpublished {
    /// One in `folder`, and what writes it.
    pub fn create(folder: &Path, buffer: usize) -> Result<(Self, Unfinished)> {
        let hidden = folder.join(new_name(WHOLE));
        let file = Unfinished::with_buffer(buffer, hidden.clone())?;
        Ok((Unpublished { hidden }, file))
    }
}

impl Drop for Unpublished {
    fn drop(&mut self) {
        let mut under_way = under_way();
        if under_way.remove(&self.hidden) {
            // The next export would remove it too.
            let _ = fs::remove_file(&self.hidden);
        }
    }
}

/// Result for one folder: the file that gets a name, and those that it replaces.
pub struct FolderChange {
    pub folder: PathBuf,
    pub new: Option<(Unpublished, PathBuf)>,
    pub obsolete: Vec<PathBuf>,
}

/// Makes all changes, folder after folder. A signal waits until all are made.
pub fn publish(changes: &[FolderChange]) -> Result<()> {
    let mut under_way = under_way();
    let asked = ASKED.load(Ordering::SeqCst);
    if asked != 0 {
        abandon_all(&under_way, asked);
    }
    for change in changes {
        let failed = |path: &Path, cause| Failure::io(format!("write {}", path.display()), cause);
        if let Some((file, to)) = &change.new {
            fs::rename(&file.hidden, to).map_err(|cause| failed(to, cause))?;
            under_way.remove(&file.hidden);
            // The new name is durable before an old one goes.
            sync_folder(&change.folder).map_err(|cause| failed(&change.folder, cause))?;
        }
        for old in &change.obsolete {
            let is_new = change.new.as_ref().is_some_and(|(_, to)| to == old);
            if is_new {
                continue;
            }
            match fs::remove_file(old) {
                Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                    let what = format!("remove {}, which is replaced", old.display());
                    return Err(Failure::io(what, cause));
                }
                _ => {}
            }
        }
        if change.new.is_none() {
            // It stays if anything else is in it.
            let _ = fs::remove_dir(&change.folder);
        }
    }
    Ok(())
}

/// Makes the names in `folder` durable.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

impl Write for Unfinished {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// An output that can be made durable.
pub trait Finish: Write {
    /// Makes it durable and gives it its name.
    fn finish(&mut self) -> Result<()>;
}

impl Finish for Unfinished {
    fn finish(&mut self) -> Result<()> {
        let failed = |cause| Failure::io(format!("write {}", self.path.display()), cause);
        self.file.flush().map_err(failed)?;
        let Some(partial) = &self.partial else {
            return Ok(());
        };
        self.file.get_ref().sync_all().map_err(failed)?;
        let mut under_way = under_way();
        let asked = ASKED.load(Ordering::SeqCst);
        if asked != 0 {
            abandon_all(&under_way, asked);
        }
        fs::rename(partial, &self.path).map_err(failed)?;
        under_way.remove(partial);
        self.partial = None;
        let name = self.path.file_name().map(|name| name.to_string_lossy());
        if name.is_some_and(|name| name.starts_with(BEGIN) && name.ends_with(WHOLE)) {
            // Still without the name that it is to have.
            under_way.insert(self.path.clone());
            return Ok(());
        }
        drop(under_way);
        // Before anything is said or stored that relies on the name.
        sync_folder(folder_of(&self.path)).map_err(failed)
    }
}

impl Finish for &mut crate::output::Out {
    fn finish(&mut self) -> Result<()> {
        crate::output::Out::flush(self)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(partial) = &self.partial {
            let mut under_way = under_way();
            // The next export would remove it too.
            let _ = fs::remove_file(partial);
            under_way.remove(partial);
        }
    }
}

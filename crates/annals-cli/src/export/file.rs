//! A file that has its name only when it is whole.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::failure::{Failure, Result};

/// Begin and end of the names of unfinished files. Readers of data sets skip names with a dot in
/// front.
const BEGIN: &str = ".annals-";
const END: &str = ".partial";
/// Links that are followed one after the other: as many as Linux does.
const MOST_LINKS: usize = 40;

/// The files that have no name yet. They are created, named and removed by the holder only.
static UNDER_WAY: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());
/// The exit code, once the process has been asked to end; 0 until then.
static ASKED: AtomicI32 = AtomicI32::new(0);

fn under_way() -> MutexGuard<'static, Vec<PathBuf>> {
    UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes all unfinished files and ends the process, whatever its other threads wait for.
pub fn abandon(code: i32) -> ! {
    // Before the lock: a file that waits for it is not named any more.
    ASKED.store(code, Ordering::SeqCst);
    abandon_all(&under_way(), code)
}

/// The list is held until the end: nothing is created or named any more.
fn abandon_all(under_way: &[PathBuf], code: i32) -> ! {
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
                    file: BufWriter::with_capacity(1 << 18, file),
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
        under_way.push(partial.clone());
        drop(under_way);
        let begun = Unfinished {
            file: BufWriter::with_capacity(1 << 18, file),
            path: path.clone(),
            partial: Some(partial),
        };
        // What only its owner may read stays so.
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

/// Creates a file that no other export has, and locks it: who finds it unlocked may remove it.
fn create_partial(folder: &Path) -> io::Result<(File, PathBuf)> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{BEGIN}{}-{number}{END}", std::process::id());
        let partial = folder.join(name);
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
        under_way.retain(|known| known != partial);
        drop(under_way);
        self.partial = None;
        // Before anything is said or stored that relies on the name.
        sync_folder(folder_of(&self.path)).map_err(failed)
    }
}

/// An output that is compressed on its way.
pub struct Gzip<W: Write>(GzEncoder<W>);

impl<W: Write> Gzip<W> {
    pub fn new(to: W) -> Self {
        Gzip(GzEncoder::new(to, Compression::default()))
    }
}

impl<W: Write> Write for Gzip<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl<W: Finish> Finish for Gzip<W> {
    fn finish(&mut self) -> Result<()> {
        self.0.try_finish()?;
        self.0.get_mut().finish()
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
            under_way.retain(|known| known != partial);
        }
    }
}

//! One current file, through tracing-appender; this is the only file that names it.
//!
//! tracing-appender opens and appends. `files.rs` decides when a log file ends. This file decides
//! which link points to it and who may read it. The appender's own rotation goes by the clock, and
//! its own link deletes any file of the link's name. Its non-blocking writer would put a lossy
//! queue behind a journal that is exact.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tracing_appender::rolling::{RollingFileAppender, Rotation as Rolling};

use super::place::{FilePart, Position};
use crate::fs::disk;
use crate::options::logs::LogKind;

/// A file of the mirror that is being appended to.
pub(super) struct LogFile {
    path: PathBuf,
    /// Its length; only this process appends.
    length: u64,
    appender: RollingFileAppender,
    /// A second handle: it cuts, syncs and notices when the file has lost its name.
    handle: File,
}

/// Result of [`LogFile::open`].
pub(super) struct Opened {
    pub(super) file: LogFile,
    /// Its name is new, and not durable yet.
    pub(super) is_new: bool,
    pub(super) position: Position,
    /// Where a regular file that bore the link's name is now.
    pub(super) moved: Option<PathBuf>,
}

impl LogFile {
    /// Opens the file at `position` and cuts off everything behind its length, creating it if it is
    /// missing. Then it points the link at the file. Returns the real length of the file (another
    /// program may have deleted or shortened it) and the file that was moved aside for the link.
    pub(super) fn open(directory: &Path, kind: LogKind, position: Position) -> io::Result<Opened> {
        let name = position.part.file_name(kind);
        let path = directory.join(&name);
        let (handle, is_new) = disk::open_or_begin(&path)?;
        let found = handle.metadata()?.len();
        // M1: what lies behind was not stored as written, and is rendered again.
        if found > position.length {
            disk::resize(&handle, &path, position.length)?;
        }
        let stem = format!("{}.{}", kind.stem(), position.part.label());
        let appender = RollingFileAppender::builder()
            .rotation(Rolling::NEVER)
            .filename_prefix(stem)
            .filename_suffix("txt")
            .build(directory)
            .map_err(io::Error::other)?;
        // The link has the one name that people and scripts know.
        let moved = point_link(directory, kind, &name)?;
        // A file that another program shortened is continued where it ends.
        let length = found.min(position.length);
        let file = LogFile {
            path,
            length,
            appender,
            handle,
        };
        Ok(Opened {
            file,
            is_new,
            position: Position { length, ..position },
            moved,
        })
    }

    /// Appends whole lines.
    pub(super) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let appender = &mut self.appender;
        disk::write_by(&self.path, self.length, lines, || appender.write_all(lines))?;
        self.length = self.length.saturating_add(lines.len() as u64);
        Ok(())
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        disk::sync_data(&self.handle, &self.path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the file still has its name and `length`. Another program may have deleted, emptied
    /// or replaced it.
    pub(super) fn is_as_left(&self, length: u64) -> bool {
        let found = self.handle.metadata();
        found.is_ok_and(|found| found.len() == length) && is_named(&self.handle, &self.path)
    }
}

/// Whether `path` still names the open `file`.
pub(super) fn is_named(file: &File, path: &Path) -> bool {
    match (fs::symlink_metadata(path), file.metadata()) {
        (Ok(named), Ok(open)) => same_file(&named, &open),
        _ => false,
    }
}

#[cfg(all(unix, not(annals_portable)))]
fn same_file(one: &fs::Metadata, other: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    one.is_file() && one.dev() == other.dev() && one.ino() == other.ino()
}

#[cfg(not(all(unix, not(annals_portable))))]
fn same_file(one: &fs::Metadata, other: &fs::Metadata) -> bool {
    one.is_file() && one.len() == other.len()
}

/// Moves a regular file of the link's name aside; returns where it is now.
pub(super) fn make_way(directory: &Path, kind: LogKind) -> io::Result<Option<PathBuf>> {
    let link = directory.join(format!("{}.txt", kind.stem()));
    match fs::symlink_metadata(&link) {
        Ok(found) if found.is_file() && LINKS => move_aside(directory, kind, &link).map(Some),
        _ => Ok(None),
    }
}

/// Whether this system's links are used; without them nothing is in their way.
const LINKS: bool = cfg!(all(unix, not(annals_portable)));

/// Makes `inference_records.txt` lead to the current file, in one step. A regular file of that
/// name (the predecessor's log) is moved aside, never deleted.
#[cfg(all(unix, not(annals_portable)))]
fn point_link(directory: &Path, kind: LogKind, target: &str) -> io::Result<Option<PathBuf>> {
    let moved = make_way(directory, kind)?;
    let link = directory.join(format!("{}.txt", kind.stem()));
    match fs::symlink_metadata(&link) {
        Ok(found) if found.file_type().is_symlink() => {
            if fs::read_link(&link)? == Path::new(target) {
                return Ok(None);
            }
        }
        Ok(_) => {
            return Err(io::Error::other(format!(
                "{} is a directory: move it away",
                link.display()
            )));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let aside = directory.join(format!(".{}.link", kind.stem()));
    disk::remove(&aside)?;
    disk::symlink(target, &aside)?;
    // Made aside and renamed, so that the name leads to a file at every moment.
    disk::rename(&aside, &link)?;
    Ok(moved)
}

/// Without links there is none: the newest file is found by its name.
#[cfg(not(all(unix, not(annals_portable))))]
fn point_link(_directory: &Path, _kind: LogKind, _target: &str) -> io::Result<Option<PathBuf>> {
    Ok(None)
}

fn move_aside(directory: &Path, kind: LogKind, file: &Path) -> io::Result<PathBuf> {
    for number in 0..u32::MAX {
        let name = match number {
            0 => format!("{}.before-annals.txt", kind.stem()),
            more => format!("{}.before-annals-{more}.txt", kind.stem()),
        };
        let aside = directory.join(name);
        // The lock on the directory keeps other mirrors out, so the name stays free.
        if fs::symlink_metadata(&aside).is_err() {
            disk::rename(file, &aside)?;
            return Ok(aside);
        }
    }
    Err(io::Error::other("too many files have been moved aside"))
}

/// The first position of the file that follows `part`.
pub(super) fn begin(part: FilePart) -> Position {
    Position { part, length: 0 }
}

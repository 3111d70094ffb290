//! Opening a file that others may be writing, or died writing.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::super::ImportReport;
use super::table::{Named, tables};
use crate::failure::{Failure, Result};

/// A file, and what is in it.
pub struct OpenedFile {
    pub file: Connection,
    pub tables: Vec<Named>,
    /// Goes after the connection.
    _copy: Option<Copy>,
}

/// Files beside a database while it is written.
const BESIDE: [&str; 2] = ["-journal", "-wal"];

/// Opens the file for reading. If it cannot be read without being written to first, because its
/// writer died, or because its folder may not be written, a copy of it is.
pub fn open(
    from: &Path,
    report: &mut ImportReport,
    failed: &impl Fn(rusqlite::Error) -> Failure,
) -> Result<OpenedFile> {
    fs::File::open(from).map_err(|cause| Failure::io(format!("read {}", from.display()), cause))?;
    let error = match connect(from, OpenFlags::SQLITE_OPEN_READ_ONLY) {
        Ok((file, tables)) => {
            return Ok(OpenedFile {
                file,
                tables,
                _copy: None,
            });
        }
        Err(error) => error,
    };
    let code = error.sqlite_error_code();
    let has_more = BESIDE.iter().any(|suffix| beside(from, suffix).exists());
    let wants_to_write = matches!(code, Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen))
        || (has_more && code == Some(ErrorCode::PermissionDenied));
    if !wants_to_write {
        return Err(failed(error));
    }
    let copying = |cause| {
        let what = format!(
            "copy {}, which has to be written to before it can be read ({error})",
            from.display()
        );
        Failure::io(what, cause)
    };
    let copy = Copy::of(from).map_err(copying)?;
    let (file, tables) = connect(&copy.file, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(failed)?;
    report.notes.push(format!(
        "{} was left in the middle of its writer's work: read from a copy in which that is undone \
         or done",
        from.display()
    ));
    Ok(OpenedFile {
        file,
        tables,
        _copy: Some(copy),
    })
}

fn connect(path: &Path, how: OpenFlags) -> rusqlite::Result<(Connection, Vec<Named>)> {
    let file = Connection::open_with_flags(path, how | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    file.busy_timeout(Duration::from_secs(10))?;
    let tables = tables(&file)?;
    Ok((file, tables))
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// A copy of a file and of what lies beside it, in a folder of its own.
struct Copy {
    folder: PathBuf,
    file: PathBuf,
}

impl Copy {
    fn of(from: &Path) -> std::io::Result<Copy> {
        let mut builder = fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        let mut number = 0_u32;
        let folder = loop {
            let name = format!("annals-import-{}-{number}", std::process::id());
            let folder = std::env::temp_dir().join(name);
            match builder.create(&folder) {
                Ok(()) => break folder,
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                    number = number.saturating_add(1);
                }
                Err(error) => return Err(error),
            }
        };
        let file = folder.join("copy.db");
        let copy = Copy { folder, file };
        copy_bytes(from, &copy.file)?;
        for suffix in BESIDE {
            let more = beside(from, suffix);
            if more.exists() {
                copy_bytes(&more, &beside(&copy.file, suffix))?;
            }
        }
        Ok(copy)
    }
}

/// Copies what a file holds, and not that it may not be written to.
fn copy_bytes(from: &Path, to: &Path) -> std::io::Result<()> {
    let mut source = fs::File::open(from)?;
    let mut target = fs::File::create_new(to)?;
    std::io::copy(&mut source, &mut target).map(|_| ())
}

impl Drop for Copy {
    fn drop(&mut self) {
        // Files that cannot be removed stay in the folder for temporary files.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

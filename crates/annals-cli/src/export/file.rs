//! A file that has its name only when it is whole.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use crate::failure::{Failure, Result};

/// A file under way: `<name>.partial` until it is finished, and removed if it never is.
pub struct Unfinished {
    file: BufWriter<File>,
    path: PathBuf,
    partial: PathBuf,
    finished: bool,
}

impl Unfinished {
    /// Creates it, and the directories above.
    pub fn create(path: PathBuf) -> Result<Self> {
        let mut partial = path.clone().into_os_string();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let creating = |cause| Failure::io(format!("create {}", partial.display()), cause);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(creating)?;
        }
        let file = File::create(&partial).map_err(creating)?;
        Ok(Unfinished {
            file: BufWriter::with_capacity(1 << 18, file),
            path,
            partial,
            finished: false,
        })
    }
}

impl Write for Unfinished {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// What can be made durable.
pub trait Finish: Write {
    /// Makes it durable and gives it its name.
    fn finish(&mut self) -> Result<()>;
}

impl Finish for Unfinished {
    fn finish(&mut self) -> Result<()> {
        let synced = self
            .file
            .flush()
            .and_then(|()| self.file.get_ref().sync_all());
        let named = synced.and_then(|()| fs::rename(&self.partial, &self.path));
        named.map_err(|cause| Failure::io(format!("write {}", self.path.display()), cause))?;
        self.finished = true;
        Ok(())
    }
}

impl Finish for &mut crate::output::Out {
    fn finish(&mut self) -> Result<()> {
        crate::output::Out::flush(self)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.finished {
            // Nobody is left to hear of it.
            let _ = fs::remove_file(&self.partial);
        }
    }
}

//! A file for each day of event time, in directories that DuckDB, Spark and pandas understand.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use std::{fs, io};

use annals::JournalId;

use super::file::{remove_leftovers, sync_folder};
use super::{Format, Row, Sink, in_file};
use crate::failure::{Failure, Result};
use crate::units;

/// Files that are open at once. A day that is closed and comes back gets another file, so days in
/// turn must fit. A process may usually have 1,024 files open.
const OPEN: usize = 256;

/// `day=2025-07-25/part-….parquet`.
pub struct Days {
    format: Format,
    directory: PathBuf,
    journal: JournalId,
    /// Tells the files of two exports apart.
    stamp: u128,
    parts: u32,
    /// The day used last stands last.
    open: Vec<(i64, Box<dyn Sink>)>,
}

impl Days {
    pub fn new(format: Format, directory: PathBuf, journal: JournalId) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        // What killed exports left may lie in days that this one does not touch.
        for day in fs::read_dir(&directory).into_iter().flatten().flatten() {
            if day.file_name().to_string_lossy().starts_with("day=") {
                remove_leftovers(&day.path());
            }
        }
        Days {
            format,
            directory,
            journal,
            stamp: since.map_or(0, |since| since.as_micros()),
            parts: 0,
            open: Vec::new(),
        }
    }

    fn of_day(&mut self, row: &Row) -> Result<&mut Box<dyn Sink>> {
        let day = row.time().as_micros().div_euclid(86_400_000_000);
        let known = self.open.iter().position(|(known, _)| *known == day);
        let open = match known {
            Some(index) => self.open.remove(index),
            None => {
                if self.open.len() == OPEN {
                    self.open.remove(0).1.finish()?;
                }
                let date = units::second(row.time());
                let date = date.split(' ').next().unwrap_or_default();
                let extension = match self.format {
                    Format::Jsonl => "jsonl",
                    Format::Csv(_) => "csv",
                    Format::Parquet => "parquet",
                };
                let name = format!("part-{}-{:04}.{extension}", self.stamp, self.parts);
                self.parts += 1;
                let folder = self.directory.join(format!("day={date}"));
                self.create_folder(&folder)?;
                (day, in_file(self.format, folder.join(name), self.journal)?)
            }
        };
        self.open.push(open);
        let last = self.open.last_mut().map(|(_, sink)| sink);
        last.ok_or_else(|| Failure::Usage("no file is open".into()))
    }
}

impl Sink for Days {
    fn push(&mut self, rows: Vec<Row>) -> Result<()> {
        let mut run: Vec<Row> = Vec::new();
        let day = |row: &Row| row.time().as_micros().div_euclid(86_400_000_000);
        for row in rows {
            if run.last().is_some_and(|last| day(last) != day(&row)) {
                let whole = std::mem::take(&mut run);
                self.push_run(whole)?;
            }
            run.push(row);
        }
        self.push_run(run)
    }

    fn finish(self: Box<Self>) -> Result<()> {
        self.open
            .into_iter()
            .try_for_each(|(_, sink)| sink.finish())
    }
}

impl Days {
    /// Creates the folder of a day, and that of all days, but nothing above it.
    fn create_folder(&self, folder: &Path) -> Result<()> {
        for folder in [self.directory.as_path(), folder] {
            let created = match fs::create_dir(folder) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                Ok(()) => match folder.parent() {
                    Some(above) if !above.as_os_str().is_empty() => sync_folder(above),
                    _ => sync_folder(Path::new(".")),
                },
                failed => failed,
            };
            created.map_err(|cause| Failure::io(format!("create {}", folder.display()), cause))?;
        }
        Ok(())
    }

    /// Rows of one day.
    fn push_run(&mut self, rows: Vec<Row>) -> Result<()> {
        match rows.first() {
            Some(first) => self.of_day(first)?.push(rows),
            None => Ok(()),
        }
    }
}

//! The folder that an export by day goes to, and which of its files are whose.
//!
//! A file's name has everything that the next export needs.
//! `part-{journal}-{selection}-{from}-{until}.{format}` in the folder of a day covers the journal's
//! entries from `from` to before `until` of that day. Files of one day, journal and selection never
//! cover an entry twice, except for leftovers of a killed export. Another file covers those, and
//! the next export removes them.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use annals::JournalId;

use super::calendar;
use super::compress::Compression;
use super::file::{self, FolderChange, remove_leftovers, remove_unpublished, sync_folder};
use super::{FilePacking, Format, Inputs};
use crate::escape::sentence;
use crate::failure::{Failure, Result};
use crate::filter::{Filter, FilterArgs};

/// Timeout and poll interval while another export writes into the same folder.
const PATIENCE: Duration = Duration::from_secs(600);
const LOOK: Duration = Duration::from_millis(20);
/// From here on the wait is said.
const SAID: Duration = Duration::from_secs(1);

/// A file of this journal and selection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Owned {
    pub path: PathBuf,
    pub from: u64,
    pub until: u64,
}

/// A folder of days, locked.
pub struct Lake {
    directory: PathBuf,
    /// `part-{journal}-{selection}-`.
    prefix: String,
    /// `.csv.zst`.
    ending: String,
    /// By day, in the order of their entries.
    owned: BTreeMap<i64, Vec<Owned>>,
    /// Holds the lock; none where there are no locks on folders.
    _lock: Option<File>,
}

/// The conditions besides times, in eight hexadecimal digits.
fn selection(filter: &Filter, inputs: Inputs) -> String {
    let all = Filter {
        since: None,
        until: None,
        ..filter.clone()
    };
    if all.is_everything() && all.zone.is_utc() && inputs == Inputs::LeftOut {
        return "all".to_owned();
    }
    let FilterArgs {
        model,
        symbol,
        action,
        checkpoint,
        min_confidence,
        max_confidence,
        slower_than,
        outcome,
        no_repeats,
        correlation,
        caused_by,
        ..
    } = &all.asked;
    let bounds = (min_confidence, max_confidence, slower_than);
    let mut text = format!(
        "{model:?} {symbol:?} {action:?} {checkpoint:?} {bounds:?} {outcome:?} {no_repeats}"
    );
    // Only where they are asked for: other folders keep their names.
    if correlation.is_some() || caused_by.is_some() {
        text = format!("{text} {correlation:?} {caused_by:?}");
    }
    if inputs == Inputs::Taken {
        // Other columns: readers expect all files of a folder to have the same.
        text = format!("{text} inputs");
    }
    if !all.zone.is_utc() {
        // The same rows are of other days.
        text = format!("{text} {}", all.zone.name());
    }
    // FNV-1a: the same in every version.
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{:08x}", hash >> 32)
}

impl Lake {
    /// Opens `directory` for one export; waits for one that is under way.
    pub fn open(
        directory: PathBuf,
        packing: FilePacking,
        journal: JournalId,
        filter: &Filter,
    ) -> Result<Self> {
        if create_folder(&directory)? {
            let above = match directory.parent() {
                Some(above) if !above.as_os_str().is_empty() => above,
                _ => Path::new("."),
            };
            let synced = sync_folder(above);
            synced.map_err(|cause| Failure::io(format!("write {}", above.display()), cause))?;
        }
        let lock = lock(&directory)?;
        let journal = journal.to_string();
        let journal = journal.get(..16).unwrap_or(&journal);
        let selection = selection(filter, packing.inputs);
        let mut lake = Lake {
            prefix: format!("part-{journal}-{selection}-"),
            ending: format!(
                "{}{}",
                extension(packing.format),
                packing.compression.ending()
            ),
            directory,
            owned: BTreeMap::new(),
            _lock: lock,
        };
        lake.look(&format!("part-{journal}-"), packing.format)?;
        Ok(lake)
    }

    /// Finds what is there, and removes what killed exports left.
    fn look(&mut self, of_journal: &str, format: Format) -> Result<()> {
        let failed = |path: &Path, cause| Failure::io(format!("read {}", path.display()), cause);
        let directory = self.directory.clone();
        let days = fs::read_dir(&directory).map_err(|cause| failed(&directory, cause))?;
        for folder in days {
            let folder = folder.map_err(|cause| failed(&directory, cause))?;
            let name = folder.file_name();
            let Some(day) = name.to_str().and_then(calendar::of_folder) else {
                continue;
            };
            let path = folder.path();
            if !fs::symlink_metadata(&path).is_ok_and(|found| found.is_dir()) {
                continue;
            }
            remove_leftovers(&path);
            remove_unpublished(&path);
            let mut found = Vec::new();
            for file in fs::read_dir(&path).map_err(|cause| failed(&path, cause))? {
                let file = file.map_err(|cause| failed(&path, cause))?;
                let is_regular = file.file_type().is_ok_and(|kind| kind.is_file());
                let name = file.file_name();
                let Some(name) = name.to_str().filter(|_| is_regular) else {
                    continue;
                };
                // Another format of the same rows may stand beside it.
                if format_of(name) != Some(format_word(format)) {
                    continue;
                }
                if let Some((from, until)) = self.range(name) {
                    let path = file.path();
                    found.push(Owned { path, from, until });
                } else if name.starts_with(of_journal) {
                    let lake = sentence(&directory.display().to_string());
                    return Err(Failure::Usage(format!(
                        "{lake} has rows of this journal that other filters chose, or by the days \
                         of another zone, or with other columns: rows would be there twice; give \
                         another folder, or the filters, --zone and --inputs of before"
                    )));
                }
            }
            let found = without_covered(found)?;
            if !found.is_empty() {
                self.owned.insert(day, found);
            }
        }
        Ok(())
    }

    /// The entries that a file of this name covers, if it is of this journal and selection.
    fn range(&self, name: &str) -> Option<(u64, u64)> {
        let rest = name.strip_prefix(&self.prefix)?;
        let (range, _) = rest.split_once('.')?;
        let (from, until) = range.split_once('-')?;
        let range = (from.parse().ok()?, until.parse().ok()?);
        (range.0 < range.1).then_some(range)
    }

    /// The folder of a day, created.
    pub fn folder(&self, day: i64) -> Result<PathBuf> {
        let folder = self.directory.join(calendar::folder(day));
        create_folder(&folder)?;
        Ok(folder)
    }

    /// Makes the changes, and the folders of days durable.
    pub fn publish(&self, changes: &[FolderChange]) -> Result<()> {
        let failed = |cause| Failure::io(format!("write {}", self.directory.display()), cause);
        // The folders' own names before a file in one counts, and once more without those that
        // went.
        sync_folder(&self.directory).map_err(failed)?;
        file::publish(changes)?;
        sync_folder(&self.directory).map_err(failed)
    }

    /// The file of a day that covers these entries.
    pub fn file(&self, day: i64, from: u64, until: u64) -> PathBuf {
        let name = format!("{}{from}-{until}{}", self.prefix, self.ending);
        self.directory.join(calendar::folder(day)).join(name)
    }

    /// The files of a day.
    pub fn owned(&self, day: i64) -> &[Owned] {
        self.owned.get(&day).map_or(&[], Vec::as_slice)
    }

    /// The days that have files.
    pub fn days(&self) -> impl Iterator<Item = i64> {
        self.owned.keys().copied()
    }
}

/// Removes the files whose entries another one covers too.
fn without_covered(mut files: Vec<Owned>) -> Result<Vec<Owned>> {
    files.sort_by(|a, b| (a.from, b.until, &a.path).cmp(&(b.from, a.until, &b.path)));
    let mut kept: Vec<Owned> = Vec::new();
    for file in files {
        let is_covered = kept.last().is_some_and(|last| file.until <= last.until);
        if !is_covered {
            kept.push(file);
            continue;
        }
        fs::remove_file(&file.path).map_err(|cause| {
            let what = format!("remove {}, which is replaced", file.path.display());
            Failure::io(what, cause)
        })?;
    }
    Ok(kept)
}

/// How names of files of this format end, without compression.
fn extension(format: Format) -> String {
    format!(".{}", format_word(format))
}

fn format_word(format: Format) -> &'static str {
    match format {
        Format::Jsonl => "jsonl",
        Format::Csv(_) => "csv",
        Format::Parquet => "parquet",
    }
}

/// The format that a name says, compressed or not.
fn format_of(name: &str) -> Option<&str> {
    let path = Path::new(name);
    let plain = match Compression::of_name(path) {
        Some(_) => Path::new(path.file_stem()?),
        None => path,
    };
    plain.extension()?.to_str()
}

/// Creates a folder, but nothing above it; whether it was not there.
fn create_folder(folder: &Path) -> Result<bool> {
    match fs::create_dir(folder) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(false),
        Err(cause) => Err(Failure::io(format!("create {}", folder.display()), cause)),
    }
}

/// Locks a folder itself, so that nothing has to lie in it. Files appear and go in it while the
/// lock is held, and no other export may count on what it saw before.
fn lock(directory: &Path) -> Result<Option<File>> {
    // Elsewhere a folder cannot be opened.
    let Ok(folder) = File::open(directory) else {
        return Ok(None);
    };
    let begin = Instant::now();
    let mut is_said = false;
    loop {
        match folder.try_lock() {
            Ok(()) => return Ok(Some(folder)),
            Err(TryLockError::WouldBlock) => {}
            // This file system has no locks.
            Err(TryLockError::Error(_)) => return Ok(None),
        }
        let waited = begin.elapsed();
        if waited >= PATIENCE {
            let what = format!("write to {}", directory.display());
            let why = "another export has been writing to it for 10 minutes: let it end first";
            return Err(Failure::io(what, io::Error::other(why)));
        }
        if waited >= SAID && !is_said {
            is_said = true;
            let name = sentence(&directory.display().to_string());
            anstream::eprintln!("annals: waiting for another export into {name}");
        }
        std::thread::sleep(LOOK);
    }
}

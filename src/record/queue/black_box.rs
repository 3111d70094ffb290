//! The files of a run's black box besides its lanes: `head` says when ticks were which time, and
//! what was lost; `names` has the text of each number that a record may name; `journal` says where
//! the journal lies.
//!
//! All are read after the death of their process as bytes of which none is believed.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use annals_mapping::{PAGE_BYTES, SharedWords};
use xxhash_rust::xxh3::xxh3_64;

use super::lane::{self, Lane, RING_WORDS};
use super::local_names::{LocalNames, NamesLog};
use crate::engine::format::name::NameKind;
use crate::entry::clock::Anchor;
use crate::entry::ids::{JournalId, RunId};
use crate::entry::timestamp::Timestamp;
use crate::fs::lock::{self, FileLock};
use crate::fs::machine_clock::boot_id;
use crate::fs::shared_memory::{BlackBox, BlackBoxes, BoxName, NoBlackBox, ROOT};
use crate::threads::sync::atomic::Ordering;

const LOCK: &str = "lock";
const HEAD: &str = "head";
const NAMES: &str = "names";
const JOURNAL: &str = "journal";
/// Files of a box besides its lanes.
const FILES: usize = 4;
/// The format of the head, in its first word.
const MAGIC: u64 = u64::from_le_bytes(*b"annhead1");
const RUN: usize = 1;
/// Two readings of the clocks, each in a line of its own: whether it is whole, its number, and four
/// words more.
const READINGS: [usize; 2] = [8, 16];
/// Calls that were lost so far, by reason.
const LOSSES: [usize; 2] = [24, 25];
/// The names take no more bytes.
const MOST_NAMES: u64 = 64 << 20;
/// The longest path that the system takes, behind its checksum.
const MOST_PATH: u64 = 8 + 4_096;
/// Bytes of a name before its text: a checksum of the rest, the number, the kind, the length.
const NAME_HEAD: usize = 8 + 4 + 1 + 4;

/// The black box of a run of this process.
#[derive(Debug)]
pub(crate) struct RunBox {
    boxes: BlackBoxes,
    /// Its directory, which keeps its descriptor when it gets another name.
    directory: BlackBox,
    name: Mutex<BoxName>,
    head: SharedWords,
    /// Held while the process lives. A copy of the journal has the same identity and runs: its
    /// opener must not take the box of the living one.
    _lock: FileLock,
}

/// What lies in shared memory beside the ticks of the records.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    pub(crate) anchor: Anchor,
    /// KiB plus one; 0 is unknown.
    pub(crate) memory: u64,
}

impl RunBox {
    /// Creates the black box of `run` of the journal in `place`, with room for lanes of `wanted`
    /// bytes.
    pub(crate) fn create(
        place: &Path,
        journal: JournalId,
        run: RunId,
        wanted: u64,
        reading: Reading,
    ) -> Result<RunBox, NoBlackBox> {
        let boxes = BlackBoxes::open_or_create(Path::new(ROOT))?;
        let boot = boot_id().map_err(|error| NoBlackBox::System {
            path: ROOT.into(),
            why: error.to_string(),
        })?;
        let name = BoxName { journal, run, boot };
        let directory = boxes.create(&name, wanted)?;
        let lock = FileLock::hold(&directory.path().join(LOCK));
        let head = lock.and_then(|lock| {
            // Behind the lock: a box that says where its journal lies was locked while its process
            // lived.
            let mut file = directory.create_log(JOURNAL)?;
            file.write_all(&path_record(place))?;
            Ok((lock, directory.create_words(HEAD, 1)?))
        });
        let (lock, head) = match head {
            Ok((Some(lock), head)) => (lock, head),
            other => {
                let why = other.map_or_else(|error| error.to_string(), |_| "in use".to_owned());
                let path = directory.path().to_owned();
                // The first error is the one to know.
                let _ = boxes.remove(&name);
                return Err(NoBlackBox::System { path, why });
            }
        };
        let made = RunBox {
            boxes,
            directory,
            name: Mutex::new(name),
            head,
            _lock: lock,
        };
        made.head.words()[RUN].store(u64::from(run.get()), Ordering::Release);
        made.note(0, reading);
        made.head.words()[0].store(MAGIC, Ordering::Release);
        Ok(made)
    }

    fn name(&self) -> BoxName {
        let name = self.name.lock().unwrap_or_else(PoisonError::into_inner);
        name.clone()
    }

    /// The file of names, to be written before a number is used.
    pub(crate) fn names_log(&self) -> io::Result<NamesLog> {
        Ok(Box::new(names_writer(self.directory.create_log(NAMES)?)))
    }

    /// Creates one more lane.
    pub(crate) fn create_lane(&self, number: u32) -> io::Result<Lane> {
        Lane::create(&self.directory, number, RING_WORDS)
    }

    /// Bytes of the shared memory that nobody has.
    pub(crate) fn free_bytes(&self) -> u64 {
        self.boxes.free_bytes().unwrap_or(0)
    }

    /// Notes a reading of the clocks, with a number that is one higher than the last.
    pub(crate) fn note(&self, number: u64, reading: Reading) {
        let first = READINGS[usize::from(!number.is_multiple_of(2))];
        let Some((whole, rest)) = self.head.words()[first..].split_first() else {
            return;
        };
        let [ticks, wall, rate] = reading.anchor.to_words();
        // In this order also for whoever reads after a death between two of the stores.
        whole.store(0, Ordering::Release);
        for (word, value) in rest.iter().zip([number, ticks, wall, rate, reading.memory]) {
            word.store(value, Ordering::Release);
        }
        whole.store(1, Ordering::Release);
    }

    /// Notes how many calls were lost so far, by reason.
    pub(crate) fn note_losses(&self, losses: [u64; 2]) {
        for (place, lost) in LOSSES.into_iter().zip(losses) {
            self.head.words()[place].fetch_max(lost, Ordering::Release);
        }
    }

    /// Whether an opener would find it, and all of its `lanes`.
    pub(crate) fn is_kept(&self, lanes: usize) -> bool {
        let found = self.boxes.find(&self.name());
        let files = found.and_then(|found| {
            let path = found.path().to_owned();
            found.files().map_err(|error| NoBlackBox::System {
                path,
                why: error.to_string(),
            })
        });
        files.is_ok_and(|files| files.len() >= lanes + FILES)
    }

    /// The box is `run`'s from here on.
    pub(crate) fn move_to_run(&self, run: RunId) -> Result<(), NoBlackBox> {
        let mut name = self.name.lock().unwrap_or_else(PoisonError::into_inner);
        let next = BoxName {
            run,
            ..name.clone()
        };
        self.boxes.rename(&name, &next)?;
        *name = next;
        Ok(())
    }

    /// Removes it. Its words can still be written, and are in no file.
    pub(crate) fn remove(&self) {
        // A later opener of the journal tries again.
        let _ = self.boxes.remove(&self.name());
    }
}

/// Writes each name that it is given; returns whether it is in the file.
fn names_writer(mut file: File) -> impl FnMut(u32, NameKind, &str) -> bool + Send + Sync {
    let mut bytes = 0;
    let mut is_whole = true;
    move |number, kind, text| {
        let mut record = vec![0; 8];
        record.extend(number.to_le_bytes());
        record.push(kind as u8);
        record.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
        record.extend(text.as_bytes());
        let checksum = xxh3_64(record.get(8..).unwrap_or_default());
        if let Some(place) = record.first_chunk_mut() {
            *place = checksum.to_le_bytes();
        }
        bytes += record.len() as u64;
        // What comes behind half of a name cannot be read.
        is_whole = is_whole && bytes <= MOST_NAMES && file.write_all(&record).is_ok();
        is_whole
    }
}

/// Where the journal lies, behind a checksum.
fn path_record(place: &Path) -> Vec<u8> {
    // Links on the way may change, and so may the process's directory.
    let path = fs::canonicalize(place).or_else(|_| std::path::absolute(place));
    let path = path.unwrap_or_else(|_| place.to_owned());
    let path = path.as_os_str().as_bytes();
    let mut record = xxh3_64(path).to_le_bytes().to_vec();
    record.extend(path);
    record
}

fn parse_path(record: &[u8]) -> Option<PathBuf> {
    let (checksum, path) = record.split_first_chunk()?;
    let is_whole = xxh3_64(path) == u64::from_le_bytes(*checksum);
    let path = PathBuf::from(OsString::from_vec(path.to_vec()));
    (is_whole && path.is_absolute()).then_some(path)
}

/// A black box that no process has.
#[derive(Clone, Debug)]
pub(crate) struct LeftBox {
    pub(crate) name: BoxName,
    pub(crate) path: PathBuf,
    /// Where its journal lay, or why that is not known.
    pub(crate) place: Result<PathBuf, String>,
    pub(crate) created: Timestamp,
    pub(crate) bytes: u64,
}

/// Removes a black box if `is_left` holds while its lock is held; returns whether it is gone.
pub(crate) fn remove_left(
    root: &Path,
    name: &BoxName,
    is_left: impl FnOnce() -> bool,
) -> Result<bool, NoBlackBox> {
    let boxes = BlackBoxes::open(root)?;
    let found = match boxes.find(name) {
        // Somebody else was faster.
        Err(NoBlackBox::Missing(_)) => return Ok(true),
        found => found?,
    };
    let path = found.path().join(LOCK);
    // Held until the box is gone: an opener finds all of it or nothing.
    let lock = FileLock::hold(&path).map_err(|error| NoBlackBox::System {
        path,
        why: error.to_string(),
    })?;
    if lock.is_none() || !is_left() {
        return Ok(false);
    }
    boxes.remove(name)?;
    Ok(true)
}

/// The black boxes of this user below `root` that no process has, of all journals.
pub(crate) fn all_left(root: &Path) -> Result<Vec<LeftBox>, NoBlackBox> {
    let boxes = match BlackBoxes::open(root) {
        Err(NoBlackBox::Missing(_)) => return Ok(Vec::new()),
        boxes => boxes?,
    };
    let names = boxes.list().map_err(|error| NoBlackBox::System {
        path: root.to_owned(),
        why: error.to_string(),
    })?;
    let left = names.into_iter().filter_map(|name| {
        let path = boxes.path_of(&name);
        let directory = match boxes.find(&name) {
            Err(NoBlackBox::Missing(_)) => return None,
            Ok(directory) if lock::is_held(&directory.path().join(LOCK)) => return None,
            directory => directory,
        };
        let usage = directory.as_ref().ok().and_then(|found| found.usage().ok());
        let (bytes, created) = usage.unwrap_or_default();
        let place = directory.and_then(|found| found.read(JOURNAL, MOST_PATH));
        let place = place.map_err(|error| error.to_string()).and_then(|record| {
            parse_path(&record).ok_or_else(|| format!("{JOURNAL} in it has no path"))
        });
        Some(LeftBox {
            name,
            path,
            place,
            created: Timestamp::from_micros(created),
            bytes,
        })
    });
    Ok(left.collect())
}

/// What a black box has besides its lanes.
#[derive(Debug)]
pub(crate) struct DeadBox {
    directory: BlackBox,
    pub(crate) reading: Reading,
    pub(crate) losses: [u64; 2],
    pub(crate) lanes: Vec<u32>,
}

/// The black boxes of a journal that was opened by processes that are dead now.
pub(crate) fn left(journal: JournalId) -> Vec<RunId> {
    let found = BlackBoxes::open(Path::new(ROOT)).ok().zip(boot_id().ok());
    let Some((boxes, boot)) = found else {
        return Vec::new();
    };
    let names = boxes.list().unwrap_or_default().into_iter();
    let its = names.filter(|name| name.journal == journal && name.boot == boot);
    its.map(|name| name.run).collect()
}

/// Removes the black box of a run that is dead.
pub(crate) fn forget(journal: JournalId, run: RunId) {
    if let (Ok(boxes), Ok(boot)) = (BlackBoxes::open(Path::new(ROOT)), boot_id()) {
        let name = BoxName { journal, run, boot };
        let is_dead = |found: BlackBox| !lock::is_held(&found.path().join(LOCK));
        // Another opener may have been faster; a later one tries again.
        if boxes.find(&name).is_ok_and(is_dead) {
            let _ = boxes.remove(&name);
        }
    }
}

impl DeadBox {
    /// Opens the black box of a dead run. `None` if there is none, or none that can be read.
    pub(crate) fn open(journal: JournalId, run: RunId) -> Option<DeadBox> {
        let boxes = BlackBoxes::open(Path::new(ROOT)).ok()?;
        let boot = boot_id().ok()?;
        let directory = boxes.find(&BoxName { journal, run, boot }).ok()?;
        if !is_left(&directory) {
            return None;
        }
        let head = directory.read(HEAD, PAGE_BYTES as u64).ok()?;
        let (reading, losses) = parse_head(&head)?;
        let files = directory.files().ok()?;
        let lanes = files.iter().filter_map(|name| lane::number_of(name));
        let lanes = lanes.collect();
        Some(DeadBox {
            directory,
            reading,
            losses,
            lanes,
        })
    }

    /// The names that the records use, under the same numbers. Ends before the first that is torn.
    pub(crate) fn names(&self) -> LocalNames {
        let bytes = self.directory.read(NAMES, MOST_NAMES).unwrap_or_default();
        parse_names(&bytes)
    }

    /// The bytes of a lane.
    pub(crate) fn lane(&self, number: u32) -> Option<Vec<u8>> {
        let name = lane::file_name(number);
        self.directory.read(&name, lane::MOST_BYTES).ok()
    }
}

/// Whether no process has the box any more. A process that ends lets go of its locks one after the
/// other: the run's may be free a moment before this one.
fn is_left(directory: &BlackBox) -> bool {
    const MOST: Duration = Duration::from_secs(1);
    const PAUSE: Duration = Duration::from_millis(1);
    let path = directory.path().join(LOCK);
    let began = Instant::now();
    while lock::is_held(&path) {
        if began.elapsed() >= MOST {
            return false;
        }
        thread::sleep(PAUSE);
    }
    true
}

fn parse_head(bytes: &[u8]) -> Option<(Reading, [u64; 2])> {
    let words: Vec<u64> = bytes
        .as_chunks::<8>()
        .0
        .iter()
        .map(|w| u64::from_ne_bytes(*w))
        .collect();
    if words.first() != Some(&MAGIC) {
        return None;
    }
    let readings = READINGS.iter().filter_map(|first| {
        let [whole, number, ticks, wall, rate, memory] = *words.get(*first..)?.first_chunk()?;
        let anchor = Anchor::from_words([ticks, wall, rate]);
        (whole == 1).then_some((number, Reading { anchor, memory }))
    });
    let (_, reading) = readings.max_by_key(|(number, _)| *number)?;
    let losses = LOSSES.map(|place| words.get(place).copied().unwrap_or(0));
    Some((reading, losses))
}

fn parse_names(mut bytes: &[u8]) -> LocalNames {
    let names = LocalNames::new(usize::MAX);
    for number in 1_u32.. {
        let Some((head, rest)) = bytes.split_first_chunk::<NAME_HEAD>() else {
            break;
        };
        let [
            c0,
            c1,
            c2,
            c3,
            c4,
            c5,
            c6,
            c7,
            n0,
            n1,
            n2,
            n3,
            kind,
            l0,
            l1,
            l2,
            l3,
        ] = *head;
        let length = usize::try_from(u32::from_le_bytes([l0, l1, l2, l3])).unwrap_or(usize::MAX);
        let Some((text, behind)) = rest.split_at_checked(length) else {
            break;
        };
        let checked = &bytes[8..NAME_HEAD + length];
        let is_whole = xxh3_64(checked) == u64::from_le_bytes([c0, c1, c2, c3, c4, c5, c6, c7]);
        let is_next = u32::from_le_bytes([n0, n1, n2, n3]) == number;
        let (Some(kind), Ok(text)) = (NameKind::of(kind), std::str::from_utf8(text)) else {
            break;
        };
        let known = (is_whole && is_next).then(|| names.intern(kind, text));
        // A name that stands there twice would shift all numbers behind it.
        if known
            .flatten()
            .is_none_or(|(known, _)| known.get() != number)
        {
            break;
        }
        bytes = behind;
    }
    names
}

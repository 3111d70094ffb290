//! Which files and lines of one kind a policy gives up, and why. It changes nothing: the clean-up
//! and retention plans carry it out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::time::{Duration, SystemTime};

use flate2::read::GzDecoder;

use super::place::FoundFile;
use crate::engine::elapsed::Elapsed;
use crate::entry::timestamp::Timestamp;
use crate::fs::disk;
use crate::options::retention::{RetentionPolicy, in_days, too_old};

/// The answer for one kind of file.
pub(super) struct Surplus<'f> {
    /// Files that go, oldest first.
    pub(super) whole: Vec<SurplusFile<'f>>,
    /// The file that a limit of lines divides.
    pub(super) first_lines: Option<SurplusLines<'f>>,
    /// Why files stay that exceed a limit.
    pub(super) held_back: Vec<String>,
}

pub(super) struct SurplusFile<'f> {
    pub(super) name: &'f str,
    /// The limit that it exceeds.
    pub(super) reason: String,
}

/// The first lines of a file exceed the limit of lines, and the others do not.
pub(super) struct SurplusLines<'f> {
    pub(super) file: &'f FoundFile,
    pub(super) lines: u64,
}

/// The part of the files `found`, all of one kind, that `policy` gives up. The `current` file is
/// never given up whole. Ages are checked against `elapsed`.
pub(super) fn of<'f>(
    directory: &Path,
    found: &'f [FoundFile],
    current: &str,
    policy: &RetentionPolicy,
    elapsed: Option<&Elapsed>,
) -> io::Result<Surplus<'f>> {
    let mut over = over_limits(directory, found, current, policy)?;
    let mut held_back = Vec::new();
    if let Some(age) = policy.max_age {
        let mut unproven = 0_u64;
        for file in others(found, current) {
            match age_of(&directory.join(&file.name), age, elapsed)? {
                LogFileAge::Within => {}
                LogFileAge::Exceeded => {
                    over.entry(&*file.name).or_insert_with(|| too_old(age));
                }
                // A file that goes by another limit needs no proof of its age.
                LogFileAge::Unproven => unproven += u64::from(!over.contains_key(&*file.name)),
            }
        }
        if unproven > 0 {
            let (files, stay) = match unproven {
                1 => ("1 file is".to_owned(), "stays"),
                more => (format!("{more} files are"), "stay"),
            };
            let age = in_days(age);
            held_back.push(format!(
                "{files} older than {age} by the wall clock alone and {stay}"
            ));
        }
    }
    let kept = with_newest(directory, found, policy, !over.is_empty())?;
    if let Some(lines) = policy.keep_latest
        && kept.iter().any(|name| over.contains_key(name))
    {
        held_back.push(format!("the newest {lines} lines stay (keep_latest)"));
    }
    over.retain(|name, _| !kept.contains(name));
    let first_lines = match policy.max_count {
        None => None,
        Some(most) => {
            // The lines that a rule keeps are the newest as well.
            let lines = most.max(policy.keep_latest.unwrap_or(0));
            let reason = format!("beyond the newest {most} lines (max_count)");
            beyond(directory, found, current, lines, &reason, &mut over)?
        }
    };
    // In the order of the files, so that an interrupted clean-up leaves no hole.
    let whole = found.iter().filter_map(|file| {
        let name = &*file.name;
        over.remove(name).map(|reason| SurplusFile { name, reason })
    });
    Ok(Surplus {
        whole: whole.collect(),
        first_lines,
        held_back,
    })
}

/// The files that go by limits of files and bytes alone, oldest first.
pub(super) fn of_files<'f>(
    directory: &Path,
    found: &'f [FoundFile],
    current: &str,
    policy: &RetentionPolicy,
) -> io::Result<Vec<&'f FoundFile>> {
    let over = over_limits(directory, found, current, policy)?;
    let kept = with_newest(directory, found, policy, !over.is_empty())?;
    let goes = |file: &&FoundFile| over.contains_key(&*file.name) && !kept.contains(&*file.name);
    Ok(found.iter().filter(goes).collect())
}

/// Files that are no longer written, oldest first.
pub(super) fn others<'f>(
    found: &'f [FoundFile],
    current: &str,
) -> impl DoubleEndedIterator<Item = &'f FoundFile> {
    found.iter().filter(move |file| file.name != current)
}

/// The files that exceed a limit of files or bytes, with the reason. The current file counts
/// first, also one that is about to be begun; then the others from the newest.
fn over_limits<'f>(
    directory: &Path,
    found: &'f [FoundFile],
    current: &str,
    policy: &RetentionPolicy,
) -> io::Result<BTreeMap<&'f str, String>> {
    let length = |file: &FoundFile| {
        let path = directory.join(&file.name);
        fs::symlink_metadata(path).map(|known| known.len())
    };
    // The current file counts, and is never given up.
    let mut bytes = match found.iter().find(|file| file.name == current) {
        Some(file) if policy.max_bytes.is_some() => length(file)?,
        _ => 0,
    };
    let mut over = BTreeMap::new();
    // From 2 on: the current file is the newest one.
    for (count, file) in (2_u64..).zip(others(found, current).rev()) {
        if policy.max_bytes.is_some() {
            bytes = bytes.saturating_add(length(file)?);
        }
        let files = policy.max_files.filter(|most| count > *most);
        let reason = match files {
            Some(most) => Some(format!("beyond the newest {most} files (max_files)")),
            // Lines are counted elsewhere.
            None => policy.exceeded(0, bytes),
        };
        if let Some(reason) = reason {
            over.insert(&*file.name, reason);
        }
    }
    Ok(over)
}

/// The newest files that together have the lines of the keep rule; none if nothing `is_over` a
/// limit. Decodes the files as far as that.
fn with_newest<'f>(
    directory: &Path,
    found: &'f [FoundFile],
    policy: &RetentionPolicy,
    is_over: bool,
) -> io::Result<BTreeSet<&'f str>> {
    let mut kept = BTreeSet::new();
    // Counting lines reads whole files, so it is done only where some are to go.
    let mut left = policy.keep_latest.filter(|_| is_over).unwrap_or(0);
    for file in found.iter().rev() {
        if left == 0 {
            break;
        }
        let has = count_lines(&directory.join(&file.name), file.compressed)?;
        left = left.saturating_sub(has);
        kept.insert(&*file.name);
    }
    Ok(kept)
}

/// Adds files whose lines are all beyond the newest `lines` to `over`, and returns the file that
/// the limit divides. Files that go already do not count.
fn beyond<'f>(
    directory: &Path,
    found: &'f [FoundFile],
    current: &str,
    lines: u64,
    reason: &str,
    over: &mut BTreeMap<&'f str, String>,
) -> io::Result<Option<SurplusLines<'f>>> {
    let mut left = lines;
    let mut divided = None;
    for file in found.iter().rev() {
        if over.contains_key(&*file.name) {
            continue;
        }
        // All lines that stay have been found in newer files: this one is not even read.
        if left == 0 && file.name != current {
            over.insert(&*file.name, reason.to_owned());
            continue;
        }
        let has = count_lines(&directory.join(&file.name), file.compressed)?;
        if has > left {
            let lines = has - left;
            divided = Some(SurplusLines { file, lines });
        }
        left = left.saturating_sub(has);
    }
    Ok(divided)
}

/// A file's age against the limit.
enum LogFileAge {
    Within,
    Exceeded,
    /// Older by the wall clock alone.
    Unproven,
}

fn age_of(path: &Path, age: Duration, elapsed: Option<&Elapsed>) -> io::Result<LogFileAge> {
    let written = fs::metadata(path)?.modified()?;
    // A file from the future is not old.
    let since = SystemTime::now().duration_since(written);
    // The clock of that time may have jumped since.
    let written = Timestamp::from(written);
    let certain = elapsed.and_then(|elapsed| elapsed.since_wall(written));
    Ok(match since.is_ok_and(|since| since > age) {
        false => LogFileAge::Within,
        true if certain.is_none_or(|certain| certain > age) => LogFileAge::Exceeded,
        true => LogFileAge::Unproven,
    })
}

/// Opens a file for its text.
pub(super) fn open(path: &Path, compressed: bool) -> io::Result<Box<dyn Read>> {
    let file = disk::open_regular(path)?;
    Ok(if compressed {
        Box::new(GzDecoder::new(file))
    } else {
        Box::new(file)
    })
}

/// The number of a file's lines. Reads all of it, and holds 64 KiB.
pub(super) fn count_lines(path: &Path, compressed: bool) -> io::Result<u64> {
    let mut reader = open(path, compressed)?;
    let mut buffer = vec![0; 64 << 10];
    let mut lines = 0;
    loop {
        let read = reader.read(&mut buffer)?;
        if read == 0 {
            return Ok(lines);
        }
        let ends = buffer[..read].iter().filter(|byte| **byte == b'\n');
        lines += ends.count() as u64;
    }
}

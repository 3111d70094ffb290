//! Clean-up of old files: by age, by number, by lines; and their compression.

use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom};
use std::path::Path;
use std::time::{Duration, SystemTime};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use super::files::Files;
use super::place;
use super::place::{FilePart, FoundFile};
use crate::engine::elapsed::Elapsed;
use crate::entry::timestamp::Timestamp;
use crate::fs::disk;
use crate::fs::disk::NewFile;
use crate::options::logs::{LogKind, Mirror};
use crate::options::retention::RetentionPolicy;

/// Bytes of a line that is shown from a compressed file; longer ones are left out.
const LONGEST_LINE: usize = 1 << 20;

/// Bytes of lines that are held for so many `wanted`: what lies further back is not looked for.
fn most_held(wanted: usize) -> usize {
    wanted.saturating_mul(1 << 10).max(16 << 20)
}

/// Result of a clean-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cleaned {
    /// Files deleted.
    pub deleted: u64,
    /// Files compressed.
    pub compressed: u64,
    /// Files whose first lines were cut off.
    pub cut: u64,
}

/// Applies the settings to all files in `directory`.
/// Ages are checked against `elapsed`.
pub(super) fn clean(
    directory: &Path,
    settings: &Mirror,
    files: &mut Files,
    elapsed: Option<&Elapsed>,
) -> io::Result<Cleaned> {
    let mut cleaned = Cleaned::default();
    for kind in LogKind::ALL {
        let Some(current) = files.current(kind) else {
            continue;
        };
        if let Some(policy) = &settings.retention {
            let found = place::files(directory, kind)?;
            let mut over = surplus(directory, &found, &current, policy)?;
            if let Some(age) = policy.max_age {
                for file in others(&found, &current) {
                    if is_older(&directory.join(&file.name), age, elapsed)? {
                        over.insert(&file.name);
                    }
                }
            }
            cleaned.deleted += delete(directory, &found, &over, policy)?;
            if let Some(lines) = policy.max_count {
                // The lines that a rule keeps are the newest as well.
                let lines = lines.max(policy.keep_latest.unwrap_or(0));
                keep_lines(directory, kind, lines, files, &mut cleaned)?;
            }
        }
        if settings.compress {
            for file in others(&place::files(directory, kind)?, &current) {
                if !file.compressed && compress(directory, &file.name)? {
                    cleaned.compressed += 1;
                }
            }
        }
    }
    Ok(cleaned)
}

/// Makes room for the next file of each kind, which does not exist yet. The state that names it is
/// stored: a crash does not go back to files that are removed here.
pub(super) fn make_room(directory: &Path, settings: &Mirror, files: &Files) -> io::Result<()> {
    let Some(policy) = settings
        .retention
        .as_ref()
        .filter(|policy| policy.limits_files())
    else {
        return Ok(());
    };
    for kind in LogKind::ALL {
        let Some(current) = files.current(kind) else {
            continue;
        };
        let found = place::files(directory, kind)?;
        let over = surplus(directory, &found, &current, policy)?;
        delete(directory, &found, &over, policy)?;
    }
    Ok(())
}

/// Files that are no longer written, oldest first.
fn others<'f>(found: &'f [FoundFile], current: &str) -> impl Iterator<Item = &'f FoundFile> {
    found.iter().filter(move |file| file.name != current)
}

/// The files of one kind that exceed a limit of files or bytes. The current file counts first, also
/// one that is about to be begun; then the others from the newest.
fn surplus<'f>(
    directory: &Path,
    found: &'f [FoundFile],
    current: &str,
    policy: &RetentionPolicy,
) -> io::Result<BTreeSet<&'f str>> {
    let length = |file: &FoundFile| {
        let path = directory.join(&file.name);
        fs::symlink_metadata(path).map(|known| known.len())
    };
    let mut bytes = match found.iter().find(|file| file.name == current) {
        Some(file) if policy.max_bytes.is_some() => length(file)?,
        _ => 0,
    };
    let mut surplus = BTreeSet::new();
    let others = found.iter().rev().filter(|file| file.name != current);
    for (count, file) in (2_u64..).zip(others) {
        if policy.max_bytes.is_some() {
            bytes = bytes.saturating_add(length(file)?);
        }
        let is_over = policy.max_files.is_some_and(|most| count > most)
            || policy.max_bytes.is_some_and(|most| bytes > most);
        if is_over {
            surplus.insert(&*file.name);
        }
    }
    Ok(surplus)
}

/// Deletes `surplus` files, oldest first, but those with some of the newest lines that a rule
/// keeps. Returns how many.
fn delete(
    directory: &Path,
    found: &[FoundFile],
    surplus: &BTreeSet<&str>,
    policy: &RetentionPolicy,
) -> io::Result<u64> {
    let kept = match policy.keep_latest {
        Some(lines) if !surplus.is_empty() => with_newest(directory, found, lines)?,
        _ => BTreeSet::new(),
    };
    let mut deleted = 0;
    for file in found {
        if surplus.contains(&*file.name) && !kept.contains(&*file.name) {
            disk::remove(&directory.join(&file.name))?;
            deleted += 1;
        }
    }
    Ok(deleted)
}

/// The newest files that together have so many lines. Decodes them as far as that.
fn with_newest<'f>(
    directory: &Path,
    found: &'f [FoundFile],
    lines: u64,
) -> io::Result<BTreeSet<&'f str>> {
    let mut kept = BTreeSet::new();
    let mut left = lines;
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

fn is_older(path: &Path, age: Duration, elapsed: Option<&Elapsed>) -> io::Result<bool> {
    let written = fs::metadata(path)?.modified()?;
    // A file from the future is not old.
    let since = SystemTime::now().duration_since(written);
    // The clock of that time may have jumped since.
    let written = Timestamp::from(written);
    let certain = elapsed.and_then(|elapsed| elapsed.since_wall(written));
    Ok(since.is_ok_and(|since| since > age) && certain.is_none_or(|certain| certain > age))
}

fn keep_lines(
    directory: &Path,
    kind: LogKind,
    lines: u64,
    files: &mut Files,
    cleaned: &mut Cleaned,
) -> io::Result<()> {
    let mut left = lines;
    for file in place::files(directory, kind)?.iter().rev() {
        let path = directory.join(&file.name);
        let is_current = files
            .current(kind)
            .is_some_and(|current| current == file.name);
        if left == 0 && !is_current {
            disk::remove(&path)?;
            cleaned.deleted += 1;
            continue;
        }
        let has = count_lines(&path, file.compressed)?;
        if has <= left {
            left -= has;
            continue;
        }
        let surplus = has - left;
        left = 0;
        if is_current {
            files.rewrite(kind, |path| cut(directory, path, surplus))?;
            cleaned.cut += 1;
        } else if !file.compressed {
            cut(directory, &path, surplus)?;
            cleaned.cut += 1;
        }
    }
    Ok(())
}

fn open(path: &Path, compressed: bool) -> io::Result<Box<dyn Read>> {
    let file = disk::open_regular(path)?;
    Ok(if compressed {
        Box::new(GzDecoder::new(file))
    } else {
        Box::new(file)
    })
}

fn count_lines(path: &Path, compressed: bool) -> io::Result<u64> {
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

/// Removes the first `surplus` lines of a file by writing the rest aside and renaming it. Returns
/// the length of the file afterwards.
fn cut(directory: &Path, path: &Path, surplus: u64) -> io::Result<u64> {
    let mut reader = BufReader::new(disk::open_regular(path)?);
    for _ in 0..surplus {
        // Not into memory: a foreign line may have any length.
        if reader.skip_until(b'\n')? == 0 {
            break;
        }
    }
    let start = reader.stream_position()?;
    let mut source = reader.into_inner();
    source.seek(SeekFrom::Start(start))?;
    let aside = directory.join(".cut.new");
    let mut file = NewFile::begin(&aside)?;
    let length = io::copy(&mut source, &mut file)?;
    // Its name is durable before the state stores its length: otherwise the older file would be
    // cut.
    file.finish(path)?;
    Ok(length)
}

/// Replaces `name` by `name.gz`; returns whether it did. A crash leaves the one, the other or both.
/// An existing compressed file with other content is kept, and the plain one too.
fn compress(directory: &Path, name: &str) -> io::Result<bool> {
    let target = directory.join(format!("{name}.gz"));
    let path = directory.join(name);
    if fs::symlink_metadata(&target).is_ok() {
        let same = hold_the_same(&path, &target)?;
        if same {
            disk::remove(&path)?;
        }
        return Ok(same);
    }
    let aside = directory.join(".compressed.new");
    let file = NewFile::begin(&aside)?;
    let mut encoder = GzEncoder::new(BufWriter::new(file), Compression::default());
    io::copy(&mut disk::open_regular(&path)?, &mut encoder)?;
    let writer = encoder.finish()?;
    let file = writer
        .into_inner()
        .map_err(io::IntoInnerError::into_error)?;
    // Its name is durable before the plain file goes.
    file.finish(&target)?;
    disk::remove(&path)?;
    Ok(true)
}

/// Whether a plain file has the content of a compressed one.
fn hold_the_same(plain: &Path, compressed: &Path) -> io::Result<bool> {
    let mut plain = BufReader::new(disk::open_regular(plain)?);
    let mut compressed = BufReader::new(open(compressed, true)?);
    loop {
        let (one, other) = (plain.fill_buf()?, compressed.fill_buf()?);
        let length = one.len().min(other.len());
        if length == 0 || one[..length] != other[..length] {
            return Ok(one.is_empty() && other.is_empty());
        }
        plain.consume(length);
        compressed.consume(length);
    }
}

/// The last `n` lines of `kind` in `directory`, oldest first, compressed files included.
pub(super) fn recent(directory: &Path, kind: LogKind, n: usize) -> io::Result<Vec<String>> {
    let mut newest_first: Vec<String> = Vec::new();
    let files = place::files(directory, kind)?;
    let plain = files.iter().filter(|file| !file.compressed);
    let plain: BTreeSet<FilePart> = plain.map(|file| file.part).collect();
    for file in files.iter().rev() {
        if newest_first.len() >= n {
            break;
        }
        // A crash amid a compression leaves both.
        if file.compressed && plain.contains(&file.part) {
            continue;
        }
        let path = directory.join(&file.name);
        let wanted = n.saturating_sub(newest_first.len());
        let lines = if file.compressed {
            unpacked_lines(open(&path, true)?, wanted)?
        } else {
            tail(&path, wanted)?
        };
        newest_first.extend(lines);
    }
    newest_first.reverse();
    Ok(newest_first)
}

/// The last whole lines of a compressed file, newest first. Only those are held at any time: a few
/// bytes may unpack to more than there is memory.
fn unpacked_lines(text: impl Read, wanted: usize) -> io::Result<Vec<String>> {
    let mut reader = BufReader::new(text);
    let mut last: VecDeque<String> = VecDeque::new();
    let mut held = 0_usize;
    loop {
        let mut line = Vec::new();
        let most = LONGEST_LINE as u64;
        reader.by_ref().take(most).read_until(b'\n', &mut line)?;
        if line.is_empty() {
            break;
        }
        if line.pop() != Some(b'\n') {
            // Longer than any line that was written, or the end of a file that a crash cut short.
            reader.skip_until(b'\n')?;
            continue;
        }
        let line = String::from_utf8_lossy(&line).into_owned();
        held = held.saturating_add(line.len());
        last.push_back(line);
        while last.len() > wanted || held > most_held(wanted) {
            let first = last.pop_front();
            held = held.saturating_sub(first.map_or(0, |line| line.len()));
        }
    }
    Ok(last.into_iter().rev().collect())
}

/// The last whole lines of `text`, newest first.
fn last_lines(text: &str, wanted: usize) -> Vec<String> {
    // A line that is being written has no end yet, and is not given.
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    if whole.is_empty() {
        return Vec::new();
    }
    whole.rsplit('\n').take(wanted).map(str::to_owned).collect()
}

/// The last whole lines of a plain file, newest first, read from its end.
fn tail(path: &Path, wanted: usize) -> io::Result<Vec<String>> {
    let mut file = disk::open_regular(path)?;
    let length = file.metadata()?.len();
    let most = most_held(wanted) as u64;
    let mut span = (wanted as u64).saturating_mul(256).clamp(4_096, most);
    loop {
        let start = length.saturating_sub(span);
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        (&mut file)
            .take(length.saturating_sub(start))
            .read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes);
        // The first line of a span from the middle may be the end of a longer one.
        let whole = if start == 0 {
            &*text
        } else {
            text.split_once('\n').map_or("", |(_, rest)| rest)
        };
        let lines = last_lines(whole, wanted);
        if lines.len() >= wanted || start == 0 || span >= most {
            return Ok(lines);
        }
        span = span.saturating_mul(4).min(most);
    }
}

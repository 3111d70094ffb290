//! Clean-up of old files: it removes what a policy gives up, and compresses the rest.

use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::files::Files;
use super::place;
use super::place::FilePart;
use super::surplus;
use super::surplus::{SurplusLines, open, others};
use crate::engine::elapsed::Elapsed;
use crate::fs::disk;
use crate::fs::disk::NewFile;
use crate::options::logs::{LogKind, Mirror};

/// Bytes of a line that is shown from a compressed file; longer ones are left out.
const LONGEST_LINE: usize = 1 << 20;

/// Bytes of lines that are held for so many `wanted`: what lies further back is not looked for.
fn most_held(wanted: usize) -> usize {
    wanted.saturating_mul(1 << 10).max(16 << 20)
}

/// Result of a clean-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
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
            let surplus = surplus::of(directory, &found, &current, policy, elapsed)?;
            for file in surplus.whole {
                disk::remove(&directory.join(file.name))?;
                cleaned.deleted += 1;
            }
            if let Some(SurplusLines { file, lines }) = surplus.first_lines {
                if file.name == current {
                    files.rewrite(kind, |path| cut(directory, path, lines))?;
                    cleaned.cut += 1;
                } else if !file.compressed {
                    cut(directory, &directory.join(&file.name), lines)?;
                    cleaned.cut += 1;
                }
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
        for file in surplus::of_files(directory, &found, &current, policy)? {
            disk::remove(&directory.join(&file.name))?;
        }
    }
    Ok(())
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
    if fs::symlink_metadata(&path).is_err() {
        // Another process has applied a retention plan: the file must not come back packed.
        disk::remove(&target)?;
        return Ok(false);
    }
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

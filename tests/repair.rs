//! Journals are damaged in many ways and repaired. Readable entries are there afterwards, under
//! their sequences. The missing ones are exactly those that are reported as lost, and gaps stand
//! for them.

#![cfg(all(unix, not(annals_portable)))]
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use annals::entry::GapReason;
use annals::maintenance::{Repaired, repair};
use annals::{
    Content, Entry, Error, Inference, Journal, Level, Maintenance, Options, Outcome, Reader,
};
use support::{BOUND, flush};
use tempfile::TempDir;

const IN_SEGMENTS: u32 = 6_000;
/// Beyond the end of all journals here.
const BEYOND: u64 = 10_000;
/// How many entries are read one by one behind one that cannot be read.
const SINGLY: u64 = 500;

fn options() -> Options {
    Journal::options().without_mirror().seal_bytes(1 << 16)
}

fn log(journal: &Journal, from: u32, count: u32) {
    for number in from..from + count {
        let features = [number as f32, 1.0];
        let symbol = format!("S{}", number / 2_000);
        let inference = Inference::new("dqn_agent", &symbol, "BUY")
            .probabilities(&[("BUY", 0.7), ("SELL", 0.3)])
            .features(&features);
        let id = journal.log(inference).unwrap();
        if number % 50 == 0 {
            journal.attach_outcome(id, Outcome::new().reward(f64::from(number)));
            journal.event(Level::Info, "repair", format!("event {number}"));
        }
        // Blocks of the hot file are small, so that there are several.
        if number % 100 == 99 {
            flush(journal);
        }
    }
    flush(journal);
}

/// A closed journal with several segments and several blocks in its hot file.
struct Original {
    _directory: TempDir,
    dir: PathBuf,
    known: BTreeMap<u64, String>,
}

impl Original {
    fn new() -> Original {
        let directory = in_memory();
        let dir = directory.path().join("data");
        let journal = options().open(&dir).unwrap();
        for part in 0..3 {
            log(&journal, part * IN_SEGMENTS / 3, IN_SEGMENTS / 3);
            while journal.seal(BOUND).unwrap() > 0 {}
        }
        log(&journal, IN_SEGMENTS, 2_000);
        journal
            .maintenance()
            .unwrap()
            .set_cursor("export", journal.reader().unwrap().start())
            .unwrap();
        journal.close().unwrap();
        let known = readable(&dir);
        assert!(segments(&dir).len() > 2);
        Original {
            _directory: directory,
            dir,
            known,
        }
    }

    /// Damages a copy, repairs it and looks at all that a repair promises.
    fn repaired(&self, damage: impl Fn(&Path)) -> (TempDir, Repaired) {
        let (copy, dir) = copy_of(&self.dir);
        damage(&dir);
        let before = {
            // Reading may recover the file; what is repaired is as it was damaged.
            let (_copy, dir) = copy_of(&dir);
            readable(&dir)
        };
        let repaired = repair(&dir).unwrap();
        self.check(&dir, &before, &repaired);
        (copy, repaired)
    }

    fn check(&self, dir: &Path, before: &BTreeMap<u64, String>, repaired: &Repaired) {
        let verified = Maintenance::open(dir).unwrap().verify();
        assert!(verified.is_whole(), "{:?} {repaired:?}", verified.defects);
        let after = readable(dir);
        for (sequence, entry) in before {
            assert_eq!(after.get(sequence), Some(entry), "{sequence} {repaired:?}");
        }
        for (sequence, entry) in &after {
            let known = &self.known[sequence];
            assert!(
                entry == known || !repaired.names.is_empty(),
                "{entry} {known}"
            );
        }
        let lost: Vec<u64> = repaired.lost.iter().cloned().flatten().collect();
        let end = lost.last().copied().max(after.keys().last().copied());
        let missing = (1..=end.unwrap_or(0)).filter(|sequence| !after.contains_key(sequence));
        assert_eq!(missing.collect::<Vec<_>>(), lost, "{repaired:?}");
        let reader = Reader::open(dir).unwrap();
        let gaps = reader.gaps().map(Result::unwrap);
        let gaps = gaps.filter(|gap| gap.reason == GapReason::Damaged);
        let counted: Vec<u64> = gaps
            .flat_map(|gap| gap.sequence..gap.sequence + gap.count.unwrap())
            .collect();
        assert_eq!(counted, lost);
        drop(reader);
        for aside in &repaired.set_aside {
            assert!(aside.exists(), "{}", aside.display());
        }
        assert!(repair(dir).unwrap().is_untouched());

        let journal = options().open(dir).unwrap();
        log(&journal, 1_000_000, 200);
        while journal.seal(BOUND).unwrap() > 0 {}
        let counted = journal.stats("dqn_agent").get().unwrap();
        assert!(counted.count >= 200);
        journal.close().unwrap();
        let verified = Maintenance::open(dir).unwrap().verify();
        assert!(verified.is_whole(), "{:?}", verified.defects);
        let now = readable(dir);
        assert!(
            after
                .iter()
                .all(|(sequence, entry)| now[sequence] == *entry)
        );
        assert!(now.len() >= after.len() + 200);
    }
}

/// Every entry that can be read, but for gaps that stand for damage.
fn readable(dir: &Path) -> BTreeMap<u64, String> {
    let mut found = BTreeMap::new();
    let Ok(reader) = Reader::open(dir) else {
        return found;
    };
    let mut keep = |entry: Entry| {
        let is_damage =
            matches!(&entry.content, Content::Gap(gap) if gap.reason == GapReason::Damaged);
        if !is_damage {
            found.insert(entry.sequence, format!("{entry:?}"));
        }
    };
    let mut sequence = 1;
    while sequence < BEYOND {
        // As long as all is well, one after the other; each block is decoded once.
        let place = format!("annals:{}:{sequence}", reader.id())
            .parse()
            .unwrap();
        let mut following = reader.follow(place);
        let whole = following.iter_mut().flatten().map_while(Result::ok);
        for entry in whole {
            sequence = entry.sequence + 1;
            keep(entry);
        }
        // Around damage, each by itself.
        for _ in 0..SINGLY {
            if let Ok(Some(entry)) = reader.entry(sequence) {
                // One gap stands for all sequences of a lost range.
                let lost = matches!(&entry.content, Content::Gap(gap)
                    if gap.reason == GapReason::Damaged);
                assert!(entry.sequence == sequence || lost && entry.sequence < sequence);
                keep(entry);
            }
            sequence += 1;
        }
    }
    found
}

/// A directory that needs no disk, where there is one.
fn in_memory() -> TempDir {
    let memory = Path::new("/dev/shm");
    let directory = memory.is_dir().then(|| tempfile::tempdir_in(memory));
    directory.unwrap_or_else(tempfile::tempdir).unwrap()
}

fn copy_of(dir: &Path) -> (TempDir, PathBuf) {
    let directory = in_memory();
    let to = directory.path().join("data");
    copy(dir, &to);
    (directory, to)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let copied = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &copied);
        } else {
            fs::copy(&path, &copied).unwrap();
        }
    }
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(dir.join("segments")).unwrap();
    let mut files: Vec<_> = files.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|end| end == "redb"));
    files.sort();
    files
}

fn hot(dir: &Path) -> PathBuf {
    dir.join("journal.redb")
}

fn flip(file: &Path, at: usize, count: usize) {
    let mut bytes = fs::read(file).unwrap();
    let length = bytes.len();
    for byte in &mut bytes[at.min(length)..(at + count).min(length)] {
        *byte ^= 0x55;
    }
    fs::write(file, bytes).unwrap();
}

fn cut(file: &Path, keep: impl Fn(u64) -> u64) {
    let opened = fs::OpenOptions::new().write(true).open(file).unwrap();
    opened
        .set_len(keep(opened.metadata().unwrap().len()))
        .unwrap();
}

/// Where `text` stands in `file`.
fn places(file: &Path, text: &[u8]) -> Vec<usize> {
    let bytes = fs::read(file).unwrap();
    let found = bytes.windows(text.len()).enumerate();
    found
        .filter(|(_, window)| *window == text)
        .map(|(at, _)| at)
        .collect()
}

fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = segments(dir).into_iter().chain([hot(dir)]);
    files
        .map(|file| (file.clone(), fs::read(file).unwrap()))
        .collect()
}

#[test]
fn a_whole_journal_is_left_untouched() {
    let original = Original::new();
    let before = contents(&original.dir);
    let repaired = repair(&original.dir).unwrap();
    assert!(repaired.is_untouched(), "{repaired:?}");
    assert_eq!(repaired.entries, original.known.len() as u64);
    assert!(contents(&original.dir) == before);
    assert!(!original.dir.join("damaged").exists());
}

#[test]
fn an_open_journal_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let journal = options().open(directory.path()).unwrap();
    let refused = repair(directory.path());
    assert!(matches!(refused, Err(Error::InUse { .. })), "{refused:?}");
    journal.close().unwrap();
    assert!(repair(directory.path()).unwrap().is_untouched());
}

#[test]
fn of_a_damaged_segment_what_is_readable_is_kept() {
    let original = Original::new();
    let whole = contents(&original.dir);
    let (copy, repaired) = original.repaired(|dir| {
        let file = &segments(dir)[1];
        let at = places(file, b"event 3000")[0];
        flip(file, at, 64);
    });
    assert_eq!(repaired.set_aside.len(), 1);
    let dir = copy.path().join("data");
    let (file, name) = (&segments(&dir)[0], segments(&original.dir)[0].clone());
    assert!(
        fs::read(file).unwrap() == whole[&name],
        "a whole segment stays as it is"
    );

    let (_, repaired) = original.repaired(|dir| cut(&segments(dir)[0], |length| length / 2));
    assert_eq!(repaired.set_aside.len(), 1);
    let (_, repaired) = original.repaired(|dir| fs::remove_file(&segments(dir)[1]).unwrap());
    assert!(!repaired.lost.is_empty() && repaired.set_aside.is_empty());
    let (_, repaired) = original.repaired(|dir| {
        segments(dir)
            .iter()
            .for_each(|file| fs::write(file, b"nothing").unwrap());
    });
    assert_eq!(repaired.set_aside.len(), segments(&original.dir).len());
}

#[test]
fn a_repair_that_died_is_done_again() {
    let original = Original::new();
    let (_copy, dir) = copy_of(&original.dir);
    let file = segments(&dir)[1].clone();
    flip(&file, places(&file, b"event 3000")[0], 64);
    let before = fs::read(hot(&dir)).unwrap();
    let lost = repair(&dir).unwrap().lost;
    assert!(!lost.is_empty());
    // The segment was renamed, and the power went before it was registered.
    fs::write(hot(&dir), before).unwrap();
    fs::write(dir.join("journal.redb.new-0"), b"half of one").unwrap();
    fs::write(
        dir.join("segments/00000000000000000001.new-repair"),
        b"half",
    )
    .unwrap();
    let again = repair(&dir).unwrap();
    assert_eq!((again.lost.len(), again.changed), (0, vec![hot(&dir)]));
    let reader = Reader::open(&dir).unwrap();
    let gaps = reader.gaps().map(Result::unwrap);
    let gaps = gaps.filter(|gap| gap.reason == GapReason::Damaged);
    assert_eq!(gaps.map(|gap| gap.sequence).next(), Some(lost[0].start));
    drop(reader);
    assert!(repair(&dir).unwrap().is_untouched());
}

#[test]
fn a_hot_file_with_flipped_bytes_is_written_anew() {
    let original = Original::new();
    let length = fs::metadata(hot(&original.dir)).unwrap().len();
    let length = usize::try_from(length).unwrap();
    let mut damaged = 0;
    for part in 0..16 {
        let (_, repaired) = original.repaired(|dir| flip(&hot(dir), part * length / 16, 512));
        damaged += usize::from(!repaired.is_untouched());
    }
    assert!(damaged > 2, "{damaged}");
}

#[test]
fn names_identity_and_registrations_that_are_lost_are_replaced() {
    let original = Original::new();
    for text in [
        &b"dqn_agent"[..],
        b"identity",
        b"extent",
        b"format",
        b"next_name",
    ] {
        let at = places(&hot(&original.dir), text);
        assert!(!at.is_empty());
        let (_, repaired) = original.repaired(|dir| {
            at.iter().for_each(|at| flip(&hot(dir), *at, text.len()));
        });
        assert!(!repaired.is_untouched());
        if text == b"dqn_agent" {
            assert_eq!(repaired.names.len(), 1);
        }
    }
}

#[test]
fn of_a_hot_file_that_was_cut_off_what_is_readable_is_kept() {
    let original = Original::new();
    for part in [1, 2, 4, 6, 7] {
        original.repaired(|dir| cut(&hot(dir), |length| length * part / 8));
    }
    let (_, repaired) = original.repaired(|dir| fs::remove_file(hot(dir)).unwrap());
    assert!(repaired.set_aside.is_empty() && !repaired.names.is_empty());
    original.repaired(|dir| fs::write(hot(dir), b"").unwrap());
}

#[test]
fn where_nothing_can_be_read_nothing_is_done() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(hot(directory.path()), vec![7; 10_000]).unwrap();
    let refused = repair(directory.path());
    assert!(matches!(refused, Err(Error::Foreign { .. })), "{refused:?}");
    assert_eq!(fs::read(hot(directory.path())).unwrap(), vec![7; 10_000]);
    let refused = repair(directory.path().join("nowhere"));
    assert!(matches!(refused, Err(Error::Missing { .. })), "{refused:?}");
}

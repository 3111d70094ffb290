//! Segments: whatever is sealed, when and by whom, readers see one journal.

#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use annals::entry::{CheckpointAction, GapReason};
use annals::{
    Content, Entry, Error, ErrorKind, Inference, InferenceId, InferenceRecord, Journal, Level,
    Maintenance, ManualClock, Options, Outcome, Reader, Repeats, Sharing, Timestamp,
};
use support::{BOUND, flush, micros};

/// The least that options take.
const LEAST: u64 = 1 << 16;
const HOUR: i64 = 3_600_000_000;
/// 2027-01-15 08:00 UTC, in microseconds.
const NOW: i64 = 1_800_000_000_000_000;

fn options() -> Options {
    let clock = ManualClock::at(micros(NOW));
    let options = Journal::options().clock(clock).seal_bytes(LEAST);
    options.without_mirror().close_timeout(BOUND)
}

/// Logs `count` inferences with numbers from `first` on, some of everything among them.
fn log(journal: &Journal, first: u32, count: u32) {
    let mut last: Option<InferenceId> = None;
    for number in first..first + count {
        let model = ["a", "b", "c"][number as usize % 3];
        // Some are back-dated by days, in no order.
        let event = NOW + i64::from(number % 7) * 5 * HOUR - i64::from(number);
        #[expect(clippy::cast_precision_loss, reason = "small")]
        let features = [(number / 2) as f32];
        let inference = Inference::new(model, "s", "BUY")
            .confidence(0.5)
            .features(&features)
            .event_time(micros(event));
        if let Some(id) = last.filter(|_| number % 3 == 0) {
            // Some for inferences of long ago, so that segments hold outcomes of each other's.
            let of = id.to_u64() - u64::from(number % 5 * (number / 5));
            let outcome = Outcome::new().reward(number);
            assert!(journal.attach_outcome(InferenceId::from_u64(of), outcome));
        }
        last = journal.log(inference);
        assert!(last.is_some());
        if number % 500 == 0 {
            journal.event(Level::Info, "test", format!("number {number}"));
            journal.checkpoint_event(CheckpointAction::Saved, model, "c", "");
        }
        if number % 2_000 == 1_999 {
            flush(journal);
        }
    }
    flush(journal);
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir.join("segments")) else {
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = paths
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "redb")
        })
        .collect();
    paths.sort();
    paths
}

/// Files that are neither a segment nor the lock.
fn strays(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir.join("segments")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let stray = |path: &PathBuf| {
        let name = path.file_name().unwrap();
        name != ".lock" && path.extension().is_none_or(|extension| extension != "redb")
    };
    paths.filter(stray).collect()
}

fn entries(reader: &Reader) -> Vec<String> {
    let follow = reader.follow(reader.start()).unwrap();
    follow
        .map(|entry| format!("{:?}", entry.unwrap()))
        .collect()
}

fn listed(records: impl Iterator<Item = annals::Result<InferenceRecord>>) -> Vec<String> {
    records
        .map(|record| format!("{:?}", record.unwrap()))
        .collect()
}

/// Every kind of answer that a reader gives, in words.
fn answers(reader: &Reader) -> Vec<Vec<String>> {
    let all = || reader.inferences().repeats(Repeats::Include);
    let (from, until) = (micros(NOW + HOUR), micros(NOW + 12 * HOUR));
    let mut answers = vec![
        entries(reader),
        listed(all().iter()),
        listed(all().newest_first().iter()),
        listed(reader.newest(20)),
        listed(all().since(from).until(until).iter()),
        listed(all().since(from).until(until).newest_first().iter()),
        listed(all().since(from).limit(7).iter()),
        listed(all().model("b").newest_first().limit(100).iter()),
        reader.gaps().map(|gap| format!("{gap:?}")).collect(),
    ];
    let ids = all().iter().map(|record| record.unwrap().id);
    let ids: Vec<_> = ids.step_by(97).collect();
    let single = |id| format!("{:?}", reader.get(id).unwrap());
    let outcome = |id: &InferenceId| format!("{:?}", reader.outcome(*id).unwrap());
    answers.push(ids.iter().map(outcome).collect());
    answers.push(ids.into_iter().map(single).collect());
    let end = reader.end().unwrap().next_sequence();
    let at = |sequence| format!("{:?}", reader.entry(sequence).unwrap());
    answers.push((1..end + 1).step_by(101).map(at).collect());
    answers
}

fn assert_same(found: &[Vec<String>], expected: &[Vec<String>]) {
    for (question, (found, expected)) in found.iter().zip(expected).enumerate() {
        let differs = found
            .iter()
            .zip(expected)
            .position(|(one, other)| one != other);
        assert_eq!(differs, None, "answer {question}");
        assert_eq!(found.len(), expected.len(), "answer {question}");
    }
}

#[test]
fn what_is_sealed_is_read_as_before() {
    let dir = tempfile::tempdir().unwrap();
    // Nothing is sealed by itself.
    let journal = options().seal_bytes(1 << 30).open(dir.path()).unwrap();
    log(&journal, 0, 6_000);
    let before = answers(&journal.reader().unwrap());
    let reader = Reader::open(dir.path()).unwrap();
    assert_eq!(segments(dir.path()).len(), 0);
    let sealed = journal.seal(BOUND).unwrap();
    assert_eq!(sealed, before[0].len() as u64);
    assert_eq!(segments(dir.path()).len(), 1);
    // By a reader that was there before, and by a new one.
    assert_same(&answers(&reader), &before);
    assert_same(&answers(&Reader::open(dir.path()).unwrap()), &before);
    assert_eq!(journal.seal(BOUND).unwrap(), 0);

    log(&journal, 6_000, 3_000);
    let before = answers(&reader);
    journal.seal(BOUND).unwrap();
    assert_eq!(segments(dir.path()).len(), 2);
    assert_same(&answers(&reader), &before);
    journal.close().unwrap();
    let journal = options().open(dir.path()).unwrap();
    assert_same(&answers(&journal.reader().unwrap()), &before);
    assert_eq!(strays(dir.path()), Vec::<PathBuf>::new());
}

/// There, readers, writer and sealer share one handle.
#[test]
fn an_exclusive_journal_is_sealed_through_its_only_handle() {
    let dir = tempfile::tempdir().unwrap();
    let options = || options().sharing(Sharing::Exclusive).seal_bytes(1 << 30);
    let journal = options().open(dir.path()).unwrap();
    log(&journal, 0, 3_000);
    let reader = journal.reader().unwrap();
    let before = answers(&reader);
    thread::scope(|scope| {
        // The writer commits at the same time.
        scope.spawn(|| log(&journal, 3_000, 2_000));
        assert!(journal.seal(BOUND).unwrap() >= before[0].len() as u64);
    });
    // The sealer may have come last, and have left nothing.
    log(&journal, 5_000, 10);
    let known = entries(&reader);
    assert_eq!(known[..before[0].len()], before[0]);
    journal.seal(BOUND).unwrap();
    assert_eq!(entries(&reader), known);
    drop(reader);
    journal.close().unwrap();
    drop(journal);
    let journal = options().open(dir.path()).unwrap();
    assert_eq!(entries(&journal.reader().unwrap()), known);
    assert!(segments(dir.path()).len() >= 2);
}

#[test]
fn a_journal_seals_by_itself_when_there_is_enough() {
    let dir = tempfile::tempdir().unwrap();
    let journal = options().open(dir.path()).unwrap();
    log(&journal, 0, 20_000);
    let reader = journal.reader().unwrap();
    let known = entries(&reader);
    let hot_bytes = || journal.health().sealing.unwrap().hot_bytes;
    support::wait_until("it is sealed", || {
        !segments(dir.path()).is_empty() && hot_bytes() < LEAST
    });
    assert_eq!(entries(&reader), known);
    assert_eq!(journal.health().sealing.unwrap().fault, None);
    journal.close().unwrap();
}

#[test]
fn what_is_old_is_sealed_however_little_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let journal = options().open(dir.path()).unwrap();
    log(&journal, 0, 10);
    journal.close().unwrap();
    let later = ManualClock::at(micros(NOW + 25 * HOUR));
    let journal = options().clock(later).open(dir.path()).unwrap();
    support::wait_until("it is sealed", || segments(dir.path()).len() == 1);
    let records = listed(journal.reader().unwrap().inferences().iter());
    assert!(!records.is_empty());
    journal.close().unwrap();
}

#[test]
fn readers_and_followers_notice_nothing_while_it_is_sealed() {
    let dir = tempfile::tempdir().unwrap();
    let journal = options().seal_bytes(1 << 30).open(dir.path()).unwrap();
    log(&journal, 0, 4_000);
    let reader = journal.reader().unwrap();
    let expected = answers(&reader);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let looking = scope.spawn(|| {
            let mut rounds = 0;
            while !done.load(Ordering::Acquire) || rounds < 3 {
                assert_same(&answers(&reader), &expected);
                rounds += 1;
            }
        });
        // A follower that goes on while the ground moves under it.
        let mut follow = reader.follow(reader.start()).unwrap();
        let mut followed: Vec<Entry> = follow.by_ref().take(1_500).map(Result::unwrap).collect();
        journal.seal(BOUND).unwrap();
        followed.extend(follow.map(Result::unwrap));
        let followed: Vec<_> = followed.iter().map(|entry| format!("{entry:?}")).collect();
        assert_eq!(followed, expected[0]);
        done.store(true, Ordering::Release);
        looking.join().unwrap();
    });
    journal.close().unwrap();
}

/// Blocks are merged in sealing, so a block's first sequence is no place to go on from.
#[test]
fn an_iterator_that_is_under_way_gives_each_inference_once() {
    let dir = tempfile::tempdir().unwrap();
    let journal = options().seal_bytes(1 << 30).open(dir.path()).unwrap();
    for round in 0..60 {
        log(&journal, round * 60, 60);
    }
    let reader = journal.reader().unwrap();
    let all = || reader.inferences().repeats(Repeats::Include);
    let (from, until) = (micros(NOW + HOUR), micros(NOW + 22 * HOUR));
    let ranged = || all().since(from).until(until);
    let queries = [
        all(),
        all().newest_first(),
        ranged(),
        ranged().newest_first(),
        all().model("b"),
        ranged().model("b").newest_first(),
    ];
    for some in [1, 61, 900] {
        let expected: Vec<_> = queries.iter().map(|query| listed(query.iter())).collect();
        let mut under_way: Vec<_> = queries.iter().map(annals::Query::iter).collect();
        let begun: Vec<_> = under_way
            .iter_mut()
            .map(|iter| listed(iter.take(some)))
            .collect();
        log(&journal, 10_000, 60);
        assert!(journal.seal(BOUND).unwrap() > 0);
        for (index, (mut found, rest)) in begun.into_iter().zip(under_way).enumerate() {
            found.extend(listed(rest));
            assert_same(&[found], &expected[index..=index]);
        }
    }
    journal.close().unwrap();
}

/// A journal with three segments and something behind them.
fn sealed_thrice(dir: &Path) -> Vec<String> {
    let journal = options().seal_bytes(1 << 30).open(dir).unwrap();
    for round in 0..3 {
        log(&journal, round * 1_000, 1_000);
        journal.seal(BOUND).unwrap();
    }
    log(&journal, 3_000, 100);
    let known = entries(&journal.reader().unwrap());
    journal.close().unwrap();
    known
}

/// Between two sequences that are asked for.
const STEP: usize = 7;

/// Kinds of damage to the file of the second of three segments.
const DAMAGES: [fn(&[PathBuf]); 9] = [
    |segments| fs::remove_file(&segments[1]).unwrap(),
    |segments| fs::write(&segments[1], "").unwrap(),
    |segments| fs::write(&segments[1], "no segment at all").unwrap(),
    |segments| {
        let bytes = fs::read(&segments[1]).unwrap();
        fs::write(&segments[1], &bytes[..bytes.len() / 2]).unwrap();
    },
    |segments| {
        fs::remove_file(&segments[1]).unwrap();
        fs::copy(&segments[0], &segments[1]).unwrap();
    },
    |segments| {
        let other = tempfile::tempdir().unwrap();
        sealed_thrice(other.path());
        let stranger = other.path().join("segments");
        let stranger = stranger.join(segments[1].file_name().unwrap());
        fs::copy(stranger, &segments[1]).unwrap();
    },
    |segments| {
        let mut bytes = fs::read(&segments[1]).unwrap();
        bytes.iter_mut().for_each(|byte| *byte ^= 1);
        fs::write(&segments[1], bytes).unwrap();
    },
    // All but the engine's own header.
    |segments| {
        let mut bytes = fs::read(&segments[1]).unwrap();
        bytes[1 << 12..].iter_mut().for_each(|byte| *byte ^= 0x10);
        fs::write(&segments[1], bytes).unwrap();
    },
    |segments| fs::rename(&segments[1], segments[1].with_extension("old")).unwrap(),
];

#[test]
fn a_damaged_segment_is_named_and_the_rest_is_read() {
    for (number, damage) in DAMAGES.into_iter().enumerate() {
        let dir = tempfile::tempdir().unwrap();
        let known = sealed_thrice(dir.path());
        let files = segments(dir.path());
        damage(&files);
        let reader = Reader::open(dir.path()).unwrap();
        // Every question continues behind it, and reports the missing entries.
        let lost = sequences(&files[1]);
        let lost = *lost.start()..lost.end() + 1;
        let follow = reader.follow(reader.start()).unwrap();
        let given: Vec<String> = follow
            .map(|entry| format!("{:?}", entry.unwrap()))
            .collect();
        let holes = given.iter().filter(|entry| !known.contains(entry));
        let holes: Vec<&String> = holes.collect();
        assert!(
            matches!(holes[..], [hole] if hole.contains("reason: Damaged")),
            "damage {number}: {holes:?}"
        );
        assert_eq!(
            reader.missing(),
            std::slice::from_ref(&lost),
            "damage {number}"
        );
        let all = || reader.inferences().repeats(Repeats::Include);
        let queries = [
            all(),
            all().newest_first(),
            all().since(micros(NOW + HOUR)),
            all().model("b").newest_first(),
        ];
        for query in queries {
            let given = query.iter().map(Result::unwrap);
            let within = given.filter(|one| lost.contains(&one.sequence)).count();
            assert_eq!(within, 0, "damage {number}");
        }
        let name = files[1].file_name().unwrap().to_str().unwrap();
        let verified = Maintenance::open(dir.path()).unwrap().verify();
        let mut defects = verified.defects.iter();
        assert!(defects.all(|found| found.to_string().contains(name)));
        // Entries that do not need it are there, whole, and the journal continues.
        assert_eq!(
            entries_but_of(&reader, &files[1..2]),
            but_of(&known, &files[1..2])
        );
        assert_eq!(
            reader.newest(1).next().unwrap().unwrap().sequence,
            known.len() as u64
        );
        assert_named(dir.path(), &files[1..2], number);
        let journal = options().open(dir.path()).unwrap();
        log(&journal, 5_000, 10);
        journal.seal(BOUND).unwrap();
        journal.close().unwrap();
        let newest = reader.newest(1).next().unwrap().unwrap();
        assert!(newest.sequence > known.len() as u64);
    }
}

#[test]
fn two_segments_in_each_others_place_are_both_named_and_the_rest_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let known = sealed_thrice(dir.path());
    let files = segments(dir.path());
    let aside = files[0].with_extension("aside");
    fs::rename(&files[0], &aside).unwrap();
    fs::rename(&files[1], &files[0]).unwrap();
    fs::rename(&aside, &files[1]).unwrap();
    let reader = Reader::open(dir.path()).unwrap();
    let damaged = &files[..2];
    assert_eq!(entries_but_of(&reader, damaged), but_of(&known, damaged));
    assert_named(dir.path(), damaged, 0);
    // In their places again, nothing is lost.
    fs::rename(&files[0], &aside).unwrap();
    fs::rename(&files[1], &files[0]).unwrap();
    fs::rename(&aside, &files[1]).unwrap();
    assert_eq!(entries(&Reader::open(dir.path()).unwrap()), known);
    let verified = Maintenance::open(dir.path()).unwrap().verify();
    assert!(verified.is_whole(), "{:?}", verified.defects);
}

/// The sequences that the name of a segment's file says it holds.
fn sequences(file: &Path) -> RangeInclusive<u64> {
    let name = file.file_stem().unwrap().to_str().unwrap();
    let (first, last) = name.split_once('-').unwrap();
    first.parse().unwrap()..=last.parse().unwrap()
}

/// `known`, without what lies in the segments `damaged`.
fn but_of(known: &[String], damaged: &[PathBuf]) -> Vec<String> {
    let lost = |sequence| {
        damaged
            .iter()
            .any(|file| sequences(file).contains(&sequence))
    };
    let kept = (1..).zip(known).step_by(STEP);
    let kept = kept.filter(|(sequence, _)| !lost(*sequence));
    kept.map(|(_, entry)| entry.clone()).collect()
}

/// The same from the journal, one entry at a time; in the place of each of a damaged segment is the
/// gap that stands for all of it.
fn entries_but_of(reader: &Reader, damaged: &[PathBuf]) -> Vec<String> {
    let mut found = Vec::new();
    for sequence in (1..reader.end().unwrap().next_sequence()).step_by(STEP) {
        let lost = damaged
            .iter()
            .any(|file| sequences(file).contains(&sequence));
        match reader.entry(sequence) {
            Ok(entry) if !lost => found.push(format!("{:?}", entry.unwrap())),
            Ok(Some(entry)) if lost && is_hole(&entry) => {}
            other => panic!("{sequence}: {other:?}"),
        }
    }
    found
}

fn is_hole(entry: &Entry) -> bool {
    matches!(&entry.content, Content::Gap(gap) if gap.reason == GapReason::Damaged)
}

/// Verifying names these segments and no other.
fn assert_named(dir: &Path, damaged: &[PathBuf], number: usize) {
    let verified = Maintenance::open(dir).unwrap().verify();
    let mut named: Vec<_> = verified
        .defects
        .iter()
        .map(|found| found.file.clone())
        .collect();
    named.sort();
    named.dedup();
    assert_eq!(named, damaged, "damage {number}: {:?}", verified.defects);
}

#[cfg(unix)]
#[test]
fn segments_that_may_only_be_read_are_read() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let known = sealed_thrice(dir.path());
    for segment in segments(dir.path()) {
        assert_eq!(
            fs::metadata(&segment).unwrap().permissions().mode() & 0o777,
            0o600
        );
        fs::set_permissions(&segment, fs::Permissions::from_mode(0o400)).unwrap();
    }
    assert_eq!(entries(&Reader::open(dir.path()).unwrap()), known);
    let maintenance = Maintenance::open(dir.path()).unwrap();
    let verified = maintenance.verify();
    assert!(verified.is_whole(), "{:?}", verified.defects);
    // Neither a backup nor a journal that goes on needs to write to them.
    let backup = tempfile::tempdir().unwrap();
    let to = backup.path().join("backup");
    maintenance.backup(&to).without_links().run().unwrap();
    assert_eq!(entries(&Reader::open(&to).unwrap()), known);
    let journal = options().open(dir.path()).unwrap();
    log(&journal, 5_000, 10);
    journal.seal(BOUND).unwrap();
    journal.close().unwrap();
    assert_eq!(segments(dir.path()).len(), 4);
    let reader = Reader::open(dir.path()).unwrap();
    assert_eq!(entries(&reader)[..known.len()], known);
}

#[test]
fn what_a_crash_leaves_is_cleared_away() {
    let dir = tempfile::tempdir().unwrap();
    let known = sealed_thrice(dir.path());
    let folder = dir.path().join("segments");
    let stray = folder.join("00000000000000000009-00000000000000000010.redb");
    fs::write(&stray, "not registered").unwrap();
    fs::write(folder.join("00000000000000000009.new-0000000000000001"), "").unwrap();
    fs::write(folder.join("notes.txt"), "somebody's own").unwrap();
    let reader = Reader::open(dir.path()).unwrap();
    assert_eq!(entries(&reader), known);
    let journal = options().seal_bytes(1 << 30).open(dir.path()).unwrap();
    journal.seal(BOUND).unwrap();
    journal.close().unwrap();
    assert_eq!(entries(&reader), known);
    assert!(!stray.exists());
    assert_eq!(strays(dir.path()), [folder.join("notes.txt")]);
    assert_eq!(segments(dir.path()).len(), 4);
}

#[test]
fn a_file_in_the_folders_place_is_said_and_the_journal_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("segments"), "in the way").unwrap();
    let journal = options().open(dir.path()).unwrap();
    log(&journal, 0, 10_000);
    support::wait_until("it is said", || {
        journal.health().sealing.unwrap().fault.is_some()
    });
    assert!(journal.seal(BOUND).is_err());
    log(&journal, 10_000, 10);
    assert_eq!(journal.health().dropped.total(), 0);
    journal.close().unwrap();
    assert_eq!(
        fs::read_to_string(dir.path().join("segments")).unwrap(),
        "in the way"
    );
}

#[test]
fn closing_does_not_wait_for_a_segment() {
    let dir = tempfile::tempdir().unwrap();
    let journal = options().open(dir.path()).unwrap();
    log(&journal, 0, 30_000);
    let known = entries(&journal.reader().unwrap());
    journal.close().unwrap();
    let reader = Reader::open(dir.path()).unwrap();
    assert_eq!(entries(&reader), known);
    assert!(matches!(
        journal.seal(Duration::from_secs(1)),
        Err(Error::Closed)
    ));
}

#[test]
fn sealing_ends_though_commits_go_on_as_fast_as_it_seals() {
    let directory = tempfile::tempdir().unwrap();
    let journal = options().open(directory.path()).unwrap();
    log(&journal, 0, 1_000);
    flush(&journal);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for first in (1_000..).step_by(50) {
                if done.load(Ordering::Relaxed) {
                    return;
                }
                log(&journal, first, 50);
                flush(&journal);
            }
        });
        let sealed = journal.seal(BOUND);
        done.store(true, Ordering::Relaxed);
        assert!(sealed.unwrap() >= 1_000);
    });
    journal.close().unwrap();
}

#[test]
fn a_journal_in_memory_has_no_segments() {
    let journal = options().in_memory().unwrap();
    log(&journal, 0, 10);
    let refused = journal.seal(BOUND).unwrap_err();
    assert!(matches!(refused, Error::NoDirectory), "{refused}");
    assert_eq!(refused.kind(), ErrorKind::Unsupported);
    let refused = journal.clean_up_logs(BOUND).unwrap_err();
    assert!(matches!(refused, Error::NoDirectory), "{refused}");
    assert!(journal.health().sealing.is_none());
    let _ = Timestamp::now();
}

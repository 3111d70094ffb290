//! Backups of a journal in use, journals restored of them, and what is checked of both.

#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use annals::maintenance::{DefectKind, restore};
use annals::stats::StatsRow;
use annals::{
    Entry, Error, Group, Inference, InferenceRecord, Journal, Maintenance, ManualClock, Options,
    Reader, RetentionPolicy, Sharing,
};
use support::{BOUND, flush, micros};

fn options() -> Options {
    Journal::options().without_mirror().seal_bytes(1 << 16)
}

fn log(journal: &Journal, count: u32) {
    for number in 0..count {
        let features = [number as f32, 1.0];
        let inference = Inference::new("dqn_agent", "ETH/USDT", "BUY").features(&features);
        journal.log(inference).unwrap();
    }
    flush(journal);
}

fn hot_bytes(dir: &Path) -> u64 {
    fs::metadata(dir.join("journal.redb")).unwrap().len()
}

fn entries(dir: &Path) -> Vec<String> {
    let reader = Reader::open(dir).unwrap();
    let entries = reader.follow(reader.start()).unwrap();
    entries
        .map(|entry| format!("{:?}", entry.unwrap()))
        .collect()
}

/// Everything that readers say of a journal: entries, counts and sums.
fn answers(dir: &Path) -> (Vec<Entry>, Vec<StatsRow>, Option<InferenceRecord>) {
    let reader = Reader::open(dir).unwrap();
    let entries = reader.follow(reader.start()).unwrap();
    let entries: Vec<Entry> = entries.map(Result::unwrap).collect();
    let groups = [Group::Model, Group::Action, Group::Hour];
    let rows = reader.stats_of_all().by(groups).unwrap();
    let newest = reader.newest(1).next().transpose().unwrap();
    (entries, rows, newest)
}

fn verified(dir: &Path) -> annals::maintenance::Verified {
    Maintenance::open(dir).unwrap().verify()
}

#[test]
fn a_backup_of_a_journal_in_use_is_one_moment_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let (dir, to) = (
        directory.path().join("data"),
        directory.path().join("backup"),
    );
    let journal = options().open(&dir).unwrap();
    log(&journal, 20_000);
    while journal.seal(BOUND).unwrap() > 0 {}
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        // Ends by itself if something else fails.
        scope.spawn(|| {
            for _ in 0..10_000 {
                if !stop.load(Ordering::Relaxed) {
                    log(&journal, 10);
                }
            }
        });
        let maintenance = journal.maintenance().unwrap();
        let first = maintenance.backup(&to).run().unwrap();
        assert!(
            first.new_segments > 0 && first.known_segments == 0,
            "{first:?}"
        );
        journal.seal(BOUND).unwrap();
        let second = maintenance.backup(&to).run().unwrap();
        assert_eq!(second.known_segments, first.new_segments);
        assert!(second.entries > first.entries);
        stop.store(true, Ordering::Relaxed);
    });
    let copied = entries(&to);
    assert!(copied.len() >= 20_100);
    assert_eq!(entries(&dir)[..copied.len()], copied);
    // Retired segments leave the next backup, too.
    let last = journal
        .maintenance()
        .unwrap()
        .backup(&to)
        .without_links()
        .run()
        .unwrap();
    journal.close().unwrap();
    assert_eq!(entries(&to), entries(&dir));
    assert_eq!(last.entries, entries(&dir).len() as u64);
}

#[test]
fn a_restored_journal_is_another_one_and_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let (dir, to) = (
        directory.path().join("data"),
        directory.path().join("backup"),
    );
    let journal = options().label("trainer-7").open(&dir).unwrap();
    let registry = journal.registry().unwrap();
    let saved = registry
        .checkpoint("dqn_agent")
        .save(b"the weights")
        .unwrap();
    log(&journal, 20_000);
    while journal.seal(BOUND).unwrap() > 0 {}
    log(&journal, 10);
    let maintenance = journal.maintenance().unwrap();
    let cursor = journal.reader().unwrap().end().unwrap();
    maintenance.set_cursor("export", cursor).unwrap();
    let made = maintenance.backup(&to).with_checkpoints().run().unwrap();
    assert_eq!(made.checkpoint_files, 2);

    let new = directory.path().join("new");
    restore(&to, &new).unwrap();
    assert_eq!(entries(&new), entries(&to));
    let restored = options().open(&new).unwrap();
    assert_ne!(restored.id(), journal.id());
    let reader = restored.reader().unwrap();
    assert_eq!(reader.label(), Some("trainer-7"));
    let refused = reader.follow(cursor);
    assert!(matches!(refused, Err(Error::ForeignCursor { .. })));
    let known = restored
        .maintenance()
        .unwrap()
        .cursor("export")
        .unwrap()
        .unwrap();
    assert_eq!(
        (known.journal(), known.next_sequence()),
        (restored.id(), cursor.next_sequence())
    );
    let weights = restored.registry().unwrap().load(saved.id()).unwrap();
    assert_eq!(weights.into_bytes().unwrap(), b"the weights");
    // Both go on, and neither is taken for the other.
    log(&restored, 20_000);
    while restored.seal(BOUND).unwrap() > 0 {}
    log(&journal, 100);
    restored.close().unwrap();
    journal.close().unwrap();
    assert!(verified(&new).is_whole(), "{:?}", verified(&new).defects);
    assert!(verified(&dir).is_whole(), "{:?}", verified(&dir).defects);
    let refused = Maintenance::open(&new).unwrap().backup(&to).run();
    assert!(matches!(refused, Err(Error::Foreign { .. })), "{refused:?}");
    // A restored one can be backed up and restored again.
    let (again, third) = (
        directory.path().join("again"),
        directory.path().join("third"),
    );
    Maintenance::open(&new)
        .unwrap()
        .backup(&again)
        .run()
        .unwrap();
    restore(&again, &third).unwrap();
    assert_eq!(entries(&third), entries(&new));
}

#[test]
fn what_cannot_be_backed_up_or_restored_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let journal = options().open(path("data")).unwrap();
    log(&journal, 20_000);
    while journal.seal(BOUND).unwrap() > 0 {}
    let maintenance = journal.maintenance().unwrap();
    for inside in [path("data"), path("data").join("backup")] {
        let refused = maintenance.backup(inside).run();
        assert!(
            matches!(refused, Err(Error::InvalidOption { .. })),
            "{refused:?}"
        );
    }
    maintenance
        .backup(path("backup"))
        .without_links()
        .run()
        .unwrap();
    let refused = restore(path("backup"), path("data"));
    assert!(matches!(refused, Err(Error::Io { .. })), "{refused:?}");
    let refused = restore(path("none"), path("new"));
    assert!(matches!(refused, Err(Error::Missing { .. })), "{refused:?}");
    // A copy that was written to is not overwritten.
    options().open(path("backup")).unwrap().close().unwrap();
    let other = options().open(path("backup")).unwrap();
    log(&other, 30_000);
    other.close().unwrap();
    let refused = maintenance.backup(path("backup")).run();
    assert!(matches!(refused, Err(Error::Foreign { .. })), "{refused:?}");
    // Of a damaged one, what can be read is restored, and the rest is counted.
    maintenance
        .backup(path("second"))
        .without_links()
        .run()
        .unwrap();
    let segment = fs::read_dir(path("second").join("segments")).unwrap();
    let segment = segment.map(|entry| entry.unwrap().path());
    let segment = segment
        .filter(|path| path.extension().is_some())
        .min()
        .unwrap();
    let mut bytes = fs::read(&segment).unwrap();
    let half = bytes.len() / 2;
    // Pages of the file may be free: damage counts only where there is data.
    let is_data = |from: &usize| bytes[*from..*from + 64].iter().all(|byte| *byte != 0);
    let middle = (half..bytes.len() - 64).chain(0..half).find(is_data);
    let middle = middle.unwrap();
    bytes[middle..middle + 64]
        .iter_mut()
        .for_each(|byte| *byte ^= 0x55);
    fs::write(&segment, bytes).unwrap();
    let restored = restore(path("second"), path("new")).unwrap();
    assert!(restored.damaged > 0, "{restored:?}");
    assert_eq!(restored.entries + restored.damaged, 20_000);
}

#[test]
fn what_is_verified_is_said_to_be_whole_or_what_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path().join("data");
    let clock = ManualClock::at(micros(1_800_000_000_000_000));
    let journal = options().clock(clock.clone()).open(&dir).unwrap();
    log(&journal, 60_000);
    while journal.seal(BOUND).unwrap() > 0 {}
    log(&journal, 500);
    let checked = journal.maintenance().unwrap().verify();
    assert!(checked.is_whole(), "{:?}", checked.defects);
    assert_eq!(checked.entries, 60_500);
    assert!(checked.segments > 1);
    journal.close().unwrap();

    // What is not noticed must change no answer.
    let intact = answers(&dir);
    let damaged = |change: &dyn Fn(&Path, &[std::path::PathBuf])| {
        let copy = tempfile::tempdir().unwrap();
        let to = copy.path().join("copy");
        Maintenance::open(&dir)
            .unwrap()
            .backup(&to)
            .without_links()
            .run()
            .unwrap();
        let files = fs::read_dir(to.join("segments")).unwrap();
        let mut files: Vec<_> = files.map(|entry| entry.unwrap().path()).collect();
        files.retain(|path| path.extension().is_some_and(|end| end == "redb"));
        files.sort();
        change(&to, &files);
        let found = verified(&to).defects;
        if found.is_empty() {
            let same = answers(&to) == intact;
            assert!(same, "an answer has changed, and nothing was noticed");
        }
        found.iter().map(|defect| defect.kind).collect::<Vec<_>>()
    };
    assert_eq!(damaged(&|_, _| {}), []);
    let found = damaged(&|_, files| fs::remove_file(&files[0]).unwrap());
    assert_eq!(found, [DefectKind::Unreadable]);
    let found = damaged(&|_, files| {
        let bytes = fs::read(&files[1]).unwrap();
        fs::write(&files[1], &bytes[..bytes.len() / 2]).unwrap();
    });
    assert_eq!(found, [DefectKind::Unreadable]);
    let found = damaged(&|_, files| {
        let (a, b) = (fs::read(&files[0]).unwrap(), fs::read(&files[1]).unwrap());
        fs::write(&files[0], b).unwrap();
        fs::write(&files[1], a).unwrap();
    });
    assert_eq!(found, [DefectKind::Unreadable; 2]);
    let found = damaged(&|_, files| {
        fs::rename(
            &files[0],
            files[0].with_file_name(format!("{:020}-{:020}.redb", 7, 9)),
        )
        .unwrap();
    });
    assert_eq!(found, [DefectKind::Unreadable, DefectKind::Stray]);
    // Bytes of free pages carry nothing, and the storage engine decides where those lie. So no
    // number of bytes has to be noticed, but each one that changes an answer.
    let files = fs::read_dir(dir.join("segments")).unwrap();
    let files = files.map(|entry| entry.unwrap().path());
    let first = files.filter(|file| file.extension().is_some()).min();
    let pages = fs::metadata(first.unwrap()).unwrap().len() / 4_096;
    let is_long = std::env::var_os("ANNALS_THOROUGH").is_some_and(|value| value == "1");
    let step = if is_long { 1 } else { 5 };
    let mut noticed = 0;
    for page in (0..pages).step_by(step) {
        let found = damaged(&|_, files| {
            let mut bytes = fs::read(&files[0]).unwrap();
            let place = usize::try_from(page * 4_096 + 1_000).unwrap();
            if let Some(byte) = bytes.get_mut(place) {
                *byte ^= 1;
            }
            fs::write(&files[0], bytes).unwrap();
        });
        noticed += u64::from(!found.is_empty());
    }
    assert!(noticed > 0, "no flipped bit was noticed");
}

#[test]
fn usage_adds_up_and_compaction_gives_room_back() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path().join("data");
    let journal = options().seal_bytes(1 << 30).open(&dir).unwrap();
    log(&journal, 50_000);
    let maintenance = journal.maintenance().unwrap();
    let models = maintenance.usage_by_model().unwrap();
    assert_eq!((models.len(), models[0].inferences), (1, 50_000));
    assert!(models[0].bytes > 50_000 * 10, "{models:?}");
    let registry = journal.registry().unwrap();
    let weights = vec![7_u8; 10_000];
    for model in ["dqn_agent", "untried"] {
        registry.checkpoint(model).save(&weights).unwrap();
    }
    let models = maintenance.usage_by_model().unwrap();
    let checkpoints: Vec<_> = models
        .iter()
        .map(|model| {
            (
                model.model.as_str(),
                model.checkpoints,
                model.checkpoint_bytes,
            )
        })
        .collect();
    assert_eq!(
        checkpoints,
        [("dqn_agent", 1, 10_000), ("untried", 1, 10_000)]
    );
    drop(registry);
    // The registry says in the journal what was saved.
    flush(&journal);
    journal.seal(BOUND).unwrap();
    fs::write(dir.join("notes.txt"), [0; 1_234]).unwrap();
    let usage = maintenance.usage().unwrap();
    assert_eq!(usage.segments, 1);
    assert!(usage.checkpoint_bytes > 20_000, "{usage:?}");
    assert!((1_234..10_000).contains(&usage.other_bytes), "{usage:?}");
    let kept = usage.entries;
    assert_eq!(usage.hot_bytes, hot_bytes(&dir));
    journal.close().unwrap();
    let maintenance = Maintenance::open(&dir).unwrap();
    let given = maintenance.compact().unwrap();
    assert!(given > 0, "{given} of {}", usage.hot_bytes);
    assert!(maintenance.verify().is_whole());
    assert_eq!(entries(&dir).len() as u64, kept);
    let _ = maintenance
        .retention(RetentionPolicy::new().max_age_days(1))
        .plan()
        .unwrap();
}

#[test]
fn a_compaction_finds_its_moment_beside_readers_and_a_writer() {
    for sharing in [Sharing::Shared, Sharing::Exclusive] {
        let directory = tempfile::tempdir().unwrap();
        let dir = directory.path().join("data");
        let options = options().seal_bytes(1 << 30).sharing(sharing);
        let journal = options.open(&dir).unwrap();
        log(&journal, 50_000);
        let full = hot_bytes(&dir);
        journal.seal(BOUND).unwrap();
        let reader = journal.reader().unwrap();
        let mut half_way = reader.inferences().iter();
        assert!(half_way.next().unwrap().is_ok());
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    assert_eq!(reader.newest(20).map(Result::unwrap).count(), 20);
                }
            });
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    log(&journal, 20);
                }
            });
            let given = journal.maintenance().unwrap().compact();
            done.store(true, Ordering::Relaxed);
            given.unwrap();
        });
        // Not its result: the storage engine may have shrunk the file before, and the writer makes
        // it grow.
        let left = hot_bytes(&dir);
        assert!(left * 2 < full, "{left} of {full}");
        assert!(half_way.all(|record| record.is_ok()));
        drop((half_way, reader));
        journal.close().unwrap();
        assert!(verified(&dir).is_whole());
    }
}

#[test]
fn what_a_dead_backup_left_is_cleared_away_by_the_next() {
    let directory = tempfile::tempdir().unwrap();
    let (dir, to) = (directory.path().join("data"), directory.path().join("to"));
    let journal = options().open(&dir).unwrap();
    log(&journal, 100);
    let maintenance = journal.maintenance().unwrap();
    maintenance.backup(&to).run().unwrap();
    let left = to.join("journal.redb.new-0badcafe");
    fs::write(&left, "half a file").unwrap();
    log(&journal, 100);
    maintenance.backup(&to).run().unwrap();
    assert!(!left.exists());
    journal.close().unwrap();
    assert_eq!(entries(&to), entries(&dir));
}

/// The segments of the journal in `dir`, oldest first.
fn segments(dir: &Path) -> Vec<std::path::PathBuf> {
    let files = fs::read_dir(dir.join("segments")).unwrap();
    let mut files: Vec<_> = files.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|end| end == "redb"));
    files.sort();
    files
}

#[test]
fn a_backup_that_fails_leaves_the_one_before() {
    let directory = tempfile::tempdir().unwrap();
    let (dir, to) = (
        directory.path().join("data"),
        directory.path().join("backup"),
    );
    let journal = options().open(&dir).unwrap();
    log(&journal, 20_000);
    while journal.seal(BOUND).unwrap() > 0 {}
    let maintenance = journal.maintenance().unwrap();
    maintenance.backup(&to).run().unwrap();
    let before = entries(&to);
    log(&journal, 20_000);
    while journal.seal(BOUND).unwrap() > 0 {}
    let newest = segments(&dir).pop().unwrap();
    let mut bytes = fs::read(&newest).unwrap();
    // A part of it may be free room.
    let (quarter, end) = (bytes.len() / 4, bytes.len());
    bytes[quarter..end]
        .iter_mut()
        .for_each(|byte| *byte ^= 0x55);
    fs::write(&newest, bytes).unwrap();
    let refused = maintenance.backup(&to).run();
    assert!(matches!(refused, Err(Error::Corrupt { .. })), "{refused:?}");
    assert_eq!(entries(&to), before);
    assert!(
        verified(&to)
            .defects
            .iter()
            .all(|defect| defect.kind == DefectKind::Stray)
    );
}

#[test]
fn a_restoring_that_died_is_done_again_and_a_damaged_journal_is_not_taken_for_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let journal = options().open(path("data")).unwrap();
    log(&journal, 20_000);
    while journal.seal(BOUND).unwrap() > 0 {}
    let maintenance = journal.maintenance().unwrap();
    maintenance.backup(path("backup")).run().unwrap();
    restore(path("backup"), path("new")).unwrap();
    // The state before the last step, with a segment that was not finished.
    let hot = path("new").join("journal.redb");
    fs::rename(&hot, path("new").join("journal.redb.new-0000000000000001")).unwrap();
    fs::write(&segments(&path("new"))[0], b"half").unwrap();
    restore(path("backup"), path("new")).unwrap();
    assert_eq!(entries(&path("new")), entries(&path("backup")));
    assert!(verified(&path("new")).is_whole());

    fs::remove_file(&hot).unwrap();
    let kept = segments(&path("new"));
    let refused = restore(path("backup"), path("new"));
    assert!(matches!(refused, Err(Error::Io { .. })), "{refused:?}");
    assert_eq!(segments(&path("new")), kept);
}

//! A block in the middle cannot be read: every reader goes on behind it and says what is missing,
//! as it does after a repair.

#![cfg(all(unix, not(annals_portable)))]
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use annals::entry::{Gap, GapReason};
use annals::logs::{LogKind, Mirror, recent_lines};
use annals::maintenance::{repair, restore};
use annals::{
    Content, Entry, Error, Inference, InferenceId, Journal, Level, Maintenance, Options, Outcome,
    Reader, Repeats, Timestamp, Value,
};
use redb::ReadableTable;
use support::{BOUND, flush, wait_until};
use tempfile::TempDir;

/// Entries of each block: nine decisions, an outcome for each, and an event.
const OF_BLOCK: u64 = 19;
const BLOCKS: u64 = 6;
const HOUR: i64 = 3_600_000_000;
/// The block that is damaged.
const BAD: u64 = 3;

fn lost() -> Range<u64> {
    let first = 1 + BAD * OF_BLOCK;
    first..first + OF_BLOCK
}

fn options() -> Options {
    Journal::options()
        .dedup_window(Duration::ZERO)
        .without_mirror()
        .without_folding()
}

/// Decisions of one hour of 1970, whose block has a mark in it.
fn log(journal: &Journal, hour: u64) -> Vec<InferenceId> {
    let mark = format!("mark of block {hour} {}", "x".repeat(100));
    let attributes = [("mark", Value::Text(mark))];
    let mut ids = Vec::new();
    for number in 0..9 {
        let time = i64::try_from(hour).unwrap() * HOUR + number * 60_000_000;
        let inference = Inference::new("dqn_agent", "ETH/USDT", "BUY")
            .confidence(0.5)
            .attributes(&attributes)
            .event_time(Timestamp::from_micros(time));
        ids.push(journal.log(inference).unwrap());
    }
    for id in &ids {
        journal.attach_outcome(*id, Outcome::new().reward(1.0));
    }
    journal.event(Level::Info, "damage", format!("hour {hour}"));
    flush(journal);
    ids
}

/// Changes every byte of the mark of a block, wherever it lies below `dir`.
fn damage(dir: &Path, hour: u64) {
    let mark = format!("mark of block {hour} ");
    let mut found = 0;
    let segments = fs::read_dir(dir.join("segments")).into_iter().flatten();
    let segments = segments.map(|entry| entry.unwrap().path());
    for path in segments.chain([dir.join("journal.redb")]) {
        let mut bytes = fs::read(&path).unwrap();
        let places: Vec<usize> = bytes
            .windows(mark.len())
            .enumerate()
            .filter(|(_, window)| *window == mark.as_bytes())
            .map(|(place, _)| place)
            .collect();
        if !places.is_empty() {
            places.iter().for_each(|place| bytes[*place] = b'X');
            fs::write(&path, bytes).unwrap();
            found += places.len();
        }
    }
    assert!(found > 0, "{mark}");
}

struct Damaged {
    _directory: TempDir,
    dir: PathBuf,
    ids: Vec<Vec<InferenceId>>,
}

impl Damaged {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.parent().unwrap().join(name)
    }
}

/// A closed journal with one block that cannot be read; `prepare` is called before it is closed.
fn journal(prepare: impl Fn(&Journal)) -> Damaged {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path().join("data");
    let journal = options().open(&dir).unwrap();
    let ids = (0..BLOCKS).map(|hour| log(&journal, hour)).collect();
    prepare(&journal);
    journal.close().unwrap();
    damage(&dir, BAD);
    Damaged {
        _directory: directory,
        dir,
        ids,
    }
}

fn hole(entry: &Entry) -> Option<&Gap> {
    match &entry.content {
        Content::Gap(gap) if gap.reason == GapReason::Damaged => Some(gap),
        _ => None,
    }
}

/// The sequences that a gap stands for.
fn sequences(gap: &Gap) -> Range<u64> {
    gap.sequence..gap.sequence + gap.count.unwrap()
}

/// Reads that go through the journal.
fn check_scans(damaged: &Damaged) -> Reader {
    let reader = Reader::open(&damaged.dir).unwrap();
    assert_eq!(reader.missing(), []);
    let readable = 9 * (usize::try_from(BLOCKS).unwrap() - 1);

    // Queries, in every order and by every way.
    for query in [
        reader.inferences(),
        reader.inferences().newest_first(),
        reader
            .inferences()
            .model("dqn_agent")
            .repeats(Repeats::Include),
        reader.inferences().since(Timestamp::from_micros(0)),
        reader.inferences().since(Timestamp::MIN).newest_first(),
    ] {
        let given: Vec<_> = query.iter().map(Result::unwrap).collect();
        assert_eq!(given.len(), readable);
        let judged: Vec<_> = query.with_outcomes().map(Result::unwrap).collect();
        assert!(judged.iter().all(|(_, outcomes)| outcomes.is_some()));
        assert_eq!(reader.missing(), [lost()]);
    }
    assert_eq!(reader.newest(30).map(Result::unwrap).count(), 30);

    // By sequence, by id.
    let follow: Vec<Entry> = reader
        .follow(reader.start())
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let holes: Vec<&Gap> = follow.iter().filter_map(hole).collect();
    assert_eq!(holes.len(), 1);
    assert_eq!(sequences(holes[0]), lost());
    let (first, last) = holes[0].event_range.unwrap();
    let hour = i64::try_from(BAD).unwrap() * HOUR;
    assert!(first.as_micros() <= hour && last.as_micros() >= hour + 8 * 60_000_000);
    assert!(first.as_micros() >= hour && last.as_micros() < hour + HOUR);
    let mut next = 1;
    for entry in &follow {
        assert_eq!(entry.sequence, next);
        next = hole(entry).map_or(next + 1, |gap| sequences(gap).end);
    }
    reader
}

fn check_readers(damaged: &Damaged) {
    let reader = check_scans(damaged);
    for sequence in lost() {
        let entry = reader.entry(sequence).unwrap().unwrap();
        assert_eq!(hole(&entry).map(sequences), Some(lost()));
    }
    let gone = damaged.ids[usize::try_from(BAD).unwrap()][4];
    let error = reader.get(gone).unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }) && error.to_string().contains("repair"));
    let kept = damaged.ids[5][4];
    assert!(reader.get(kept).unwrap().is_some());
    let each = reader.get_each(&[gone, kept]).unwrap();
    assert_eq!((each[0].is_some(), each[1].is_some()), (false, true));
    assert!(reader.outcome(gone).unwrap().is_none());

    // Events and gaps.
    let events: Vec<Entry> = reader.events().map(Result::unwrap).collect();
    assert_eq!(events.iter().filter_map(hole).count(), 1);
    let said = |entry: &&Entry| matches!(&entry.content, Content::SystemEvent(_));
    assert_eq!(events.iter().filter(said).count() as u64, BLOCKS - 1);
    reader.gaps().for_each(|gap| drop(gap.unwrap()));
    assert_eq!(reader.missing(), [lost()]);
}

#[test]
fn readers_go_on_behind_a_block_of_the_hot_file() {
    check_readers(&journal(|_| ()));
}

#[test]
fn several_blocks_are_passed_over_one_by_one_and_together() {
    let damaged = journal(|_| ());
    for hour in [0, BAD + 1, BLOCKS - 1] {
        damage(&damaged.dir, hour);
    }
    let reader = Reader::open(&damaged.dir).unwrap();
    let up: Vec<_> = reader.inferences().iter().map(Result::unwrap).collect();
    let mut down: Vec<_> = reader.newest(1_000).map(Result::unwrap).collect();
    down.reverse();
    assert_eq!(up.len(), 18);
    assert_eq!(format!("{up:?}"), format!("{down:?}"));
    let end = reader.end().unwrap().next_sequence();
    let of = |blocks: Range<u64>| 1 + blocks.start * OF_BLOCK..1 + blocks.end * OF_BLOCK;
    assert_eq!(reader.missing(), [of(0..1), of(BAD..BLOCKS)]);
    assert_eq!(of(BAD..BLOCKS).end, end);
    // Each lost entry counts once, where blocks that cannot be read lie side by side.
    let lost: u64 = reader
        .missing()
        .iter()
        .map(|lost| lost.end - lost.start)
        .sum();
    let query = || reader.stats("dqn_agent");
    for query in [query(), query().as_of(Timestamp::MAX)] {
        let stats = query.get().unwrap();
        assert_eq!((stats.count, stats.coverage.damaged), (18, lost));
    }
    let follow = reader.follow(reader.start()).unwrap();
    let holes = follow.filter_map(|entry| hole(&entry.unwrap()).map(sequences));
    assert_eq!(holes.collect::<Vec<_>>(), reader.missing());
}

/// Statistics of the journal in `dir` over `hours`, or over everything: decisions, damaged, and the
/// share.
fn stats(dir: &Path, hours: Option<Range<i64>>) -> (u64, u64, Option<f64>) {
    let reader = Reader::open(dir).unwrap();
    let mut query = reader.stats("dqn_agent");
    if let Some(hours) = hours {
        query = query.since(Timestamp::from_micros(hours.start * HOUR));
        query = query.until(Timestamp::from_micros(hours.end * HOUR));
    }
    let stats = query.get().unwrap();
    let coverage = &stats.coverage;
    (stats.count, coverage.damaged, coverage.completeness)
}

fn check_stats(dir: &Path) {
    let readable = 9 * (BLOCKS - 1);
    let (count, damaged, share) = stats(dir, None);
    assert_eq!((count, damaged), (readable, OF_BLOCK));
    assert!(share.unwrap() < 1.0);
    let bad = i64::try_from(BAD).unwrap();
    let (count, damaged, share) = stats(dir, Some(bad - 1..bad + 1));
    assert_eq!((count, damaged), (9, OF_BLOCK));
    assert!(share.unwrap() < 1.0);
    // Other windows are complete.
    assert_eq!(stats(dir, Some(0..bad)), (9 * BAD, 0, Some(1.0)));
    let (count, damaged, share) = stats(dir, Some(bad + 1..1_000));
    assert_eq!(
        (count, damaged, share),
        (9 * (BLOCKS - BAD - 1), 0, Some(1.0))
    );
}

#[test]
fn statistics_count_what_cannot_be_read_before_and_after_folding_and_repair() {
    let damaged = journal(|_| ());
    check_stats(&damaged.dir);
    // A question about an earlier time reads everything.
    let reader = Reader::open(&damaged.dir).unwrap();
    let known = reader
        .stats("dqn_agent")
        .as_of(Timestamp::MAX)
        .get()
        .unwrap();
    assert_eq!(
        (known.count, known.coverage.damaged),
        (9 * (BLOCKS - 1), OF_BLOCK)
    );
    drop(reader);

    // The folder passes over it, goes on, and remembers the loss.
    let journal = Journal::options()
        .without_mirror()
        .open(&damaged.dir)
        .unwrap();
    journal.fold(BOUND).unwrap();
    let health = journal.health();
    let folding = health.folding.unwrap();
    assert_eq!((folding.pending, folding.fault), (0, None));
    assert_eq!(health.damaged, OF_BLOCK);
    journal.close().unwrap();
    check_stats(&damaged.dir);

    // So does a repair.
    let repaired = repair(&damaged.dir).unwrap();
    assert_eq!(repaired.lost, [lost()]);
    check_stats(&damaged.dir);
    let reader = Reader::open(&damaged.dir).unwrap();
    let follow = reader.follow(reader.start()).unwrap();
    let holes: Vec<_> = follow.map(Result::unwrap).collect();
    assert_eq!(holes.iter().filter_map(hole).count(), 1);
    assert_eq!(reader.missing(), []);
}

#[test]
fn a_window_that_lost_decisions_is_not_complete_after_a_repair_that_folds_anew() {
    let damaged = journal(|_| ());
    repair(&damaged.dir).unwrap();
    check_stats(&damaged.dir);
    let journal = Journal::options()
        .without_mirror()
        .open(&damaged.dir)
        .unwrap();
    journal.fold(BOUND).unwrap();
    journal.close().unwrap();
    check_stats(&damaged.dir);
}

/// Rollups hold what was folded before it was damaged; only what cuts an hour needs the entries.
#[test]
fn an_edge_of_a_window_says_what_it_cannot_read() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path().join("data");
    let journal = Journal::options().dedup_window(Duration::ZERO);
    let journal = journal.without_mirror().open(&dir).unwrap();
    (0..BLOCKS).for_each(|hour| drop(log(&journal, hour)));
    journal.fold(BOUND).unwrap();
    journal.close().unwrap();
    damage(&dir, BAD);
    let check = || {
        assert_eq!(stats(&dir, None), (9 * BLOCKS, 0, Some(1.0)));
        let reader = Reader::open(&dir).unwrap();
        let middle = i64::try_from(BAD).unwrap() * HOUR + 4 * 60_000_000;
        let query = reader.stats("dqn_agent");
        let cut = query.until(Timestamp::from_micros(middle)).get().unwrap();
        assert_eq!(cut.count, 9 * BAD);
        assert_eq!(cut.coverage.damaged, 9);
        assert!(cut.coverage.completeness.unwrap() < 1.0);
    };
    check();
    repair(&dir).unwrap();
    check();
}

#[test]
fn the_text_files_go_on_with_a_line_for_what_is_missing() {
    let damaged = journal(|_| ());
    let logs = damaged.path("logs");
    let options = Journal::options().mirror(Mirror::new().directory(&logs));
    let journal = options.open(&damaged.dir).unwrap();
    wait_until("the text files are up to date", || {
        let mirror = journal.health().mirror.unwrap();
        assert_eq!(mirror.fault, None);
        mirror.lines > 0 && mirror.lag == 0
    });
    assert!(journal.health().damaged > 0);
    journal.close().unwrap();
    let lines = recent_lines(&logs, LogKind::System, 1_000).unwrap();
    let missing = lines.iter().filter(|line| line.contains("are missing"));
    let missing: Vec<&String> = missing.collect();
    let Range { start, end } = lost();
    let says = format!("sequences {start} to {}", end - 1);
    assert!(
        missing.len() == 1 && missing[0].contains(&says),
        "{missing:?}"
    );
    let lines = recent_lines(&logs, LogKind::Inferences, 1_000).unwrap();
    assert_eq!(lines.len() as u64, 9 * (BLOCKS - 1));

    // Written anew they are the same.
    let again = damaged.path("again");
    let reader = Reader::open(&damaged.dir).unwrap();
    reader.rebuild_mirror(&again, Mirror::new()).unwrap();
    for kind in [LogKind::System, LogKind::Inferences, LogKind::Outcomes] {
        let lines = |logs: &Path| recent_lines(logs, kind, 10_000).unwrap();
        assert_eq!(lines(&logs), lines(&again));
    }
}

#[test]
fn a_backup_holds_the_rest_and_can_be_restored_and_repaired() {
    let damaged = journal(|_| ());
    let (backup, restored) = (damaged.path("backup"), damaged.path("restored"));
    let maintenance = Maintenance::open(&damaged.dir).unwrap();
    let made = maintenance.backup(&backup).run().unwrap();
    assert_eq!(made.damaged, OF_BLOCK);
    // The next one as well.
    assert_eq!(maintenance.backup(&backup).run().unwrap().damaged, OF_BLOCK);
    assert_eq!(restore(&backup, &restored).unwrap().damaged, OF_BLOCK);
    for dir in [&backup, &restored] {
        let reader = Reader::open(dir).unwrap();
        let readable = reader.inferences().iter().map(Result::unwrap).count();
        assert_eq!(readable as u64, 9 * (BLOCKS - 1));
        assert_eq!(reader.missing(), [lost()]);
    }
    assert_eq!(repair(&restored).unwrap().lost, [lost()]);
    check_stats(&restored);
}

/// Sealing keeps what a repair has to see, and goes on up to it.
#[test]
fn sealing_stops_before_what_cannot_be_read_and_says_so() {
    let damaged = journal(|_| ());
    let journal = options().open(&damaged.dir).unwrap();
    let said = journal.seal(BOUND).unwrap_err().to_string();
    assert!(said.contains("repair"), "{said}");
    assert_eq!(
        fs::read_dir(damaged.dir.join("segments")).unwrap().count(),
        2
    );
    // Recording goes on.
    log(&journal, BLOCKS);
    journal.close().unwrap();
    let reader = Reader::open(&damaged.dir).unwrap();
    let readable = reader.inferences().iter().map(Result::unwrap).count();
    assert_eq!(readable as u64, 9 * BLOCKS);
    repair(&damaged.dir).unwrap();
    let journal = options().open(&damaged.dir).unwrap();
    assert!(journal.seal(BOUND).unwrap() > 0);
    journal.close().unwrap();
}

/// Blocks of a segment are merged: nearly all of a small one is one block.
#[test]
fn readers_go_on_behind_a_block_of_a_segment() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path().join("data");
    let journal = options().open(&dir).unwrap();
    let mut ends = Vec::new();
    for hour in 0..3 {
        log(&journal, hour);
        assert!(journal.seal(BOUND).unwrap() > 0);
        ends.push(journal.reader().unwrap().end().unwrap().next_sequence());
    }
    journal.close().unwrap();
    damage(&dir, 1);
    let reader = Reader::open(&dir).unwrap();
    for query in [reader.inferences(), reader.inferences().newest_first()] {
        assert_eq!(query.iter().map(Result::unwrap).count(), 18);
    }
    assert_eq!(reader.missing(), std::slice::from_ref(&(ends[0]..ends[1])));
    assert_eq!(stats(&dir, None).1, ends[1] - ends[0]);
    let backup = directory.path().join("backup");
    let made = Maintenance::open(&dir).unwrap().backup(&backup).run();
    assert_eq!(made.unwrap().damaged, ends[1] - ends[0]);
}

/// Writes the damaged block once more, as `craft` makes it, under a right checksum.
fn craft(dir: &Path, craft: impl Fn(&[u8]) -> Vec<u8>) {
    let definition: redb::TableDefinition<'_, &[u8], &[u8]> = redb::TableDefinition::new("blocks");
    let database = redb::Database::open(dir.join("journal.redb")).unwrap();
    let write = database.begin_write().unwrap();
    {
        let mut table = write.open_table(definition).unwrap();
        let key = lost().start.to_be_bytes();
        let value = table.get(&key[..]).unwrap().unwrap().value().to_vec();
        let payload = craft(&value[8..]);
        let length = (key.len() as u64).to_le_bytes();
        let whole = [&b"blocks"[..], &length, &key, &payload].concat();
        let sum = xxhash_rust::xxh3::xxh3_64(&whole).to_le_bytes();
        let value = [&sum[..], &payload].concat();
        table.insert(&key[..], &value[..]).unwrap();
    }
    write.commit().unwrap();
}

/// Makes another payload of one.
type Craft = fn(&[u8]) -> Vec<u8>;

/// Blocks that do not decode although their checksums are right.
const CRAFTS: [(&str, Craft); 4] = [
    ("cut", |payload| payload[..payload.len() - 40].to_vec()),
    ("nothing", |_| Vec::new()),
    ("another header", |payload| {
        [&[0xff; 12], &payload[12..]].concat()
    }),
    // Columns and lengths are right, and a text within is none.
    ("no text", |payload| {
        let mark = format!("mark of block {BAD} ");
        let mut bad = payload.to_vec();
        let windows = payload.windows(mark.len());
        let places = windows.enumerate().filter(|(_, w)| *w == mark.as_bytes());
        for (place, _) in places {
            bad[place] = 0xff;
        }
        assert_ne!(bad, payload);
        bad
    }),
];

#[test]
fn a_block_that_does_not_decode_under_a_right_checksum_costs_itself() {
    for (what, how) in CRAFTS {
        let directory = tempfile::tempdir().unwrap();
        let dir = directory.path().join("data");
        let journal = options().open(&dir).unwrap();
        let ids = (0..BLOCKS).map(|hour| log(&journal, hour)).collect();
        journal.close().unwrap();
        craft(&dir, how);
        println!("{what}");
        let damaged = Damaged {
            _directory: directory,
            dir,
            ids,
        };
        // One entry may be readable where its block is not.
        check_scans(&damaged);
        check_stats(&damaged.dir);
        let verified = Maintenance::open(&damaged.dir).unwrap().verify();
        assert!(!verified.is_whole(), "{what}");
        // Out and in again, still as damaged, and no more.
        let (backup, restored) = (damaged.path("backup"), damaged.path("restored"));
        let maintenance = Maintenance::open(&damaged.dir).unwrap();
        assert_eq!(maintenance.backup(&backup).run().unwrap().damaged, OF_BLOCK);
        assert_eq!(restore(&backup, &restored).unwrap().damaged, OF_BLOCK);
        drop(maintenance);
        assert_eq!(repair(&restored).unwrap().lost, [lost()], "{what}");
        check_stats(&restored);
        // Folded as lost, and repaired.
        let journal = Journal::options()
            .without_mirror()
            .open(&damaged.dir)
            .unwrap();
        journal.fold(BOUND).unwrap();
        assert_eq!(journal.health().damaged, OF_BLOCK, "{what}");
        journal.close().unwrap();
        check_stats(&damaged.dir);
        assert_eq!(repair(&damaged.dir).unwrap().lost, [lost()], "{what}");
        check_stats(&damaged.dir);
        assert_eq!(Reader::open(&damaged.dir).unwrap().missing(), []);
        let hole = Reader::open(&damaged.dir).unwrap().entry(lost().start);
        let hole = hole.unwrap().unwrap();
        assert_eq!(self::hole(&hole).unwrap().run.get(), 1, "{what}");
    }
}

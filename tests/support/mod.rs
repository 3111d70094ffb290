//! Shared by the tests within one process: short ways to log, to flush and to read back.

#![allow(dead_code, reason = "each test file uses its own part")]

#[path = "../common/look.rs"]
#[allow(
    clippy::duplicate_mod,
    reason = "some tests share more than one of these modules"
)]
pub mod look;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use annals::entry::{Gap, GapReason, Repeat};
use annals::health::Health;
use annals::{Content, Entry, InferenceId, InferenceRecord, Journal, Reader, Repeats, Timestamp};

/// More than anything here takes on a slow machine: a longer wait counts as a hang.
pub const BOUND: Duration = Duration::from_secs(60);

/// The longest interval that options take: only a flush or a full queue makes such a journal
/// commit.
pub const NEVER: Duration = Duration::from_secs(3_600);

/// Commits what was logged.
pub fn flush(journal: &Journal) {
    journal.flush().wait(BOUND).unwrap();
}

/// Waits until `holds`, and fails if that takes too long.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < BOUND, "it takes too long until {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Every entry in sequence; fails if a sequence is missing.
pub fn entries(reader: &Reader) -> Vec<Entry> {
    let follow = reader.follow(reader.start()).unwrap();
    let entries: Vec<Entry> = follow.map(Result::unwrap).collect();
    for (index, entry) in entries.iter().enumerate() {
        assert_eq!(entry.sequence, index as u64 + 1, "sequences are dense");
    }
    entries
}

/// Every inference, with repeats, in the order of commit.
pub fn records(reader: &Reader) -> Vec<InferenceRecord> {
    let query = reader.inferences().repeats(Repeats::Include);
    query.iter().map(Result::unwrap).collect()
}

/// The ids of all inferences and repeats; fails if one comes twice.
pub fn committed_ids(reader: &Reader) -> BTreeSet<InferenceId> {
    let listed: Vec<InferenceId> = entries(reader).iter().filter_map(Entry::id).collect();
    let ids: BTreeSet<InferenceId> = listed.iter().copied().collect();
    assert_eq!(ids.len(), listed.len(), "an id comes twice");
    ids
}

/// The repeats among all entries.
pub fn repeats(reader: &Reader) -> Vec<Repeat> {
    let repeat = |entry: Entry| match entry.content {
        Content::Repeat(repeat) => Some(repeat),
        _ => None,
    };
    entries(reader).into_iter().filter_map(repeat).collect()
}

/// Every gap.
pub fn gaps(reader: &Reader) -> Vec<Gap> {
    reader.gaps().map(Result::unwrap).collect()
}

/// How many events the gaps of one reason stand for.
pub fn missing(reader: &Reader, reason: GapReason) -> u64 {
    let counts = gaps(reader).into_iter().filter(|gap| gap.reason == reason);
    counts.map(|gap| gap.count.unwrap()).sum()
}

/// Fails unless every event that was offered is accounted for.
pub fn assert_books_close(health: &Health) {
    let accounted = health.committed + health.queued + health.unknown + health.dropped.total();
    assert_eq!(health.offered, accounted, "{health:?}");
}

/// A time in microseconds since 1970.
pub fn micros(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

//! Sealing that finds no room: the journal continues without it, reports it once, and seals when
//! there is room again.

#![cfg(all(target_os = "linux", not(annals_portable)))]
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;
mod tiny;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use annals::health::{SealingHealth, State};
use annals::{Content, Entry, Error, Inference, Journal, Maintenance, Options, Reader};
use support::{BOUND, assert_books_close, entries, flush, wait_until};
use tiny::Tiny;

const FAULT: &str = "segments cannot be sealed";

fn options() -> Options {
    Journal::options().without_mirror().close_timeout(BOUND)
}

/// Logs and commits `count` distinct inferences, each of which takes some 100 bytes in a segment.
fn log(journal: &Journal, first: u64, count: u64) {
    for number in first..first + count {
        // Hashes of the number, so that nothing of it compresses.
        let mut word = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut digits = String::new();
        for _ in 0..6 {
            word ^= word << 13;
            word ^= word >> 7;
            word ^= word << 17;
            digits.push_str(&format!("{word:016x}"));
        }
        let attributes = [("note", annals::Value::from(digits.as_str()))];
        let inference = Inference::new("dqn_agent", "ETH/USDT", "BUY").attributes(&attributes);
        assert!(journal.log(inference).is_some());
        if number % 1_000 == 999 {
            flush(journal);
        }
    }
    flush(journal);
}

fn sealing(journal: &Journal) -> SealingHealth {
    journal.health().sealing.unwrap()
}

fn inferences(reader: &Reader) -> usize {
    entries(reader).iter().filter_map(Entry::id).count()
}

/// The journal's own reports of the fault, in order.
fn said(reader: &Reader) -> Vec<String> {
    let message = |entry: Entry| match entry.content {
        Content::SystemEvent(event) if event.message.contains(FAULT) => Some(event.message),
        _ => None,
    };
    entries(reader).into_iter().filter_map(message).collect()
}

fn in_folder(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir.join("segments")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name != ".lock").collect()
}

fn assert_no_room(refused: &annals::Result<u64>) {
    let full = matches!(refused, Err(Error::NoRoom { .. } | Error::Io { .. }));
    assert!(full, "{refused:?}");
}

#[test]
fn a_segment_for_which_there_is_no_room_is_sealed_later() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path().join("data");
    options().open(&dir).unwrap().close().unwrap();
    let Some(tiny) = Tiny::mount(&dir.join("segments"), 256) else {
        return;
    };
    // More than there is room for: with less, a sealer that looks early finds room for its part.
    let journal = options().seal_bytes(1 << 20).open(&dir).unwrap();
    log(&journal, 0, 20_000);
    let reader = journal.reader().unwrap();
    wait_until("it is said that there is no room", || {
        sealing(&journal).fault.is_some() && !said(&reader).is_empty()
    });
    assert!(sealing(&journal).hot_bytes > 1 << 20);

    // It continues, the caller that asks for a segment gets the error, and nothing of one is left.
    for round in 0..3 {
        assert_no_room(&journal.seal(BOUND));
        assert_eq!(in_folder(&dir), [""; 0]);
        log(&journal, 20_000 + round * 100, 100);
        assert!(sealing(&journal).fault.is_some());
    }
    let health = journal.health();
    assert_eq!((health.state, health.dropped.total()), (State::Running, 0));
    assert_eq!(said(&reader), [FAULT]);
    assert_eq!(inferences(&reader), 20_300);

    tiny.resize(32 << 10);
    journal.seal(BOUND).unwrap();
    // Once it has succeeded, the fault is over, and that is said as well.
    assert_eq!(sealing(&journal).fault, None);
    flush(&journal);
    assert_eq!(said(&reader), [FAULT, &format!("over: {FAULT}")]);
    assert_eq!(inferences(&reader), 20_300);
    flush(&journal);
    assert_books_close(&journal.health());
    journal.close().unwrap();
    let verified = Maintenance::open(&dir).unwrap().verify();
    assert!(verified.is_whole(), "{:?}", verified.defects);
    let files = in_folder(&dir);
    assert!(
        !files.is_empty() && files.iter().all(|name| name.ends_with(".redb")),
        "{files:?}"
    );
}

/// There hot file and segments share the room.
#[test]
fn on_a_full_disk_the_journal_seals_by_itself_as_soon_as_there_is_room() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("tiny");
    let Some(tiny) = Tiny::mount(&place, 32 << 10) else {
        return;
    };
    let dir = place.join("data");
    let journal = options().seal_bytes(1 << 30).open(&dir).unwrap();
    log(&journal, 0, 20_000);
    journal.close().unwrap();
    tiny.resize(kibibytes_used(&dir) + 128);
    let journal = options().seal_bytes(1 << 16).open(&dir).unwrap();
    wait_until("it is said that there is no room", || {
        sealing(&journal).fault.is_some()
    });
    assert_eq!(in_folder(&dir), [""; 0]);
    assert!(
        journal
            .log(Inference::new("dqn_agent", "ETH/USDT", "SELL"))
            .is_some()
    );
    // It is committed, or it is held and counted until there is room.
    let _ = journal.flush().wait(BOUND);
    assert_books_close(&journal.health());

    tiny.resize(32 << 10);
    wait_until("it is sealed", || {
        let known = sealing(&journal);
        known.fault.is_none() && known.hot_bytes < 1 << 16 && known.segments > 0
    });
    flush(&journal);
    let reader = journal.reader().unwrap();
    assert_eq!(inferences(&reader), 20_001);
    assert_eq!(said(&reader), [FAULT, &format!("over: {FAULT}")]);
    journal.close().unwrap();
    let verified = Maintenance::open(&dir).unwrap().verify();
    assert!(verified.is_whole(), "{:?}", verified.defects);
}

fn kibibytes_used(dir: &Path) -> u64 {
    fs::metadata(dir.join("journal.redb")).unwrap().blocks() / 2
}

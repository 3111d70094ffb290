//! No input of a caller, a disk or another program makes the library panic, hang, overwrite foreign
//! files, or return data that was never logged.

#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use annals::{
    Content, Error, Inference, InferenceId, InferenceRecord, Journal, ManualClock, Options,
    Overflow, Reader, Recorder, Repeats, Timestamp, Value,
};
use chrono::{TimeZone, Utc};
use support::{BOUND, NEVER, assert_books_close, flush, micros, missing, records};
use tempfile::TempDir;

const HOUR: i64 = 3_600_000_000;
/// Time of the tests' clocks.
const NOW: i64 = 500_000 * HOUR;
const FILE: &str = "journal.redb";

// ---------------------------------------------------------------- paths

/// Result of opening `path`, for writing and for reading.
fn refusals(path: &Path) -> [Error; 2] {
    [
        Journal::open(path).unwrap_err(),
        Reader::open(path).unwrap_err(),
    ]
}

/// Fails unless the message names the path and says what to do about it.
fn assert_helps(error: &Error, path: &Path, advice: &str) {
    let message = error.to_string();
    assert!(message.contains(&path.display().to_string()), "{message}");
    assert!(message.contains(advice), "{message}");
}

#[test]
fn a_file_in_the_directorys_place_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("data");
    fs::write(&file, "a file").unwrap();
    for path in [file.clone(), file.join("below"), file.join("a/b")] {
        for error in refusals(&path) {
            assert!(matches!(error, Error::NotADirectory { .. }), "{error:?}");
            assert_helps(&error, &path, "choose another path");
        }
    }
    assert_eq!(fs::read(&file).unwrap(), b"a file");
}

#[test]
fn a_reader_makes_nothing_where_there_is_no_journal() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing");
    for path in [missing.as_path(), dir.path()] {
        let error = Reader::open(path).unwrap_err();
        assert!(matches!(error, Error::Missing { .. }), "{error:?}");
        assert_helps(&error, path, "open it for writing once");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[cfg(target_os = "linux")]
#[test]
fn a_place_where_nothing_can_be_made_is_an_error_that_names_it() {
    let path = Path::new("/proc/annals/data");
    let error = Journal::open(path).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error:?}");
    assert_helps(&error, path, "create");
}

#[cfg(unix)]
#[test]
fn a_parent_that_may_not_be_written_is_an_error_that_names_it() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o500)).unwrap();
    // Permissions do not bind root.
    if fs::create_dir(dir.path().join("probe")).is_err() {
        let path = dir.path().join("data");
        let error = Journal::open(&path).unwrap_err();
        assert!(matches!(error, Error::Io { .. }), "{error:?}");
        assert_helps(&error, &path, "create");
    }
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn a_file_in_place_of_the_run_locks_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let runs = dir.path().join("runs");
    fs::write(&runs, "").unwrap();
    let error = Journal::open(dir.path()).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error:?}");
    assert_helps(&error, &runs, "create");
}

#[test]
fn foreign_files_are_refused_and_left_as_they_are() {
    let magic = b"redb\x1a\x0a\xa9\x0d\x0a";
    let garbage: Vec<u8> = (0..20_000_u32).map(|n| (n * 7_919 % 251) as u8).collect();
    let files: [(&str, Vec<u8>); 7] = [
        ("empty", Vec::new()),
        ("text", b"time,action\n1,BUY\n".to_vec()),
        ("SQLite", b"SQLite format 3\0".repeat(300)),
        ("half a magic number", magic[..5].to_vec()),
        ("nothing but a magic number", magic.to_vec()),
        ("zeros", [&magic[..], &[0; 20_000]].concat()),
        ("garbage", [&magic[..], &garbage].concat()),
    ];
    for (what, bytes) in files {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(FILE);
        fs::write(&file, &bytes).unwrap();
        for error in refusals(dir.path()) {
            let is_known_foreign = matches!(error, Error::Foreign { .. });
            let looks_like_redb = bytes.starts_with(magic);
            let is_damaged = looks_like_redb && matches!(error, Error::Corrupt { .. });
            assert!(is_known_foreign || is_damaged, "{what}: {error:?}");
            let advice = if is_damaged {
                "restore"
            } else {
                "move the file aside"
            };
            assert_helps(&error, &file, advice);
        }
        assert_eq!(fs::read(&file).unwrap(), bytes, "{what}");
    }
}

#[test]
fn a_directory_in_the_files_place_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join(FILE)).unwrap();
    for error in refusals(dir.path()) {
        let is_refused = matches!(error, Error::Foreign { .. } | Error::Io { .. });
        assert!(is_refused, "{error:?}");
        assert_helps(&error, &dir.path().join(FILE), "");
    }
}

/// Opening a pipe waits for its other end, so it has to be looked at first.
#[cfg(unix)]
#[test]
fn a_pipe_in_the_files_place_is_refused_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join(FILE);
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    if !made.is_ok_and(|status| status.success()) {
        return;
    }
    let path = dir.path().to_owned();
    let [writing, reading] = in_time(Duration::from_secs(5), move || refusals(&path));
    assert!(matches!(writing, Error::Foreign { .. }), "{writing:?}");
    assert!(matches!(reading, Error::Foreign { .. }), "{reading:?}");
}

/// Result of `body`; fails if it takes longer than `bound`.
fn in_time<T: Send + 'static>(bound: Duration, body: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, result) = mpsc::channel();
    let running = thread::spawn(move || drop(sender.send(body())));
    match result.recv_timeout(bound) {
        Ok(result) => result,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it hangs"),
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            std::panic::resume_unwind(running.join().unwrap_err())
        }
    }
}

// ---------------------------------------------------------------- other formats

/// xxh3-64 of 17 to 32 bytes, which is all that the checksum of a format number needs.
fn xxh3(bytes: &[u8]) -> u64 {
    const PRIME: u64 = 0x9e37_79b1_85eb_ca87;
    const SECRET: [u64; 4] = [
        0xbe4b_a423_396c_feb8,
        0x1cad_21f7_2c81_017c,
        0xdb97_9083_e96d_d4de,
        0x1f67_b3b7_a4a4_4072,
    ];
    assert!((17..=32).contains(&bytes.len()));
    let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    let folded = |left: u64, right: u64| {
        let product = u128::from(left) * u128::from(right);
        #[expect(clippy::cast_possible_truncation, reason = "the two halves are folded")]
        let halves = (product as u64, (product >> 64) as u64);
        halves.0 ^ halves.1
    };
    let last = bytes.len() - 16;
    let mut hash = (bytes.len() as u64).wrapping_mul(PRIME);
    hash = hash.wrapping_add(folded(number(0) ^ SECRET[0], number(8) ^ SECRET[1]));
    hash = hash.wrapping_add(folded(
        number(last) ^ SECRET[2],
        number(last + 8) ^ SECRET[3],
    ));
    hash = (hash ^ hash >> 37).wrapping_mul(0x1656_6791_9e37_79f9);
    hash ^ hash >> 32
}

/// The stored value of a format number: its checksum over table, key and payload, and itself.
fn stored_format(format: u8) -> Vec<u8> {
    let key = b"format";
    let length = (key.len() as u64).to_le_bytes();
    let summed = [b"meta", &length[..], key, &[format]].concat();
    [&xxh3(&summed).to_le_bytes()[..], &[format]].concat()
}

/// Replaces every `old` in the file by `new`; says how many there were.
fn patch(file: &Path, old: &[u8], new: &[u8]) -> usize {
    assert_eq!(old.len(), new.len());
    let mut bytes = fs::read(file).unwrap();
    let mut count = 0;
    let mut at = 0;
    while let Some(found) = bytes[at..].windows(old.len()).position(|here| here == old) {
        at += found;
        bytes[at..at + new.len()].copy_from_slice(new);
        count += 1;
    }
    fs::write(file, bytes).unwrap();
    count
}

#[test]
fn a_newer_format_is_refused_by_name_and_left_as_it_is() {
    let (dir, _) = small_journal();
    let file = dir.path().join(FILE);
    assert!(patch(&file, &stored_format(4), &stored_format(5)) > 0);
    let before = fs::read(&file).unwrap();
    for error in refusals(dir.path()) {
        let Error::UnknownFormat {
            found, supported, ..
        } = &error
        else {
            panic!("{error:?}");
        };
        assert_eq!((*found, *supported), (5, 4));
        assert_helps(&error, &file, "use the version that wrote it");
    }
    assert!(fs::read(&file).unwrap() == before, "the file was changed");
}

// ---------------------------------------------------------------- damage

/// A closed journal of three commits with repeats, gaps and event times; and what it says.
fn small_journal() -> (TempDir, Seen) {
    let dir = tempfile::tempdir().unwrap();
    let journal = still().open(dir.path()).unwrap();
    let bare = journal.recorder("m", "s").actions(["A"]).build().unwrap();
    for number in 0..60_u8 {
        let features = [f32::from(number / 2)];
        let event = micros(i64::from(number) * HOUR / 2);
        let inference = Inference::new("m", "s", "BUY")
            .probabilities(&[("BUY", 0.5)])
            .features(&features)
            .event_time(event);
        journal.log(inference).unwrap();
        if number % 20 == 19 {
            assert_eq!(bare.inference(1).log(), None);
            flush(&journal);
        }
    }
    journal.close().unwrap();
    let seen = Seen::of(dir.path());
    let expected = |answer: &annals::Result<Vec<String>>| answer.as_ref().unwrap().len();
    assert_eq!(expected(&seen.all), 63);
    assert_eq!(expected(&seen.newest), 30);
    assert_eq!(expected(&seen.by_time), 60);
    assert_eq!(expected(&seen.gaps), 3);
    (dir, seen)
}

fn still() -> Options {
    Journal::options()
        .clock(ManualClock::at(micros(NOW)))
        .commit_interval(NEVER)
        .dedup_window(NEVER)
}

type Answer = annals::Result<Vec<String>>;

/// Results of every way of reading.
struct Seen {
    all: Answer,
    single: Answer,
    oldest: Answer,
    newest: Answer,
    by_time: Answer,
    by_name: Answer,
    by_id: Answer,
    gaps: Answer,
    runs: Answer,
    /// The sequences that the reader passed over.
    missing: Vec<Range<u64>>,
}

impl Seen {
    fn of(dir: &Path) -> Seen {
        let reader = match Reader::open(dir) {
            Ok(reader) => reader,
            Err(error) => return Seen::nothing(&error),
        };
        let in_full = || reader.inferences().repeats(Repeats::Exclude);
        let every = in_full().repeats(Repeats::Include);
        let sequences = [0, 1, 30, 63, 64].into_iter();
        let id = |counter: u64| InferenceId::from_u64(1 << 40 | counter);
        let counters = [0, 1, 30, 61, 62].into_iter();
        Seen {
            all: reader.follow(reader.start()).and_then(listed),
            single: listed(sequences.filter_map(|n| reader.entry(n).transpose())),
            oldest: listed(in_full().iter()),
            newest: listed(in_full().newest_first().iter()),
            by_time: listed(every.since(Timestamp::MIN).iter()),
            by_name: listed(in_full().model("m").iter()),
            by_id: listed(counters.filter_map(|n| reader.get(id(n)).transpose())),
            gaps: listed(reader.gaps()),
            runs: listed(reader.runs()),
            missing: reader.missing(),
        }
    }

    fn nothing(error: &Error) -> Seen {
        let nothing = || Err(error.clone());
        Seen {
            all: nothing(),
            single: nothing(),
            oldest: nothing(),
            newest: nothing(),
            by_time: nothing(),
            by_name: nothing(),
            by_id: nothing(),
            gaps: nothing(),
            runs: nothing(),
            missing: Vec::new(),
        }
    }

    /// Fails unless each answer is what it was before, or an error of damage, or lacks what the
    /// reader says is missing.
    fn assert_true_or_refused(&self, known: &Seen, what: &str) {
        // Reads by sequence are dense, so that no entry can be missing unnoticed.
        for (answer, known) in [(&self.all, &known.all), (&self.single, &known.single)] {
            self.assert_is(answer, known, what);
        }
        self.assert_is(&self.oldest, &known.oldest, what);
        // The indexes are not: a key that is damaged is not found. Their answers must be true.
        self.assert_is_part(&self.newest, &known.newest, what);
        self.assert_is_part(&self.by_name, &known.by_name, what);
        self.assert_is_part(&self.by_id, &known.by_id, what);
        self.assert_is_part(&self.gaps, &known.gaps, what);
        self.assert_is_part(&self.runs, &known.runs, what);
        // A repeat whose original is not found has no answer.
        let whole = |answer: &Answer| {
            let full = |record: &&String| !record.contains("confidence: NaN");
            answer
                .clone()
                .map(|found| found.iter().filter(full).cloned().collect())
        };
        self.assert_is_part(&whole(&self.by_time), &known.by_time, what);
    }

    fn assert_is(&self, answer: &Answer, known: &Answer, what: &str) {
        self.assert_is_part(answer, known, what);
        let (Ok(found), Ok(known)) = (answer, known) else {
            return;
        };
        for lost in known.iter().filter(|item| !found.contains(item)) {
            let sequence = sequence_of(lost);
            let is_missing = self.missing.iter().any(|range| range.contains(&sequence));
            assert!(
                is_missing,
                "{what}: {sequence} is not in {:?}",
                self.missing
            );
        }
    }

    fn assert_is_part(&self, answer: &Answer, known: &Answer, what: &str) {
        match answer {
            Ok(found) => {
                let known = known.as_ref().unwrap();
                // A gap stands in the place of what is missing.
                let is_hole = |item: &String| item.contains("reason: Damaged");
                let may_have_holes = !self.missing.is_empty();
                let found = found
                    .iter()
                    .filter(|item| !(may_have_holes && is_hole(item)));
                let found: Vec<_> = found.collect();
                let in_order: Vec<_> = known.iter().filter(|item| found.contains(item)).collect();
                assert_eq!(found, in_order, "{what}");
            }
            Err(error) => assert_is_of_damage(error, what),
        }
    }

    /// Whether something was refused, or said to be missing.
    fn is_noticed(&self) -> bool {
        !self.missing.is_empty() || self.answers().iter().any(|answer| answer.is_err())
    }

    fn answers(&self) -> [&Answer; 9] {
        [
            &self.all,
            &self.single,
            &self.oldest,
            &self.newest,
            &self.by_time,
            &self.by_name,
            &self.by_id,
            &self.gaps,
            &self.runs,
        ]
    }
}

fn listed<T: std::fmt::Debug>(items: impl Iterator<Item = annals::Result<T>>) -> Answer {
    let items: annals::Result<Vec<T>> = items.collect();
    Ok(items?.iter().map(|item| format!("{item:?}")).collect())
}

fn assert_is_of_damage(error: &Error, what: &str) {
    let of_damage = matches!(error, Error::Corrupt { .. } | Error::Foreign { .. });
    assert!(of_damage, "{what}: {error:?}");
}

/// The place of an entry that is printed.
fn sequence_of(entry: &str) -> u64 {
    let (_, rest) = entry.split_once("sequence: ").unwrap();
    let digits = rest.split(|of: char| !of.is_ascii_digit()).next().unwrap();
    digits.parse().unwrap()
}

/// Opens a damaged journal for writing, records something, and reads it back or gives up. Says
/// whether it was opened.
fn write_on(dir: &Path, what: &str) -> bool {
    let journal = match Journal::open(dir) {
        Ok(journal) => journal,
        Err(error) => {
            assert_is_of_damage(&error, what);
            return false;
        }
    };
    let id = journal.log(Inference::new("later", "s", "BUY")).unwrap();
    let flushed = journal.flush().wait(BOUND);
    let closed = journal.close();
    // The mirror may say that it cannot read what is damaged.
    assert_eq!(flushed.is_ok(), journal.health().committed >= 1, "{what}");
    assert_books_close(&journal.health());
    if let (Ok(()), Ok(())) = (flushed, closed) {
        let found = Reader::open(dir).and_then(|reader| reader.get(id));
        if let Ok(Some(record)) = found {
            assert_eq!(&*record.model, "later", "{what}");
        }
    }
    true
}

#[test]
fn a_flipped_byte_is_noticed_or_does_not_matter() {
    let (dir, known) = small_journal();
    let file = dir.path().join(FILE);
    let good = fs::read(&file).unwrap();
    in_time(BOUND, move || {
        let mut noticed = 0;
        for at in (0..good.len()).step_by(199) {
            let what = format!("byte {at}");
            let mut bad = good.clone();
            bad[at] ^= 0xff;
            fs::write(&file, &bad).unwrap();
            let seen = Seen::of(dir.path());
            seen.assert_true_or_refused(&known, &what);
            noticed += usize::from(seen.is_noticed());
            assert_eq!(fs::read(&file).unwrap(), bad, "{what}: reading changed it");
        }
        assert!(noticed > 10, "{noticed} of these bytes matter");
    });
}

#[test]
fn a_journal_with_a_flipped_byte_is_written_on_or_refused() {
    let (dir, _) = small_journal();
    let file = dir.path().join(FILE);
    let good = fs::read(&file).unwrap();
    in_time(BOUND, move || {
        for at in (0..good.len()).step_by(1_999) {
            let mut bad = good.clone();
            bad[at] ^= 0xff;
            fs::write(&file, &bad).unwrap();
            write_on(dir.path(), &format!("byte {at}"));
        }
    });
}

/// Here redb keeps the state of its allocator, in a journal of this size. Damage to it makes redb
/// panic in a transaction, and once more when the file is closed.
#[test]
fn a_journal_whose_allocator_is_damaged_is_refused_without_a_panic() {
    let (dir, _) = small_journal();
    let file = dir.path().join(FILE);
    let good = fs::read(&file).unwrap();
    in_time(BOUND, move || {
        let mut refused = 0;
        for at in (20_600..20_900).step_by(11) {
            let mut bad = good.clone();
            bad[at] ^= 0xff;
            fs::write(&file, &bad).unwrap();
            refused += usize::from(!write_on(dir.path(), &format!("byte {at}")));
        }
        assert!(refused > 0, "none of these bytes matters");
    });
}

/// "No error leaves an existing file changed", says `Journal::open`.
#[test]
fn a_journal_that_is_refused_for_a_damaged_run_is_left_as_it_is() {
    let (dir, _) = small_journal();
    let file = dir.path().join(FILE);
    let run = start_of_run();
    let mut damaged = run.clone();
    damaged[1] ^= 1;
    assert!(patch(&file, &run, &damaged) > 0);
    let before = fs::read(&file).unwrap();
    let error = Journal::open(dir.path()).unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error:?}");
    assert_helps(&error, &file, "restore a backup");
    assert!(fs::read(&file).unwrap() == before, "the file was changed");
}

/// A run's row begins with its time, doubled as signed numbers are, and its process.
fn start_of_run() -> Vec<u8> {
    let doubled = NOW.cast_unsigned() * 2;
    let process = std::process::id();
    let process = match u16::try_from(process) {
        Ok(small) if small < 251 => small.to_le_bytes()[..1].to_vec(),
        Ok(medium) => [&[251][..], &medium.to_le_bytes()].concat(),
        Err(_) => [&[252][..], &process.to_le_bytes()].concat(),
    };
    [&[253][..], &doubled.to_le_bytes(), &process].concat()
}

#[test]
fn a_truncated_file_is_noticed_or_whole() {
    let (dir, known) = small_journal();
    let file = dir.path().join(FILE);
    let good = fs::read(&file).unwrap();
    in_time(BOUND, move || {
        let pages = (0..good.len()).step_by(4_096);
        let odd = [1, 8, 9, 63, 319, 320, 4_095, 4_097, 20_000];
        let odd = odd.into_iter().chain([good.len() - 1, good.len() - 4_097]);
        for length in pages.chain(odd) {
            let what = format!("{length} of {} bytes", good.len());
            fs::write(&file, &good[..length]).unwrap();
            Seen::of(dir.path()).assert_true_or_refused(&known, &what);
            let after = fs::read(&file).unwrap();
            assert_eq!(after, good[..length], "{what}: reading changed it");
            write_on(dir.path(), &what);
        }
    });
}

#[test]
fn a_file_with_something_behind_its_end_is_read_or_refused() {
    let (dir, known) = small_journal();
    let file = dir.path().join(FILE);
    let good = fs::read(&file).unwrap();
    for (number, tail) in [1, 4_096, 1 << 20].into_iter().enumerate() {
        fs::write(&file, [&good[..], &vec![0xa5; tail]].concat()).unwrap();
        let what = format!("tail {number}");
        Seen::of(dir.path()).assert_true_or_refused(&known, &what);
        write_on(dir.path(), &what);
    }
}

/// The three blocks of the small journal begin with these sequences.
fn block_keys(firsts: [u64; 3]) -> Vec<u8> {
    firsts.map(u64::to_be_bytes).concat()
}

#[test]
fn a_block_that_is_lost_is_noticed_from_either_end() {
    for (lost, firsts) in [("first", [2, 22, 43]), ("last", [1, 22, 1 << 40])] {
        let (dir, known) = small_journal();
        let file = dir.path().join(FILE);
        let patched = patch(&file, &block_keys([1, 22, 43]), &block_keys(firsts));
        assert!(patched > 0);
        let seen = Seen::of(dir.path());
        assert!(seen.is_noticed(), "{lost}");
        seen.assert_is(&seen.all, &known.all, lost);
        seen.assert_is(&seen.oldest, &known.oldest, lost);
        seen.assert_is(&seen.newest, &known.newest, lost);
    }
}

/// A table is named in one place; without its name it is not there, which is not to say empty.
#[test]
fn a_table_that_is_lost_is_noticed() {
    let tables = "alias_historyaliasesbestsblockscheckpointscursorsdeletedgap_sumshour_details\
                  hoursidsinputskindsleavingmanifestsmetamodelsname_idsnamesnewest\
                  out_of_order_outcomesoutcomesrankingrollupsrunssegmentstagsunmatched_outcomes";
    let lost = [
        ("blocks", "blockt"),
        ("hours", "hourt"),
        ("ids", "idt"),
        ("inputs", "inputt"),
        ("kinds", "kindt"),
        ("name_ids", "name_idt"),
        ("runs", "runt"),
        ("segments", "segmentt"),
    ];
    for (name, other) in lost {
        let (dir, known) = small_journal();
        let file = dir.path().join(FILE);
        // The first of two: `ids` is also the end of `name_ids`.
        let renamed = tables.replacen(name, other, 1);
        assert!(patch(&file, tables.as_bytes(), renamed.as_bytes()) > 0);
        let seen = Seen::of(dir.path());
        for (answer, known) in seen.answers().into_iter().zip(known.answers()) {
            seen.assert_is(answer, known, name);
        }
    }
}

// ---------------------------------------------------------------- values

/// Records one inference and reads it back.
fn back(inference: Inference<'_>) -> InferenceRecord {
    let journal = still().in_memory().unwrap();
    let id = journal.log(inference).unwrap();
    flush(&journal);
    let found = journal.reader().unwrap().get(id).unwrap();
    found.unwrap()
}

fn plain() -> Inference<'static> {
    Inference::new("m", "s", "BUY")
}

#[test]
fn any_confidence_is_kept_to_the_bit_and_an_impossible_one_is_counted() {
    let odd_nan = f32::from_bits(0xffc1_2345);
    let impossible = [
        f32::NAN,
        odd_nan,
        f32::INFINITY,
        f32::NEG_INFINITY,
        -1.0,
        2.0,
        1.000_000_1,
    ];
    let possible = [0.0, -0.0, 1.0, f32::MIN_POSITIVE, 0.5];
    let journal = still().in_memory().unwrap();
    let given: Vec<f32> = impossible.into_iter().chain(possible).collect();
    for confidence in &given {
        journal.log(plain().confidence(*confidence)).unwrap();
    }
    let none = journal.log(plain()).unwrap();
    flush(&journal);
    let found = records(&journal.reader().unwrap());
    for (record, given) in found.iter().zip(&given) {
        assert_eq!(record.confidence.map(f32::to_bits), Some(given.to_bits()));
        assert_eq!(record.has_valid_confidence(), possible.contains(given));
    }
    let last = found.last().unwrap();
    assert_eq!((last.id, last.confidence), (none, None));
    assert_eq!(journal.health().invalid, impossible.len() as u64);
}

#[test]
fn a_confidence_that_is_left_out_is_the_probability_of_the_action() {
    let probabilities = [("SELL", 0.25), ("BUY", 0.75), ("BUY", 0.5)];
    let labelled = back(plain().probabilities(&probabilities));
    assert_eq!(labelled.confidence, Some(0.75));
    let given = back(plain().probabilities(&probabilities).confidence(0.1));
    assert_eq!(given.confidence, Some(0.1));
    assert!(
        back(plain().probabilities(&probabilities[..1]))
            .confidence
            .is_none()
    );
}

#[test]
fn features_of_any_number_are_known_by_their_hash() {
    let million: Vec<f32> = (0..1_000_000_u32)
        .map(|n| f32::from_bits(n * 4_099))
        .collect();
    for features in [&[][..], &[f32::NAN], &[-0.0], &million] {
        let record = back(plain().features(features));
        assert_eq!(record.feature_hash, Some(annals::feature_hash(features)));
    }
    assert_eq!(back(plain()).feature_hash, None);
    assert_eq!(back(plain().features_hashed(0)).feature_hash, Some(0));
    let most = u64::MAX;
    assert_eq!(back(plain().features_hashed(most)).feature_hash, Some(most));
}

#[test]
fn any_number_of_probabilities_up_to_the_most_is_kept_with_labels() {
    let labels: Vec<String> = (0..1_025).map(|n| format!("l{n}")).collect();
    let recorder = |count: usize| -> (Journal, Recorder) {
        let journal = still().in_memory().unwrap();
        let actions = labels[..count.max(1)].iter().map(String::as_str);
        let recorder = journal.recorder("m", "s").actions(actions).build().unwrap();
        (journal, recorder)
    };
    for count in [0, 1, 7, 8, 9, 255, 1_023, 1_024] {
        let values: Vec<f32> = (0..count).map(|n| 1.0 / (n as f32 + 1.0)).collect();
        let pairs: Vec<(&str, f32)> = labels
            .iter()
            .map(String::as_str)
            .zip(values.clone())
            .collect();
        let record = back(plain().probabilities(&pairs));
        assert_eq!(record.probabilities.iter().collect::<Vec<_>>(), pairs);
        let (journal, recorder) = recorder(count);
        let id = recorder.log(recorder.start(), 0, &values, &[]).unwrap();
        flush(&journal);
        let record = journal.reader().unwrap().get(id).unwrap().unwrap();
        assert_eq!(record.probabilities.iter().collect::<Vec<_>>(), pairs);
        assert_eq!(record.probabilities.len(), count);
    }
    let journal = still().in_memory().unwrap();
    let actions = labels.iter().map(String::as_str);
    let error = journal
        .recorder("m", "s")
        .actions(actions)
        .build()
        .unwrap_err();
    assert!(
        matches!(
            error,
            Error::InvalidOption {
                name: "actions",
                ..
            }
        ),
        "{error:?}"
    );
}

#[test]
fn probabilities_and_labels_need_not_match() {
    let journal = still().in_memory().unwrap();
    let recorder = journal
        .recorder("m", "s")
        .actions(["A", "B"])
        .build()
        .unwrap();
    let fewer = recorder.inference(1).probabilities(&[0.5]).log().unwrap();
    let more = recorder
        .inference(1)
        .probabilities(&[0.5, f32::NAN, 0.25])
        .log()
        .unwrap();
    flush(&journal);
    let reader = journal.reader().unwrap();
    let record = reader.get(fewer).unwrap().unwrap();
    // The action has no probability, so there is no confidence.
    assert!(record.confidence.is_none_or(f32::is_nan));
    assert_eq!(
        record.probabilities.iter().collect::<Vec<_>>(),
        [("A", 0.5)]
    );
    assert_eq!(record.probabilities.get("B"), None);
    let record = reader.get(more).unwrap().unwrap();
    assert_eq!(record.probabilities.values()[2], 0.25);
    assert_eq!(record.probabilities.labels().len(), 2);
    assert_eq!(
        journal.health().invalid,
        1,
        "NaN was the action's probability"
    );
}

/// Names that break lines, terminals, separators and tables.
fn odd_names() -> Vec<String> {
    let odd = [
        "",
        " ",
        "two\nlines\r\n",
        "\u{1b}[2Jcleared",
        "right \u{202e}to\u{200f} left",
        "nul\0nul",
        "a|b",
        "unit\u{1f}separator",
        "\u{1f}",
        "ÄÖÜ 比特币 🚀",
    ];
    let mut names: Vec<String> = odd.map(str::to_owned).into();
    names.extend([255, 256, 10_240].map(|length| "x".repeat(length)));
    // 255 bytes that end within a character.
    names.push("é".repeat(128));
    names
}

#[test]
fn any_name_is_kept_and_found() {
    for most in [0, 5, 65_536] {
        let journal = still().max_names(most).in_memory().unwrap();
        let mut logged = Vec::new();
        for name in odd_names() {
            let probabilities = [(name.as_str(), 0.5), ("other", 0.25)];
            let inference = Inference::new(&name, &name, &name)
                .checkpoint(&name)
                .probabilities(&probabilities);
            logged.push((name.clone(), journal.log(inference).unwrap()));
            let mut recorder = journal
                .recorder(&*name, &*name)
                .actions([&*name, "other"])
                .build()
                .unwrap();
            recorder.set_checkpoint(&name);
            let id = recorder.inference(0).probabilities(&[0.5, 0.25]).log();
            logged.push((name, id.unwrap()));
        }
        flush(&journal);
        let reader = journal.reader().unwrap();
        for (name, id) in &logged {
            let record = reader.get(*id).unwrap().unwrap();
            let names = [&record.model, &record.symbol, &record.action];
            assert!(names.iter().all(|found| ***found == **name), "{name:?}");
            assert_eq!(record.checkpoint.as_deref(), Some(&**name));
            assert_eq!(record.confidence, Some(0.5), "{name:?}");
            let probabilities: Vec<_> = record.probabilities.iter().collect();
            assert_eq!(probabilities, [(name.as_str(), 0.5), ("other", 0.25)]);
            let query = reader.inferences().model(name).symbol(name);
            let found = query.action(name).checkpoint(name).iter();
            let found: Vec<_> = found.map(|record| record.unwrap().id).collect();
            let expected = logged.iter().filter(|(other, _)| other == name);
            assert_eq!(found, expected.map(|(_, id)| *id).collect::<Vec<_>>());
        }
    }
}

#[test]
fn labels_that_hold_the_separator_are_not_taken_for_two() {
    let one = back(plain().probabilities(&[("a\u{1f}b", 0.5)]));
    assert_eq!(one.probabilities.labels().len(), 1);
    let two = back(plain().probabilities(&[("a", 0.5), ("b", 0.5)]));
    assert_eq!(two.probabilities.labels().len(), 2);
    let empty = back(plain().probabilities(&[("", 0.5), ("", 0.25), ("", 0.125)]));
    assert_eq!(empty.probabilities.labels().len(), 3);
}

#[test]
fn event_times_far_away_are_kept() {
    let year = |year| Utc.with_ymd_and_hms(year, 7, 1, 12, 0, 0).unwrap();
    let times = [year(9999), year(1833), year(1969)].map(Timestamp::from);
    let ends = [Timestamp::MAX, micros(i64::MIN + 1), micros(0), micros(-1)];
    for time in times.into_iter().chain(ends) {
        assert_eq!(back(plain().event_time(time)).event_time, time);
        let journal = still().in_memory().unwrap();
        let recorder = journal.recorder("m", "s").actions(["A"]).build().unwrap();
        recorder.inference(0).event_time(time).log().unwrap();
        flush(&journal);
        let found = records(&journal.reader().unwrap());
        assert_eq!(found[0].event_time, time);
    }
}

#[test]
fn attributes_of_every_kind_are_kept_in_order() {
    let attributes = [
        ("text", Value::from("")),
        ("", Value::from("an empty key")),
        ("text", Value::from("the same key again\n")),
        ("whole", Value::from(i64::MIN)),
        ("flag", Value::from(false)),
        ("infinite", Value::from(f64::NEG_INFINITY)),
        ("tiny", Value::from(f64::from_bits(1))),
    ];
    let record = back(plain().attributes(&attributes));
    let found = record.attributes.iter();
    let found: Vec<_> = found
        .map(|(key, value)| (key.as_str(), value.clone()))
        .collect();
    assert_eq!(found, attributes);
    let record = back(plain().attributes(&[("nan", Value::from(f64::NAN))]));
    assert!(matches!(record.attributes[0].1, Value::Real(number) if number.is_nan()));
}

/// An accepted entry must be readable, however little text there is in so many attributes.
#[test]
fn very_many_empty_attributes_leave_the_journal_readable() {
    let journal = still().in_memory().unwrap();
    let attributes = vec![("", Value::Flag(true)); 1 << 17];
    let many = journal.log(plain().attributes(&attributes));
    drop(attributes);
    let attributes = vec![("k", Value::Text(String::new())); 900_000];
    let very_many = journal.log(plain().attributes(&attributes));
    drop(attributes);
    let last = journal.log(plain());
    flush(&journal);
    let reader = journal.reader().unwrap();
    for id in [many, very_many, last].into_iter().flatten() {
        assert!(reader.get(id).unwrap().is_some());
    }
    assert_eq!(reader.newest(1).next().unwrap().unwrap().id, last.unwrap());
}

#[test]
fn durations_and_memory_at_their_ends_are_kept() {
    let most = Duration::from_nanos(u64::MAX - 1);
    for time in [Duration::ZERO, Duration::from_nanos(1), most] {
        assert_eq!(
            back(plain().processing_time(time)).processing_time,
            Some(time)
        );
    }
    assert_eq!(back(plain()).processing_time, None);
    // 584 years are the most.
    for time in [Duration::from_nanos(u64::MAX), Duration::MAX] {
        assert!(
            back(plain().processing_time(time)).processing_time >= Some(most),
            "{time:?}"
        );
    }
    // Kept in whole KiB.
    for (given, kept) in [(0, 0), (1_023, 0), (1_024, 1_024), (u64::MAX, !1_023)] {
        assert_eq!(back(plain().memory(given)).memory, Some(kept));
    }
}

#[test]
fn odd_calls_leave_the_books_balanced() {
    let journal = still().in_memory().unwrap();
    let many = vec![("BUY", 0.5); 1_025];
    for name in odd_names() {
        journal
            .log(Inference::new(&name, "s", &name).confidence(f32::NAN))
            .unwrap();
        assert_eq!(journal.log(plain().probabilities(&many)), None);
    }
    flush(&journal);
    let calls = odd_names().len() as u64;
    let health = journal.health();
    assert_books_close(&health);
    assert_eq!((health.committed, health.invalid), (calls, calls));
    let reader = journal.reader().unwrap();
    assert_eq!(missing(&reader, annals::entry::GapReason::Refused), calls);
}

// ---------------------------------------------------------------- options and messages

#[test]
fn an_option_that_cannot_work_is_refused_by_name() {
    let options = Journal::options;
    let hour = Duration::from_secs(3_600);
    let bad = [
        ("commit_interval", options().commit_interval(Duration::ZERO)),
        (
            "commit_interval",
            options().commit_interval(Duration::from_micros(999)),
        ),
        (
            "commit_interval",
            options().commit_interval(hour + Duration::from_nanos(1)),
        ),
        ("commit_interval", options().commit_interval(Duration::MAX)),
        ("queue_capacity", options().queue_capacity(0)),
        ("queue_capacity", options().queue_capacity(3)),
        ("queue_capacity", options().queue_capacity((1 << 24) + 1)),
        ("queue_capacity", options().queue_capacity(usize::MAX)),
        ("commit_bytes", options().commit_bytes(0)),
        ("commit_bytes", options().commit_bytes((1 << 16) - 1)),
        ("commit_bytes", options().commit_bytes(usize::MAX)),
        ("dedup_capacity", options().dedup_capacity(usize::MAX)),
        ("max_names", options().max_names(usize::MAX)),
        ("ids_per_run", options().ids_per_run(0)),
        ("ids_per_run", options().ids_per_run((1 << 39) + 1)),
        ("label", options().label("x".repeat(1_025))),
        ("close_timeout", options().close_timeout(Duration::MAX)),
        (
            "overflow",
            options().overflow(Overflow::Block {
                timeout: hour + Duration::from_nanos(1),
            }),
        ),
    ];
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    for (expected, options) in bad {
        for error in [
            options.clone().open(&path).unwrap_err(),
            options.in_memory().unwrap_err(),
        ] {
            let Error::InvalidOption { name, .. } = &error else {
                panic!("{expected}: {error:?}");
            };
            assert_eq!(*name, expected);
            let message = error.to_string();
            assert!(
                message.contains(expected) && message.contains("give"),
                "{message}"
            );
        }
    }
    assert!(!path.exists(), "a refused option creates nothing");
}

#[test]
fn options_at_their_ends_work() {
    let options = Journal::options;
    let ends = [
        options().commit_interval(Duration::from_millis(1)),
        options().commit_interval(NEVER),
        options().queue_capacity(4).commit_bytes(1 << 16),
        options().cache_bytes(0),
        options().cache_bytes(usize::MAX),
        options().dedup_capacity(0),
        options().dedup_capacity(1),
        options().dedup_window(Duration::MAX),
        options().memory_interval(Duration::ZERO),
        options().memory_interval(Duration::MAX),
        options().close_timeout(NEVER),
        options().overflow(Overflow::Block { timeout: NEVER }),
        options().flush_on_panic(Duration::MAX),
        options().label(""),
        options().label("x".repeat(1_024)),
    ];
    for options in ends {
        let dir = tempfile::tempdir().unwrap();
        let what = format!("{options:?}");
        let journal = options.open(dir.path()).unwrap();
        let ids: Vec<_> = (0..3)
            .map(|_| journal.log(plain().features(&[1.0])).unwrap())
            .collect();
        journal.close().unwrap();
        assert_eq!(journal.health().committed, 3, "{what}");
        let found = records(&Reader::open(dir.path()).unwrap());
        let found: Vec<_> = found.iter().map(|record| record.id).collect();
        assert_eq!(found, ids, "{what}");
    }
}

#[test]
fn a_close_that_has_no_time_says_so_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let options = still().close_timeout(Duration::ZERO);
    let journal = options.open(dir.path()).unwrap();
    let id = journal.log(plain()).unwrap();
    flush(&journal);
    // The writer may be faster, at once or while it is asked again and again.
    while let Err(error) = journal.close() {
        assert!(matches!(error, Error::TimedOut { .. }), "{error:?}");
        assert!(error.to_string().contains("wait longer"), "{error}");
        thread::yield_now();
    }
    let reader = Reader::open(dir.path()).unwrap();
    assert!(reader.get(id).unwrap().is_some());
}

#[test]
fn what_cannot_be_parsed_is_repeated_with_what_is_expected() {
    let cursor = "annals:zz:1".parse::<annals::Cursor>().unwrap_err();
    let id = "3-".parse::<InferenceId>().unwrap_err();
    for (error, text, form) in [(cursor, "annals:zz:1", "annals:<"), (id, "3-", "<run>-")] {
        let message = error.to_string();
        assert!(
            message.contains(text) && message.contains(form),
            "{message}"
        );
    }
}

/// Errors are told to several callers, on other threads.
#[test]
fn errors_can_be_cloned_sent_and_shared() {
    fn shared<T: Clone + Send + Sync + std::error::Error + 'static>() {}
    shared::<Error>();
    let error = Reader::open("elsewhere").unwrap_err();
    assert!(matches!(error, Error::Missing { .. }), "{error}");
    assert_eq!(error.clone().to_string(), error.to_string());
}

/// Serialising must not fail on what JSON has no words for.
#[test]
fn odd_entries_can_be_serialised() {
    let journal = still().in_memory().unwrap();
    let probabilities = [("a\u{1f}\n", f32::NAN), ("", f32::INFINITY)];
    let attributes = [("", Value::from(f64::NAN))];
    let inference = Inference::new("\u{1b}", "", "a\u{1f}\n")
        .probabilities(&probabilities)
        .event_time(Timestamp::MAX)
        .attributes(&attributes);
    journal.log(inference).unwrap();
    flush(&journal);
    let reader = journal.reader().unwrap();
    for entry in reader.follow(reader.start()).unwrap() {
        let entry = entry.unwrap();
        assert!(matches!(entry.content, Content::Inference(_)));
        let text = serde_json::to_string(&entry).unwrap();
        assert!(!text.contains('\n') && !text.contains('\u{1b}'), "{text}");
        let _: serde_json::Value = serde_json::from_str(&text).unwrap();
    }
    assert!(serde_json::to_string(&journal.health()).is_ok());
}

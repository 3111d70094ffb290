//! Every byte of a small journal is flipped and every length of it is left, in the hot file and in
//! a segment. Each answer stays the same, or is a typed error, or lacks entries that the reader
//! reports as lost. Every 128th byte in the ordinary run, every 64th with `ANNALS_THOROUGH=1`, all
//! with `ANNALS_LONG=1`.
//!
//! Plain reads miss one thing: a damaged key of an index (event times, ids, kinds, outcomes, runs,
//! names) is not found, so its entries are missing from that answer. Nothing is missing from what
//! goes by sequence, but a repeat whose original is not found has only what it keeps itself.
//! Nothing false is ever given. Where that happens `verify` has to report damage; so it has for the
//! bytes around, which are tried one by one. Their places are printed.

#![cfg(all(unix, not(annals_portable)))]
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use annals::{
    Error, Inference, InferenceId, Journal, Level, Maintenance, ManualClock, Outcome, Reader,
    Repeats, Timestamp,
};
use tempfile::TempDir;

const BOUND: Duration = Duration::from_secs(10);
/// How many bytes on either side of one that plain reads do not see are tried as well.
const AROUND: usize = 16;
const HOUR: i64 = 3_600_000_000;

/// The distance of two bytes that are tried.
fn stride() -> usize {
    let is_long = std::env::var_os("ANNALS_LONG").is_some_and(|value| value == "1");
    let is_thorough = std::env::var_os("ANNALS_THOROUGH").is_some_and(|value| value == "1");
    match (is_long, is_thorough) {
        (true, _) => 1,
        (false, true) => 64,
        (false, false) => 128,
    }
}

/// Bound of a long run, seconds in `ANNALS_LONG_SECONDS`.
fn patience() -> Duration {
    let wanted = std::env::var("ANNALS_LONG_SECONDS").ok();
    let seconds = wanted.and_then(|wanted| wanted.parse().ok());
    Duration::from_secs(seconds.unwrap_or(u64::from(u32::MAX)))
}

/// A closed journal with everything in it, half of it in a segment.
struct Small {
    _directory: TempDir,
    dir: PathBuf,
    known: Vec<Answer>,
}

impl Small {
    fn new() -> Small {
        let memory = Path::new("/dev/shm");
        let directory = if memory.is_dir() {
            tempfile::tempdir_in(memory).unwrap()
        } else {
            tempfile::tempdir().unwrap()
        };
        let dir = directory.path().join("data");
        let options = Journal::options()
            .clock(ManualClock::at(Timestamp::from_micros(500_000 * HOUR)))
            .commit_interval(Duration::from_secs(3_600))
            .dedup_window(Duration::from_secs(3_600))
            .without_mirror();
        let journal = options.open(&dir).unwrap();
        let bare = journal.recorder("m", "s").actions(["A"]).build().unwrap();
        for number in 0..60_u8 {
            let features = [f32::from(number / 2)];
            let event = Timestamp::from_micros(i64::from(number) * HOUR / 2);
            let inference = Inference::new("m", "s", "BUY")
                .probabilities(&[("BUY", 0.5)])
                .features(&features)
                .event_time(event);
            let id = journal.log(inference).unwrap();
            if number % 10 == 9 {
                journal.attach_outcome(id, Outcome::new().reward(f64::from(number)));
                journal.event(Level::Info, "rot", format!("event {number}"));
                // One without an action cannot be recorded, and leaves a gap.
                assert_eq!(bare.inference(1).log(), None);
                journal.flush().wait(BOUND).unwrap();
            }
            if number == 29 {
                assert!(journal.seal(BOUND).unwrap() > 0);
            }
        }
        journal.close().unwrap();
        // redb doubles a file that needs one page more: damage to the unused half says nothing.
        Maintenance::open(&dir).unwrap().compact().unwrap();
        let known = answers(&dir);
        assert!(known.iter().all(|answer| answer.given.is_ok()));
        Small {
            _directory: directory,
            dir,
            known,
        }
    }

    fn hot(&self) -> PathBuf {
        self.dir.join("journal.redb")
    }

    fn segment(&self) -> PathBuf {
        let files = fs::read_dir(self.dir.join("segments")).unwrap();
        let mut files = files.map(|entry| entry.unwrap().path());
        let is_segment = |path: &PathBuf| path.extension().is_some_and(|end| end == "redb");
        files.find(is_segment).unwrap()
    }
}

/// Whether an answer can lack something unnoticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// By sequence, which is dense.
    BySequence,
    /// By an index whose keys have no checksum of their own.
    ByIndex,
}

struct Answer {
    question: &'static str,
    found: Found,
    given: Result<Vec<String>, Error>,
    /// Whether the reader says that it has passed over entries.
    has_lost: bool,
}

/// All that can be asked of the journal in `dir`.
fn answers(dir: &Path) -> Vec<Answer> {
    let ids = [0, 1, 9, 30, 61, 1_000].map(|counter| InferenceId::from_u64(1 << 40 | counter));
    let sequences = [0, 1, 17, 40, 63, 1_000];
    let reader = RefCell::new(None);
    // Asked of the same reader, until it has met damage.
    let ask = |question, found, ask: &dyn Fn(&Reader) -> Result<Vec<String>, Error>| {
        let mut reader = reader.borrow_mut();
        let given = match &*reader {
            Some(reader) => ask(reader),
            None => Reader::open(dir).and_then(|fresh| ask(reader.insert(fresh))),
        };
        let has_lost = reader
            .as_ref()
            .is_some_and(|reader| !reader.missing().is_empty());
        if given.is_err() {
            *reader = None;
        }
        Answer {
            question,
            found,
            given,
            has_lost,
        }
    };
    use Found::{ByIndex, BySequence};
    let all = Timestamp::MIN;
    vec![
        ask("follow", BySequence, &|reader| {
            listed(reader.follow(reader.start())?)
        }),
        ask("entry", BySequence, &|reader| {
            listed(
                sequences
                    .iter()
                    .filter_map(|n| reader.entry(*n).transpose()),
            )
        }),
        ask("oldest", BySequence, &|reader| {
            listed(reader.inferences().iter())
        }),
        ask("newest", ByIndex, &|reader| listed(reader.newest(100))),
        ask("by time", ByIndex, &|reader| {
            let query = reader.inferences().repeats(Repeats::Include).since(all);
            listed(query.iter())
        }),
        ask("by name", ByIndex, &|reader| {
            listed(reader.inferences().model("m").iter())
        }),
        ask("by id", ByIndex, &|reader| {
            listed(ids.iter().filter_map(|id| reader.get(*id).transpose()))
        }),
        ask("outcomes", ByIndex, &|reader| {
            listed(ids.iter().filter_map(|id| reader.outcome(*id).transpose()))
        }),
        ask("gaps", ByIndex, &|reader| listed(reader.gaps())),
        ask("runs", ByIndex, &|reader| listed(reader.runs())),
    ]
}

fn listed<T: std::fmt::Debug>(
    items: impl Iterator<Item = annals::Result<T>>,
) -> Result<Vec<String>, Error> {
    items
        .map(|item| item.map(|item| format!("{item:?}")))
        .collect()
}

/// The answers, counted by result.
#[derive(Debug, Default)]
struct Tally {
    tried: usize,
    refused: usize,
    /// Where something was missing, and nothing was refused.
    unseen: Vec<usize>,
}

impl Tally {
    fn count(&mut self, small: &Small, at: usize, what: &str) {
        self.tried += 1;
        let (mut refused, mut missing) = (false, false);
        for (known, seen) in small.known.iter().zip(answers(&small.dir)) {
            let question = seen.question;
            match &seen.given {
                Err(Error::Corrupt { .. } | Error::Foreign { .. } | Error::InUse { .. }) => {
                    refused = true;
                }
                Err(other) => panic!("{what} {at}, {question}: {other:?}"),
                Ok(given) => {
                    let known = known.given.as_ref().unwrap();
                    // An unreadable entry has a gap in its place.
                    let is_hole = |item: &String| item.contains("reason: Damaged");
                    // A repeat has of its original's answer what it keeps itself.
                    let is_bare = |item: &String| {
                        item.contains("repeat_of: Some") && item.contains("values: [] }")
                    };
                    let others = given.iter().filter(|item| !known.contains(item));
                    let (bare, others): (Vec<_>, Vec<_>) = others.partition(|item| is_bare(item));
                    let is_false = |item: &&String| !seen.has_lost || !is_hole(item);
                    let false_one = others.into_iter().find(is_false);
                    assert_eq!(false_one, None, "{what} {at}, {question}");
                    missing |= !bare.is_empty();
                    refused |= seen.has_lost;
                    let holes = given.iter().filter(|item| is_hole(item)).count();
                    let whole = given.len() - holes == known.len();
                    let may_miss = seen.found == Found::ByIndex || seen.has_lost;
                    assert!(whole || may_miss, "{what} {at}, {question}");
                    missing |= !whole;
                }
            }
        }
        self.refused += usize::from(refused);
        if missing && !refused {
            self.unseen.push(at);
            let verified = Maintenance::open(&small.dir).map(|opened| opened.verify());
            let reported = verified.map_or(true, |verified| !verified.is_whole());
            assert!(reported, "{what} {at}: verify finds nothing");
        }
    }
}

/// Damages `file` in every way that `damage` makes of its good bytes, and asks everything.
fn damage(
    file: fn(&Small) -> PathBuf,
    what: &'static str,
    damage: fn(&[u8], usize) -> Vec<u8>,
) -> Tally {
    let small = Small::new();
    let path = file(&small);
    let good = fs::read(&path).unwrap();
    // Another of the 64 bytes each day would make a failure that does not come back: print it.
    let first = std::env::var("ANNALS_TEST_SEED").ok();
    let first = first
        .and_then(|seed| seed.parse::<usize>().ok())
        .unwrap_or(17)
        % stride();
    println!("seed {first}");
    let (sender, receiver) = mpsc::channel();
    let length = good.len();
    let worker = thread::spawn(move || {
        let began = Instant::now();
        let mut tally = Tally::default();
        let try_at = |tally: &mut Tally, at: usize| {
            if began.elapsed() <= patience() && at < good.len() {
                fs::write(&path, damage(&good, at)).unwrap();
                tally.count(&small, at, what);
                // The caller may have stopped waiting.
                let _ = sender.send(None);
            }
        };
        for at in (first..good.len()).step_by(stride()) {
            try_at(&mut tally, at);
        }
        // Earlier tries are repeated in a long run.
        for at in tally.unseen.clone() {
            let around = at.saturating_sub(AROUND)..at + AROUND;
            around.for_each(|at| try_at(&mut tally, at));
        }
        // It may be let go of already.
        let _ = sender.send(Some(tally));
    });
    loop {
        match receiver.recv_timeout(BOUND) {
            Ok(None) => {}
            Ok(Some(tally)) => {
                println!("{what}, {length} bytes: {tally:?}");
                return tally;
            }
            Err(RecvTimeoutError::Timeout) => panic!("it hangs"),
            Err(RecvTimeoutError::Disconnected) => {
                std::panic::resume_unwind(worker.join().unwrap_err())
            }
        }
    }
}

fn flip(good: &[u8], at: usize) -> Vec<u8> {
    let mut bad = good.to_vec();
    bad[at] ^= 0xff;
    bad
}

fn cut(good: &[u8], at: usize) -> Vec<u8> {
    good[..at].to_vec()
}

#[test]
fn a_flipped_byte_of_the_hot_file_is_noticed_or_does_not_matter() {
    let tally = damage(Small::hot, "hot file, flipped", flip);
    assert!(tally.refused > tally.tried / 100, "{tally:?}");
}

#[test]
fn a_flipped_byte_of_a_segment_is_noticed_or_does_not_matter() {
    let tally = damage(Small::segment, "segment, flipped", flip);
    assert!(tally.refused > tally.tried / 100, "{tally:?}");
}

#[test]
fn a_hot_file_of_any_length_is_whole_or_refused() {
    let tally = damage(Small::hot, "hot file, cut", cut);
    assert!(tally.refused > tally.tried / 2, "{tally:?}");
}

#[test]
fn a_segment_of_any_length_is_whole_or_refused() {
    let tally = damage(Small::segment, "segment, cut", cut);
    assert!(tally.refused > tally.tried / 2, "{tally:?}");
}

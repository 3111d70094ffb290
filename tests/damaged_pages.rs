//! Pages that the storage engine cannot read, at any place, and segments that cannot be opened.
//! Every decision is given as it was, or lies in a range that the reader reports as missing.

#![cfg(all(unix, not(annals_portable)))]
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use annals::entry::GapReason;
use annals::{
    Content, Error, Group, Inference, InferenceRecord, Journal, Level, Maintenance, Options,
    Outcome, Reader, RetentionPolicy, Stats, Timestamp,
};
use support::{BOUND, flush};
use tempfile::TempDir;

const PAGE: usize = 4_096;
const HOUR: i64 = 3_600_000_000;
/// Decisions of each block.
const OF_BLOCK: u64 = 12;
/// Longest time of all questions together with one damaged page.
const MOST_TIME: Duration = Duration::from_secs(10);

fn options() -> Options {
    Journal::options()
        .dedup_window(Duration::ZERO)
        .commit_interval(Duration::from_secs(3_600))
        .without_mirror()
        .without_folding()
}

/// Commits a block of decisions with an outcome for each and an event.
fn log(journal: &Journal, block: u64) {
    let mut ids = Vec::new();
    let text = format!("block {block} {}", "x".repeat(700));
    for number in 0..OF_BLOCK {
        let hour = i64::try_from(block).unwrap();
        let time = hour * HOUR + i64::try_from(number).unwrap() * 60_000_000;
        let symbol = format!("symbol {}", block % 40);
        let attributes = [("text", annals::Value::Text(text.clone()))];
        let inference = Inference::new("dqn_agent", &symbol, "BUY")
            .confidence(0.5)
            .attributes(&attributes)
            .event_time(Timestamp::from_micros(time));
        ids.push(journal.log(inference).unwrap());
    }
    for id in ids {
        journal.attach_outcome(id, Outcome::new().reward(1.0));
    }
    journal.event(Level::Info, "pages", format!("block {block}"));
    flush(journal);
}

/// A closed journal of two segments and some blocks in the hot file, and all that is in it.
struct Whole {
    _directory: TempDir,
    dir: PathBuf,
    known: BTreeMap<u64, String>,
    end: u64,
}

impl Whole {
    fn new(blocks: u64) -> Whole {
        let memory = Path::new("/dev/shm");
        let directory = if memory.is_dir() {
            tempfile::tempdir_in(memory).unwrap()
        } else {
            tempfile::tempdir().unwrap()
        };
        let dir = directory.path().join("data");
        let journal = options().open(&dir).unwrap();
        for block in 0..blocks {
            log(&journal, block);
            if block == blocks / 8 || block == blocks / 4 {
                assert!(journal.seal(BOUND).unwrap() > 0);
            }
        }
        journal.close().unwrap();
        let reader = Reader::open(&dir).unwrap();
        let all = reader.inferences().iter().map(Result::unwrap);
        let known: BTreeMap<u64, String> = all.map(|one| (one.sequence, shown(&one))).collect();
        assert_eq!(known.len() as u64, blocks * OF_BLOCK);
        let end = reader.end().unwrap().next_sequence();
        Whole {
            _directory: directory,
            dir,
            known,
            end,
        }
    }

    fn hot(&self) -> PathBuf {
        self.dir.join("journal.redb")
    }

    fn segments(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(self.dir.join("segments")).unwrap();
        let files = files.map(|entry| entry.unwrap().path());
        let mut files: Vec<PathBuf> = files
            .filter(|file| file.extension().is_some_and(|end| end == "redb"))
            .collect();
        files.sort();
        files
    }

    /// Asks everything of the journal in `dir`; says how many entries are missing, or that it
    /// cannot be opened at all.
    fn check(&self, dir: &Path, what: &str) -> Option<u64> {
        let began = Instant::now();
        let reader = match Reader::open(dir) {
            Ok(reader) => reader,
            Err(error) => {
                let is_typed = matches!(
                    error,
                    Error::Corrupt { .. } | Error::Foreign { .. } | Error::UnknownFormat { .. }
                );
                assert!(is_typed, "{what}: {error:?}");
                return None;
            }
        };
        let all = || reader.inferences();
        let since = Timestamp::from_micros(i64::MIN);
        let model = || reader.inferences().model("dqn_agent");
        for (question, query) in [
            ("oldest first", all()),
            ("newest first", all().newest_first()),
            ("by time", all().since(since)),
            ("by time, newest first", model().since(since).newest_first()),
            ("by name", model()),
        ] {
            self.compare(&reader, query.iter(), &format!("{what}, {question}"));
        }
        // By sequence: dense, with a gap in each place that is missing.
        let mut next = 1;
        let follow = reader.follow(reader.start()).unwrap();
        for entry in follow {
            let entry = entry.unwrap_or_else(|error| panic!("{what}, follow: {error}"));
            assert_eq!(entry.sequence, next, "{what}");
            next = match &entry.content {
                Content::Gap(gap) if gap.reason == GapReason::Damaged => {
                    let lost = next..next + gap.count.unwrap();
                    assert!(is_within(&lost, &reader.missing()), "{what}: {lost:?}");
                    lost.end
                }
                _ => next + 1,
            };
        }
        assert_eq!(next, self.end, "{what}");
        // Statistics count what is there and say what is not.
        let stats = reader.stats("dqn_agent").get();
        let stats = stats.unwrap_or_else(|error| panic!("{what}, statistics: {error}"));
        let missing = self.missing(&reader);
        assert!(
            stats.count + missing >= self.known.len() as u64,
            "{what}: {} and {missing} missing",
            stats.count
        );
        assert!(stats.count <= self.known.len() as u64, "{what}");
        let lost: u64 = reader
            .missing()
            .iter()
            .map(|lost| lost.end - lost.start)
            .sum();
        assert!(lost == 0 || stats.coverage.damaged > 0, "{what}: {stats:?}");
        assert!(began.elapsed() < MOST_TIME, "{what}: {:?}", began.elapsed());
        Some(lost)
    }

    /// How many decisions lie in what is missing.
    fn missing(&self, reader: &Reader) -> u64 {
        let lost = reader.missing();
        let known = self.known.keys();
        known
            .filter(|sequence| lost.iter().any(|lost| lost.contains(sequence)))
            .count() as u64
    }

    fn compare(
        &self,
        reader: &Reader,
        given: impl Iterator<Item = annals::Result<InferenceRecord>>,
        what: &str,
    ) {
        let given = given.map(|one| one.unwrap_or_else(|error| panic!("{what}: {error}")));
        let given: BTreeMap<u64, String> = given.map(|one| (one.sequence, shown(&one))).collect();
        let lost = reader.missing();
        for (sequence, shown) in &self.known {
            let is_lost = lost.iter().any(|lost| lost.contains(sequence));
            match given.get(sequence) {
                Some(given) => assert_eq!(given, shown, "{what}"),
                None => assert!(
                    is_lost,
                    "{what}: {sequence} is not given, and not in {lost:?}"
                ),
            }
        }
        assert!(
            given
                .keys()
                .all(|sequence| self.known.contains_key(sequence))
        );
    }
}

fn shown(one: &InferenceRecord) -> String {
    format!("{one:?}")
}

fn is_within(range: &Range<u64>, all: &[Range<u64>]) -> bool {
    all.iter()
        .any(|one| one.start <= range.start && range.end <= one.end)
}

/// Changes the page at a place of a file.
type Damage = fn(&mut [u8], usize);

/// Kinds of damage to a page.
const DAMAGES: [(&str, Damage); 4] = [
    ("zeros", |bytes, at| bytes[at..at + PAGE].fill(0)),
    ("ones", |bytes, at| bytes[at..at + PAGE].fill(0xff)),
    ("noise", |bytes, at| {
        let mut state = at as u64 | 1;
        for byte in &mut bytes[at..at + PAGE] {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            *byte = state.to_le_bytes()[6];
        }
    }),
    // A page that was written to the wrong place.
    ("another page", |bytes, at| {
        let from = (at / 2 / PAGE + 1) * PAGE;
        let other = bytes[from..from + PAGE].to_vec();
        bytes[at..at + PAGE].copy_from_slice(&other);
    }),
];

/// Damages every page of a file in turn, in the ordinary run one in some; asks everything each
/// time.
fn damage_each(file: impl Fn(&Whole) -> PathBuf, blocks: u64, step: usize) {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| value == "1");
    let step = match (is_set("ANNALS_LONG"), is_set("ANNALS_THOROUGH")) {
        (true, _) => 1,
        (false, true) => 3,
        (false, false) => step,
    };
    let whole = Whole::new(blocks);
    let file = file(&whole);
    let good = fs::read(&file).unwrap();
    let pages = good.len() / PAGE;
    let (mut tried, mut refused, mut lost) = (0_u32, 0_u32, 0_u32);
    // The first page is the engine's header.
    for (number, page) in (1..pages).enumerate() {
        if number % step != 0 {
            continue;
        }
        let (name, damage) = DAMAGES[number / step % DAMAGES.len()];
        let mut bad = good.clone();
        damage(&mut bad, page * PAGE);
        fs::write(&file, bad).unwrap();
        tried += 1;
        match whole.check(&whole.dir, &format!("page {page}, {name}")) {
            None => refused += 1,
            Some(entries) => lost += u32::from(entries > 0),
        }
    }
    println!("{pages} pages, {tried} tried: {refused} cannot be opened, {lost} cost entries");
    // The journal's own facts lie on few pages.
    assert!(refused <= 3 + tried / 20, "{refused} of {tried}");
    assert!(lost > 0 && tried > 10);
}

#[test]
fn a_page_of_the_hot_file_costs_what_is_on_it() {
    damage_each(Whole::hot, 120, 11);
}

#[test]
fn a_page_of_a_segment_costs_what_is_in_the_segment() {
    damage_each(|whole| whole.segments()[0].clone(), 120, 5);
}

#[test]
fn several_pages_cost_what_is_on_them() {
    let whole = Whole::new(100);
    let file = whole.hot();
    let good = fs::read(&file).unwrap();
    let pages = good.len() / PAGE;
    let mut refused = 0;
    for round in 0..20_usize {
        let mut bad = good.clone();
        for number in 0..4_usize {
            let page = 1 + (round * 7_919 + number * 104_729 + number * number * 31) % (pages - 1);
            let (_, damage) = DAMAGES[(round + number) % DAMAGES.len()];
            damage(&mut bad, page * PAGE);
        }
        fs::write(&file, bad).unwrap();
        if whole.check(&whole.dir, &format!("round {round}")).is_none() {
            refused += 1;
        }
    }
    assert!(refused < 10, "{refused}");
}

#[test]
fn a_segment_that_cannot_be_opened_costs_its_entries_and_comes_back() {
    let whole = Whole::new(40);
    let segment = whole.segments()[0].clone();
    let good = fs::read(&segment).unwrap();
    let name = segment.file_stem().unwrap().to_str().unwrap();
    let (first, last) = name.split_once('-').unwrap();
    let range = first.parse().unwrap()..last.parse::<u64>().unwrap() + 1;
    let damages: [(&str, &dyn Fn()); 5] = [
        ("missing", &|| fs::remove_file(&segment).unwrap()),
        ("empty", &|| fs::write(&segment, "").unwrap()),
        ("no segment", &|| fs::write(&segment, "no segment").unwrap()),
        ("cut", &|| {
            fs::write(&segment, &good[..good.len() / 2]).unwrap()
        }),
        ("another one", &|| {
            fs::copy(&whole.segments()[1], &segment).unwrap();
        }),
    ];
    for (what, damage) in damages {
        damage();
        let lost = whole.check(&whole.dir, what).unwrap();
        assert!(lost > 0, "{what}");
        if what != "cut" {
            assert_eq!(lost, range.end - range.start, "{what}");
            let reader = Reader::open(&whole.dir).unwrap();
            let hole = reader.entry(range.start + 3).unwrap().unwrap();
            let Content::Gap(gap) = &hole.content else {
                panic!("{what}: {hole:?}");
            };
            assert_eq!(gap.sequence..gap.sequence + gap.count.unwrap(), range);
            assert_eq!(gap.run.get(), 1, "{what}");
            assert!(gap.event_range.is_some(), "{what}");
            let gaps = reader
                .gaps()
                .filter(|gap| gap.as_ref().unwrap().reason == GapReason::Damaged);
            assert_eq!(gaps.count(), 1, "{what}");
            reader.events().for_each(|event| drop(event.unwrap()));
        }
        fs::write(&segment, &good).unwrap();
        assert_eq!(whole.check(&whole.dir, "whole again"), Some(0));
    }
}

/// A journal whose hot file holds little more than rollups: each decision is of a symbol of its
/// own. Its first part may be retired.
struct Folded {
    _directory: TempDir,
    dir: PathBuf,
    is_retired: bool,
    answers: Vec<(String, Stats)>,
}

/// Hours with decisions, and the symbols that each decision is of.
const HOURS: i64 = 60;
const OF_HOUR: i64 = 20;

impl Folded {
    fn new(is_retired: bool) -> Folded {
        let directory = tempfile::tempdir().unwrap();
        let dir = directory.path().join("data");
        let journal = Journal::options()
            .dedup_window(Duration::ZERO)
            .commit_interval(Duration::from_secs(3_600))
            .without_mirror()
            .open(&dir)
            .unwrap();
        for hour in 0..HOURS {
            let mut ids = Vec::new();
            for number in 0..OF_HOUR {
                let symbol = format!("symbol {}", (hour * OF_HOUR + number) % 400);
                let time = hour * HOUR + number * 60_000_000;
                // Enough to be retired.
                let length = if is_retired && hour <= HOURS / 2 {
                    3_000
                } else {
                    1
                };
                let attributes = [("text", annals::Value::Text("x".repeat(length)))];
                let inference = Inference::new("dqn_agent", &symbol, "BUY")
                    .confidence((number as f32) / 20.0)
                    .attributes(&attributes)
                    .event_time(Timestamp::from_micros(time));
                ids.push(journal.log(inference).unwrap());
            }
            flush(&journal);
            for (number, id) in ids.into_iter().enumerate() {
                journal.attach_outcome(id, Outcome::new().reward(number as f64));
            }
            flush(&journal);
            if hour == HOURS / 2 {
                assert!(journal.seal(BOUND).unwrap() > 0);
            }
        }
        journal.close().unwrap();
        if is_retired {
            let maintenance = Maintenance::open(&dir).unwrap();
            let policy = RetentionPolicy::new().max_bytes(1 << 20);
            let plan = maintenance.retention(policy).plan().unwrap();
            assert!(plan.entries() > 0);
            plan.apply().unwrap();
        }
        let answers = answers(&Reader::open(&dir).unwrap()).unwrap();
        Folded {
            _directory: directory,
            dir,
            is_retired,
            answers,
        }
    }
}

/// What statistics say, by question.
fn answers(reader: &Reader) -> annals::Result<Vec<(String, Stats)>> {
    let at = |hour: i64| Timestamp::from_micros(hour * HOUR + 600_000_000);
    let all = reader.stats("dqn_agent");
    let mut found = vec![
        ("all".to_owned(), all.get()?),
        (
            "cut".to_owned(),
            all.clone().since(at(40)).until(at(55)).get()?,
        ),
        ("a symbol".to_owned(), all.clone().symbol("symbol 7").get()?),
    ];
    for group in [Group::Day, Group::Hour, Group::Symbol] {
        for row in all.by(group)? {
            let name = format!("{group:?} {:?} {:?}", row.time, row.symbol);
            found.push((name, row.stats));
        }
    }
    Ok(found)
}

/// The same without the account of what it is made of.
fn bare(answer: &(String, Stats)) -> (String, Stats) {
    let (name, mut stats) = answer.clone();
    stats.coverage = annals::stats::Coverage::default();
    (name, stats)
}

/// Damages the pages of a folded journal's hot file, one at a time.
fn damage_rollups(whole: &Folded, step: usize) {
    let file = whole.dir.join("journal.redb");
    let good = fs::read(&file).unwrap();
    let expected: Vec<_> = whole.answers.iter().map(bare).collect();
    let is_long = std::env::var_os("ANNALS_LONG").is_some_and(|value| value == "1");
    let step = if is_long { 1 } else { step };
    let (mut met, mut refused, mut tried, mut misplaced) = (0, 0, 0, 0);
    let one_byte: (&str, Damage) = ("a byte", |bytes, at| bytes[at + PAGE / 2] ^= 0x40);
    let damages: Vec<_> = DAMAGES.into_iter().chain([one_byte]).collect();
    for (number, page) in (1..good.len() / PAGE).step_by(step).enumerate() {
        let (name, damage) = damages[number % damages.len()];
        let mut bad = good.clone();
        damage(&mut bad, page * PAGE);
        fs::write(&file, &bad).unwrap();
        tried += 1;
        let what = format!("page {page}, {name}");
        let Ok(reader) = Reader::open(&whole.dir) else {
            refused += 1;
            continue;
        };
        let given = match answers(&reader) {
            Ok(given) => given,
            Err(error) => {
                // Without the table of segments, or that of names, nothing can be added up.
                assert!(matches!(error, Error::Corrupt { .. }), "{what}: {error:?}");
                let verified = Maintenance::open(&whole.dir).unwrap().verify();
                assert!(!verified.is_whole(), "{what}");
                println!("{what}: {error}");
                refused += 1;
                continue;
            }
        };
        let is_said = reader.damaged_rollups() > 0;
        met += u32::from(is_said);
        let said = given.iter().any(|one| one.1.coverage.damaged_rollups > 0);
        assert_eq!(is_said, said, "{what}");
        if !reader.missing().is_empty() {
            // Entries that cannot be read either are said.
            continue;
        }
        let changed = expected.iter().filter(|(question, expected)| {
            let found = given.iter().find(|one| one.0 == *question);
            found.is_none_or(|found| bare(found).1 != *expected)
        });
        let changed: Vec<&(String, Stats)> = changed.collect();
        if changed.is_empty() && given.len() == expected.len() {
            continue;
        }
        let verified = Maintenance::open(&whole.dir).unwrap().verify();
        assert!(!verified.is_whole(), "{what}");
        let is_right = changed.iter().all(|(question, expected)| {
            let found = given.iter().find(|one| one.0 == *question);
            let Some((_, found)) = found else {
                return is_said;
            };
            let coverage = &found.coverage;
            let is_known = found.count == expected.count || coverage.completeness.is_none();
            coverage.damaged_rollups > 0 && is_known
        });
        if is_right && whole.is_retired {
            continue;
        }
        // Rows of another page of the same table are right rows: only `verify` finds that others
        // are missing.
        assert_eq!(name, "another page", "{what}: {changed:?}");
        misplaced += 1;
    }
    println!("{tried} pages tried, {refused} cannot be opened, {met} met, {misplaced} not met");
    assert!(misplaced <= tried / 8, "{misplaced} of {tried}");
    assert!(
        met > 10 && refused <= 3 + tried / 10,
        "{met}, {refused} of {tried}"
    );
    fs::write(&file, good).unwrap();
}

#[test]
fn rollups_that_cannot_be_read_cost_time() {
    damage_rollups(&Folded::new(false), 3);
}

#[test]
fn rollups_of_retired_decisions_that_cannot_be_read_are_said() {
    damage_rollups(&Folded::new(true), 3);
}

/// Everything that is read is in the copy of a journal with a damaged page, or the copy is refused.
#[test]
fn a_backup_carries_what_can_be_read() {
    let whole = Whole::new(100);
    let file = whole.hot();
    let good = fs::read(&file).unwrap();
    let (mut carried, mut refused, mut incomplete) = (0, 0, 0);
    for (number, page) in (1..good.len() / PAGE).step_by(9).enumerate() {
        let (name, damage) = DAMAGES[number % DAMAGES.len()];
        let mut bad = good.clone();
        damage(&mut bad, page * PAGE);
        fs::write(&file, bad).unwrap();
        let what = format!("page {page}, {name}");
        let Ok(maintenance) = Maintenance::open(&whole.dir) else {
            continue;
        };
        let target = whole.dir.with_file_name(format!("backup {page}"));
        let copied = match maintenance.backup(&target).run() {
            Ok(copied) => copied,
            Err(error) => {
                assert!(matches!(error, Error::Corrupt { .. }), "{what}: {error:?}");
                assert!(!target.join("journal.redb").exists(), "{what}");
                println!("{what}: {error}");
                refused += 1;
                continue;
            }
        };
        carried += 1;
        incomplete += u32::from(!copied.incomplete.is_empty());
        let lost = whole.check(&target, &what).unwrap();
        let original = Reader::open(&whole.dir).unwrap();
        original.inferences().iter().for_each(drop);
        let missing: u64 = original
            .missing()
            .iter()
            .map(|lost| lost.end - lost.start)
            .sum();
        assert!(lost <= missing, "{what}: {lost} and {missing}");
        assert!(lost == 0 || copied.damaged > 0, "{what}: {copied:?}");
        fs::remove_dir_all(&target).unwrap();
    }
    println!("{carried} carried, {incomplete} of them made anew, {refused} refused");
    assert!(carried > 20 && incomplete > 2 && refused * 4 < carried);
}

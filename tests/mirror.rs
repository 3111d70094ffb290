//! The text files: one line for each committed entry, in order, to the byte; how they are cut,
//! cleaned up, built again and read.

#![allow(clippy::unwrap_used)]

mod logs;

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use annals::entry::{CheckpointAction, GapReason};
use annals::logs::{Cleaned, LogKind, LogRetentionPlan, Mirror, Rotation, recent_lines};
use annals::{
    Error, Inference, InferenceId, Journal, Level, Maintenance, ManualClock, Outcome, Overflow,
    Reader, RetentionPolicy, Timestamp, Value,
};
use logs::*;
use proptest::prelude::*;

const ROTATIONS: [Rotation; 4] = [
    Rotation::Daily,
    Rotation::Size(700),
    Rotation::DailyOrSize(700),
    Rotation::Never,
];

fn open(dir: &Path, mirror: Mirror) -> Journal {
    open_at(dir, mirror, &july())
}

fn open_at(dir: &Path, mirror: Mirror, clock: &ManualClock) -> Journal {
    let options = Journal::options().mirror(mirror).clock(clock.clone());
    options.close_timeout(BOUND).open(dir).unwrap()
}

/// Names and contents of everything that people read in a directory of text files.
fn contents(directory: &Path) -> Vec<(String, String)> {
    let names = names(directory).into_iter();
    let names = names.filter(|name| !name.starts_with('.'));
    names
        .map(|name| (name.clone(), read(&directory.join(name))))
        .collect()
}

fn max_files(files: u64) -> RetentionPolicy {
    RetentionPolicy::new().max_files(files)
}

fn max_count(lines: u64) -> RetentionPolicy {
    RetentionPolicy::new().max_count(lines)
}

/// One or more entries of every kind, with all that a line can hold.
fn log_every_kind(journal: &Journal, clock: &ManualClock) {
    let features = [0.1, 0.2];
    let plain = Inference::new("dqn_agent", "ETH/USDT", "BUY").confidence(0.85);
    let timed = plain.processing_time(Duration::from_micros(12_500));
    journal.log(timed.checkpoint("dqn_agent_20250725_143500"));
    journal.log(timed.features(&features));
    journal.log(timed.features(&features)); // a repeat
    journal.log(timed.features(&features).confidence(0.15).deterministic()); // a divergence, said
    journal.log(plain.event_time(Timestamp::from_micros(-1)));
    journal.log(Inference::new("größe|\n", "\u{202e}", "\u{1b}[31m").checkpoint("a[b]"));
    journal.log(Inference::new(&"long".repeat(100), "", "").probabilities(&[("", 0.5)]));
    clock.advance(DAY);
    flush(journal);
    let fields = vec![("delay_ms".to_owned(), Value::Integer(250))];
    journal.event(Level::Error, "exchange", "no ticks\nfor 5 s");
    journal.event_with(Level::Warn, "", "feed is late", fields);
    journal.checkpoint_event(CheckpointAction::Saved, "dqn_agent", "c[1]", "loss=0.1");
    journal.checkpoint_event(CheckpointAction::Deleted, "dqn_agent", "c2", "");
    journal.log(plain.probabilities(&vec![("many", 0.0); 2_000])); // refused: a gap
    flush(journal);
}

/// A journal with entries of every kind over two runs, and where its text files are.
fn journal_of_every_kind(dir: &Path, mirror: &Mirror) {
    let clock = july();
    for _run in 0..2 {
        let journal = open_at(dir, mirror.clone(), &clock);
        for _time in 0..3 {
            log_every_kind(&journal, &clock);
        }
        journal.close().unwrap();
    }
}

#[test]
fn inferences_have_the_predecessors_lines_to_the_byte() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let journal = open(dir, Mirror::new());
    let inference = Inference::new("dqn_agent", "ETH/USDT", "BUY").confidence(0.85);
    let timed = inference.processing_time(Duration::from_micros(12_500));
    journal.log(timed.checkpoint("dqn_agent_20250725_143500"));
    journal.log(timed);
    journal.log(inference.confidence(f32::NAN));
    journal.log(Inference::new("m", "s", "a").processing_time(Duration::from_secs(100)));
    journal.log(Inference::new(
        "a_model_with_a_long_name",
        "BTC/USDT-PERP",
        "CLOSE_ALL",
    ));
    journal.log(Inference::new("", "", "").confidence(1.0).checkpoint(""));
    let early = Timestamp::from_micros(-1);
    journal.log(timed.event_time(early));
    flush(&journal);
    journal.close().unwrap();

    let time = "2025-07-25 14:34:39";
    let dqn = format!(
        "{time} | {:<15} | {:<10} | {:<4}",
        "dqn_agent", "ETH/USDT", "BUY"
    );
    let expected = [
        "2025-07-25 14:34:39 | dqn_agent       | ETH/USDT   | BUY  | conf=0.850 | time=  12.5ms \
         [checkpoint: dqn_agent_20250725_143500]"
            .to_owned(),
        format!("{dqn} | conf={:.3} | time={:>6.1}ms", 0.85, 12.5),
        format!("{dqn} | conf={:>5} | time={:>6}ms", "NaN", "-"),
        format!(
            "{time} | {:<15} | {:<10} | {:<4} | conf=  NaN | time=100000.0ms",
            "m", "s", "a"
        ),
        format!(
            "{time} | a_model_with_a_long_name | BTC/USDT-PERP | CLOSE_ALL | conf=  NaN | \
             time=     -ms"
        ),
        format!(
            "{time} | {:<15} | {:<10} | {:<4} | conf=1.000 | time=     -ms [checkpoint: ]",
            "", "", ""
        ),
        format!(
            "1969-12-31 23:59:59{} | conf=0.850 | time=  12.5ms",
            &dqn[time.len()..]
        ),
    ];
    let text = fs::read_to_string(dir.join("logs/inference_records.2025-07-25.txt")).unwrap();
    assert_eq!(text, expected.join("\n") + "\n");
    assert_mirrored(dir, &dir.join("logs"));
}

#[test]
fn a_repeat_names_its_original() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let journal = open(dir, Mirror::new());
    let inference = Inference::new("dqn_agent", "ETH/USDT", "BUY").confidence(0.85);
    let inference = inference.checkpoint("c1").features(&[1.0, 2.0]);
    let original = journal.log(inference).unwrap();
    journal.log(inference.processing_time(Duration::from_millis(2)));
    flush(&journal);
    assert_eq!(journal.health().repeats, 1);
    journal.close().unwrap();
    let names = "2025-07-25 14:34:39 | dqn_agent       | ETH/USDT   | BUY ";
    assert_eq!(
        lines(&dir.join("logs"), LogKind::Inferences),
        [
            format!("{names} | conf=0.850 | time=     -ms [checkpoint: c1]"),
            format!(
                "{names} | repeat     | time=   2.0ms [repeat of: {original}] [checkpoint: c1]"
            ),
        ]
    );
}

#[test]
fn what_is_missing_stands_among_the_system_events() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let options = Journal::options().queue_capacity(4).clock(july());
    let options = options.overflow(Overflow::DropNewest);
    let journal = options.open(dir).unwrap();
    let too_many = vec![("many", 0.0); 2_000];
    journal.log(Inference::new("m", "s", "a").probabilities(&too_many));
    flush(&journal);
    while journal.log(Inference::new("m", "s", "a")).is_some() {}
    flush(&journal);
    journal.close().unwrap();

    let reader = Reader::open(dir).unwrap();
    let reasons: Vec<_> = reader.gaps().map(|gap| gap.unwrap().reason).collect();
    assert!(reasons.contains(&GapReason::QueueFull), "{reasons:?}");
    let system = lines(&dir.join("logs"), LogKind::System);
    assert_eq!(
        system[0],
        "2025-07-25 14:34:39 | WARN  | annals          | 1 event is missing in run 1: \
            they could not be recorded as given (model m, probabilities: more than 1024 cannot \
            be stored (first: 2000)), from 2025-07-25T14:34:39.000000Z over 0ns"
    );
    assert_mirrored(dir, &dir.join("logs"));
}

#[test]
fn a_run_that_died_has_a_line() {
    let directory = tempfile::tempdir().unwrap();
    let (dir, crashed) = (directory.path().join("a"), directory.path().join("b"));
    let journal = open(&dir, Mirror::new());
    log_numbers(&journal, 0..3);
    copy(&dir, &crashed);
    let after = open(&crashed, Mirror::new());
    after.close().unwrap();
    let system = lines(&crashed.join("logs"), LogKind::System);
    let message = "run 1 ended without closing: what came after 1-2 is unknown";
    assert_eq!(system.len(), 1, "{system:?}");
    assert!(system[0].ends_with(message), "{system:?}");
    assert_mirrored(&crashed, &crashed.join("logs"));
    journal.close().unwrap();
}

#[test]
fn several_runs_append() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    for run in 0..4 {
        let journal = open(dir, Mirror::new());
        log_numbers(&journal, run * 10..run * 10 + 10);
        journal.close().unwrap();
        let found = numbers(&lines(&dir.join("logs"), LogKind::Inferences));
        assert_eq!(found, (0..run * 10 + 10).collect::<Vec<_>>());
    }
    assert_eq!(texts(&dir.join("logs"), LogKind::Inferences).len(), 1);
    assert_mirrored(dir, &dir.join("logs"));
}

#[test]
fn many_commits_in_a_row_have_each_line_once() {
    const EVENTS: u64 = 20_000;
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let options = Journal::options().commit_interval(Duration::from_millis(1));
    let options = options.overflow(Overflow::Block { timeout: BOUND });
    let journal = options.open(dir).unwrap();
    for number in 0..EVENTS {
        log_number(&journal, number);
        if number % 1_000 == 0 {
            journal.event(Level::Info, "loop", format!("at {number}"));
            flush(&journal);
        }
    }
    journal.close().unwrap();
    assert_mirrored(dir, &dir.join("logs"));
    let written = lines(&dir.join("logs"), LogKind::Inferences);
    assert_eq!(numbers(&written), (0..EVENTS).collect::<Vec<_>>());
}

#[cfg(all(unix, not(annals_portable)))]
#[test]
fn links_are_relative_and_follow_the_rotation() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path().join("data");
    let logs = dir.join("logs");
    let clock = july();
    let journal = open_at(&dir, Mirror::new(), &clock);
    let mut lines = 0;
    for day in ["2025-07-25", "2025-07-26", "2025-07-27"] {
        log_every_name(&journal);
        lines += KINDS.len() as u64;
        wait_for_lines(&journal, lines);
        for kind in KINDS {
            let target = fs::read_link(logs.join(format!("{}.txt", kind.stem()))).unwrap();
            assert_eq!(target, PathBuf::from(format!("{}.{day}.txt", kind.stem())));
        }
        clock.advance(DAY);
        flush(&journal);
    }
    journal.close().unwrap();
    // The whole journal can be moved: nothing in it names where it was.
    let moved = directory.path().join("moved");
    fs::rename(&dir, &moved).unwrap();
    let text = fs::read_to_string(moved.join("logs/inference_records.txt")).unwrap();
    assert_eq!(text.lines().count(), 1);
    // Reopened, the link is still the file's, and no temporary link is left over.
    let journal = open_at(&moved, Mirror::new(), &clock);
    log_every_name(&journal);
    journal.close().unwrap();
    let links = names(&moved.join("logs"));
    let links: Vec<_> = links.iter().filter(|name| name.contains("link")).collect();
    assert_eq!(links, Vec::<&String>::new());
}

/// One line for each file.
fn log_every_name(journal: &Journal) {
    log_number(journal, 1);
    journal.event(Level::Info, "loop", "one");
    journal.checkpoint_event(CheckpointAction::Saved, "m", "c", "");
    journal.attach_outcome(InferenceId::from_u64(7), Outcome::new().reward(1.0));
    flush(journal);
}

#[cfg(all(unix, not(annals_portable)))]
#[test]
fn only_their_owner_may_look_at_the_files() {
    use std::os::unix::fs::MetadataExt;
    let directory = tempfile::tempdir().unwrap();
    let (dir, logs) = (directory.path(), directory.path().join("else/where"));
    let mirror = Mirror::new().rotation(Rotation::Size(100)).compress_old();
    let mirror = mirror.retention(max_count(5)).directory(&logs);
    let journal = open(&dir.join("data"), mirror);
    // The clean-up that happens by itself, once a minute, is over.
    journal.clean_up_logs(BOUND).unwrap();
    for _ in 0..3 {
        log_every_name(&journal);
    }
    let cleaned = journal.clean_up_logs(BOUND).unwrap();
    assert!(cleaned.compressed > 0);
    journal.close().unwrap();
    let mode = |path: &Path| fs::symlink_metadata(path).unwrap().mode() & 0o7777;
    assert_eq!(mode(&logs), 0o700);
    for name in names(&logs) {
        let path = logs.join(&name);
        if !fs::symlink_metadata(&path).unwrap().is_symlink() {
            assert_eq!(mode(&path), 0o600, "{name}");
        }
    }
}

#[test]
fn days_are_cut_at_every_midnight_and_a_clock_that_goes_back_reopens_none() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let logs = dir.join("logs");
    let hour = Duration::from_secs(3_600);
    let midnight = Timestamp::from_micros(JULY + (9 * 3_600 + 25 * 60 + 21) * 1_000_000);
    assert_eq!(midnight.to_string(), "2025-07-26T00:00:00.000000Z");
    let clock = ManualClock::at(midnight.saturating_sub(Duration::from_micros(1)));
    let mut journal = open_at(dir, Mirror::new(), &clock);
    let steps = [
        (
            midnight.saturating_sub(Duration::from_micros(1)),
            "2025-07-25",
        ),
        (midnight, "2025-07-26"),
        (midnight.saturating_sub(hour), "2025-07-26"), // back over one midnight
        (midnight.saturating_add(hour), "2025-07-26"),
        (midnight.saturating_add(3 * DAY), "2025-07-29"),
        (midnight.saturating_sub(5 * DAY), "2025-07-29"), // back over many
        (midnight.saturating_add(3 * DAY), "2025-07-29"),
        (midnight.saturating_add(4 * DAY), "2025-07-30"),
    ];
    for (number, (time, _)) in (0..).zip(steps) {
        clock.set(time);
        log_numbers(&journal, [number]);
        if number % 3 == 2 {
            journal.close().unwrap();
            journal = open_at(dir, Mirror::new(), &clock);
        }
    }
    journal.close().unwrap();

    let mut found = Vec::new();
    for (name, text) in texts(&logs, LogKind::Inferences) {
        let lines: Vec<_> = text.lines().map(str::to_owned).collect();
        let day = name.split('.').nth(1).unwrap().to_owned();
        found.extend(
            numbers(&lines)
                .into_iter()
                .map(|number| (number, day.clone())),
        );
    }
    let expected: Vec<_> = (0..).zip(steps.map(|(_, day)| day.to_owned())).collect();
    assert_eq!(found, expected);
    assert_mirrored(dir, &logs);
    assert_rebuilt(dir, &logs, &Mirror::new());
}

#[test]
fn sizes_are_kept_and_a_line_is_never_split() {
    const MOST: u64 = 700;
    let directory = tempfile::tempdir().unwrap();
    for rotation in [Rotation::Size(MOST), Rotation::DailyOrSize(MOST)] {
        let dir = directory.path().join(format!("{rotation:?}"));
        let mirror = Mirror::new().rotation(rotation);
        for run in 0..3_u64 {
            let journal = open(&dir, mirror.clone());
            for number in 0..20 {
                log_number(&journal, run * 20 + number);
                if number % 7 == 0 {
                    flush(&journal);
                }
            }
            journal.event(Level::Info, "loop", "x".repeat(2_000));
            journal.event(Level::Info, "loop", "short");
            flush(&journal);
            journal.close().unwrap();
        }
        let files = texts(&dir.join("logs"), LogKind::Inferences);
        assert!(files.len() > 5, "{}", files.len());
        let line = files[0].1.find('\n').unwrap() + 1;
        for (index, (name, text)) in files.iter().enumerate() {
            assert!(text.len() as u64 <= MOST, "{name} has {}", text.len());
            let full = (text.len() + line) as u64 > MOST;
            assert!(full || index + 1 == files.len(), "{name} is cut too early");
        }
        // A line longer than a file stands alone.
        let system = texts(&dir.join("logs"), LogKind::System);
        let lengths: Vec<_> = system
            .iter()
            .map(|(_, text)| text.lines().count())
            .collect();
        assert_eq!(lengths, [1; 6]);
        assert_mirrored(&dir, &dir.join("logs"));
    }
}

fn assert_rebuilt(dir: &Path, logs: &Path, mirror: &Mirror) {
    let again = tempfile::tempdir().unwrap();
    let again = again.path().join("again");
    let reader = Reader::open(dir).unwrap();
    let written = reader.rebuild_mirror(&again, mirror.clone()).unwrap();
    let all = KINDS.iter().map(|kind| lines(&again, *kind).len() as u64);
    assert_eq!(written, all.sum::<u64>());
    let (found, expected) = (contents(&again), contents(logs));
    let names = |files: &[(String, String)]| -> Vec<_> {
        files.iter().map(|(name, _)| name.clone()).collect()
    };
    assert_eq!(names(&found), names(&expected));
    for ((name, found), (_, expected)) in found.iter().zip(&expected) {
        assert!(found == expected, "{name} is built differently");
    }
}

#[test]
fn a_mirror_that_is_built_again_is_equal_to_the_byte() {
    let directory = tempfile::tempdir().unwrap();
    for rotation in ROTATIONS {
        let dir = directory.path().join(format!("{rotation:?}"));
        let mirror = Mirror::new().rotation(rotation);
        journal_of_every_kind(&dir, &mirror);
        assert_mirrored(&dir, &dir.join("logs"));
        let files = texts(&dir.join("logs"), LogKind::Inferences).len();
        let never = rotation == Rotation::Never;
        assert!(never == (files == 1), "{rotation:?}: {files}");
        assert_rebuilt(&dir, &dir.join("logs"), &mirror);
        // Also one that leaves something out.
        let mirror = mirror.without(LogKind::Inferences);
        let other = tempfile::tempdir().unwrap();
        let reader = Reader::open(&dir).unwrap();
        reader.rebuild_mirror(other.path(), mirror).unwrap();
        let expected = &expected(&reader)[LogKind::System as usize];
        assert_lines("system", &lines(other.path(), LogKind::System), expected);
        assert!(texts(other.path(), LogKind::Inferences).is_empty());
    }
}

#[test]
fn a_mirror_is_built_only_where_there_is_none() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    journal_of_every_kind(dir, &Mirror::new());
    let before = contents(&dir.join("logs"));
    let reader = Reader::open(dir).unwrap();
    let refused = reader.rebuild_mirror(dir.join("logs"), Mirror::new());
    assert!(matches!(refused, Err(Error::Io { .. })), "{refused:?}");
    let taken = dir.join("taken");
    fs::create_dir(&taken).unwrap();
    fs::write(taken.join("system_events.2025-07-25.txt"), "mine\n").unwrap();
    let refused = reader.rebuild_mirror(&taken, Mirror::new());
    assert!(matches!(refused, Err(Error::Io { .. })), "{refused:?}");
    assert_eq!(names(&taken), ["system_events.2025-07-25.txt"]);
    assert_eq!(contents(&dir.join("logs")), before);
}

#[test]
fn each_kind_can_be_left_out() {
    let directory = tempfile::tempdir().unwrap();
    for off in KINDS {
        let dir = directory.path().join(off.stem());
        let mirror = Mirror::new().without(off);
        journal_of_every_kind(&dir, &mirror);
        let expected = expected(&Reader::open(&dir).unwrap());
        let logs = dir.join("logs");
        for kind in KINDS {
            if kind == off {
                let stem = kind.stem();
                assert!(!names(&logs).iter().any(|name| name.starts_with(stem)));
            } else {
                assert_lines(kind.stem(), &lines(&logs, kind), &expected[kind as usize]);
            }
        }
        assert_rebuilt(&dir, &logs, &mirror);
    }
}

#[test]
fn the_mirror_can_be_off() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let options = Journal::options().without_mirror();
    let journal = options.open(dir).unwrap();
    log_numbers(&journal, 0..3);
    assert_eq!(journal.log_directory(), None);
    assert!(journal.health().mirror.is_none());
    let refused = journal.clean_up_logs(BOUND);
    let said = refused.unwrap_err().to_string();
    assert!(said.contains("without Options::without_mirror"), "{said}");
    let refused = journal.fold(BOUND);
    assert!(refused.is_ok(), "only the text files are off: {refused:?}");
    journal.close().unwrap();
    assert!(!dir.join("logs").exists());
    // Switched on later, it begins at the beginning.
    let journal = open(dir, Mirror::new());
    log_numbers(&journal, 3..5);
    journal.close().unwrap();
    let written = lines(&dir.join("logs"), LogKind::Inferences);
    assert_eq!(numbers(&written), [0, 1, 2, 3, 4]);
}

#[test]
fn the_files_can_be_elsewhere() {
    let directory = tempfile::tempdir().unwrap();
    let (dir, logs) = (directory.path().join("a"), directory.path().join("b/c"));
    let journal = open(&dir, Mirror::new().directory(&logs));
    assert_eq!(journal.log_directory(), Some(logs.clone()));
    log_numbers(&journal, 0..3);
    journal.close().unwrap();
    assert_mirrored(&dir, &logs);
    assert!(!dir.join("logs").exists());
}

#[test]
fn a_journal_in_memory_writes_where_it_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let logs = directory.path().join("logs");
    let options = Journal::options().mirror(Mirror::new().directory(&logs));
    let journal = options.in_memory().unwrap();
    log_numbers(&journal, 0..3);
    let expected = expected(&journal.reader().unwrap());
    journal.close().unwrap();
    assert_lines("memory", &lines(&logs, LogKind::Inferences), &expected[0]);
    assert!(Journal::in_memory().unwrap().log_directory().is_none());
}

const LOCAL: &str = "ANNALS_TEST_LOCAL";

/// In a process with a time zone of its own: logs around local midnight and the change of clocks.
#[test]
fn child_in_local_time() {
    let Some(dir) = env::var_os(LOCAL).map(PathBuf::from) else {
        return;
    };
    let clock = july();
    let mirror = Mirror::new().local_time();
    let journal = open_at(&dir, mirror.clone(), &clock);
    for hour in 0..48 {
        clock.set(Timestamp::from_micros(JULY + hour * 3_600_000_000));
        log_numbers(&journal, [hour.unsigned_abs()]);
    }
    journal.close().unwrap();
    assert_rebuilt(&dir, &dir.join("logs"), &mirror);
}

/// A zone without a data base: this many hours and minutes east of Greenwich.
fn run_in_zone(zone: &str, dir: &Path) {
    let status = Command::new(env::current_exe().unwrap())
        .args(["--exact", "child_in_local_time"])
        .env(LOCAL, dir)
        .env("TZ", zone)
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
}

#[test]
fn times_and_days_can_be_local() {
    let directory = tempfile::tempdir().unwrap();
    let zones = [("XXX-5:30", 5 * 60 + 30), ("XXX8", -8 * 60), ("UTC0", 0)];
    for (zone, minutes) in zones {
        let dir = directory.path().join(zone.replace(':', "_"));
        run_in_zone(zone, &dir);
        let mut seen = 0;
        for (name, text) in texts(&dir.join("logs"), LogKind::Inferences) {
            for line in text.lines() {
                let time = JULY + (seen * 60 + minutes) * 60_000_000;
                let time = Timestamp::from_micros(time).to_datetime().unwrap();
                let stamp = time.format("%Y-%m-%d %H:%M:%S | ").to_string();
                assert!(line.starts_with(&stamp), "{zone}: {stamp} {line}");
                let day = time.format("inference_records.%Y-%m-%d.txt").to_string();
                assert_eq!(name, day, "{zone}: {line}");
                seen += 1;
            }
        }
        assert_eq!(seen, 48, "{zone}");
    }
}

/// Logs one inference per day, with numbers from `first` on.
fn log_days(journal: &Journal, clock: &ManualClock, numbers: std::ops::Range<u64>) {
    for number in numbers {
        log_numbers(journal, [number]);
        clock.advance(DAY);
        flush(journal);
    }
}

#[test]
fn only_so_many_files_are_kept() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let (logs, clock) = (dir.join("logs"), july());
    let mirror = Mirror::new().retention(max_files(3));
    let journal = open_at(dir, mirror.clone(), &clock);
    log_days(&journal, &clock, 0..8);
    wait_for_lines(&journal, 8);
    journal.clean_up_logs(BOUND).unwrap();
    let left = lines(&logs, LogKind::Inferences);
    assert_eq!(numbers(&left), [5, 6, 7]);
    assert_eq!(texts(&logs, LogKind::Inferences).len(), 3);
    assert_eq!(journal.clean_up_logs(BOUND).unwrap(), Cleaned::default());
    log_days(&journal, &clock, 8..9);
    journal.close().unwrap();

    let journal = open_at(dir, mirror.retention(max_files(1)), &clock);
    log_days(&journal, &clock, 9..10);
    wait_for_lines(&journal, 1);
    journal.clean_up_logs(BOUND).unwrap();
    // The current file always stays.
    assert_eq!(numbers(&lines(&logs, LogKind::Inferences)), [9]);
    journal.close().unwrap();
}

/// Without a clean-up, which happens once a minute: each file is begun when there is room for it.
#[test]
fn no_rate_of_writing_makes_more_files_than_are_kept() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let (logs, clock) = (dir.join("logs"), july());
    let mirror = Mirror::new()
        .retention(max_files(3))
        .rotation(Rotation::Size(8_192));
    let journal = open_at(dir, mirror, &clock);
    journal.clean_up_logs(BOUND).unwrap();
    let is_over = std::sync::atomic::AtomicBool::new(false);
    let most = std::thread::scope(|scope| {
        let looking = scope.spawn(|| {
            let mut most = 0;
            while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                most = most.max(count_files(&logs));
            }
            most
        });
        log_numbers(&journal, 0..3_000);
        flush(&journal);
        wait_for_lines(&journal, 3_000);
        is_over.store(true, std::sync::atomic::Ordering::Relaxed);
        looking.join().unwrap()
    });
    assert!((1..=3).contains(&most), "{most} files");
    journal.close().unwrap();
    assert_eq!(count_files(&logs), 3);
    // Two full ones and the current one, with the newest lines and all of them.
    let left = numbers(&lines(&logs, LogKind::Inferences));
    let first = left[0];
    assert_eq!(left, (first..3_000).collect::<Vec<_>>());
    assert!(left.len() > 100, "{} lines", left.len());
}

fn count_files(logs: &Path) -> usize {
    let names = fs::read_dir(logs).unwrap().filter_map(Result::ok);
    let names = names.map(|entry| entry.file_name().into_string().unwrap());
    let names = names
        .filter(|name| name.starts_with("inference_records.") && name != "inference_records.txt");
    names.count()
}

#[test]
fn short_times_are_written_in_microseconds_on_request() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let mirror = Mirror::new().short_times_in_micros();
    let journal = open_at(dir, mirror.clone(), &july());
    for nanos in [40, 99_000, 100_000] {
        let inference =
            Inference::new("m", "s", "BUY").processing_time(Duration::from_nanos(nanos));
        journal.log(inference);
    }
    journal.close().unwrap();
    let written = lines(&dir.join("logs"), LogKind::Inferences);
    let times = written
        .iter()
        .map(|line| line.split("time=").nth(1).unwrap());
    assert_eq!(
        times.collect::<Vec<_>>(),
        ["  0.04µs", " 99.00µs", "   0.1ms"]
    );
    let again = directory.path().join("again");
    let reader = Reader::open(dir).unwrap();
    reader.rebuild_mirror(&again, mirror).unwrap();
    assert_eq!(lines(&again, LogKind::Inferences), written);
}

#[test]
fn old_files_are_deleted_and_the_current_one_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let (logs, clock) = (dir.join("logs"), july());
    let mirror = Mirror::new().retention(RetentionPolicy::new().max_age(2 * DAY));
    let journal = open_at(dir, mirror, &clock);
    // The clean-up that happens by itself, once a minute, is over.
    journal.clean_up_logs(BOUND).unwrap();
    log_days(&journal, &clock, 0..4);
    wait_for_lines(&journal, 4);
    let long_ago = SystemTime::now() - 3 * DAY;
    for (name, _) in texts(&logs, LogKind::Inferences).iter().rev().step_by(2) {
        let file = File::options().append(true).open(logs.join(name)).unwrap();
        file.set_modified(long_ago).unwrap();
    }
    let cleaned = journal.clean_up_logs(BOUND).unwrap();
    assert_eq!(
        (cleaned.deleted, cleaned.compressed, cleaned.cut),
        (1, 0, 0)
    );
    assert_eq!(numbers(&lines(&logs, LogKind::Inferences)), [0, 2, 3]);
    journal.close().unwrap();
}

#[test]
fn only_the_last_lines_are_kept_also_of_the_current_file() {
    let directory = tempfile::tempdir().unwrap();
    for rotation in ROTATIONS {
        let dir = directory.path().join(format!("{rotation:?}"));
        let logs = dir.join("logs");
        let mirror = Mirror::new().rotation(rotation).retention(max_count(10));
        let journal = open(&dir, mirror.clone());
        log_numbers(&journal, 0..57);
        journal.event(Level::Info, "loop", "few of these");
        flush(&journal);
        journal.clean_up_logs(BOUND).unwrap();
        let found = numbers(&lines(&logs, LogKind::Inferences));
        assert_eq!(found, (47..57).collect::<Vec<_>>(), "{rotation:?}");
        assert_eq!(lines(&logs, LogKind::System).len(), 1);

        // Later lines are appended, also by the next run, and cut again.
        log_numbers(&journal, 57..60);
        journal.close().unwrap();
        let found = numbers(&lines(&logs, LogKind::Inferences));
        assert!(found.ends_with(&[56, 57, 58, 59]), "{found:?}");
        let journal = open(&dir, mirror.retention(max_count(1)));
        log_numbers(&journal, 60..62);
        journal.clean_up_logs(BOUND).unwrap();
        log_numbers(&journal, 62..64);
        journal.close().unwrap();
        let found = numbers(&lines(&logs, LogKind::Inferences));
        assert!(found.ends_with(&[61, 62, 63]), "{rotation:?} {found:?}");
        let sorted = found.windows(2).all(|pair| pair[0] + 1 == pair[1]);
        assert!(sorted, "{rotation:?} {found:?}");
        let recent = recent_lines(&logs, LogKind::Inferences, 3).unwrap();
        assert_eq!(numbers(&recent), [61, 62, 63]);
    }
}

#[test]
fn a_current_file_is_cut_to_its_newest_line() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let journal = open(dir, Mirror::new().retention(max_count(1)));
    log_numbers(&journal, 0..5);
    journal.clean_up_logs(BOUND).unwrap();
    let found = numbers(&lines(&dir.join("logs"), LogKind::Inferences));
    assert_eq!(found, [4]);
    log_numbers(&journal, 5..7);
    wait_for_lines(&journal, 7);
    let found = numbers(&lines(&dir.join("logs"), LogKind::Inferences));
    assert_eq!(found, [4, 5, 6]);
    journal.close().unwrap();
}

#[test]
fn limits_that_make_no_sense_for_text_files_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    for policy in [
        RetentionPolicy::new(),
        RetentionPolicy::new().keep_latest(5),
        max_files(0),
        max_count(0),
        RetentionPolicy::new().max_age_days(0),
        max_files(1).keep_tagged("release"),
        max_files(1).keep_after_cursor("export"),
    ] {
        let options = Journal::options().mirror(Mirror::new().retention(policy.clone()));
        let refused = options.open(directory.path());
        assert!(
            matches!(refused, Err(Error::InvalidOption { .. })),
            "{policy}"
        );
    }
}

/// One line a day, so one line a file.
#[test]
fn the_newest_lines_stay_whatever_the_limits_of_files() {
    let directory = tempfile::tempdir().unwrap();
    for (name, policy) in [
        ("by number", max_files(1)),
        ("by age", RetentionPolicy::new().max_age(2 * DAY)),
        ("by lines", max_count(1)),
    ] {
        let dir = directory.path().join(name);
        let (logs, clock) = (dir.join("logs"), july());
        let mirror = Mirror::new().retention(policy.keep_latest(3));
        let journal = open_at(&dir, mirror, &clock);
        log_days(&journal, &clock, 0..8);
        wait_for_lines(&journal, 8);
        let long_ago = SystemTime::now() - 3 * DAY;
        for (name, _) in texts(&logs, LogKind::Inferences) {
            let file = File::options().append(true).open(logs.join(name)).unwrap();
            file.set_modified(long_ago).unwrap();
        }
        journal.clean_up_logs(BOUND).unwrap();
        let left = numbers(&lines(&logs, LogKind::Inferences));
        assert_eq!(left, [5, 6, 7], "{name}");
        journal.close().unwrap();
    }
}

/// A plan of text files by another handle than the one that writes them.
fn planned(dir: &Path, policy: RetentionPolicy) -> LogRetentionPlan {
    let maintenance = Maintenance::open(dir).unwrap();
    maintenance.log_retention(policy).plan().unwrap()
}

/// One line a day, so one line a file.
#[test]
fn a_plan_deletes_exactly_what_it_lists() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let (logs, clock) = (dir.join("logs"), july());
    let journal = open_at(dir, Mirror::new(), &clock);
    log_days(&journal, &clock, 0..8);
    wait_for_lines(&journal, 8);
    // The plan goes by the stored state, which the clean-up stores.
    journal.clean_up_logs(BOUND).unwrap();

    let plan = planned(dir, max_files(3));
    let names: Vec<String> = texts(&logs, LogKind::Inferences)
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    let listed = plan.files().iter().map(|file| file.file.clone());
    let oldest: Vec<PathBuf> = names[..5].iter().map(|name| logs.join(name)).collect();
    assert_eq!(listed.collect::<Vec<_>>(), oldest);
    assert!(plan.files().iter().all(|file| file.lines == 1));
    let reason = &plan.files()[0].reason;
    assert_eq!(reason, "beyond the newest 3 files (max_files)");
    assert_eq!(plan.lines(), 5);
    assert!(plan.held_back().is_empty(), "{:?}", plan.held_back());
    assert_eq!(numbers(&lines(&logs, LogKind::Inferences)).len(), 8);

    // Of a plan that does not fit any more, nothing is done.
    fs::remove_file(&oldest[0]).unwrap();
    let refused = plan.apply();
    assert!(
        matches!(&refused, Err(Error::PlanOutdated { changes, .. }) if changes.len() == 1),
        "{refused:?}"
    );
    assert_eq!(numbers(&lines(&logs, LogKind::Inferences)).len(), 7);

    let plan = planned(dir, max_files(3));
    let bytes = plan.bytes();
    let applied = plan.apply().unwrap();
    assert_eq!((applied.files, applied.lines, applied.bytes), (4, 4, bytes));
    assert_eq!(numbers(&lines(&logs, LogKind::Inferences)), [5, 6, 7]);
    // The one that writes goes on.
    log_days(&journal, &clock, 8..9);
    journal.close().unwrap();
    assert_eq!(numbers(&lines(&logs, LogKind::Inferences)), [5, 6, 7, 8]);
}

#[test]
fn a_plan_says_what_it_holds_back() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let (logs, clock) = (dir.join("logs"), july());
    let journal = open_at(dir, Mirror::new(), &clock);
    for day in 0..3 {
        log_numbers(&journal, day * 10..day * 10 + 10);
        flush(&journal);
        clock.advance(DAY);
    }
    journal.close().unwrap();
    let held = |policy| planned(dir, policy).held_back().join("; ");

    let plan = planned(dir, max_count(15));
    assert_eq!(plan.files().len(), 1);
    assert_eq!(
        plan.files()[0].reason,
        "beyond the newest 15 lines (max_count)"
    );
    let why = plan.held_back().join("; ");
    assert!(why.contains("its first 5 lines exceed max_count"), "{why}");
    let why = held(max_files(1).keep_latest(25));
    assert!(why.contains("the newest 25 lines stay"), "{why}");
    // Old by the time of the files, while the journal is a moment old.
    let long_ago = SystemTime::now() - 3 * DAY;
    for (name, _) in texts(&logs, LogKind::Inferences) {
        let file = File::options().append(true).open(logs.join(name)).unwrap();
        file.set_modified(long_ago).unwrap();
    }
    let plan = planned(dir, RetentionPolicy::new().max_age(2 * DAY));
    assert!(plan.files().is_empty());
    let why = plan.held_back().join("; ");
    assert!(why.contains("by the wall clock alone"), "{why}");

    let maintenance = Maintenance::open(dir).unwrap();
    let elsewhere = maintenance
        .log_retention(max_files(1))
        .directory("/nowhere");
    let why = elsewhere.plan().unwrap().held_back().join("; ");
    assert!(why.contains("/nowhere"), "{why}");
    let refused = maintenance.log_retention(max_files(1).trust_clock()).plan();
    assert!(
        matches!(refused, Err(Error::InvalidOption { .. })),
        "{refused:?}"
    );
}

#[test]
fn only_so_many_bytes_of_files_are_kept() {
    const MOST: u64 = 1 << 20;
    const FILE: u64 = 128 << 10;
    let directory = tempfile::tempdir().unwrap();
    let bytes = |logs: &Path| -> u64 {
        let texts = texts(logs, LogKind::Inferences);
        texts.iter().map(|(_, text)| text.len() as u64).sum()
    };
    for keep_all in [false, true] {
        let dir = directory.path().join(format!("{keep_all}"));
        let logs = dir.join("logs");
        let mut policy = RetentionPolicy::new().max_bytes(MOST);
        if keep_all {
            policy = policy.keep_latest(1_000_000);
        }
        let mirror = Mirror::new()
            .rotation(Rotation::Size(FILE))
            .retention(policy);
        let journal = open_at(&dir, mirror, &july());
        log_numbers(&journal, 0..20_000);
        flush(&journal);
        wait_for_lines(&journal, 20_000);
        // Checked before each new file already.
        assert_eq!(bytes(&logs) > MOST + FILE, keep_all);
        journal.clean_up_logs(BOUND).unwrap();
        let left = numbers(&lines(&logs, LogKind::Inferences));
        let first = if keep_all { 0 } else { left[0] };
        assert_eq!(left, (first..20_000).collect::<Vec<_>>());
        if !keep_all {
            assert!((MOST - 2 * FILE..=MOST).contains(&bytes(&logs)));
        }
        journal.close().unwrap();
    }
}

#[test]
fn old_files_are_compressed_and_read_as_before() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let (logs, clock) = (dir.join("logs"), july());
    let mirror = Mirror::new().compress_old();
    for run in 0..3 {
        let journal = open_at(dir, mirror.clone(), &clock);
        log_days(&journal, &clock, run * 4..run * 4 + 4);
        journal.clean_up_logs(BOUND).unwrap();
        let files = texts(&logs, LogKind::Inferences);
        let (current, old) = files.split_last().unwrap();
        assert!(old.iter().all(|(name, _)| name.ends_with(".txt.gz")));
        assert!(current.0.ends_with(".txt"), "{}", current.0);
        assert_mirrored(dir, &logs);
        journal.close().unwrap();
    }
    let all = lines(&logs, LogKind::Inferences);
    assert_eq!(numbers(&all), (0..12).collect::<Vec<_>>());
    for n in [0, 1, 2, 5, 12, 13, usize::MAX] {
        let recent = recent_lines(&logs, LogKind::Inferences, n).unwrap();
        assert_lines("recent", &recent, &all[all.len().saturating_sub(n)..]);
    }
    // Another program agrees about the format.
    let first = texts(&logs, LogKind::Inferences).remove(0);
    if let Ok(output) = Command::new("gzip")
        .arg("-dc")
        .arg(logs.join(&first.0))
        .output()
    {
        assert_eq!(String::from_utf8(output.stdout).unwrap(), first.1);
    }
}

#[test]
fn the_newest_lines_are_read_across_files() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let logs = dir.join("logs");
    let mirror = Mirror::new().rotation(Rotation::Size(900));
    let journal = open(dir, mirror);
    log_numbers(&journal, 0..100);
    for length in [0, 1, 100, 4_095, 4_096, 20_000, 3] {
        journal.event(Level::Info, "größe", "ä".repeat(length));
    }
    flush(&journal);
    journal.close().unwrap();
    for kind in [LogKind::Inferences, LogKind::System] {
        let all = lines(&logs, kind);
        for n in (0..=all.len() + 2).chain([10_000, usize::MAX]) {
            let recent = recent_lines(&logs, kind, n).unwrap();
            assert_lines("recent", &recent, &all[all.len().saturating_sub(n)..]);
        }
    }
    assert!(
        recent_lines(&logs, LogKind::Checkpoints, 5)
            .unwrap()
            .is_empty()
    );
    let missing = recent_lines(dir.join("missing"), LogKind::System, 5);
    assert!(matches!(missing, Err(Error::Io { .. })), "{missing:?}");
}

#[test]
fn a_line_that_is_being_written_is_not_read() {
    let directory = tempfile::tempdir().unwrap();
    let name = "system_events.2025-07-25.txt";
    fs::write(directory.path().join(name), "one\ntwo\nthr").unwrap();
    let recent = recent_lines(directory.path(), LogKind::System, 9).unwrap();
    assert_eq!(recent, ["one", "two"]);
    fs::write(directory.path().join(name), "thr").unwrap();
    let recent = recent_lines(directory.path(), LogKind::System, 9).unwrap();
    assert!(recent.is_empty(), "{recent:?}");
}

/// Any text, rich in what could break a line.
fn any_text() -> impl Strategy<Value = String> {
    let special = "[\\x00-\\x1f\\x7f-\\u{a0}|\\\\\\[\\]\u{202a}-\u{202e}\u{2028}\u{feff} a]{0,20}";
    prop_oneof![any::<String>(), special, "[a-z_]{1,20}", ".{250,300}"]
}

/// Where ` | ` separates columns: a `|` that no backslash escapes.
fn separators(line: &str) -> usize {
    let mut characters = line.chars();
    let mut found = 0;
    while let Some(character) = characters.next() {
        match character {
            '\\' => drop(characters.next()),
            '|' => found += 1,
            _ => {}
        }
    }
    found
}

fn assert_clean(lines: &[String], columns: usize) {
    for line in lines {
        assert!(!line.chars().any(is_unprintable), "{line:?}");
        assert_eq!(separators(line) + 1, columns, "{line:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 50, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_said_one_entry_is_one_line(
        texts in prop::collection::vec([any_text(), any_text(), any_text(), any_text()], 1..8),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let logs = directory.path().join("logs");
        let options = Journal::options().mirror(Mirror::new().directory(&logs));
        let journal = options.in_memory().unwrap();
        for [one, two, three, four] in &texts {
            let inference = Inference::new(one, two, three).checkpoint(four);
            prop_assert!(journal.log(inference).is_some());
            let fields = vec![(two.clone(), Value::from(three.as_str()))];
            journal.event_with(Level::Info, four, one.clone(), fields);
            let detail = format!("{four}.");
            journal.checkpoint_event(CheckpointAction::Saved, one, two, &detail);
        }
        flush(&journal);
        let expected = expected(&journal.reader().unwrap());
        journal.close().unwrap();
        for (kind, columns) in KINDS.into_iter().zip([6, 5, 4]) {
            let found = lines(&logs, kind);
            prop_assert_eq!(found.len(), texts.len());
            assert_clean(&found, columns);
            assert_lines(kind.stem(), &found, &expected[kind as usize]);
        }
    }
}

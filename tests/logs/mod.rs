//! Shared by the tests of the text files: lines formatted a second time, independently of the
//! library, and ways to look at a directory of files.

#![allow(dead_code, reason = "each test file uses its own part")]

#[path = "../common/look.rs"]
#[allow(
    clippy::duplicate_mod,
    reason = "some tests share more than one of these modules"
)]
pub mod look;

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use annals::entry::{Gap, GapReason};
use annals::logs::LogKind;
use annals::{Content, Entry, Inference, Journal, ManualClock, Reader, Timestamp, Value};

/// More than anything here takes on a slow machine: a longer wait counts as a hang.
pub const BOUND: Duration = Duration::from_secs(60);

pub const KINDS: [LogKind; 4] = [
    LogKind::Inferences,
    LogKind::Checkpoints,
    LogKind::System,
    LogKind::Outcomes,
];

/// 2025-07-25 14:34:39 UTC, in microseconds.
pub const JULY: i64 = 1_753_454_079_000_000;

pub const DAY: Duration = Duration::from_secs(86_400);

pub fn july() -> ManualClock {
    ManualClock::at(Timestamp::from_micros(JULY))
}

/// Polls until `condition` holds.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < BOUND, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

pub fn flush(journal: &Journal) {
    journal.flush().wait(BOUND).unwrap();
}

/// Logs one inference that can be told from all others by its `number`.
pub fn log_number(journal: &Journal, number: u64) {
    let time = Duration::from_micros(100 * number);
    let inference = Inference::new("dqn_agent", "ETH/USDT", "BUY")
        .confidence(0.85)
        .processing_time(time);
    assert!(journal.log(inference).is_some());
}

/// Logs inferences with these numbers and commits them.
pub fn log_numbers(journal: &Journal, numbers: impl IntoIterator<Item = u64>) {
    // The test may just have set its clock.
    look::end_look(journal);
    numbers
        .into_iter()
        .for_each(|number| log_number(journal, number));
    flush(journal);
}

/// The number of each line that [`log_number`] led to.
pub fn numbers(lines: &[String]) -> Vec<u64> {
    let number = |line: &String| {
        let millis = line.split("time=").nth(1)?.strip_suffix("ms")?;
        millis.trim().replace('.', "").parse().ok()
    };
    let number = |line| number(line).unwrap_or_else(|| panic!("no number in {line:?}"));
    lines.iter().map(number).collect()
}

/// Waits until the text files hold `lines` lines written by this journal.
pub fn wait_for_lines(journal: &Journal, lines: u64) {
    wait_until("the lines are written", || {
        journal.health().mirror.unwrap().lines >= lines
    });
}

/// The text files of `kind`, oldest first, with their names; compressed ones in plain text.
pub fn texts(directory: &Path, kind: LogKind) -> Vec<(String, String)> {
    let mut found: Vec<_> = names(directory)
        .into_iter()
        .filter_map(|name| Some((order(&name, kind)?, name)))
        .collect();
    found.sort();
    found
        .into_iter()
        .map(|(_, name)| {
            let text = read(&directory.join(&name));
            (name, text)
        })
        .collect()
}

/// A file of the mirror, plain or compressed.
pub fn read(path: &Path) -> String {
    let mut text = String::new();
    let file = File::open(path).unwrap();
    if path.extension().is_some_and(|extension| extension == "gz") {
        let mut decoder = flate2::read::GzDecoder::new(file);
        decoder.read_to_string(&mut text).unwrap();
    } else {
        (&file).read_to_string(&mut text).unwrap();
    }
    text
}

/// Order of the files of a kind: day and part. `None` for other files.
fn order(name: &str, kind: LogKind) -> Option<(String, u32)> {
    let label = name.strip_prefix(kind.stem())?.strip_prefix('.')?;
    let label = label.strip_suffix(".gz").unwrap_or(label);
    let label = label.strip_suffix(".txt")?;
    if let Some(part) = label.strip_prefix("part-") {
        return Some((String::new(), part.parse().ok()?));
    }
    let (day, part) = label.split_once('.').unwrap_or((label, "0"));
    let is_day = day.starts_with(|character: char| character.is_ascii_digit());
    is_day.then_some(())?;
    Some((day.to_owned(), part.parse().ok()?))
}

/// The names in a directory, sorted.
pub fn names(directory: &Path) -> Vec<String> {
    let name = |entry: fs::DirEntry| entry.file_name().into_string().unwrap();
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries.map(|entry| name(entry.unwrap())).collect();
    names.sort();
    names
}

/// Every line of a kind, across its files, oldest first. All lines are whole.
pub fn lines(directory: &Path, kind: LogKind) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, text) in texts(directory, kind) {
        assert!(
            text.is_empty() || text.ends_with('\n'),
            "{name} ends within a line: {text:?}"
        );
        lines.extend(text.lines().map(str::to_owned));
    }
    lines
}

/// Number of whole lines of a kind, also while one is being written.
pub fn count_lines(directory: &Path, kind: LogKind) -> usize {
    let texts = texts(directory, kind);
    let ends = texts.iter().map(|(_, text)| text.matches('\n').count());
    ends.sum()
}

/// The lines that the entries of a whole journal must have, by kind.
pub fn expected(reader: &Reader) -> [Vec<String>; KINDS.len()] {
    let mut expected = [const { Vec::new() }; KINDS.len()];
    for entry in reader.follow(reader.start()).unwrap() {
        let (kind, line) = line_of(&entry.unwrap());
        expected[kind as usize].push(line);
    }
    expected
}

/// Whether there are as many whole lines as entries, also while one is being written.
pub fn is_mirrored(dir: &Path, logs: &Path) -> bool {
    let expected = expected(&Reader::open(dir).unwrap());
    let mut kinds = KINDS.into_iter();
    kinds.all(|kind| count_lines(logs, kind) == expected[kind as usize].len())
}

/// Asserts that the files hold one line for each entry of the journal in `dir`, in order.
pub fn assert_mirrored(dir: &Path, logs: &Path) {
    let expected = expected(&Reader::open(dir).unwrap());
    for kind in KINDS {
        assert_lines(kind.stem(), &lines(logs, kind), &expected[kind as usize]);
    }
}

/// Like `assert_eq!`, but shows the first difference instead of everything.
pub fn assert_lines(what: &str, found: &[String], expected: &[String]) {
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert_eq!(found, expected, "{what}: line {index} differs");
    }
    let (more, than) = (found.len(), expected.len());
    let rest = found.get(than).or(expected.get(more));
    assert_eq!(more, than, "{what}: lines found and expected; {rest:?}");
}

/// The line of an entry, as the predecessor would format it.
pub fn line_of(entry: &Entry) -> (LogKind, String) {
    let recorded = stamp(entry.recorded_time);
    match &entry.content {
        Content::Inference(record) => {
            let line = format!(
                "{} | {} | {} | {} | conf={} | {}{}",
                stamp(record.event_time),
                column(&record.model, 15),
                column(&record.symbol, 10),
                column(&record.action, 4),
                confidence(record.confidence.unwrap_or(f32::NAN)),
                time(record.processing_time),
                bracket(record.checkpoint.as_deref()),
            );
            (LogKind::Inferences, line)
        }
        Content::Repeat(repeat) => {
            let line = format!(
                "{} | {} | {} | {} | repeat     | {} [repeat of: {}]{}",
                stamp(repeat.event_time),
                column(&repeat.model, 15),
                column(&repeat.symbol, 10),
                column(&repeat.action, 4),
                time(repeat.processing_time),
                repeat.original,
                bracket(repeat.checkpoint.as_deref()),
            );
            (LogKind::Inferences, line)
        }
        Content::Gap(gap) => {
            let message = escape(&gap_message(gap), "");
            let line = format!("{recorded} | WARN  | annals          | {message}");
            (LogKind::System, line)
        }
        Content::SystemEvent(event) => {
            let message = with_fields(&event.message, &event.fields);
            let line = format!(
                "{recorded} | {:<5} | {} | {}",
                event.level,
                column(&event.component, 15),
                message,
            );
            (LogKind::System, line)
        }
        Content::CheckpointEvent(event) => {
            let mut line = format!(
                "{recorded} | {:<10} | {} | {}",
                event.action.as_str(),
                column(&event.model, 15),
                name(&event.checkpoint, "[]"),
            );
            if !event.detail.is_empty() {
                write!(line, " | {}", escape(&event.detail, "")).unwrap();
            }
            (LogKind::Checkpoints, line)
        }
        Content::Outcome(outcome) => {
            let built_in = [
                outcome.reward.map(|reward| format!("reward={reward}")),
                outcome.correct.map(|correct| format!("correct={correct}")),
                outcome
                    .label
                    .as_ref()
                    .map(|label| format!("label={}", escape(label, ""))),
            ];
            let named = outcome.values.iter();
            let named = named.map(|(known, value)| format!("{}={value}", name(known, "")));
            let values: Vec<_> = built_in.into_iter().flatten().chain(named).collect();
            let line = format!(
                "{} | {:<15} | {}",
                stamp(outcome.time),
                outcome.of.to_string(),
                values.join(" "),
            );
            (LogKind::Outcomes, line)
        }
        other => panic!("no line for {other:?}"),
    }
}

fn stamp(time: Timestamp) -> String {
    let time = time.to_datetime().unwrap();
    time.format("%Y-%m-%d %H:%M:%S").to_string()
}

fn column(text: &str, width: usize) -> String {
    format!("{:<width$}", name(text, ""))
}

fn confidence(value: f32) -> String {
    if value.is_finite() {
        format!("{:.3}", f64::from(value))
    } else {
        format!("{value:>5}")
    }
}

fn time(time: Option<Duration>) -> String {
    match time {
        Some(time) => format!("time={:>6.1}ms", time.as_nanos() as f64 / 1e6),
        None => "time=     -ms".to_owned(),
    }
}

fn bracket(checkpoint: Option<&str>) -> String {
    checkpoint.map_or_else(String::new, |id| {
        format!(" [checkpoint: {}]", name(id, "[]"))
    })
}

fn with_fields(message: &str, fields: &[(String, Value)]) -> String {
    let fields = fields.iter().map(|(key, value)| {
        let value = format!("={value}");
        name(key, "") + &escape(&value, "")
    });
    let message = (!message.is_empty()).then(|| escape(message, ""));
    let words: Vec<_> = message.into_iter().chain(fields).collect();
    words.join(" ")
}

fn gap_message(gap: &Gap) -> String {
    let run = gap.run;
    let Some(count) = gap.count else {
        let what = gap.after.map_or_else(
            || "what it logged is unknown".to_owned(),
            |id| format!("what came after {id} is unknown"),
        );
        return format!("run {run} ended without closing: {what}");
    };
    let reason = match gap.reason {
        GapReason::QueueFull => "the queue was full",
        GapReason::Refused => {
            let refusal = gap.refusal.as_ref().unwrap();
            let of = refusal
                .model
                .as_ref()
                .map_or(String::new(), |model| format!("model {model}, "));
            let (field, why) = (&refusal.field, &refusal.reason);
            &format!("they could not be recorded as given ({of}{field}: {why})")
        }
        GapReason::Died => {
            let missing = match count {
                0 => "nothing is missing".to_owned(),
                1 => "1 event is missing".to_owned(),
                _ => format!("{count} events are missing"),
            };
            return format!("run {run} ended without closing: {missing}");
        }
        other => panic!("a gap that no journal here has: {other:?}"),
    };
    let (first, last) = gap.recorded_range.unwrap();
    let over = Duration::from_micros(last.as_micros().abs_diff(first.as_micros()));
    let events = if count == 1 { "event is" } else { "events are" };
    format!("{count} {events} missing in run {run}: {reason}, from {first} over {over:?}")
}

/// A name as it must stand in a line: cut if it has more than 512 bytes.
fn name(text: &str, more: &str) -> String {
    if text.len() <= 512 {
        return escape(text, more);
    }
    let mut beginning = String::new();
    for character in text.chars() {
        if beginning.len() + character.len_utf8() > 480 {
            break;
        }
        beginning.push(character);
    }
    let hash = xxhash_rust::xxh3::xxh3_64(text.as_bytes());
    format!("{}\\~{hash:016x}", escape(&beginning, more))
}

/// Text as it must stand in a line; `more` are further characters to be escaped.
pub fn escape(text: &str, more: &str) -> String {
    let mut out = String::new();
    for character in text.chars() {
        match character {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\\' | '|' => out.extend(['\\', character]),
            _ if more.contains(character) => out.extend(['\\', character]),
            _ if is_unprintable(character) => {
                write!(out, "\\u{{{:04x}}}", u32::from(character)).unwrap();
            }
            _ => out.push(character),
        }
    }
    out
}

/// Characters that steer terminals, turn the direction of writing or show nothing.
pub fn is_unprintable(character: char) -> bool {
    character.is_control()
        || matches!(u32::from(character),
            0x61c | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f | 0xfeff
            | 0xe0000..=0xe007f)
}

/// Copies a directory as a crash would leave it; links stay links.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        match copy_entry(&entry, to) {
            // It was there for a moment only.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            copied => copied.unwrap(),
        }
    }
}

fn copy_entry(entry: &fs::DirEntry, to: &Path) -> std::io::Result<()> {
    let (from, to) = (entry.path(), to.join(entry.file_name()));
    let kind = entry.file_type()?;
    if kind.is_dir() {
        copy(&from, &to);
    } else if kind.is_symlink() {
        link(fs::read_link(&from)?, &to);
    } else {
        fs::copy(&from, &to)?;
    }
    Ok(())
}

#[cfg(unix)]
pub fn link(target: impl AsRef<Path>, path: &Path) {
    std::os::unix::fs::symlink(target, path).unwrap();
}

#[cfg(not(unix))]
pub fn link(_target: impl AsRef<Path>, _path: &Path) {}

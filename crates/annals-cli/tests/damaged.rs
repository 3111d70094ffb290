//! A block in the middle cannot be read: each command goes on behind it, says what is missing on
//! stderr, names `annals repair`, and ends with 1.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::path::Path;
use std::time::Duration;

use annals::{Inference, Journal, Timestamp, Value};
use common::{Place, annals, run};

const HOUR: i64 = 3_600_000_000;

/// Six blocks of ten decisions, one hour each, of which the fourth cannot be read.
fn damaged(dir: &Path) {
    with_blocks(dir, 6, 10);
    spoil(dir, |block| block == 3);
}

/// Blocks of so many decisions, one hour each.
fn with_blocks(dir: &Path, blocks: i64, decisions: i64) {
    let options = Journal::options().dedup_window(Duration::ZERO);
    let options = options.without_mirror().without_folding();
    let journal = options.open(dir).unwrap();
    for block in 0..blocks {
        let attributes = [("mark", Value::Text(format!("mark of block {block}")))];
        for number in 0..decisions {
            let time = Timestamp::from_micros(block * HOUR + number * 1_000_000);
            let inference = Inference::new("dqn_agent", "ETH/USDT", "BUY").event_time(time);
            journal.log(inference.attributes(&attributes)).unwrap();
        }
        journal.flush().wait(Duration::from_secs(60)).unwrap();
    }
    journal.close().unwrap();
}

/// Changes a byte of each of these blocks.
fn spoil(dir: &Path, is_meant: impl Fn(u64) -> bool) {
    let path = dir.join("journal.redb");
    let mut bytes = fs::read(&path).unwrap();
    let mark = b"mark of block ";
    let mut places = Vec::new();
    for (place, window) in bytes.windows(mark.len() + 8).enumerate() {
        let Some(number) = window.strip_prefix(mark) else {
            continue;
        };
        let digits = number.iter().take_while(|byte| byte.is_ascii_digit());
        let number: String = digits.map(|byte| char::from(*byte)).collect();
        if is_meant(number.parse().unwrap()) {
            places.push(place);
        }
    }
    assert!(!places.is_empty());
    places.iter().for_each(|place| bytes[*place] = b'X');
    fs::write(&path, bytes).unwrap();
}

/// Standard output of the command, which must have warned and ended with 1.
fn warned(dir: &Path, args: &[&str]) -> String {
    let output = annals(dir, args).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{args:?}: {said}");
    let is_said = said.contains("10 entries") && said.contains("annals repair");
    assert!(is_said, "{args:?}: {said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_command_goes_on_behind_a_damaged_block() {
    let directory = tempfile::tempdir().unwrap();
    let dir = &directory.path().join("data");
    damaged(dir);
    let to = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();

    let lines = |text: String| text.lines().count();
    assert_eq!(lines(warned(dir, &["tail", "-n", "100"])), 50);
    let follow = ["follow", "--from-start", "--exit-at-end", "--events"];
    let followed = warned(dir, &follow);
    let says = "10 entries are missing, sequences 31 to 40";
    assert!(followed.contains(says), "{followed}");
    assert_eq!(lines(followed), 51);
    let stats = warned(dir, &["stats"]);
    assert!(stats.contains("10 of them damaged"), "{stats}");
    let until = ["stats", "--until", "1970-01-01T03:30:00Z", "--json"];
    let of_hour = warned(dir, &until);
    assert!(of_hour.contains("\"damaged\":10"), "{of_hour}");
    let exported = warned(dir, &["export", "-", "--format", "jsonl"]);
    assert_eq!(lines(exported), 51);
    for name in ["a.csv", "a.parquet", "a.jsonl"] {
        assert!(warned(dir, &["export", &to(name)]).contains("50 rows"));
    }
    warned(dir, &["mirror", "rebuild", &to("logs")]);
    let status = run(dir, &["status"], 0);
    let is_said = status.contains("damaged") && status.contains("annals repair");
    assert!(is_said, "{status}");
    assert!(run(dir, &["status", "--json"], 0).contains("\"damaged\":10"));
    run(dir, &["verify"], 1);
    warned(dir, &["backup", &to("backup")]);
    let restored = directory.path().join("restored");
    warned(dir, &["restore", &to("backup"), "--to", &to("restored")]);
    run(dir, &["explain", "1-34"], 4);
    run(dir, &["events"], 0);

    for dir in [dir, &restored] {
        run(dir, &["repair", "--yes"], 1);
        run(dir, &["verify"], 0);
        assert!(run(dir, &["stats"], 0).contains("10 of them damaged"));
        assert!(!run(dir, &["status"], 0).contains("annals repair"));
        let events = run(dir, &["events", "--json"], 0);
        assert!(events.contains("\"reason\":\"damaged\""), "{events}");
    }
}

/// A disk that is bad all over gives a few lines, a count, and the whole list to programs.
#[test]
fn a_repair_of_many_places_says_a_bounded_number_of_lines() {
    let blocks = if std::env::var_os("ANNALS_LONG").is_some() {
        8_000
    } else {
        500
    };
    let place = Place::new();
    with_blocks(&place.data, blocks, 1);
    spoil(&place.data, |block| block % 2 == 0);
    let copy = place.path("copy");
    fs::create_dir(&copy).unwrap();
    fs::copy(place.data.join("journal.redb"), copy.join("journal.redb")).unwrap();
    let repaired = annals(&copy, &["repair", "--yes", "--json"])
        .output()
        .unwrap();
    let repaired: serde_json::Value = serde_json::from_slice(&repaired.stdout).unwrap();
    let lost = repaired["lost"].as_array().unwrap().len();
    let least = usize::try_from(blocks / 2).unwrap() * 9 / 10;
    assert!(lost >= least, "{lost}");

    let output = annals(&place.data, &["repair", "--yes"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.lines().count() < 30, "{said}");
    let more = format!("and {} more stretches", lost - 20);
    assert!(said.replace(',', "").contains(&more), "{said}");
    let warned = String::from_utf8(output.stderr).unwrap();
    assert!(
        !said.contains("panicked") && !warned.contains("panicked"),
        "{warned}"
    );
    assert!(warned.lines().count() < 5, "{warned}");
    run(&place.data, &["verify"], 0);
    let status = place.run(&["stats"]);
    assert!(status.lines().count() < 30, "{status}");
}

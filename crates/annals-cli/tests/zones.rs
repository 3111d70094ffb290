//! Days, hours and dates of a time zone, against a loop over the same decisions with jiff.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use annals::{Inference, Journal, Level, ManualClock, Outcome, Timestamp};
use common::{annals, complaint, json, run};
use jiff::tz::TimeZone;

const MINUTE: i64 = 60_000_000;

fn micros(text: &str) -> i64 {
    text.parse::<Timestamp>().unwrap().as_micros()
}

/// Decisions every eleven minutes around days on which clocks change somewhere, and one of 1970.
fn decided() -> Vec<i64> {
    let mut times = vec![1];
    for (from, until) in [
        ("2006-10-28T00:00:00Z", "2006-10-30T12:00:00Z"),
        ("2011-12-29T00:00:00Z", "2012-01-01T12:00:00Z"),
        ("2025-03-29T00:00:00Z", "2025-04-01T00:00:00Z"),
        ("2025-10-25T00:00:00Z", "2025-10-28T00:00:00Z"),
    ] {
        let mut time = micros(from);
        while time < micros(until) {
            times.push(time);
            time += 11 * MINUTE;
        }
    }
    times
}

fn journal(dir: &Path) -> Vec<i64> {
    let journal = Journal::options()
        .dedup_window(Duration::ZERO)
        .open(dir)
        .unwrap();
    let times = decided();
    for (number, time) in times.iter().enumerate() {
        let model = ["dqn_agent", "enhanced_cnn"][number % 2];
        let inference = Inference::new(model, "ETH/USDT", "BUY").confidence(0.5);
        let time = Timestamp::from_micros(*time);
        let id = journal.log(inference.event_time(time)).unwrap();
        let reward = f64::from(u32::try_from(number).unwrap());
        journal.attach_outcome(id, Outcome::new().reward(reward).at(time));
    }
    journal.event(Level::Info, "exchange", "connected");
    journal.flush().wait(Duration::from_secs(60)).unwrap();
    journal.close().unwrap();
    times
}

/// The clocks of a zone: of a day, week or month, or of an hour with its offset.
fn shown(time: i64, zone: &TimeZone, of: &str) -> String {
    let time = jiff::Timestamp::from_microsecond(time).unwrap();
    let text = zone.to_datetime(time).strftime(of).to_string();
    if !of.contains("%H") {
        return text;
    }
    let seconds = zone.to_offset(time).seconds();
    let sign = if seconds < 0 { '-' } else { '+' };
    let minutes = seconds.abs() / 60;
    format!("{text}{sign}{:02}:{:02}", minutes / 60, minutes % 60)
}

const ZONES: [&str; 9] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "America/St_Johns",
    "Pacific/Apia",
    "Africa/Casablanca",
];

#[test]
fn days_and_hours_are_those_that_the_clocks_of_the_zone_show() {
    let dir = tempfile::tempdir().unwrap();
    let times = journal(dir.path());
    for name in ZONES {
        let zone = TimeZone::get(name).unwrap();
        for (by, of) in [
            ("day", "%Y-%m-%d"),
            ("hour", "%Y-%m-%d %H:00"),
            ("week", "%G-W%V"),
            ("month", "%Y-%m"),
        ] {
            // One zone shows how days make longer periods.
            if !["day", "hour"].contains(&by) && name != "Pacific/Apia" {
                continue;
            }
            let mut wanted: BTreeMap<(String, &str), (u64, f64)> = BTreeMap::new();
            for (number, time) in times.iter().enumerate() {
                let model = ["dqn_agent", "enhanced_cnn"][number % 2];
                let period = shown(*time, &zone, of);
                // A table of UTC has hours without an offset.
                let period = period.trim_end_matches("+00:00").to_owned();
                let sum = wanted.entry((period, model)).or_default();
                sum.0 += 1;
                sum.1 += f64::from(u32::try_from(number).unwrap());
            }
            let both = format!("model,{by}");
            let found = json(dir.path(), &["stats", "--by", &both, "--zone", name]);
            let rows = found[0]["rows"].as_array().unwrap();
            assert_eq!(rows.len(), wanted.len(), "{name} by {by}");
            for row in rows {
                let period = row[by].as_str().unwrap().trim_end_matches("+00:00");
                let model = row["model"].as_str().unwrap();
                let (count, reward) = wanted[&(period.to_owned(), model)];
                let what = format!("{name}, {by} {period} of {model}");
                assert_eq!(row["count"], count, "{what}");
                let mean = row["outcomes"]["reward"]["mean"].as_f64().unwrap();
                #[allow(clippy::cast_precision_loss)]
                let expected = reward / count as f64;
                assert!((mean - expected).abs() < 1e-9, "{what}: {mean} {expected}");
                assert!(row.get("not_placed").is_none(), "{what}");
            }
        }
    }
}

#[test]
fn days_have_23_and_25_hours_when_the_clocks_change() {
    let dir = tempfile::tempdir().unwrap();
    journal(dir.path());
    let found = json(
        dir.path(),
        &["stats", "--by", "day", "--zone", "Europe/Berlin"],
    );
    let rows = found[0]["rows"].as_array().unwrap();
    let times = |day: &str| {
        let row = rows.iter().find(|row| row["day"] == day).unwrap();
        (row["time"].as_str().unwrap(), row["end"].as_str().unwrap())
    };
    let spring = ("2025-03-29T23:00:00.000000Z", "2025-03-30T22:00:00.000000Z");
    assert_eq!(times("2025-03-30"), spring);
    let autumn = ("2025-10-25T22:00:00.000000Z", "2025-10-26T23:00:00.000000Z");
    assert_eq!(times("2025-10-26"), autumn);
    let text = run(
        dir.path(),
        &["stats", "--by", "day", "--zone", "Pacific/Apia"],
        0,
    );
    assert!(
        text.contains("2011-12-29 ") && text.contains("2011-12-31 "),
        "{text}"
    );
    assert!(!text.contains("2011-12-30 "), "{text}");
    assert!(text.contains("(Pacific/Apia)"), "{text}");
}

#[test]
fn dates_that_are_given_are_the_zones() {
    let dir = tempfile::tempdir().unwrap();
    let times = journal(dir.path());
    let zone = TimeZone::get("Asia/Kolkata").unwrap();
    let of_day = |day: &str| {
        let of_day = |time: &&i64| shown(**time, &zone, "%Y-%m-%d") == day;
        times.iter().filter(of_day).count()
    };
    let one = of_day("2025-03-30");
    assert!(one > 100);
    let day = [
        "--since",
        "2025-03-30",
        "--until",
        "2025-03-31",
        "--zone",
        "Asia/Kolkata",
    ];
    let with = |command: &[&'static str]| -> Vec<&'static str> {
        command.iter().copied().chain(day).collect()
    };
    let stats = &json(dir.path(), &with(&["stats"]))[0];
    assert_eq!(stats["all"]["count"], one);
    let tail = json(dir.path(), &with(&["tail", "-n", "9999"]));
    assert_eq!(tail.len(), one);
    let follow = json(dir.path(), &with(&["follow", "--exit-at-end"]));
    assert_eq!(follow.len(), one);
    let calibration = json(dir.path(), &with(&["calibration"]));
    assert_eq!(calibration.len(), 1);
    let windows = [
        "compare",
        "2025-03-30..2025-03-31",
        "2025-03-31..2025-04-01",
        "--zone",
        "Asia/Kolkata",
    ];
    let compared = &json(dir.path(), &windows)[0];
    assert_eq!(compared["this"]["count"], one);
    assert_eq!(compared["that"]["count"], of_day("2025-03-31"));
    let best = with(&["checkpoints", "best", "dqn_agent", "--live", "reward"]);
    let best = &json(dir.path(), &best)[0];
    let ranked = best["ranking"]["ranked"][0]["decisions"].as_u64().unwrap();
    assert!(ranked.abs_diff(one as u64 / 2) <= 1, "{ranked} of {one}");
    // A moment that is the same everywhere does not move.
    let moment = [
        "stats",
        "--since",
        "2025-03-29T18:30:00Z",
        "--until",
        "2025-03-30T18:30:00Z",
        "--zone",
        "Asia/Tokyo",
    ];
    assert_eq!(json(dir.path(), &moment)[0]["all"]["count"], one);
}

#[test]
fn times_in_text_are_the_zones_and_those_in_json_utc() {
    let dir = tempfile::tempdir().unwrap();
    journal(dir.path());
    let zone = ["--zone", "Asia/Kathmandu"];
    let with = |command: &[&'static str]| -> Vec<&'static str> {
        command.iter().copied().chain(zone).collect()
    };
    // The last decision was at 23:58 UTC.
    let text = run(dir.path(), &with(&["tail", "-n", "1"]), 0);
    assert!(text.starts_with("2025-10-28 05:"), "{text}");
    let text = run(dir.path(), &["tail", "-n", "1"], 0);
    assert!(text.starts_with("2025-10-27 23:"), "{text}");
    let text = run(
        dir.path(),
        &with(&["tail", "-n", "1", "--columns", "time"]),
        0,
    );
    assert!(text.contains("2025-10-28 05:"), "{text}");
    let found = &json(dir.path(), &with(&["tail", "-n", "1"]))[0];
    assert!(
        found["event_time"]
            .as_str()
            .unwrap()
            .starts_with("2025-10-27T23:")
    );
    let here = run(dir.path(), &["events", "--kind", "system"], 0);
    let there = run(dir.path(), &with(&["events", "--kind", "system"]), 0);
    assert!(there != here && there[19..] == here[19..], "{here}{there}");
    let id = found["id"].as_str().unwrap().to_owned();
    let text = run(dir.path(), &["explain", &id, "--zone", "Asia/Kathmandu"], 0);
    assert!(
        text.contains("2025-10-28 05:") && !text.contains("2025-10-27 23:"),
        "{text}"
    );
}

#[test]
fn an_export_by_day_has_the_days_of_the_zone() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let times = journal(&data);
    let lake = dir.path().join("lake");
    let to = lake.to_str().unwrap();
    let args = [
        "export",
        to,
        "--format",
        "jsonl",
        "--by-day",
        "--zone",
        "Pacific/Apia",
    ];
    run(&data, &args, 0);
    let zone = TimeZone::get("Pacific/Apia").unwrap();
    let mut wanted: BTreeMap<String, usize> = BTreeMap::new();
    for time in &times {
        *wanted
            .entry(shown(*time, &zone, "day=%Y-%m-%d"))
            .or_default() += 1;
    }
    let rows = || {
        let mut found: BTreeMap<String, usize> = BTreeMap::new();
        for day in std::fs::read_dir(&lake).unwrap() {
            let day = day.unwrap();
            let lines = std::fs::read_dir(day.path()).unwrap().map(|part| {
                let text = std::fs::read_to_string(part.unwrap().path()).unwrap();
                let is_decision = |line: &&str| line.contains("\"inference\"");
                text.lines().filter(is_decision).count()
            });
            let lines = lines.sum();
            // The event lies in the day on which it was recorded.
            if lines > 0 {
                found.insert(day.file_name().into_string().unwrap(), lines);
            }
        }
        found
    };
    assert_eq!(rows(), wanted);
    // Of one day too, and again: its file is replaced.
    let day = ["--since", "2011-12-31", "--until", "2012-01-01"];
    let again: Vec<&str> = args.into_iter().chain(day).collect();
    run(&data, &again, 0);
    assert_eq!(rows(), wanted);
    // The days of another zone are others: rows would be there twice.
    let other = ["export", to, "--format", "jsonl", "--by-day"];
    let said = complaint(&data, &other, 2);
    assert!(said.contains("--zone"), "{said}");
    assert_eq!(rows(), wanted);
}

#[test]
fn the_zone_comes_from_the_option_or_the_environment() {
    let dir = tempfile::tempdir().unwrap();
    journal(dir.path());
    let days = |args: &[&str], variable: &str| {
        let mut command = annals(dir.path(), args);
        let output = command.env("ANNALS_ZONE", variable).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let plain = ["stats", "--by", "day"];
    let in_utc = run(dir.path(), &plain, 0);
    let in_tokyo = run(
        dir.path(),
        &["stats", "--by", "day", "--zone", "Asia/Tokyo"],
        0,
    );
    assert_ne!(in_utc, in_tokyo);
    assert_eq!(days(&plain, "Asia/Tokyo"), in_tokyo);
    assert_eq!(
        days(&["--zone", "UTC", "stats", "--by", "day"], "Asia/Tokyo"),
        in_utc
    );
    assert_eq!(days(&plain, ""), in_utc);
    run(dir.path(), &["stats", "--by", "day", "--zone", "local"], 0);
    run(dir.path(), &["stats", "--by", "day", "--zone", "-05:30"], 0);
    let said = complaint(dir.path(), &["stats", "--zone", "Moon/Base"], 2);
    assert!(
        said.contains("Moon/Base") && said.contains("Europe/Sofia"),
        "{said}"
    );
    let mut command = annals(dir.path(), &plain);
    let output = command.env("ANNALS_ZONE", "Moon/Base").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("ANNALS_ZONE"), "{said}");
}

/// In 2006 clocks in St John's went from 00:01 back to 23:01: a day had two parts.
#[test]
fn a_day_that_comes_twice_is_exported_whole() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let times = journal(&data);
    let zone = TimeZone::get("America/St_Johns").unwrap();
    let is_meant = |time: &&i64| shown(**time, &zone, "%Y-%m-%d") == "2006-10-28";
    let wanted = times.iter().filter(is_meant).count();
    let lake = dir.path().join("lake");
    let to = lake.to_str().unwrap();
    let zoned = ["--zone", "America/St_Johns"];
    let day = ["--since", "2006-10-28", "--until", "2006-10-29"];
    let args = ["export", to, "--format", "csv", "--by-day"];
    run(&data, &[&args[..], &zoned, &day].concat(), 0);
    let folder = lake.join("day=2006-10-28");
    let part = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap();
    let lines = std::fs::read_to_string(part.path())
        .unwrap()
        .lines()
        .count();
    assert_eq!(lines, wanted + 1);
    assert_eq!(std::fs::read_dir(&lake).unwrap().count(), 1);
}

/// Sums by the hour of UTC outlive entries; they cannot say what half of an hour held.
#[test]
fn what_is_retired_and_cut_by_a_day_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let journal = Journal::options()
        .dedup_window(Duration::ZERO)
        .clock(ManualClock::at(Timestamp::from_micros(micros(
            "2025-07-03T00:00:00Z",
        ))))
        .open(&data)
        .unwrap();
    // Two days of decisions every ten minutes; Kolkata's midnight is at half past an hour.
    for number in 0..288_i64 {
        let time = micros("2025-07-01T00:05:00Z") + number * 10 * MINUTE;
        let inference = Inference::new("m", "s", "BUY").event_time(Timestamp::from_micros(time));
        journal.log(inference).unwrap();
    }
    let minute = Duration::from_secs(60);
    journal.flush().wait(minute).unwrap();
    journal.fold(minute).unwrap();
    journal.seal(minute).unwrap();
    journal.close().unwrap();
    run(
        &data,
        &["retain", "--max-age", "30d", "--trust-clock", "--yes"],
        0,
    );
    let of = |zone: &str| {
        let found = json(&data, &["stats", "--by", "day", "--zone", zone]);
        let rows = found[0]["rows"].as_array().unwrap();
        rows.iter()
            .map(|row| (row["count"].as_u64().unwrap(), row["not_placed"].as_u64()))
            .collect::<Vec<_>>()
    };
    assert_eq!(of("UTC"), [(144, None), (144, None)]);
    assert_eq!(of("Europe/Sofia"), [(126, None), (144, None), (18, None)]);
    let text = run(
        &data,
        &["stats", "--by", "day", "--zone", "Asia/Kolkata"],
        0,
    );
    let kolkata = of("Asia/Kolkata");
    let counted: u64 = kolkata.iter().map(|row| row.0).sum();
    assert_eq!(kolkata.len(), 3, "{text}");
    if counted < 288 {
        // The hours that two midnights cut.
        assert_eq!(counted, 288 - 12);
        assert_eq!(kolkata, [(108, Some(6)), (138, Some(12)), (30, Some(6))]);
        assert!(text.contains("their entries are retired"), "{text}");
    }
}

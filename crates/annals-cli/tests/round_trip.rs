//! Out of one journal and into an empty directory: whatever was in it, the statistics are the same.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use annals::entry::GapReason;
use annals::import::{Answer, Importer, Loss};
use annals::{Inference, InferenceId, Journal, Outcome, Timestamp};
use common::{BEGIN, annals, json, run};

/// A second of event time.
fn at(second: i64) -> Timestamp {
    Timestamp::from_micros(BEGIN + second * 1_000_000)
}

/// Everything that is odd about a decision, and more than one of each.
fn oddities(dir: &Path) {
    let journal = Journal::options().without_mirror().open(dir).unwrap();
    let mut second = 0;
    let mut log = |inference: Inference<'_>| -> InferenceId {
        second += 1;
        journal.log(inference.event_time(at(second))).unwrap()
    };
    for confidence in [
        f32::NAN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        -0.5,
        1.5,
        0.0,
        -0.0,
        1.0,
        f32::MIN_POSITIVE,
    ] {
        log(Inference::new("odd", "ETH/USDT", "BUY").confidence(confidence));
    }
    log(Inference::new("odd", "ETH/USDT", "BUY"));
    log(Inference::new("", "", ""));
    log(Inference::new("a|b\nc\"d\\", "Ω\u{202e}", "\u{0}").memory(1 << 40));
    let probabilities = [("BUY", f32::NAN), ("SELL", 0.25), ("", f32::INFINITY)];
    let attributes: Vec<(&str, annals::Value)> = vec![
        ("paper", true.into()),
        ("lots", 3.into()),
        ("price", 2.0.into()),
        ("nothing", f64::NAN.into()),
        ("note", "NaN".into()),
        ("", "".into()),
    ];
    log(Inference::new("odd", "ETH/USDT", "SELL")
        .probabilities(&probabilities)
        .attributes(&attributes)
        .processing_time(Duration::from_nanos(1))
        .checkpoint("cp_1"));
    // Asked twice: a repeat. Answered differently: a divergence.
    let asked = |action: &'static str| {
        let inference = Inference::new("odd", "BTC/USDT", action).confidence(0.5);
        inference
            .features_hashed(7)
            .checkpoint("cp_2")
            .deterministic()
    };
    let first = log(asked("HOLD"));
    let repeat = log(asked("HOLD").processing_time(Duration::from_millis(3)));
    let divergent = log(asked("SELL"));
    journal.attach_outcome(first, Outcome::new().reward(1.0).at(at(60)));
    journal.attach_outcome(first, Outcome::new().reward(-2.5).correct(false).at(at(61)));
    journal.attach_outcome(first, Outcome::new().label("closed").at(at(62)));
    journal.attach_outcome(
        repeat,
        Outcome::new().correct(true).value("pnl", 1e300).at(at(63)),
    );
    journal.attach_outcome(
        divergent,
        Outcome::new().reward(f64::NAN).value("pnl", -0.0),
    );
    journal.close().unwrap();

    let mut importer = Importer::open(dir).unwrap();
    let run = importer.source("elsewhere").unwrap();
    let inference = Inference::new("odd", "ETH/USDT", "BUY").event_time(at(40));
    let id = run.inference(1 << 39).unwrap();
    importer.add(id, &inference, Answer::Full).unwrap();
    for (reason, count, after) in [
        (GapReason::QueueFull, Some(7), None),
        (GapReason::Refused, Some(1), None),
        (GapReason::Died, None, Some(id)),
    ] {
        let range = count.map(|_| (at(10), at(20)));
        let loss = Loss {
            run,
            reason,
            count,
            after,
            recorded_range: range,
            event_range: range,
            refusal: None,
        };
        assert!(importer.add_gap(&loss).unwrap());
    }
    importer.close().unwrap();
}

/// All that is counted, however it is divided.
fn statistics(dir: &Path, of: &[&str]) -> Vec<serde_json::Value> {
    let questions: [&[&str]; 3] = [
        &["stats", "--by", "model,symbol,checkpoint,hour"],
        &["stats", "--by", "model,action,day"],
        &["calibration"],
    ];
    let answers = questions
        .iter()
        .flat_map(|question| json(dir, &[question, of].concat()));
    answers.collect()
}

/// `export | import`, through a pipe.
fn pipe(from: &Path, filter: &[&str], to: &Path) {
    let export = [&["export", "-", "--format", "jsonl"], filter].concat();
    let mut out = annals(from, &export)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = out.stdout.take().unwrap();
    let taken = annals(to, &["import", "-"]).stdin(lines).output().unwrap();
    let said = String::from_utf8_lossy(&taken.stderr);
    assert!(taken.status.success(), "{said}");
    assert!(out.wait().unwrap().success());
}

/// The lines of an export, without what may differ: where and when it was recorded.
fn lines(dir: &Path) -> Vec<serde_json::Value> {
    let text = run(dir, &["export", "-", "--format", "jsonl"], 0);
    let mut lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for line in &mut lines {
        let fields = line.as_object_mut().unwrap();
        for place in [
            "id",
            "journal",
            "recorded_time",
            "sequence",
            "repeat_of",
            "run",
            "after",
        ] {
            fields.remove(place);
        }
        let history = fields
            .get_mut("outcomes")
            .and_then(|all| all.as_array_mut());
        for past in history.into_iter().flatten() {
            let past = past.as_object_mut().unwrap();
            // As the line's own id.
            past.remove("id");
            past.remove("sequence");
            past.remove("recorded_by");
        }
    }
    lines
}

#[test]
fn whatever_is_odd_has_the_same_statistics_on_the_other_side() {
    let dir = tempfile::tempdir().unwrap();
    let (data, copy) = (dir.path().join("data"), dir.path().join("copy"));
    oddities(&data);
    let whole = statistics(&data, &[]);
    let all = &whole[0]["all"];
    assert_eq!(all["repeats"], 1);
    assert_eq!(all["divergences"], 1);
    // NaN, two infinities, -0.5 and 1.5.
    assert_eq!(all["invalid"], 5);
    assert_eq!(all["outcomes"]["invalid"], 1);
    assert_eq!(all["dropped"], 8);
    assert_eq!(all["completeness"], serde_json::Value::Null);
    for _twice in 0..2 {
        pipe(&data, &[], &copy);
        assert_eq!(statistics(&copy, &[]), whole);
        assert_eq!(lines(&copy), lines(&data));
    }
}

#[test]
fn a_part_has_the_statistics_of_that_part_gaps_included() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    oddities(&data);
    for (part, filter) in [
        &["--model", "odd"][..],
        &["--symbol", "BTC/USDT"],
        &["--checkpoint", "cp_2"],
        &[
            "--since",
            "2025-07-25 14:34:53",
            "--until",
            "2025-07-25 14:34:59",
        ],
        &["--since", "2025-07-25 14:35:05"],
    ]
    .into_iter()
    .enumerate()
    {
        let copy = dir.path().join(part.to_string());
        // Filters of time leave repeats' originals out only where these lie outside.
        pipe(&data, filter, &copy);
        let mut sides = [&copy, &data].map(|dir| json(dir, &[&["stats"], filter].concat()));
        for side in &mut sides {
            let mut forget = |path: &str| {
                // A share of what all models did, which is not all there.
                let stats = side[0].pointer_mut(path).unwrap();
                stats.as_object_mut().unwrap().remove("completeness");
            };
            forget("/all");
            forget("/rows/0");
        }
        let [copied, asked] = sides;
        assert!(asked[0]["all"]["count"].as_u64() > Some(0), "{filter:?}");
        assert_eq!(copied, asked, "{filter:?}");
    }
}

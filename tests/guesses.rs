//! Expressions that a newcomer writes without having read the documentation.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::error::Error as _;
use std::io;
use std::time::{Duration, SystemTime};

use annals::entry::CheckpointAction;
use annals::logs::Mirror;
use annals::record::OwnedParts;
use annals::registry::Metadata;
use annals::stats::LiveValue;
use annals::{
    Cursor, Error, ErrorKind, Group, Inference, InferenceId, Journal, JournalId, Level, Mode,
    Options, Outcome, Reader, Recorder, RetentionPolicy, RunId, Stats, Timestamp, Value,
};
use chrono::{FixedOffset, Local, TimeZone, Utc};

/// Further guesses do not compile, for a reason each.
const REFUSED: [(&str, &str); 17] = [
    (
        "Value::from(serde_json::Value)",
        "a value is flat, and the crate has no JSON type in its API; Metadata is read from JSON",
    ),
    (
        "journal.clone()",
        "dropping a journal closes it, so one owner decides when: share it in an Arc or install it",
    ),
    (
        "watch.clone()",
        "a watch remembers what it showed last: ask the registry for another",
    ),
    (
        "recorder.log(timer, \"BUY\", ..)",
        "a search for the name in each call is what a prepared recorder avoids",
    ),
    (
        "journal.attach_outcome(None, ..)",
        "without an id nothing was recorded, and the caller should see that",
    ),
    (
        "inference.probabilities([(\"a\", 0.5)])",
        "a call borrows, so that it does not allocate: probabilities(&[..])",
    ),
    ("Inference::new(String, ..)", "the same: new(&name, ..)"),
    (
        "stats.action(\"BUY\")",
        "times and memory are not kept by action: by(Group::Action) gives what is",
    ),
    (
        "query.attribute(\"k\", 7)",
        "attributes have no column that a query could select by: filter the iterator",
    ),
    (
        "registry.load_best(\"m\")",
        "best_loadable, which says what it had to pass over",
    ),
    (
        "new.save(&[0.5_f32])",
        "the order of a float's bytes is the caller's to choose: to_le_bytes",
    ),
    (
        "watch.wait(timeout)",
        "a loop asks its watch, which costs nanoseconds, and does not wait for it",
    ),
    (
        "reader.follow(None)",
        "reader.start() and reader.end() say which of the two is meant",
    ),
    (
        "journal.event(level, component, message, fields)",
        "event_with",
    ),
    (
        "journal.stats(\"m\").today()",
        "a day needs a time zone: since(midnight), or Periods::local",
    ),
    (
        "journal.stats(\"m\").last(chrono::Duration)",
        "chrono is in no call, unless its feature asks for conversions of times",
    ),
    ("timestamp.to_rfc3339()", "to_string"),
];

/// Each expression is true if it does what a reader expects of it.
macro_rules! guesses {
    ($($guess:expr,)*) => { [$((stringify!($guess), $guess)),*] };
}

/// A function can return an inference with attributes of its own.
fn described(tokens: usize) -> Inference<'static, OwnedParts<'static>> {
    Inference::new("llm", "prompt", "answer").attribute("tokens", tokens)
}

fn recorder(journal: &Journal) -> Recorder {
    let actions = vec!["BUY".to_owned(), "SELL".to_owned()];
    journal
        .recorder("m", "s")
        .actions(&actions)
        .build()
        .unwrap()
}

#[test]
#[allow(
    clippy::needless_borrows_for_generic_args,
    reason = "newcomers write them"
)]
fn most_guesses_compile() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let journal = Journal::open(&data).unwrap();
    let recorder = recorder(&journal);
    let registry = journal.registry().unwrap();
    let (open, close) = (Timestamp::from_micros(0), Timestamp::from_micros(1_000_000));
    let second = Duration::from_secs(1);
    let id = journal.log(Inference::new("m", "s", "BUY")).unwrap();
    journal.flush().wait(Duration::from_secs(60)).unwrap();
    let reader = journal.reader().unwrap();
    let cursor = reader.start();
    let missing = || Reader::open("/nowhere/data").unwrap_err();
    let name = "m".to_owned();
    let json = |value: &dyn erased::Json| value.json();
    let stats = journal.stats("m").get().unwrap();
    let ranking = journal.stats("m").best_live(&LiveValue::Reward, 1).unwrap();
    let new = registry.checkpoint("other").metric("acc", 0.5);
    let checkpoint = new.save([0_u8; 4]).unwrap();
    let maintenance = journal.maintenance().unwrap();
    let guesses = guesses![
        Value::from(7_u32) == Value::Integer(7),
        Value::from(7_usize) == Value::Integer(7),
        Value::from(7_i32) == Value::Integer(7),
        Value::from(7_u64) == Value::Integer(7),
        Value::from(0.1_f32).as_f64() == Some(0.1),
        Value::from("paper").as_str() == Some("paper"),
        Metadata::from(7_u32).as_f64() == Some(7.0),
        Metadata::from(vec![0.5, 0.25]).to_string() == "[0.5,0.25]",
        journal.log(described(512)).is_some(),
        journal.log(Inference::new(&name, &name, &name)).is_some(),
        journal
            .log(Inference::new("m", "s", "BUY").confidence(0.5_f64))
            .is_some(),
        journal
            .log(Inference::new("m", "s", "BUY").features(&[0.5_f64]))
            .is_some(),
        journal
            .log(Inference::new("m", "s", "BUY").event_time(SystemTime::now()))
            .is_some(),
        journal
            .log(Inference::new("m", "s", "BUY").event_time(Local::now()))
            .is_some(),
        recorder
            .inference(0)
            .attributes(&[("k", 7_u32.into())])
            .log()
            .is_some(),
        journal
            .recorder("m", "s")
            .actions(&["BUY", "SELL"])
            .build()
            .is_ok(),
        journal.attach_outcome(id, Outcome::new().reward(1).value("tokens", 512_u32)),
        registry
            .checkpoint("m")
            .metric("acc", 0.5_f32)
            .save([0_u8; 4])
            .is_ok(),
        "2025-07-25T14:34:39Z".parse::<Timestamp>().is_ok(),
        close - second == open,
        close - open == second,
        open + second == close,
        close.to_system_time() == Some(SystemTime::UNIX_EPOCH + second),
        Timestamp::from(Utc.timestamp_opt(1, 0).unwrap()) == close,
        Timestamp::from(
            FixedOffset::east_opt(3_600)
                .unwrap()
                .timestamp_opt(1, 0)
                .unwrap()
        ) == close,
        "WARN"
            .parse::<Level>()
            .is_ok_and(|level| level == Level::Warn),
        "min".parse::<Mode>().is_ok_and(|mode| mode == Mode::Min),
        "symbol"
            .parse::<Group>()
            .is_ok_and(|group| group == Group::Symbol),
        "3-17".parse::<InferenceId>().is_ok(),
        "3".parse::<RunId>().is_ok(),
        reader
            .id()
            .to_string()
            .parse::<JournalId>()
            .is_ok_and(|id| id == reader.id()),
        cursor
            .to_string()
            .parse::<Cursor>()
            .is_ok_and(|read| read == cursor),
        CheckpointAction::Saved.to_string() == "saved",
        journal.health().state.to_string() == "running",
        missing().kind() == ErrorKind::NotFound,
        io::Error::from(missing()).kind() == io::ErrorKind::NotFound,
        Journal::open(dir.path().join("x".repeat(300))).is_err_and(|e: Error| e.source().is_some()),
        serde_json::from_str::<Options>(r#"{"commit_interval": "50ms"}"#).is_ok(),
        serde_json::from_str::<Mirror>(r#"{"retention": {"max_age": "7d"}}"#).is_ok(),
        serde_json::from_str::<RetentionPolicy>(r#"{"max_age": "30d"}"#).is_ok(),
        Reader::open_with(&data, &Options::default()).is_ok(),
        Stats::default().is_empty() && Stats::default().confidence.mean.is_none(),
        json(&close) == "\"1970-01-01T00:00:01.000000Z\"",
        reader
            .inferences()
            .model("m")
            .into_iter()
            .all(|record| record.is_ok()),
        reader.inferences().model("m").count().is_ok(),
        RetentionPolicy::default() == RetentionPolicy::new(),
        registry
            .checkpoint("m")
            .metrics([("acc", 0.5), ("loss", 0.25)])
            .save([0_u8; 4])
            .is_ok(),
        stats.to_string().contains("decision"),
        journal.health().to_string().starts_with("running"),
        ranking.to_string().contains("outcome"),
        checkpoint.to_string().contains("acc=0.5"),
        reader
            .outcome(id)
            .unwrap()
            .is_none_or(|known| known.to_string().contains("reward")),
        json(&checkpoint).contains("\"metrics\":{\"acc\":0.5}"),
        serde_json::from_str::<Stats>(&json(&stats)).is_ok_and(|read| read == stats),
        json(&maintenance.usage().unwrap()).contains("\"entries\""),
        json(&maintenance.verify()).contains("\"defects\":[]"),
        json(&maintenance.backup(dir.path().join("copy")).run().unwrap()).contains("\"entries\""),
        json(&registry.reconcile().unwrap()).contains("\"checked\""),
    ];
    for (guess, holds) in &guesses {
        assert!(holds, "{guess}");
    }
    let all = guesses.len() + REFUSED.len();
    println!("{} of {all} guesses compile", guesses.len());
    journal.close().unwrap();
}

mod erased {
    /// What can be written as JSON.
    pub trait Json {
        fn json(&self) -> String;
    }

    impl<T: serde::Serialize> Json for T {
        fn json(&self) -> String {
            serde_json::to_string(self).unwrap()
        }
    }
}

//! Expressions that a newcomer writes without having read the documentation.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::error::Error as _;
use std::io;
use std::time::{Duration, SystemTime};

use annals::entry::CheckpointAction;
use annals::logs::Mirror;
use annals::record::OwnedAttributes;
use annals::registry::Metadata;
use annals::{
    Cursor, Error, ErrorKind, Group, Inference, InferenceId, Journal, JournalId, Level, Mode,
    Options, Outcome, Reader, Recorder, RetentionPolicy, RunId, Stats, Timestamp, Value,
};
use chrono::{FixedOffset, Local, TimeZone, Utc};

/// At least so many of 55 guesses have to compile and do what they seem to.
const AT_LEAST: usize = 35;

/// Each expression is true if it does what a reader expects of it.
macro_rules! guesses {
    ($($guess:expr,)*) => { [$((stringify!($guess), $guess)),*] };
}

/// A function can return an inference with attributes of its own.
fn described(tokens: usize) -> Inference<'static, OwnedAttributes<'static>> {
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
    ];
    for (guess, holds) in &guesses {
        assert!(holds, "{guess}");
    }
    println!("{} of 55 guesses compile", guesses.len());
    assert!(guesses.len() >= AT_LEAST);
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

//! System and checkpoint events are read back as recorded, in the journal and in the text files. A
//! lasting state is reported when it begins and when it ends.

#![allow(clippy::unwrap_used)]

mod logs;

use std::path::Path;

use annals::entry::SystemEvent;
use annals::entry::{CheckpointAction, CheckpointEvent};
use annals::logs::LogKind;
use annals::{Content, Inference, Journal, Level};
use annals::{Reader, Value};
use logs::*;

const LEVELS: [Level; 5] = [
    Level::Trace,
    Level::Debug,
    Level::Info,
    Level::Warn,
    Level::Error,
];

const DIVERGENCE: &str = "a model answered the same features with the same checkpoint differently";

fn open(dir: &Path) -> Journal {
    let options = Journal::options().clock(july()).close_timeout(BOUND);
    options.open(dir).unwrap()
}

fn system_events(reader: &Reader) -> Vec<SystemEvent> {
    let entries = reader.follow(reader.start()).unwrap().map(Result::unwrap);
    let events = entries.filter_map(|entry| match entry.content {
        Content::SystemEvent(event) => Some(event),
        _ => None,
    });
    events.collect()
}

fn checkpoint_events(reader: &Reader) -> Vec<CheckpointEvent> {
    let entries = reader.follow(reader.start()).unwrap().map(Result::unwrap);
    let events = entries.filter_map(|entry| match entry.content {
        Content::CheckpointEvent(event) => Some(event),
        _ => None,
    });
    events.collect()
}

/// The system events of a journal in memory on which `act` has acted.
fn said_by(act: impl FnOnce(&Journal)) -> Vec<SystemEvent> {
    let journal = Journal::in_memory().unwrap();
    act(&journal);
    flush(&journal);
    assert_eq!(journal.health().dropped.total(), 0);
    system_events(&journal.reader().unwrap())
}

#[test]
fn system_events_are_read_back_and_written_out() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let journal = open(dir);
    for level in LEVELS {
        assert!(journal.event(level, "exchange", format!("at {level}")));
    }
    let fields = vec![
        ("text".to_owned(), Value::from("a b")),
        ("real".to_owned(), Value::Real(0.5)),
        ("whole".to_owned(), Value::Integer(-7)),
        ("flag".to_owned(), Value::Flag(true)),
    ];
    let with = |component, message: &str| {
        journal.event_with(Level::Info, component, message, fields.clone())
    };
    assert!(with("a_component_with_a_long_name", "all kinds"));
    assert!(with("", ""));
    let long = "x".repeat(300);
    assert!(journal.event(Level::Info, &long, "one\ntwo\r\u{1b}[31m|\u{202e}"));
    flush(&journal);
    let health = journal.health();
    assert_eq!((health.offered, health.committed), (8, 8));

    let events = system_events(&journal.reader().unwrap());
    let levels: Vec<_> = events.iter().map(|event| event.level).take(5).collect();
    assert_eq!(levels, LEVELS);
    assert!(
        events[..5]
            .iter()
            .all(|event| &*event.component == "exchange")
    );
    assert_eq!(events[5].message, "all kinds");
    assert_eq!(events[5].fields, fields);
    assert_eq!((&*events[6].component, &*events[6].message), ("", ""));
    assert_eq!(&*events[7].component, long);
    assert_eq!(events[7].message, "one\ntwo\r\u{1b}[31m|\u{202e}");
    assert!(events.iter().all(|event| event.run == health.run));
    journal.close().unwrap();

    let time = "2025-07-25 14:34:39";
    let expected = [
        format!("{time} | TRACE | exchange        | at TRACE"),
        format!("{time} | DEBUG | exchange        | at DEBUG"),
        format!("{time} | INFO  | exchange        | at INFO"),
        format!("{time} | WARN  | exchange        | at WARN"),
        format!("{time} | ERROR | exchange        | at ERROR"),
        format!(
            "{time} | INFO  | a_component_with_a_long_name | \
                all kinds text=a b real=0.5 whole=-7 flag=true"
        ),
        format!(
            "{time} | INFO  | {:<15} | text=a b real=0.5 whole=-7 flag=true",
            ""
        ),
        format!(r"{time} | INFO  | {long} | one\ntwo\r\u{{001b}}[31m\|\u{{202e}}"),
    ];
    let found = lines(&dir.join("logs"), LogKind::System);
    assert_lines("system events", &found, &expected);
    assert_mirrored(dir, &dir.join("logs"));
}

#[test]
fn checkpoint_events_are_read_back_and_written_out() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let journal = open(dir);
    let actions = [
        CheckpointAction::Saved,
        CheckpointAction::Loaded,
        CheckpointAction::Activated,
        CheckpointAction::Deleted,
        CheckpointAction::Failed,
    ];
    for action in actions {
        assert!(journal.checkpoint_event(action, "dqn_agent", "c[1]", "val_loss=0.0234"));
    }
    assert!(journal.checkpoint_event(CheckpointAction::Saved, "a|b\n", &"c".repeat(300), ""));
    flush(&journal);

    let events = checkpoint_events(&journal.reader().unwrap());
    let found: Vec<_> = events.iter().map(|event| event.action).take(5).collect();
    assert_eq!(found, actions);
    assert_eq!(
        (&*events[0].model, &*events[0].checkpoint),
        ("dqn_agent", "c[1]")
    );
    assert_eq!(events[0].detail, "val_loss=0.0234");
    assert_eq!(
        (&*events[5].model, &*events[5].checkpoint),
        ("a|b\n", &*"c".repeat(300))
    );
    journal.close().unwrap();

    let what = [
        "saved     ",
        "loaded    ",
        "activated ",
        "deleted   ",
        "failed    ",
    ];
    let mut expected: Vec<_> = what
        .iter()
        .map(|what| {
            format!(r"2025-07-25 14:34:39 | {what} | dqn_agent       | c\[1\] | val_loss=0.0234")
        })
        .collect();
    let long = "c".repeat(300);
    expected.push(format!(
        r"2025-07-25 14:34:39 | saved      | a\|b\n          | {long}"
    ));
    let found = lines(&dir.join("logs"), LogKind::Checkpoints);
    assert_lines("checkpoint events", &found, &expected);
}

#[test]
fn a_condition_is_said_when_it_begins_and_when_it_is_over() {
    const TIMES: i64 = 10_000;
    let condition = "no checkpoints for dqn_agent";
    let said = said_by(|journal| {
        for round in 0..2 {
            for time in 0..TIMES + round {
                let first = journal.raise(Level::Warn, "registry", condition);
                assert_eq!(first, time == 0);
            }
            assert!(journal.clear("registry", condition));
            assert!(!journal.clear("registry", condition));
        }
        assert_eq!(journal.health().offered, 4);
    });
    let over = format!("over: {condition}");
    for (round, said) in (0..).zip(said.chunks(2)) {
        assert_eq!((said[0].level, &*said[0].message), (Level::Warn, condition));
        assert_eq!((said[1].level, &said[1].message), (Level::Info, &over));
        let times = ("times".to_owned(), Value::Integer(TIMES + round));
        assert_eq!(said[1].fields, [times]);
        assert!(said.iter().all(|event| &*event.component == "registry"));
    }
    assert_eq!(said.len(), 4);
}

#[test]
fn conditions_are_told_apart_by_component_and_words() {
    let said = said_by(|journal| {
        assert!(journal.raise(Level::Info, "one", "late"));
        assert!(journal.raise(Level::Info, "two", "late"));
        assert!(journal.raise(Level::Info, "one", "gone"));
        assert!(!journal.raise(Level::Error, "one", "late"));
        assert!(!journal.clear("three", "late"));
        assert!(journal.clear("one", "late"));
        assert!(!journal.raise(Level::Info, "two", "late"));
        assert!(journal.raise(Level::Info, "one", "late"));
    });
    let said: Vec<_> = said
        .iter()
        .map(|event| (&*event.component, event.message.as_str()))
        .collect();
    assert_eq!(
        said,
        [
            ("one", "late"),
            ("two", "late"),
            ("one", "gone"),
            ("one", "over: late"),
            ("one", "late"),
        ]
    );
}

#[test]
fn many_threads_raise_a_condition_once() {
    let said = said_by(|journal| {
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..2_500 {
                        journal.raise(Level::Warn, "feed", "late");
                    }
                });
            }
        });
        assert!(journal.clear("feed", "late"));
    });
    assert_eq!(said.len(), 2);
    let times = ("times".to_owned(), Value::Integer(10_000));
    assert_eq!(said[1].fields, [times]);
}

#[test]
fn more_conditions_than_are_remembered_are_still_said() {
    const CONDITIONS: usize = 6_000;
    let said = said_by(|journal| {
        for number in 0..CONDITIONS {
            assert!(journal.raise(Level::Info, "many", &format!("condition {number}")));
        }
    });
    assert_eq!(said.len(), CONDITIONS);
}

#[test]
fn a_divergence_is_said_once_for_each_model_and_checkpoint() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let journal = open(dir);
    let mut first = Vec::new();
    for (model, checkpoint) in [("a", "1"), ("a", "2"), ("b", "1")] {
        let inference = Inference::new(model, "s", "BUY").checkpoint(checkpoint);
        let mut ids = Vec::new();
        for answer in 0..5_u8 {
            let inference = inference.features(&[1.0, 2.0]).deterministic();
            ids.push(
                journal
                    .log(inference.confidence(f32::from(answer) / 10.0))
                    .unwrap(),
            );
        }
        first.push(ids[1].to_string());
    }
    flush(&journal);
    assert_eq!(journal.health().divergences, 3 * 4);
    let events = system_events(&journal.reader().unwrap());
    journal.close().unwrap();
    let said: Vec<_> = events.iter().map(|event| event.message.as_str()).collect();
    assert_eq!(said, [DIVERGENCE; 3]);
    for (event, first) in events.iter().zip(&first) {
        assert_eq!((event.level, &*event.component), (Level::Warn, "annals"));
        let inference = ("inference".to_owned(), Value::from(first.as_str()));
        assert_eq!(event.fields, [inference]);
    }
    assert_mirrored(dir, &dir.join("logs"));
}

/// A policy that samples has many answers to one question, and none of them is worth a warning. A
/// repeated sample of it is a repeat, which queries give like any other decision.
#[test]
fn a_policy_that_samples_does_not_diverge() {
    let directory = tempfile::tempdir().unwrap();
    let journal = open(directory.path());
    let recorder = journal
        .recorder("sampled", "grid")
        .actions(["N", "E", "S", "W"]);
    let recorder = recorder.build().unwrap();
    let deterministic = journal
        .recorder("greedy", "grid")
        .actions(["N", "E", "S", "W"]);
    let deterministic = deterministic.deterministic().build().unwrap();
    const STEPS: usize = 400;
    for step in 0..STEPS {
        // Each state is met every 16 steps, and gets the same action twice before another one.
        let action = (step / 32) % 4;
        for recorder in [&recorder, &deterministic] {
            let probabilities = [0.25; 4];
            let state = [(step % 16) as f32];
            let decision = recorder.inference(action).probabilities(&probabilities);
            decision.features(&state).log().unwrap();
        }
    }
    flush(&journal);
    let reader = journal.reader().unwrap();
    let events = system_events(&reader);
    assert_eq!(events.len(), 1, "{events:?}");
    for (model, diverges) in [("sampled", false), ("greedy", true)] {
        let stats = journal.stats(model).get().unwrap();
        assert_eq!(stats.count, STEPS as u64);
        assert_eq!(stats.divergences > 0, diverges, "{model}");
        assert!(stats.repeats > 0);
        let rows = reader.inferences().model(model).iter();
        let rows: Vec<_> = rows.collect::<annals::Result<_>>().unwrap();
        assert_eq!(rows.len(), STEPS, "rows are as many as decisions");
        assert_eq!(rows.iter().any(|row| row.divergent), diverges);
        let repeats = rows.iter().filter(|row| row.repeat_of.is_some());
        assert_eq!(repeats.count() as u64, stats.repeats);
    }
    assert_eq!(reader.newest(usize::MAX).count(), 2 * STEPS);
    let health = journal.health();
    let stats = journal.stats_of_all().get().unwrap();
    assert_eq!(health.divergences, stats.divergences);
    journal.close().unwrap();
}

#[test]
fn events_of_a_closed_journal_are_counted() {
    let journal = Journal::in_memory().unwrap();
    journal.close().unwrap();
    assert!(!journal.event(Level::Info, "c", "late"));
    assert!(!journal.checkpoint_event(CheckpointAction::Saved, "m", "c", ""));
    let health = journal.health();
    assert_eq!((health.offered, health.dropped.closed), (2, 2));
}

#[cfg(feature = "tracing")]
mod layer {
    use super::*;

    use tracing::subscriber::with_default;
    use tracing_subscriber::layer::SubscriberExt as _;
    use tracing_subscriber::registry;

    /// The journal's content after `act` was run under a layer of level `least`.
    fn recorded(least: Level, act: impl FnOnce()) -> Vec<SystemEvent> {
        said_by(|journal| {
            let subscriber = registry().with(journal.layer(least));
            with_default(subscriber, act);
        })
    }

    #[test]
    fn fields_keep_their_types() {
        let text = "ETH/USDT";
        let events = recorded(Level::Trace, || {
            tracing::info!(
                target: "feed",
                text,
                whole = -250,
                unsigned = 250_u64,
                large = u64::MAX,
                real = 0.5,
                flag = false,
                debugged = ?Some(1),
                displayed = %1.5,
                "late by {} ms",
                250
            );
        });
        assert_eq!(events.len(), 1);
        let event = &events[0];
        assert_eq!((event.level, &*event.component), (Level::Info, "feed"));
        assert_eq!(event.message, "late by 250 ms");
        let expected = [
            ("text", Value::from(text)),
            ("whole", Value::Integer(-250)),
            ("unsigned", Value::Integer(250)),
            ("large", Value::from("18446744073709551615")),
            ("real", Value::Real(0.5)),
            ("flag", Value::Flag(false)),
            ("debugged", Value::from("Some(1)")),
            ("displayed", Value::from("1.5")),
        ];
        let expected = expected.map(|(key, value)| (key.to_owned(), value));
        assert_eq!(event.fields, expected);
    }

    fn say_at_every_level() {
        tracing::trace!("trace");
        tracing::debug!("debug");
        tracing::info!("info");
        tracing::warn!("warn");
        tracing::error!("error");
    }

    #[test]
    fn what_is_below_the_level_is_left_out() {
        let words = ["trace", "debug", "info", "warn", "error"];
        for (first, least) in LEVELS.into_iter().enumerate() {
            let events = recorded(least, say_at_every_level);
            let found: Vec<_> = events
                .iter()
                .map(|event| (event.level, event.message.as_str()))
                .collect();
            let expected: Vec<_> = LEVELS.into_iter().zip(words).skip(first).collect();
            assert_eq!(found, expected, "{least}");
            assert!(
                events
                    .iter()
                    .all(|event| &*event.component == module_path!())
            );
        }
    }

    #[test]
    fn what_the_journal_says_itself_is_left_out() {
        let events = recorded(Level::Trace, || {
            tracing::error!(target: "annals", "own");
            tracing::error!(target: "annals::writer", "own");
            tracing::error!(target: "redb", "below");
            tracing::error!(target: "tracing_appender::rolling", "below");
            tracing::error!(target: "annals_of_somebody", "other");
        });
        let found: Vec<_> = events.iter().map(|event| &*event.component).collect();
        assert_eq!(found, ["annals_of_somebody"]);
    }

    /// A thread with one of the journal's names stands for its own threads.
    #[test]
    fn what_is_said_on_the_journals_threads_is_left_out() {
        let journal = Journal::in_memory().unwrap();
        let subscriber = registry().with(journal.layer(Level::Trace));
        let dispatch = tracing::Dispatch::new(subscriber);
        for name in [
            "annals-writer",
            "annals-mirror",
            "annals-sealer",
            "annals-folder",
            "somebody-else",
        ] {
            let dispatch = dispatch.clone();
            let thread = std::thread::Builder::new().name(name.to_owned());
            let say = move || {
                tracing::dispatcher::with_default(&dispatch, || tracing::error!("said"));
            };
            thread.spawn(say).unwrap().join().unwrap();
        }
        assert_eq!(journal.health().offered, 1);
    }

    /// Everything in the process speaks through the layer, for several commits and faults.
    #[test]
    fn a_journal_does_not_feed_itself() {
        let directory = tempfile::tempdir().unwrap();
        let dir = directory.path();
        let journal = open(dir);
        let subscriber = registry().with(journal.layer(Level::Trace));
        with_default(subscriber, || {
            for number in 0..20 {
                tracing::info!(number, "one");
                flush(&journal);
                journal.clean_up_logs(BOUND).unwrap();
            }
        });
        assert_eq!(journal.health().offered, 20);
        journal.close().unwrap();
        assert_eq!(lines(&dir.join("logs"), LogKind::System).len(), 20);
        assert_mirrored(dir, &dir.join("logs"));
    }

    #[test]
    fn a_message_of_several_lines_is_one_line() {
        let directory = tempfile::tempdir().unwrap();
        let dir = directory.path();
        let journal = open(dir);
        let forged = "late\n2025-07-25 14:34:39 | ERROR | exchange        | bankrupt";
        let subscriber = registry().with(journal.layer(Level::Info));
        with_default(subscriber, || {
            tracing::warn!(target: "feed", why = "a\r\nb", "{forged}");
            tracing::warn!(target: "feed\n2025", only = "fields");
        });
        journal.close().unwrap();
        let found = lines(&dir.join("logs"), LogKind::System);
        let time = "2025-07-25 14:34:39 | WARN ";
        let expected = [
            format!(
                "{time} | feed            | {}",
                concat!(
                    r"late\n2025-07-25 14:34:39 \| ERROR \| exchange        ",
                    r"\| bankrupt why=a\r\nb"
                )
            ),
            format!(r"{time} | feed\n2025      | only=fields"),
        ];
        assert_lines("system events", &found, &expected);
    }

    fn fields(event: &SystemEvent) -> Vec<(&str, String)> {
        let fields = event.fields.iter();
        fields
            .map(|(key, value)| (key.as_str(), value.to_string()))
            .collect()
    }

    #[test]
    fn spans_are_kept_with_their_fields() {
        let events = recorded(Level::Info, || {
            tracing::info!("before");
            let request = tracing::info_span!(
                "request",
                id = "req-77",
                user = "ann",
                status = tracing::field::Empty
            );
            let _request = request.enter();
            let tool = tracing::debug_span!("tool", user = 7, tokens = 0.5).entered();
            tracing::info!(tokens = 12, "called");
            drop(tool);
            request.record("status", 200);
            request.record("status", 404);
            tracing::info!(span = "mine", "answered");
        });
        assert_eq!(events.len(), 3);
        assert_eq!(fields(&events[0]), []);
        let text = |pairs: &[(&'static str, &str)]| -> Vec<(&str, String)> {
            pairs
                .iter()
                .map(|(key, value)| (*key, (*value).to_owned()))
                .collect()
        };
        assert_eq!(
            fields(&events[1]),
            text(&[
                ("tokens", "12"),
                ("span", "request:tool"),
                ("user", "7"),
                ("tool.tokens", "0.5"),
                ("id", "req-77"),
                ("request.user", "ann"),
            ])
        );
        assert_eq!(events[1].fields[0].1, Value::Integer(12));
        assert_eq!(events[1].fields[3].1, Value::Real(0.5));
        assert_eq!(
            fields(&events[2]),
            text(&[
                ("span", "mine"),
                ("tracing.span", "request"),
                ("id", "req-77"),
                ("user", "ann"),
                ("status", "404"),
            ])
        );
    }

    /// Two journals behind one subscriber share what is kept with a span.
    #[test]
    fn spans_of_several_layers_do_not_mix() {
        let (one, other) = (Journal::in_memory().unwrap(), Journal::in_memory().unwrap());
        let subscriber = registry()
            .with(one.layer(Level::Info))
            .with(other.layer(Level::Error));
        with_default(subscriber, || {
            let span = tracing::info_span!("a", n = 1).entered();
            span.record("n", 2);
            tracing::error!("both");
            let again = tracing::info_span!("a", n = 3).entered();
            tracing::info!("one");
            drop(again);
        });
        for (journal, expected) in [(&one, 2), (&other, 1)] {
            flush(journal);
            let reader = journal.reader().unwrap();
            let said: Vec<_> = reader
                .events()
                .filter_map(|entry| match entry.unwrap().content {
                    Content::SystemEvent(event) => Some(event),
                    _ => None,
                })
                .collect();
            assert_eq!(said.len(), expected);
            let first = said.last().unwrap();
            let pair = |key, value: &str| (key, value.to_owned());
            assert_eq!(fields(first), [pair("span", "a"), pair("n", "2")]);
            if expected == 2 {
                let inner = [pair("span", "a:a"), pair("n", "3"), pair("a.n", "2")];
                assert_eq!(fields(&said[0]), inner);
            }
        }
    }

    #[test]
    fn a_span_that_is_too_large_does_not_cost_the_event() {
        let long = "x".repeat(1 << 20);
        let events = recorded(Level::Info, || {
            let _span = tracing::info_span!("big", prompt = long, small = 1).entered();
            tracing::info!("said");
        });
        let expected = [
            ("span", "big"),
            ("small", "1"),
            ("span_fields_left_out", "1"),
        ];
        let expected = expected.map(|(key, value)| (key, value.to_owned()));
        assert_eq!(fields(&events[0]), expected);
    }

    #[test]
    fn a_layer_outlives_its_journal() {
        let journal = Journal::in_memory().unwrap();
        let subscriber = registry().with(journal.layer(Level::Info));
        journal.close().unwrap();
        with_default(subscriber, || tracing::info!("too late"));
        assert_eq!(journal.health().dropped.closed, 1);
    }
}

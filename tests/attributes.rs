//! Attributes that a recorder has bound: stored in columns, read back, filtered by and added up.

#![allow(clippy::unwrap_used)]

mod support;

use annals::entry::{AttributeType, AttributeValue};
use annals::read::AttributeCondition;
use annals::{Group, Inference, InferenceRecord, Journal, Reader, Recorder, Value};
use support::{BOUND, flush, records};

const TYPES: [(&str, AttributeType); 5] = [
    ("spread", AttributeType::F32),
    ("mid", AttributeType::F64),
    ("position", AttributeType::I64),
    ("hedged", AttributeType::Bool),
    ("venue", AttributeType::Text),
];

fn journal(dir: &std::path::Path) -> Journal {
    Journal::options().without_mirror().open(dir).unwrap()
}

fn recorder(journal: &Journal) -> Recorder {
    let builder = journal.recorder("dqn", "ETH/USDT").actions(["BUY", "SELL"]);
    builder.attributes(TYPES).build().unwrap()
}

/// The values of a decision; of some, not all.
fn values(number: u16) -> [AttributeValue<'static>; 5] {
    let missing = number % 4 == 3;
    [
        (f32::from(number) / 10.0).into(),
        (f64::from(number) * 1e9 + 0.1).into(),
        (i64::from(number) - 50).into(),
        (!missing).then_some(number.is_multiple_of(2)).into(),
        (!missing)
            .then_some(["paper", "live", ""][usize::from(number % 3)])
            .into(),
    ]
}

/// As readers give them: sorted by name.
fn expected(number: u16) -> Vec<(String, Value)> {
    let missing = number % 4 == 3;
    let mut pairs = vec![
        ("mid", Value::Real(f64::from(number) * 1e9 + 0.1)),
        ("position", Value::Integer(i64::from(number) - 50)),
        ("spread", Value::from(f32::from(number) / 10.0)),
    ];
    if !missing {
        pairs.insert(0, ("hedged", Value::Flag(number.is_multiple_of(2))));
        pairs.push((
            "venue",
            ["paper", "live", ""][usize::from(number % 3)].into(),
        ));
    }
    pairs
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

fn log_all(journal: &Journal, count: u16) {
    let recorder = recorder(journal);
    for number in 0..count {
        let decision = recorder.inference(usize::from(number % 2));
        let decision = decision.probabilities(&[0.5, 0.5]).features_hashed(7);
        assert!(decision.attribute_values(&values(number)).log().is_some());
    }
    journal
        .log(Inference::new("other", "BTC/USDT", "BUY").attribute("spread", 0.5))
        .unwrap();
    journal
        .log(Inference::new("plain", "BTC/USDT", "BUY"))
        .unwrap();
    flush(journal);
}

fn of_model(records: &[InferenceRecord], model: &str) -> Vec<Vec<(String, Value)>> {
    let own = records.iter().filter(|record| &*record.model == model);
    own.map(|record| record.attributes.clone()).collect()
}

#[test]
fn bound_attributes_come_back_whether_sealed_or_not() {
    let dir = tempfile::tempdir().unwrap();
    let journal = journal(dir.path());
    log_all(&journal, 100);
    let all: Vec<_> = (0..100).map(expected).collect();
    let found = records(&journal.reader().unwrap());
    assert_eq!(of_model(&found, "dqn"), all);
    assert_eq!(
        of_model(&found, "other"),
        [[("spread".to_owned(), Value::Real(0.5))]]
    );
    assert_eq!(journal.health().repeats, 0, "attributes may hold anything");
    journal.seal(BOUND).unwrap();
    assert_eq!(records(&journal.reader().unwrap()), found);
    journal.close().unwrap();
    assert_eq!(records(&Reader::open(dir.path()).unwrap()), found);
    let verified = annals::Maintenance::open(dir.path()).unwrap().verify();
    assert!(verified.is_whole(), "{verified:?}");
}

#[test]
fn queries_filter_by_attributes_bound_or_not() {
    let dir = tempfile::tempdir().unwrap();
    let journal = journal(dir.path());
    log_all(&journal, 100);
    let reader = journal.reader().unwrap();
    let all = records(&reader);
    let conditions: Vec<(&str, AttributeCondition)> = vec![
        ("spread", (0.5..).into()),
        ("spread", 0.7.into()),
        ("spread", (..=0.5).into()),
        ("position", (-3).into()),
        ("position", (-3.0..4.0).into()),
        ("mid", (..3e9).into()),
        ("hedged", true.into()),
        ("venue", "paper".into()),
        ("venue", "".into()),
        ("venue", 1.0.into()),
        ("venue", AttributeCondition::any()),
        ("position", AttributeCondition::shown_as("-3")),
        ("hedged", AttributeCondition::shown_as("false")),
        ("nobody", AttributeCondition::any()),
    ];
    let holds = |record: &InferenceRecord, name: &str, condition: &AttributeCondition| {
        let mut named = record.attributes.iter().filter(|(known, _)| known == name);
        named.any(|(_, value)| condition.is_met_by(value))
    };
    let mut found_any = 0;
    for (name, condition) in &conditions {
        let query = reader.inferences().attribute(*name, condition.clone());
        let found: Vec<_> = query.iter().map(Result::unwrap).collect();
        let meant: Vec<_> = all
            .iter()
            .filter(|record| holds(record, name, condition))
            .cloned()
            .collect();
        assert_eq!(found, meant, "{name} {condition:?}");
        found_any += usize::from(!found.is_empty());
        let last = query.newest_first().limit(2).iter().map(Result::unwrap);
        let meant: Vec<_> = meant.into_iter().rev().take(2).collect();
        assert_eq!(last.collect::<Vec<_>>(), meant, "{name} {condition:?}");
    }
    assert_eq!(found_any, conditions.len() - 2);
    let both = reader
        .inferences()
        .attribute("venue", "live")
        .attribute("spread", 1.0..2.0);
    let both: Vec<_> = both.iter().map(|found| found.unwrap().attributes).collect();
    let meant = (10..20)
        .map(expected)
        .filter(|pairs| pairs.iter().any(|(_, v)| *v == "live".into()));
    assert_eq!(both, meant.collect::<Vec<_>>());
}

#[test]
fn a_call_with_a_wrong_value_is_refused_with_model_and_field() {
    let dir = tempfile::tempdir().unwrap();
    let journal = journal(dir.path());
    let recorder = recorder(&journal);
    let right = values(0);
    for place in 0..5 {
        let mut wrong = right;
        wrong[place] = right[(place + 2) % 5];
        assert!(
            recorder
                .inference(0)
                .attribute_values(&wrong)
                .log()
                .is_none(),
            "{place}"
        );
    }
    assert!(
        recorder
            .inference(0)
            .attribute_values(&right[..4])
            .log()
            .is_none()
    );
    let unbound = journal
        .recorder("other", "s")
        .actions(["a"])
        .build()
        .unwrap();
    assert!(
        unbound
            .inference(0)
            .attribute_values(&right[..1])
            .log()
            .is_none()
    );
    let long = "x".repeat((1 << 20) + 1);
    let mut too_long = right;
    too_long[4] = (&*long).into();
    assert!(
        recorder
            .inference(0)
            .attribute_values(&too_long)
            .log()
            .is_none()
    );
    let refusals: Vec<_> = journal
        .health()
        .refusals
        .iter()
        .map(|counted| {
            let refusal = &counted.refusal;
            format!(
                "{}, {}: {}",
                refusal.model.as_deref().unwrap(),
                refusal.field,
                refusal.reason
            )
        })
        .collect();
    let wrong = |name: &str, bound: &str| {
        format!("dqn, {name}: the attribute is bound as {bound}, and the value is of another type")
    };
    assert_eq!(
        refusals,
        [
            wrong("spread", "F32"),
            wrong("mid", "F64"),
            wrong("position", "I64"),
            wrong("hedged", "Bool"),
            wrong("venue", "Text"),
            "dqn, attributes: the recorder has 5 bound names for them (first: 4)".to_owned(),
            "other, attributes: the recorder has 0 bound names for them (first: 1)".to_owned(),
            "dqn, attributes: the texts of one entry have at most 1048576 bytes (first: 1048577)"
                .to_owned(),
        ]
    );
    let builder = || journal.recorder("m", "s").actions(["a"]);
    let twice = [("x", AttributeType::F32), ("x", AttributeType::I64)];
    assert!(builder().attributes(twice).build().is_err());
    let names: Vec<String> = (0..1_025).map(|number| format!("a{number}")).collect();
    let many = names.iter().map(|name| (name, AttributeType::Bool));
    assert!(builder().attributes(many).build().is_err());
}

/// One attribute of two types, long texts, and names that the table has no room for.
#[test]
fn odd_attributes_come_back_too() {
    let dir = tempfile::tempdir().unwrap();
    let options = Journal::options().without_mirror().max_names(3);
    let journal = options.open(dir.path()).unwrap();
    let builder = || journal.recorder("m", "s").actions(["a"]);
    let text = "é".repeat(200_000);
    let mut ids = Vec::new();
    for (value_type, value) in [
        (AttributeType::F32, AttributeValue::from(f32::NAN)),
        (AttributeType::F64, f64::NEG_INFINITY.into()),
        (AttributeType::I64, i64::MIN.into()),
        (AttributeType::I64, i64::MAX.into()),
        (AttributeType::Text, (&*text).into()),
        (AttributeType::Text, AttributeValue::Missing),
    ] {
        let recorder = builder().attributes([("x", value_type)]).build().unwrap();
        let decision = recorder
            .inference(0)
            .attribute_values(std::slice::from_ref(&value))
            .memory(1 << 20);
        ids.push(decision.log().unwrap());
    }
    flush(&journal);
    let reader = journal.reader().unwrap();
    let found = ids.iter().map(|id| reader.get(*id).unwrap().unwrap());
    let found: Vec<_> = found
        .map(|record| (record.attributes, record.memory))
        .collect();
    assert!(found.iter().all(|(_, memory)| *memory == Some(1 << 20)));
    let shown: Vec<String> = found
        .iter()
        .map(|(pairs, _)| {
            pairs
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect()
        })
        .collect();
    assert_eq!(shown[..2], ["x=NaN", "x=-inf"]);
    assert_eq!(
        shown[2..4],
        [format!("x={}", i64::MIN), format!("x={}", i64::MAX)]
    );
    assert_eq!(shown[4..], [format!("x={text}"), String::new()]);
}

/// For one call, and never more: the recorder keeps what it has bound.
#[test]
fn a_call_may_have_a_symbol_and_a_checkpoint_of_its_own() {
    for max_names in [65_536, 3] {
        let dir = tempfile::tempdir().unwrap();
        let options = Journal::options().without_mirror().max_names(max_names);
        let journal = options.open(dir.path()).unwrap();
        let builder = journal
            .recorder("m", "bound")
            .actions(["a"])
            .checkpoint("c1");
        let recorder = builder.build().unwrap();
        recorder
            .inference(0)
            .symbol("other")
            .checkpoint("c2")
            .propensity(0.5)
            .log()
            .unwrap();
        recorder.inference(0).symbol("third").log().unwrap();
        recorder
            .inference(0)
            .checkpoint("c3")
            .features(&[0.5])
            .log()
            .unwrap();
        let pairs = [("k", 1.into())];
        recorder
            .inference(0)
            .attributes(&pairs)
            .memory(1 << 20)
            .log()
            .unwrap();
        recorder.inference(0).log().unwrap();
        flush(&journal);
        let found = records(&journal.reader().unwrap());
        let names = found
            .iter()
            .map(|record| (&*record.symbol, record.checkpoint.as_deref()));
        let expected = [
            ("other", Some("c2")),
            ("third", Some("c1")),
            ("bound", Some("c3")),
            ("bound", Some("c1")),
            ("bound", Some("c1")),
        ];
        assert!(names.eq(expected), "{max_names}: {found:?}");
        assert_eq!(found[3].memory, Some(1 << 20));
    }
}

#[test]
fn attributes_are_added_up_by_group() {
    let dir = tempfile::tempdir().unwrap();
    let journal = journal(dir.path());
    log_all(&journal, 100);
    let all = journal.stats_of_all();
    let rows = all
        .attribute("position", [Group::Action, Group::Model])
        .unwrap();
    assert_eq!(rows.len(), 2);
    for (row, first) in rows.iter().zip([-50_i32, -49]) {
        let numbers: Vec<f64> = (0..50)
            .map(|number| f64::from(first + 2 * number))
            .collect();
        let sum: f64 = numbers.iter().sum();
        assert_eq!((row.values.count, row.values.sum), (50, sum));
        assert_eq!(
            (row.values.mean, row.model.as_deref()),
            (Some(sum / 50.0), Some("dqn"))
        );
        assert_eq!((row.min, row.max), (Some(numbers[0]), Some(numbers[49])));
        let median = row.p50.unwrap();
        assert!((median - numbers[24]).abs() <= 0.02, "{median}");
    }
    let rows = all.attribute("spread", Group::Model).unwrap();
    let counts: Vec<_> = rows
        .iter()
        .map(|row| (row.model.as_deref(), row.values.count))
        .collect();
    assert_eq!(counts, [(Some("dqn"), 100), (Some("other"), 1)]);
    let rows = journal.stats("dqn").attribute("venue", Group::Day).unwrap();
    assert_eq!(rows.iter().map(|row| row.others).sum::<u64>(), 75);
    assert!(
        rows.iter()
            .all(|row| row.values.count == 0 && row.p50.is_none())
    );
    assert!(all.attribute("nobody", Group::Model).unwrap().is_empty());
    let rows = journal
        .stats("dqn")
        .symbol("none")
        .attribute("spread", Group::Model)
        .unwrap();
    assert!(rows.is_empty());
}

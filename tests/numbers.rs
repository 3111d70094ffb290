//! Numbers of all types, and attributes that an inference owns.

#![allow(clippy::unwrap_used)]

mod support;

use annals::record::OwnedParts;
use annals::registry::Metadata;
use annals::{Inference, Journal, Outcome, Value, feature_hash, log as log_globally};
use support::flush;

fn described(tokens: usize) -> Inference<'static, OwnedParts<'static>> {
    let attributes = Inference::new("router", "chat", "search").attribute("tokens", tokens);
    attributes
        .attribute(format!("key{tokens}"), 0.1_f32)
        .confidence(0.5_f64)
        .checkpoint("cp")
}

#[test]
fn an_inference_may_own_its_attributes() {
    let journal = Journal::in_memory().unwrap();
    let borrowed = [("spread", Value::from(0.4)), ("venue", "paper".into())];
    let plain = Inference::new("m", "s", "BUY").attributes(&borrowed);
    let ids = [
        journal.log(described(12)).unwrap(),
        journal.log(plain.attribute("more", true)).unwrap(),
        // Still `Copy`, as long as nothing is owned.
        journal.log(plain).unwrap(),
    ];
    let recorder = journal.recorder("m", "s").actions(["A"]).build().unwrap();
    let prepared = recorder.inference(0).attributes(&borrowed).log().unwrap();
    assert!(log_globally(described(1)).is_none(), "nothing is installed");
    flush(&journal);
    let reader = journal.reader().unwrap();
    let of = |id| {
        let record = reader.get(id).unwrap().unwrap();
        let pairs = record.attributes.iter();
        pairs
            .map(|(key, value)| format!("{key}={value}"))
            .collect::<Vec<_>>()
    };
    assert_eq!(of(ids[0]), ["tokens=12", "key12=0.1"]);
    assert_eq!(of(ids[1]), ["spread=0.4", "venue=paper", "more=true"]);
    assert_eq!(of(ids[2]), ["spread=0.4", "venue=paper"]);
    assert_eq!(of(prepared), ["spread=0.4", "venue=paper"]);
    let record = reader.get(ids[0]).unwrap().unwrap();
    assert!(record.confidence == Some(0.5));
    assert_eq!(record.checkpoint.as_deref(), Some("cp"));
}

#[test]
fn numbers_of_all_types_are_values() {
    assert_eq!(Value::from(7_u32), Value::Integer(7));
    assert_eq!(Value::from(7_usize), Value::Integer(7));
    assert_eq!(Value::from(-7_i32), Value::Integer(-7));
    assert_eq!(Value::from(57.1_f32), Value::Real(57.1));
    assert_eq!(Value::from(u64::MAX), Value::from("18446744073709551615"));
    assert!(Value::from(f32::NAN).as_f64().unwrap().is_nan());
    assert_eq!(Value::from(3_u8).as_f64(), Some(3.0));
    assert_eq!(Value::from(3_u8).as_i64(), Some(3));
    assert_eq!(Value::from("a").as_str(), Some("a"));
    assert_eq!(Value::from(true).as_bool(), Some(true));
    assert_eq!(Metadata::from(7_usize), Metadata::Integer(7));
    assert_eq!(Metadata::from(57.1_f32), Metadata::Real(57.1));
}

#[test]
fn metrics_and_outcomes_take_any_number() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path()).unwrap();
    let registry = journal.registry().unwrap();
    let new = registry
        .checkpoint("m")
        .metric("acc", 57.1_f32)
        .metric("epoch", 7_usize);
    let saved = new
        .metric("steps", 12_u32)
        .metric("delta", -3_i32)
        .save(b"w")
        .unwrap();
    let metrics = ["acc", "epoch", "steps", "delta"].map(|name| saved.metric(name).unwrap());
    assert_eq!(metrics, [57.1, 7.0, 12.0, -3.0]);
    let id = journal.log(Inference::new("m", "s", "BUY")).unwrap();
    let outcome = Outcome::new().reward(0.1_f32).value("tokens", 512_usize);
    assert!(journal.attach_outcome(id, outcome));
    flush(&journal);
    let known = journal.reader().unwrap().outcome(id).unwrap().unwrap();
    assert_eq!(known.reward.unwrap().value, 0.1);
    assert_eq!(known.get("tokens").unwrap().value, 512.0);
}

#[test]
fn features_of_both_widths_have_hashes() {
    let journal = Journal::in_memory().unwrap();
    let (single, double) = (vec![0.1_f32, 0.2], vec![0.1_f64, 0.2]);
    let inference = Inference::new("m", "s", "BUY");
    let ids = [
        journal.log(inference.features(&single)).unwrap(),
        journal.log(inference.features(&double)).unwrap(),
    ];
    flush(&journal);
    let reader = journal.reader().unwrap();
    let hashes = ids.map(|id| reader.get(id).unwrap().unwrap().feature_hash);
    assert_eq!(
        hashes,
        [Some(feature_hash(&single)), Some(feature_hash(&double))]
    );
    assert_ne!(hashes[0], hashes[1]);
}

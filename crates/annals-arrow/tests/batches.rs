//! Decisions as record batches: values, nulls, chosen columns, and batches of bounded size.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use annals::{Inference, Journal, Outcome, Value};
use annals_arrow::{DecisionBatches, Parts, column_names};
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float32Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType, UInt64Type,
};
use arrow_array::{Array, RecordBatch, RecordBatchReader};

const ALL: Parts = Parts {
    outcomes: true,
    inputs: true,
};

fn flush(journal: &Journal) {
    journal.flush().wait(Duration::from_secs(60)).unwrap();
}

fn batches(journal: &Journal, parts: Parts, names: Option<&[String]>) -> Vec<RecordBatch> {
    let reader = journal.reader().unwrap();
    let batches = DecisionBatches::new(&reader, reader.inferences(), parts, names).unwrap();
    batches.map(|batch| batch.unwrap()).collect()
}

fn texts(batch: &RecordBatch, name: &str) -> Vec<Option<String>> {
    let column = batch.column_by_name(name).unwrap();
    match column.as_dictionary_opt::<Int32Type>() {
        Some(dictionary) => {
            let values = dictionary.values().as_string::<i32>();
            let keys = dictionary.keys().iter();
            let text = |key: i32| values.value(usize::try_from(key).unwrap()).to_owned();
            keys.map(|key| key.map(text)).collect()
        }
        None => {
            let texts = column.as_string::<i32>().iter();
            texts.map(|text| text.map(str::to_owned)).collect()
        }
    }
}

#[test]
fn a_batch_has_the_values_of_the_decisions() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path().join("data")).unwrap();
    let shares = [("BUY", 0.75), ("SELL", 0.25)];
    let first = journal
        .log(
            Inference::new("dqn", "ETH/USDT", "BUY")
                .confidence(0.75_f32)
                .probabilities(&shares)
                .processing_time(Duration::from_nanos(1_500))
                .checkpoint("epoch_7")
                .attributes(&[("spread_bp", Value::Real(1.5))])
                .keep_features(&[0.5_f32, -1.0])
                .sampled(),
        )
        .unwrap();
    journal.log(Inference::new("cnn", "BTC/USDT", "HOLD").keep_features(&[0.25_f64]));
    journal.log(Inference::new("cnn", "BTC/USDT", "SELL").keep_bytes(b"a prompt"));
    let judged = Outcome::new().reward(-0.5).correct(false).label("late");
    journal.attach_outcome(first, judged.value("slippage_bp", 0.25));
    flush(&journal);

    let batches = batches(&journal, ALL, None);
    let [batch] = &batches[..] else {
        panic!("{} batches", batches.len())
    };
    assert_eq!(batch.num_rows(), 3);
    let names: Vec<String> = column_names(ALL).iter().map(|n| (*n).to_owned()).collect();
    let schema = batch.schema();
    let given: Vec<&String> = schema.fields().iter().map(|field| field.name()).collect();
    assert_eq!(given, names.iter().collect::<Vec<_>>());

    let some = |text: &str| Some(text.to_owned());
    assert_eq!(
        texts(batch, "model"),
        [some("dqn"), some("cnn"), some("cnn")]
    );
    assert_eq!(texts(batch, "checkpoint"), [some("epoch_7"), None, None]);
    assert_eq!(texts(batch, "id")[0], Some(first.to_string()));
    let attributes = texts(batch, "attributes");
    assert_eq!(attributes, [some(r#"{"spread_bp":1.5}"#), None, None]);
    assert_eq!(texts(batch, "outcome_label"), [some("late"), None, None]);
    let values = texts(batch, "outcome_values");
    assert_eq!(values[0].as_deref(), Some(r#"{"slippage_bp":0.25}"#));
    let kept = some("kept");
    assert_eq!(
        texts(batch, "input_state"),
        [kept.clone(), kept.clone(), kept]
    );

    let column = |name: &str| batch.column_by_name(name).unwrap().clone();
    let confidence = column("confidence");
    let confidence: Vec<_> = confidence.as_primitive::<Float32Type>().iter().collect();
    assert_eq!(confidence, [Some(0.75), None, None]);
    let propensity = column("propensity");
    assert_eq!(propensity.as_primitive::<Float32Type>().value(0), 0.75);
    let reward: Vec<_> = column("reward")
        .as_primitive::<Float64Type>()
        .iter()
        .collect();
    assert_eq!(reward, [Some(-0.5), None, None]);
    let correct: Vec<_> = column("correct").as_boolean().iter().collect();
    assert_eq!(correct, [Some(false), None, None]);
    let took = column("processing_ns");
    assert_eq!(took.as_primitive::<Int64Type>().value(0), 1_500);
    let hash = column("feature_hash");
    let record = journal.reader().unwrap().get(first).unwrap().unwrap();
    assert_eq!(
        Some(hash.as_primitive::<UInt64Type>().value(0)),
        record.feature_hash
    );
    let time = column("event_time");
    let time = time.as_primitive::<TimestampMicrosecondType>().value(0);
    assert_eq!(time, record.event_time.as_micros());

    let list = |name: &str, row: usize| column(name).as_list::<i32>().value(row);
    let shares = list("probabilities", 0);
    assert_eq!(shares.as_primitive::<Float32Type>().values(), &[0.75, 0.25]);
    assert_eq!(list("probabilities", 1).len(), 0);
    assert_eq!(list("labels", 0).as_string::<i32>().value(1), "SELL");
    let features = list("input_f32", 0);
    assert_eq!(
        features.as_primitive::<Float32Type>().values(),
        &[0.5, -1.0]
    );
    assert!(column("input_f32").is_null(1) && column("input_f64").is_null(0));
    let features = list("input_f64", 1);
    assert_eq!(features.as_primitive::<Float64Type>().values(), &[0.25]);
    let bytes = column("input_bytes");
    assert_eq!(bytes.as_binary::<i32>().value(2), b"a prompt");
    assert!(bytes.is_null(0));
}

#[test]
fn columns_are_chosen_by_name() {
    let journal = Journal::in_memory().unwrap();
    for _ in 0..2 {
        journal.log(Inference::new("m", "s", "a").features(&[0.5_f32]));
    }
    flush(&journal);
    let names = ["kind", "reward", "sequence"].map(str::to_owned);
    let chosen = batches(&journal, ALL, Some(&names));
    assert_eq!(chosen[0].num_columns(), 3);
    let kinds = texts(&chosen[0], "kind");
    assert_eq!(
        kinds,
        [Some("inference".to_owned()), Some("repeat".to_owned())]
    );
    let sequences = chosen[0].column(2).as_primitive::<Int64Type>();
    assert_eq!(sequences.values(), &[1, 2]);
    assert_eq!(batches(&journal, ALL, Some(&[]))[0].num_rows(), 2);

    let reader = journal.reader().unwrap();
    let outcomes = Parts::default();
    let query = reader.inferences();
    let error = DecisionBatches::new(&reader, query, outcomes, Some(&names)).map(drop);
    let said = error.unwrap_err().to_string();
    assert!(
        said.contains("no column \"reward\": there are kind, id"),
        "{said}"
    );
}

#[test]
fn an_answer_comes_in_batches() {
    let options = Journal::options().overflow(annals::Overflow::Block {
        timeout: Duration::from_secs(60),
    });
    let journal = options.in_memory().unwrap();
    let recorder = journal
        .recorder("m", "s")
        .actions(["a", "b"])
        .build()
        .unwrap();
    for number in 0..70_000_u64 {
        recorder.inference(usize::from(number % 3 == 0)).log();
    }
    flush(&journal);
    let reader = journal.reader().unwrap();
    let parts = Parts::default();
    let batches = DecisionBatches::new(&reader, reader.inferences(), parts, None).unwrap();
    let schema = batches.schema();
    let sizes = batches.map(|batch| {
        let batch = batch.unwrap();
        assert_eq!(batch.schema(), schema);
        batch.num_rows()
    });
    assert_eq!(sizes.collect::<Vec<_>>(), [65_536, 4_464]);
    let query = reader.inferences().model("nobody's");
    let none = DecisionBatches::new(&reader, query, parts, None).unwrap();
    assert_eq!(none.count(), 0);
}

//! Kept inputs in exports and imports.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "a test that cannot go on fails"
)]

mod common;

use std::fs::File;
use std::time::Duration;

use annals::entry::{InputValues, KeptInput};
use annals::{InferenceId, Journal, Reader};
use common::{Place, annals, complaint, json};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;

/// One decision with each kind of input, and one without.
fn with_inputs(place: &Place) -> Vec<InferenceId> {
    let journal = Journal::options()
        .without_mirror()
        .open(&place.data)
        .unwrap();
    let recorder = journal.recorder("m", "s").actions(["BUY"]);
    let recorder = recorder
        .feature_names(["spread", "volume"])
        .build()
        .unwrap();
    let odd = [0.1, -0.0, f32::INFINITY, f32::from_bits(0x7fc0_1234)];
    let ids = [
        recorder.inference(0).keep_features(&odd).log(),
        recorder
            .inference(0)
            .keep_features(&[0.1_f64, f64::NAN])
            .log(),
        recorder.inference(0).keep_bytes(&[0, 255, 16]).log(),
        recorder.inference(0).keep_features(&[0.0_f32; 0]).log(),
        recorder.inference(0).features(&[1.0]).log(),
        recorder
            .inference(0)
            .keep_bytes(&vec![1; (1 << 20) + 1])
            .log(),
    ];
    journal.flush().wait(Duration::from_secs(60)).unwrap();
    journal.close().unwrap();
    ids.map(Option::unwrap).to_vec()
}

/// The field `input` of each line of a file.
fn inputs_of_lines(place: &Place, name: &str) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(place.path(name)).unwrap();
    let lines = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let decisions = lines.filter(|line| line["kind"] == "inference");
    decisions.map(|line| line["input"].clone()).collect()
}

#[test]
fn json_lines_have_inputs_as_documented() {
    let place = Place::new();
    with_inputs(&place);
    place.export("all.jsonl", &["--inputs"]);
    let names = serde_json::json!(["spread", "volume"]);
    let found = inputs_of_lines(&place, "all.jsonl");
    let expected = serde_json::json!([
        {"type": "f32", "values": [0.1, -0.0, "inf", "NaN:7fc01234"], "names": names},
        {"type": "f64", "values": [0.1, "NaN"], "names": names},
        {"type": "bytes", "hex": "00ff10", "names": names},
        {"type": "f32", "values": [], "names": names},
        null,
        {"missing": "given_up"},
    ]);
    assert_eq!(serde_json::Value::from(found), expected);
    place.export("without.jsonl", &[]);
    let without = inputs_of_lines(&place, "without.jsonl");
    assert!(without.iter().all(serde_json::Value::is_null));
}

#[test]
fn parquet_has_typed_columns_of_inputs() {
    let place = Place::new();
    with_inputs(&place);
    let path = place.export("all.parquet", &["--inputs"]);
    let file = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
    let rows = file.get_row_iter(None).unwrap().map(Result::unwrap);
    let columns: Vec<Vec<Field>> = rows
        .map(|row| {
            let all = row.get_column_iter();
            let found = all.filter(|(name, _)| name.starts_with("input_"));
            found.map(|(_, field)| field.clone()).collect()
        })
        .collect();
    let floats = |field: &Field| match field {
        Field::ListInternal(list) => list
            .elements()
            .iter()
            .map(|element| match element {
                Field::Float(value) => u64::from(value.to_bits()),
                Field::Double(value) => value.to_bits(),
                other => panic!("{other:?}"),
            })
            .collect::<Vec<u64>>(),
        other => panic!("{other:?}"),
    };
    let single = [0.1_f32, -0.0, f32::INFINITY].map(|value| u64::from(value.to_bits()));
    assert_eq!(
        floats(&columns[0][0]),
        [&single[..], &[0x7fc0_1234]].concat()
    );
    assert_eq!(columns[0][1], Field::Null);
    let double = [0.1_f64, f64::NAN].map(f64::to_bits);
    assert_eq!(floats(&columns[1][1]), double);
    assert_eq!(columns[1][0], Field::Null);
    let Field::Bytes(bytes) = &columns[2][2] else {
        panic!("{:?}", columns[2]);
    };
    assert_eq!(bytes.data(), [0, 255, 16]);
    assert!(floats(&columns[3][0]).is_empty());
    let Field::ListInternal(names) = &columns[0][3] else {
        panic!("{:?}", columns[0]);
    };
    let spread = Field::Str("spread".to_owned());
    assert_eq!((names.len(), &names.elements()[0]), (2, &spread));
    assert!(columns[4][..3].iter().all(|field| *field == Field::Null));
    assert_eq!(columns[4][4], Field::Null);
    assert_eq!(columns[5][4], Field::Str("given_up".to_owned()));
    // Without the option a file has the columns of all formats alone.
    let path = place.export("without.parquet", &[]);
    let file = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
    let schema = file.metadata().file_metadata().schema();
    assert!(
        schema
            .get_fields()
            .iter()
            .all(|field| !field.name().starts_with("input"))
    );
}

#[test]
fn csv_says_that_it_has_no_inputs() {
    let place = Place::new();
    with_inputs(&place);
    let args = ["export", &place.arg("all.csv"), "--inputs"];
    let said = complaint(&place.data, &args, 2);
    assert!(said.contains("CSV has no place for inputs"), "{said}");
    assert!(!place.path("all.csv").exists());
}

#[test]
fn a_folder_of_days_has_inputs_in_all_files_or_in_none() {
    let place = Place::new();
    with_inputs(&place);
    let lake = place.arg("lake");
    let by_day = ["export", &lake, "--format", "parquet", "--by-day"];
    place.run(&[&by_day[..], &["--inputs"]].concat());
    let said = complaint(&place.data, &by_day, 2);
    assert!(said.contains("--inputs"), "{said}");
}

#[test]
fn an_input_that_cannot_be_read_costs_no_decision() {
    let place = Place::new();
    let line = |number: u32, input: &str| {
        format!(r#"{{"id":"1-{number}","model":"m","symbol":"s","action":"BUY","input":{input}}}"#)
    };
    let bad = [
        r#"{"type":"f16","values":[1]}"#,
        r#"{"type":"f32"}"#,
        r#"{"type":"f32","values":[1,"one"]}"#,
        r#"{"type":"f64","values":["NaN:xyz"]}"#,
        r#"{"type":"bytes","hex":"0g"}"#,
        r#"{"type":"bytes","hex":"000"}"#,
        r#"{"type":"bytes","values":[1,2]}"#,
        r#"{"missing":"stolen"}"#,
        "7",
        r#"{"type":"f32","values":[[1]]}"#,
    ];
    let mut text = line(1, r#"{"type":"f32","values":[1.5]}"#) + "\n";
    for (number, input) in (2..).zip(bad) {
        text += &(line(number, input) + "\n");
    }
    let too_large = format!(
        r#"{{"type":"bytes","hex":"{}"}}"#,
        "00".repeat((1 << 20) + 1)
    );
    text += &line(99, &too_large);
    std::fs::write(place.path("odd.jsonl"), text).unwrap();
    let mut command = annals(&place.data, &["import", &place.arg("odd.jsonl"), "--json"]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["inferences"], 12, "{report}");
    assert_eq!(
        (&report["inputs"], &report["damaged"]),
        (&1.into(), &11.into())
    );
    let reader = Reader::open(&place.data).unwrap();
    let decided = reader
        .inferences()
        .with_inputs()
        .map(|decided| decided.unwrap().1);
    let (kept, lost): (Vec<_>, Vec<_>) = decided.partition(|input| *input != KeptInput::GivenUp);
    assert_eq!((kept.len(), lost.len()), (1, 11));
    let kept = kept[0].clone().kept().unwrap();
    let InputValues::F32(values) = &kept.values else {
        panic!("{kept:?}");
    };
    assert_eq!(values[..], [1.5]);
}

/// Decisions that are there stay as they are; the report says what they lack.
#[test]
fn a_later_import_with_inputs_says_what_is_missing() {
    let place = Place::new();
    with_inputs(&place);
    let copy = place.path("copy");
    let (plain, whole) = (place.arg("plain.jsonl"), place.arg("whole.jsonl"));
    place.export("plain.jsonl", &[]);
    place.export("whole.jsonl", &["--inputs"]);
    json(&copy, &["import", &plain]);
    let report = &json(&copy, &["import", &whole])[0];
    assert_eq!(report["known_and_changed"], 5, "{report}");
    assert_eq!(report["changed_fields"]["input"], 5, "{report}");
    let other = place.path("other");
    for again in 0..2 {
        let report = &json(&other, &["import", &whole])[0];
        assert_eq!(report["known_and_changed"], 0, "{report}");
        assert_eq!(report["inputs"], if again == 0 { 4 } else { 0 }, "{report}");
    }
}

//! A second reader: the bytes of a block, decoded by another implementation of the encoding into
//! types of its own. What is on disk depends on no single library.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use annals::{Inference, Journal, ManualClock, Timestamp};
use wincode::SchemaRead;
use wincode::config::Configuration;

/// A block's payload as this version writes it; `src/format` holds its writer to these bytes.
const BLOCK: &str = include_str!("golden/block.hex");

#[derive(SchemaRead, Debug, PartialEq)]
struct Header {
    count: u32,
    base_id: u64,
    base_recorded: i64,
}

#[derive(SchemaRead, Debug, PartialEq)]
enum Row {
    Inference(InferenceRow),
    Repeat(RepeatRow),
    Gap(GapRow),
}

#[derive(SchemaRead, Debug, PartialEq)]
struct InferenceRow {
    id: i64,
    recorded: i64,
    event: i64,
    model: u32,
    symbol: u32,
    action: u32,
    checkpoint: u32,
    labels: u32,
    flags: u8,
    confidence: f32,
    probabilities: Vec<f32>,
    features: Option<[u8; 8]>,
    processing: u64,
    memory: i64,
    texts: Option<Texts>,
}

#[derive(SchemaRead, Debug, PartialEq, Default)]
struct Texts {
    model: Option<String>,
    symbol: Option<String>,
    action: Option<String>,
    checkpoint: Option<String>,
    labels: Option<Vec<String>>,
    attributes: Vec<(String, Value)>,
}

#[derive(SchemaRead, Debug, PartialEq)]
enum Value {
    Text(String),
    Real(f64),
    Integer(i64),
    Flag(bool),
}

#[derive(SchemaRead, Debug, PartialEq)]
struct RepeatRow {
    id: i64,
    recorded: i64,
    event: i64,
    original: i64,
    processing: u64,
    model: u32,
    symbol: u32,
    action: u32,
    checkpoint: u32,
    texts: Option<Texts>,
}

#[derive(SchemaRead, Debug, PartialEq)]
enum GapReason {
    QueueFull,
    Refused,
    Died,
}

#[derive(SchemaRead, Debug, PartialEq)]
struct GapRow {
    recorded: i64,
    run: u32,
    reason: GapReason,
    count: Option<u64>,
    after: Option<u64>,
    recorded_range: Option<(i64, i64)>,
    event_range: Option<(i64, i64)>,
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.trim().as_bytes();
    let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

/// Reads one value from the front of `rest` and moves past it.
macro_rules! take {
    ($rest:expr, $kind:ty) => {{
        let config = Configuration::default().with_varint_encoding();
        wincode::config::deserialize_from::<$kind, _>(&mut *$rest, config)
    }};
}

fn block() -> (Header, Vec<Row>) {
    let bytes = bytes(BLOCK);
    let mut rest = bytes.as_slice();
    let header = take!(&mut rest, Header).unwrap();
    let rows = (0..header.count).map(|_| take!(&mut rest, Row).unwrap());
    let rows = rows.collect();
    assert_eq!(rest, [0_u8; 0], "nothing follows the last row");
    (header, rows)
}

#[test]
fn the_header_is_read() {
    let expected = Header {
        count: 3,
        base_id: (1 << 40) | 7,
        base_recorded: 1_000_000,
    };
    assert_eq!(block().0, expected);
}

#[test]
fn every_kind_of_row_is_read() {
    let expected = [
        Row::Inference(InferenceRow {
            id: 0,
            recorded: 0,
            event: 0,
            model: 1,
            symbol: 2,
            action: 3,
            checkpoint: 0,
            labels: 4,
            flags: 0,
            confidence: 0.85,
            probabilities: vec![0.85, 0.1, 0.05],
            features: Some([1, 2, 3, 4, 5, 6, 7, 8]),
            processing: 12_500_001,
            memory: 2_049,
            texts: None,
        }),
        Row::Repeat(RepeatRow {
            id: 2,
            recorded: 250,
            event: 0,
            original: 2,
            processing: 0,
            model: 1,
            symbol: 2,
            action: 3,
            checkpoint: 0,
            texts: None,
        }),
        Row::Gap(GapRow {
            recorded: 50,
            run: 1,
            reason: GapReason::QueueFull,
            count: Some(5),
            after: None,
            recorded_range: Some((1, 2)),
            event_range: None,
        }),
    ];
    assert_eq!(block().1, expected);
}

#[test]
fn a_block_that_is_cut_short_is_not_read() {
    let bytes = bytes(BLOCK);
    for length in 0..bytes.len() {
        let mut rest = &bytes[..length];
        let read =
            take!(&mut rest, Header).is_ok() && (0..3).all(|_| take!(&mut rest, Row).is_ok());
        assert!(!read, "{length} bytes of {} are enough", bytes.len());
    }
}

/// A clock's time that no other bytes of the file resemble.
const NOW: i64 = 1_753_453_679_123_456;

/// Writes a journal whose only row has everything in it; gives the bytes of its file.
fn file_of_one_row(model: &str) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let clock = ManualClock::at(Timestamp::from_micros(NOW));
    let journal = Journal::options().clock(clock).open(dir.path()).unwrap();
    let attributes = [
        ("text", annals::Value::from("é")),
        ("real", annals::Value::from(-0.5)),
        ("integer", annals::Value::from(i64::MIN)),
        ("flag", annals::Value::from(true)),
    ];
    let inference = Inference::new(model, "s", "BUY")
        .probabilities(&[("a\u{1f}b", 0.25), ("c", 0.75)])
        .confidence(2.0)
        .features_hashed(0x0102_0304_0506_0708)
        .processing_time(Duration::from_nanos(70_000))
        .event_time(Timestamp::from_micros(NOW - 1))
        .memory(10 * 1_024)
        .attributes(&attributes);
    journal.log(inference).unwrap();
    journal.close().unwrap();
    std::fs::read(dir.path().join("journal.redb")).unwrap()
}

/// A block is stored as it is: neither compressed nor split.
#[test]
fn a_row_with_everything_in_it_is_read_from_the_file() {
    let model = "m".repeat(300);
    let file = file_of_one_row(&model);
    // One row, and the first id of the first run.
    let start = [1, 253, 0, 0, 0, 0, 0, 1, 0, 0];
    let found = file.windows(start.len()).position(|bytes| bytes == start);
    let mut rest = &file[found.unwrap()..];
    let header = take!(&mut rest, Header).unwrap();
    assert_eq!((header.base_id, header.base_recorded), (1 << 40, NOW));
    let Row::Inference(row) = take!(&mut rest, Row).unwrap() else {
        panic!("no inference");
    };
    // The names that the table has got are numbers from 1, in an order of its own.
    let mut names = [row.symbol, row.action];
    names.sort_unstable();
    assert_eq!(names, [1, 2]);
    let labels = ["a\u{1f}b", "c"].map(str::to_owned);
    let named = |name: &str, value| (name.to_owned(), value);
    let texts = Texts {
        model: Some(model),
        labels: Some(labels.into()),
        attributes: vec![
            named("text", Value::Text("é".to_owned())),
            named("real", Value::Real(-0.5)),
            named("integer", Value::Integer(i64::MIN)),
            named("flag", Value::Flag(true)),
        ],
        ..Texts::default()
    };
    let expected = InferenceRow {
        id: 0,
        recorded: 0,
        event: -1,
        model: 0,
        symbol: row.symbol,
        action: row.action,
        checkpoint: 0,
        labels: 0,
        flags: 0,
        confidence: 2.0,
        probabilities: vec![0.25, 0.75],
        features: Some([8, 7, 6, 5, 4, 3, 2, 1]),
        processing: 70_001,
        memory: 11,
        texts: Some(texts),
    };
    assert_eq!(row, expected);
}

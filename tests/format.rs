//! A second reader: the bytes of a block, decoded by another implementation of the encoding into
//! types of its own, and by columns as FORMAT.md describes them. The bytes on disk depend on no
//! single library.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use annals::{Inference, Journal, ManualClock, Timestamp};
use wincode::SchemaRead;
use wincode::config::Configuration;

/// A block's payload as this version writes it; `src/engine/format` holds its writer to these
/// bytes.
const BLOCK: &str = include_str!("golden/block.hex");

#[derive(SchemaRead, Debug, PartialEq)]
struct ColumnHead {
    least: i64,
    width: u8,
}

#[derive(SchemaRead, Debug, PartialEq)]
struct Header {
    count: u32,
    events: u32,
    attributed: u32,
    value_columns: u32,
    base_id: u64,
    base_recorded: i64,
    columns: [ColumnHead; 20],
    notes: NotesHead,
}

#[derive(SchemaRead, Debug, PartialEq)]
struct NotesHead {
    base_recorded: i64,
    base_of: u64,
    columns: [ColumnHead; 5],
}

/// Kind (0 prediction, 1 attribute), type (0 f32, 1 f64, 2 i64, 3 bool, 4 text), name, values, how
/// the gaps between them and their numbers lie there, bytes.
#[derive(SchemaRead, Debug, PartialEq)]
struct ValueColumnHead {
    kind: u8,
    value_type: u8,
    name: u32,
    count: u32,
    gaps: ColumnHead,
    numbers: ColumnHead,
    bytes: u32,
}

type Attributes = Vec<(String, Value)>;
/// Name, and number among the inputs.
type Blobs = Vec<(String, Option<u64>)>;

#[derive(SchemaRead, Debug, PartialEq)]
enum Value {
    Text(String),
    Real(f64),
    Integer(i64),
    Flag(bool),
}

#[derive(SchemaRead, Debug, PartialEq)]
enum Note {
    Gap(GapRow),
    SystemEvent,
    CheckpointEvent,
    Outcome(OutcomeRow),
}

#[derive(SchemaRead, Debug, PartialEq)]
struct OutcomeRow {
    run: u32,
    values: Vec<OutcomeValue>,
    is_undated: bool,
}

#[derive(SchemaRead, Debug, PartialEq)]
enum OutcomeValue {
    Reward(f64),
    Correct(bool),
    Label(String),
    Named(u32, f64),
}

#[derive(SchemaRead, Debug, PartialEq)]
enum GapReason {
    QueueFull,
    Refused,
    Died,
}

#[derive(SchemaRead, Debug, PartialEq)]
struct GapRow {
    run: u32,
    reason: GapReason,
    count: Option<u64>,
    after: Option<u64>,
    recorded_range: Option<(i64, i64)>,
    event_range: Option<(i64, i64)>,
    /// Model, field, reason.
    refusal: Option<(Option<String>, String, String)>,
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

/// Kind, type and name; gaps, numbers and bytes.
type ValueColumn = ([u32; 3], Vec<i64>, Vec<i64>, Vec<u8>);

/// A block as it lies there: the columns' numbers, then the lists.
#[derive(Debug, PartialEq)]
struct Parts {
    columns: Vec<Vec<i64>>,
    confidences: Vec<f32>,
    features: Vec<u64>,
    probabilities: Vec<f32>,
    propensities: Vec<f32>,
    vectors: Vec<f32>,
    correlations: String,
    values: Vec<ValueColumn>,
    /// Position, recorded time, inference of an outcome, when it turned out, bytes.
    note_columns: Vec<Vec<i64>>,
    notes: Vec<Note>,
    attributes: Vec<(u32, Attributes, Blobs)>,
}

/// Columns that the lists' lengths depend on.
const FLAGS: usize = 9;
const PROBABILITIES: usize = 10;
const VECTOR: usize = 13;
const CORRELATION: usize = 15;

/// Reads a block from the front of `rest`; `None` if it is cut short.
fn block(rest: &mut &[u8]) -> Option<(Header, Parts)> {
    let header = take!(rest, Header).ok()?;
    let columns = columns_of(rest, &header.columns, header.events)?;
    let with = |bit: i64| {
        columns[FLAGS]
            .iter()
            .filter(move |flags| **flags & bit != 0)
    };
    let has_confidence = header.events as usize - with(2).count();
    let has_features = with(8).count();
    let probabilities: i64 = columns[PROBABILITIES].iter().sum();
    let float = |bytes: [u8; 4]| f32::from_le_bytes(bytes);
    let confidences = list(rest, has_confidence, float)?;
    let features = list(rest, has_features, u64::from_le_bytes)?;
    let probabilities = list(rest, usize::try_from(probabilities).unwrap(), float)?;
    let propensities = list(rest, with(16).count(), float)?;
    let vectors: i64 = columns[VECTOR].iter().sum();
    let vectors = list(rest, usize::try_from(vectors).unwrap(), float)?;
    let correlations = columns[CORRELATION]
        .iter()
        .map(|length| (length - 1).max(0));
    let correlations = usize::try_from(correlations.sum::<i64>()).unwrap();
    let correlations = list(rest, correlations, |[byte]: [u8; 1]| byte)?;
    let correlations = String::from_utf8(correlations).unwrap();
    let mut values = Vec::new();
    for _ in 0..header.value_columns {
        let head = take!(rest, ValueColumnHead).ok()?;
        let mut numbers = columns_of(rest, &[head.gaps, head.numbers], head.count)?;
        let bytes = list(rest, head.bytes as usize, |[byte]: [u8; 1]| byte)?;
        let key = [head.kind.into(), head.value_type.into(), head.name];
        let (numbers, gaps) = (numbers.pop()?, numbers.pop()?);
        values.push((key, gaps, numbers, bytes));
    }
    let note_columns = self::columns_of(rest, &header.notes.columns, header.count - header.events)?;
    let notes = (header.events..header.count).map(|_| take!(rest, Note).ok());
    let notes = notes.collect::<Option<_>>()?;
    let attributes = (0..header.attributed).map(|_| take!(rest, (u32, Attributes, Blobs)).ok());
    let attributes = attributes.collect::<Option<_>>()?;
    let parts = Parts {
        columns,
        confidences,
        features,
        probabilities,
        propensities,
        vectors,
        correlations,
        values,
        note_columns,
        notes,
        attributes,
    };
    Some((header, parts))
}

fn columns_of(rest: &mut &[u8], heads: &[ColumnHead], count: u32) -> Option<Vec<Vec<i64>>> {
    let mut columns = Vec::new();
    for head in heads {
        let mut column = Vec::new();
        for _ in 0..count {
            let (bytes, behind) = rest.split_at_checked(head.width.into())?;
            *rest = behind;
            let mut distance = [0; 8];
            distance[..bytes.len()].copy_from_slice(bytes);
            column.push(head.least.wrapping_add(i64::from_le_bytes(distance)));
        }
        columns.push(column);
    }
    Some(columns)
}

fn list<T, const WIDTH: usize>(
    rest: &mut &[u8],
    count: usize,
    number: impl Fn([u8; WIDTH]) -> T,
) -> Option<Vec<T>> {
    let (bytes, behind) = rest.split_at_checked(count * WIDTH)?;
    *rest = behind;
    let chunks = bytes.chunks_exact(WIDTH);
    Some(
        chunks
            .map(|chunk| number(chunk.try_into().unwrap()))
            .collect(),
    )
}

#[test]
fn every_part_of_a_block_is_read() {
    let bytes = bytes(BLOCK);
    let mut rest = bytes.as_slice();
    let (header, parts) = block(&mut rest).unwrap();
    assert_eq!(rest, [0_u8; 0], "nothing follows the last part");
    assert_eq!((header.count, header.events, header.attributed), (5, 3, 1));
    assert_eq!(header.base_id, (1 << 40) | 7);
    assert_eq!(header.base_recorded, 1_000_000);
    assert_eq!(header.notes.base_recorded, 1_000_300);
    assert_eq!(header.notes.base_of, (1 << 40) | 9);
    let gap = GapRow {
        run: 1,
        reason: GapReason::QueueFull,
        count: Some(5),
        after: None,
        recorded_range: Some((1, 2)),
        event_range: None,
        refusal: None,
    };
    let outcome = OutcomeRow {
        run: 1,
        values: vec![
            OutcomeValue::Reward(1.5),
            OutcomeValue::Correct(true),
            OutcomeValue::Label("won".to_owned()),
            OutcomeValue::Named(7, -0.25),
        ],
        is_undated: true,
    };
    let attributes = vec![("k".to_owned(), Value::Integer(-1))];
    let blobs = vec![
        ("prompt".to_owned(), Some((1 << 40) | 4)),
        ("answer".to_owned(), None),
    ];
    let expected = Parts {
        // An inference, its repeat, and a back-dated inference with another id in between.
        columns: vec![
            vec![0, 2, -1],
            vec![0, 250, -50],
            vec![0, 0, -3_600_000_000 - 1_000_200],
            vec![0, 2, 0],
            vec![1; 3],
            vec![2; 3],
            vec![3; 3],
            vec![0; 3],
            vec![4; 3],
            vec![8 + 128, 4 + 128, 3 + 16 + 32 + 64 + 256],
            vec![3, 0, 0],
            vec![12_500_001, 0, 12_500_001],
            vec![2_049, 2_049, 0],
            vec![0, 0, 2],
            vec![0, 0, 8 - 3],
            vec![0, 0, 4],
            vec![0, 0, (1 << 40) | 2],
            vec![0, 0, 6],
            // The third one's was given up, and the columns stay as they are.
            vec![4, 6, 6],
            vec![5; 3],
        ],
        confidences: vec![0.85; 2],
        features: vec![0x0807_0605_0403_0201],
        probabilities: vec![0.85, 0.1, 0.05],
        propensities: vec![0.125],
        vectors: vec![0.5, -2.0],
        correlations: "é7".to_owned(),
        // All of the third one.
        values: vec![
            ([0, 1, 7], vec![2], vec![0], 101.5_f64.to_le_bytes().into()),
            ([1, 0, 8], vec![2], vec![0], 0.25_f32.to_le_bytes().into()),
            ([1, 2, 8], vec![2], vec![-3], Vec::new()),
            ([1, 3, 9], vec![2], vec![1], Vec::new()),
            ([1, 4, 9], vec![2], vec![2], "é".into()),
        ],
        note_columns: vec![
            vec![2, 1],
            vec![0, 100],
            vec![0; 2],
            vec![0, -1_000_402],
            vec![11, 30],
        ],
        notes: vec![Note::Gap(gap), Note::Outcome(outcome)],
        attributes: vec![(2, attributes, blobs)],
    };
    assert_eq!(parts, expected);
}

#[test]
fn a_block_that_is_cut_short_is_not_read() {
    let bytes = bytes(BLOCK);
    for length in 0..bytes.len() {
        let read = block(&mut &bytes[..length]);
        assert_eq!(read, None, "{length} bytes of {} are enough", bytes.len());
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
    // One event with attributes, and the first id of the first run.
    let start = [1, 1, 1, 0, 253, 0, 0, 0, 0, 0, 1, 0, 0];
    let found = file.windows(start.len()).position(|bytes| bytes == start);
    let mut rest = &file[found.unwrap()..];
    let (header, parts) = block(&mut rest).unwrap();
    assert_eq!((header.base_id, header.base_recorded), (1 << 40, NOW));
    // Equal numbers take no bytes, and the only one of its kind equals itself.
    assert!(header.columns.iter().all(|column| column.width == 0));
    let columns: Vec<i64> = parts.columns.iter().map(|column| column[0]).collect();
    // Names are numbers from 1, in an order of their own: also a long one, and labels with the
    // separator in them.
    let mut names = [columns[4], columns[5], columns[6], columns[8]];
    names.sort_unstable();
    assert_eq!(names, [1, 2, 3, 4]);
    assert_eq!(columns[..4], [0, 0, -1, 0]);
    assert_eq!((columns[7], &columns[9..13]), (0, &[8, 2, 70_001, 11][..]));
    assert_eq!(columns[13..], [0; 7]);
    let named = |name: &str, value| (name.to_owned(), value);
    let attributes = vec![
        named("text", Value::Text("é".to_owned())),
        named("real", Value::Real(-0.5)),
        named("integer", Value::Integer(i64::MIN)),
        named("flag", Value::Flag(true)),
    ];
    assert_eq!(parts.attributes, [(0, attributes, Vec::new())]);
    assert_eq!(parts.confidences, [2.0]);
    assert_eq!(parts.features, [0x0102_0304_0506_0708]);
    assert_eq!(parts.probabilities, [0.25, 0.75]);
    assert_eq!(parts.notes, []);
}

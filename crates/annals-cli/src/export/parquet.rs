//! Apache Parquet: typed columns, strings in dictionaries, lists as lists.

use std::collections::HashMap;
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;

use super::file::{Finish, Unfinished};
use super::{Row, Sink};
use crate::entries;
use crate::failure::{Failure, Result};

/// The columns, in the order of [`Columns::write`].
const SCHEMA: &str = "
message annals {
  REQUIRED BYTE_ARRAY kind (STRING);
  REQUIRED INT32 run;
  REQUIRED INT64 number;
  REQUIRED INT64 sequence;
  OPTIONAL INT64 event_time (TIMESTAMP(MICROS, true));
  REQUIRED INT64 recorded_time (TIMESTAMP(MICROS, true));
  OPTIONAL BYTE_ARRAY model (STRING);
  OPTIONAL BYTE_ARRAY symbol (STRING);
  OPTIONAL BYTE_ARRAY action (STRING);
  OPTIONAL BYTE_ARRAY checkpoint (STRING);
  OPTIONAL FLOAT confidence;
  REQUIRED GROUP labels (LIST) { REPEATED GROUP list { REQUIRED BYTE_ARRAY element (STRING); } }
  REQUIRED GROUP probabilities (LIST) { REPEATED GROUP list { REQUIRED FLOAT element; } }
  OPTIONAL INT64 feature_hash (INTEGER(64, false));
  OPTIONAL INT64 processing_ns;
  OPTIONAL INT64 memory_bytes;
  OPTIONAL BOOLEAN divergent;
  OPTIONAL BYTE_ARRAY repeat_of (STRING);
  OPTIONAL BYTE_ARRAY attributes (STRING);
  OPTIONAL DOUBLE reward;
  OPTIONAL BOOLEAN correct;
  OPTIONAL BYTE_ARRAY outcome_label (STRING);
  OPTIONAL BYTE_ARRAY outcome_values (STRING);
  OPTIONAL INT64 outcome_time (TIMESTAMP(MICROS, true));
}";

/// Rows that are held until they are written together.
const GROUP: usize = 65_536;
/// Columns of numbers that hardly repeat: a dictionary would only cost time.
const PLAIN: [&[&str]; 8] = [
    &["number"],
    &["sequence"],
    &["event_time"],
    &["recorded_time"],
    &["confidence"],
    &["probabilities", "list", "element"],
    &["feature_hash"],
    &["processing_ns"],
];

/// Writes one file.
pub struct Parquet {
    writer: SerializedFileWriter<Unfinished>,
    columns: Columns,
}

fn failed(error: ParquetError) -> Failure {
    Failure::io("write the Parquet file", std::io::Error::other(error))
}

impl Parquet {
    pub fn new(file: Unfinished) -> Result<Self> {
        let schema = Arc::new(parse_message_type(SCHEMA).map_err(failed)?);
        let mut properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_created_by(concat!("annals ", env!("CARGO_PKG_VERSION")).to_owned());
        for path in PLAIN {
            let path = ColumnPath::new(path.iter().map(|part| (*part).to_owned()).collect());
            properties = properties.set_column_dictionary_enabled(path, false);
        }
        let properties = Arc::new(properties.build());
        let writer = SerializedFileWriter::new(file, schema, properties).map_err(failed)?;
        Ok(Parquet {
            writer,
            columns: Columns::default(),
        })
    }

    fn write_group(&mut self) -> Result<()> {
        if self.columns.sequence.is_empty() {
            return Ok(());
        }
        let mut group = self.writer.next_row_group().map_err(failed)?;
        let mut index = 0;
        while let Some(mut column) = group.next_column().map_err(failed)? {
            let written = self.columns.write(index, column.untyped());
            written.and_then(|_| column.close()).map_err(failed)?;
            index += 1;
        }
        group.close().map_err(failed)?;
        self.columns.clear();
        Ok(())
    }
}

impl Sink for Parquet {
    fn push(&mut self, rows: Vec<Row>) -> Result<()> {
        for row in &rows {
            self.columns.push(row);
            if self.columns.sequence.len() >= GROUP {
                self.write_group()?;
            }
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        self.write_group()?;
        let mut file = self.writer.into_inner().map_err(failed)?;
        file.finish()
    }
}

/// A column with nulls: the values that are there, and for each row whether there is one.
struct Optional<T> {
    values: Vec<T>,
    levels: Vec<i16>,
}

impl<T> Default for Optional<T> {
    fn default() -> Self {
        Optional {
            values: Vec::new(),
            levels: Vec::new(),
        }
    }
}

impl<T> Optional<T> {
    fn push(&mut self, value: Option<T>) {
        self.levels.push(i16::from(value.is_some()));
        self.values.extend(value);
    }

    fn clear(&mut self) {
        self.values.clear();
        self.levels.clear();
    }
}

/// A column of lists.
struct List<T> {
    values: Vec<T>,
    /// 1 for an element, 0 for an empty list.
    levels: Vec<i16>,
    /// 0 begins a row, 1 goes on with it.
    repeats: Vec<i16>,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        List {
            values: Vec::new(),
            levels: Vec::new(),
            repeats: Vec::new(),
        }
    }
}

impl<T> List<T> {
    fn push(&mut self, values: impl Iterator<Item = T>) {
        let before = self.values.len();
        for value in values {
            self.repeats.push(i16::from(self.values.len() > before));
            self.levels.push(1);
            self.values.push(value);
        }
        if self.values.len() == before {
            self.repeats.push(0);
            self.levels.push(0);
        }
    }

    fn clear(&mut self) {
        self.values.clear();
        self.levels.clear();
        self.repeats.clear();
    }
}

/// Names as Parquet wants them, each made once.
#[derive(Default)]
struct Names(HashMap<Arc<str>, ByteArray>);

impl Names {
    /// Forgotten when there are more: names may be as many as rows.
    const MOST: usize = 1 << 16;

    fn get(&mut self, name: &Arc<str>) -> ByteArray {
        if let Some(known) = self.0.get(name) {
            return known.clone();
        }
        if self.0.len() >= Self::MOST {
            self.0.clear();
        }
        let array = text(name);
        self.0.insert(name.clone(), array.clone());
        array
    }
}

fn text(text: &str) -> ByteArray {
    ByteArray::from(text.as_bytes().to_vec())
}

#[derive(Default)]
struct Columns {
    names: Names,
    /// The labels of the last row: mostly those of the next one.
    last_labels: Option<(Arc<str>, Vec<ByteArray>)>,
    kind: Vec<ByteArray>,
    run: Vec<i32>,
    number: Vec<i64>,
    sequence: Vec<i64>,
    event_time: Optional<i64>,
    recorded_time: Vec<i64>,
    model: Optional<ByteArray>,
    symbol: Optional<ByteArray>,
    action: Optional<ByteArray>,
    checkpoint: Optional<ByteArray>,
    confidence: Optional<f32>,
    labels: List<ByteArray>,
    probabilities: List<f32>,
    feature_hash: Optional<i64>,
    processing_ns: Optional<i64>,
    memory_bytes: Optional<i64>,
    divergent: Optional<bool>,
    repeat_of: Optional<ByteArray>,
    attributes: Optional<ByteArray>,
    reward: Optional<f64>,
    correct: Optional<bool>,
    outcome_label: Optional<ByteArray>,
    outcome_values: Optional<ByteArray>,
    outcome_time: Optional<i64>,
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl Columns {
    #[allow(
        clippy::cast_possible_wrap,
        reason = "the column is declared unsigned: the bits are the number"
    )]
    fn push(&mut self, row: &Row) {
        let kind = |kind: &'static str| ByteArray::from(bytes::Bytes::from_static(kind.as_bytes()));
        let nanos = |time: Option<std::time::Duration>| {
            time.map(|time| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX))
        };
        match row {
            Row::Inference(record, outcomes) => {
                self.key(
                    kind("inference"),
                    record.id,
                    record.sequence,
                    record.recorded_time,
                );
                self.event_time.push(Some(record.event_time.as_micros()));
                self.model.push(Some(self.names.get(&record.model)));
                self.symbol.push(Some(self.names.get(&record.symbol)));
                self.action.push(Some(self.names.get(&record.action)));
                let checkpoint = record.checkpoint.as_ref();
                self.checkpoint
                    .push(checkpoint.map(|id| self.names.get(id)));
                let is_given = !record.confidence.is_nan();
                self.confidence.push(is_given.then_some(record.confidence));
                self.push_labels(record);
                self.probabilities
                    .push(record.probabilities.values().iter().copied());
                self.feature_hash
                    .push(record.feature_hash.map(|hash| hash as i64));
                self.processing_ns.push(nanos(record.processing_time));
                self.memory_bytes.push(record.memory.map(signed));
                self.divergent.push(Some(record.divergent));
                self.repeat_of.push(None);
                let attributes = (!record.attributes.is_empty())
                    .then(|| text(&entries::values(&record.attributes).to_string()));
                self.attributes.push(attributes);
                self.push_outcomes(outcomes.as_ref());
            }
            Row::Repeat(repeat, recorded, sequence, outcomes) => {
                self.key(kind("repeat"), repeat.id, *sequence, *recorded);
                self.event_time.push(Some(repeat.event_time.as_micros()));
                self.model.push(Some(self.names.get(&repeat.model)));
                self.symbol.push(Some(self.names.get(&repeat.symbol)));
                self.action.push(Some(self.names.get(&repeat.action)));
                let checkpoint = repeat.checkpoint.as_ref();
                self.checkpoint
                    .push(checkpoint.map(|id| self.names.get(id)));
                self.push_no_answer(nanos(repeat.processing_time));
                self.repeat_of
                    .push(Some(text(&repeat.original.to_string())));
                self.attributes.push(None);
                self.push_outcomes(outcomes.as_ref());
            }
            Row::Late(outcome, recorded, sequence) => {
                self.key(kind("outcome"), outcome.of, *sequence, *recorded);
                self.event_time.push(None);
                for names in [
                    &mut self.model,
                    &mut self.symbol,
                    &mut self.action,
                    &mut self.checkpoint,
                ] {
                    names.push(None);
                }
                self.push_no_answer(None);
                self.repeat_of.push(None);
                self.attributes.push(None);
                self.reward.push(outcome.reward);
                self.correct.push(outcome.correct);
                self.outcome_label.push(outcome.label.as_deref().map(text));
                let named = outcome.values.iter().map(|(name, value)| (&**name, *value));
                self.outcome_values.push(named_values(named));
                self.outcome_time.push(Some(outcome.time.as_micros()));
            }
            Row::Gap(..) => {}
        }
    }

    fn key(
        &mut self,
        kind: ByteArray,
        id: annals::InferenceId,
        sequence: u64,
        recorded: annals::Timestamp,
    ) {
        self.kind.push(kind);
        self.run
            .push(i32::try_from(id.run().get()).unwrap_or(i32::MAX));
        self.number.push(signed(id.counter()));
        self.sequence.push(signed(sequence));
        self.recorded_time.push(recorded.as_micros());
    }

    fn push_labels(&mut self, record: &annals::InferenceRecord) {
        let labels = &record.probabilities;
        let first = labels.labels().first();
        let is_last = match (&self.last_labels, first) {
            // The same list is shared by all who have it.
            (Some((known, _)), Some(first)) => Arc::ptr_eq(known, first),
            _ => false,
        };
        if !is_last {
            let arrays = labels
                .labels()
                .iter()
                .map(|label| self.names.get(label))
                .collect();
            self.last_labels = first.map(|first| (first.clone(), arrays));
        }
        let known = self.last_labels.as_ref().filter(|_| first.is_some());
        let known = known.map_or(&[][..], |(_, arrays)| arrays);
        let none = ByteArray::from(Vec::new());
        let padded = known.iter().cloned().chain(std::iter::repeat(none));
        self.labels.push(padded.take(labels.len()));
    }

    fn push_no_answer(&mut self, nanos: Option<i64>) {
        self.confidence.push(None);
        self.labels.push(std::iter::empty());
        self.probabilities.push(std::iter::empty());
        self.feature_hash.push(None);
        self.processing_ns.push(nanos);
        self.memory_bytes.push(None);
        self.divergent.push(None);
    }

    fn push_outcomes(&mut self, known: Option<&annals::Outcomes>) {
        self.reward.push(
            known
                .and_then(|known| known.reward)
                .map(|latest| latest.value),
        );
        self.correct.push(
            known
                .and_then(|known| known.correct)
                .map(|latest| latest.value),
        );
        let label = known.and_then(|known| known.label.as_ref());
        self.outcome_label
            .push(label.map(|latest| text(&latest.value)));
        let named = known.into_iter().flat_map(|known| &known.values);
        let named = named.map(|(name, latest)| (&**name, latest.value));
        self.outcome_values.push(named_values(named));
        let time = known.and_then(entries::latest);
        self.outcome_time
            .push(time.map(annals::Timestamp::as_micros));
    }

    /// Writes the column with this number of [`SCHEMA`].
    fn write(&self, index: usize, to: &mut ColumnWriter<'_>) -> parquet::errors::Result<usize> {
        use ColumnWriter as W;
        match (index, to) {
            (0, W::ByteArrayColumnWriter(to)) => to.write_batch(&self.kind, None, None),
            (1, W::Int32ColumnWriter(to)) => to.write_batch(&self.run, None, None),
            (2, W::Int64ColumnWriter(to)) => to.write_batch(&self.number, None, None),
            (3, W::Int64ColumnWriter(to)) => to.write_batch(&self.sequence, None, None),
            (5, W::Int64ColumnWriter(to)) => to.write_batch(&self.recorded_time, None, None),
            (11, W::ByteArrayColumnWriter(to)) => {
                let list = &self.labels;
                to.write_batch(&list.values, Some(&list.levels), Some(&list.repeats))
            }
            (12, W::FloatColumnWriter(to)) => {
                let list = &self.probabilities;
                to.write_batch(&list.values, Some(&list.levels), Some(&list.repeats))
            }
            (10, W::FloatColumnWriter(to)) => {
                let column = &self.confidence;
                to.write_batch(&column.values, Some(&column.levels), None)
            }
            (19, W::DoubleColumnWriter(to)) => {
                let column = &self.reward;
                to.write_batch(&column.values, Some(&column.levels), None)
            }
            (index, W::Int64ColumnWriter(to)) => {
                let column = match index {
                    4 => &self.event_time,
                    13 => &self.feature_hash,
                    14 => &self.processing_ns,
                    15 => &self.memory_bytes,
                    _ => &self.outcome_time,
                };
                to.write_batch(&column.values, Some(&column.levels), None)
            }
            (index, W::BoolColumnWriter(to)) => {
                let column = if index == 16 {
                    &self.divergent
                } else {
                    &self.correct
                };
                to.write_batch(&column.values, Some(&column.levels), None)
            }
            (index, W::ByteArrayColumnWriter(to)) => {
                let column = match index {
                    6 => &self.model,
                    7 => &self.symbol,
                    8 => &self.action,
                    9 => &self.checkpoint,
                    17 => &self.repeat_of,
                    18 => &self.attributes,
                    21 => &self.outcome_label,
                    _ => &self.outcome_values,
                };
                to.write_batch(&column.values, Some(&column.levels), None)
            }
            _ => Err(ParquetError::General("a column of another type".into())),
        }
    }

    fn clear(&mut self) {
        self.kind.clear();
        self.run.clear();
        self.number.clear();
        self.sequence.clear();
        self.recorded_time.clear();
        self.event_time.clear();
        for column in [
            &mut self.model,
            &mut self.symbol,
            &mut self.action,
            &mut self.checkpoint,
            &mut self.repeat_of,
            &mut self.attributes,
            &mut self.outcome_label,
            &mut self.outcome_values,
        ] {
            column.clear();
        }
        self.confidence.clear();
        self.labels.clear();
        self.probabilities.clear();
        self.feature_hash.clear();
        self.processing_ns.clear();
        self.memory_bytes.clear();
        self.divergent.clear();
        self.correct.clear();
        self.reward.clear();
        self.outcome_time.clear();
    }
}

/// Named values as a JSON object; none if there are none.
fn named_values<'a>(values: impl Iterator<Item = (&'a str, f64)>) -> Option<ByteArray> {
    let object: serde_json::Map<String, serde_json::Value> = values
        .map(|(name, value)| (name.to_owned(), entries::real(value)))
        .collect();
    (!object.is_empty()).then(|| text(&serde_json::Value::Object(object).to_string()))
}

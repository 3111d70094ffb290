//! Apache Parquet: typed columns, strings in dictionaries, lists as lists.

mod column;
mod inputs;

use std::sync::Arc;

use annals::JournalId;
use annals_arrow::{ColumnValues, DecisionColumns};
use parquet::basic::{Compression as Codec, ZstdLevel};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;

use super::file::{Finish, Unfinished};
use super::{Compression, ExportRow, FilePacking, Inputs, Sink};
use crate::failure::{Failure, Result};
use inputs::InputColumns;

/// The [`COLUMNS`](super::COLUMNS), in the order of [`DecisionColumns::column`].
const SCHEMA: &str = "
message annals {
  REQUIRED BYTE_ARRAY kind (STRING);
  REQUIRED BYTE_ARRAY id (STRING);
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
  OPTIONAL BYTE_ARRAY outcome_times (STRING);
  REQUIRED BYTE_ARRAY journal (STRING);
  OPTIONAL FLOAT propensity;
  REQUIRED GROUP action_vector (LIST) { REPEATED GROUP list { REQUIRED FLOAT element; } }
  OPTIONAL BYTE_ARRAY caused_by (STRING);
  OPTIONAL BYTE_ARRAY correlation (STRING);
  OPTIONAL BYTE_ARRAY episode (STRING);
  OPTIONAL INT64 step (INTEGER(64, false));
  REQUIRED GROUP prediction_names (LIST) {
    REPEATED GROUP list { REQUIRED BYTE_ARRAY element (STRING); }
  }
  REQUIRED GROUP predictions (LIST) { REPEATED GROUP list { REQUIRED DOUBLE element; } }
}";

/// Rows that are held until they are written together.
const GROUP: usize = 65_536;
/// The same, bytes of their inputs.
const GROUP_BYTES: usize = 64 << 20;
/// Columns of values that hardly repeat: a dictionary would only cost time.
const PLAIN: [&str; 12] = [
    "id",
    "number",
    "sequence",
    "event_time",
    "recorded_time",
    "confidence",
    "probabilities.list.element",
    "feature_hash",
    "processing_ns",
    "action_vector.list.element",
    "step",
    "predictions.list.element",
];
/// Columns of text: least and greatest would be compared with every value, and say less than the
/// dictionaries do.
const TEXTS: [&str; 17] = [
    "kind",
    "id",
    "model",
    "symbol",
    "action",
    "checkpoint",
    "labels.list.element",
    "repeat_of",
    "attributes",
    "outcome_label",
    "outcome_values",
    "outcome_times",
    "journal",
    "caused_by",
    "correlation",
    "episode",
    "prediction_names.list.element",
];

/// Writes one file.
pub struct Parquet {
    writer: SerializedFileWriter<Unfinished>,
    columns: DecisionColumns<ByteArray>,
    /// `None` if they are left out.
    inputs: Option<InputColumns>,
}

/// Result of a write that failed.
pub fn failed(error: ParquetError) -> Failure {
    Failure::io("write the Parquet file", std::io::Error::other(error))
}

fn path(name: &str) -> ColumnPath {
    ColumnPath::new(name.split('.').map(str::to_owned).collect())
}

/// The schema of a file.
fn schema(inputs: Inputs) -> String {
    match inputs {
        Inputs::LeftOut => SCHEMA.to_owned(),
        Inputs::Taken => {
            let open = SCHEMA.strip_suffix('}').unwrap_or(SCHEMA);
            format!("{open}{}\n}}", inputs::SCHEMA)
        }
    }
}

impl Parquet {
    pub fn new(file: Unfinished, journal: JournalId, packing: FilePacking) -> Result<Self> {
        let codec = match packing.compression {
            Compression::Zstd(level) => Codec::ZSTD(ZstdLevel::try_new(level).map_err(failed)?),
            Compression::None => Codec::UNCOMPRESSED,
            Compression::Snappy | Compression::Gzip(_) => Codec::SNAPPY,
        };
        let schema = Arc::new(parse_message_type(&schema(packing.inputs)).map_err(failed)?);
        let mut properties = WriterProperties::builder()
            .set_compression(codec)
            .set_created_by(concat!("annals ", env!("CARGO_PKG_VERSION")).to_owned());
        for name in PLAIN.into_iter().chain(inputs::PLAIN) {
            properties = properties.set_column_dictionary_enabled(path(name), false);
        }
        for name in TEXTS {
            let none = EnabledStatistics::None;
            properties = properties.set_column_statistics_enabled(path(name), none);
        }
        let properties = Arc::new(properties.build());
        let writer = SerializedFileWriter::new(file, schema, properties).map_err(failed)?;
        Ok(Parquet {
            writer,
            columns: DecisionColumns::new(journal),
            inputs: (packing.inputs == Inputs::Taken).then(InputColumns::default),
        })
    }

    fn write_group(&mut self) -> Result<()> {
        if self.columns.is_empty() {
            return Ok(());
        }
        let mut group = self.writer.next_row_group().map_err(failed)?;
        let mut index = 0_usize;
        while let Some(mut column) = group.next_column().map_err(failed)? {
            let of_inputs = self
                .inputs
                .as_ref()
                .zip(index.checked_sub(super::COLUMNS.len()));
            let written = match of_inputs {
                Some((inputs, index)) => inputs.write(index, column.untyped()),
                None => write_column(&self.columns, index, column.untyped()),
            };
            written.and_then(|_| column.close()).map_err(failed)?;
            index += 1;
        }
        group.close().map_err(failed)?;
        self.columns.clear();
        self.inputs.iter_mut().for_each(InputColumns::clear);
        Ok(())
    }

    /// Bytes of the rows' inputs.
    fn input_bytes(&self) -> usize {
        self.inputs.as_ref().map_or(0, |inputs| inputs.held_bytes)
    }
}

/// Writes the column with this number of the schema.
fn write_column(
    columns: &DecisionColumns<ByteArray>,
    index: usize,
    to: &mut ColumnWriter<'_>,
) -> parquet::errors::Result<usize> {
    use {ColumnValues as V, ColumnWriter as W};
    let another = || ParquetError::General("a column of another type".into());
    match (columns.column(index).ok_or_else(another)?, to) {
        (V::Text(values), W::ByteArrayColumnWriter(to)) => to.write_batch(values, None, None),
        (V::Int32(values), W::Int32ColumnWriter(to)) => to.write_batch(values, None, None),
        (V::Int64(values), W::Int64ColumnWriter(to)) => to.write_batch(values, None, None),
        (V::OptionalText(column), W::ByteArrayColumnWriter(to)) => {
            to.write_batch(&column.values, Some(&column.levels), None)
        }
        (V::OptionalInt64(column), W::Int64ColumnWriter(to)) => {
            to.write_batch(&column.values, Some(&column.levels), None)
        }
        (V::OptionalFloat(column), W::FloatColumnWriter(to)) => {
            to.write_batch(&column.values, Some(&column.levels), None)
        }
        (V::OptionalDouble(column), W::DoubleColumnWriter(to)) => {
            to.write_batch(&column.values, Some(&column.levels), None)
        }
        (V::OptionalBool(column), W::BoolColumnWriter(to)) => {
            to.write_batch(&column.values, Some(&column.levels), None)
        }
        (V::TextList(list), W::ByteArrayColumnWriter(to)) => {
            to.write_batch(&list.values, Some(&list.levels), Some(&list.repeats))
        }
        (V::FloatList(list), W::FloatColumnWriter(to)) => {
            to.write_batch(&list.values, Some(&list.levels), Some(&list.repeats))
        }
        (V::DoubleList(list), W::DoubleColumnWriter(to)) => {
            to.write_batch(&list.values, Some(&list.levels), Some(&list.repeats))
        }
        _ => Err(another()),
    }
}

impl Sink for Parquet {
    fn push(&mut self, rows: Vec<ExportRow>) -> Result<()> {
        for row in &rows {
            if let Some(decision) = row.decision() {
                self.columns.push(decision);
                if let Some(inputs) = &mut self.inputs {
                    inputs.push(row.input());
                }
            }
            if self.columns.len() >= GROUP || self.input_bytes() >= GROUP_BYTES {
                self.write_group()?;
            }
        }
        Ok(())
    }

    fn held(&self) -> usize {
        self.columns.len() + (self.input_bytes() >> 10)
    }

    fn write_out(&mut self) -> Result<()> {
        self.write_group()
    }

    fn finish(mut self: Box<Self>, _until: u64) -> Result<()> {
        self.write_group()?;
        let mut file = self.writer.into_inner().map_err(failed)?;
        file.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_columns_are_those_of_all_formats() {
        let schema = parse_message_type(SCHEMA).unwrap();
        let names: Vec<&str> = schema
            .get_fields()
            .iter()
            .map(|field| field.name())
            .collect();
        assert_eq!(names, super::super::COLUMNS);
        let with_inputs = parse_message_type(&super::schema(Inputs::Taken)).unwrap();
        assert_eq!(with_inputs.get_fields().len(), names.len() + 5);
        // The same in Arrow, where those of inputs follow.
        let arrow = annals_arrow::column_names(annals_arrow::Parts {
            outcomes: true,
            inputs: false,
        });
        assert_eq!(names, arrow);
    }
}

//! Kept inputs as columns, behind those of all formats.

use annals::entry::{InputValues, KeptInput};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;

use annals_arrow::{ListColumn, Names, Optional};

use super::column::OptionalList;
use crate::input;

/// The columns, in the order of [`InputColumns::write`].
pub const SCHEMA: &str = "
  OPTIONAL GROUP input_f32 (LIST) { REPEATED GROUP list { REQUIRED FLOAT element; } }
  OPTIONAL GROUP input_f64 (LIST) { REPEATED GROUP list { REQUIRED DOUBLE element; } }
  OPTIONAL BYTE_ARRAY input_bytes;
  REQUIRED GROUP input_names (LIST) {
    REPEATED GROUP list { REQUIRED BYTE_ARRAY element (STRING); }
  }
  OPTIONAL BYTE_ARRAY input_missing (STRING);";
/// Those whose values hardly repeat.
pub const PLAIN: [&str; 3] = [
    "input_f32.list.element",
    "input_f64.list.element",
    "input_bytes",
];

/// The inputs of the rows that are not written yet.
#[derive(Default)]
pub struct InputColumns {
    f32s: OptionalList<f32>,
    f64s: OptionalList<f64>,
    bytes: Optional<ByteArray>,
    names: ListColumn<ByteArray>,
    missing: Optional<ByteArray>,
    feature_names: Names<ByteArray>,
    /// Bytes of all.
    pub held_bytes: usize,
}

impl InputColumns {
    /// Adds a row.
    pub fn push(&mut self, input: Option<&KeptInput>) {
        let kept = match input {
            Some(KeptInput::Kept(kept)) => Some(kept),
            _ => None,
        };
        let values = kept.map(|kept| &kept.values);
        self.f32s.push(match values {
            Some(InputValues::F32(values)) => Some(&values[..]),
            _ => None,
        });
        self.f64s.push(match values {
            Some(InputValues::F64(values)) => Some(&values[..]),
            _ => None,
        });
        self.bytes.push(match values {
            Some(InputValues::Bytes(bytes)) => Some(ByteArray::from(bytes.to_vec())),
            _ => None,
        });
        let all = kept.map_or(&[][..], |kept| &kept.names);
        let names = all.iter().map(|name| self.feature_names.get(name));
        self.names.push(names);
        let missing = input.and_then(input::missing).map(ByteArray::from);
        self.missing.push(missing);
        self.held_bytes += input.map_or(0, input::bytes);
    }

    /// Writes the column with this number.
    pub fn write(&self, index: usize, to: &mut ColumnWriter<'_>) -> parquet::errors::Result<usize> {
        use ColumnWriter as W;
        match (index, to) {
            (0, W::FloatColumnWriter(to)) => {
                let list = &self.f32s;
                to.write_batch(&list.values, Some(&list.levels), Some(&list.repeats))
            }
            (1, W::DoubleColumnWriter(to)) => {
                let list = &self.f64s;
                to.write_batch(&list.values, Some(&list.levels), Some(&list.repeats))
            }
            (3, W::ByteArrayColumnWriter(to)) => {
                let list = &self.names;
                to.write_batch(&list.values, Some(&list.levels), Some(&list.repeats))
            }
            (index, W::ByteArrayColumnWriter(to)) => {
                let column = match index {
                    2 => &self.bytes,
                    _ => &self.missing,
                };
                to.write_batch(&column.values, Some(&column.levels), None)
            }
            _ => Err(ParquetError::General("a column of another type".into())),
        }
    }

    /// Forgets the rows.
    pub fn clear(&mut self) {
        self.f32s.clear();
        self.f64s.clear();
        self.bytes.clear();
        self.names.clear();
        self.missing.clear();
        self.feature_names.forget();
        self.held_bytes = 0;
    }
}

//! An answer as a Parquet file.
//!
//! The last row may decide the type of a column, and the first one is written with it. So the rows
//! wait in a temporary file until all of them are known.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::sync::Arc;

use annals_arrow::Optional;
use annals_sql::{ColumnType, ColumnTypes, ValueRef};
use parquet::basic::{Compression, LogicalType, Repetition, Type as Physical};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type;

use super::rows::distinct;
use super::{AnswerWriter, failure};
use crate::export::parquet_failure;
use crate::failure::{Failure, Result};

/// Rows, and bytes of text and blobs, that are held until they are written together.
const GROUP_ROWS: usize = 65_536;
const GROUP_BYTES: usize = 64 << 20;

/// Writes one answer.
pub(super) struct ParquetRows<'a> {
    columns: Vec<String>,
    types: ColumnTypes,
    waiting: BufWriter<File>,
    rows: u64,
    to: &'a File,
}

fn waiting_failed(cause: io::Error) -> Failure {
    Failure::io("keep the rows in a temporary file", cause)
}

impl<'a> ParquetRows<'a> {
    pub(super) fn new(columns: &[String], to: &'a File) -> Result<Self> {
        let waiting = tempfile::tempfile().map_err(waiting_failed)?;
        Ok(ParquetRows {
            columns: distinct(columns),
            types: ColumnTypes::new(columns.len()),
            waiting: BufWriter::new(waiting),
            rows: 0,
            to,
        })
    }
}

impl AnswerWriter for ParquetRows<'_> {
    fn row(&mut self, row: &[ValueRef<'_>]) -> Result<()> {
        self.types.see(row);
        self.rows += 1;
        for value in row {
            put(*value, &mut self.waiting).map_err(waiting_failed)?;
        }
        Ok(())
    }

    fn finish(self) -> Result<()> {
        let types = self.types.types(&self.columns).map_err(failure)?;
        let schema = schema(&self.columns, &types).map_err(parquet_failure)?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_created_by(concat!("annals ", env!("CARGO_PKG_VERSION")).to_owned());
        let properties = Arc::new(properties.build());
        let to = BufWriter::new(self.to);
        let file = SerializedFileWriter::new(to, schema, properties);
        let mut file = file.map_err(parquet_failure)?;
        let waiting = self.waiting.into_inner();
        let mut waiting = waiting.map_err(|error| waiting_failed(error.into_error()))?;
        waiting.rewind().map_err(waiting_failed)?;
        let mut waiting = BufReader::new(waiting);
        let mut columns: Vec<AnswerColumn> = types.iter().map(|kind| (*kind).into()).collect();
        let (mut rows, mut bytes) = (0, 0);
        for _ in 0..self.rows {
            for column in &mut columns {
                bytes += column.take(&mut waiting).map_err(waiting_failed)?;
            }
            rows += 1;
            if rows == GROUP_ROWS || bytes >= GROUP_BYTES {
                write_group(&mut file, &mut columns).map_err(parquet_failure)?;
                (rows, bytes) = (0, 0);
            }
        }
        if rows > 0 {
            write_group(&mut file, &mut columns).map_err(parquet_failure)?;
        }
        file.finish().map_err(parquet_failure)?;
        file.inner_mut().flush().map_err(Failure::from)
    }
}

fn schema(names: &[String], types: &[ColumnType]) -> parquet::errors::Result<Arc<Type>> {
    let fields = names.iter().zip(types).map(|(name, kind)| {
        let (physical, logical) = match kind {
            ColumnType::Integer => (Physical::INT64, None),
            ColumnType::Real => (Physical::DOUBLE, None),
            ColumnType::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
            ColumnType::Blob => (Physical::BYTE_ARRAY, None),
        };
        let field = Type::primitive_type_builder(name, physical)
            .with_repetition(Repetition::OPTIONAL)
            .with_logical_type(logical);
        Ok(Arc::new(field.build()?))
    });
    let fields = fields.collect::<parquet::errors::Result<Vec<_>>>()?;
    let schema = Type::group_type_builder("answer").with_fields(fields);
    Ok(Arc::new(schema.build()?))
}

fn write_group<W: Write + Send>(
    file: &mut SerializedFileWriter<W>,
    columns: &mut [AnswerColumn],
) -> parquet::errors::Result<()> {
    let mut group = file.next_row_group()?;
    for column in columns {
        let Some(mut to) = group.next_column()? else {
            break;
        };
        column.write(to.untyped())?;
        to.close()?;
    }
    group.close().map(drop)
}

/// The values of a column that are not written yet.
enum AnswerColumn {
    Integer(Optional<i64>),
    Real(Optional<f64>),
    Bytes(Optional<ByteArray>),
}

impl From<ColumnType> for AnswerColumn {
    fn from(kind: ColumnType) -> Self {
        match kind {
            ColumnType::Integer => AnswerColumn::Integer(Optional::default()),
            ColumnType::Real => AnswerColumn::Real(Optional::default()),
            ColumnType::Text | ColumnType::Blob => AnswerColumn::Bytes(Optional::default()),
        }
    }
}

impl AnswerColumn {
    /// Takes the next value that waits; how many bytes it holds.
    fn take(&mut self, waiting: &mut impl Read) -> io::Result<usize> {
        let value = next(waiting)?;
        match (self, value) {
            (AnswerColumn::Integer(column), WaitingValue::Integer(number)) => {
                column.push(Some(number));
            }
            (AnswerColumn::Real(column), WaitingValue::Real(number)) => column.push(Some(number)),
            (AnswerColumn::Real(column), WaitingValue::Integer(number)) => {
                // The types have made sure of it: none is beyond 2^53.
                #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53")]
                column.push(Some(number as f64));
            }
            (AnswerColumn::Bytes(column), WaitingValue::Bytes(bytes)) => {
                let held = bytes.len();
                column.push(Some(ByteArray::from(bytes)));
                return Ok(held);
            }
            (AnswerColumn::Integer(column), _) => column.push(None),
            (AnswerColumn::Real(column), _) => column.push(None),
            (AnswerColumn::Bytes(column), _) => column.push(None),
        }
        Ok(0)
    }

    fn write(&mut self, to: &mut ColumnWriter<'_>) -> parquet::errors::Result<()> {
        match (self, to) {
            (AnswerColumn::Integer(column), ColumnWriter::Int64ColumnWriter(to)) => {
                to.write_batch(&column.values, Some(&column.levels), None)?;
                column.clear();
            }
            (AnswerColumn::Real(column), ColumnWriter::DoubleColumnWriter(to)) => {
                to.write_batch(&column.values, Some(&column.levels), None)?;
                column.clear();
            }
            (AnswerColumn::Bytes(column), ColumnWriter::ByteArrayColumnWriter(to)) => {
                to.write_batch(&column.values, Some(&column.levels), None)?;
                column.clear();
            }
            _ => return Err(ParquetError::General("a column of another type".into())),
        }
        Ok(())
    }
}

/// A value read back from the temporary file.
enum WaitingValue {
    Null,
    Integer(i64),
    Real(f64),
    Bytes(Vec<u8>),
}

/// What stands before a value in the temporary file.
const NULL: u8 = 0;
const INTEGER: u8 = 1;
const REAL: u8 = 2;
const BYTES: u8 = 3;

fn put(value: ValueRef<'_>, to: &mut impl Write) -> io::Result<()> {
    let lossy;
    let bytes = match value {
        ValueRef::Null => return to.write_all(&[NULL]),
        ValueRef::Integer(number) => {
            to.write_all(&[INTEGER])?;
            return to.write_all(&number.to_le_bytes());
        }
        ValueRef::Real(number) => {
            to.write_all(&[REAL])?;
            return to.write_all(&number.to_le_bytes());
        }
        // SQLite does not check that text is UTF-8; readers of the file do.
        ValueRef::Text(text) => {
            lossy = String::from_utf8_lossy(text);
            lossy.as_bytes()
        }
        ValueRef::Blob(bytes) => bytes,
    };
    to.write_all(&[BYTES])?;
    to.write_all(&(bytes.len() as u64).to_le_bytes())?;
    to.write_all(bytes)
}

fn next(waiting: &mut impl Read) -> io::Result<WaitingValue> {
    let mut kind = [0];
    waiting.read_exact(&mut kind)?;
    if kind == [NULL] {
        return Ok(WaitingValue::Null);
    }
    let mut word = [0; 8];
    waiting.read_exact(&mut word)?;
    Ok(match kind {
        [INTEGER] => WaitingValue::Integer(i64::from_le_bytes(word)),
        [REAL] => WaitingValue::Real(f64::from_le_bytes(word)),
        _ => {
            let mut bytes = Vec::new();
            let length = u64::from_le_bytes(word);
            // As many as there are: the length alone reserves nothing.
            let read = waiting.by_ref().take(length).read_to_end(&mut bytes)?;
            if read as u64 != length {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            WaitingValue::Bytes(bytes)
        }
    })
}

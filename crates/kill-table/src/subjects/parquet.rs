//! Parquet: one file that is closed at the end, and a closed file for each 10,000 decisions.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use parquet::column::reader::ColumnReader;
use parquet::column::writer::ColumnWriter;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use super::{BATCH, Found, Kind, Subject, now, signed, unsigned};
use crate::child::OUTCOME;

/// Rows of a row group of the file that stays open.
const GROUP: usize = 1_000;
const SCHEMA: &str = "message decision {
    required int64 number;
    required boolean is_outcome;
    required int64 time (TIMESTAMP_MICROS);
    required float confidence;
}";

pub const ONE_FILE: Kind = Kind {
    name: "parquet",
    description: "Parquet, one file, a row group for 1,000 decisions",
    promise: None,
    open: |dir| open(dir, Files::One),
    read,
};

pub const MANY_FILES: Kind = Kind {
    name: "parquet-files",
    description: "Parquet, a file for 10,000 decisions, closed and renamed",
    promise: None,
    open: |dir| open(dir, Files::Many),
    read,
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Files {
    One,
    Many,
}

struct Rows {
    dir: PathBuf,
    files: Files,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    writer: Option<SerializedFileWriter<File>>,
    rows: Vec<(u64, i64)>,
    written: usize,
}

fn open(dir: &Path, files: Files) -> Result<Box<dyn Subject>> {
    Ok(Box::new(Rows {
        dir: dir.to_owned(),
        files,
        inner: Mutex::default(),
    }))
}

fn start(path: &Path) -> Result<SerializedFileWriter<File>> {
    let schema = Arc::new(parse_message_type(SCHEMA)?);
    let properties = Arc::new(WriterProperties::default());
    Ok(SerializedFileWriter::new(
        File::create(path)?,
        schema,
        properties,
    )?)
}

fn write(writer: &mut SerializedFileWriter<File>, rows: &[(u64, i64)]) -> Result<()> {
    let number = |(number, _): &(u64, i64)| signed(number & !OUTCOME);
    let numbers: Vec<i64> = rows.iter().map(number).collect();
    let are_outcomes: Vec<bool> = rows
        .iter()
        .map(|(number, _)| number & OUTCOME != 0)
        .collect();
    let times: Vec<i64> = rows.iter().map(|(_, time)| *time).collect();
    let confidences = vec![super::CONFIDENCE; rows.len()];
    let mut group = writer.next_row_group()?;
    let mut place = 0;
    while let Some(mut column) = group.next_column()? {
        match (place, column.untyped()) {
            (0, ColumnWriter::Int64ColumnWriter(to)) => to.write_batch(&numbers, None, None),
            (1, ColumnWriter::BoolColumnWriter(to)) => to.write_batch(&are_outcomes, None, None),
            (2, ColumnWriter::Int64ColumnWriter(to)) => to.write_batch(&times, None, None),
            (3, ColumnWriter::FloatColumnWriter(to)) => to.write_batch(&confidences, None, None),
            _ => bail!("a column that the schema does not have"),
        }?;
        column.close()?;
        place += 1;
    }
    group.close()?;
    Ok(())
}

impl Subject for Rows {
    fn log(&self, number: u64) -> Result<bool> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.rows.push((number, now()));
        let full = match self.files {
            Files::One => GROUP,
            Files::Many => BATCH,
        };
        if inner.rows.len() < full {
            return Ok(true);
        }
        let rows = std::mem::take(&mut inner.rows);
        match self.files {
            Files::One => {
                if inner.writer.is_none() {
                    inner.writer = Some(start(&self.dir.join("0.parquet"))?);
                }
                let writer = inner.writer.as_mut().context("it was just made")?;
                write(writer, &rows)?;
            }
            Files::Many => {
                let unfinished = self.dir.join("unfinished");
                let mut writer = start(&unfinished)?;
                write(&mut writer, &rows)?;
                writer.close()?;
                let name = format!("{}.parquet", inner.written);
                fs::rename(&unfinished, self.dir.join(name))?;
                inner.written += 1;
            }
        }
        Ok(true)
    }

    fn attach_outcome(&self, number: u64) -> Result<bool> {
        self.log(number | OUTCOME)
    }
}

fn read(dir: &Path) -> Result<Found> {
    let mut found = Found::default();
    for file in 0.. {
        let path = dir.join(format!("{file}.parquet"));
        if !path.exists() {
            break;
        }
        let file = SerializedFileReader::new(File::open(&path)?)?;
        for group in 0..file.num_row_groups() {
            let group = file.get_row_group(group)?;
            let rows = usize::try_from(group.metadata().num_rows())?;
            let (mut numbers, mut are_outcomes) = (Vec::new(), Vec::new());
            if let ColumnReader::Int64ColumnReader(mut column) = group.get_column_reader(0)? {
                column.read_records(rows, None, None, &mut numbers)?;
            }
            if let ColumnReader::BoolColumnReader(mut column) = group.get_column_reader(1)? {
                column.read_records(rows, None, None, &mut are_outcomes)?;
            }
            for (number, is_outcome) in numbers.into_iter().zip(are_outcomes) {
                let outcome = if is_outcome { OUTCOME } else { 0 };
                found.take(unsigned(number) | outcome);
            }
        }
    }
    Ok(found)
}

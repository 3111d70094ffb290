//! Comma-separated values, with the same columns as Parquet.
//!
//! They are written here, because a missing text is told from an empty one: nothing stands between
//! the commas, or a pair of quotation marks.

use annals::JournalId;

use super::file::Finish;
use super::{COLUMNS, Cells, ExportRow, Sink};
use crate::entries;
use crate::failure::{Failure, Result};

/// Characters that begin a formula for a spreadsheet, or that it skips before one.
const FORMULA: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// A cell, between two commas.
#[derive(Clone)]
enum CsvCell {
    Missing,
    /// A given name or text: it may be empty, and look like a formula.
    Text(String),
    /// The command's own form of a number, a time, an id or a list.
    Plain(String),
}

impl CsvCell {
    fn write(&self, cells: Cells, line: &mut String) {
        let text = match self {
            CsvCell::Missing => return,
            CsvCell::Text(text) | CsvCell::Plain(text) => text,
        };
        let is_text = matches!(self, CsvCell::Text(_));
        let is_formula = is_text && cells == Cells::Safe && text.starts_with(FORMULA);
        let is_quoted = text.is_empty() || text.contains([',', '"', '\n', '\r']);
        if is_quoted {
            line.push('"');
        }
        if is_formula {
            line.push('\'');
        }
        if is_quoted {
            line.push_str(&text.replace('"', "\"\""));
            line.push('"');
        } else {
            line.push_str(text);
        }
    }
}

fn text(text: &str) -> CsvCell {
    CsvCell::Text(text.to_owned())
}

fn plain(value: impl ToString) -> CsvCell {
    CsvCell::Plain(value.to_string())
}

/// A cell, if there is something to write.
fn maybe<T>(value: Option<T>, cell: impl FnOnce(T) -> CsvCell) -> CsvCell {
    value.map_or(CsvCell::Missing, cell)
}

/// Writes comma-separated values.
pub struct Csv<W: Finish> {
    to: W,
    journal: String,
    cells: Cells,
    line: String,
}

impl<W: Finish> Csv<W> {
    pub fn new(mut to: W, journal: JournalId, cells: Cells) -> Result<Self> {
        let heading = format!("{}\n", COLUMNS.join(","));
        to.write_all(heading.as_bytes()).map_err(failed)?;
        Ok(Csv {
            to,
            journal: journal.to_string(),
            cells,
            line: String::new(),
        })
    }
}

fn failed(cause: std::io::Error) -> Failure {
    Failure::io("write the CSV", cause)
}

impl<W: Finish> Sink for Csv<W> {
    fn push(&mut self, rows: Vec<ExportRow>) -> Result<()> {
        for row in &rows {
            let Some(fields) = fields(row, &self.journal) else {
                continue;
            };
            self.line.clear();
            for (index, field) in fields.iter().enumerate() {
                if index > 0 {
                    self.line.push(',');
                }
                field.write(self.cells, &mut self.line);
            }
            self.line.push('\n');
            self.to.write_all(self.line.as_bytes()).map_err(failed)?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>, _until: u64) -> Result<()> {
        self.to.finish()
    }
}

/// The fields of a row; gaps and events have none.
fn fields(row: &ExportRow, journal: &str) -> Option<[CsvCell; COLUMNS.len()]> {
    let mut fields = [const { CsvCell::Missing }; COLUMNS.len()];
    let mut set = |name: &str, value: CsvCell| {
        if let Some(index) = COLUMNS.iter().position(|column| *column == name) {
            fields[index] = value;
        }
    };
    let nanos = |time: Option<std::time::Duration>| maybe(time, |time| plain(time.as_nanos()));
    let id = row.id()?;
    set("id", plain(id));
    set("run", plain(id.run().get()));
    set("number", plain(id.counter()));
    set("sequence", plain(row.sequence()));
    set("journal", plain(journal));
    let known = match row {
        ExportRow::Inference(record, outcomes, _) => {
            set("kind", plain("inference"));
            set("event_time", plain(record.event_time));
            set("recorded_time", plain(record.recorded_time));
            set("model", text(&record.model));
            set("symbol", text(&record.symbol));
            set("action", text(&record.action));
            set("checkpoint", maybe(record.checkpoint.as_deref(), text));
            set("confidence", maybe(record.confidence, plain));
            if !record.probabilities.is_empty() {
                let labels: Vec<&str> = record.probabilities.iter().map(|(l, _)| l).collect();
                set("labels", plain(serde_json::Value::from(labels)));
                let values = record.probabilities.values().iter();
                let values: serde_json::Value = values.map(|v| entries::real32(*v)).collect();
                set("probabilities", plain(values));
            }
            let hash = record.feature_hash;
            set(
                "feature_hash",
                maybe(hash, |hash| plain(format!("{hash:016x}"))),
            );
            set("processing_ns", nanos(record.processing_time));
            set("memory_bytes", maybe(record.memory, plain));
            set("divergent", plain(record.divergent));
            if !record.attributes.is_empty() {
                set("attributes", plain(entries::values(&record.attributes)));
            }
            set("propensity", maybe(record.propensity, plain));
            if !record.action_vector.is_empty() {
                let values = record.action_vector.iter();
                let values: serde_json::Value = values.map(|v| entries::real32(*v)).collect();
                set("action_vector", plain(values));
            }
            set("caused_by", maybe(record.caused_by, plain));
            set("correlation", maybe(record.correlation.as_deref(), text));
            set("episode", maybe(record.episode, plain));
            set("step", maybe(record.step, plain));
            if !record.predictions.is_empty() {
                let predictions = record.predictions.iter();
                let names: serde_json::Value =
                    predictions.clone().map(|(name, _)| &**name).collect();
                set("prediction_names", plain(names));
                let values: serde_json::Value = predictions
                    .map(|(_, number)| entries::real(*number))
                    .collect();
                set("predictions", plain(values));
            }
            outcomes.as_ref().map(|judged| &judged.now)
        }
        ExportRow::Repeat(repeat, recorded, _, outcomes, _) => {
            set("kind", plain("repeat"));
            set("event_time", plain(repeat.event_time));
            set("recorded_time", plain(recorded));
            set("model", text(&repeat.model));
            set("symbol", text(&repeat.symbol));
            set("action", text(&repeat.action));
            set("checkpoint", maybe(repeat.checkpoint.as_deref(), text));
            set("confidence", maybe(repeat.confidence, plain));
            set("processing_ns", nanos(repeat.processing_time));
            set("repeat_of", plain(repeat.original));
            outcomes.as_ref().map(|judged| &judged.now)
        }
        ExportRow::Late(outcome, recorded, _) => {
            set("kind", plain("outcome"));
            set("recorded_time", plain(recorded));
            set("reward", maybe(outcome.reward, plain));
            set("correct", maybe(outcome.correct, plain));
            set("outcome_label", maybe(outcome.label.as_deref(), text));
            let named = outcome.values.iter();
            let named = named.map(|(name, value)| (&**name, *value));
            set("outcome_values", maybe(entries::named_values(named), plain));
            set("outcome_time", plain(outcome.time));
            None
        }
        ExportRow::Gap(..) | ExportRow::Event(_) => return None,
    };
    if let Some(known) = known {
        set("reward", maybe(known.reward, |latest| plain(latest.value)));
        set(
            "correct",
            maybe(known.correct, |latest| plain(latest.value)),
        );
        let label = known.label.as_ref();
        set("outcome_label", maybe(label, |latest| text(&latest.value)));
        let named = known.values.iter();
        let named = named.map(|(name, latest)| (&**name, latest.value));
        set("outcome_values", maybe(entries::named_values(named), plain));
        set("outcome_time", maybe(entries::latest(known), plain));
        set("outcome_times", maybe(entries::other_times(known), plain));
    }
    Some(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_formula_is_told_to_be_text() {
        let written = |cell: CsvCell, cells| {
            let mut line = String::new();
            cell.write(cells, &mut line);
            line
        };
        for (named, safe) in [
            ("=1+1", "'=1+1"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\t=1"),
            ("\r=1", "\"'\r=1\""),
            ("=\"a\",b", "\"'=\"\"a\"\",b\""),
            ("", "\"\""),
            ("a=1", "a=1"),
            ("'=1", "'=1"),
        ] {
            assert_eq!(written(text(named), Cells::Safe), safe);
            let as_it_is = written(text(named), Cells::AsTheyAre);
            assert_eq!(
                as_it_is,
                safe.replacen("'", "", usize::from(named != "'=1"))
            );
        }
        assert_eq!(written(plain(-1.5), Cells::Safe), "-1.5");
        assert_eq!(written(plain(f64::NEG_INFINITY), Cells::Safe), "-inf");
        assert_eq!(written(plain(f32::NAN), Cells::Safe), "NaN");
        assert_eq!(written(CsvCell::Missing, Cells::Safe), "");
    }
}

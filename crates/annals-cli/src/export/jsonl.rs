//! JSON lines: everything that an import needs to give the same journal again.

use std::io;

use annals::JournalId;
use serde_json::{Value as Json, json};

use super::file::Finish;
use super::{Row, Sink};
use crate::entries;
use crate::failure::Result;

/// Writes JSON lines.
pub struct Jsonl<W: Finish> {
    to: W,
    journal: String,
}

impl<W: Finish> Jsonl<W> {
    pub fn new(to: W, journal: JournalId) -> Self {
        Jsonl {
            to,
            journal: journal.to_string(),
        }
    }
}

impl<W: Finish> Sink for Jsonl<W> {
    fn push(&mut self, rows: Vec<Row>) -> Result<()> {
        for row in rows {
            let mut json = as_json(&row);
            json["journal"] = Json::from(self.journal.as_str());
            serde_json::to_writer(&mut self.to, &json).map_err(io::Error::from)?;
            self.to.write_all(b"\n")?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        self.to.finish()
    }
}

fn as_json(row: &Row) -> Json {
    match row {
        Row::Inference(record, outcomes) => entries::record(record, outcomes.as_ref()),
        Row::Repeat(repeat, recorded, sequence, outcomes) => {
            let mut json = entries::repeat(repeat);
            json["sequence"] = json!(sequence);
            json["recorded_time"] = json!(recorded.to_string());
            if let Some(outcomes) = outcomes {
                json["outcome"] = entries::outcome(outcomes);
            }
            json
        }
        Row::Late(outcome, recorded, sequence) => {
            let mut json = entries::late(outcome);
            json["sequence"] = json!(sequence);
            json["recorded_time"] = json!(recorded.to_string());
            json
        }
        Row::Gap(gap, recorded) => {
            let mut json = entries::gap(gap);
            json["recorded_time"] = json!(recorded.to_string());
            json
        }
    }
}

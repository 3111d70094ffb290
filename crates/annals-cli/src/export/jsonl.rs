//! JSON lines: everything that an import needs to give the same journal again.

use annals::{Content, JournalId, Value};
use serde_json::{Value as Json, json};

use super::file::Finish;
use super::{ExportRow, Sink};
use crate::entries;
use crate::failure::Result;
use crate::input;

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
    fn push(&mut self, rows: Vec<ExportRow>) -> Result<()> {
        for row in rows {
            let mut json = as_json(&row);
            json["journal"] = Json::from(self.journal.as_str());
            if let Some(id) = row.id() {
                json["run"] = json!(id.run().get());
                json["number"] = json!(id.counter());
            }
            let (name, pairs) = pairs(&row);
            let text = match (&mut json, pairs) {
                (Json::Object(fields), [_, ..]) => {
                    fields.remove(name);
                    let text = json.to_string();
                    // An object in memory would sort them, and lose those of one name.
                    let open = text.strip_suffix('}').unwrap_or(&text);
                    format!("{open},\"{name}\":{}}}", in_order(pairs))
                }
                _ => json.to_string(),
            };
            match row.input() {
                None => self.to.write_all(text.as_bytes())?,
                Some(input) => {
                    let open = text.strip_suffix('}').unwrap_or(&text);
                    let input = input::as_text(input);
                    self.to
                        .write_all(format!("{open},\"input\":{input}}}").as_bytes())?;
                }
            }
            self.to.write_all(b"\n")?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>, _until: u64) -> Result<()> {
        self.to.finish()
    }
}

/// Names and values of a row, with their keys.
fn pairs(row: &ExportRow) -> (&'static str, &[(String, Value)]) {
    match row {
        ExportRow::Inference(record, ..) => ("attributes", &record.attributes),
        ExportRow::Event(entry) => match &entry.content {
            Content::SystemEvent(event) => ("fields", &event.fields),
            _ => ("fields", &[]),
        },
        _ => ("attributes", &[]),
    }
}

fn in_order(pairs: &[(String, Value)]) -> String {
    let pairs = pairs.iter().map(|(name, value)| {
        let name = Json::from(name.as_str());
        format!("{name}:{}", entries::value(value))
    });
    format!("{{{}}}", pairs.collect::<Vec<_>>().join(","))
}

fn as_json(row: &ExportRow) -> Json {
    let (mut json, sequence, recorded) = match row {
        ExportRow::Inference(record, judged, _) => {
            let now = judged.as_ref().map(|judged| &judged.now);
            let mut json = entries::record(record, now);
            if let Some(judged) = judged {
                json["outcomes"] = entries::history(&judged.history);
            }
            return json;
        }
        ExportRow::Event(entry) => return entries::entry(entry),
        ExportRow::Repeat(repeat, recorded, sequence, judged, _) => {
            let mut json = entries::repeat(repeat);
            if let Some(judged) = judged {
                json["outcome"] = entries::outcome(&judged.now);
                json["outcomes"] = entries::history(&judged.history);
            }
            (json, *sequence, *recorded)
        }
        ExportRow::Late(outcome, recorded, sequence) => {
            (entries::late(outcome), *sequence, *recorded)
        }
        ExportRow::Gap(gap, recorded) => (entries::gap(gap), gap.sequence, *recorded),
    };
    json["sequence"] = json!(sequence);
    json["recorded_time"] = json!(recorded.to_string());
    json
}

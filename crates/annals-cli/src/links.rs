//! The causes of a decision, and the decisions that it caused.

use std::collections::HashSet;
use std::time::Duration;

use annals::{InferenceId, InferenceRecord, Reader, Timestamp};
use serde_json::{Value as Json, json};

use crate::entries;
use crate::failure::Result;
use crate::output::{Out, style};
use crate::units;

/// Causes that are followed, one from the other.
const DEEPEST: usize = 32;
/// Decisions that are shown of those that one has caused.
const MOST: usize = 20;
/// How far event times are searched for them.
const SEARCHED: Duration = Duration::from_secs(3_600);

/// Why a chain of causes ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    /// The last one has no cause.
    First,
    /// This one is not there: it never arrived, is retired or was lost.
    Missing(InferenceId),
    /// This one is in the chain already.
    Circle(InferenceId),
    /// More than are followed.
    TooDeep,
}

/// Links of one decision.
pub struct Links {
    /// Its cause, the cause's cause, and so on.
    causes: Vec<InferenceRecord>,
    end: End,
    caused: Vec<InferenceRecord>,
    /// The end of the event times that were searched for those.
    until: Timestamp,
}

impl Links {
    /// Looks them up: a look-up for each cause, and a scan of an hour for what was caused.
    pub fn of(reader: &Reader, record: &InferenceRecord) -> Result<Links> {
        let (mut causes, mut seen) = (Vec::new(), HashSet::from([record.id]));
        let mut next = record.caused_by;
        let end = loop {
            let Some(id) = next else { break End::First };
            if !seen.insert(id) {
                break End::Circle(id);
            }
            if causes.len() == DEEPEST {
                break End::TooDeep;
            }
            let Some(cause) = reader.get(id)? else {
                break End::Missing(id);
            };
            next = cause.caused_by;
            causes.push(cause);
        };
        let until = record.event_time.saturating_add(SEARCHED);
        let query = reader.inferences().caused_by(record.id);
        // One more than is shown: then there are more.
        let query = query.since(record.event_time).until(until).limit(MOST + 1);
        let caused = query.iter().collect::<annals::Result<_>>()?;
        Ok(Links {
            causes,
            end,
            caused,
            until,
        })
    }

    /// The chain, and how it ends.
    pub fn causes_as_json(&self) -> Json {
        let (end, id) = match self.end {
            End::First => ("first", None),
            End::Missing(id) => ("missing", Some(id)),
            End::Circle(id) => ("circle", Some(id)),
            End::TooDeep => ("too_deep", None),
        };
        let chain = self.causes.iter().map(|one| entries::record(one, None));
        json!({ "chain": chain.collect::<Vec<_>>(), "end": end, "id": id })
    }

    /// What was caused, and what was searched for it.
    pub fn caused_as_json(&self) -> Json {
        let found = self.caused.iter().take(MOST);
        let found = found.map(|one| entries::record(one, None));
        json!({
            "found": found.collect::<Vec<_>>(),
            "has_more": self.caused.len() > MOST,
            "searched_until": self.until,
        })
    }

    /// Prints them; of the causes nothing for a decision without any.
    pub fn print(&self, out: &mut Out) -> Result<()> {
        let line = |record: &InferenceRecord, out: &Out| {
            let line = out.zone.line(record.to_string(), record.event_time);
            format!("  {:<14} {line}", record.id.to_string())
        };
        if !self.causes.is_empty() || self.end != End::First {
            out.line(out.paint(style::HEAD, "caused by"))?;
            for cause in &self.causes {
                out.line(line(cause, out))?;
            }
            match self.end {
                End::First => {}
                End::Missing(id) => out.line(format!(
                    "  {:<14} not there: it never arrived, is retired or was lost",
                    id.to_string()
                ))?,
                End::Circle(id) => out.line(format!(
                    "  {:<14} a circle: it is in this chain already",
                    id.to_string()
                ))?,
                End::TooDeep => {
                    out.line(format!("  and further: {DEEPEST} causes are followed"))?;
                }
            }
            out.line("")?;
        }
        if self.caused.is_empty() {
            out.line("no decision within the next hour names it as its cause")?;
            out.line("")?;
        } else {
            out.line(out.paint(style::HEAD, "has caused, within the next hour"))?;
            for caused in self.caused.iter().take(MOST) {
                out.line(line(caused, out))?;
            }
            if self.caused.len() > MOST {
                let most = units::counted(MOST as u64, "decision");
                out.line(format!("  and more: the first {most} are shown"))?;
            }
            out.line("")?;
        }
        Ok(())
    }
}

//! Entries as people read them: what `Display` prints is the line of the text files, in UTC and
//! without its end. Specified in `FORMAT.md`.

use std::fmt;
use std::time::Duration;

use super::line::{
    InferenceLine, RepeatLine, Stamps, column, escape_bracketed_into, escape_into,
    push_checkpoint_event, push_inference, push_outcome, push_repeat, push_system_event,
};
use crate::entry::gap::GapReason;
use crate::entry::ids::InferenceId;
use crate::entry::outcome::OutcomeEntry;
use crate::entry::record::{Content, Entry, Gap, InferenceRecord, Repeat};
use crate::entry::timestamp::Timestamp;
use crate::entry::value::Value;
use crate::options::logs::Zone;

/// The line of the text files. `{:#}` writes processing times of less than 0.1 ms in µs.
///
/// ```
/// # use annals::{Inference, Journal, Timestamp};
/// # use std::time::Duration;
/// # let journal = Journal::in_memory()?;
/// journal.log(
///     Inference::new("dqn_agent", "ETH/USDT", "BUY")
///         .confidence(0.85)
///         .processing_time(Duration::from_micros(12_500))
///         .event_time(Timestamp::from_micros(1_753_454_079_000_000)),
/// );
/// journal.flush().wait(Duration::from_secs(5))?;
/// let record = journal.reader()?.newest(1).next().transpose()?.expect("was logged");
/// assert_eq!(
///     record.to_string(),
///     "2025-07-25 14:34:39 | dqn_agent       | ETH/USDT   | BUY  | conf=0.850 | time=  12.5ms"
/// );
/// # journal.log(Inference::new("m", "s", "BUY").processing_time(Duration::from_nanos(40)));
/// # journal.flush().wait(Duration::from_secs(5))?;
/// # let record = journal.reader()?.newest(1).next().transpose()?.expect("was logged");
/// # assert!(record.to_string().ends_with("| time=   0.0ms"));
/// # assert!(format!("{record:#}").ends_with("| time=  0.04µs"));
/// # Ok::<(), annals::Error>(())
/// ```
impl fmt::Display for InferenceRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Names::new(&self.model, &self.symbol, &self.action);
        let checkpoint = self.checkpoint.as_deref().map(bracketed);
        printed(f, |out, stamps| match self.repeat_of {
            Some(original) => {
                let time = (self.event_time, self.processing_time);
                push_repeat(out, stamps, &names.repeat(time, original, &checkpoint));
            }
            None => push_inference(
                out,
                stamps,
                &InferenceLine {
                    time: self.event_time.as_micros(),
                    model: &names.model,
                    symbol: &names.symbol,
                    action: &names.action,
                    confidence: self.confidence.unwrap_or(f32::NAN),
                    processing_nanos: self.processing_time.map(nanos),
                    checkpoint: checkpoint.as_deref(),
                },
            ),
        })
    }
}

/// The line of the text files.
impl fmt::Display for Repeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Names::new(&self.model, &self.symbol, &self.action);
        let checkpoint = self.checkpoint.as_deref().map(bracketed);
        printed(f, |out, stamps| {
            let time = (self.event_time, self.processing_time);
            push_repeat(out, stamps, &names.repeat(time, self.original, &checkpoint));
        })
    }
}

/// The line of the text files.
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let recorded = self.recorded_time.as_micros();
        match &self.content {
            Content::Inference(record) => record.fmt(f),
            Content::Repeat(repeat) => repeat.fmt(f),
            Content::Gap(gap) => {
                let message = gap_message(gap);
                printed(f, |out, stamps| {
                    push_system_event(out, stamps, recorded, "WARN", "annals", &message);
                })
            }
            Content::SystemEvent(event) => {
                let message = with_fields(&event.message, &event.fields);
                let (level, component) = (event.level.as_str(), &event.component);
                printed(f, |out, stamps| {
                    push_system_event(out, stamps, recorded, level, component, &message);
                })
            }
            Content::Outcome(outcome) => {
                let (of, values) = (outcome.of.to_string(), outcome_values(outcome));
                let time = outcome.time.as_micros();
                printed(f, |out, stamps| {
                    push_outcome(out, stamps, time, &of, &values)
                })
            }
            Content::CheckpointEvent(event) => printed(f, |out, stamps| {
                let (model, id) = (&event.model, &event.checkpoint);
                let (action, detail) = (event.action.as_str(), &event.detail);
                push_checkpoint_event(out, stamps, recorded, action, model, id, detail);
            }),
        }
    }
}

/// The names of a line, as they stand in their columns.
struct Names {
    model: Box<[u8]>,
    symbol: Box<[u8]>,
    action: Box<[u8]>,
}

impl Names {
    fn new(model: &str, symbol: &str, action: &str) -> Self {
        Names {
            model: column(model, 15),
            symbol: column(symbol, 10),
            action: column(action, 4),
        }
    }

    fn repeat<'a>(
        &'a self,
        (time, processing): (Timestamp, Option<Duration>),
        original: InferenceId,
        checkpoint: &'a Option<Vec<u8>>,
    ) -> RepeatLine<'a> {
        RepeatLine {
            time: time.as_micros(),
            model: &self.model,
            symbol: &self.symbol,
            action: &self.action,
            original_run: original.run().get(),
            original_counter: original.counter(),
            processing_nanos: processing.map(nanos),
            checkpoint: checkpoint.as_deref(),
        }
    }
}

/// `name=value` for each value, with spaces between them.
fn outcome_values(outcome: &OutcomeEntry) -> Vec<u8> {
    let built_in = [
        outcome
            .reward
            .map(|reward| format!("reward={reward}").into_bytes()),
        outcome
            .correct
            .map(|correct| format!("correct={correct}").into_bytes()),
        outcome.label.as_ref().map(|label| {
            let mut value = b"label=".to_vec();
            escape_into(&mut value, label);
            value
        }),
    ];
    let named = outcome.values.iter().map(|(name, value)| {
        let mut named = Vec::new();
        escape_into(&mut named, name);
        named.extend_from_slice(format!("={value}").as_bytes());
        named
    });
    let values: Vec<Vec<u8>> = built_in.into_iter().flatten().chain(named).collect();
    values.join(&b' ')
}

fn bracketed(id: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(id.len());
    escape_bracketed_into(&mut out, id);
    out
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn printed(
    f: &mut fmt::Formatter<'_>,
    push: impl FnOnce(&mut Vec<u8>, &mut Stamps),
) -> fmt::Result {
    let mut line = Vec::new();
    push(
        &mut line,
        &mut Stamps::new(Zone::Utc).short_times(f.alternate()),
    );
    // Made of `str`s and ASCII; the line's end is the caller's.
    f.write_str(String::from_utf8_lossy(&line).trim_end_matches('\n'))
}

/// A system event's message, with what belongs to it behind it.
pub(crate) fn with_fields(message: &str, fields: &[(String, Value)]) -> String {
    let mut whole = message.to_owned();
    for (key, value) in fields {
        if !whole.is_empty() {
            whole.push(' ');
        }
        whole.push_str(&format!("{key}={value}"));
    }
    whole
}

/// Message of a gap, for people.
pub(crate) fn gap_message(gap: &Gap) -> String {
    let run = gap.run;
    let reason = match gap.reason {
        GapReason::QueueFull => "the queue was full",
        GapReason::Refused => match &gap.refusal {
            Some(refusal) => &format!("they could not be recorded as given ({refusal})"),
            None => "they could not be recorded as given",
        },
        GapReason::Damaged => {
            let (first, count) = (gap.sequence, gap.count.unwrap_or(0));
            let last = first.saturating_add(count.saturating_sub(1));
            let entries = if count == 1 {
                "entry is"
            } else {
                "entries are"
            };
            let times = gap.event_range.map_or_else(String::new, |(first, last)| {
                format!(", decisions of {first} to {last} among them")
            });
            return format!(
                "{count} {entries} missing, sequences {first} to {last}: what was stored cannot be \
                 read any more{times}"
            );
        }
        GapReason::Withdrawn => {
            let count = gap.count.unwrap_or(0);
            let entries = if count == 1 {
                "entry of an import was"
            } else {
                "entries of an import were"
            };
            return format!("{count} {entries} taken out again");
        }
        GapReason::Died => {
            return match gap.after {
                Some(id) => {
                    format!("run {run} ended without closing: what came after {id} is unknown")
                }
                None => format!("run {run} ended without closing: what it logged is unknown"),
            };
        }
    };
    let count = gap.count.unwrap_or(0);
    let events = if count == 1 { "event is" } else { "events are" };
    let over = gap.recorded_range.map_or(Duration::ZERO, |(first, last)| {
        let micros = last.as_micros().saturating_sub(first.as_micros());
        Duration::from_micros(micros.max(0).unsigned_abs())
    });
    let from = gap
        .recorded_range
        .map_or_else(String::new, |(first, _)| format!(", from {first}"));
    format!("{count} {events} missing in run {run}: {reason}{from} over {over:?}")
}

//! Entries as people read them: what `Display` prints is the line of the text files, in UTC and
//! without its end. Specified in `FORMAT.md`.

use std::fmt;
use std::time::Duration;

use super::line::{
    AnswerColumn, DecisionLine, LineValue, NameColumn, Stamps, push_checkpoint_event,
    push_decision, push_gap, push_outcome, push_system_event,
};
use crate::entry::ids::InferenceId;
use crate::entry::outcome::Outcomes;
use crate::entry::record::{Content, Entry, InferenceRecord, Repeat};
use crate::entry::timestamp::Timestamp;
use crate::options::logs::LogZone;

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
        let names = (&*self.model, &*self.symbol, &*self.action);
        let times = (self.event_time, self.processing_time);
        let confidence = || AnswerColumn::Confidence(self.confidence.unwrap_or(f32::NAN));
        let answer = self.repeat_of.map_or_else(confidence, repeat_of);
        decision(f, names, self.checkpoint.as_deref(), times, answer)
    }
}

/// The line of the text files.
impl fmt::Display for Repeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = (&*self.model, &*self.symbol, &*self.action);
        let times = (self.event_time, self.processing_time);
        let answer = repeat_of(self.original);
        decision(f, names, self.checkpoint.as_deref(), times, answer)
    }
}

/// The line of the text files.
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let recorded = self.recorded_time;
        match &self.content {
            Content::Inference(record) => record.fmt(f),
            Content::Repeat(repeat) => repeat.fmt(f),
            Content::Gap(gap) => printed(f, |out, stamps| push_gap(out, stamps, recorded, gap)),
            Content::SystemEvent(event) => printed(f, |out, stamps| {
                let source = (event.level.as_str(), &*event.component);
                push_system_event(out, stamps, recorded, source, &event.message, &event.fields);
            }),
            Content::Outcome(outcome) => printed(f, |out, stamps| {
                let values = [
                    outcome.reward.map(LineValue::Reward),
                    outcome.correct.map(LineValue::Correct),
                    outcome.label.as_deref().map(LineValue::Label),
                ];
                let named = outcome.values.iter();
                let named = named.map(|(name, value)| LineValue::Named(name, *value));
                let values = values.into_iter().flatten().chain(named);
                push_outcome(out, stamps, outcome.time, outcome.of, values);
            }),
            Content::CheckpointEvent(event) => printed(f, |out, stamps| {
                let subject = (&*event.model, &*event.checkpoint);
                let (action, detail) = (event.action.as_str(), &event.detail);
                push_checkpoint_event(out, stamps, recorded, action, subject, detail);
            }),
        }
    }
}

/// The values that hold, as the line of one outcome has them, with the latest of their times.
///
/// ```
/// use annals::{Inference, Journal, Outcome, Timestamp};
///
/// let journal = Journal::in_memory()?;
/// let id = journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY")).unwrap();
/// let closed = Timestamp::from_micros(1_753_454_079_000_000);
/// journal.attach_outcome(id, Outcome::new().reward(1.5).correct(true).at(closed));
/// journal.flush().wait(std::time::Duration::from_secs(5))?;
/// let outcomes = journal.reader()?.outcome(id)?.expect("one was attached");
/// let line = outcomes.to_string();
/// assert!(line.starts_with("2025-07-25 14:34:39 | "));
/// assert!(line.ends_with(" | reward=1.5 correct=true"));
/// # Ok::<(), annals::Error>(())
/// ```
impl fmt::Display for Outcomes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let label = self.label.as_ref();
        let built_in = [
            self.reward
                .map(|latest| (latest.time, LineValue::Reward(latest.value))),
            self.correct
                .map(|latest| (latest.time, LineValue::Correct(latest.value))),
            label.map(|latest| (latest.time, LineValue::Label(&latest.value))),
        ];
        let named = self.values.iter();
        let named = named.map(|(name, latest)| (latest.time, LineValue::Named(name, latest.value)));
        let all: Vec<_> = built_in.into_iter().flatten().chain(named).collect();
        let time = all.iter().map(|(time, _)| *time).max();
        let values = all.into_iter().map(|(_, value)| value);
        printed(f, |out, stamps| {
            let time = time.unwrap_or(Timestamp::from_micros(0));
            push_outcome(out, stamps, time, self.of, values);
        })
    }
}

/// Prints the line of a decision.
fn decision(
    f: &mut fmt::Formatter<'_>,
    (model, symbol, action): (&str, &str, &str),
    checkpoint: Option<&str>,
    (time, processing): (Timestamp, Option<Duration>),
    answer: AnswerColumn,
) -> fmt::Result {
    let checkpoint = checkpoint.map(|id| NameColumn::Checkpoint.render(id));
    let line = DecisionLine {
        time,
        model: &NameColumn::Model.render(model),
        symbol: &NameColumn::Symbol.render(symbol),
        action: &NameColumn::Action.render(action),
        answer,
        processing_nanos: processing.map(nanos),
        checkpoint: checkpoint.as_deref(),
    };
    printed(f, |out, stamps| push_decision(out, stamps, &line))
}

fn repeat_of(original: InferenceId) -> AnswerColumn {
    AnswerColumn::RepeatOf(original.run().get(), original.counter())
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
        &mut Stamps::new(LogZone::Utc).short_times(f.alternate()),
    );
    // Made of `str`s and ASCII; the line's end is the caller's.
    f.write_str(String::from_utf8_lossy(&line).trim_end_matches('\n'))
}

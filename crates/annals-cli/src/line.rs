//! An inference in one line, for a terminal.

use annals::{InferenceRecord, Outcomes};

use crate::output::{Out, style};

/// The line of the text files; repeats and divergences stand out on a terminal.
pub fn line(out: &Out, record: &InferenceRecord, outcomes: Option<&Outcomes>) -> String {
    let line = out.zone.line(record.to_string(), record.event_time);
    let loss = outcomes.and_then(|known| known.reward);
    if record.repeat_of.is_some() {
        out.paint(style::DIM, line)
    } else if record.divergent {
        out.paint(style::WARN, line)
    } else {
        match loss {
            Some(reward) if reward.value < 0.0 => out.paint(style::BAD, line),
            Some(reward) if reward.value > 0.0 => out.paint(style::GOOD, line),
            _ => line,
        }
    }
}

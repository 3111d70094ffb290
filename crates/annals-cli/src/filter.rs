//! Which inferences are meant.

use std::ops::Bound;
use std::time::Duration;

use annals::entry::{Gap, Repeat};
use annals::read::AttributeCondition;
use annals::{InferenceId, InferenceRecord, Outcomes, Query, Reader, Repeats, Timestamp};
use clap::{Args, ValueEnum};

use crate::failure::Result;
use crate::when::{self, When};
use crate::which::say_unknown;
use crate::zone::Zone;

/// Conditions on outcomes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum JudgedFilter {
    /// Anything.
    Any,
    /// Nothing yet.
    None,
    /// It was correct.
    Correct,
    /// It was wrong.
    Wrong,
    /// Its reward was above zero.
    Gain,
    /// Its reward was below zero.
    Loss,
}

/// Which inferences are meant, as it was given.
#[derive(Args, Clone, Debug, Default)]
pub struct FilterArgs {
    /// Only this model's.
    #[arg(long, short)]
    pub model: Option<String>,
    /// Only about this symbol.
    #[arg(long, short)]
    pub symbol: Option<String>,
    /// Only with this action.
    #[arg(long, short)]
    pub action: Option<String>,
    /// Only decided by this checkpoint.
    #[arg(long, short)]
    pub checkpoint: Option<String>,
    /// Only with this correlation: the id of an order, a trace.
    #[arg(long, value_name = "TEXT")]
    pub correlation: Option<String>,
    /// Only those that this decision caused directly.
    #[arg(long, value_name = "ID", value_parser = id)]
    pub caused_by: Option<InferenceId>,
    /// Only with an attribute like this: 'spread>0.5', 'position<=-3', 'venue=paper'.
    #[arg(long = "attribute", value_name = "CONDITION", value_parser = attribute)]
    pub attributes: Vec<AttributeFilter>,
    /// Only event times from here on (24h, yesterday, 2025-07-25, ...).
    #[arg(long, value_parser = when::read, value_name = "TIME")]
    pub since: Option<When>,
    /// Only event times before this.
    #[arg(long, value_parser = when::read, value_name = "TIME")]
    pub until: Option<When>,
    /// Only with at least this confidence.
    #[arg(long, value_name = "0..1")]
    pub min_confidence: Option<f32>,
    /// Only with at most this confidence.
    #[arg(long, value_name = "0..1")]
    pub max_confidence: Option<f32>,
    /// Only those that took longer (50ms, 2s).
    #[arg(long, value_parser = when::length, value_name = "TIME")]
    pub slower_than: Option<Duration>,
    /// Only with this outcome.
    #[arg(long, value_enum)]
    pub outcome: Option<JudgedFilter>,
    /// Leaves out repeats: decisions that were the same as one shortly before.
    #[arg(long)]
    pub no_repeats: bool,
    /// An option that older versions needed for repeats.
    #[arg(long, hide = true, conflicts_with = "no_repeats")]
    pub repeats: bool,
}

/// Reads an id as it is printed.
pub fn id(text: &str) -> std::result::Result<InferenceId, String> {
    text.parse()
        .map_err(|error: annals::Error| error.to_string())
}

/// An attribute by name, and what it has to be.
#[derive(Clone, Debug)]
pub struct AttributeFilter {
    name: String,
    condition: AttributeCondition,
}

/// Reads a condition on an attribute.
fn attribute(text: &str) -> std::result::Result<AttributeFilter, String> {
    let form = "give a name, one of = < <= > >=, and a value, such as 'spread>0.5'";
    let place = text.find(['<', '>', '=']).ok_or(form)?;
    let (name, rest) = text.split_at(place);
    let operators = ["<=", ">=", "<", ">", "="];
    let found = operators
        .iter()
        .find_map(|one| Some((*one, rest.strip_prefix(one)?)));
    let (operator, value) = found.ok_or(form)?;
    let (name, value) = (name.trim(), value.trim());
    if name.is_empty() {
        return Err(form.to_owned());
    }
    let number = || match value.parse::<f64>() {
        Ok(number) if !number.is_nan() => Ok(number),
        _ => Err(format!("{value:?} is no number to compare with; {form}")),
    };
    let condition = match operator {
        "<=" => AttributeCondition::from(..=number()?),
        ">=" => AttributeCondition::from(number()?..),
        "<" => AttributeCondition::from(..number()?),
        ">" => AttributeCondition::between(Bound::Excluded(number()?), Bound::Unbounded),
        _ => AttributeCondition::shown_as(value),
    };
    Ok(AttributeFilter {
        name: name.to_owned(),
        condition,
    })
}

/// Which inferences are meant.
#[derive(Clone, Debug)]
pub struct Filter {
    pub asked: FilterArgs,
    /// Whose days and dates they are.
    pub zone: Zone,
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
}

impl FilterArgs {
    /// The filter on the clocks of `zone`.
    pub fn on(&self, zone: &Zone) -> Filter {
        Filter {
            since: self.since.map(|since| since.on(zone)),
            until: self.until.map(|until| until.on(zone)),
            asked: self.clone(),
            zone: zone.clone(),
        }
    }
}

impl Filter {
    /// Says which of the names no decision has; for answers that are empty.
    pub fn say_unknown(&self, reader: &Reader) -> Result<()> {
        let (model, symbol) = (self.asked.model.as_deref(), self.asked.symbol.as_deref());
        say_unknown(reader, model, symbol, self.asked.checkpoint.as_deref())
    }

    /// Whether repeats are left out.
    pub fn no_repeats(&self) -> bool {
        self.asked.no_repeats
    }

    /// The part of it that the library answers.
    pub fn query(&self, reader: &Reader) -> Query {
        let mut query = reader.inferences();
        if let Some(model) = &self.asked.model {
            query = query.model(model);
        }
        if let Some(symbol) = &self.asked.symbol {
            query = query.symbol(symbol);
        }
        if let Some(action) = &self.asked.action {
            query = query.action(action);
        }
        if let Some(checkpoint) = &self.asked.checkpoint {
            query = query.checkpoint(checkpoint);
        }
        if let Some(text) = &self.asked.correlation {
            query = query.correlation(text);
        }
        for asked in &self.asked.attributes {
            query = query.attribute(&*asked.name, asked.condition.clone());
        }
        if let Some(cause) = self.asked.caused_by {
            query = query.caused_by(cause);
        }
        if let Some(since) = self.since {
            query = query.since(since);
        }
        if let Some(until) = self.until {
            query = query.until(until);
        }
        if self.asked.no_repeats {
            query = query.repeats(Repeats::Exclude);
        }
        query
    }

    /// Whether a cause, a correlation or an attribute is asked for, which no repeat has.
    fn asks_for_links(&self) -> bool {
        self.asked.correlation.is_some()
            || self.asked.caused_by.is_some()
            || !self.asked.attributes.is_empty()
    }

    /// Whether outcomes have to be looked up.
    pub fn asks_for_outcomes(&self) -> bool {
        self.asked.outcome.is_some()
    }

    /// The rest of it.
    pub fn keeps(&self, record: &InferenceRecord, outcomes: Option<&Outcomes>) -> bool {
        let low = self
            .asked
            .min_confidence
            .is_none_or(|low| record.confidence.is_some_and(|given| given >= low));
        let high = self
            .asked
            .max_confidence
            .is_none_or(|high| record.confidence.is_some_and(|given| given <= high));
        let slow = self
            .asked
            .slower_than
            .is_none_or(|bound| record.processing_time.is_some_and(|time| time > bound));
        low && high && slow && self.keeps_judged(outcomes)
    }

    fn keeps_judged(&self, outcomes: Option<&Outcomes>) -> bool {
        self.asked.outcome.is_none_or(|wanted| {
            let reward = outcomes.and_then(|known| known.reward);
            let correct = outcomes.and_then(|known| known.correct);
            match wanted {
                JudgedFilter::Any => outcomes.is_some(),
                JudgedFilter::None => outcomes.is_none(),
                JudgedFilter::Correct => correct.is_some_and(|latest| latest.value),
                JudgedFilter::Wrong => correct.is_some_and(|latest| !latest.value),
                JudgedFilter::Gain => reward.is_some_and(|latest| latest.value > 0.0),
                JudgedFilter::Loss => reward.is_some_and(|latest| latest.value < 0.0),
            }
        })
    }

    /// All of it, for what a follower gives.
    pub fn keeps_all(&self, record: &InferenceRecord, outcomes: Option<&Outcomes>) -> bool {
        let checkpoint = record.checkpoint.as_deref();
        let correlation = self.asked.correlation.is_none()
            || self.asked.correlation.as_deref() == record.correlation.as_deref();
        let cause = self.asked.caused_by.is_none() || self.asked.caused_by == record.caused_by;
        let attributes = self.asked.attributes.iter().all(|asked| {
            let mut named = record
                .attributes
                .iter()
                .filter(|(name, _)| *name == asked.name);
            named.any(|(_, value)| asked.condition.is_met_by(value))
        });
        correlation
            && cause
            && attributes
            && self.keeps_names(&record.model, &record.symbol, &record.action, checkpoint)
            && self.keeps_time(record.event_time)
            && self.keeps(record, outcomes)
    }

    /// The same for a repeat, which has the confidence of its original.
    pub fn keeps_repeat(&self, repeat: &Repeat, outcomes: Option<&Outcomes>) -> bool {
        let checkpoint = repeat.checkpoint.as_deref();
        let confidence = repeat.confidence;
        let low = self
            .asked
            .min_confidence
            .is_none_or(|low| confidence.is_some_and(|given| given >= low));
        let high = self
            .asked
            .max_confidence
            .is_none_or(|high| confidence.is_some_and(|given| given <= high));
        !self.asked.no_repeats
            && !self.asks_for_links()
            && low
            && high
            && self.keeps_judged(outcomes)
            && self
                .asked
                .slower_than
                .is_none_or(|bound| repeat.processing_time > Some(bound))
            && self.keeps_names(&repeat.model, &repeat.symbol, &repeat.action, checkpoint)
            && self.keeps_time(repeat.event_time)
    }

    /// Whether unreadable entries may belong to the answer: their names are unknown.
    pub fn keeps_gap(&self, gap: &Gap, recorded: Timestamp) -> bool {
        // The reach of a death into the past is unknown.
        let range = gap.event_range.or(gap.recorded_range);
        let (first, last) = range.unwrap_or((Timestamp::MIN, recorded));
        self.since.is_none_or(|since| last >= since) && self.until.is_none_or(|until| first < until)
    }

    /// Whether an event is meant: as of gaps, only its time is asked for.
    pub fn keeps_event(&self, recorded: Timestamp) -> bool {
        self.keeps_time(recorded)
    }

    fn keeps_names(
        &self,
        model: &str,
        symbol: &str,
        action: &str,
        checkpoint: Option<&str>,
    ) -> bool {
        let is = |wanted: &Option<String>, name: Option<&str>| {
            wanted.is_none() || wanted.as_deref() == name
        };
        is(&self.asked.model, Some(model))
            && is(&self.asked.symbol, Some(symbol))
            && is(&self.asked.action, Some(action))
            && is(&self.asked.checkpoint, checkpoint)
    }

    fn keeps_time(&self, time: Timestamp) -> bool {
        self.since.is_none_or(|since| time >= since) && self.until.is_none_or(|until| time < until)
    }

    /// Whether nothing is left out.
    pub fn is_everything(&self) -> bool {
        let names = [
            &self.asked.model,
            &self.asked.symbol,
            &self.asked.action,
            &self.asked.checkpoint,
        ];
        names.into_iter().all(Option::is_none)
            && self.since.is_none()
            && self.until.is_none()
            && self.asked.min_confidence.is_none()
            && self.asked.max_confidence.is_none()
            && self.asked.slower_than.is_none()
            && self.asked.outcome.is_none()
            && !self.asks_for_links()
            && !self.asked.no_repeats
    }
}

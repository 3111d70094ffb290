//! The numbers of an attribute, added up on request: no rollup has them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::StatsQuery;
use super::group::Groups;
use super::outcomes::Values;
use super::periods::Division;
use super::rollup::real_bins::RealBins;
use super::rollup::reals::{Reals, Sign};
use crate::entry::attribute::AttributeCondition;
use crate::entry::error::{Error, Result};
use crate::entry::record::InferenceRecord;
use crate::entry::timestamp::Timestamp;
use crate::entry::value::Value;
use crate::read::filter::Repeats;

/// Groups that one answer may have.
const MOST_GROUPS: usize = 1 << 19;

/// The numbers of an attribute in one group; from [`StatsQuery::attribute`].
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct AttributeRow {
    /// The beginning of its hour or day, if divided by one.
    pub time: Option<Timestamp>,
    /// Its model, if divided by model.
    pub model: Option<Arc<str>>,
    /// Its symbol, if divided by symbol.
    pub symbol: Option<Arc<str>>,
    /// Its checkpoint, if divided by checkpoint; `None` also for decisions without one.
    pub checkpoint: Option<Arc<str>>,
    /// Its action, if divided by action.
    pub action: Option<Arc<str>>,
    /// Count, sum, mean and variance of the finite numbers.
    pub values: Values,
    /// The least of them.
    pub min: Option<f64>,
    /// The greatest.
    pub max: Option<f64>,
    /// 5 of 100 are at most this, within
    /// [`Coverage::quantile_error`](super::Coverage::quantile_error).
    pub p5: Option<f64>,
    /// Their median, within the same error.
    pub p50: Option<f64>,
    /// 95 of 100 are at most this, within the same error.
    pub p95: Option<f64>,
    /// Values that are NaN or infinite.
    pub invalid: u64,
    /// Values that are no numbers: texts and flags.
    pub others: u64,
    #[serde(skip)]
    bins: RealBins,
}

impl AttributeRow {
    /// The number that the share `q` of the numbers does not exceed, within
    /// [`Coverage::quantile_error`](super::Coverage::quantile_error). `None` if there are none, and
    /// if `q` is not from 0 to 1.
    ///
    /// ```
    /// use annals::{Inference, Journal};
    /// use annals::stats::Groups;
    ///
    /// let journal = Journal::in_memory()?;
    /// for spread in 1..=100 {
    ///     journal.log(Inference::new("dqn", "ETH/USDT", "BUY").attribute("spread", spread));
    /// }
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let all = &journal.stats("dqn").attribute("spread", Groups::default())?[0];
    /// assert!((all.quantile(0.9).expect("there are some") - 90.0).abs() < 1.0);
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<f64> {
        self.bins.quantile(q)
    }
}

/// Time, model, symbol, checkpoint, action; what does not divide is none.
type AttributeGroup = (Option<Timestamp>, [Option<Arc<str>>; 4]);

#[derive(Default)]
struct AttributeSums {
    reals: Reals,
    bins: RealBins,
    extremes: Option<(f64, f64)>,
    invalid: u64,
    others: u64,
}

impl AttributeSums {
    #[expect(clippy::cast_precision_loss, reason = "a sum of f64")]
    fn add(&mut self, value: &Value) {
        let number = match value {
            Value::Real(number) => *number,
            Value::Integer(number) => *number as f64,
            Value::Text(_) | Value::Flag(_) => {
                self.others += 1;
                return;
            }
        };
        if !number.is_finite() {
            self.invalid += 1;
            return;
        }
        self.reals.change(number, Sign::Plus);
        self.bins.change(number, Sign::Plus);
        let (least, greatest) = self.extremes.unwrap_or((number, number));
        self.extremes = Some((least.min(number), greatest.max(number)));
    }

    fn row(self, (time, names): AttributeGroup) -> AttributeRow {
        let [model, symbol, checkpoint, action] = names;
        AttributeRow {
            time,
            model,
            symbol,
            checkpoint,
            action,
            values: Values::new(&self.reals),
            min: self.extremes.map(|extremes| extremes.0),
            max: self.extremes.map(|extremes| extremes.1),
            p5: self.bins.quantile(0.05),
            p50: self.bins.quantile(0.5),
            p95: self.bins.quantile(0.95),
            invalid: self.invalid,
            others: self.others,
            bins: self.bins,
        }
    }
}

impl StatsQuery {
    /// The numbers of an attribute, bound or not: a row for each group that has any value of it, in
    /// the order of the groups' times and names. Reads the decisions in the range one by one: no
    /// rollup has attributes. Sums are exact.
    ///
    /// # Errors
    /// [Errors of reading](crate::Error#errors-of-reading), and [`Error::InvalidOption`] for more
    /// than 524,288 groups.
    ///
    /// ```
    /// use annals::{Group, Inference, Journal};
    ///
    /// let journal = Journal::in_memory()?;
    /// for (symbol, spread) in [("ETH/USDT", 0.25), ("ETH/USDT", 0.75), ("BTC/USDT", 2.0)] {
    ///     journal.log(Inference::new("dqn", symbol, "BUY").attribute("spread", spread));
    /// }
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let rows = journal.stats("dqn").attribute("spread", Group::Symbol)?;
    /// assert_eq!((rows[1].symbol.as_deref(), rows[1].values.mean), (Some("ETH/USDT"), Some(0.5)));
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn attribute(&self, name: &str, groups: impl Into<Groups>) -> Result<Vec<AttributeRow>> {
        let reader = self.reader.clone()?;
        let grouping = groups.into().grouping();
        let key = |record: &InferenceRecord| -> AttributeGroup {
            let if_divided = |divided: bool, name: &Arc<str>| divided.then(|| name.clone());
            let time = match &grouping.time {
                Division::Level(level) => Some(level.start(level.bucket(record.event_time))),
                _ => None,
            };
            let checkpoint = record.checkpoint.as_ref();
            let names = [
                if_divided(grouping.model, &record.model),
                if_divided(grouping.symbol, &record.symbol),
                checkpoint.and_then(|id| if_divided(grouping.checkpoint, id)),
                if_divided(grouping.action, &record.action),
            ];
            (time, names)
        };
        let mut query = reader.inferences().repeats(Repeats::Exclude);
        query = query.attribute(name, AttributeCondition::any());
        let subject = &self.subject;
        if let Some(model) = &subject.model {
            query = query.model(&**model);
        }
        if let Some(symbol) = &subject.symbol {
            query = query.symbol(&**symbol);
        }
        if let Some(checkpoint) = &subject.checkpoint {
            query = query.checkpoint(&**checkpoint);
        }
        let (first, last) = (*self.times.start(), *self.times.end());
        query = query.since(first);
        if last < Timestamp::MAX {
            query = query.until(last.moved_by(1));
        }
        let mut sums: BTreeMap<AttributeGroup, AttributeSums> = BTreeMap::new();
        for record in query.iter() {
            let record = record?;
            let named = record.attributes.iter().filter(|(known, _)| known == name);
            let sum = sums.entry(key(&record)).or_default();
            named.for_each(|(_, value)| sum.add(value));
            if sums.len() > MOST_GROUPS {
                return Err(Error::InvalidOption {
                    name: "attribute",
                    value: format!("more than {MOST_GROUPS} groups"),
                    advice: "ask about one symbol, fewer names or a shorter time",
                });
            }
        }
        Ok(sums
            .into_iter()
            .map(|(group, sum)| sum.row(group))
            .collect())
    }
}

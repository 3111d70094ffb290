//! The checkpoint with the best outcomes, beside the best one by validation.

use std::sync::Arc;

use serde::Serialize;

use super::batches::MOST_READ;
use super::bounds::{Spread, student, wilson};
use super::group::{Group, StatsRow};
use super::live_value::LiveValue;
use super::outcomes::known;
use super::{Coverage, StatsQuery};
use crate::entry::error::Result;
use crate::entry::mode::Mode;

/// A model's checkpoints by what their decisions led to; from [`StatsQuery::best_live`].
#[derive(Clone, Debug, PartialEq, Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct LiveRanking {
    /// Checkpoints with enough outcomes, best first: by the mean, equals by the certain end of
    /// their interval. `None` stands for decisions without a checkpoint.
    pub ranked: Vec<LiveCandidate>,
    /// Checkpoints that decided and have too few outcomes, most outcomes first.
    pub too_few: Vec<LiveCandidate>,
    /// The checkpoint that the registry ranks first by the model's monitor.
    pub registry_best: Option<Arc<str>>,
    /// The coverage of the decisions.
    pub coverage: Coverage,
}

/// One checkpoint in a [`LiveRanking`].
#[derive(Clone, Debug, PartialEq, Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct LiveCandidate {
    /// Its id.
    pub checkpoint: Option<Arc<str>>,
    /// Its decisions in the range, repeats included.
    pub decisions: u64,
    /// Those with an outcome that counts: a finite value, or a verdict.
    pub count: u64,
    /// The mean of the value; of correct, the share. `None` if nothing counts.
    pub mean: Option<f64>,
    /// The lower end of the interval that holds the true mean in 95 of 100 cases: Wilson's score
    /// interval (1927) for the share of correct ones, Student's (1908) otherwise, which needs
    /// means that are about normal: with rewards of heavy tails, some hundreds.
    ///
    /// Decisions may be dependent, like the steps of one episode. So the error is that of batch
    /// means (Schmeiser, *Batch size effects in the analysis of simulation output*, 1982), of
    /// [`batches`](Self::batches) in the order of event time. It is right if an episode is much
    /// shorter than a batch. `None` while nothing bounds the mean: with a single value, or if the
    /// variance is not finite.
    pub low: Option<f64>,
    /// The upper end; `None` where the lower one is.
    pub high: Option<f64>,
    /// Batches that the interval was made of, up to 30. With more than a million decisions they are
    /// parts of the time in which the checkpoint decided. 0 if there are fewer than ten values or
    /// fewer than five different times. The times are hours for over eight million decisions that
    /// have no rollups of minutes any more. Then decisions count as independent, and the interval
    /// is too narrow if they are not.
    pub batches: u64,
    /// The variance of the mean, divided by that of as many independent decisions; at least 1.
    /// `count` decisions tell as much as `count / design_effect` independent ones (Kish, *Survey
    /// sampling*, 1965).
    pub design_effect: f64,
}

impl LiveRanking {
    /// The first of the ranked.
    ///
    /// ```
    /// use annals::{Inference, Journal, Outcome};
    /// use annals::stats::LiveValue;
    ///
    /// let journal = Journal::in_memory()?;
    /// let decision = Inference::new("dqn_agent", "ETH/USDT", "BUY").checkpoint("epoch_1");
    /// let id = journal.log(decision).unwrap();
    /// journal.attach_outcome(id, Outcome::new().reward(1.5));
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let ranking = journal.stats("dqn_agent").best_live(&LiveValue::Reward, 1)?;
    /// let best = ranking.best().expect("one has an outcome");
    /// assert_eq!(best.checkpoint.as_deref(), Some("epoch_1"));
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn best(&self) -> Option<&LiveCandidate> {
        self.ranked.first()
    }

    /// Whether the first is better than every other beyond what chance explains easily: their
    /// intervals do not touch. Intervals that do leave it open.
    ///
    /// ```
    /// use annals::{Journal, stats::LiveValue};
    ///
    /// let journal = Journal::in_memory()?;
    /// let ranking = journal.stats("dqn_agent").best_live(&LiveValue::Reward, 30)?;
    /// assert!(!ranking.is_clear()); // nothing is known: do not activate anything
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn is_clear(&self) -> bool {
        let Some((best, others)) = self.ranked.split_first() else {
            return false;
        };
        // An end that is not known is beyond every other.
        let is_above = |one: Option<f64>, other: Option<f64>| {
            one.zip(other).is_some_and(|(one, other)| one > other)
        };
        others
            .iter()
            .all(|other| is_above(best.low, other.high) || is_above(other.low, best.high))
    }

    /// Whether the first is the one that the registry ranks first; `None` if either is missing.
    ///
    /// ```
    /// use annals::{Inference, Journal, Mode, Outcome};
    /// use annals::stats::LiveValue;
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let journal = Journal::open(&dir)?;
    /// let registry = journal.registry()?;
    /// registry.set_monitor("dqn_agent", "loss", Mode::Min)?;
    /// let saved = registry.checkpoint("dqn_agent").metric("loss", 0.1).save(b"weights")?;
    /// let decision = Inference::new("dqn_agent", "ETH/USDT", "BUY").checkpoint(saved.id());
    /// let id = journal.log(decision).unwrap();
    /// journal.attach_outcome(id, Outcome::new().reward(1.5));
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let ranking = journal.stats("dqn_agent").best_live(&LiveValue::Reward, 1)?;
    /// assert_eq!(ranking.agrees_with_registry(), Some(true));
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn agrees_with_registry(&self) -> Option<bool> {
        let best = self.best()?.checkpoint.as_ref()?;
        Some(best == self.registry_best.as_ref()?)
    }
}

impl StatsQuery {
    /// Ranks the checkpoints that decided in the range by the mean of their outcomes, for those
    /// with `at_least` outcomes. From rollups, at the cost of [`by`](Self::by), and one look-up for
    /// the registry's best, which is a moment later than the rest. Intervals heed that the steps of
    /// one episode are alike: for them, up to a million decisions are read, or the rollups of
    /// minutes or hours.
    ///
    /// # Errors
    /// Those of [`get`](Self::get).
    ///
    /// # Source
    /// Batch means: Schmeiser, *Batch size effects in the analysis of simulation output*, 1982. The
    /// intervals: [`LiveCandidate::low`].
    ///
    /// ```
    /// # use annals::{Inference, Journal, Outcome};
    /// # use annals::stats::LiveValue;
    /// # use std::time::Duration;
    /// # let journal = Journal::in_memory()?;
    /// for number in 0..100 {
    ///     let checkpoint = ["epoch_1", "epoch_2"][number % 2];
    ///     let inference = Inference::new("dqn_agent", "ETH/USDT", "BUY").checkpoint(checkpoint);
    ///     let id = journal.log(inference).unwrap();
    ///     let reward = if checkpoint == "epoch_1" { 1.0 } else { -0.5 };
    ///     journal.attach_outcome(id, Outcome::new().reward(reward));
    /// }
    /// journal.flush().wait(Duration::from_secs(5))?;
    /// let day = journal.stats("dqn_agent").last(Duration::from_secs(86_400));
    /// let ranking = day.best_live(&LiveValue::Reward, 30)?;
    /// let best = ranking.best().unwrap();
    /// assert_eq!((best.checkpoint.as_deref(), best.mean), (Some("epoch_1"), Some(1.0)));
    /// assert!(ranking.is_clear());
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn best_live(&self, value: &LiveValue, at_least: u64) -> Result<LiveRanking> {
        let reader = self.reader.clone()?;
        let rows = self.by(Group::Checkpoint)?;
        let coverage = match rows.first() {
            Some(row) => row.stats.coverage.clone(),
            None => self.get()?.coverage,
        };
        let stretches = self.stretches(&reader, &rows, value, MOST_READ)?;
        let candidates = rows.into_iter().map(|row| {
            let (_, mean, variance) = value.of(&row.stats.outcomes);
            let spread = match stretches.get(&row.checkpoint) {
                Some(stretches) => Spread::of(stretches, mean, variance),
                None => Spread::INDEPENDENT,
            };
            LiveCandidate::new(row, value, spread)
        });
        // Without a value there is no mean to rank by.
        let enough = |candidate: &LiveCandidate| candidate.count >= at_least.max(1);
        let (mut ranked, mut too_few): (Vec<_>, Vec<_>) = candidates.partition(enough);
        let mode = value.mode();
        // Of two with one mean, the surer one comes first.
        ranked.sort_by(|one: &LiveCandidate, other| match mode {
            Mode::Max => {
                let mean = other.middle().total_cmp(&one.middle());
                mean.then(other.least().total_cmp(&one.least()))
            }
            Mode::Min => {
                let mean = one.middle().total_cmp(&other.middle());
                mean.then(one.most().total_cmp(&other.most()))
            }
        });
        too_few.sort_by_key(|candidate| std::cmp::Reverse(candidate.count));
        // The registry ranks the checkpoints of one model, so without a model there is nothing to
        // compare with.
        let registry_best = match &self.subject.model {
            Some(model) => reader.source.best_checkpoint(model)?,
            None => None,
        };
        Ok(LiveRanking {
            ranked,
            too_few,
            registry_best: registry_best.map(Into::into),
            coverage,
        })
    }
}

impl LiveCandidate {
    /// The mean, to sort by.
    fn middle(&self) -> f64 {
        self.mean.unwrap_or(f64::NAN)
    }

    /// The lower end, to sort by.
    fn least(&self) -> f64 {
        self.low.unwrap_or(f64::NEG_INFINITY)
    }

    /// The upper end, to sort by.
    fn most(&self) -> f64 {
        self.high.unwrap_or(f64::INFINITY)
    }

    fn new(row: StatsRow, value: &LiveValue, spread: Spread) -> Self {
        let outcomes = &row.stats.outcomes;
        let (count, mean, variance) = value.of(outcomes);
        let (low, high) = match value {
            LiveValue::Correct => wilson(outcomes.correct, count, spread),
            _ => student(mean, variance, count, spread),
        };
        let is_bounded = low.is_finite() && high.is_finite();
        LiveCandidate {
            checkpoint: row.checkpoint,
            decisions: row.stats.count,
            count,
            mean: known(mean),
            low: is_bounded.then_some(low),
            high: is_bounded.then_some(high),
            batches: spread.batches,
            design_effect: spread.effect,
        }
    }
}

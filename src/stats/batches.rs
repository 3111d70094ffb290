//! How much less the decisions of a checkpoint tell about a mean than as many independent ones: the
//! steps of one episode, and trades of one day, turn out alike.

use std::collections::BTreeSet;
use std::sync::Arc;

use ahash::AHashMap;

use super::bounds::Spread;
use super::cover::Cover;
use super::group::{Group, Grouping, StatsRow};
use super::join::JoinRange;
use super::live_value::LiveValue;
use super::periods::Periods;
use super::rollup::outcomes::Current;
use super::rollup::{Combination, Resolution};
use super::scope::{self, Scope};
use super::totals::Totals;
use super::{JOINED, StatsQuery};
use crate::engine::format::name::NameKind;
use crate::engine::format::row::NameId;
use crate::engine::source::Unopened;
use crate::entry::error::Result;
use crate::entry::ids::InferenceId;
use crate::entry::timestamp::Timestamp;
use crate::read::Reader;

/// Batches of one mean. More would be shorter, and so depend on each other; fewer tell little
/// (Schmeiser, *Batch size effects in the analysis of simulation output*, 1982: 10 to 30).
const MOST: u64 = 30;
const FEWEST: usize = 5;
/// Values of a batch, at least.
const FEWEST_VALUES: u64 = 2;
/// Decisions that are read to tell single values apart, at most: some 0.1 s. Beyond, batches are
/// made of stretches of time.
pub(super) const MOST_READ: u64 = 1 << 20;
/// Decisions that are read at most where these stretches cut hours without rollups of minutes: some
/// 1 s.
const MOST_CUT: u64 = 1 << 23;
/// Stretches that the time of a checkpoint's decisions is divided into, so that 30 batches come out
/// about equal.
const STRETCHES: i64 = 2 * 30;
/// Checkpoints whose own time is divided; beyond, only that of all.
const MOST_DIVIDED: usize = 64;

/// How many values there are in a stretch of time, and their sum.
pub(super) type CountAndSum = (u64, f64);

impl Spread {
    /// Of the stretches of one mean, in the order of time; `variance` is that of a single value.
    ///
    /// The batches are put together of stretches to be about equal. Their means are a ratio of
    /// sums, whose variance is that of Cochran, *Sampling techniques* (1977), for clusters of
    /// unequal size. The effect is Kish's design effect (*Survey sampling*, 1965), never below that
    /// of independence.
    pub(super) fn of(stretches: &[CountAndSum], mean: f64, variance: f64) -> Spread {
        let total: u64 = stretches.iter().map(|stretch| stretch.0).sum();
        // Short batches depend on each other, few batches tell little: a batch has some values.
        let wanted = MOST.min(total / FEWEST_VALUES).max(1);
        let mut batches: Vec<CountAndSum> = Vec::new();
        let (mut count, mut sum, mut seen) = (0_u64, 0.0, 0_u64);
        for (more, add) in stretches {
            count += more;
            sum += add;
            seen += more;
            // By the running total, so that rounding does not add up over the batches.
            let due = (batches.len() as u64 + 1).saturating_mul(total) / wanted;
            // The rest after a stretch that was too large for one batch is no batch by itself.
            if seen >= due && count.saturating_mul(2 * wanted) >= total {
                batches.push((count, sum));
                (count, sum) = (0, 0.0);
            }
        }
        if let Some(last) = batches.last_mut() {
            *last = (last.0 + count, last.1 + sum);
        }
        if batches.len() < FEWEST {
            return Spread::INDEPENDENT;
        }
        let many = batches.len() as f64;
        let around = |batch: &CountAndSum| (batch.1 - mean * batch.0 as f64).powi(2);
        let squares: f64 = batches.iter().map(around).sum();
        let of_mean = many / (many - 1.0) * squares / (total as f64).powi(2);
        let effect = of_mean / (variance / total as f64);
        Spread {
            batches: batches.len() as u64,
            effect: if effect.is_finite() {
                // Below 1 is chance: decisions cannot depend on each other less than not at all.
                effect.max(1.0)
            } else {
                1.0
            },
        }
    }
}

/// Stretches by checkpoint, in the order of time.
type OfCheckpoints = AHashMap<Option<Arc<str>>, Vec<CountAndSum>>;

impl StatsQuery {
    /// The stretches of each checkpoint's values, in the order of time. They are single decisions
    /// where these are few and still there. Otherwise they are parts of the time in which it
    /// decided, from rollups of minutes where there are any, else hours.
    pub(super) fn stretches(
        &self,
        reader: &Reader,
        rows: &[StatsRow],
        value: &LiveValue,
        most_read: u64,
    ) -> Result<OfCheckpoints> {
        let is_whole = |found: &OfCheckpoints| {
            rows.iter().all(|row| {
                let stretches = found.get(&row.checkpoint).into_iter().flatten();
                let read: u64 = stretches.map(|stretch| stretch.0).sum();
                // Fewer values than the statistic counts: entries are retired or cannot be read.
                read == value.of(&row.stats.outcomes).0
            })
        };
        let decisions: u64 = rows.iter().map(|row| row.stats.count).sum();
        if decisions <= most_read {
            let found = self.single_values(reader, value)?;
            if is_whole(&found) {
                return Ok(found);
            }
        }
        if let Some(periods) = parts_of(rows)? {
            let parts = self.by_periods_at_most(&periods, Group::Checkpoint.into(), MOST_CUT)?;
            let found = by_checkpoint(parts.unwrap_or_default(), value);
            if is_whole(&found) {
                return Ok(found);
            }
        }
        let hours = self.by([Group::Checkpoint, Group::Hour])?;
        Ok(by_checkpoint(hours, value))
    }

    fn single_values(&self, reader: &Reader, value: &LiveValue) -> Result<OfCheckpoints> {
        let source = &reader.source;
        let (mut ids, folded, end) = source.with_readable_rollups(|stats| {
            let scope = Scope::of(stats, &self.subject)?;
            let mut cover = Cover::new(stats, scope);
            let mut totals = Totals::new(Grouping::default());
            if !self.times.is_empty() {
                cover.entries(&self.times, &mut totals)?;
            }
            let ids = cover.into_residual().read;
            Ok((ids, stats.folded().clone(), stats.next_sequence()))
        })?;
        let range = JoinRange {
            folded: &folded,
            end,
            until: self.known_until.unwrap_or(Timestamp::MAX),
            unopened: Unopened::PassedOver,
        };
        let named = match value {
            LiveValue::Named(name, _) => {
                let known = source.name_id(NameKind::OutcomeName as u8, name)?;
                Some(known.unwrap_or(scope::UNKNOWN))
            }
            _ => None,
        };
        let mut values: Vec<(NameId, Timestamp, InferenceId, f64)> = Vec::new();
        ids.sort_unstable();
        for ids in ids.chunks(JOINED) {
            for change in source.changes(ids, range)?.changes {
                let known = single(&change.after, value, named).filter(|value| value.is_finite());
                if let Some(known) = known {
                    let event = &change.event;
                    let checkpoint = Combination::of(event).checkpoint;
                    values.push((checkpoint, event.event, event.id, known));
                }
            }
        }
        // By id at the end, so that equal times give the same batches on each machine.
        values.sort_unstable_by_key(|value| (value.0, value.1, value.2));
        let mut found = AHashMap::new();
        for of_one in values.chunk_by(|one, other| one.0 == other.0) {
            let checkpoint = of_one.first().map_or(NameId::NONE, |value| value.0);
            let stretches = of_one.iter().map(|value| (1, value.3)).collect();
            found.insert(reader.optional_name(checkpoint)?, stretches);
        }
        Ok(found)
    }
}

/// The values of rows that are in the order of time.
fn by_checkpoint(rows: Vec<StatsRow>, value: &LiveValue) -> OfCheckpoints {
    let mut found = OfCheckpoints::new();
    for row in rows {
        let (count, mean, _) = value.of(&row.stats.outcomes);
        if count > 0 {
            let stretches = found.entry(row.checkpoint).or_default();
            stretches.push((count, mean * count as f64));
        }
    }
    found
}

/// Parts of the time in which each of the checkpoints decided; `None` if nothing was decided.
fn parts_of(rows: &[StatsRow]) -> Result<Option<Periods>> {
    let mut spans: Vec<(u64, i64, i64)> = rows
        .iter()
        .filter_map(|row| {
            let (first, last) = (row.stats.first?, row.stats.last?);
            Some((row.stats.count, first.as_micros(), last.as_micros()))
        })
        .collect();
    spans.sort_unstable();
    let first = spans.iter().map(|span| span.1).min();
    let last = spans.iter().map(|span| span.2).max();
    let Some((first, last)) = first.zip(last) else {
        return Ok(None);
    };
    let most = spans.into_iter().rev().take(MOST_DIVIDED);
    let mut bounds = BTreeSet::new();
    for (first, last) in most.map(|span| (span.1, span.2)).chain([(first, last)]) {
        let mut width = last.saturating_sub(first) / STRETCHES + 1;
        // Whole hours and minutes have rollups.
        for level in [Resolution::Hour, Resolution::Minute] {
            if width >= level.micros() {
                width -= width % level.micros();
                break;
            }
        }
        let begin = match width % Resolution::Minute.micros() {
            0 => width.saturating_mul(first.div_euclid(width)),
            _ => first,
        };
        let mut bound = begin;
        bounds.insert(bound);
        while bound <= last {
            let next = bound.saturating_add(width);
            bounds.insert(next);
            // At the end of time the sum saturates, and the loop would not end.
            if next == bound {
                break;
            }
            bound = next;
        }
    }
    Periods::between(bounds.into_iter().map(Timestamp::from_micros)).map(Some)
}

/// The ranked value of one decision.
fn single(current: &Current, value: &LiveValue, named: Option<NameId>) -> Option<f64> {
    match value {
        LiveValue::Correct => current
            .correct
            .map(|(correct, ())| if correct { 1.0 } else { 0.0 }),
        LiveValue::Reward => current.reward.map(|(reward, ())| reward),
        LiveValue::Named(..) => {
            let of_name = current.named.iter().find(|of| Some(of.0) == named);
            of_name.map(|of| of.1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::bounds::{student, wilson};

    /// A generator of its own (splitmix64), so that every run simulates the same.
    struct Draws(u64);

    impl Draws {
        /// A number below `most`, by its first bits.
        fn below(&mut self, most: usize) -> usize {
            let share = self.uniform();
            (0..most)
                .find(|number| share * (most as f64) < (*number + 1) as f64)
                .unwrap_or(0)
        }

        fn uniform(&mut self) -> f64 {
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut mixed = self.0;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
        }

        /// Box and Muller's.
        fn normal(&mut self) -> f64 {
            let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
            radius * (std::f64::consts::TAU * self.uniform()).cos()
        }
    }

    /// Rewards of episodes of 20 steps on average, each of which begins anew and within which a
    /// step has 0.9 of the one before. Their mean is 0.
    fn episodes(random: &mut Draws, steps: usize, memory: f64) -> Vec<f64> {
        let mut state = random.normal();
        let mut step = || {
            let fresh = random.normal();
            state = match random.uniform() < 0.05 {
                true => fresh,
                false => memory * state + (1.0 - memory * memory).sqrt() * fresh,
            };
            state
        };
        (0..steps).map(|_| step()).collect()
    }

    fn moments(values: &[f64]) -> (f64, f64) {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let around = values.iter().map(|value| (value - mean).powi(2));
        (mean, around.sum::<f64>() / (count - 1.0))
    }

    /// The share of intervals that hold 0: by batches, and as if steps were independent.
    fn coverage(steps: usize, memory: f64, rounds: u32) -> (f64, f64) {
        let mut random = Draws(11);
        let mut held = [0_u32; 2];
        for _ in 0..rounds {
            let values = episodes(&mut random, steps, memory);
            let (mean, variance) = moments(&values);
            let stretches: Vec<CountAndSum> = values.iter().map(|value| (1, *value)).collect();
            let spread = Spread::of(&stretches, mean, variance);
            assert_eq!(spread.batches, MOST);
            for (held, spread) in held.iter_mut().zip([spread, Spread::INDEPENDENT]) {
                let (low, high) = student(mean, variance, values.len() as u64, spread);
                *held += u32::from(low <= 0.0 && 0.0 <= high);
            }
        }
        let share = |held: u32| f64::from(held) / f64::from(rounds);
        (share(held[0]), share(held[1]))
    }

    #[test]
    fn intervals_of_episodes_hold_the_mean_as_often_as_they_say() {
        let (batched, independent) = coverage(6_000, 0.9, 600);
        assert!((0.92..=0.98).contains(&batched), "{batched}");
        assert!(independent < 0.6, "{independent}");
        // Where steps are independent, little is lost.
        let (batched, independent) = coverage(600, 0.0, 600);
        assert!((0.93..=0.99).contains(&batched), "{batched}");
        assert!((0.93..=0.97).contains(&independent), "{independent}");
    }

    #[test]
    fn shares_of_episodes_are_as_wide() {
        let mut random = Draws(5);
        let (mut batched, mut independent) = (0, 0);
        for _ in 0..400 {
            let values = episodes(&mut random, 6_000, 0.9);
            let hits: Vec<f64> = values
                .iter()
                .map(|value| if *value > 0.0 { 1.0 } else { 0.0 })
                .collect();
            let (mean, variance) = moments(&hits);
            let stretches: Vec<CountAndSum> = hits.iter().map(|hit| (1, *hit)).collect();
            let spread = Spread::of(&stretches, mean, variance);
            let count = hits.iter().filter(|hit| **hit > 0.5).count() as u64;
            for (held, spread) in [
                (&mut batched, spread),
                (&mut independent, Spread::INDEPENDENT),
            ] {
                let (low, high) = wilson(count, hits.len() as u64, spread);
                *held += u32::from(low <= 0.5 && 0.5 <= high);
            }
        }
        assert!((365..=396).contains(&batched), "{batched}");
        assert!(independent < 280, "{independent}");
    }

    /// Stretches of equal time, as rollups give them, hold values of unequal number.
    #[test]
    fn intervals_from_stretches_of_time_hold_as_often() {
        let mut random = Draws(17);
        let (mut held, rounds) = (0_u32, 600);
        for _ in 0..rounds {
            let values = episodes(&mut random, 6_000, 0.9);
            let (mean, variance) = moments(&values);
            let mut stretches = Vec::new();
            let mut left = &values[..];
            while !left.is_empty() {
                let many = 20 + random.below(160);
                let (part, rest) = left.split_at(many.min(left.len()));
                stretches.push((part.len() as u64, part.iter().sum()));
                left = rest;
            }
            let spread = Spread::of(&stretches, mean, variance);
            assert!((20..=MOST).contains(&spread.batches), "{}", spread.batches);
            let (low, high) = student(mean, variance, values.len() as u64, spread);
            held += u32::from(low <= 0.0 && 0.0 <= high);
        }
        let share = f64::from(held) / f64::from(rounds);
        assert!((0.92..=0.98).contains(&share), "{share}");
    }

    /// More decisions than are read one by one, and within an hour or a second: hours would be too
    /// coarse.
    #[test]
    fn a_short_run_of_many_decisions_has_batches_of_its_own_length() {
        let runs = [(6_000, 400_000), (2_000, 500), (2_000, 60_000_000)];
        for (count, apart) in runs {
            let journal = crate::Journal::options().in_memory().unwrap();
            let mut random = Draws(3);
            let begin = 1_753_444_800_000_000;
            for (number, reward) in (0_i64..).zip(episodes(&mut random, count, 0.9)) {
                let time = Timestamp::from_micros(begin + number * apart);
                let checkpoint = if number < 500 { "a" } else { "b" };
                let inference = crate::Inference::new("m", "s", "BUY")
                    .checkpoint(checkpoint)
                    .event_time(time);
                let id = journal.log(inference).unwrap();
                journal.attach_outcome(id, crate::Outcome::new().reward(reward));
            }
            let minute = std::time::Duration::from_secs(60);
            journal.flush().wait(minute).unwrap();
            let query = journal.stats("m");
            let reader = journal.reader().unwrap();
            let rows = query.by(Group::Checkpoint).unwrap();
            for fold in [false, true] {
                if fold {
                    journal.fold(minute).unwrap();
                }
                let single = query.stretches(&reader, &rows, &LiveValue::Reward, u64::MAX);
                let in_time = query.stretches(&reader, &rows, &LiveValue::Reward, 1);
                let (single, in_time) = (single.unwrap(), in_time.unwrap());
                for row in &rows {
                    let (values, mean, variance) = LiveValue::Reward.of(&row.stats.outcomes);
                    let spread = [&single, &in_time]
                        .map(|found| Spread::of(&found[&row.checkpoint], mean, variance));
                    assert_eq!(single[&row.checkpoint].len() as u64, values);
                    let stretches = in_time[&row.checkpoint].len();
                    assert!((40..=250).contains(&stretches), "{stretches}");
                    assert!(spread[1].batches >= 25, "{spread:?}");
                    let ratio = spread[1].effect / spread[0].effect;
                    assert!((0.4..2.5).contains(&ratio), "{spread:?}");
                }
            }
        }
    }

    #[test]
    fn few_or_equal_values_are_no_evidence_of_dependence() {
        assert_eq!(Spread::of(&[], f64::NAN, f64::NAN), Spread::INDEPENDENT);
        let few = vec![(1, 1.0); 9];
        assert_eq!(Spread::of(&few, 1.0, 0.0), Spread::INDEPENDENT);
        let equal = vec![(1, 1.0); 100];
        let spread = Spread::of(&equal, 1.0, 0.0);
        assert_eq!((spread.batches, spread.effect), (30, 1.0));
        // Hours of unequal size: two large ones are batches of their own.
        let hours = [(500, 500.0), (1, 0.0), (500, 0.0), (1, 1.0), (500, 250.0)];
        assert_eq!(
            Spread::of(&hours, 0.5, 0.25).batches,
            0,
            "three are too few"
        );
    }
}

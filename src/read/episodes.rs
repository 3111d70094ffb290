//! Episodes: what their decisions and outcomes add up to.

use ahash::{AHashMap, AHashSet};

use super::Query;
use crate::entry::episode::{EPISODE_END, EPISODE_REWARD, EpisodeEnd, EpisodeId, EpisodeRecord};
use crate::entry::error::Result;
use crate::entry::ids::RunId;
use crate::entry::outcome::Outcomes;
use crate::entry::record::{InferenceRecord, RunState};

/// An episode that is being added up.
struct Sum {
    record: EpisodeRecord,
    /// The lowest number of a step.
    first_step: u64,
    /// The runs that recorded its decisions.
    runs: Vec<RunId>,
    /// With the sequence of the entry that said it: the newest holds.
    end: Option<(EpisodeEnd, u64)>,
    reward: Option<(f64, u64)>,
}

impl Query {
    /// The episodes of the decisions that are meant, in the order of their first ones. Each is
    /// added up from these: a query for a stretch of time has only that part of an episode that
    /// reaches out of it.
    ///
    /// Reads them all with their outcomes, about a million a second, and keeps some 200 bytes for
    /// each episode. The limit and the order of the query have no meaning here.
    ///
    /// # Errors
    /// [Errors of reading](crate::Error#errors-of-reading).
    ///
    /// ```
    /// use annals::entry::EpisodeEnd;
    /// use annals::{Journal, Outcome};
    ///
    /// let journal = Journal::in_memory()?;
    /// let recorder = journal.recorder("dqn", "pong").actions(["up", "down"]).build()?;
    /// let episode = recorder.episode();
    /// let id = episode.inference(1).log().unwrap();
    /// episode.attach_outcome(id, Outcome::new().reward(-0.5));
    /// drop(episode); // without an end
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// for known in journal.reader()?.inferences().episodes()? {
    ///     assert_eq!((&*known.model, known.decisions), ("dqn", 1));
    ///     assert_eq!((known.total_reward, known.end), (-0.5, Some(EpisodeEnd::Abandoned)));
    /// }
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn episodes(&self) -> Result<Vec<EpisodeRecord>> {
        let mut sums: Vec<Sum> = Vec::new();
        let mut places: AHashMap<EpisodeId, usize> = AHashMap::new();
        for judged in self.clone().only_steps().with_outcomes() {
            let (record, outcomes) = judged?;
            let Some(id) = record.episode else { continue };
            let place = *places.entry(id).or_insert(sums.len());
            if place == sums.len() {
                sums.push(Sum::new(id, &record));
            }
            if let Some(sum) = sums.get_mut(place) {
                sum.add(&record, outcomes.as_ref());
            }
        }
        // Only of those that nobody has ended.
        let is_open = sums.iter().any(|sum| sum.end.is_none());
        let alive = if is_open {
            self.alive()?
        } else {
            AHashSet::new()
        };
        Ok(sums.into_iter().map(|sum| sum.finish(&alive)).collect())
    }

    /// The runs that are alive.
    fn alive(&self) -> Result<AHashSet<RunId>> {
        let mut alive = AHashSet::new();
        for run in self.reader.runs() {
            let run = run?;
            if run.state == RunState::Alive {
                alive.insert(run.id);
            }
        }
        Ok(alive)
    }
}

impl Sum {
    fn new(id: EpisodeId, first: &InferenceRecord) -> Self {
        Sum {
            record: EpisodeRecord {
                id,
                model: first.model.clone(),
                symbol: first.symbol.clone(),
                first_time: first.event_time,
                last_time: first.event_time,
                decisions: 0,
                last_step: 0,
                total_reward: 0.0,
                rewarded: 0,
                invalid_rewards: 0,
                end: None,
            },
            first_step: u64::MAX,
            runs: vec![id.run()],
            end: None,
            reward: None,
        }
    }

    fn add(&mut self, step: &InferenceRecord, outcomes: Option<&Outcomes>) {
        let record = &mut self.record;
        record.first_time = record.first_time.min(step.event_time);
        record.last_time = record.last_time.max(step.event_time);
        record.decisions += 1;
        let number = step.step.unwrap_or(0);
        record.last_step = record.last_step.max(number);
        // Of two processes, the one with a later step may commit first.
        if number < self.first_step {
            self.first_step = number;
            (record.model, record.symbol) = (step.model.clone(), step.symbol.clone());
        }
        let run = step.id.run();
        if !self.runs.contains(&run) {
            self.runs.push(run);
        }
        let Some(outcomes) = outcomes else { return };
        if let Some(reward) = outcomes.reward {
            record.reward(reward.value);
        }
        let is_newer =
            |known: Option<u64>, sequence: u64| known.is_none_or(|known| sequence > known);
        if let Some(latest) = outcomes.get(EPISODE_REWARD)
            && is_newer(self.reward.map(|known| known.1), latest.sequence)
        {
            self.reward = Some((latest.value, latest.sequence));
        }
        if let Some(latest) = outcomes.get(EPISODE_END)
            && let Some(end) = EpisodeEnd::from_code(latest.value)
            && is_newer(self.end.map(|known| known.1), latest.sequence)
        {
            self.end = Some((end, latest.sequence));
        }
    }

    fn finish(self, alive: &AHashSet<RunId>) -> EpisodeRecord {
        let mut record = self.record;
        if let Some((reward, _)) = self.reward {
            record.reward(reward);
        }
        let is_alive = self.runs.iter().any(|run| alive.contains(run));
        record.end = match self.end {
            Some((end, _)) => Some(end),
            // Nobody is left who could go on with it.
            None if !is_alive => Some(EpisodeEnd::Abandoned),
            None => None,
        };
        record
    }
}

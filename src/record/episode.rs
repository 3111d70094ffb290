//! An episode of a recorder: decisions that are numbered, and an end.

use super::recorder::{Prepared, Recorder};
use super::steps::Steps;
use crate::entry::episode::{EpisodeEnd, EpisodeId};
use crate::entry::ids::InferenceId;
use crate::entry::inference::Timer;
use crate::entry::outcome::Outcome;
use crate::entry::value::Number;

impl Recorder {
    /// Begins an episode: a handle whose decisions are numbered steps. Two reference counts and an
    /// atomic counter. Nothing is stored before the first decision, and an episode without any
    /// leaves nothing.
    ///
    /// It ends by [`Episode::end`]. A handle that is dropped before ends as abandoned. So does an
    /// episode whose process died: readers see that its run is over.
    ///
    /// ```
    /// use annals::entry::EpisodeEnd;
    /// use annals::{Journal, Outcome};
    ///
    /// let journal = Journal::in_memory()?;
    /// let recorder = journal.recorder("dqn", "pong").actions(["up", "down"]).build()?;
    /// let episode = recorder.episode();
    /// for step in 0..3 {
    ///     let features = [0.1 * step as f32];
    ///     if let Some(id) = episode.log(episode.start(), 0, &[0.75, 0.25], &features) {
    ///         episode.attach_outcome(id, Outcome::new().reward(1.0)); // of this step
    ///     }
    /// }
    /// episode.end(EpisodeEnd::Terminated);
    ///
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let known = journal.reader()?.inferences().model("dqn").episodes()?;
    /// assert_eq!((known[0].decisions, known[0].total_reward), (3, 3.0));
    /// assert_eq!(known[0].end, Some(EpisodeEnd::Terminated));
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn episode(&self) -> Episode {
        Episode {
            steps: Steps::new(self.next_episode()),
            recorder: self.clone(),
            has_ended: false,
        }
    }
}

/// An episode under way; from [`Recorder::episode`]. Several threads may record its steps.
#[derive(Debug)]
#[must_use = "an episode that is dropped ends as abandoned"]
pub struct Episode {
    recorder: Recorder,
    steps: Steps,
    has_ended: bool,
}

impl Episode {
    /// Its id, which another process may be told: that gives it to
    /// [`Inference::episode`](crate::Inference::episode) with steps of its own. Of a disabled
    /// recorder it is 0-0.
    ///
    /// ```
    /// let journal = annals::Journal::in_memory()?;
    /// let recorder = journal.recorder("dqn", "pong").actions(["up", "down"]).build()?;
    /// let (first, second) = (recorder.episode(), recorder.episode());
    /// assert_ne!(first.id(), second.id());
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn id(&self) -> EpisodeId {
        self.steps.id
    }

    /// How many steps were taken. Calls that were dropped or refused count: their numbers are
    /// missing in the journal.
    ///
    /// ```
    /// let journal = annals::Journal::in_memory()?;
    /// let recorder = journal.recorder("dqn", "pong").actions(["up", "down"]).build()?;
    /// let episode = recorder.episode();
    /// episode.inference(0).log();
    /// assert_eq!(episode.steps(), 1);
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps.taken()
    }

    /// Starts measuring a processing time; see [`Recorder::start`].
    ///
    /// ```
    /// let journal = annals::Journal::in_memory()?;
    /// let recorder = journal.recorder("dqn", "pong").actions(["up", "down"]).build()?;
    /// let episode = recorder.episode();
    /// assert!(episode.log(episode.start(), 1, &[0.5, 0.5], &[0.1]).is_some());
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[inline]
    pub fn start(&self) -> Timer {
        self.recorder.start()
    }

    /// Begins the next step. It gets its number when it is logged.
    ///
    /// ```
    /// let journal = annals::Journal::in_memory()?;
    /// let recorder = journal.recorder("dqn", "pong").actions(["up", "down"]).build()?;
    /// let episode = recorder.episode();
    /// let ids = [0, 1].map(|action| episode.inference(action).confidence(0.5).log());
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let second = journal.reader()?.get(ids[1].unwrap())?.expect("it is committed");
    /// assert_eq!((second.episode, second.step), (Some(episode.id()), Some(1)));
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[inline]
    pub fn inference(&self, action: usize) -> Prepared<'_> {
        self.recorder.inference(action).of_episode(&self.steps)
    }

    /// Records the next step; see [`Recorder::log`].
    ///
    /// ```
    /// let journal = annals::Journal::in_memory()?;
    /// let recorder = journal.recorder("dqn", "pong").actions(["up", "down"]).build()?;
    /// let episode = recorder.episode();
    /// assert!(episode.log(episode.start(), 0, &[0.75, 0.25], &[0.1]).is_some());
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[inline]
    pub fn log(
        &self,
        timer: Timer,
        action: usize,
        probabilities: &[f32],
        features: &[f32],
    ) -> Option<InferenceId> {
        let decision = self.inference(action).timer(timer);
        decision
            .probabilities(probabilities)
            .features(features)
            .log()
    }

    /// Records an outcome of a step: its reward. See [`Recorder::attach_outcome`].
    ///
    /// ```
    /// let journal = annals::Journal::in_memory()?;
    /// let recorder = journal.recorder("dqn", "pong").actions(["up", "down"]).build()?;
    /// let episode = recorder.episode();
    /// let id = episode.inference(0).log().unwrap();
    /// assert!(episode.attach_outcome(id, annals::Outcome::new().reward(-1.0)));
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn attach_outcome(&self, id: InferenceId, outcome: Outcome<'_>) -> bool {
        self.recorder.attach_outcome(id, outcome)
    }

    /// Ends the episode: an outcome of its last decision says so. Returns whether it was queued;
    /// without any decision there is none.
    ///
    /// ```
    /// use annals::entry::EpisodeEnd;
    ///
    /// let journal = annals::Journal::in_memory()?;
    /// let recorder = journal.recorder("dqn", "pong").actions(["up", "down"]).build()?;
    /// let episode = recorder.episode();
    /// episode.inference(0).log();
    /// assert!(episode.end(EpisodeEnd::Truncated)); // by a limit of time
    /// assert!(!recorder.episode().end(EpisodeEnd::Truncated)); // it had no decision
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn end(mut self, end: EpisodeEnd) -> bool {
        self.finish(Outcome::new().ends_episode(end))
    }

    /// Ends the episode with a reward of the whole, beside those of its steps: a game that was won.
    ///
    /// ```
    /// use annals::entry::EpisodeEnd;
    ///
    /// let journal = annals::Journal::in_memory()?;
    /// let recorder = journal.recorder("dqn", "pong").actions(["up", "down"]).build()?;
    /// let episode = recorder.episode();
    /// episode.inference(0).log();
    /// assert!(episode.end_with_reward(EpisodeEnd::Terminated, 10.0));
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let known = journal.reader()?.inferences().episodes()?;
    /// assert_eq!(known[0].total_reward, 10.0);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn end_with_reward(mut self, end: EpisodeEnd, reward: impl Into<Number>) -> bool {
        self.finish(Outcome::new().ends_episode(end).episode_reward(reward))
    }

    fn finish(&mut self, outcome: Outcome<'_>) -> bool {
        self.has_ended = true;
        let last = self.steps.last();
        last.is_some_and(|id| self.recorder.attach_outcome(id, outcome))
    }
}

impl Drop for Episode {
    fn drop(&mut self) {
        // After the closing of its journal, readers see by the run that nobody goes on with it.
        if !self.has_ended && self.recorder.is_open() {
            self.finish(Outcome::new().ends_episode(EpisodeEnd::Abandoned));
        }
    }
}

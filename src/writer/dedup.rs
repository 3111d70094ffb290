//! Recognising an inference that was already recorded with the same answer.
//!
//! Two generations of a bounded map: answers move on when the window has passed or a
//! generation is full, so memory is bounded and forgetting costs nothing per answer.

use ahash::AHashMap;
use xxhash_rust::xxh3::Xxh3;

/// What was asked: the same key means the same question.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Question {
    /// Stored name ids; for a name that is written out, a hash with the top bit set.
    pub(crate) model: u64,
    pub(crate) symbol: u64,
    pub(crate) checkpoint: u64,
    pub(crate) features: u64,
}

/// Everything that makes an answer equal to another, bit by bit, as a 128-bit fingerprint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Answer(u128);

impl Answer {
    pub(crate) fn new(action: u64, labels: u64, confidence: f32, probabilities: &[f32]) -> Self {
        let mut hash = Xxh3::new();
        hash.update(&action.to_le_bytes());
        hash.update(&labels.to_le_bytes());
        hash.update(&confidence.to_bits().to_le_bytes());
        hash.update(bytemuck::cast_slice(probabilities));
        Answer(hash.digest128())
    }
}

#[derive(Clone, Copy)]
struct Seen {
    answer: Answer,
    id: u64,
    ticks: u64,
}

/// What deduplication says about an inference.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    New,
    /// The same question got the same answer, recorded as this id.
    Repeat {
        original: u64,
    },
    /// The same question got another answer.
    Divergent,
}

pub(crate) struct Dedup {
    window_nanos: u64,
    /// Answers per generation.
    capacity: usize,
    newer: AHashMap<Question, Seen>,
    older: AHashMap<Question, Seen>,
    turned: u64,
}

impl Dedup {
    pub(crate) fn new(window: std::time::Duration, capacity: usize) -> Self {
        Dedup {
            window_nanos: u64::try_from(window.as_nanos()).unwrap_or(u64::MAX),
            capacity: capacity / 2,
            newer: AHashMap::new(),
            older: AHashMap::new(),
            turned: 0,
        }
    }

    pub(crate) fn is_off(&self) -> bool {
        self.window_nanos == 0 || self.capacity == 0
    }

    /// Judges the answer `answer` that inference `id` gave at `ticks`, and remembers it.
    ///
    /// A repeat does not renew its original's time: an answer that never changes is recorded in
    /// full once per window.
    pub(crate) fn judge(
        &mut self,
        question: Question,
        answer: Answer,
        id: u64,
        ticks: u64,
    ) -> Verdict {
        if self.is_off() {
            return Verdict::New;
        }
        // Each generation lasts a whole window, so an answer is still found at the window's end.
        if self.newer.len() >= self.capacity
            || ticks.saturating_sub(self.turned) > self.window_nanos
        {
            std::mem::swap(&mut self.newer, &mut self.older);
            self.newer.clear();
            self.turned = ticks;
        }
        let seen = self
            .newer
            .get(&question)
            .or_else(|| self.older.get(&question));
        let fresh = seen.filter(|seen| ticks.saturating_sub(seen.ticks) <= self.window_nanos);
        match fresh {
            Some(seen) if seen.answer == answer => Verdict::Repeat { original: seen.id },
            other => {
                let verdict = match other {
                    Some(_) => Verdict::Divergent,
                    None => Verdict::New,
                };
                self.newer.insert(question, Seen { answer, id, ticks });
                verdict
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const SECOND: u64 = 1_000_000_000;

    fn question(features: u64) -> Question {
        Question {
            model: 1,
            symbol: 2,
            checkpoint: 0,
            features,
        }
    }

    fn answer(confidence: f32) -> Answer {
        Answer::new(3, 4, confidence, &[confidence, 1.0 - confidence])
    }

    #[test]
    fn repeats_within_the_window_and_not_beyond_it() {
        let mut dedup = Dedup::new(Duration::from_secs(1), 100);
        assert_eq!(dedup.judge(question(7), answer(0.5), 1, 0), Verdict::New);
        let repeat = Verdict::Repeat { original: 1 };
        assert_eq!(dedup.judge(question(7), answer(0.5), 2, SECOND / 2), repeat);
        assert_eq!(dedup.judge(question(7), answer(0.5), 3, SECOND), repeat);
        assert_eq!(
            dedup.judge(question(7), answer(0.5), 4, SECOND + 1),
            Verdict::New
        );
    }

    #[test]
    fn another_answer_is_a_divergence_and_becomes_the_known_one() {
        let mut dedup = Dedup::new(Duration::from_secs(1), 100);
        dedup.judge(question(7), answer(0.5), 1, 0);
        assert_eq!(
            dedup.judge(question(7), answer(0.6), 2, 1),
            Verdict::Divergent
        );
        assert_eq!(
            dedup.judge(question(7), answer(0.6), 3, 2),
            Verdict::Repeat { original: 2 }
        );
        assert_eq!(dedup.judge(question(8), answer(0.6), 4, 3), Verdict::New);
    }

    #[test]
    fn nan_answers_are_compared_by_bits() {
        let mut dedup = Dedup::new(Duration::from_secs(1), 100);
        dedup.judge(question(7), answer(f32::NAN), 1, 0);
        assert_eq!(
            dedup.judge(question(7), answer(f32::NAN), 2, 1),
            Verdict::Repeat { original: 1 }
        );
    }

    #[test]
    fn memory_is_bounded() {
        let mut dedup = Dedup::new(Duration::from_secs(1), 10);
        for features in 0..1_000 {
            dedup.judge(question(features), answer(0.5), features, 1);
            assert!(dedup.newer.len() + dedup.older.len() <= 10);
        }
    }

    #[test]
    fn zero_turns_it_off() {
        for (window, capacity) in [(Duration::ZERO, 100), (Duration::from_secs(1), 0)] {
            let mut dedup = Dedup::new(window, capacity);
            assert_eq!(dedup.judge(question(7), answer(0.5), 1, 0), Verdict::New);
            assert_eq!(dedup.judge(question(7), answer(0.5), 2, 0), Verdict::New);
        }
    }
}

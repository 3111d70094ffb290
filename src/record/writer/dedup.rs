//! Recognising an inference that was already recorded with the same answer.
//!
//! Two generations of a bounded table: answers move on when the window has passed or a
//! generation is full, so memory is bounded and forgetting costs nothing per answer.

use ahash::RandomState;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::engine::format::row::StoredValue;
use crate::entry::ids::InferenceId;

/// The question: the same numbers mean the same question.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Question {
    /// Stored name ids.
    pub(crate) model: u64,
    pub(crate) symbol: u64,
    pub(crate) checkpoint: u64,
    pub(crate) features: u64,
}

/// Of a [`Question`], by this process's secret; never 0.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fingerprint(u64);

/// Everything that makes an answer equal to another, bit by bit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AnswerBits<'a> {
    pub(crate) action: u64,
    pub(crate) labels: u64,
    pub(crate) confidence: f32,
    pub(crate) probabilities: &'a [f32],
    /// A continuous action.
    pub(crate) vector: &'a [f32],
    /// Predictions.
    pub(crate) values: &'a [StoredValue],
}

/// Deduplication's answer about an inference.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    New,
    /// The same question got the same answer, recorded as this id.
    Repeat {
        original: InferenceId,
    },
    /// The same question got another answer.
    Divergent,
}

pub(crate) struct Dedup {
    window_nanos: u64,
    /// Answers per generation.
    capacity: usize,
    newer: Generation,
    older: Generation,
    turned: u64,
    /// Drawn for each process, so that two answers that look alike cannot be prepared.
    seed: u64,
}

impl Dedup {
    pub(crate) fn new(window: std::time::Duration, capacity: usize) -> Self {
        Dedup {
            window_nanos: u64::try_from(window.as_nanos()).unwrap_or(u64::MAX),
            // Two generations hold the capacity together.
            capacity: capacity / 2,
            newer: Generation::default(),
            older: Generation::default(),
            turned: 0,
            seed: RandomState::new().hash_one(0),
        }
    }

    pub(crate) fn is_off(&self) -> bool {
        self.window_nanos == 0 || self.capacity == 0
    }

    /// The fingerprint of a question, whose answers are fetched from memory in the background.
    /// Fetching for many before judging one makes all of them wait together.
    #[inline]
    pub(crate) fn fetch(&self, question: Question) -> Fingerprint {
        let fingerprint = self.fingerprint(question);
        for generation in [&self.newer, &self.older] {
            // Without it the compiler would drop the load, which is there for the cache alone.
            std::hint::black_box(generation.first(fingerprint.0));
        }
        fingerprint
    }

    #[inline]
    pub(crate) fn fingerprint(&self, question: Question) -> Fingerprint {
        // Ids have 32 bits, so they lie side by side.
        let names = question.model ^ question.symbol.rotate_left(32);
        // Hashed with the secret as seed, and not looked up as they are: a sender who chooses his
        // features must not choose the slot.
        let whole = [names, question.features];
        let seed = self.seed ^ question.checkpoint.rotate_left(32);
        Fingerprint(xxh3_64_with_seed(bytemuck::bytes_of(&whole), seed).max(1))
    }

    /// Judges the answer `answer` that inference `id` gave at `nanos`, and remembers it.
    ///
    /// A repeat does not renew its original's time: an answer that never changes is recorded in
    /// full once per window.
    pub(crate) fn judge(
        &mut self,
        question: Fingerprint,
        answer: AnswerBits<'_>,
        id: InferenceId,
        nanos: u64,
    ) -> Verdict {
        if self.is_off() {
            return Verdict::New;
        }
        // Each generation lasts a whole window, so an answer is still found at the window's end.
        // Saturating: ticks of two threads may be out of order by some nanoseconds.
        if self.newer.held >= self.capacity || nanos.saturating_sub(self.turned) > self.window_nanos
        {
            std::mem::swap(&mut self.newer, &mut self.older);
            self.newer.clear();
            self.turned = nanos;
        }
        let answer = self.answer(answer);
        // Also finds the place for an answer that is not there yet: one probe serves both.
        let place = self.newer.place_for(question.0);
        let seen = match self.newer.at(place) {
            Some(seen) if seen.question != 0 => Some(seen),
            _ => self.older.find(question.0),
        };
        // The older generation may hold answers of up to two windows ago.
        let fresh = seen.filter(|seen| nanos.saturating_sub(seen.nanos) <= self.window_nanos);
        let verdict = match fresh {
            Some(seen) if seen.answer == answer => return Verdict::Repeat { original: seen.id },
            Some(_) => Verdict::Divergent,
            None => Verdict::New,
        };
        let question = question.0;
        // Also over an answer that is too old, or another one: the place was found for this
        // question.
        self.newer.put(
            place,
            SeenQuestion {
                question,
                answer,
                id,
                nanos,
            },
        );
        verdict
    }

    #[inline]
    fn answer(&self, answer: AnswerBits<'_>) -> u64 {
        let confidence = u64::from(answer.confidence.to_bits());
        let whole = [answer.action, answer.labels.rotate_left(32) ^ confidence];
        // Two steps instead of one buffer: the probabilities are hashed where they lie.
        let seed = xxh3_64_with_seed(bytemuck::bytes_of(&whole), self.seed);
        let seed = xxh3_64_with_seed(bytemuck::cast_slice(answer.probabilities), seed);
        let seed = match answer.vector {
            [] => seed,
            vector => xxh3_64_with_seed(bytemuck::cast_slice(vector), seed),
        };
        answer.values.iter().fold(seed, |seed, stored| {
            let bits = stored.value.as_typed().to_bits();
            xxh3_64_with_seed(bytemuck::bytes_of(&[u64::from(stored.name), bits]), seed)
        })
    }
}

/// Fingerprints of a question and its answer. A false repeat takes a collision of both, 128 bits.
#[derive(Clone, Copy)]
struct SeenQuestion {
    /// 0 where there is nothing.
    question: u64,
    answer: u64,
    id: InferenceId,
    nanos: u64,
}

impl SeenQuestion {
    const NOTHING: SeenQuestion = SeenQuestion {
        question: 0,
        answer: 0,
        id: InferenceId::NONE,
        nanos: 0,
    };
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "any of the bits will do")]
fn home(question: u64) -> usize {
    question as usize
}

/// Slots of a table with something in it, at first.
const FEWEST_SLOTS: usize = 256;

/// A table from questions to answers that grows and is emptied as a whole. Half a cache line per
/// answer, in the slot of its fingerprint or in the next free one.
#[derive(Default)]
struct Generation {
    /// Invariant D1: none, or a power of two, of which at most half are taken.
    slots: Vec<SeenQuestion>,
    held: usize,
}

impl Generation {
    #[inline]
    fn find(&self, question: u64) -> Option<&SeenQuestion> {
        let place = self.place(question)?;
        self.slots.get(place).filter(|seen| seen.question != 0)
    }

    /// The slot that belongs to `question`'s fingerprint.
    #[inline]
    fn first(&self, question: u64) -> Option<u64> {
        let mask = self.slots.len().checked_sub(1)?;
        let seen = self.slots.get(home(question) & mask)?;
        Some(seen.question)
    }

    /// Where `question` is, or would be put; `None` in a table without slots.
    #[inline]
    fn place(&self, question: u64) -> Option<usize> {
        let mask = self.slots.len().checked_sub(1)?;
        let mut place = home(question) & mask;
        loop {
            match self.slots.get(place)?.question {
                0 => return Some(place),
                found if found == question => return Some(place),
                // Ends, because at most half of the slots are taken (D1).
                _ => place = (place + 1) & mask,
            }
        }
    }

    /// Where `question` is, or is to be put, now that there is room for one more.
    #[inline]
    fn place_for(&mut self, question: u64) -> usize {
        if self.held * 2 >= self.slots.len() {
            self.grow();
        }
        self.place(question).unwrap_or(0)
    }

    #[inline]
    fn at(&self, place: usize) -> Option<&SeenQuestion> {
        self.slots.get(place)
    }

    #[inline]
    fn put(&mut self, place: usize, seen: SeenQuestion) {
        if let Some(slot) = self.slots.get_mut(place) {
            self.held += usize::from(slot.question == 0);
            *slot = seen;
        }
    }

    #[cold]
    fn grow(&mut self) {
        // Growth is amortised, and a loop with few questions never pays for the whole capacity.
        let slots = (self.slots.len() * 2).max(FEWEST_SLOTS);
        let smaller = std::mem::replace(&mut self.slots, vec![SeenQuestion::NOTHING; slots]);
        self.held = 0;
        for seen in smaller.into_iter().filter(|seen| seen.question != 0) {
            let place = self.place_for(seen.question);
            self.put(place, seen);
        }
    }

    fn clear(&mut self) {
        self.slots.fill(SeenQuestion::NOTHING);
        self.held = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const SECOND: u64 = 1_000_000_000;

    fn judge(dedup: &mut Dedup, features: u64, confidence: f32, id: u64, nanos: u64) -> Verdict {
        let question = dedup.fingerprint(question(features));
        dedup.judge(
            question,
            answer(confidence),
            InferenceId::from_u64(id),
            nanos,
        )
    }

    fn repeat_of(original: u64) -> Verdict {
        let original = InferenceId::from_u64(original);
        Verdict::Repeat { original }
    }

    fn question(features: u64) -> Question {
        Question {
            model: 1,
            symbol: 2,
            checkpoint: 0,
            features,
        }
    }

    fn answer(confidence: f32) -> AnswerBits<'static> {
        AnswerBits {
            action: 3,
            labels: 4,
            confidence,
            probabilities: &[0.25, 0.75],
            vector: &[],
            values: &[],
        }
    }

    #[test]
    fn repeats_within_the_window_and_not_beyond_it() {
        let mut dedup = Dedup::new(Duration::from_secs(1), 100);
        assert_eq!(judge(&mut dedup, 7, 0.5, 1, 0), Verdict::New);
        let repeat = repeat_of(1);
        assert_eq!(judge(&mut dedup, 7, 0.5, 2, SECOND / 2), repeat);
        assert_eq!(judge(&mut dedup, 7, 0.5, 3, SECOND), repeat);
        assert_eq!(judge(&mut dedup, 7, 0.5, 4, SECOND + 1), Verdict::New);
    }

    #[test]
    fn another_answer_is_a_divergence_and_becomes_the_known_one() {
        let mut dedup = Dedup::new(Duration::from_secs(1), 100);
        judge(&mut dedup, 7, 0.5, 1, 0);
        assert_eq!(judge(&mut dedup, 7, 0.6, 2, 1), Verdict::Divergent);
        assert_eq!(judge(&mut dedup, 7, 0.6, 3, 2), repeat_of(2));
        assert_eq!(judge(&mut dedup, 8, 0.6, 4, 3), Verdict::New);
    }

    #[test]
    fn nan_answers_are_compared_by_bits() {
        let mut dedup = Dedup::new(Duration::from_secs(1), 100);
        judge(&mut dedup, 7, f32::NAN, 1, 0);
        assert_eq!(judge(&mut dedup, 7, f32::NAN, 2, 1), repeat_of(1));
    }

    #[test]
    fn memory_is_bounded() {
        let mut dedup = Dedup::new(Duration::from_secs(1), 10);
        for features in 0..1_000 {
            judge(&mut dedup, features, 0.5, features, 1);
            assert!(dedup.newer.held + dedup.older.held <= 10);
        }
    }

    #[test]
    fn zero_turns_it_off() {
        for (window, capacity) in [(Duration::ZERO, 100), (Duration::from_secs(1), 0)] {
            let mut dedup = Dedup::new(window, capacity);
            assert_eq!(judge(&mut dedup, 7, 0.5, 1, 0), Verdict::New);
            assert_eq!(judge(&mut dedup, 7, 0.5, 2, 0), Verdict::New);
        }
    }
}

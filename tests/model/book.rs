//! The content that a journal must have, in plain lists.

use std::collections::BTreeMap;

use annals::entry::EpisodeId;
use annals::{Content, Cursor, Error, Inference, InferenceId, InferenceRecord, Reader};

use super::sums::Sums;
use super::{ACTIONS, MODELS, WINDOW};

/// A continuous action.
const VECTOR: [f32; 2] = [0.5, -1.0];
/// Sorted by name.
const PREDICTIONS: [(&str, f64); 2] = [("price", 101.5), ("volume", -7.0)];

/// One inference as it is logged; names are numbers of the lists.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    pub model: usize,
    pub action: usize,
    pub confidence: u8,
    pub features: Option<u8>,
    pub event: Option<i64>,
    /// A bit for each kind of extras: a propensity, an action vector, a cause, a correlation, a
    /// step, predictions.
    pub extras: u8,
}

impl Call {
    pub fn confidence(&self) -> f32 {
        f32::from(self.confidence) / 2.0
    }

    pub fn has(&self, bit: u8) -> bool {
        self.extras & bit != 0
    }

    /// With its extras.
    pub fn described<'a>(&self, mut inference: Inference<'a>) -> Inference<'a> {
        if self.has(1) {
            inference = inference.propensity(self.confidence());
        }
        if self.has(2) {
            inference = inference.action_vector(&VECTOR);
        }
        if self.has(4) {
            inference = inference.caused_by(InferenceId::from_u64(7));
        }
        if self.has(8) {
            inference = inference.correlation("order");
        }
        if self.has(16) {
            inference = inference.episode(EpisodeId::from_u64(9), self.extras.into());
        }
        if self.has(32) {
            inference = inference.predictions(&PREDICTIONS);
        }
        inference
    }

    fn assert_described(&self, record: &InferenceRecord) {
        let propensity = self.has(1).then(|| self.confidence());
        assert_eq!(record.propensity, propensity);
        let vector: &[f32] = if self.has(2) { &VECTOR } else { &[] };
        assert_eq!(record.action_vector, vector);
        let cause = self.has(4).then(|| InferenceId::from_u64(7));
        assert_eq!(record.caused_by, cause);
        let correlation = self.has(8).then_some("order");
        assert_eq!(record.correlation.as_deref(), correlation);
        let step = self.has(16).then(|| u64::from(self.extras));
        assert_eq!(record.step, step);
        let episode = self.has(16).then(|| EpisodeId::from_u64(9));
        assert_eq!(record.episode, episode);
        let predictions: &[_] = if self.has(32) { &PREDICTIONS } else { &[] };
        let found = record.predictions.iter();
        assert!(
            found
                .map(|(name, number)| (&**name, *number))
                .eq(predictions.iter().copied())
        );
    }
}

#[derive(Clone, Debug)]
enum Told {
    Inference {
        id: InferenceId,
        call: Call,
        recorded: i64,
        judged: Judged,
    },
    Outcome {
        of: InferenceId,
        reward: f64,
    },
    Event,
    /// The journal itself says that a model has begun to contradict itself.
    Divergence,
}

impl Told {
    fn id(&self) -> Option<InferenceId> {
        match self {
            Told::Inference { id, .. } => Some(*id),
            _ => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judged {
    New,
    Repeat(InferenceId),
    Divergent,
}

/// Reports of one handle since it was opened.
#[derive(Clone, Debug, Default)]
struct Handle {
    pending: Vec<Told>,
    committed: u64,
    /// Answers in full: when, which, whose.
    answers: Vec<(i64, Call, InferenceId)>,
    said: [bool; 2],
}

/// Entries that lie in one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Segment {
    next: u64,
    /// When its last entry was recorded.
    recorded: i64,
}

#[derive(Clone, Debug)]
pub struct Book {
    handles: Vec<Handle>,
    runs: Vec<u32>,
    /// All that was ever committed, with the time at which it was recorded.
    entries: Vec<(Told, i64)>,
    segments: Vec<Segment>,
    /// The first sequence that is not retired.
    kept: u64,
    /// Where the stored cursor is.
    exported: u64,
    ids: Vec<InferenceId>,
    sums: Sums,
}

/// The effect of a plan: how many segments, and the first sequence kept before and after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doomed {
    pub segments: usize,
    pub entries: u64,
    from: u64,
    until: u64,
}

impl Book {
    pub fn new(runs: Vec<u32>) -> Book {
        Book {
            handles: vec![Handle::default(); runs.len()],
            runs,
            entries: Vec::new(),
            segments: Vec::new(),
            kept: 1,
            exported: 0,
            ids: Vec::new(),
            sums: Sums::default(),
        }
    }

    /// The id that was logged so many before the last.
    pub fn logged(&self, back: usize) -> Option<InferenceId> {
        let length = self.ids.len();
        (length > 0).then(|| self.ids[length - 1 - back % length])
    }

    pub fn log(&mut self, number: usize, id: InferenceId, call: &Call, now: i64) {
        assert_eq!(id.run().get(), self.runs[number]);
        let handle = &mut self.handles[number];
        let window = i64::try_from(WINDOW.as_micros()).unwrap();
        let same = |(when, earlier, _): &&(i64, Call, InferenceId)| {
            call.features.is_some()
                && now - when <= window
                && (earlier.model, earlier.features) == (call.model, call.features)
        };
        let judged = match handle.answers.iter().rev().find(same) {
            None => Judged::New,
            Some((_, earlier, original)) => {
                let answer =
                    |call: &Call| (call.action, call.confidence, call.has(2), call.has(32));
                if answer(earlier) == answer(call) {
                    Judged::Repeat(*original)
                } else {
                    Judged::Divergent
                }
            }
        };
        let judged = match judged {
            // It is stored in full, and its question keeps its time.
            Judged::Repeat(_) if call.extras != 0 => Judged::New,
            Judged::Repeat(original) => Judged::Repeat(original),
            other => {
                handle.answers.push((now, call.clone(), id));
                other
            }
        };
        handle.pending.push(Told::Inference {
            id,
            call: call.clone(),
            recorded: now,
            judged,
        });
        if judged == Judged::Divergent && !handle.said[call.model] {
            handle.said[call.model] = true;
            handle.pending.push(Told::Divergence);
        }
        self.ids.push(id);
    }

    pub fn outcome(&mut self, number: usize, of: InferenceId, reward: f64) {
        self.handles[number]
            .pending
            .push(Told::Outcome { of, reward });
    }

    pub fn event(&mut self, number: usize) {
        self.handles[number].pending.push(Told::Event);
    }

    /// Commits what a handle has said; time has not passed since.
    pub fn flush(&mut self, number: usize, now: i64) {
        let handle = &mut self.handles[number];
        handle.committed += handle.pending.len() as u64;
        for told in std::mem::take(&mut handle.pending) {
            let sequence = self.entries.len() as u64 + 1;
            match &told {
                Told::Inference {
                    id,
                    call,
                    recorded,
                    judged,
                } => self.sums.decide(sequence, *id, call, *recorded, *judged),
                Told::Outcome { of, reward } => self.sums.turn_out(*of, *reward),
                Told::Event | Told::Divergence => {}
            }
            self.entries.push((told, now));
        }
    }

    pub fn reopen(&mut self, number: usize, run: u32) {
        assert!(self.runs.iter().all(|known| *known < run));
        self.runs[number] = run;
        self.handles[number] = Handle::default();
    }

    /// How many entries are moved into a segment.
    pub fn seal(&mut self) -> u64 {
        let sealed = self.segments.last().map_or(self.kept, |last| last.next);
        let next = self.next_sequence();
        if let Some((_, recorded)) = self.entries.last().filter(|_| next > sealed) {
            let recorded = *recorded;
            self.segments.push(Segment { next, recorded });
        }
        next - sealed
    }

    pub fn set_cursor(&mut self) -> u64 {
        self.exported = self.next_sequence();
        self.exported
    }

    /// The entries that go if only later ones stay, or those that the cursor has not passed.
    pub fn doomed(&self, since: i64, only_exported: bool) -> Doomed {
        let goes = |segment: &&Segment| {
            segment.recorded < since && (!only_exported || segment.next <= self.exported)
        };
        let doomed: Vec<_> = self.segments.iter().take_while(goes).collect();
        let until = doomed.last().map_or(self.kept, |last| last.next);
        Doomed {
            segments: doomed.len(),
            entries: until - self.kept,
            from: self.kept,
            until,
        }
    }

    /// Retires that, unless something else was retired since; says whether it was.
    pub fn retire(&mut self, doomed: Doomed) -> bool {
        if doomed.segments == 0 {
            return true;
        }
        if doomed.from != self.kept {
            return false;
        }
        self.kept = doomed.until;
        self.segments.retain(|segment| segment.next > self.kept);
        self.sums.retire(self.kept);
        true
    }

    /// Whether nothing would stay that was recorded since.
    pub fn is_old(&self, since: i64) -> bool {
        self.entries
            .last()
            .is_none_or(|(_, recorded)| *recorded < since)
    }

    pub fn next_sequence(&self) -> u64 {
        self.entries.len() as u64 + 1
    }

    pub fn committed(&self, number: usize) -> u64 {
        self.handles[number].committed
    }

    /// How many events have been offered, at least and at most: the journal makes its own when it
    /// takes others from the queue.
    pub fn offered(&self, number: usize) -> std::ops::RangeInclusive<u64> {
        let handle = &self.handles[number];
        let pending = handle.pending.iter();
        let callers = pending.filter(|told| !matches!(told, Told::Divergence));
        let most = handle.committed + handle.pending.len() as u64;
        handle.committed + callers.count() as u64..=most
    }

    /// Fails unless `reader` gives what the book says.
    pub fn compare(&self, reader: &Reader) {
        let second: Cursor = format!("annals:{}:2", reader.id()).parse().unwrap();
        let behind = reader
            .follow(second)
            .and_then(|mut entries| entries.next().transpose());
        let is_told = matches!(behind, Err(Error::Retired { kept, .. }) if kept == self.kept);
        assert_eq!(is_told, self.kept > 2, "{behind:?}");
        let found: Vec<_> = reader
            .follow(reader.start())
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let retired = usize::try_from(self.kept - 1).unwrap();
        assert_eq!(found.len(), self.entries.len() - retired);
        let (gone, there) = self.entries.split_at(retired);
        let mut rewards: BTreeMap<u64, f64> = BTreeMap::new();
        // An outcome that came before its decision was committed stays as long as the decision.
        for (told, _) in gone {
            if let Told::Outcome { of, reward } = told
                && there.iter().any(|(told, _)| told.id() == Some(*of))
            {
                rewards.insert(of.to_u64(), *reward);
            }
        }
        let mut in_full = Vec::new();
        let kept = (self.kept..).zip(there);
        for (entry, (sequence, (told, _))) in found.iter().zip(kept) {
            assert_eq!(entry.sequence, sequence);
            match (&entry.content, told) {
                (
                    Content::Inference(record),
                    Told::Inference {
                        id,
                        call,
                        recorded,
                        judged,
                    },
                ) => {
                    assert_eq!(record.id, *id);
                    assert_eq!(record.divergent, *judged == Judged::Divergent);
                    assert_eq!(
                        *judged,
                        if record.divergent {
                            Judged::Divergent
                        } else {
                            Judged::New
                        }
                    );
                    assert_eq!(*record.model, *MODELS[call.model]);
                    assert_eq!(*record.action, *ACTIONS[call.action]);
                    assert_eq!(record.confidence, Some(call.confidence()));
                    let event = record.event_time.as_micros();
                    assert_eq!(event, call.event.unwrap_or(*recorded));
                    call.assert_described(record);
                    in_full.push(*id);
                }
                (Content::Repeat(repeat), Told::Inference { id, judged, .. }) => {
                    assert_eq!(repeat.id, *id);
                    assert_eq!(*judged, Judged::Repeat(repeat.original));
                }
                (Content::Outcome(outcome), Told::Outcome { of, reward }) => {
                    assert_eq!((outcome.of, outcome.reward), (*of, Some(*reward)));
                    rewards.insert(of.to_u64(), *reward);
                }
                (Content::SystemEvent(event), Told::Event) => {
                    assert_eq!(&*event.component, "model")
                }
                (Content::SystemEvent(event), Told::Divergence) => {
                    assert_eq!(&*event.component, "annals");
                }
                other => panic!("{other:?}"),
            }
        }
        let without_repeats = reader.inferences().repeats(annals::Repeats::Exclude);
        let newest: Vec<_> = without_repeats
            .newest_first()
            .iter()
            .map(|record| record.unwrap().id)
            .collect();
        assert!(
            newest.iter().eq(in_full.iter().rev()),
            "{newest:?} {in_full:?}"
        );
        let committed: Vec<_> = found.iter().filter_map(annals::Entry::id).collect();
        let rows = reader.newest(usize::MAX);
        let rows: Vec<_> = rows.map(|record| record.unwrap().id).collect();
        assert!(
            rows.iter().eq(committed.iter().rev()),
            "{rows:?} {committed:?}"
        );
        for id in &self.ids {
            let known = reader.get(*id).unwrap();
            assert_eq!(known.is_some(), committed.contains(id), "{id}");
            let outcome = reader.outcome(*id).unwrap();
            let reward = outcome
                .and_then(|known| known.reward)
                .map(|latest| latest.value);
            assert_eq!(reward, rewards.get(&id.to_u64()).copied(), "{id}");
        }
        let ever: Vec<_> = self
            .entries
            .iter()
            .filter_map(|(told, _)| told.id())
            .collect();
        for run in reader.runs() {
            let run = run.unwrap();
            let of_run = ever.iter().filter(|id| id.run() == run.id);
            assert_eq!(run.last_id, of_run.max().copied(), "{run:?}");
        }
        assert_eq!(reader.gaps().count(), 0);
        self.sums.compare(reader);
    }
}

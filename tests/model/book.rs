//! What a journal must hold, kept in plain lists.

use std::collections::BTreeMap;

use annals::{Content, InferenceId, Reader};

use super::{ACTIONS, MODELS, WINDOW};

/// One inference as it is logged; names are numbers of the lists.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    pub model: usize,
    pub action: usize,
    pub confidence: u8,
    pub features: Option<u8>,
    pub event: Option<i64>,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Judged {
    New,
    Repeat(InferenceId),
    Divergent,
}

/// What one handle has said since it was opened.
#[derive(Clone, Debug, Default)]
struct Handle {
    pending: Vec<Told>,
    committed: u64,
    /// Answers in full: when, which, whose.
    answers: Vec<(i64, Call, InferenceId)>,
    said: [bool; 2],
}

#[derive(Clone, Debug)]
pub struct Book {
    handles: Vec<Handle>,
    runs: Vec<u32>,
    entries: Vec<Told>,
    sealed: usize,
    ids: Vec<InferenceId>,
}

impl Book {
    pub fn new(runs: Vec<u32>) -> Book {
        Book {
            handles: vec![Handle::default(); runs.len()],
            runs,
            entries: Vec::new(),
            sealed: 0,
            ids: Vec::new(),
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
                let known = (earlier.action, earlier.confidence);
                if known == (call.action, call.confidence) {
                    Judged::Repeat(*original)
                } else {
                    Judged::Divergent
                }
            }
        };
        if !matches!(judged, Judged::Repeat(_)) {
            handle.answers.push((now, call.clone(), id));
        }
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

    pub fn flush(&mut self, number: usize) {
        let handle = &mut self.handles[number];
        handle.committed += handle.pending.len() as u64;
        self.entries.append(&mut handle.pending);
    }

    pub fn reopen(&mut self, number: usize, run: u32) {
        assert!(self.runs.iter().all(|known| *known < run));
        self.runs[number] = run;
        self.handles[number] = Handle::default();
    }

    /// How many entries are moved into a segment.
    pub fn seal(&mut self) -> u64 {
        let sealed = self.entries.len() - self.sealed;
        self.sealed = self.entries.len();
        sealed as u64
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
        let found: Vec<_> = reader
            .follow(reader.start())
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert_eq!(found.len(), self.entries.len());
        let mut rewards: BTreeMap<u64, f64> = BTreeMap::new();
        let mut in_full = Vec::new();
        for (place, (entry, told)) in found.iter().zip(&self.entries).enumerate() {
            assert_eq!(entry.sequence, place as u64 + 1);
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
                    assert_eq!(record.confidence, f32::from(call.confidence) / 2.0);
                    let event = record.event_time.as_micros();
                    assert_eq!(event, call.event.unwrap_or(*recorded));
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
        let newest: Vec<_> = reader
            .newest(usize::MAX)
            .map(|record| record.unwrap().id)
            .collect();
        assert!(
            newest.iter().eq(in_full.iter().rev()),
            "{newest:?} {in_full:?}"
        );
        let committed: Vec<_> = found.iter().filter_map(annals::Entry::id).collect();
        for id in &self.ids {
            let known = reader.get(*id).unwrap();
            assert_eq!(known.is_some(), committed.contains(id), "{id}");
            let outcome = reader.outcome(*id).unwrap();
            let reward = outcome
                .and_then(|known| known.reward)
                .map(|latest| latest.value);
            assert_eq!(reward, rewards.get(&id.to_u64()).copied(), "{id}");
        }
        for run in reader.runs() {
            let run = run.unwrap();
            let of_run = committed.iter().filter(|id| id.run() == run.id);
            assert_eq!(run.last_id, of_run.max().copied(), "{run:?}");
        }
        assert_eq!(reader.gaps().count(), 0);
    }
}

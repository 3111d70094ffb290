//! Calls to a journal, its promises, and whether it kept them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::entry::{EpisodeId, Gap, GapReason, RunState};
use crate::health::Health;
use crate::{
    Content, Entry, Error, Inference, InferenceId, InferenceRecord, Journal, Options, Reader,
    Registry, RunId, Timestamp,
};

/// Whether a flush, or a save that returned, vouches for something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Promise {
    None,
    Kept,
}

/// How much must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rigour {
    /// All promised entries are there, every index finds them, and the counts balance.
    Full,
    /// Every entry that is read was logged, and is read once, without a hole. A disk that lies may
    /// leave one table older than another, which no checksum of a single value can show.
    Truth,
}

/// All calls to a journal.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    /// Inferences by id, each with the number that its contents are made from.
    pub(super) inferences: BTreeMap<u64, (u32, Promise)>,
    /// Messages of system events, each with its run.
    pub(super) events: BTreeMap<String, (u32, Promise)>,
    /// Checkpoints by their step, from which their weights are made, and the ids of those whose
    /// save returned.
    pub(super) checkpoints: BTreeMap<u64, Option<String>>,
    /// Runs whose opening returned.
    pub(super) runs: BTreeSet<u32>,
    /// The state of each run when it was over.
    pub(super) accounts: Vec<Account>,
    pub(super) errors: Vec<Error>,
    /// A spool was kept: a batch that failed may be there in part.
    pub(super) has_spool: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) run: u32,
    pub(super) health: Health,
    /// Whether `close` was `Ok`.
    pub(super) closed: bool,
}

/// Every fifth asks the last question again and gets the same answer.
fn question(n: u32) -> u32 {
    if n % 5 == 4 { n - 1 } else { n }
}

fn model(n: u32) -> String {
    format!("model {}", question(n) % 3)
}

fn confidence(n: u32) -> f32 {
    f32::from(u8::try_from(question(n) % 100).unwrap()) / 100.0
}

fn event_time(n: u32) -> Timestamp {
    Timestamp::from_micros(i64::from(n) * 1_000_000)
}

/// The inference that number `n` stands for.
pub(super) fn with_inference<T>(n: u32, see: impl FnOnce(Inference<'_>) -> T) -> T {
    let model = model(n);
    let features = [f32::from_bits(question(n))];
    let confidence = confidence(n);
    let event_time = event_time(n);
    let inference = Inference::new(&model, "ETH/USDT", "BUY")
        .probabilities(&[("BUY", 0.5), ("SELL", 0.25)])
        .confidence(confidence)
        .features(&features)
        .event_time(event_time);
    if !has_extras(n) {
        return see(inference);
    }
    let (vector, correlation) = (vector(n), correlation(n));
    let cause = InferenceId::from_u64(n.into());
    let inference = inference.propensity(confidence).action_vector(&vector);
    let inference = inference.caused_by(cause).correlation(&correlation);
    let inference = inference.predictions(&PREDICTIONS);
    see(inference.episode(EpisodeId::from_u64(7), n.into()))
}

/// Every fifth has all that a decision can carry; it is no question that is asked again.
fn has_extras(n: u32) -> bool {
    n % 5 == 1
}

const PREDICTIONS: [(&str, f64); 2] = [("price", 101.5), ("volume", -7.0)];

fn vector(n: u32) -> Vec<f32> {
    vec![0.5; usize::try_from(n % 100).unwrap()]
}

fn correlation(n: u32) -> String {
    format!("order {n}")
}

fn assert_extras(record: &InferenceRecord, n: u32, what: &str) {
    let is_given = has_extras(n);
    let number = is_given.then_some(u64::from(n));
    assert_eq!(record.propensity, is_given.then(|| confidence(n)), "{what}");
    let vector = if is_given { vector(n) } else { Vec::new() };
    assert_eq!(record.action_vector, vector, "{what}");
    for (name, number) in PREDICTIONS {
        assert_eq!(
            record.prediction(name),
            is_given.then_some(number),
            "{what}"
        );
    }
    assert_eq!(
        record.caused_by,
        number.map(InferenceId::from_u64),
        "{what}"
    );
    let correlation = is_given.then(|| correlation(n));
    assert_eq!(
        record.correlation.as_deref(),
        correlation.as_deref(),
        "{what}"
    );
    assert_eq!(
        (record.episode.is_some(), record.step),
        (is_given, number),
        "{what}"
    );
}

impl Ledger {
    /// The possible state after a power cut: all of `told` may be there, and all that was
    /// `promised` must be.
    pub(super) fn after_a_cut(told: &Ledger, promised: Ledger) -> Ledger {
        let mut all = promised;
        for (id, (number, _)) in &told.inferences {
            let unpromised = (*number, Promise::None);
            all.inferences.entry(*id).or_insert(unpromised);
        }
        for (message, (run, _)) in &told.events {
            let unpromised = (*run, Promise::None);
            all.events.entry(message.clone()).or_insert(unpromised);
        }
        for step in told.checkpoints.keys() {
            all.checkpoints.entry(*step).or_insert(None);
        }
        all
    }

    /// All calls of `run` so far are promised from now on.
    pub(super) fn flushed(&mut self, run: RunId) {
        for (_, (_, promise)) in self.inferences.range_mut(run.first_id()..) {
            *promise = Promise::Kept;
        }
        let of_run = |(known, _): &&mut (u32, Promise)| *known == run.get();
        for (_, promise) in self.events.values_mut().filter(of_run) {
            *promise = Promise::Kept;
        }
    }

    /// Fails unless the journal in `dir` holds all promised entries, and none that was never
    /// logged. An error is one of opening or reading.
    pub(super) fn check(&self, dir: &Path, rigour: Rigour, what: &str) -> Result<(), Error> {
        let journal = options().open(dir)?;
        let run = journal.health().run.get();
        assert!(
            !self.runs.contains(&run),
            "{what}: run {run} was there before"
        );
        let reader = journal.reader()?;
        self.check_entries(&reader, rigour, what)?;
        if !reader.missing().is_empty() {
            // The disk has forgotten pages, and that was reported, as by an error. Tables may
            // differ in age.
            return Ok(());
        }
        self.check_checkpoints(&journal.registry()?, what)?;
        // It continues as if nothing had happened.
        let id = journal.log(Inference::new("later", "s", "BUY")).unwrap();
        journal.flush().wait(super::HANG)?;
        let found = reader.get(id)?.is_some();
        assert!(found || rigour == Rigour::Truth, "{what}");
        journal.close()
    }

    fn check_entries(&self, reader: &Reader, rigour: Rigour, what: &str) -> Result<(), Error> {
        let entries: Vec<Entry> = reader.follow(reader.start())?.collect::<Result<_, _>>()?;
        // A disk that lied may have blocks forgotten: then the reader names their entries.
        let missing = reader.missing();
        assert!(missing.is_empty() || rigour == Rigour::Truth, "{what}");
        let mut next = 1;
        for Entry { sequence, .. } in &entries {
            let is_missing = |at| missing.iter().any(|range| range.contains(&at));
            assert!((next..*sequence).all(is_missing), "{what}: not dense");
            assert!(next <= *sequence, "{what}: {sequence} is there twice");
            next = sequence + 1;
        }
        let mut ids = BTreeSet::new();
        let mut events = BTreeSet::new();
        let mut of_run: BTreeMap<u32, u64> = BTreeMap::new();
        let mut gaps: Vec<Gap> = Vec::new();
        for entry in &entries {
            let run = match &entry.content {
                Content::Inference(record) => {
                    let (n, _) = self.told(record.id, what);
                    assert_eq!(record.event_time, event_time(n), "{what}");
                    assert_eq!(*record.model, *model(n), "{what}");
                    assert_eq!(record.confidence, Some(confidence(n)), "{what}");
                    assert_extras(record, n, what);
                    assert_eq!(record.probabilities.get("SELL"), Some(0.25), "{what}");
                    assert!(ids.insert(record.id), "{what}: twice {}", record.id);
                    record.id.run()
                }
                Content::Repeat(repeat) => {
                    let (n, _) = self.told(repeat.id, what);
                    assert_eq!(repeat.event_time, event_time(n), "{what}");
                    assert_eq!(self.told(repeat.original, what).0, question(n), "{what}");
                    // The missing entry may be its original.
                    let is_known = !missing.is_empty() || ids.contains(&repeat.original);
                    assert!(is_known, "{what}: {repeat:?}");
                    assert!(ids.insert(repeat.id), "{what}: twice {}", repeat.id);
                    repeat.id.run()
                }
                Content::SystemEvent(event) => {
                    if &*event.component == "story" {
                        let known = self.events.contains_key(&event.message);
                        assert!(known, "{what}: {}", event.message);
                        assert!(events.insert(&*event.message), "{what}: twice");
                    }
                    event.run
                }
                Content::CheckpointEvent(event) => event.run,
                Content::Outcome(outcome) => outcome.run,
                Content::Gap(gap) => {
                    gaps.push(gap.clone());
                    continue;
                }
            };
            *of_run.entry(run.get()).or_default() += 1;
        }
        if rigour == Rigour::Truth {
            return Ok(());
        }
        for (id, (_, promise)) in &self.inferences {
            let id = InferenceId::from_u64(*id);
            let found = reader.get(id)?.is_some();
            assert_eq!(found, ids.contains(&id), "{what}: the index of {id}");
            assert!(found || *promise == Promise::None, "{what}: {id} is lost");
        }
        for (message, (_, promise)) in &self.events {
            let found = events.contains(&**message);
            assert!(
                found || *promise == Promise::None,
                "{what}: {message} is lost"
            );
        }
        self.check_runs(reader, &of_run, &gaps, what)
    }

    fn told(&self, id: InferenceId, what: &str) -> (u32, Promise) {
        let told = self.inferences.get(&id.to_u64());
        *told.unwrap_or_else(|| panic!("{what}: nobody logged {id}"))
    }

    /// The counts of each run: its row, its entries, and its own report.
    fn check_runs(
        &self,
        reader: &Reader,
        of_run: &BTreeMap<u32, u64>,
        gaps: &[Gap],
        what: &str,
    ) -> Result<(), Error> {
        let mut known = BTreeSet::new();
        for run in reader.runs() {
            let run = run?;
            let found = of_run.get(&run.id.get()).copied().unwrap_or(0);
            assert_eq!(run.committed, found, "{what}: {run:?}");
            let deaths = gaps.iter().filter(|gap| gap.run == run.id);
            let deaths: Vec<_> = deaths.filter(|gap| gap.reason == GapReason::Died).collect();
            match run.state {
                RunState::Died(_) => {
                    assert_eq!(deaths.len(), 1, "{what}: {run:?}");
                    assert_eq!(deaths[0].count, None, "{what}");
                    assert_eq!(deaths[0].after, run.last_id, "{what}");
                }
                _ => assert_eq!(deaths.len(), 0, "{what}: {run:?}"),
            }
            known.insert(run.id.get());
        }
        assert!(
            of_run.keys().all(|run| known.contains(run)),
            "{what}: {known:?}"
        );
        for Account {
            run,
            health,
            closed,
        } in &self.accounts
        {
            let found = of_run.get(run).copied().unwrap_or(0);
            assert_balanced(health, what);
            let certain = health.committed;
            // A batch is there whole or not at all, unless the spool had a part of it.
            let either = found == certain || found == certain + health.unknown;
            let between = (certain..=certain + health.unknown).contains(&found);
            let is_right = either || self.has_spool && between;
            assert!(is_right, "{what}: run {run} has {found} of {health:?}");
            assert!(!closed || health.unknown == 0, "{what}: {health:?}");
        }
        Ok(())
    }

    fn check_checkpoints(&self, registry: &Registry, what: &str) -> Result<(), Error> {
        registry.rebuild_failure().map_or(Ok(()), Err)?;
        let report = registry.reconcile()?;
        let mut found = BTreeSet::new();
        for checkpoint in registry.list("model 0").get()? {
            let step = checkpoint.step().unwrap();
            assert!(
                self.checkpoints.contains_key(&step),
                "{what}: {checkpoint:?}"
            );
            let weights = registry.load(checkpoint.id())?.into_bytes()?;
            assert_eq!(weights, weights_of(step), "{what}: {report:?}");
            assert!(
                found.insert(checkpoint.id().to_owned()),
                "{what}: {checkpoint:?}"
            );
        }
        let promised = self.checkpoints.values().flatten();
        for id in promised {
            assert!(found.contains(id), "{what}: {id} is lost: {report:?}");
        }
        Ok(())
    }
}

pub(super) fn weights_of(step: u64) -> Vec<u8> {
    step.to_le_bytes().repeat(200)
}

/// The health when no thread of the journal is saying anything itself: between taking its number
/// and its place in the queue, an event is nowhere.
pub(super) fn settled(journal: &Journal) -> Health {
    let began = std::time::Instant::now();
    loop {
        let health = journal.health();
        if health.offered == accounted(&health) || began.elapsed() >= super::HANG {
            return health;
        }
        std::thread::yield_now();
    }
}

fn accounted(health: &Health) -> u64 {
    health.committed + health.queued + health.unknown + health.dropped.total()
}

/// Everything that was offered is somewhere, once.
pub(super) fn assert_balanced(health: &Health, what: &str) {
    assert_eq!(health.offered, accounted(health), "{what}: {health:?}");
}

/// Everything on, except work that would run at its own time.
pub(super) fn options() -> Options {
    Journal::options()
        .clock(crate::ManualClock::at(Timestamp::from_micros(1_000_000)))
        .commit_interval(std::time::Duration::from_secs(3_600))
        .close_timeout(super::HANG)
        .commit_bytes(1 << 16)
        .queue_capacity(1_024)
        .dedup_capacity(1_024)
        .cache_bytes(1 << 20)
        .without_mirror()
}

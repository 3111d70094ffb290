//! Every entry is read as it was written.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test that cannot go on fails"
)]

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::entry::episode::EpisodeId;
use crate::entry::event::{CheckpointAction, Level};
use crate::entry::floats::Floats;
use crate::entry::gap::{GapReason, Refusal};
use crate::entry::ids::{InferenceId, RunId};
use crate::entry::manifest::RunManifest;
use crate::entry::outcome::{Latest, OutcomeEntry, Outcomes, RecordedOutcome};
use crate::entry::record::{
    CheckpointEvent, Content, Entry, Gap, InferenceRecord, Probabilities, Repeat, Run, RunState,
    SystemEvent,
};
use crate::entry::sequence::Sequence;
use crate::entry::timestamp::Timestamp;
use crate::entry::value::Value;
use crate::registry::checkpoint::Checkpoint;
use crate::registry::tables::details::Details;
use crate::registry::tables::rows::{CheckpointRow, WeightsPart};
use crate::registry::{Condition, Metadata, Origin};
use crate::stats::{
    ActionCount, Calibration, Confidence, Coverage, Drift, LiveCandidate, LiveRanking, Memory,
    OutcomeStats, PredictionErrors, ProcessingTime, Reliability, Stats, StatsRow, Values,
};

/// Makes all parts of an entry from one number.
struct Dice(u64);

impl Dice {
    fn number(&mut self) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.number() % u64::try_from(end).unwrap()).unwrap()
    }

    fn flag(&mut self) -> bool {
        self.below(2) == 0
    }

    /// Numbers of all sizes.
    fn spread(&mut self) -> u64 {
        let shift = self.below(64);
        self.number() >> shift
    }

    fn maybe<T>(&mut self, of: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.flag().then(|| of(self))
    }

    fn some<T>(&mut self, mut of: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let many = self.below(12);
        (0..many).map(|_| of(self)).collect()
    }

    fn real(&mut self) -> f64 {
        let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 2.0, 0.1];
        match self.below(12) {
            place if place < odd.len() => odd[place],
            _ => f64::from_bits(self.number()),
        }
    }

    fn real32(&mut self) -> f32 {
        let odd = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0, 1.0, 0.85];
        match self.below(12) {
            place if place < odd.len() => odd[place],
            _ => f32::from_bits(u32::try_from(self.number() >> 32).unwrap()),
        }
    }

    fn string(&mut self) -> String {
        let texts = [
            "",
            "NaN",
            "BUY",
            "a|b\nc\"d\\",
            "Ω\u{202e}\u{0}",
            "kind",
            "{}",
        ];
        match self.below(10) {
            place if place < texts.len() => texts[place].to_owned(),
            _ => {
                let code = u32::try_from(self.number() % 0x11_0000).unwrap();
                char::from_u32(code).map_or_else(String::new, |c| c.to_string())
            }
        }
    }

    fn text(&mut self) -> Arc<str> {
        self.string().into()
    }

    fn time(&mut self) -> Timestamp {
        let ends = [Timestamp::MIN, Timestamp::MAX];
        match self.below(8) {
            place if place < 2 => ends[place],
            _ => {
                let micros = self.spread().cast_signed();
                Timestamp::from_micros(if self.flag() {
                    micros
                } else {
                    micros.wrapping_neg()
                })
            }
        }
    }

    fn times(&mut self) -> (Timestamp, Timestamp) {
        (self.time(), self.time())
    }

    fn id(&mut self) -> InferenceId {
        InferenceId::from_u64(self.spread())
    }

    fn run(&mut self) -> RunId {
        self.id().run()
    }

    fn value(&mut self) -> Value {
        match self.below(4) {
            0 => Value::Text(self.string()),
            1 => Value::Real(self.real()),
            2 => Value::Integer(self.spread().cast_signed()),
            _ => Value::Flag(self.flag()),
        }
    }

    /// A name may come twice, and the order is the caller's.
    fn pairs(&mut self) -> Vec<(String, Value)> {
        self.some(|dice| (dice.string(), dice.value()))
    }

    fn processing_time(&mut self) -> Duration {
        Duration::from_nanos(self.spread())
    }

    fn inference(&mut self) -> InferenceRecord {
        let probabilities = self.some(|dice| (dice.text(), dice.real32()));
        let values: Vec<f32> = probabilities.iter().map(|(_, value)| *value).collect();
        InferenceRecord {
            id: self.id(),
            sequence: self.spread(),
            event_time: self.time(),
            recorded_time: self.time(),
            model: self.text(),
            symbol: self.text(),
            action: self.text(),
            confidence: self.maybe(Dice::real32),
            probabilities: Probabilities {
                labels: probabilities.into_iter().map(|(label, _)| label).collect(),
                values: Floats::new(&values),
            },
            feature_hash: self.maybe(Dice::spread),
            processing_time: self.maybe(Dice::processing_time),
            memory: self.maybe(Dice::spread),
            checkpoint: self.maybe(Dice::text),
            attributes: self.pairs(),
            divergent: self.flag(),
            repeat_of: self.maybe(Dice::id),
            propensity: self.maybe(Dice::real32),
            action_vector: self.some(Dice::real32),
            caused_by: self.maybe(Dice::id),
            correlation: self.maybe(Dice::text),
            episode: self.maybe(|dice| EpisodeId(dice.number())),
            step: self.maybe(Dice::spread),
            predictions: self.some(|dice| (dice.text(), dice.real())),
            blobs: self.some(Dice::string),
        }
    }

    fn repeat(&mut self) -> Repeat {
        Repeat {
            id: self.id(),
            original: self.id(),
            event_time: self.time(),
            model: self.text(),
            symbol: self.text(),
            action: self.text(),
            confidence: self.maybe(Dice::real32),
            processing_time: self.maybe(Dice::processing_time),
            checkpoint: self.maybe(Dice::text),
        }
    }

    fn gap(&mut self) -> Gap {
        let reasons = [
            GapReason::QueueFull,
            GapReason::Refused,
            GapReason::Died,
            GapReason::Damaged,
            GapReason::Withdrawn,
        ];
        Gap {
            sequence: self.spread(),
            run: self.run(),
            reason: reasons[self.below(reasons.len())],
            count: self.maybe(Dice::spread),
            after: self.maybe(Dice::id),
            recorded_range: self.maybe(Dice::times),
            event_range: self.maybe(Dice::times),
            refusal: self.maybe(|dice| Refusal {
                model: dice.maybe(Dice::string),
                field: dice.string(),
                reason: dice.string(),
            }),
        }
    }

    fn event(&mut self) -> SystemEvent {
        let levels = [
            Level::Trace,
            Level::Debug,
            Level::Info,
            Level::Warn,
            Level::Error,
        ];
        SystemEvent {
            run: self.run(),
            level: levels[self.below(levels.len())],
            component: self.text(),
            message: self.string(),
            fields: self.pairs(),
        }
    }

    fn checkpoint_event(&mut self) -> CheckpointEvent {
        let actions = [
            CheckpointAction::Saved,
            CheckpointAction::Loaded,
            CheckpointAction::Activated,
            CheckpointAction::Deleted,
            CheckpointAction::Failed,
        ];
        CheckpointEvent {
            run: self.run(),
            action: actions[self.below(actions.len())],
            model: self.text(),
            checkpoint: self.text(),
            detail: self.string(),
        }
    }

    fn outcome(&mut self) -> OutcomeEntry {
        OutcomeEntry {
            run: self.run(),
            of: self.id(),
            time: self.time(),
            reward: self.maybe(Dice::real),
            correct: self.maybe(Dice::flag),
            label: self.maybe(Dice::text),
            values: self.some(|dice| (dice.text(), dice.real())),
        }
    }

    fn state(&mut self) -> RunState {
        match self.below(5) {
            0 => RunState::Alive,
            1 => RunState::Closed(self.time()),
            2 => RunState::Died(self.maybe(Dice::time)),
            3 => RunState::Continued(self.time()),
            _ => RunState::Panicked(self.maybe(Dice::time)),
        }
    }

    fn manifest(&mut self) -> RunManifest {
        RunManifest {
            program: self.maybe(Dice::string),
            version: self.maybe(Dice::string),
            features: self.some(Dice::string),
            executable: self.maybe(|dice| [dice.number().to_le_bytes()[0]; 32]),
            host: self.maybe(Dice::string),
            command_line: self.some(Dice::string),
            seed: self.maybe(Dice::number),
            pairs: self.some(|dice| (dice.string(), dice.string())),
        }
    }

    fn run_row(&mut self) -> Run {
        let state = self.state();
        Run {
            id: self.run(),
            started: self.time(),
            process: u32::try_from(self.number() >> 32).unwrap(),
            state,
            committed: self.spread(),
            dropped: self.spread(),
            last_id: self.maybe(Dice::id),
            source: self.maybe(Dice::string),
            manifest: self.maybe(Dice::manifest),
        }
    }

    fn latest<T>(&mut self, value: T) -> Latest<T> {
        // Few of them, so that some are equal.
        Latest {
            value,
            time: Timestamp::from_micros(i64::try_from(self.below(4)).unwrap()),
            sequence: u64::try_from(self.below(4)).unwrap(),
        }
    }

    fn outcomes(&mut self) -> Outcomes {
        let reward = self.maybe(Dice::real);
        let correct = self.maybe(Dice::flag);
        let label = self.maybe(Dice::text);
        let mut values: Vec<(Arc<str>, Latest<f64>)> = self.some(|dice| {
            let (name, value) = (dice.text(), dice.real());
            (name, dice.latest(value))
        });
        values.sort_by(|one, other| one.0.cmp(&other.0));
        values.dedup_by(|one, other| one.0 == other.0);
        Outcomes {
            of: self.id(),
            reward: reward.map(|value| self.latest(value)),
            correct: correct.map(|value| self.latest(value)),
            label: label.map(|value| self.latest(value)),
            values,
        }
    }

    fn past(&mut self) -> RecordedOutcome {
        RecordedOutcome {
            sequence: self.spread(),
            recorded_time: self.maybe(Dice::time),
            outcome: self.outcome(),
        }
    }

    /// A figure of a statistic: an unknown one is absent, so all are finite.
    fn figure(&mut self) -> f64 {
        let figure = f64::from_bits(self.number());
        if figure.is_finite() { figure } else { 0.1 }
    }

    fn figure32(&mut self) -> f32 {
        let figure = self.real32();
        if figure.is_finite() { figure } else { 0.1 }
    }

    fn whole(&mut self) -> u128 {
        u128::from(self.spread()) << self.below(64)
    }

    fn values(&mut self) -> Values {
        let count = self.spread();
        Values {
            count,
            // Without values there is no sum.
            sum: if count > 0 { self.figure() } else { 0.0 },
            mean: self.maybe(Dice::figure),
            variance: self.maybe(Dice::figure),
        }
    }

    fn outcome_stats(&mut self) -> OutcomeStats {
        OutcomeStats {
            attached: self.spread(),
            correct: self.spread(),
            wrong: self.spread(),
            accuracy: self.maybe(Dice::figure),
            reward: self.values(),
            wins: self.spread(),
            win_rate: self.maybe(Dice::figure),
            values: self.some(|dice| (dice.text(), dice.values())),
            invalid: self.spread(),
        }
    }

    fn prediction_errors(&mut self) -> PredictionErrors {
        let bins: Vec<(u16, u64)> = (0..u16::try_from(self.below(200)).unwrap())
            .map(|bin| (bin * 300, self.spread().max(1)))
            .collect();
        let mut errors = PredictionErrors::with_bins(&bins).unwrap();
        errors.count = self.spread();
        errors.bias = self.maybe(Dice::figure);
        errors.mae = self.maybe(Dice::figure);
        errors.rmse = self.maybe(Dice::figure);
        errors.p5 = self.maybe(Dice::figure);
        errors.p50 = self.maybe(Dice::figure);
        errors.p95 = self.maybe(Dice::figure);
        errors.invalid = self.spread();
        errors
    }

    fn confidence(&mut self) -> Confidence {
        Confidence {
            count: self.spread(),
            mean: self.maybe(Dice::figure),
            min: self.maybe(Dice::figure32),
            max: self.maybe(Dice::figure32),
            variance: self.maybe(Dice::figure),
            sum_units: self.whole(),
            squares_units: self.whole(),
        }
    }

    fn times_of_decisions(&mut self) -> ProcessingTime {
        let bins: Vec<(u16, u64)> = (0..u16::try_from(self.below(200)).unwrap())
            .map(|bin| (bin * 3, self.spread().max(1)))
            .collect();
        let mut times = ProcessingTime::with_bins(&bins).unwrap();
        times.count = self.spread();
        times.sum_nanos = self.whole();
        times.mean = self.maybe(Dice::processing_time);
        times.min = self.maybe(Dice::processing_time);
        times.max = self.maybe(Dice::processing_time);
        times.p50 = self.maybe(Dice::processing_time);
        times.p90 = self.maybe(Dice::processing_time);
        times.p99 = self.maybe(Dice::processing_time);
        times
    }

    fn calibration(&mut self) -> Calibration {
        Calibration {
            count: self.spread(),
            brier: self.maybe(Dice::figure),
            expected_error: self.maybe(Dice::figure),
            bins: self.some(|dice| Reliability {
                above: dice.figure(),
                up_to: dice.figure(),
                count: dice.spread(),
                correct: dice.spread(),
                confidence: dice.maybe(Dice::figure),
                accuracy: dice.maybe(Dice::figure),
            }),
        }
    }

    fn coverage(&mut self) -> Coverage {
        Coverage {
            first: self.time(),
            last: self.time(),
            dropped: self.spread(),
            damaged: self.spread(),
            uncounted: self.spread(),
            damaged_rollups: self.spread(),
            completeness: self.maybe(Dice::figure),
            retired: self.spread(),
            unmatched: self.spread(),
            sequence: self.spread(),
            folded: self.spread(),
            quantile_error: self.figure(),
        }
    }

    fn stats(&mut self) -> Stats {
        Stats {
            known: self.flag(),
            count: self.spread(),
            recorded: self.spread(),
            repeats: self.spread(),
            divergences: self.spread(),
            invalid: self.spread(),
            without_confidence: self.spread(),
            first: self.maybe(Dice::time),
            last: self.maybe(Dice::time),
            confidence: self.confidence(),
            actions: self.some(|dice| ActionCount {
                action: dice.text(),
                recorded: dice.spread(),
                repeats: dice.spread(),
            }),
            processing_time: self.times_of_decisions(),
            memory: Memory {
                count: self.spread(),
                mean: self.maybe(Dice::figure),
                max: self.maybe(Dice::spread),
            },
            outcomes: self.outcome_stats(),
            calibration: self.calibration(),
            predictions: self.some(|dice| (dice.text(), dice.prediction_errors())),
            coverage: self.coverage(),
        }
    }

    fn row(&mut self) -> StatsRow {
        StatsRow {
            time: self.maybe(Dice::time),
            end: self.maybe(Dice::time),
            period: self.maybe(Dice::text),
            model: self.maybe(Dice::text),
            symbol: self.maybe(Dice::text),
            checkpoint: self.maybe(Dice::text),
            action: self.maybe(Dice::text),
            stats: self.stats(),
        }
    }

    fn ranking(&mut self) -> LiveRanking {
        let candidate = |dice: &mut Dice| LiveCandidate {
            checkpoint: dice.maybe(Dice::text),
            decisions: dice.spread(),
            count: dice.spread(),
            mean: dice.maybe(Dice::figure),
            low: dice.maybe(Dice::figure),
            high: dice.maybe(Dice::figure),
            batches: dice.spread(),
            design_effect: dice.figure(),
        };
        LiveRanking {
            ranked: self.some(candidate),
            too_few: self.some(candidate),
            registry_best: self.maybe(Dice::text),
            coverage: self.coverage(),
        }
    }

    fn digest(&mut self) -> [u8; 32] {
        std::array::from_fn(|_| self.number() as u8)
    }

    fn metadata(&mut self, depth: usize) -> Metadata {
        match self.below(if depth == 0 { 5 } else { 7 }) {
            0 => Metadata::Null,
            1 => Metadata::Flag(self.flag()),
            2 => Metadata::Integer(self.number().cast_signed()),
            3 => Metadata::Real(self.figure()),
            4 => Metadata::Text(self.string()),
            5 => Metadata::List(self.some(|dice| dice.metadata(depth - 1))),
            _ => Metadata::map([("a", self.metadata(depth - 1)), ("b", Metadata::Null)]),
        }
    }

    /// A checkpoint with numbers of the registry that are in no JSON.
    fn checkpoint(&mut self) -> Checkpoint {
        let places = [
            (Origin::Saved, "m/m_20250725_143439.bin"),
            (Origin::Found, "checkpoints/checkpoints"),
            (Origin::Found, "old.pt"),
            (Origin::Registered, "/models/checkpoints/Ω.safetensors"),
            (Origin::Registered, "best.pt"),
        ];
        let (origin, file) = places[self.below(places.len())];
        let roots = ["", "/data", "/checkpoints/checkpoints", "data/here"];
        let root = roots[self.below(roots.len())];
        let row = CheckpointRow {
            model: "dqn_agent".into(),
            model_type: self.string(),
            created: self.time(),
            order: self.time(),
            number: self.spread(),
            origin,
            condition: match self.below(3) {
                0 => Condition::Present,
                1 => Condition::Missing,
                _ => Condition::Corrupt(self.string()),
            },
            file: file.to_owned(),
            bytes: self.spread() >> 8,
            digest: self.maybe(Dice::digest),
            metrics: self.some(|dice| (dice.string(), dice.real())),
            step: self.maybe(Dice::spread),
            epoch: self.maybe(Dice::spread),
            parent: self.maybe(Dice::string),
            tags: self.some(Dice::string),
            pinned: self.flag(),
            metadata: Details::new(self.some(|dice| (dice.string(), dice.metadata(3)))),
            saved: self.time(),
            sequence: Sequence::new(self.spread() >> 8),
            parts: self.some(|dice| WeightsPart {
                file: format!("shards/{}.bin", dice.number()),
                bytes: dice.spread() >> 8,
                digest: dice.digest(),
            }),
        };
        Checkpoint::new(self.string(), row, &Arc::from(std::path::Path::new(root)))
    }

    fn content(&mut self) -> Content {
        match self.below(6) {
            0 => Content::Inference(InferenceRecord {
                // A repeat among all entries is a `Content::Repeat`.
                repeat_of: None,
                ..self.inference()
            }),
            1 => Content::Repeat(self.repeat()),
            2 => Content::Gap(self.gap()),
            3 => Content::SystemEvent(self.event()),
            4 => Content::CheckpointEvent(self.checkpoint_event()),
            _ => Content::Outcome(self.outcome()),
        }
    }

    fn entry(&mut self) -> Entry {
        let content = self.content();
        let (sequence, recorded_time) = match &content {
            Content::Inference(record) => (record.sequence, record.recorded_time),
            Content::Gap(gap) => (gap.sequence, self.time()),
            _ => (self.spread(), self.time()),
        };
        Entry {
            sequence,
            recorded_time,
            content,
        }
    }
}

/// NaN is no number that equals itself, but it prints like itself.
fn comes_back<T: Serialize + DeserializeOwned + PartialEq + Debug>(
    value: &T,
) -> Result<(), TestCaseError> {
    let json = serde_json::to_string(value).unwrap();
    let read = serde_json::from_str::<T>(&json);
    let read = read.map_err(|error| TestCaseError::fail(format!("{error}: {json}")))?;
    let shown = format!("{value:?}");
    prop_assert_eq!(&format!("{read:?}"), &shown, "{}", json);
    prop_assert!(&read == value || shown.contains("NaN"), "{}", json);
    // Through a value in memory too: it has another order, and the last of each name.
    let tree = serde_json::to_value(value).unwrap();
    prop_assert!(serde_json::from_value::<T>(tree).is_ok(), "{}", json);
    Ok(())
}

proptest! {
    #[test]
    fn entries_are_read_as_they_were_written(seed in any::<u64>()) {
        let dice = &mut Dice(seed);
        comes_back(&dice.entry())?;
        comes_back(&dice.content())?;
        comes_back(&dice.inference())?;
        comes_back(&dice.inference().probabilities)?;
        comes_back(&dice.repeat())?;
        comes_back(&dice.gap())?;
        comes_back(&dice.event())?;
        comes_back(&dice.checkpoint_event())?;
        comes_back(&dice.outcome())?;
        comes_back(&dice.run_row())?;
    }

    #[test]
    fn outcomes_and_statistics_are_read_as_they_were_written(seed in any::<u64>()) {
        let dice = &mut Dice(seed);
        comes_back(&dice.outcomes())?;
        comes_back(&dice.past())?;
        comes_back(&dice.state())?;
        comes_back(&dice.stats())?;
        comes_back(&dice.row())?;
        comes_back(&dice.ranking())?;
        comes_back(&dice.checkpoint())?;
        let drift = Drift::between(&dice.stats(), &dice.stats());
        comes_back(&drift.actions.shift)?;
    }

    /// Hostile text is an error, and never a panic.
    #[test]
    fn cut_text_is_an_error(seed in any::<u64>(), cut in 0.0..1.0_f64) {
        let json = serde_json::to_string(&Dice(seed).entry()).unwrap();
        let ends: Vec<usize> = json.char_indices().map(|(at, _)| at).collect();
        let end = ends.get((ends.len() as f64 * cut) as usize).copied().unwrap_or(0);
        prop_assert!(serde_json::from_str::<Entry>(&json[..end]).is_err());
    }
}

#[test]
fn what_is_missing_or_of_another_kind_is_named() {
    fn said<T: DeserializeOwned + Debug>(json: &str) -> String {
        serde_json::from_str::<T>(json).unwrap_err().to_string()
    }
    assert!(said::<Content>("{}").contains("missing field `kind`"));
    assert!(said::<Content>(r#"{"kind":"x"}"#).contains("unknown variant `x`"));
    let gap = said::<Gap>(r#"{"kind":"outcome","run":1}"#);
    assert!(
        gap.contains("the kind outcome, and not of the kind gap"),
        "{gap}"
    );
    assert!(said::<SystemEvent>(r#"{"kind":"event","run":1}"#).contains("`level`"));
    let labels = r#"{"kind":"inference","id":"1-1","sequence":1,
        "event_time":"2025-07-25T14:34:39Z","recorded_time":"2025-07-25T14:34:39Z",
        "model":"m","symbol":"s","action":"a","labels":["a"]}"#;
    assert!(said::<InferenceRecord>(labels).contains("more labels"));
    assert!(said::<Probabilities>(r#"{"a":"0.5"}"#).contains("\"NaN\""));
}

#[test]
fn values_without_labels_have_empty_ones() {
    let values = Floats::new(&[0.5, 0.25]);
    let one = Probabilities {
        labels: Arc::new(["a".into()]),
        values: values.clone(),
    };
    let other = Probabilities {
        labels: Arc::new(["a".into(), "".into()]),
        values,
    };
    assert_eq!(one, other);
    assert_ne!(one, Probabilities::none());
}

/// The statistics and the health of a real journal.
#[test]
fn statistics_drift_and_health_of_a_journal_come_back() {
    let journal = crate::Journal::in_memory().unwrap();
    for number in 0..500_u16 {
        let action = ["BUY", "SELL", "HOLD"][usize::from(number % 3)];
        let inference = crate::Inference::new("m", "s", action)
            .confidence(f32::from(number) / 500.0)
            .processing_time(Duration::from_nanos(40 + u64::from(number) * 977))
            .memory(u64::from(number) << 20);
        let id = journal.log(inference).unwrap();
        let outcome = crate::Outcome::new().reward(f64::from(number) / 7.0);
        journal.attach_outcome(id, outcome.correct(number % 2 == 0).value("bp", 0.1));
    }
    journal.flush().wait(Duration::from_secs(60)).unwrap();
    let stats = journal.stats("m").get().unwrap();
    comes_back(&stats).unwrap();
    let read: Stats = serde_json::from_str(&serde_json::to_string(&stats).unwrap()).unwrap();
    assert_eq!(
        read.processing_time.quantile(0.37),
        stats.processing_time.quantile(0.37)
    );
    let drift = Drift::between(&read, &stats);
    comes_back(&drift).unwrap();
    assert_eq!(drift.actions.stability_index, Some(0.0));
    comes_back(&journal.health()).unwrap();
}

/// The registry's own numbers do not count; every other fact does.
#[test]
fn checkpoints_are_equal_if_they_tell_the_same() {
    let one = Dice(7).checkpoint();
    let changed = |change: fn(&mut CheckpointRow)| {
        let mut row = one.row().clone();
        change(&mut row);
        Checkpoint::new(one.id(), row, &Arc::from(std::path::Path::new("/data")))
    };
    let same = changed(|_| {});
    assert_eq!(same, changed(|row| row.number += 1));
    assert_eq!(same, changed(|row| row.order = row.order.moved_by(1)));
    assert_ne!(same, changed(|row| row.pinned = !row.pinned));
    assert_ne!(same, changed(|row| row.file.push('x')));
    assert_ne!(same, changed(|row| row.tags.push("x".to_owned())));
}

/// A checkpoint from JSON is believed within the bounds of a stored one.
#[test]
fn hostile_checkpoints_are_refused() {
    let saved = |dice: &mut Dice| loop {
        let checkpoint = dice.checkpoint();
        if checkpoint.origin() == Origin::Saved {
            return checkpoint;
        }
    };
    let json = serde_json::to_value(saved(&mut Dice(1))).unwrap();
    serde_json::from_value::<Checkpoint>(json.clone()).unwrap();
    for (field, value) in [
        ("origin", serde_json::json!("given")),
        ("condition", serde_json::json!("well")),
        ("digest", serde_json::json!("0123")),
        ("path", serde_json::json!("m/x.bin")),
        ("path", serde_json::json!("/data/checkpoints")),
        (
            "path",
            serde_json::json!("/data/checkpoints/../../etc/passwd"),
        ),
        ("path", serde_json::json!("")),
        ("bytes", serde_json::json!(u64::MAX)),
        ("model", serde_json::json!("")),
        (
            "parts",
            serde_json::json!([{"file": "../x", "bytes": 1, "digest": "00".repeat(32)}]),
        ),
    ] {
        let mut hostile = json.clone();
        hostile[field] = value;
        let read = serde_json::from_value::<Checkpoint>(hostile);
        assert!(read.is_err(), "{field}: {read:?}");
    }
}

/// Only sorted bins that a sketch has are read.
#[test]
fn hostile_bins_are_refused() {
    let json = serde_json::to_value(Stats::default()).unwrap();
    for bins in ["[[4000,1]]", "[[7,0]]", "[[7,1],[7,1]]", "[[9,1],[7,1]]"] {
        let mut hostile = json.clone();
        hostile["processing_ns"]["bins"] = serde_json::from_str(bins).unwrap();
        assert!(serde_json::from_value::<Stats>(hostile).is_err(), "{bins}");
    }
}

//! The statistics that are right, also of retired entries.

use std::collections::BTreeMap;

use annals::{Group, InferenceId, Reader};

use super::book::{Call, Judged};
use super::oracle::{self, Held, Logged};
use super::{ACTIONS, MODELS};

const HOUR: i64 = 3_600_000_000;
/// Ranges of event time: some begin or end amid an hour, where the histories' event times are.
const RANGES: [(i64, i64); 4] = [
    (-HOUR, HOUR),
    (-HOUR / 2, HOUR / 2),
    (HOUR / 4, i64::MAX),
    (i64::MIN, HOUR + 1),
];

#[derive(Clone, Debug)]
struct Decision {
    sequence: u64,
    id: InferenceId,
    logged: Logged,
    /// Outcomes from now on are not counted.
    retired: bool,
}

/// Every decision that was ever committed.
#[derive(Clone, Debug, Default)]
pub struct Sums {
    decisions: Vec<Decision>,
    /// Outcomes of decisions that are not there yet.
    waiting: BTreeMap<u64, Held>,
}

impl Sums {
    pub fn decide(
        &mut self,
        sequence: u64,
        id: InferenceId,
        call: &Call,
        recorded: i64,
        judged: Judged,
    ) {
        let outcome = self.waiting.remove(&id.to_u64()).unwrap_or_default();
        let logged = Logged {
            model: MODELS[call.model].to_owned(),
            symbol: "ETH/USDT".to_owned(),
            action: ACTIONS[call.action].to_owned(),
            checkpoint: None,
            event: call.event.unwrap_or(recorded),
            confidence: Some(call.confidence()),
            nanos: None,
            repeat: matches!(judged, Judged::Repeat(_)),
            divergent: judged == Judged::Divergent,
            predicted: None,
            outcome,
        };
        self.decisions.push(Decision {
            sequence,
            id,
            logged,
            retired: false,
        });
    }

    pub fn turn_out(&mut self, of: InferenceId, reward: f64) {
        let held = Held {
            reward: Some(reward),
            correct: Some(reward > 0.0),
            ..Held::default()
        };
        let decision = self.decisions.iter_mut().find(|known| known.id == of);
        match decision {
            Some(decision) if decision.retired => {}
            Some(decision) => decision.logged.outcome.replace(held),
            None => self.waiting.entry(of.to_u64()).or_default().replace(held),
        }
    }

    /// Everything before this sequence is retired.
    pub fn retire(&mut self, kept: u64) {
        for decision in &mut self.decisions {
            decision.retired |= decision.sequence < kept;
        }
    }

    /// Fails unless the statistics of `reader` are those of the decisions.
    pub fn compare(&self, reader: &Reader) {
        for model in MODELS {
            let own = || self.decisions.iter().filter(|d| d.logged.model == model);
            let stats = reader.stats(model).get().unwrap();
            let all: Vec<&Logged> = own().map(|decision| &decision.logged).collect();
            oracle::check(&stats, &all, model);
            assert_eq!(stats.coverage.retired, 0, "{model}");
            for (since, until) in RANGES {
                let what = format!("{model} from {since} to {until}");
                let query = reader
                    .stats(model)
                    .since(super::micros(since))
                    .until(super::micros(until));
                let stats = query.get().unwrap();
                let mut within = all.clone();
                within.retain(|logged| (since..until).contains(&logged.event));
                if stats.coverage.retired == 0 {
                    oracle::check(&stats, &within, &what);
                    continue;
                }
                // It is unknown on which side of the cut those lie, and the answer reports it.
                assert!(own().any(|decision| decision.retired), "{what}");
                let (least, count) = (stats.count, within.len() as u64);
                let most = least + stats.coverage.retired;
                assert!((least..=most).contains(&count), "{what}: {count} {stats:?}");
            }
        }
        let groups = [Group::Model, Group::Action];
        let rows = reader.stats_of_all().by(groups).unwrap();
        let all: Vec<&Logged> = self.decisions.iter().map(|d| &d.logged).collect();
        oracle::check_rows(&rows, &all, &groups, "by model and action");
    }
}

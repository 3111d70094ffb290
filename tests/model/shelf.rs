//! The content that a registry must have, in plain lists.

use annals::{Mode, Registry};

use super::{ALIASES, MODELS};

#[derive(Clone, Debug)]
struct Saved {
    id: String,
    model: usize,
    loss: Option<u8>,
    weights: u8,
    pinned: bool,
}

#[derive(Clone, Debug, Default)]
pub struct Shelf {
    /// In the order in which they were saved.
    saved: Vec<Saved>,
    in_all: u8,
    monitors: [Option<Mode>; 2],
    /// By model and alias: where it points and where it pointed before, newest last.
    aliases: [[Vec<String>; 2]; 2],
}

impl Shelf {
    pub fn saved_in_all(&self) -> u8 {
        self.in_all
    }

    pub fn save(&mut self, model: usize, id: &str, loss: Option<u8>) {
        assert!(self.saved.iter().all(|known| known.id != id));
        self.saved.push(Saved {
            id: id.to_owned(),
            model,
            loss,
            weights: self.in_all,
            pinned: false,
        });
        self.in_all += 1;
    }

    /// One of those that there are.
    pub fn nth(&self, which: usize) -> Option<String> {
        let length = self.saved.len();
        (length > 0).then(|| self.saved[which % length].id.clone())
    }

    pub fn monitor(&mut self, model: usize, mode: Mode) {
        self.monitors[model] = Some(mode);
    }

    pub fn pin(&mut self, id: &str, on: bool) {
        let saved = self.saved.iter_mut().find(|saved| saved.id == id);
        saved.unwrap().pinned = on;
    }

    pub fn alias(&mut self, alias: usize, id: &str) {
        let saved = self.saved.iter().find(|saved| saved.id == id).unwrap();
        let steps = &mut self.aliases[saved.model][alias];
        if steps.last().is_none_or(|last| last != id) {
            steps.push(id.to_owned());
        }
    }

    /// Where the alias points after it was rolled back.
    pub fn rollback(&mut self, model: usize, alias: usize) -> Option<String> {
        let there: Vec<&String> = self.saved.iter().map(|saved| &saved.id).collect();
        let steps = &mut self.aliases[model][alias];
        let last = steps.last()?.clone();
        let back = steps
            .iter()
            .rposition(|id| *id != last && there.contains(&id))?;
        steps.truncate(back + 1);
        steps.last().cloned()
    }

    /// Those of a model, the best first; of equals, the newest.
    fn ranked(&self, model: usize, mode: Mode) -> Vec<&Saved> {
        let of_model = self.saved.iter().rev().filter(|saved| saved.model == model);
        let mut ranked: Vec<&Saved> = of_model.filter(|saved| saved.loss.is_some()).collect();
        ranked.sort_by(|a, b| match mode {
            Mode::Min => a.loss.cmp(&b.loss),
            Mode::Max => b.loss.cmp(&a.loss),
        });
        ranked
    }

    /// Whether any of a model has a loss.
    pub fn has_losses(&self, model: usize) -> bool {
        !self.ranked(model, Mode::Min).is_empty()
    }

    pub fn is_empty(&self, model: usize) -> bool {
        self.saved.iter().all(|saved| saved.model != model)
    }

    /// Those that go, in order of ids.
    pub fn doomed(&self, model: usize, latest: usize, best: usize) -> Vec<String> {
        let of_model = || self.saved.iter().rev().filter(|saved| saved.model == model);
        let mut kept = self.protected(model);
        kept.extend(of_model().take(latest).map(|saved| saved.id.clone()));
        let best = self.ranked(model, Mode::Min).into_iter().take(best);
        kept.extend(best.map(|saved| saved.id.clone()));
        let goes = of_model().filter(|saved| !kept.contains(&saved.id));
        let mut gone: Vec<String> = goes.map(|saved| saved.id.clone()).collect();
        gone.sort();
        gone
    }

    /// Those of a model that no plan may delete.
    fn protected(&self, model: usize) -> Vec<String> {
        let of_model = || self.saved.iter().rev().filter(|saved| saved.model == model);
        let newest = of_model().next();
        let best = self.monitors[model].and_then(|mode| self.ranked(model, mode).first().copied());
        let pinned = of_model().filter(|saved| saved.pinned);
        let named = self.aliases[model].iter().filter_map(|steps| steps.last());
        newest
            .into_iter()
            .chain(best)
            .chain(pinned)
            .map(|saved| saved.id.clone())
            .chain(named.cloned())
            .collect()
    }

    /// Deletes what was planned, unless one of it is gone or protected by now; says whether it did.
    pub fn delete(&mut self, model: usize, doomed: &[String]) -> bool {
        let protected = self.protected(model);
        let may_go =
            |id: &String| self.saved.iter().any(|saved| saved.id == *id) && !protected.contains(id);
        let done = doomed.iter().all(may_go);
        if done {
            self.saved.retain(|saved| !doomed.contains(&saved.id));
        }
        done
    }

    /// Fails unless `registry` gives what the shelf says.
    pub fn compare(&self, registry: &Registry) {
        for (number, model) in MODELS.iter().enumerate() {
            let of_model = || {
                self.saved
                    .iter()
                    .rev()
                    .filter(|saved| saved.model == number)
            };
            let listed = registry.list(*model).get().unwrap();
            let listed: Vec<&str> = listed.iter().map(|checkpoint| checkpoint.id()).collect();
            assert!(
                of_model()
                    .map(|saved| &*saved.id)
                    .eq(listed.iter().copied()),
                "{listed:?}"
            );
            assert_eq!(registry.count(model).unwrap(), listed.len() as u64);
            let newest = registry.latest(model).unwrap().map(|c| c.id().to_owned());
            assert_eq!(newest, of_model().next().map(|saved| saved.id.clone()));
            for mode in [Mode::Min, Mode::Max] {
                let best = registry.best_by(model, "loss", mode);
                let best = best.ok().flatten().map(|c| c.id().to_owned());
                let expected = self.ranked(number, mode).first().map(|s| s.id.clone());
                assert_eq!(best, expected, "{mode:?} of {model}");
            }
            if let Some(mode) = self.monitors[number] {
                let best = registry.best(model);
                let best = best.ok().flatten().map(|c| c.id().to_owned());
                let expected = self.ranked(number, mode).first().map(|s| s.id.clone());
                assert_eq!(best, expected);
            }
            for (alias, name) in ALIASES.iter().enumerate() {
                let target = registry
                    .alias(model, name)
                    .unwrap()
                    .map(|c| c.id().to_owned());
                assert_eq!(
                    target,
                    self.aliases[number][alias].last().cloned(),
                    "{name}"
                );
            }
        }
        for saved in &self.saved {
            let checkpoint = registry.find(&saved.id).unwrap();
            assert_eq!(checkpoint.is_pinned(), saved.pinned, "{checkpoint:?}");
            let weights = registry.load(&saved.id).unwrap().into_bytes().unwrap();
            assert_eq!(weights, [saved.weights]);
        }
    }
}

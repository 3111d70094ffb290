//! One life of a child: it is started, records, dies, and what it left is opened and counted.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::child::{Death, OUTCOME};
use crate::memory::Group;
use crate::shape::Shape;
use crate::subjects::{Found, Kind, Promise};
use crate::teller::Teller;

/// How a round ends.
#[derive(Clone, Copy, Debug)]
pub enum End {
    /// `kill -9`, so long after the first answer.
    Killed(Duration),
    /// The process itself, after so many calls.
    Itself(Death, u64),
}

/// What one death cost.
#[derive(Clone, Debug, Default)]
pub struct Cost {
    /// Decisions whose call was answered with success.
    pub acknowledged: u64,
    /// Of these, not there afterwards.
    pub lost: u64,
    pub outcomes_acknowledged: u64,
    pub outcomes_lost: u64,
    /// Why it could not be read, if it could not.
    pub unreadable: Option<String>,
    pub torn: u64,
    pub says_loss: bool,
}

impl Cost {
    /// Something is missing, and the subject does not say so.
    pub fn is_silent(&self) -> bool {
        let is_missing = self.lost > 0 || self.outcomes_lost > 0;
        is_missing && !self.says_loss && self.unreadable.is_none()
    }
}

/// Lets a child of `kind` record in `dir`, which is empty, until its end.
pub fn round(program: &Path, kind: &Kind, shape: Shape, dir: &Path, end: End) -> Result<Cost> {
    let mut orders = Vec::new();
    let mut group = None;
    if let End::Itself(death, after) = end {
        orders.extend([
            "--death".to_owned(),
            death.name().to_owned(),
            after.to_string(),
        ]);
        if death == Death::NoMemory {
            let made = Group::create()?;
            let path = made.path().to_str().context("a path that is text")?;
            orders.extend(["--group".to_owned(), path.to_owned()]);
            group = Some(made);
        }
    }
    let mut teller = Teller::start(program, kind, shape, dir, &orders)?;
    teller.first()?;
    if let End::Killed(after) = end {
        thread::sleep(after);
        teller.kill()?;
    }
    let said = teller.died()?;
    if let Some(group) = group {
        ensure!(group.kills()? > 0, "the kernel has killed nobody");
    }
    count(kind, dir, &said, 1).with_context(|| format!("{end:?}"))
}

/// Opens what is in `dir`, compares it with what was said, and checks what `kind` promises for so
/// many deaths.
pub fn count(kind: &Kind, dir: &Path, said: &[u64], deaths: usize) -> Result<Cost> {
    let (decisions, outcomes): (Vec<u64>, Vec<u64>) =
        said.iter().partition(|number| *number & OUTCOME == 0);
    let outcomes: Vec<u64> = outcomes
        .into_iter()
        .map(|number| number & !OUTCOME)
        .collect();
    let mut cost = Cost {
        acknowledged: decisions.len() as u64,
        outcomes_acknowledged: outcomes.len() as u64,
        ..Cost::default()
    };
    let found = match kind.read(dir) {
        Ok(found) => found,
        Err(error) => {
            cost.lost = cost.acknowledged;
            cost.outcomes_lost = cost.outcomes_acknowledged;
            cost.unreadable = Some(format!("{error:#}"));
            check_unreadable(kind, &cost)?;
            return Ok(cost);
        }
    };
    let lost = missing(&decisions, &found.decisions);
    cost.lost = lost.len() as u64;
    cost.outcomes_lost = missing(&outcomes, &found.outcomes).len() as u64;
    cost.torn = found.torn;
    cost.says_loss = found.says_loss;
    check(kind, &found, &lost, &cost, deaths).with_context(|| kind.name)?;
    Ok(cost)
}

fn missing(said: &[u64], found: &[u64]) -> Vec<u64> {
    let found: BTreeSet<u64> = found.iter().copied().collect();
    let lost = said.iter().filter(|number| !found.contains(number));
    lost.copied().collect()
}

/// Fails where annals breaks what it promises: no returned id missing, none twice, in order.
fn check(kind: &Kind, found: &Found, lost: &[u64], cost: &Cost, deaths: usize) -> Result<()> {
    let Some(promise) = kind.promise else {
        return Ok(());
    };
    for numbers in [&found.decisions, &found.outcomes] {
        let mut last: BTreeMap<u64, u64> = BTreeMap::new();
        for number in numbers {
            let before = last.insert(number >> 32, *number);
            let in_order = before.is_none_or(|before| before < *number);
            ensure!(in_order, "{number} comes after {before:?}");
        }
    }
    // Only the last moments may be missing: nothing before an entry that is there.
    let newest = |thread| {
        let of_thread = found
            .decisions
            .iter()
            .filter(|number| *number >> 32 == thread);
        of_thread.copied().max()
    };
    for number in lost {
        let is_last = newest(number >> 32).is_none_or(|newest| *number > newest);
        ensure!(is_last, "{number} is missing and a later one is there");
    }
    ensure!(
        found.deaths == deaths,
        "{} gaps mark {deaths} deaths",
        found.deaths
    );
    if promise == Promise::All {
        ensure!(
            cost.lost == 0,
            "{} decisions are missing: {lost:?}",
            cost.lost
        );
        ensure!(
            cost.outcomes_lost == 0,
            "{} outcomes are missing",
            cost.outcomes_lost
        );
    }
    Ok(())
}

fn check_unreadable(kind: &Kind, cost: &Cost) -> Result<()> {
    match (&cost.unreadable, kind.promise) {
        (Some(why), Some(_)) => bail!("{} cannot be read: {why}", kind.name),
        _ => Ok(()),
    }
}

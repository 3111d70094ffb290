//! Automatic retention, by an option of the journal.

use std::time::{Duration, Instant};

use super::plan::{Doubt, RetentionPlan};
use crate::engine::elapsed::LONGEST_PAUSE;
use crate::entry::error::{Error, Result};
use crate::maintenance::Maintenance;
use crate::options::retention::RetentionPolicy;

/// Interval of looks at the rules, besides after each sealing.
const LOOK: Duration = Duration::from_secs(60);
/// Interval of looking for unused names and runs, which decodes unsealed blocks.
const FORGET: Duration = Duration::from_secs(3_600);

/// Applies a [`RetentionPolicy`] now and then.
pub(crate) struct Automatic {
    maintenance: Maintenance,
    policy: RetentionPolicy,
    looked: Option<Instant>,
    forgot: Option<Instant>,
}

impl Automatic {
    pub(crate) fn new(maintenance: Maintenance, policy: RetentionPolicy) -> Self {
        Automatic {
            maintenance,
            policy,
            looked: None,
            forgot: None,
        }
    }

    /// Retires due segments, if it is time to look or something was `sealed`. Reports the number of
    /// segments that went, or the obstacle.
    pub(crate) fn round(&mut self, sealed: bool, go_on: &dyn Fn() -> bool) -> Result<u64, String> {
        let rested = self.looked.is_none_or(|at| at.elapsed() >= LOOK);
        if !rested && !sealed {
            return Ok(0);
        }
        let retired = self.retire(go_on);
        self.looked = Some(Instant::now());
        retired
    }

    fn retire(&mut self, go_on: &dyn Fn() -> bool) -> Result<u64, String> {
        let said = |error: Error| error.to_string();
        let plan = self.maintenance.retention(self.policy.clone()).plan();
        let plan = plan.map_err(said)?;
        let held_back = if plan.unreadable().is_some() || is_suspicious(&plan, &self.policy) {
            Err(plan.held_back().join("; "))
        } else {
            Ok(())
        };
        if plan.segments().is_empty() {
            return held_back.map(|()| 0);
        }
        let now = self.maintenance.clock.now();
        // A clock that runs far ahead makes everything old at once.
        if let (true, Some(age), Some(newest)) =
            (self.policy.trust_clock, self.policy.max_age, plan.newest())
            && newest < now.saturating_sub(age)
        {
            return Err(format!(
                "the newest entry was recorded at {newest:?}, and everything would be retired: \
                 set the clock right, or apply a plan by hand"
            ));
        }
        let retired = match plan.retire() {
            Ok(retired) => retired.segments as u64,
            // Another process was faster; the next look finds the rest.
            Err(Error::PlanOutdated { .. }) => return Ok(0),
            Err(error) => return Err(said(error)),
        };
        if self.forgot.is_none_or(|at| at.elapsed() >= FORGET) {
            // Also if it fails below: it looks at all names, which is not for every round.
            self.forgot = Some(Instant::now());
            self.maintenance
                .maintenance
                .forget_unused(go_on)
                .map_err(said)?;
        }
        held_back.map(|()| retired)
    }
}

/// Whether the clock and elapsed time disagree by more than the pauses of a daily or weekly job
/// explain. Less than that is not worth a warning at each look.
fn is_suspicious(plan: &RetentionPlan, policy: &RetentionPolicy) -> bool {
    let usual = Duration::from_micros(LONGEST_PAUSE) + Duration::from_secs(86_400);
    let late = |doubt: &Doubt| {
        let age = policy.max_age.unwrap_or_default();
        doubt.by_clock > age.saturating_add(usual)
    };
    plan.doubt().is_some_and(late)
}

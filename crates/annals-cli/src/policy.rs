//! The rules of retention that entries, text lines and checkpoints have in common.

use std::time::Duration;

use annals::RetentionPolicy;

use crate::{units, when};

/// Limits, and the keep rule that every kind of item has.
#[derive(clap::Args, Debug)]
pub struct Rules {
    /// Deletes what is older (30d, 12h).
    #[arg(long, value_name = "AGE", value_parser = when::length)]
    max_age: Option<Duration>,
    /// Deletes what is beyond the newest so many bytes (500MB, 10GB).
    #[arg(long, value_name = "SIZE", value_parser = units::size)]
    max_bytes: Option<u64>,
    /// Deletes what is beyond the newest so many.
    #[arg(long, value_name = "N")]
    max_count: Option<u64>,
    /// Keeps the newest so many, whatever the limits say.
    #[arg(long, value_name = "N")]
    keep_latest: Option<u64>,
}

/// Rules of items whose age can go by the wall clock.
#[derive(clap::Args, Debug)]
pub struct ClockRules {
    #[command(flatten)]
    rules: Rules,
    /// Goes by the wall clock for ages: a clock that is ahead deletes what is young. Without it,
    /// the machine's clock counts. Over a restart, time counts while a run is open, and at most 7
    /// days between two runs.
    #[arg(long, requires = "max_age")]
    trust_clock: bool,
}

/// The names of these limits: each command needs a limit.
pub const LIMITS: [&str; 3] = ["max_age", "max_bytes", "max_count"];

/// The rule of all these commands, for their help.
pub const MEANING: &str = "\
An item is deleted if it exceeds one of the limits (--max-…) and no keep rule (--keep-…) holds \
it.";

impl Rules {
    /// Whether one of the limits is given.
    pub fn has_limit(&self) -> bool {
        self.max_age.is_some() || self.max_bytes.is_some() || self.max_count.is_some()
    }

    /// The policy with these rules in place of its own.
    pub fn policy(&self, mut policy: RetentionPolicy) -> RetentionPolicy {
        if let Some(age) = self.max_age {
            policy = policy.max_age(age);
        }
        if let Some(bytes) = self.max_bytes {
            policy = policy.max_bytes(bytes);
        }
        if let Some(count) = self.max_count {
            policy = policy.max_count(count);
        }
        if let Some(n) = self.keep_latest {
            policy = policy.keep_latest(n);
        }
        policy
    }
}

impl ClockRules {
    /// Whether one of the limits is given.
    pub fn has_limit(&self) -> bool {
        self.rules.has_limit()
    }

    /// The policy with these rules in place of its own.
    pub fn policy(&self, policy: RetentionPolicy) -> RetentionPolicy {
        let policy = self.rules.policy(policy);
        match self.trust_clock {
            true => policy.trust_clock(),
            false => policy,
        }
    }
}

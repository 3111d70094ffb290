//! Statistics and rankings in words, for a log line or a terminal.

use std::fmt;
use std::time::Duration;

use super::live::{LiveCandidate, LiveRanking};
use super::result::Stats;

/// One line: decisions, actions, confidence, times, outcomes, coverage. Unknown figures are left
/// out.
///
/// ```
/// use annals::{Inference, Journal};
///
/// let journal = Journal::in_memory()?;
/// for action in ["BUY", "BUY", "SELL"] {
///     journal.log(Inference::new("dqn_agent", "ETH/USDT", action).confidence(0.5));
/// }
/// journal.flush().wait(std::time::Duration::from_secs(5))?;
/// let stats = journal.stats("dqn_agent").get()?.to_string();
/// assert_eq!(stats, "3 decisions; actions: BUY 2, SELL 1; confidence: 0.500; complete");
/// # Ok::<(), annals::Error>(())
/// ```
impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.count {
            1 => f.write_str("1 decision")?,
            count => write!(f, "{count} decisions")?,
        }
        match self.repeats {
            0 => {}
            1 => f.write_str(" (1 repeat)")?,
            repeats => write!(f, " ({repeats} repeats)")?,
        }
        let mut before = "; actions: ";
        for action in &self.actions {
            let count = action.recorded.saturating_add(action.repeats);
            write!(f, "{before}{} {count}", action.action)?;
            before = ", ";
        }
        if let Some(mean) = self.confidence.mean {
            write!(f, "; confidence: {mean:.3}")?;
            if let Some(deviation) = self.confidence.deviation().filter(|known| *known > 0.0) {
                write!(f, " ± {deviation:.3}")?;
            }
        }
        let times = &self.processing_time;
        let quantiles = [("p50", times.p50), ("p90", times.p90), ("p99", times.p99)];
        let mut before = "; time: ";
        for (name, time) in quantiles {
            if let Some(time) = time {
                write!(f, "{before}{name} {}", Rounded(time))?;
                before = ", ";
            }
        }
        let outcomes = &self.outcomes;
        if let Some(accuracy) = outcomes.accuracy {
            let judged = outcomes.correct.saturating_add(outcomes.wrong);
            write!(f, "; {:.1} % of {judged} correct", accuracy * 100.0)?;
        }
        if let Some(mean) = outcomes.reward.mean {
            write!(f, "; mean reward of {}: {mean:.4}", outcomes.reward.count)?;
        }
        match self.coverage.completeness {
            Some(share) if share >= 1.0 => f.write_str("; complete"),
            Some(share) => write!(f, "; {:.2} % complete", share * 100.0),
            None => f.write_str("; completeness unknown"),
        }
    }
}

/// One line for each checkpoint, best first, and then those with too few outcomes.
///
/// ```
/// use annals::{Inference, Journal, Outcome};
/// use annals::stats::LiveValue;
///
/// let journal = Journal::in_memory()?;
/// for (checkpoint, reward) in [("dqn_1", 1.0), ("dqn_1", 2.0), ("dqn_2", 3.0)] {
///     let decision = Inference::new("dqn_agent", "ETH/USDT", "BUY").checkpoint(checkpoint);
///     let id = journal.log(decision).unwrap();
///     journal.attach_outcome(id, Outcome::new().reward(reward));
/// }
/// journal.flush().wait(std::time::Duration::from_secs(5))?;
/// let ranking = journal.stats("dqn_agent").best_live(&LiveValue::Reward, 2)?.to_string();
/// assert!(ranking.starts_with("1. dqn_1: 1.5000 ("), "{ranking}");
/// assert!(ranking.ends_with("too few: dqn_2 (1 outcome)"), "{ranking}");
/// # Ok::<(), annals::Error>(())
/// ```
impl fmt::Display for LiveRanking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ranked.is_empty() {
            f.write_str("no checkpoint has enough outcomes")?;
        }
        for (rank, candidate) in (1_u64..).zip(&self.ranked) {
            let start = if rank > 1 { "\n" } else { "" };
            let mean = candidate.mean.unwrap_or(f64::NAN);
            write!(f, "{start}{rank}. {}: {mean:.4} (", name(candidate))?;
            if let (Some(low), Some(high)) = (candidate.low, candidate.high) {
                write!(f, "{low:.4} to {high:.4}, ")?;
            }
            write!(f, "{})", outcomes(candidate))?;
        }
        let mut before = "\ntoo few: ";
        for candidate in &self.too_few {
            write!(f, "{before}{} ({})", name(candidate), outcomes(candidate))?;
            before = ", ";
        }
        Ok(())
    }
}

fn name(candidate: &LiveCandidate) -> &str {
    candidate.checkpoint.as_deref().unwrap_or("no checkpoint")
}

fn outcomes(candidate: &LiveCandidate) -> String {
    match candidate.count {
        1 => "1 outcome".to_owned(),
        count => format!("{count} outcomes"),
    }
}

/// A duration to three digits: quantiles are no more exact.
struct Rounded(Duration);

impl fmt::Display for Rounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs_f64();
        let (value, unit) = match seconds {
            seconds if seconds < 1e-6 => (seconds * 1e9, "ns"),
            seconds if seconds < 1e-3 => (seconds * 1e6, "µs"),
            seconds if seconds < 1.0 => (seconds * 1e3, "ms"),
            seconds => (seconds, "s"),
        };
        let digits = match value {
            value if value < 10.0 => 2,
            value if value < 100.0 => 1,
            _ => 0,
        };
        write!(f, "{value:.digits$} {unit}")
    }
}

//! Journals as the programs that measure open them: nothing is dropped, and a producer that is too
//! fast waits for room.

use annals::{BlackBox, Inference, InferenceId, Journal, Options, Overflow, Recorder};

use super::events::Decision;
use super::{BOUND, Failure};

pub const MODEL: &str = "dqn_agent";
pub const SYMBOL: &str = "ETH/USDT";
pub const ACTIONS: [&str; 3] = ["BUY", "SELL", "HOLD"];
pub const CHECKPOINT: &str = "dqn_agent_20250725_143500";

/// The settings with the black box that the command line asks for: `--black-box off`.
pub fn with_black_box(options: Options) -> Options {
    match super::text("--black-box").as_deref() {
        Some("off") => options.black_box(BlackBox::Off),
        Some("spool") => options.black_box(BlackBox::Spool),
        _ => options,
    }
}

/// With the text files.
pub fn options() -> Options {
    with_black_box(Journal::options())
        .overflow(Overflow::Block { timeout: BOUND })
        .close_timeout(BOUND)
}

pub fn recorder(journal: &Journal, model: &str, symbol: &str) -> Result<Recorder, Failure> {
    let recorder = journal.recorder(model, symbol);
    Ok(recorder.actions(ACTIONS).checkpoint(CHECKPOINT).build()?)
}

/// The call that is measured everywhere: features are hashed in it.
#[inline]
pub fn log(recorder: &Recorder, decision: &Decision) -> Option<InferenceId> {
    recorder
        .inference(decision.action)
        .probabilities(&decision.probabilities)
        .features(&decision.features)
        .processing_time(decision.took)
        .log()
}

/// The same with all names as strings.
#[inline]
pub fn log_strings(journal: &Journal, decision: &Decision) -> Option<InferenceId> {
    let [buy, sell, hold] = decision.probabilities;
    journal.log(
        Inference::new(MODEL, SYMBOL, ACTIONS[decision.action])
            .probabilities(&[("BUY", buy), ("SELL", sell), ("HOLD", hold)])
            .features(&decision.features)
            .processing_time(decision.took)
            .checkpoint(CHECKPOINT),
    )
}

/// Waits until all that was logged is on disk: `events` decisions, and nothing else.
///
/// # Errors
/// If anything was dropped, or taken for a repeat although every decision is another.
pub fn recorded(journal: &Journal, events: u64) -> Result<(), Failure> {
    all_recorded(journal, events)?;
    match journal.health().repeats {
        0 => Ok(()),
        repeats => Err(format!("{repeats} decisions were taken for repeats").into()),
    }
}

/// The same where some of the decisions are repeats.
pub fn all_recorded(journal: &Journal, events: u64) -> Result<(), Failure> {
    journal.flush().wait(BOUND)?;
    let health = journal.health();
    if health.committed != events || health.dropped.total() > 0 || health.divergences > 0 {
        return Err(format!("not every event was recorded in full: {health:?}").into());
    }
    Ok(())
}

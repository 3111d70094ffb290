//! annals beside other ways to remember a decision: what is compared, how it is measured, and how
//! the figures are shown. The programs are `main.rs` and `bin/statistics.rs`.

#![allow(missing_docs, reason = "nobody but the two programs uses it")]

#[path = "../../../benches/common/mod.rs"]
pub mod common;
pub mod kind;
pub mod measure;
pub mod plots;
pub mod predecessor;
pub mod report;
pub mod subjects;
pub mod tables;

/// Starts `ticklog`: here, because its macros look for one another at the root of a crate.
fn ticklog_start(sink: ticklog::FileSink) -> anyhow::Result<ticklog::Guard> {
    let guard = ticklog::configure! {
        sink: sink,
        backpressure: ticklog::Backpressure::Block,
    };
    guard.map_err(|error| anyhow::anyhow!("{error:?}"))
}

fn ticklog_line(decision: &common::events::Decision) {
    let [buy, sell, hold] = decision.probabilities;
    ticklog::info!(
        "{} | {} | {} | conf={} | p={} {} {} | features={} | time={} | {}",
        common::journals::MODEL,
        common::journals::SYMBOL,
        common::journals::ACTIONS[decision.action],
        decision.probabilities[decision.action],
        buy,
        sell,
        hold,
        annals::feature_hash(&decision.features),
        u64::try_from(decision.took.as_nanos()).unwrap_or(u64::MAX),
        common::journals::CHECKPOINT
    );
}

//! The shipped channel and its drop counters; names, clocks and records stay outside.

#[path = "../../../../src/record/queue/channel.rs"]
pub(crate) mod channel;
#[path = "../../../../src/record/queue/drop_counters.rs"]
pub(crate) mod drop_counters;

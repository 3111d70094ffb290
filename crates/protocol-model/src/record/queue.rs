//! The shipped lane and its tallies; names, clocks and records stay outside.

#[path = "../../../../src/record/queue/drops.rs"]
pub(crate) mod drops;
#[path = "../../../../src/record/queue/lane.rs"]
pub(crate) mod lane;

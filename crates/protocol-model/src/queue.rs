//! The shipped lane and its tallies; names, clocks and records stay outside.

#[path = "../../../src/queue/drops.rs"]
pub(crate) mod drops;
#[path = "../../../src/queue/lane.rs"]
pub(crate) mod lane;

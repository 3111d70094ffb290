//! The shipped channel, its drop counters and the ring of a lane; names, clocks and records stay
//! outside.

#[path = "../../../../src/record/queue/channel.rs"]
pub(crate) mod channel;
#[path = "../../../../src/record/queue/drop_counters.rs"]
pub(crate) mod drop_counters;
#[path = "../../../../src/record/queue/ring.rs"]
pub(crate) mod ring;

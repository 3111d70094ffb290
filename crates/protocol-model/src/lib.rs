//! The protocols of queue, flush and close and of the registry's watches, run through every order of
//! their threads by [loom](https://docs.rs/loom).
//!
//! The files of the protocols are the shipped ones, compiled once more: they name all that they
//! synchronise with as `crate::sync`, which is loom's here. What stands around them is cut down to what
//! they need: a message is its id, and a commit is a list.

#![forbid(unsafe_code)]

mod channel;
#[allow(dead_code, reason = "the library uses more of it")]
#[path = "../../../src/flush.rs"]
mod flush;
#[path = "../../../src/registry/latest.rs"]
mod latest;
mod parking;
mod publishing;
#[allow(dead_code, reason = "the library uses more of it")]
mod queue;
mod scenario;
#[path = "../../../src/writer/serve.rs"]
mod serve;
mod stand_ins;
mod sync;
mod writer;

use stand_ins::{error, format, ids, options};

pub use publishing::explore_publishing;
pub use scenario::{Scenario, Script, explore};

//! The protocol of queue, flush and close, run through every order of its threads by
//! [loom](https://docs.rs/loom).
//!
//! The files of the protocol are the shipped ones, compiled once more: they name all that they
//! synchronise with as `crate::sync`, which is loom's here. What stands around them is cut down to what
//! they need: a message is its id, and a commit is a list.

#![forbid(unsafe_code)]

mod channel;
#[allow(dead_code, reason = "the library uses more of it")]
#[path = "../../../src/flush.rs"]
mod flush;
mod parking;
#[allow(dead_code, reason = "the library uses more of it")]
mod queue;
mod scenario;
#[path = "../../../src/writer/serve.rs"]
mod serve;
mod stand_ins;
mod sync;
mod writer;

use stand_ins::{error, format, ids, options};

pub use scenario::{Scenario, Script, explore};

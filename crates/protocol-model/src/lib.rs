//! The protocols of queue, lane, flush and close and of the registry's watches, run through every
//! order of their threads by [loom](https://docs.rs/loom).
//!
//! The files of the protocols are the shipped ones, compiled once more: they name all that they
//! synchronise with as `crate::threads::sync`, which is loom's here. The code around them is cut
//! down to their needs: a message is its id, and a commit is a list.

#![forbid(unsafe_code)]

mod channel;
mod parking;
mod publishing;
#[allow(dead_code, reason = "the library uses more of it")]
mod record;
mod ring;
mod scenario;
mod sealing;
mod stand_ins;
mod threads;
mod writer;

use stand_ins::{entry, options};

pub use publishing::explore_publishing;
pub use ring::{RingScript, explore_ring};
pub use scenario::{Scenario, Script, explore};
pub use sealing::{SealingScript, explore_sealing};

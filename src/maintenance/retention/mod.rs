//! Retention: which segments a policy gives up, and what goes with them.

pub(crate) mod automatic;
mod logs;
pub(crate) mod plan;
pub(crate) mod segments;
pub(crate) mod unused;

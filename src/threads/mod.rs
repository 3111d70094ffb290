//! Background threads and their frame, what they synchronise with, caught panics and published
//! values.

pub(crate) mod latest;
pub(crate) mod panics;
pub(crate) mod rounds;
pub(crate) mod sync;
pub(crate) mod worker;

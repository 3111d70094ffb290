//! The shipped flush tickets, queue and writer's loop, under the names that they have in the
//! library.

#[path = "../../../../src/record/flush.rs"]
pub(crate) mod flush;
pub(crate) mod queue;
#[path = "../../../../src/record/writer/serve.rs"]
pub(crate) mod serve;

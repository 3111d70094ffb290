//! The shipped published value, and loom in the place of the standard library.

#[path = "../../../../src/threads/latest.rs"]
pub(crate) mod latest;
pub(crate) mod sync;

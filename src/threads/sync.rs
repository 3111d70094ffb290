//! Synchronisation of the queue, the flush tickets and the writer's loop. Those files name nothing
//! else, because `crates/protocol-model` compiles them once more over loom's versions, and tries
//! every order of their threads.

pub(crate) use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

pub(crate) use crossbeam_channel as channel;
pub(crate) use crossbeam_utils::CachePadded;

pub(crate) mod atomic {
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
}

pub(crate) mod thread {
    pub(crate) use std::thread::{Thread, current, park_timeout};
}

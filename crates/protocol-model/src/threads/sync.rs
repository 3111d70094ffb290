//! loom's versions of what the protocol synchronises with.

pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};
// Set before any other thread can look, and so without orders worth looking at.
pub(crate) use std::sync::{OnceLock, PoisonError};

pub(crate) use crate::channel;
pub(crate) use crossbeam_utils::CachePadded;

pub(crate) mod atomic {
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
}

pub(crate) mod thread {
    pub(crate) use crate::parking::{Thread, current, park_timeout};
}

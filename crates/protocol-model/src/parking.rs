//! Parking, of a mutex and a condition: loom's own forgets the token of a thread that meets a lock.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use loom::sync::{Condvar, Mutex, MutexGuard};

/// A thread, as those who wake it know it.
#[derive(Clone)]
pub(crate) struct Thread(Arc<Token>);

struct Token {
    given: Mutex<bool>,
    changed: Condvar,
}

loom::thread_local! {
    static CURRENT: RefCell<Option<Thread>> = RefCell::new(None);
}

impl Thread {
    pub(crate) fn new() -> Thread {
        Thread(Arc::new(Token {
            given: Mutex::new(false),
            changed: Condvar::new(),
        }))
    }

    /// Makes the thread that calls the one that holders of this wake.
    pub(crate) fn enter(&self) {
        CURRENT.with(|current| *current.borrow_mut() = Some(self.clone()));
    }

    pub(crate) fn unpark(&self) {
        *self.given() = true;
        self.0.changed.notify_one();
    }

    pub(crate) fn park(&self) {
        let mut given = self.given();
        while !*given {
            given = match self.0.changed.wait(given) {
                Ok(given) => given,
                Err(poisoned) => poisoned.into_inner(),
            };
        }
        *given = false;
    }

    pub(crate) fn id(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    fn given(&self) -> MutexGuard<'_, bool> {
        match self.0.given.lock() {
            Ok(given) => given,
            Err(poisoned) => poisoned.into_inner(),
        }
    }
}

pub(crate) fn current() -> Thread {
    CURRENT.with(|current| current.borrow_mut().get_or_insert_with(Thread::new).clone())
}

/// Here no time passes: a thread that is not woken sleeps for ever, and loom reports it.
pub(crate) fn park_timeout(_most: Duration) {
    current().park();
}

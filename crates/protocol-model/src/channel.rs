//! A channel with the interface of crossbeam's, of a mutex and a deque: each call is one step.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use crossbeam_channel::{SendError, SendTimeoutError, TryRecvError, TrySendError};
use loom::sync::{Mutex, MutexGuard};

struct Shared<T> {
    state: Mutex<Inner<T>>,
    capacity: Option<usize>,
}

struct Inner<T> {
    queued: VecDeque<T>,
    receivers: usize,
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        match self.state.lock() {
            Ok(inner) => inner,
            Err(poisoned) => poisoned.into_inner(),
        }
    }
}

pub(crate) struct Sender<T>(Arc<Shared<T>>);

pub(crate) struct Receiver<T>(Arc<Shared<T>>);

pub(crate) fn bounded<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    channel(Some(capacity))
}

pub(crate) fn unbounded<T>() -> (Sender<T>, Receiver<T>) {
    channel(None)
}

fn channel<T>(capacity: Option<usize>) -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Shared {
        state: Mutex::new(Inner {
            queued: VecDeque::new(),
            receivers: 1,
        }),
        capacity,
    });
    (Sender(shared.clone()), Receiver(shared))
}

impl<T> Sender<T> {
    pub(crate) fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        let mut inner = self.0.lock();
        if inner.receivers == 0 {
            Err(TrySendError::Disconnected(value))
        } else if Some(inner.queued.len()) == self.0.capacity {
            Err(TrySendError::Full(value))
        } else {
            inner.queued.push_back(value);
            Ok(())
        }
    }

    pub(crate) fn send(&self, value: T) -> Result<(), SendError<T>> {
        // Only the channel without a bound is sent to like this.
        self.try_send(value)
            .map_err(|error| SendError(error.into_inner()))
    }

    /// The wait is over as soon as it begins: that is one of the orders that time allows.
    pub(crate) fn send_timeout(
        &self,
        value: T,
        _most: Duration,
    ) -> Result<(), SendTimeoutError<T>> {
        self.try_send(value).map_err(|error| match error {
            TrySendError::Full(value) => SendTimeoutError::Timeout(value),
            TrySendError::Disconnected(value) => SendTimeoutError::Disconnected(value),
        })
    }
}

impl<T> Receiver<T> {
    pub(crate) fn try_recv(&self) -> Result<T, TryRecvError> {
        let queued = self.0.lock().queued.pop_front();
        queued.ok_or(TryRecvError::Empty)
    }

    pub(crate) fn try_iter(&self) -> impl Iterator<Item = T> {
        std::iter::from_fn(|| self.try_recv().ok())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.lock().queued.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn capacity(&self) -> Option<usize> {
        self.0.capacity
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut inner = self.0.lock();
        inner.receivers -= 1;
        // Messages that cannot be received any more are dropped now, as crossbeam does, and outside
        // the lock.
        let lost = std::mem::take(&mut inner.queued);
        drop(inner);
        drop(lost);
    }
}

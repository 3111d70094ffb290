//! Threads that look at a registry that changes, and publish what they found to a watch.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering as Unseen};

use loom::sync::atomic::{AtomicU64, Ordering};

use crate::threads::latest::Published;

/// Lets `publishers` threads look and publish while the registry changes `changes` times, in every
/// order of at most `preemptions` switches; says in how many. A thread looks at the results of a
/// change afterwards, as the registry's thread does. Panics where a watch goes back or stays
/// behind.
pub fn explore_publishing(publishers: usize, changes: u64, preemptions: usize) -> usize {
    let orders = Arc::new(AtomicUsize::new(0));
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    let counted = orders.clone();
    model.check(move || {
        counted.fetch_add(1, Unseen::Relaxed);
        run(publishers, changes);
    });
    orders.load(Unseen::Relaxed)
}

fn run(publishers: usize, changes: u64) {
    // The registry: its value is the number of its last change.
    let registry = Arc::new(AtomicU64::new(1));
    let latest = Arc::new(Published::new(0));
    let look_and_publish = |registry: &AtomicU64, latest: &Published<u64>| {
        let found = registry.load(Ordering::Acquire);
        latest.publish(found, found, |one, other| one == other);
    };
    let threads: Vec<_> = (0..publishers)
        .map(|_| {
            let (registry, latest) = (registry.clone(), latest.clone());
            loom::thread::spawn(move || look_and_publish(&registry, &latest))
        })
        .collect();
    let watching = {
        let latest = latest.clone();
        loom::thread::spawn(move || {
            let (first, before) = latest.take();
            let (second, after) = latest.take();
            assert!(before <= after, "the watch went back");
            assert_eq!(first == second, before == after, "numbers and values");
        })
    };
    for _ in 0..changes {
        registry.fetch_add(1, Ordering::AcqRel);
    }
    // The registry's thread has noticed the last change, and remembers that it has.
    look_and_publish(&registry, &latest);
    for thread in threads {
        assert!(thread.join().is_ok());
    }
    assert!(watching.join().is_ok());
    assert_eq!(latest.take().1, changes + 1, "the watch stays behind");
}

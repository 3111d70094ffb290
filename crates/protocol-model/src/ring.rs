//! The ring of a lane: a producer and a consumer that may be stopped at any access, and a reader
//! that comes after their death.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64 as Unseen, AtomicUsize};
use std::sync::{Arc, Mutex, PoisonError};

use loom::sync::atomic::{AtomicU64, Ordering};

use crate::record::queue::ring::{Consumer, Producer, Word, Words};

/// What the two threads do.
#[derive(Clone, Copy, Debug)]
pub struct RingScript {
    /// Words of the ring.
    pub words: usize,
    /// Payloads' lengths, in turn.
    pub lengths: &'static [usize],
    /// Records that the producer offers.
    pub records: u64,
    /// How often the consumer sweeps the ring, and frees what it read.
    pub sweeps: usize,
    /// Accesses to the words after which the producer is stopped.
    pub producer_dies_after: usize,
    /// The same for the consumer.
    pub consumer_dies_after: usize,
}

loom::thread_local! {
    static LEFT: Cell<usize> = Cell::new(usize::MAX);
}

/// A word whose thread is stopped after so many accesses.
#[derive(Debug)]
struct Mortal(AtomicU64);

fn live_on() {
    LEFT.with(|left| match left.get().checked_sub(1) {
        Some(rest) => left.set(rest),
        None => resume_unwind(Box::new("killed")),
    });
}

impl Word for Mortal {
    fn load(&self, order: Ordering) -> u64 {
        live_on();
        self.0.load(order)
    }

    fn store(&self, value: u64, order: Ordering) {
        live_on();
        self.0.store(value, order);
    }
}

#[derive(Debug)]
struct Memory {
    freed: Mortal,
    ring: Vec<Mortal>,
}

impl Words for Arc<Memory> {
    type Word = Mortal;

    fn freed(&self) -> &Mortal {
        &self.freed
    }

    fn ring(&self) -> &[Mortal] {
        &self.ring
    }
}

/// What was made durable: the records, and the position behind them, in one step.
#[derive(Default)]
struct Durable {
    records: Vec<u64>,
    position: u64,
}

/// Runs `script` in every order of its threads that takes at most `preemptions` switches, and says
/// in how many. Panics if a record is lost, torn, doubled or out of order.
pub fn explore_ring(script: RingScript, preemptions: usize) -> usize {
    let orders = Arc::new(AtomicUsize::new(0));
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.max_branches = 10_000;
    let counted = orders.clone();
    model.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        run(script);
    });
    orders.load(Ordering::Relaxed)
}

/// Lets a thread live for so many accesses.
fn mortal(accesses: usize, body: impl FnOnce() + 'static) -> loom::thread::JoinHandle<()> {
    loom::thread::spawn(move || {
        LEFT.with(|left| left.set(accesses));
        let died = catch_unwind(AssertUnwindSafe(body));
        LEFT.with(|left| left.set(usize::MAX));
        if let Err(cause) = died
            && cause.downcast_ref::<&str>() != Some(&"killed")
        {
            resume_unwind(cause);
        }
    })
}

fn payload(script: RingScript, number: u64) -> Vec<u64> {
    let length = script.lengths[usize::try_from(number).unwrap_or(0) % script.lengths.len()];
    (0..length as u64).map(|n| !(number << 8 | n)).collect()
}

/// Reads to the end. The records must be those from `next` on, whole.
fn read(script: RingScript, reader: &mut Consumer<Arc<Memory>>, next: &mut u64) -> Vec<u64> {
    let (mut records, mut found) = (Vec::new(), Vec::new());
    loop {
        match reader.next(&mut found) {
            Ok(Some(tag)) => {
                assert_eq!(u64::from(tag), *next, "out of order");
                assert_eq!(found, payload(script, *next), "torn");
                records.push(*next);
                *next += 1;
            }
            Ok(None) => return records,
            Err(broken) => panic!("{broken:?}"),
        }
    }
}

fn run(script: RingScript) {
    let word = || Mortal(AtomicU64::new(0));
    let memory = Arc::new(Memory {
        freed: word(),
        ring: (0..script.words).map(|_| word()).collect(),
    });
    // The rest of the world: to loom, looking at it is no step.
    let told = Arc::new(Unseen::new(0));
    let durable = Arc::new(Mutex::new(Durable::default()));

    let producing = {
        let (memory, told) = (memory.clone(), told.clone());
        mortal(script.producer_dies_after, move || {
            let mut producer = Producer::new(memory);
            let mut number = 0;
            for _ in 0..script.records {
                let tag = u16::try_from(number).unwrap_or(u16::MAX);
                if producer.push(tag, &payload(script, number)).is_ok() {
                    number += 1;
                    told.store(number, Ordering::Relaxed);
                }
            }
        })
    };
    let consuming = {
        let (memory, durable) = (memory.clone(), durable.clone());
        mortal(script.consumer_dies_after, move || {
            let (mut consumer, mut next) = (Consumer::at(memory, 0), 0);
            for _ in 0..script.sweeps {
                let records = read(script, &mut consumer, &mut next);
                let mut durable = durable.lock().unwrap_or_else(PoisonError::into_inner);
                durable.records.extend(records);
                durable.position = consumer.position();
                drop(durable);
                consumer.release(consumer.position());
            }
        })
    };
    assert!(producing.join().is_ok() && consuming.join().is_ok());

    // Both are gone, and the next opener reads from where the durable ends.
    let mut durable = durable.lock().unwrap_or_else(PoisonError::into_inner);
    let mut next = durable.records.len() as u64;
    let mut reader = Consumer::at(memory, durable.position);
    let rest = read(script, &mut reader, &mut next);
    durable.records.extend(rest);
    let told = told.load(Ordering::Relaxed);
    let found = durable.records.len() as u64;
    // A producer that was stopped between its last store and its return told nobody.
    assert!(found == told || found == told + 1, "{found} of {told}");
    let in_order = durable.records.iter().copied().eq(0..found);
    assert!(in_order, "{:?}", durable.records);
}

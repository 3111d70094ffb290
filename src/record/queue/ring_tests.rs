//! The ring against random records, hostile words, and a producer that is stopped at any store.

#![allow(clippy::unwrap_used)]

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use proptest::prelude::*;

use super::ring::*;
use crate::threads::sync::atomic::{AtomicU64, Ordering};

thread_local! {
    /// Stores that this thread makes before it is stopped.
    static LEFT: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// A word whose thread is stopped after so many stores.
#[derive(Debug, Default)]
struct Mortal(AtomicU64);

impl Word for Mortal {
    fn load(&self, order: Ordering) -> u64 {
        self.0.load(order)
    }

    fn store(&self, value: u64, order: Ordering) {
        let Some(left) = LEFT.get().checked_sub(1) else {
            resume_unwind(Box::new("stopped"));
        };
        LEFT.set(left);
        self.0.store(value, order);
    }
}

#[derive(Debug)]
struct Memory {
    freed: Mortal,
    ring: Vec<Mortal>,
}

impl Memory {
    fn new(length: usize) -> Arc<Memory> {
        let ring = (0..length).map(|_| Mortal::default()).collect();
        Arc::new(Memory {
            freed: Mortal::default(),
            ring,
        })
    }
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

/// The payload of record `number`: as long as asked for, and different in each word.
fn payload(number: u64, words: usize) -> Vec<u64> {
    (0..words as u64).map(|n| !(number << 16 | n)).collect()
}

fn tag(number: u64) -> Tag {
    Tag::try_from(number & 0xffff).unwrap()
}

/// Reads records until the end; each must be the next one.
fn read_on(consumer: &mut Consumer<Arc<Memory>>, lengths: &[usize], next: &mut u64) {
    let mut found = Vec::new();
    while let Some(seen) = consumer.next(&mut found).unwrap() {
        let length = lengths[usize::try_from(*next).unwrap() % lengths.len()];
        assert_eq!((seen, &found), (tag(*next), &payload(*next, length)));
        *next += 1;
    }
}

proptest! {
    /// Whatever the lengths, and however often is read and freed: each record comes once, in
    /// order, as it was.
    #[test]
    fn records_come_out_as_they_went_in(
        ring in 3_u32..8,
        lengths in prop::collection::vec(0_usize..40, 1..60),
        sweeps in prop::collection::vec(1_usize..9, 1..9),
    ) {
        let memory = Memory::new(1 << ring);
        let mut producer = Producer::new(memory.clone());
        let mut consumer = Consumer::at(memory.clone(), 0);
        let fitting: Vec<usize> =
            lengths.iter().map(|length| length % (memory.ring.len() - 1)).collect();
        let (mut pushed, mut read) = (0_u64, 0_u64);
        for sweep in sweeps.iter().cycle().take(200) {
            for _ in 0..*sweep {
                let length = fitting[usize::try_from(pushed).unwrap() % fitting.len()];
                match producer.push(tag(pushed), &payload(pushed, length)) {
                    Ok(()) => pushed += 1,
                    Err(refused) => {
                        prop_assert_eq!(refused, Refused::Full);
                        break;
                    }
                }
            }
            read_on(&mut consumer, &fitting, &mut read);
            prop_assert_eq!(read, pushed);
            prop_assert_eq!(consumer.next(&mut Vec::new()), Ok(None));
            consumer.release(consumer.position());
        }
        prop_assert!(pushed >= 200);
        prop_assert_eq!(producer.head(), consumer.position());
    }

    /// A producer that is stopped after any number of stores leaves what it had published, and
    /// no part of more.
    #[test]
    fn a_stopped_producer_leaves_exactly_what_it_published(
        lengths in prop::collection::vec(0_usize..12, 1..40),
        stores in 0_usize..400,
        frees in 1_u64..6,
    ) {
        let memory = Memory::new(32);
        let mut producer = Producer::new(memory.clone());
        let mut consumer = Consumer::at(memory.clone(), 0);
        let (told, mut covered) = (Cell::new(0_u64), 0_u64);
        let stopped = catch_unwind(AssertUnwindSafe(|| {
            for number in 0.. {
                let length = lengths[usize::try_from(number).unwrap() % lengths.len()];
                if number % frees == 0 {
                    LEFT.set(usize::MAX);
                    read_on(&mut consumer, &lengths, &mut covered);
                    consumer.release(consumer.position());
                    LEFT.set(stores.saturating_sub(usize::try_from(number).unwrap()));
                }
                if producer.push(tag(number), &payload(number, length)).is_ok() {
                    told.set(number + 1);
                } else {
                    break;
                }
            }
        }));
        LEFT.set(usize::MAX);
        let freed = memory.freed.load(Ordering::Relaxed);
        prop_assert_eq!(freed, consumer.position());
        let mut recovery = Consumer::at(memory, freed);
        read_on(&mut recovery, &lengths, &mut covered);
        prop_assert!(covered == told.get() || (stopped.is_err() && covered == told.get() + 1));
    }

    /// Words of any values end: the last record begins within one lap, and none is longer than
    /// the ring.
    #[test]
    fn hostile_words_end(
        ring in prop::collection::vec(any::<u64>(), 32),
        lengths in prop::collection::vec((0_usize..33, 0_usize..40), 0..20),
        begin in any::<u64>(),
    ) {
        let memory = Memory::new(32);
        for (word, value) in memory.ring.iter().zip(ring) {
            word.store(value, Ordering::Relaxed);
        }
        let begin = begin >> 1;
        // Headers that look right, with lengths that may not be.
        for (offset, length) in lengths {
            let at = begin + offset as u64;
            memory.ring[place(at, 32)].store(header(at, length, 1), Ordering::Relaxed);
        }
        let mut reader = Consumer::at(memory, begin);
        let mut found = Vec::new();
        while let Ok(Some(_)) = reader.next(&mut found) {
            prop_assert!(found.len() < 32);
        }
        prop_assert!(reader.position() - begin < 64);
    }
}

#[test]
fn a_record_that_never_fits_is_told_from_a_full_ring() {
    let memory = Memory::new(8);
    let mut producer = Producer::new(memory.clone());
    assert_eq!(producer.push(1, &[0; 7]), Err(Refused::TooLong));
    assert_eq!(producer.push(1, &[0; 6]), Ok(()));
    assert_eq!(producer.push(1, &[]), Err(Refused::Full));
    assert_eq!(producer.push(1, &[0; 7]), Err(Refused::TooLong));
    let mut wide = Producer::new(Memory::new(2 * (LONGEST + 1)));
    assert_eq!(wide.push(1, &vec![0; LONGEST]), Err(Refused::TooLong));
    assert_eq!(wide.push(1, &vec![0; LONGEST - 1]), Ok(()));
    // A freed position that was never reached frees nothing.
    for lie in [8, u64::MAX, 1 << 63] {
        memory.freed.store(lie, Ordering::Relaxed);
        assert_eq!(producer.push(1, &[]), Err(Refused::Full), "{lie}");
    }
    memory.freed.store(7, Ordering::Relaxed);
    assert_eq!(producer.push(1, &[]), Ok(()));
}

#[test]
fn a_word_that_no_producer_wrote_ends_the_reading_there() {
    let memory = Memory::new(16);
    let mut producer = Producer::new(memory.clone());
    for number in 0..3 {
        producer.push(number, &[7, 8]).unwrap();
    }
    // One bit of the second header.
    let second = memory.ring[3].load(Ordering::Relaxed);
    memory.ring[3].store(second ^ (1 << 63), Ordering::Relaxed);
    let mut consumer = Consumer::at(memory, 0);
    let mut found = Vec::new();
    assert_eq!(consumer.next(&mut found), Ok(Some(0)));
    assert_eq!(consumer.next(&mut found), Err(Broken { position: 3 }));
    assert_eq!(consumer.position(), 3);
}

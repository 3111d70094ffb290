//! A ring of words with one producer and one consumer. It holds records of any length, and what was
//! published outlives both: a reader finds exactly that in the words alone.
//!
//! A record is a header word and a payload. The producer stores 0 where the next header will be,
//! then the payload, then the header, which publishes the record. So a reader that comes to a 0 has
//! seen everything, whenever the producer was stopped. Words of earlier laps are never read.
//!
//! Positions count words since the ring was made; a position's place is its rest by the ring's
//! length. The producer keeps the freed position that it saw last, and looks again only if the ring
//! seems full. In the ordinary case it touches no line that the consumer wrote.

use std::ops::Range;

use crate::threads::sync::atomic::{AtomicU64, Ordering};

/// A word of shared memory; a trait, so that tests can stop a thread at any access.
pub(crate) trait Word {
    fn load(&self, order: Ordering) -> u64;
    fn store(&self, value: u64, order: Ordering);
}

impl Word for AtomicU64 {
    #[inline]
    fn load(&self, order: Ordering) -> u64 {
        self.load(order)
    }

    #[inline]
    fn store(&self, value: u64, order: Ordering) {
        self.store(value, order);
    }
}

/// The words of one ring.
pub(crate) trait Words {
    type Word: Word;

    /// The position up to which the consumer has freed the ring.
    fn freed(&self) -> &Self::Word;

    /// The ring itself. Its length is a power of two, and always the same.
    fn ring(&self) -> &[Self::Word];
}

/// What a record is, as its owner encodes it; the ring only carries it.
pub(crate) type Tag = u16;

const LENGTH_BITS: u32 = 12;
const TAG_BITS: u32 = 16;
/// The rest of a header: the low bits of the record's position. A word that lies elsewhere, or was
/// written one lap earlier, is no header.
const POSITION_SHIFT: u32 = LENGTH_BITS + TAG_BITS;
/// The longest record in words, header included.
pub(crate) const LONGEST: usize = (1 << LENGTH_BITS) - 1;

/// Why a record was not pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// There is no room before the consumer frees some.
    Full,
    /// There will never be room.
    TooLong,
}

/// A word that no producer wrote there. Nothing behind it can be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    pub(crate) position: u64,
}

#[inline]
pub(super) fn header(position: u64, length: usize, tag: Tag) -> u64 {
    // The length is at most `LONGEST`, so it stays within its bits.
    (position << POSITION_SHIFT) | (u64::from(tag) << LENGTH_BITS) | length as u64
}

/// The place of a position in a ring.
#[inline]
pub(super) fn place(position: u64, length: usize) -> usize {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "less than the length, which is a power of two"
    )]
    let place = (position & (length as u64).wrapping_sub(1)) as usize;
    place
}

/// The end that writes. There is one for each ring.
#[derive(Debug)]
pub(crate) struct Producer<W> {
    words: W,
    head: u64,
    /// Invariant P1: at most the position that the consumer has freed, and at most `head`.
    freed: u64,
}

impl<W: Words> Producer<W> {
    /// For a ring of zeros that nobody else writes into.
    pub(crate) fn new(words: W) -> Self {
        Producer {
            words,
            head: 0,
            freed: 0,
        }
    }

    /// The position behind the last record.
    pub(crate) fn head(&self) -> u64 {
        self.head
    }

    /// Whether records of `words` words together, their headers included, have room now.
    pub(crate) fn has_room(&mut self, words: u64) -> Result<(), Refused> {
        let ring = self.words.ring().len() as u64;
        if words.saturating_add(1) > ring {
            return Err(Refused::TooLong);
        }
        let end = self.head + words + 1;
        if end - self.freed > ring {
            // The same look as in `push`, of one word that has room if anything has.
            self.freed = freed_for(&self.words, self.head, 1)?;
        }
        if end - self.freed > ring {
            return Err(Refused::Full);
        }
        Ok(())
    }

    /// Publishes a record of `payload`. A thread that is stopped within leaves none.
    #[inline]
    pub(crate) fn push(&mut self, tag: Tag, payload: &[u64]) -> Result<(), Refused> {
        let ring = self.words.ring();
        let length = payload.len() + 1;
        // The word behind the record too: it tells a reader that there is no more.
        let end = self.head + length as u64 + 1;
        if end - self.freed > ring.len() as u64 {
            let freed = freed_for(&self.words, self.head, length)?;
            self.freed = freed;
        }
        let place = place(self.head, ring.len());
        if length > LONGEST {
            return Err(Refused::TooLong);
        }
        match ring.get(place..place + length + 1) {
            Some([first, rest @ .., behind]) => {
                behind.store(0, Ordering::Relaxed);
                for (word, value) in rest.iter().zip(payload) {
                    word.store(*value, Ordering::Relaxed);
                }
                // Whoever sees the header sees the payload, and the 0 behind it.
                first.store(header(self.head, length, tag), Ordering::Release);
            }
            _ => self.push_around_the_end(tag, payload),
        }
        self.head += length as u64;
        Ok(())
    }

    /// The same where the record, or the word behind it, continues at the ring's beginning.
    #[cold]
    fn push_around_the_end(&self, tag: Tag, payload: &[u64]) {
        let ring = self.words.ring();
        let length = payload.len() + 1;
        let store = |position: u64, value, order| {
            if let Some(word) = ring.get(place(position, ring.len())) {
                word.store(value, order);
            }
        };
        store(self.head + length as u64, 0, Ordering::Relaxed);
        for (position, value) in (self.head + 1..).zip(payload) {
            store(position, *value, Ordering::Relaxed);
        }
        store(self.head, header(self.head, length, tag), Ordering::Release);
    }
}

/// The freed position, if a record of `length` words fits then.
#[cold]
fn freed_for<W: Words>(words: &W, head: u64, length: usize) -> Result<u64, Refused> {
    let (ring, end) = (words.ring().len() as u64, head + length as u64 + 1);
    if length > LONGEST || length as u64 + 1 > ring {
        return Err(Refused::TooLong);
    }
    // The consumer read what it frees before: see `Consumer::release`.
    let freed = words.freed().load(Ordering::Acquire);
    // In shared memory anything may stand there, also a position that was never reached.
    if freed <= head && end - freed <= ring {
        Ok(freed)
    } else {
        Err(Refused::Full)
    }
}

/// The end that reads. There is one for each ring; the words of a producer that is gone may be read
/// by any number.
#[derive(Debug)]
pub(crate) struct Consumer<W> {
    words: W,
    position: u64,
}

impl<W: Words> Consumer<W> {
    /// Begins at `position`: 0, or what an earlier consumer had come to.
    pub(crate) fn at(words: W, position: u64) -> Self {
        Consumer { words, position }
    }

    /// The position behind the last record that was read.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Copies the payload of the next record over `payload`. `None` if none is published.
    ///
    /// Believes no word: whatever stands in the ring, the last record begins within one lap,
    /// because a header holds its position.
    #[inline]
    pub(crate) fn next(&mut self, payload: &mut Vec<u64>) -> Result<Option<Tag>, Broken> {
        let ring = self.words.ring();
        let broken = Broken {
            position: self.position,
        };
        let first = ring.get(place(self.position, ring.len())).ok_or(broken)?;
        let found = first.load(Ordering::Acquire);
        if found == 0 {
            return Ok(None);
        }
        #[expect(clippy::cast_possible_truncation, reason = "masked to their bits")]
        let (length, tag) = (
            (found & LONGEST as u64) as usize,
            (found >> LENGTH_BITS) as Tag,
        );
        let is_header = found == header(self.position, length, tag);
        if !is_header || length == 0 || length >= ring.len() {
            return Err(broken);
        }
        payload.clear();
        let begin = place(self.position, ring.len()) + 1;
        let (to_end, around) = split(begin..begin + length - 1, ring.len());
        for part in [to_end, around] {
            let words = ring.get(part).unwrap_or_default();
            payload.extend(words.iter().map(|word| word.load(Ordering::Relaxed)));
        }
        self.position += length as u64;
        Ok(Some(tag))
    }

    /// Gives the room of the records before `position` back to the producer. The reader was there.
    pub(crate) fn release(&self, position: u64) {
        // After the loads of the records: the producer acquires this before it stores over them.
        self.words.freed().store(position, Ordering::Release);
    }
}

/// A range of places, of which some may lie behind the end.
fn split(range: Range<usize>, length: usize) -> (Range<usize>, Range<usize>) {
    let (begin, end) = (range.start.min(length), range.end.min(length));
    let around = (range.start - begin)..(range.end - end);
    (begin..end, around)
}

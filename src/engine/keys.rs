//! Keys as bytes, in the order of their meaning.

use super::format::name::LONGEST_NAME;
use super::format::row::{InputNumber, NameId};
use crate::entry::ids::{InferenceId, RunId};
use crate::entry::sequence::Sequence;
use crate::entry::timestamp::Timestamp;

/// A number that keys are made of, in the order of the numbers.
pub(crate) trait KeyNumber: Sized {
    /// `None` if it cannot be one.
    fn of(number: u64) -> Option<Self>;

    fn number(self) -> u64;
}

macro_rules! key_number {
    ($($type:ty: $of:expr, $number:expr;)*) => {
        $(impl KeyNumber for $type {
            fn of(number: u64) -> Option<Self> {
                ($of)(number)
            }

            fn number(self) -> u64 {
                ($number)(self)
            }
        })*
    };
}

key_number! {
    u64: Some, |number| number;
    Sequence: |number| Some(Sequence::new(number)), Sequence::get;
    InputNumber: |number| Some(InputNumber::new(number)), InputNumber::get;
    InferenceId: |id| Some(InferenceId::from_u64(id)), InferenceId::to_u64;
    NameId: |id| NameId::try_from(id).ok(), u64::from;
    RunId: RunId::from_number, |run: RunId| run.get().into();
    Timestamp: |time| Some(Timestamp::from_micros(unordered(time))),
        |time: Timestamp| ordered(time.as_micros());
}

/// A sequence, run number or bucket: big-endian.
pub(crate) fn number(value: impl KeyNumber) -> [u8; 8] {
    value.number().to_be_bytes()
}

/// A number that a key of this table begins with; `None` if the key is too short, or the number
/// cannot be one.
pub(crate) fn first_number<N: KeyNumber>(key: &[u8]) -> Option<N> {
    let bytes = key.first_chunk()?;
    N::of(u64::from_be_bytes(*bytes))
}

/// The number that a key consists of.
pub(crate) fn one_number<N: KeyNumber>(key: &[u8]) -> Option<N> {
    first_number(key).filter(|_| key.len() == 8)
}

/// The two numbers that a key consists of.
pub(crate) fn two_numbers<A: KeyNumber, B: KeyNumber>(key: &[u8]) -> Option<(A, B)> {
    let numbers = first_number(key).zip(second_number(key));
    numbers.filter(|_| key.len() == 16)
}

/// The number that follows the first one.
pub(crate) fn second_number<N: KeyNumber>(key: &[u8]) -> Option<N> {
    key.get(8..).and_then(first_number)
}

/// Two numbers, ordered by the first.
pub(crate) fn pair(first: impl KeyNumber, second: impl KeyNumber) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&number(first));
    key[8..].copy_from_slice(&number(second));
    key
}

/// A signed number as an unsigned one of the same order.
pub(crate) fn ordered(value: i64) -> u64 {
    value.cast_unsigned() ^ (1 << 63)
}

/// The inverse of [`ordered`].
pub(crate) fn unordered(value: u64) -> i64 {
    (value ^ (1 << 63)).cast_signed()
}

/// A kind and a text. A long text is found by its digest: a key is copied with every page that it
/// is on.
pub(crate) fn name(kind: u8, text: &str) -> Vec<u8> {
    const DIGEST: u8 = 0x80;
    let mut key = Vec::with_capacity(1 + text.len().min(LONGEST_NAME));
    if text.len() > LONGEST_NAME {
        key.push(kind | DIGEST);
        key.extend_from_slice(blake3::hash(text.as_bytes()).as_bytes());
    } else {
        key.push(kind);
        key.extend_from_slice(text.as_bytes());
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_sort_like_numbers() {
        let numbers = [i64::MIN, -3_600, -1, 0, 1, 3_600, i64::MAX];
        for pair in numbers.windows(2) {
            assert!(number(ordered(pair[0])) < number(ordered(pair[1])));
        }
        for value in numbers {
            assert_eq!(unordered(ordered(value)), value);
        }
        let key = pair(7, 9);
        assert_eq!(
            (first_number(&key), second_number(&key)),
            (Some(7), Some(9))
        );
        assert_eq!(second_number::<u64>(&key[..15]), None);
        assert_eq!(two_numbers(&key), Some((7, 9)));
        assert_eq!(one_number::<u64>(&key), None);
        assert_eq!(one_number(&key[8..]), Some(9_u64));
    }
}

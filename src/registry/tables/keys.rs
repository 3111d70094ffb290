//! Keys of the registry's tables: texts end with a zero byte, which no name contains, so that keys
//! sort by their parts.

use super::rows::CheckpointRow;
use crate::engine::keys::{KeyNumber, number};
use crate::entry::timestamp::Timestamp;

const END: u8 = 0;

/// The beginning that all keys with these texts share.
pub(crate) fn prefix(texts: &[&str]) -> Vec<u8> {
    let mut key = Vec::with_capacity(64);
    for text in texts {
        key.extend_from_slice(text.as_bytes());
        key.push(END);
    }
    key
}

/// The first key after all that begin with `prefix`, which ends with [`END`].
pub(super) fn after(prefix: &[u8]) -> Vec<u8> {
    let mut key = prefix.to_vec();
    if let Some(last) = key.last_mut() {
        *last = last.saturating_add(1);
    }
    key
}

/// Newest first.
pub(super) fn newness(order: Timestamp, change: u64) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&number(!order.number()));
    key[8..].copy_from_slice(&number(!change));
    key
}

/// A metric's value as bytes of the same order; `None` for not-a-number.
pub(super) fn score(value: f64) -> Option<[u8; 8]> {
    if value.is_nan() {
        return None;
    }
    // −0.0 is 0.0: two models that are equally good must tie.
    let bits = (value + 0.0).to_bits();
    let sign = 1 << 63;
    Some(number(if bits & sign == 0 { bits | sign } else { !bits }))
}

/// The inverse of [`score`].
pub(super) fn value(score: [u8; 8]) -> f64 {
    let bits = u64::from_be_bytes(score);
    let sign = 1 << 63;
    f64::from_bits(if bits & sign == 0 { !bits } else { bits ^ sign })
}

pub(super) fn newest(row: &CheckpointRow) -> Vec<u8> {
    let mut key = prefix(&[&row.model]);
    key.extend_from_slice(&newness(row.order, row.number));
    key
}

/// Whether an entry of `newest` or `tags` is of this row. Where a disk forgot the row, it is taken
/// in again and gets another place, and the entry of the old place stays until the next rebuild.
pub(crate) fn is_of(key: &[u8], row: &CheckpointRow) -> bool {
    key.ends_with(&newness(row.order, row.number))
}

pub(super) fn tag(row: &CheckpointRow, tag: &str) -> Vec<u8> {
    let mut key = prefix(&[&row.model, tag]);
    key.extend_from_slice(&newness(row.order, row.number));
    key
}

pub(super) fn rank(row: &CheckpointRow, metric: &str, score: [u8; 8]) -> Vec<u8> {
    let mut key = prefix(&[&row.model, metric]);
    key.extend_from_slice(&score);
    key.extend_from_slice(&newness(row.order, row.number));
    key
}

/// The score in a ranking key whose texts take up `texts` bytes.
pub(super) fn score_in(key: &[u8], texts: usize) -> Option<[u8; 8]> {
    key.get(texts..)
        .and_then(|rest| rest.first_chunk().copied())
}

/// An entry of an alias's history.
pub(super) fn step(model: &str, alias: &str, time: Timestamp) -> Vec<u8> {
    let mut key = prefix(&[model, alias]);
    key.extend_from_slice(&number(time));
    key
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn scores_sort_like_numbers_and_come_back() {
        let values = [
            f64::NEG_INFINITY,
            f64::MIN,
            -1.5,
            -f64::MIN_POSITIVE,
            -5e-324,
            0.0,
            5e-324,
            0.1,
            f64::MAX,
            f64::INFINITY,
        ];
        for pair in values.windows(2) {
            assert!(score(pair[0]) < score(pair[1]), "{pair:?}");
        }
        for number in values {
            assert_eq!(value(score(number).unwrap()).to_bits(), number.to_bits());
        }
        assert_eq!(score(-0.0), score(0.0));
        assert_eq!(score(f64::NAN), None);
        assert_eq!(score(-f64::NAN), None);
    }

    #[test]
    fn newer_sorts_first_and_prefixes_bound() {
        assert!(newness(Timestamp(2), 1) < newness(Timestamp(1), 9));
        assert!(newness(Timestamp(1), 9) < newness(Timestamp(1), 8));
        assert!(newness(Timestamp(-1), 9) > newness(Timestamp(1), 8));
        let inside = prefix(&["a", "b"]);
        assert!(after(&prefix(&["a"])) > inside && inside > prefix(&["a"]));
        assert!(after(&prefix(&["a"])) <= prefix(&["a\u{1}"]));
        assert!(after(&prefix(&["a"])) > prefix(&["a", "\u{10ffff}"]));
    }
}

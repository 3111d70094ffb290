//! The table of rollups: what decisions add up to, by level, time and combination of names. A
//! second table says which hours have rollups for their minutes.

// Stored numbers are not trusted: an unbounded one must be checked or saturate.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::ops::{Bound, ControlFlow, RangeInclusive};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::sums::Rollup;
use super::{Combination, Resolution};
use crate::engine::format::codec;
use crate::engine::format::codec::{Stored, bounded};
use crate::engine::format::row::NameId;
use crate::engine::keys;
use crate::engine::kv::{Direction, EVERYTHING, ReadTransaction, Table, WriteTransaction};
use crate::engine::meta::damaged;
use crate::entry::error::Result;

const KEY_BYTES: usize = 21;

/// The key of a rollup.
pub(crate) fn key(level: Resolution, bucket: i64, combination: Combination) -> [u8; KEY_BYTES] {
    let mut key = [0; KEY_BYTES];
    key[0] = level as u8;
    key[1..9].copy_from_slice(&keys::number(keys::ordered(bucket)));
    let names = [
        combination.model,
        combination.symbol,
        combination.checkpoint,
    ];
    for (place, name) in key[9..].chunks_exact_mut(4).zip(names) {
        place.copy_from_slice(&name.get().to_be_bytes());
    }
    key
}

/// The bucket and combination of a rollup's key.
pub(crate) fn parse(path: &Path, key: &[u8]) -> Result<(i64, Combination)> {
    let name = |at: usize| {
        let bytes = key.get(at..).and_then(<[u8]>::first_chunk);
        bytes.map(|bytes| NameId::new(u32::from_be_bytes(*bytes)))
    };
    let bucket = key.get(1..).and_then(keys::first_number);
    match (bucket, name(9), name(13), name(17)) {
        (Some(bucket), Some(model), Some(symbol), Some(checkpoint)) if key.len() == KEY_BYTES => {
            // No time lies in another one; continuing behind it would not get any further.
            let level = key.first().and_then(|level| Resolution::of(*level));
            let (first, last) = level.unwrap_or(Resolution::Day).ends();
            if !(first..=last).contains(&keys::unordered(bucket)) {
                return Err(damaged(path, "rollups", "a key's time cannot be"));
            }
            let combination = Combination {
                model,
                symbol,
                checkpoint,
            };
            Ok((keys::unordered(bucket), combination))
        }
        _ => Err(damaged(path, "rollups", "a key has the wrong length")),
    }
}

/// Whether a rollup can be what was written.
pub(crate) fn check(path: &Path, key: &[u8], value: &[u8]) -> Result<()> {
    let broken = |why: String| damaged(path, "rollups", &why);
    let (bucket, _) = parse(path, key)?;
    let level = key.first().and_then(|level| Resolution::of(*level));
    let level = level.ok_or_else(|| broken("a key of no level".to_owned()))?;
    let mut rollup = Rollup::default();
    rollup.decode(level.start(bucket), value).map_err(broken)
}

/// Whether a row of an hour's detail can be what was written.
pub(crate) fn check_detail(path: &Path, key: &[u8], value: &[u8]) -> Result<()> {
    decode_detail(path, key, value).map(drop)
}

fn decode_detail(path: &Path, key: &[u8], value: &[u8]) -> Result<(i64, Detail)> {
    let broken = |why: &str| damaged(path, "hour_details", why);
    let hour = keys::one_number(key).ok_or_else(|| broken("a key has the wrong length"))?;
    let detail = codec::decode(value).map_err(|why| broken(&why))?;
    Ok((keys::unordered(hour), detail))
}

/// The least and the greatest key of `buckets`.
pub(crate) fn ends(
    level: Resolution,
    buckets: &RangeInclusive<i64>,
) -> ([u8; KEY_BYTES], [u8; KEY_BYTES]) {
    let of = |name| Combination {
        model: name,
        symbol: name,
        checkpoint: name,
    };
    // Every combination of names lies between that of the lowest ids and that of the highest.
    let first = key(level, *buckets.start(), of(NameId::NONE));
    (first, key(level, *buckets.end(), of(NameId::MAX)))
}

/// Shows the rollups of `buckets`, of one model or of all, in the order of their keys.
pub(crate) fn scan(
    snapshot: &ReadTransaction<'_>,
    path: &Path,
    level: Resolution,
    buckets: RangeInclusive<i64>,
    model: Option<NameId>,
    mut see: impl FnMut(i64, Combination, &[u8]) -> Result<()>,
) -> Result<()> {
    const HIGHEST: Combination = Combination {
        model: NameId::MAX,
        symbol: NameId::MAX,
        checkpoint: NameId::MAX,
    };
    let of_model = |model: NameId| Combination {
        model,
        symbol: NameId::NONE,
        checkpoint: NameId::NONE,
    };
    let last = *buckets.end();
    let mut next = *buckets.start();
    // Other models' rows are jumped over, not read.
    while next <= last {
        let start = key(level, next, of_model(model.unwrap_or_default()));
        let end = key(level, last, HIGHEST);
        let range = (Bound::Included(&start[..]), Bound::Included(&end[..]));
        let mut jump = None;
        snapshot.scan(Table::Rollups, range, Direction::Ascending, |key, value| {
            let (bucket, combination) = parse(path, key)?;
            match model {
                // Lower models come first in a bucket: begin at this one.
                Some(model) if combination.model < model => jump = Some(bucket),
                // The bucket has no more rows of this model.
                Some(model) if combination.model > model => jump = bucket.checked_add(1),
                _ => {
                    see(bucket, combination, value)?;
                    return Ok(ControlFlow::Continue(()));
                }
            }
            Ok(ControlFlow::Break(()))
        })?;
        match jump {
            Some(bucket) => next = bucket,
            None => break,
        }
    }
    Ok(())
}

/// Facts about an hour that has rows for its minutes.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Detail {
    /// Inferences and repeats.
    pub(crate) events: u64,
    /// Rows of its minutes.
    pub(crate) rows: u64,
}

impl Stored for Detail {
    fn check(&self) -> std::result::Result<(), String> {
        bounded("a number of decisions", self.events)?;
        bounded("a number of rows", self.rows)
    }
}

pub(crate) fn detail_key(hour: i64) -> [u8; 8] {
    keys::number(keys::ordered(hour))
}

/// Whether an hour has complete rows for its minutes.
pub(crate) fn has_detail(snapshot: &ReadTransaction<'_>, hour: i64) -> Result<bool> {
    let found = snapshot.get(Table::HourDetails, &detail_key(hour), |_| ())?;
    Ok(found.is_some())
}

/// The first minute from `from` on that has a row.
pub(crate) fn first_minute(
    snapshot: &ReadTransaction<'_>,
    path: &Path,
    from: i64,
) -> Result<Option<i64>> {
    let lowest = Combination {
        model: NameId::NONE,
        symbol: NameId::NONE,
        checkpoint: NameId::NONE,
    };
    let start = key(Resolution::Minute, from, lowest);
    let range = (
        Bound::Included(&start[..]),
        // A key begins with its level, so minutes end where hours begin.
        Bound::Excluded(&[Resolution::Hour as u8][..]),
    );
    let mut first = None;
    snapshot.scan(Table::Rollups, range, Direction::Ascending, |key, _| {
        first = Some(parse(path, key)?.0);
        Ok(ControlFlow::Break(()))
    })?;
    Ok(first)
}

/// Hours with rows for their minutes, and their facts.
pub(crate) fn details(
    transaction: &mut WriteTransaction<'_>,
    path: &Path,
) -> Result<Vec<(i64, Detail)>> {
    let mut found = Vec::new();
    let ascending = Direction::Ascending;
    transaction.scan(Table::HourDetails, EVERYTHING, ascending, |key, value| {
        found.push(decode_detail(path, key, value)?);
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_back_in_order() {
        let combination = |model, symbol, checkpoint| Combination {
            model: NameId::new(model),
            symbol: NameId::new(symbol),
            checkpoint: NameId::new(checkpoint),
        };
        let rows = [
            (Resolution::Minute, 5, combination(9, 9, 9)),
            (Resolution::Hour, -1, combination(1, 2, 3)),
            (Resolution::Hour, 0, combination(1, 2, 3)),
            (Resolution::Hour, 0, combination(1, 3, 0)),
            (Resolution::Hour, 0, combination(2, 0, 0)),
            (
                Resolution::Day,
                Resolution::Day.ends().0,
                combination(0, 0, 0),
            ),
        ];
        for pair in rows.windows(2) {
            let keys = [0, 1].map(|row| key(pair[row].0, pair[row].1, pair[row].2));
            assert!(keys[0] < keys[1], "{pair:?}");
        }
        for (level, bucket, combination) in rows {
            let parsed = parse(Path::new("x"), &key(level, bucket, combination));
            assert_eq!(parsed.unwrap(), (bucket, combination));
        }
        assert!(parse(Path::new("x"), &[1; 20]).is_err());
        let beyond = key(
            Resolution::Hour,
            Resolution::Hour.ends().1 + 1,
            combination(1, 2, 3),
        );
        assert!(parse(Path::new("x"), &beyond).is_err());
    }
}

//! Merging sums into the rows of rollups, within one transaction: days and hours for ever, minutes
//! for the hours that are recent.

use std::ops::{Bound, ControlFlow};
use std::path::Path;

use ahash::{AHashMap, AHashSet};

use crate::engine::blocks::go_on;
use crate::engine::format::row::NameId;
use crate::engine::kv::{Direction, Table, WriteTransaction};
use crate::engine::meta::{damaged, sealed};
use crate::entry::error::Result;
use crate::entry::timestamp::Timestamp;
use crate::stats::rollup::aggregate::{BucketKey, coarser};
use crate::stats::rollup::sums::Rollup;
use crate::stats::rollup::table;
use crate::stats::rollup::table::Detail;
use crate::stats::rollup::{Combination, Resolution};

/// Rows that one transaction merges, about: others wait for it.
pub(crate) const TRANSACTION_ROWS: usize = 4_000;
/// Hours that get rows for their minutes: how far they may lie back, and ahead. Minutes serve the
/// edge of a range that begins 24 hours ago, within an hour.
const DETAIL_BACK_HOURS: i64 = 25;
const DETAIL_AHEAD_HOURS: i64 = 1;
/// Rows of an hour's minutes that may be few decisions each; beyond, each row must stand for as
/// many decisions as make reading it worthwhile.
const FREE_ROWS: u64 = 4_096;
const LEAST_EVENTS_OF_ROW: u64 = 16;

/// The first hour that has rows for its minutes, at this time.
pub(crate) fn oldest_detailed(now: Timestamp) -> i64 {
    Resolution::Hour
        .bucket(now)
        .saturating_sub(DETAIL_BACK_HOURS)
}

/// The content of one transaction.
pub(crate) struct Merge<'m, 't> {
    transaction: &'m mut WriteTransaction<'t>,
    path: &'m Path,
    /// The hours that get rows for their minutes if they are new.
    recent: (i64, i64),
    /// Hours with rows for their minutes.
    detailed: AHashMap<i64, Detail>,
    /// Hours that have none, or had too many.
    plain: AHashSet<i64>,
    stored: Rollup,
    value: Vec<u8>,
}

impl<'m, 't> Merge<'m, 't> {
    pub(crate) fn new(
        transaction: &'m mut WriteTransaction<'t>,
        path: &'m Path,
        now: Timestamp,
    ) -> Result<Self> {
        let hour = Resolution::Hour.bucket(now);
        let detailed = table::details(transaction, path)?;
        Ok(Merge {
            transaction,
            path,
            recent: (
                hour.saturating_sub(DETAIL_BACK_HOURS),
                hour.saturating_add(DETAIL_AHEAD_HOURS),
            ),
            detailed: detailed.into_iter().collect(),
            plain: AHashSet::new(),
            stored: Rollup::default(),
            value: Vec::new(),
        })
    }

    /// Merges the rows of one partition: minutes, and the hours and days that they make.
    pub(crate) fn part(&mut self, minutes: &[(BucketKey, Rollup)]) -> Result<()> {
        let mut minutes: Vec<&(BucketKey, Rollup)> = minutes.iter().collect();
        // In the order of the keys: neighbouring rows share pages of the tree.
        minutes.sort_unstable_by_key(|row| row.0);
        // Before the hours' rows are written: they show which hours are new.
        for ((minute, combination), rollup) in minutes.iter().copied() {
            let hour = Resolution::Hour.bucket(Resolution::Minute.start(*minute));
            if self.is_detailed(hour)? {
                let is_new = self.row(Resolution::Minute, *minute, *combination, rollup)?;
                let detail = self.detailed.entry(hour).or_default();
                detail.rows = detail.rows.saturating_add(is_new.into());
                detail.events = detail.events.saturating_add(rollup.events());
            }
        }
        let hours = coarser(
            minutes.iter().copied(),
            Resolution::Minute,
            Resolution::Hour,
        );
        for ((hour, combination), rollup) in &hours {
            self.row(Resolution::Hour, *hour, *combination, rollup)?;
        }
        for ((day, combination), rollup) in coarser(hours.iter(), Resolution::Hour, Resolution::Day)
        {
            self.row(Resolution::Day, day, combination, &rollup)?;
        }
        Ok(())
    }

    /// Whether an hour has rows for its minutes, or gets them because it is new and recent: rows of
    /// minutes are complete or not there.
    fn is_detailed(&mut self, hour: i64) -> Result<bool> {
        if self.detailed.contains_key(&hour) {
            return Ok(true);
        }
        if self.plain.contains(&hour) {
            return Ok(false);
        }
        let (oldest, newest) = self.recent;
        // An hour with sums and without minutes was given up: minutes that begin now would lack its
        // first part.
        let detailed = (oldest..=newest).contains(&hour) && !self.has_rows(hour)?;
        if detailed {
            self.detailed.insert(hour, Detail::default());
        } else {
            self.plain.insert(hour);
        }
        Ok(detailed)
    }

    fn has_rows(&mut self, hour: i64) -> Result<bool> {
        let lowest = Combination {
            model: NameId::NONE,
            symbol: NameId::NONE,
            checkpoint: NameId::NONE,
        };
        let start = table::key(Resolution::Hour, hour, lowest);
        // The last hour that there is gets no minutes: a hostile time may stand for it.
        let Some(next) = hour.checked_add(1) else {
            return Ok(true);
        };
        let end = table::key(Resolution::Hour, next, lowest);
        let range = (Bound::Included(&start[..]), Bound::Excluded(&end[..]));
        let mut found = false;
        self.transaction
            .scan(Table::Rollups, range, Direction::Ascending, |_, _| {
                found = true;
                Ok(ControlFlow::Break(()))
            })?;
        Ok(found)
    }

    /// Merges one row; returns whether it is new.
    fn row(
        &mut self,
        level: Resolution,
        bucket: i64,
        combination: Combination,
        rollup: &Rollup,
    ) -> Result<bool> {
        let key = table::key(level, bucket, combination);
        let start = level.start(bucket);
        let stored = &mut self.stored;
        let known = self
            .transaction
            .get(Table::Rollups, &key, |bytes| stored.decode(start, bytes))?;
        let is_new = known.is_none();
        let merged = match known {
            None => rollup,
            Some(Ok(())) => {
                self.stored.merge(rollup);
                &self.stored
            }
            Some(Err(why)) => {
                let row = format!("rollup {level:?} {bucket} {combination:?}");
                return Err(damaged(self.path, &row, &why));
            }
        };
        self.value.clear();
        // Room for the checksum, which is put in place.
        self.value.resize(crate::engine::format::CHECKSUM_BYTES, 0);
        merged.encode(start, &mut self.value);
        self.transaction
            .put(Table::Rollups, &key, &mut self.value)?;
        Ok(is_new)
    }

    /// Stores the facts about hours with rows for their minutes, and gives up those with too many
    /// rows for their use.
    pub(crate) fn finish(self) -> Result<()> {
        for (hour, detail) in &self.detailed {
            let key = table::detail_key(*hour);
            let costly = detail.rows > FREE_ROWS
                && detail.rows.saturating_mul(LEAST_EVENTS_OF_ROW) > detail.events;
            if costly {
                // Its minutes are not read any more from here on, and `prune` removes them.
                self.transaction.remove(Table::HourDetails, &key)?;
            } else {
                self.transaction
                    .put(Table::HourDetails, &key, &mut sealed(detail))?;
            }
        }
        Ok(())
    }
}

/// Gives up some minutes of hours before `oldest`, and unneeded ones; returns whether there may be
/// more.
pub(crate) fn prune(
    transaction: &mut WriteTransaction<'_>,
    path: &Path,
    oldest: i64,
) -> Result<bool> {
    let mut kept = AHashSet::new();
    for (hour, _) in table::details(transaction, path)? {
        if hour < oldest {
            transaction.remove(Table::HourDetails, &table::detail_key(hour))?;
        } else {
            kept.insert(hour);
        }
    }
    remove_minutes(transaction, path, &kept)
}

/// Removes some rows of minutes whose hour is not among those `kept`; returns whether there may be
/// more.
fn remove_minutes(
    transaction: &mut WriteTransaction<'_>,
    path: &Path,
    kept: &AHashSet<i64>,
) -> Result<bool> {
    let lowest = Combination {
        model: NameId::NONE,
        symbol: NameId::NONE,
        checkpoint: NameId::NONE,
    };
    let mut next = i64::MIN;
    let mut expired = Vec::new();
    loop {
        let start = table::key(Resolution::Minute, next, lowest);
        let range = (
            Bound::Included(&start[..]),
            Bound::Excluded(&[Resolution::Hour as u8][..]),
        );
        let mut jump = None;
        transaction.scan(Table::Rollups, range, Direction::Ascending, |key, _| {
            let (minute, _) = table::parse(path, key)?;
            let hour = Resolution::Hour.bucket(Resolution::Minute.start(minute));
            if kept.contains(&hour) {
                jump = hour.checked_add(1);
                return Ok(ControlFlow::Break(()));
            }
            expired.push(key.to_vec());
            Ok(go_on(expired.len() < TRANSACTION_ROWS))
        })?;
        match jump {
            Some(hour) if expired.len() < TRANSACTION_ROWS => {
                let after = Resolution::Minute.bucket(Resolution::Hour.start(hour));
                // The last hour of all has none behind it.
                if after <= next {
                    break;
                }
                next = after;
            }
            _ => break,
        }
    }
    for key in &expired {
        transaction.remove(Table::Rollups, key)?;
    }
    Ok(expired.len() >= TRANSACTION_ROWS)
}

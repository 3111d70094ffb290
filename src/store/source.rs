//! The reading side: blocks by sequence, by hour of event time and by id, each in one short
//! snapshot, decoded before it is handed out.

use std::ops::{Bound, ControlFlow};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use super::directory::Directory;
use super::hot::{Hot, Slot};
use super::keys;
use super::kv::{Direction, Kv, Snapshot, Table};
use super::meta::{self, FIRST_SEQUENCE, Identity, damaged};
use super::runs::{self, RunRow};
use crate::error::{Error, Result};
use crate::format::block::{self, ID_BUCKET_BITS, Mark, Placed};
use crate::format::codec;
use crate::format::view::BlockView;
use crate::ids::RunId;
use crate::options::Sharing;

/// A decoded block and the sequence of its first row.
#[derive(Debug)]
pub(crate) struct Located {
    pub(crate) first: u64,
    pub(crate) rows: Vec<Placed>,
}

/// A name as it is stored: what it names and its text.
pub(crate) type StoredName = (u8, Arc<str>);

/// A place in the index of event times: an hour since 1970, and a block that touches it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HourPlace {
    pub(crate) hour: i64,
    pub(crate) first: u64,
}

/// A journal open for reading.
pub(crate) struct Source {
    slot: Slot,
    directory: Option<Directory>,
    path: PathBuf,
}

impl Source {
    /// Opens the journal in `directory` beside whoever writes it.
    pub(crate) fn open(directory: Directory, sharing: Sharing, cache_bytes: usize) -> Result<Self> {
        let path = directory.hot_file();
        let kv = Kv::open_read_only(&path, sharing, cache_bytes)?;
        Ok(Source {
            slot: Arc::new(RwLock::new(Some(kv))),
            directory: Some(directory),
            path,
        })
    }

    /// A source beside the writer `hot` of the same process: a handle of its own, so that a
    /// failed writer does not take readers down, except where only one handle may be open.
    pub(crate) fn beside(hot: &Hot, cache_bytes: usize) -> Result<Self> {
        match (hot.sharing(), hot.directory()) {
            (Sharing::Shared, Some(directory)) => {
                Source::open(directory.clone(), Sharing::Shared, cache_bytes)
            }
            (_, directory) => Ok(Source {
                slot: hot.slot(),
                directory: directory.cloned(),
                path: hot.name().to_owned(),
            }),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn read<T>(&self, body: impl FnOnce(&Snapshot<'_>) -> Result<T>) -> Result<T> {
        let slot = self.slot.read().unwrap_or_else(PoisonError::into_inner);
        match &*slot {
            Some(kv) => kv.read(body),
            None => Err(Error::Failed {
                path: self.path.clone(),
                reason: "the file is being opened again after a failed write".to_owned(),
            }),
        }
    }

    pub(crate) fn identity(&self) -> Result<Identity> {
        self.read(|snapshot| meta::identity(snapshot, &self.path))
    }

    /// The sequence after the last committed entry.
    pub(crate) fn next_sequence(&self) -> Result<u64> {
        self.read(|snapshot| meta::next_sequence(snapshot, &self.path))
    }

    pub(crate) fn name(&self, id: u32) -> Result<Option<StoredName>> {
        let key = keys::number(u64::from(id));
        let name = self.read(|snapshot| {
            snapshot.get(Table::Names, &key, |value| {
                codec::decode::<(u8, String)>(value)
                    .map_err(|why| damaged(&self.path, &format!("name {id}"), &why))
            })
        })?;
        Ok(name.transpose()?.map(|(kind, text)| (kind, text.into())))
    }

    pub(crate) fn name_id(&self, kind: u8, text: &str) -> Result<Option<u32>> {
        let key = keys::name(kind, text);
        let id = self.read(|snapshot| snapshot.get(Table::NameIds, &key, codec::decode::<u32>))?;
        id.transpose()
            .map_err(|why| damaged(&self.path, &format!("name id of {text:?}"), &why))
    }

    /// Blocks that hold `from` and what follows, oldest first, until `budget` bytes are read.
    /// Empty at the journal's end.
    pub(crate) fn after(&self, from: u64, budget: usize) -> Result<Vec<Located>> {
        self.read(|snapshot| {
            let next = meta::next_sequence(snapshot, &self.path)?;
            let mut found = Vec::new();
            if from >= next {
                return Ok(found);
            }
            let mut expected = self.first_of_block_with(snapshot, from)?;
            let mut bytes = 0;
            let start = keys::number(expected);
            let range = (Bound::Included(&start[..]), Bound::Unbounded);
            snapshot.scan(
                Table::Blocks,
                range,
                Direction::Ascending,
                |key, payload| {
                    let located = self.locate(key, payload)?;
                    if located.first != expected {
                        return Err(self.missing(expected, located.first));
                    }
                    expected += located.rows.len() as u64;
                    bytes += payload.len();
                    found.push(located);
                    Ok(go_on(bytes < budget))
                },
            )?;
            if bytes < budget && expected != next {
                return Err(self.missing(expected, next));
            }
            Ok(found)
        })
    }

    /// Blocks that begin before `until`, newest first, until `budget` bytes are read.
    pub(crate) fn before(&self, until: u64, budget: usize) -> Result<Vec<Located>> {
        self.read(|snapshot| {
            let mut found: Vec<Located> = Vec::new();
            let mut bytes = 0;
            let until = until.min(meta::next_sequence(snapshot, &self.path)?);
            let end = keys::number(until);
            let range = (Bound::Unbounded, Bound::Excluded(&end[..]));
            snapshot.scan(
                Table::Blocks,
                range,
                Direction::Descending,
                |key, payload| {
                    let located = self.locate(key, payload)?;
                    let after = located.first + located.rows.len() as u64;
                    // The newest block may hold `until` itself; all others end where the next begins.
                    let dense = found
                        .last()
                        .map_or(after >= until, |newer| newer.first == after);
                    if !dense {
                        let newer = found.last().map_or(until, |newer| newer.first);
                        return Err(self.missing(after, newer));
                    }
                    bytes += payload.len();
                    found.push(located);
                    Ok(go_on(bytes < budget))
                },
            )?;
            let oldest = found.last().map_or(until, |located| located.first);
            if bytes < budget && oldest > FIRST_SEQUENCE {
                return Err(self.missing(FIRST_SEQUENCE, oldest));
            }
            Ok(found)
        })
    }

    /// The block that begins at `first`.
    pub(crate) fn block(&self, first: u64) -> Result<Located> {
        self.read(|snapshot| self.block_in(snapshot, first))
    }

    fn block_in(&self, snapshot: &Snapshot<'_>, first: u64) -> Result<Located> {
        self.look_into(snapshot, first, |view| {
            let rows = view.rows()?;
            Ok(Located { first, rows })
        })
    }

    /// Shows the block that begins at `first` to `see`.
    fn look_into<T>(
        &self,
        snapshot: &Snapshot<'_>,
        first: u64,
        see: impl FnOnce(BlockView<'_>) -> Result<T, String>,
    ) -> Result<T> {
        let seen = snapshot.get(Table::Blocks, &keys::number(first), |payload| {
            BlockView::new(first, payload)
                .and_then(see)
                .map_err(|why| self.broken(first, &why))
        })?;
        seen.unwrap_or_else(|| Err(self.missing(first, first + 1)))
    }

    fn broken(&self, first: u64, why: &str) -> Error {
        damaged(&self.path, &format!("block {first}"), why)
    }

    /// Up to `most` places of the index of event times whose seconds touch `from..=until`
    /// (microseconds), following `past` if given, in `direction`.
    pub(crate) fn hours(
        &self,
        from: i64,
        until: i64,
        past: Option<HourPlace>,
        direction: Direction,
        most: usize,
    ) -> Result<Vec<HourPlace>> {
        let mut found = Vec::new();
        if from > until {
            return Ok(found);
        }
        let hour = |micros: i64| keys::ordered(micros.div_euclid(block::HOUR_MICROS));
        let low = keys::pair(hour(from), 0);
        let high = keys::pair(hour(until), u64::MAX);
        let past = past.map(|place| keys::pair(keys::ordered(place.hour), place.first));
        let range = match (&past, direction) {
            (None, _) => (Bound::Included(&low[..]), Bound::Included(&high[..])),
            (Some(past), Direction::Ascending) => {
                (Bound::Excluded(&past[..]), Bound::Included(&high[..]))
            }
            (Some(past), Direction::Descending) => {
                (Bound::Included(&low[..]), Bound::Excluded(&past[..]))
            }
        };
        self.read(|snapshot| {
            snapshot.scan(Table::Hours, range, direction, |key, value| {
                let (place, touched) = self.hour_place(key, value)?;
                if touched.0 <= until && touched.1 >= from {
                    found.push(place);
                }
                Ok(go_on(found.len() < most))
            })
        })?;
        Ok(found)
    }

    /// A row of the index of event times, with the first and last microsecond that it covers.
    fn hour_place(&self, key: &[u8], value: &[u8]) -> Result<(HourPlace, (i64, i64))> {
        let broken = |why: &str| damaged(&self.path, "hours", why);
        let (hour, first) = keys::first_number(key)
            .zip(keys::second_number(key))
            .ok_or_else(|| broken("a key is too short"))?;
        let (low, high): (u16, u16) = codec::decode(value).map_err(|why| broken(&why))?;
        let hour = keys::unordered(hour);
        // The first hour that an i64 reaches begins before it does.
        let at = |second: u16, more: i128| {
            let micros = i128::from(hour) * i128::from(block::HOUR_MICROS)
                + i128::from(second) * 1_000_000
                + more;
            let clamped = micros.clamp(i64::MIN.into(), i64::MAX.into());
            i64::try_from(clamped).unwrap_or_default()
        };
        let touched = (at(low, 0), at(high, 999_999));
        Ok((HourPlace { hour, first }, touched))
    }

    /// The inference or repeat with this id.
    pub(crate) fn find(&self, id: u64) -> Result<Option<Placed>> {
        let bucket = id >> ID_BUCKET_BITS;
        let within = u16::try_from(id & ((1 << ID_BUCKET_BITS) - 1)).unwrap_or(u16::MAX);
        let (start, end) = (keys::pair(bucket, 0), keys::pair(bucket, u64::MAX));
        let range = (Bound::Included(&start[..]), Bound::Included(&end[..]));
        self.read(|snapshot| {
            let mut found = None;
            snapshot.scan(Table::Ids, range, Direction::Ascending, |key, value| {
                let broken = |why: &str| damaged(&self.path, "ids", why);
                let (low, high): (u16, u16) = codec::decode(value).map_err(|why| broken(&why))?;
                if !(low..=high).contains(&within) {
                    return Ok(ControlFlow::Continue(()));
                }
                let first = keys::second_number(key).ok_or_else(|| broken("a short key"))?;
                found = self.look_into(snapshot, first, |view| view.find(id))?;
                Ok(go_on(found.is_none()))
            })?;
            Ok(found)
        })
    }

    /// The entry with this sequence.
    pub(crate) fn at(&self, sequence: u64) -> Result<Option<Placed>> {
        self.read(|snapshot| {
            if sequence < FIRST_SEQUENCE || sequence >= meta::next_sequence(snapshot, &self.path)? {
                return Ok(None);
            }
            let first = self.first_of_block_with(snapshot, sequence)?;
            let found = self.look_into(snapshot, first, |view| view.at(sequence))?;
            found
                .map(Some)
                .ok_or_else(|| self.missing(sequence, sequence + 1))
        })
    }

    /// Up to `most` sequences of entries of one kind, from `from` on.
    pub(crate) fn marks(&self, mark: Mark, from: u64, most: usize) -> Result<Vec<u64>> {
        let start = keys::pair(mark as u64, from);
        let end = keys::pair(mark as u64, u64::MAX);
        let range = (Bound::Included(&start[..]), Bound::Included(&end[..]));
        let mut found = Vec::new();
        self.read(|snapshot| {
            snapshot.scan(Table::Marks, range, Direction::Ascending, |key, _| {
                let sequence = keys::second_number(key)
                    .ok_or_else(|| damaged(&self.path, "marks", "a key is too short"))?;
                found.push(sequence);
                Ok(go_on(found.len() < most))
            })
        })?;
        Ok(found)
    }

    /// Up to `most` runs from number `from` on.
    pub(crate) fn runs(&self, from: u32, most: usize) -> Result<Vec<(RunId, RunRow)>> {
        self.read(|snapshot| runs::page(snapshot, &self.path, from, most))
    }

    /// Whether the process of an open run has gone. In memory, every run is alive.
    pub(crate) fn is_run_dead(&self, run: RunId) -> bool {
        self.directory
            .as_ref()
            .is_some_and(|directory| directory.is_run_dead(run))
    }

    /// The first sequence of the block that holds `sequence`, or of the first block after it.
    fn first_of_block_with(&self, snapshot: &Snapshot<'_>, sequence: u64) -> Result<u64> {
        let mut first = None;
        let end = keys::number(sequence);
        let range = (Bound::Unbounded, Bound::Included(&end[..]));
        snapshot.scan(
            Table::Blocks,
            range,
            Direction::Descending,
            |key, payload| {
                let start = self.first_of(key)?;
                let covered = BlockView::new(start, payload)
                    .map_err(|why| self.broken(start, &why))?
                    .sequences();
                if !covered.contains(&sequence) {
                    return Err(self.missing(covered.end, sequence + 1));
                }
                first = Some(start);
                Ok(ControlFlow::Break(()))
            },
        )?;
        Ok(first.unwrap_or(FIRST_SEQUENCE))
    }

    fn first_of(&self, key: &[u8]) -> Result<u64> {
        keys::first_number(key).ok_or_else(|| damaged(&self.path, "blocks", "a key is too short"))
    }

    fn locate(&self, key: &[u8], payload: &[u8]) -> Result<Located> {
        let first = self.first_of(key)?;
        let rows = BlockView::new(first, payload)
            .and_then(|view| view.rows())
            .map_err(|why| self.broken(first, &why))?;
        Ok(Located { first, rows })
    }

    fn missing(&self, from: u64, until: u64) -> Error {
        damaged(
            &self.path,
            "blocks",
            &format!(
                "sequences {from} to {} are missing",
                until.saturating_sub(1)
            ),
        )
    }
}

fn go_on(more: bool) -> ControlFlow<()> {
    if more {
        ControlFlow::Continue(())
    } else {
        ControlFlow::Break(())
    }
}

//! Tables of bytes with a checksum in front of every value, seen through a snapshot or being
//! written in a transaction.

use std::cell::{Cell, OnceCell};
use std::ops::ControlFlow;
use std::path::Path;

use redb::{ReadableTable, TableDefinition, TableError};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::detour::Way;
use super::errors::{corrupt, guard, storage_error, table_error};
use super::range::{Direction, KeyRange, StaticBytes};
use crate::engine::format::CHECKSUM_BYTES;
use crate::entry::error::{Error, Result};
use crate::entry::hex::hex;

/// How many places that cannot be read are gone round in one pass over a table.
const MOST_DETOURS: u32 = 1_024;

/// The tables of the hot file; the names are part of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Table {
    /// Facts about the journal: format, identity, next sequence.
    Meta,
    /// Name id → kind and text.
    Names,
    /// Kind and text → name id.
    NameIds,
    /// Run number → what became of the run.
    Runs,
    /// First sequence → block of entries.
    Blocks,
    /// (hour of event time, first sequence) → the seconds of that hour that the block touches.
    Hours,
    /// (id / 256, first sequence) → the ids of that bucket that the block touches.
    Ids,
    /// (id / 256, first sequence) → the ids of that bucket that the block has outcomes of.
    Outcomes,
    /// (kind, sequence) of the entries that are rare and looked for by kind.
    Kinds,
    /// First sequence → facts about the segment that begins there.
    Segments,
    /// (level, time, combination of names) → sum of the decisions.
    Rollups,
    /// Hour that has rollups for its minutes → what these hold.
    HourDetails,
    /// (first minute, last minute) of gaps → what these add up to.
    GapSums,
    /// Id of an inference that has folded outcomes and is not there → when that was noted.
    UnmatchedOutcomes,
    /// (inference id, sequence of an outcome that was committed before it) → a copy of the outcome.
    OutOfOrderOutcomes,
    /// Checkpoint id → its row.
    Checkpoints,
    /// Model → its monitor and what its checkpoints add up to.
    Models,
    /// Model → its best checkpoint by its monitor: id and row.
    Bests,
    /// (model, newest first) → checkpoint id.
    Newest,
    /// (model, metric, score, newest first) → checkpoint id.
    Ranking,
    /// (model, tag, newest first) → checkpoint id.
    Tags,
    /// (model, alias) → where it points now.
    Aliases,
    /// (model, alias, time) → where it pointed from then on.
    AliasHistory,
    /// Checkpoint id → when and why it was deleted.
    Deleted,
    /// Checkpoint id → files of a deleted checkpoint that are still to be removed.
    Leaving,
    /// Name → a reader's position in the journal.
    Cursors,
    /// Number of the first input in a file of inputs → what is committed of that file.
    Inputs,
    /// Run number → what the run says about its program.
    Manifests,
}

impl Table {
    pub(crate) const ALL: [Table; 28] = [
        Table::Meta,
        Table::Names,
        Table::NameIds,
        Table::Runs,
        Table::Blocks,
        Table::Hours,
        Table::Ids,
        Table::Outcomes,
        Table::Kinds,
        Table::Segments,
        Table::Rollups,
        Table::HourDetails,
        Table::GapSums,
        Table::UnmatchedOutcomes,
        Table::OutOfOrderOutcomes,
        Table::Checkpoints,
        Table::Models,
        Table::Bests,
        Table::Newest,
        Table::Ranking,
        Table::Tags,
        Table::Aliases,
        Table::AliasHistory,
        Table::Deleted,
        Table::Leaving,
        Table::Cursors,
        Table::Inputs,
        Table::Manifests,
    ];

    /// Those of a segment's file.
    const OF_SEGMENT: [Table; 6] = [
        Table::Meta,
        Table::Blocks,
        Table::Hours,
        Table::Ids,
        Table::Outcomes,
        Table::Kinds,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Table::Meta => "meta",
            Table::Names => "names",
            Table::NameIds => "name_ids",
            Table::Runs => "runs",
            Table::Blocks => "blocks",
            Table::Hours => "hours",
            Table::Ids => "ids",
            Table::Outcomes => "outcomes",
            Table::Kinds => "kinds",
            Table::Segments => "segments",
            Table::Rollups => "rollups",
            Table::HourDetails => "hour_details",
            Table::GapSums => "gap_sums",
            Table::UnmatchedOutcomes => "unmatched_outcomes",
            Table::OutOfOrderOutcomes => "out_of_order_outcomes",
            Table::Checkpoints => "checkpoints",
            Table::Models => "models",
            Table::Bests => "bests",
            Table::Newest => "newest",
            Table::Ranking => "ranking",
            Table::Tags => "tags",
            Table::Aliases => "aliases",
            Table::AliasHistory => "alias_history",
            Table::Deleted => "deleted",
            Table::Leaving => "leaving",
            Table::Cursors => "cursors",
            Table::Inputs => "inputs",
            Table::Manifests => "manifests",
        }
    }

    const fn definition(self) -> TableDefinition<'static, StaticBytes, StaticBytes> {
        TableDefinition::new(self.name())
    }
}

/// One consistent view of the file.
pub(crate) struct ReadTransaction<'a> {
    transaction: redb::ReadTransaction,
    tables: [OnceCell<Option<redb::ReadOnlyTable<StaticBytes, StaticBytes>>>; Table::ALL.len()],
    path: &'a Path,
}

impl<'a> ReadTransaction<'a> {
    pub(super) fn new(transaction: redb::ReadTransaction, path: &'a Path) -> Self {
        ReadTransaction {
            transaction,
            tables: Default::default(),
            path,
        }
    }

    /// The payload under `key`, shown to `see`.
    pub(crate) fn get<T>(
        &self,
        table: Table,
        key: &[u8],
        see: impl FnOnce(&[u8]) -> T,
    ) -> Result<Option<T>> {
        // Tables are opened on first use and kept: opening one costs a look-up in redb's tree of
        // tables.
        let Some(rows) = guard(self.path, || self.table(table))? else {
            return Ok(None);
        };
        // The engine panics over some damaged pages; that must not end what is read beside them.
        // The guards are around the engine only: a panic of `see` must not be reported as damage.
        let found = guard(self.path, || {
            rows.get(key)
                .map_err(|error| storage_error(self.path, error))
        })?;
        let Some(value) = found else { return Ok(None) };
        let value = guard(self.path, || Ok(value.value()))?;
        Ok(Some(see(unseal(self.path, table, key, value)?)))
    }

    /// Shows every row of the range to `see` until it breaks.
    pub(crate) fn scan(
        &self,
        table: Table,
        range: KeyRange<'_>,
        direction: Direction,
        see: impl FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        match self.table(table)? {
            Some(rows) => scan(rows, self.path, table, range, direction, see),
            None => Ok(()),
        }
    }

    /// Shows every row of the range to `see`, with a right checksum or not, until it breaks. An
    /// error is the engine's: what lies behind it cannot be reached this way.
    pub(crate) fn sweep(
        &self,
        table: Table,
        range: KeyRange<'_>,
        direction: Direction,
        mut see: impl FnMut(&[u8], Result<&[u8]>) -> ControlFlow<()>,
    ) -> Result<()> {
        let Some(rows) = self.table(table)? else {
            return Ok(());
        };
        each(rows, self.path, range, direction, |key, value| {
            Ok(see(key, unseal(self.path, table, key, value)))
        })
    }

    /// Shows every row of the range that can be reached, in order, as [`sweep`](Self::sweep) does,
    /// until `see` breaks. Goes round pages that the engine cannot read, so that they cost what is
    /// on them and no more; says whether there were none. Each detour takes up to a millisecond,
    /// and after 1,024 of them the rest counts as out of reach. An error is no damage, or of `see`.
    pub(crate) fn reach(
        &self,
        table: Table,
        range: KeyRange<'_>,
        direction: Direction,
        mut see: impl FnMut(&[u8], Result<&[u8]>) -> ControlFlow<()>,
    ) -> Result<bool> {
        self.reach_around(table, range, direction, |row| match row {
            Some((key, value)) => see(key, value),
            None => ControlFlow::Continue(()),
        })
    }

    /// The same; `see` gets `None` between two rows, and at the ends, where there are rows that
    /// cannot be reached.
    pub(crate) fn reach_around(
        &self,
        table: Table,
        range: KeyRange<'_>,
        direction: Direction,
        mut see: impl FnMut(Option<(&[u8], Result<&[u8]>)>) -> ControlFlow<()>,
    ) -> Result<bool> {
        let rows = match guard(self.path, || self.table(table)) {
            Ok(Some(rows)) => rows,
            Ok(None) => return Ok(true),
            // The tree of tables itself is damaged: there is no way round it.
            Err(Error::Corrupt { .. }) => {
                let _ = see(None);
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        // Damage on one page hides the rows behind it: the search begins again beyond.
        let mut way = Way::new(range, direction);
        for detours in 0..=MOST_DETOURS {
            // The last key that was shown. The next detour begins behind it, so that no row is
            // shown twice.
            let mut last: Option<Vec<u8>> = None;
            let is_seeing = Cell::new(false);
            let shown = guard(self.path, || {
                each(rows, self.path, way.range(), direction, |key, value| {
                    if last
                        .as_ref()
                        .is_some_and(|last| !direction.leads(last, key))
                    {
                        return Err(out_of_order(self.path, table));
                    }
                    // Tells a panic of the caller's code from one of the engine.
                    is_seeing.set(true);
                    let flow = see(Some((key, unseal(self.path, table, key, value))));
                    is_seeing.set(false);
                    let last = last.get_or_insert_default();
                    last.clear();
                    last.extend_from_slice(key);
                    Ok(flow)
                })
            });
            match shown {
                // Also when `see` broke: the caller has what it wanted, and nothing was passed over
                // on the way.
                Ok(()) => return Ok(detours == 0),
                // A panic of our own is no damage.
                Err(error) if is_seeing.get() => return Err(error),
                Err(Error::Corrupt { .. }) => {}
                Err(error) => return Err(error),
            }
            if let Some(last) = last {
                way.leave(last);
            }
            if see(None).is_break() || !way.find_on(rows, self.path) {
                return Ok(false);
            }
        }
        Ok(false)
    }

    /// Shows the rows of the range to `see` until it breaks, with `None` for a value whose checksum
    /// is wrong, or up to a page that cannot be read. Returns whether there was no such page. An
    /// error is no damage, or a panic of `see`.
    pub(crate) fn until_damaged(
        &self,
        table: Table,
        range: KeyRange<'_>,
        direction: Direction,
        mut see: impl FnMut(&[u8], Option<&[u8]>) -> ControlFlow<()>,
    ) -> Result<bool> {
        let mut last: Option<Vec<u8>> = None;
        let is_seeing = Cell::new(false);
        let shown = guard(self.path, || {
            let Some(rows) = self.table(table)? else {
                return Ok(());
            };
            each(rows, self.path, range, direction, |key, value| {
                let before = last.get_or_insert_default();
                if !before.is_empty() && !direction.leads(before, key) {
                    return Err(out_of_order(self.path, table));
                }
                before.clear();
                before.extend_from_slice(key);
                is_seeing.set(true);
                let flow = see(key, unseal(self.path, table, key, value).ok());
                is_seeing.set(false);
                Ok(flow)
            })
        });
        match shown {
            Ok(()) => Ok(true),
            // The caller's own errors and panics are handed on.
            Err(Error::Corrupt { .. }) if !is_seeing.get() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The value under `key` in stored form, with a right checksum or not.
    pub(crate) fn raw(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let Some(rows) = self.table(table)? else {
            return Ok(None);
        };
        guard(self.path, || {
            let found = rows.get(key);
            let found = found.map_err(|error| storage_error(self.path, error))?;
            Ok(found.map(|value| value.value().to_vec()))
        })
    }

    /// Runs `body`. A panic of the engine in it is an error, after which this snapshot can still be
    /// read.
    pub(crate) fn guarded<T>(&self, body: impl FnOnce() -> Result<T>) -> Result<T> {
        guard(self.path, body)
    }

    /// Whether a table is there and can be opened.
    pub(crate) fn has(&self, table: Table) -> Result<bool> {
        Ok(self.table(table)?.is_some())
    }

    /// Refuses a file that lacks one of its tables.
    pub(crate) fn check_tables(&self) -> Result<()> {
        for table in Table::ALL {
            self.table(table)?;
        }
        Ok(())
    }

    /// `None` only for the table that identifies a journal: all are created together.
    fn table(
        &self,
        table: Table,
    ) -> Result<Option<&redb::ReadOnlyTable<StaticBytes, StaticBytes>>> {
        let cell = &self.tables[table as usize];
        if let Some(opened) = cell.get() {
            return Ok(opened.as_ref());
        }
        // Of the same snapshot, whenever it is opened.
        let opened = match self.transaction.open_table(table.definition()) {
            Ok(rows) => Some(rows),
            // A redb file of another program. The caller reports that, and does not call it
            // damaged.
            Err(TableError::TableDoesNotExist(_)) if table == Table::Meta => None,
            Err(TableError::TableDoesNotExist(name)) => {
                return Err(Error::Corrupt {
                    path: self.path.to_owned(),
                    detail: format!("table {name} is missing"),
                });
            }
            Err(error) => return Err(table_error(self.path, error)),
        };
        Ok(cell.get_or_init(|| opened).as_ref())
    }
}

/// A transaction that is being written, with every table that it has touched open.
pub(crate) struct WriteTransaction<'t> {
    transaction: &'t redb::WriteTransaction,
    tables: [Option<redb::Table<'t, StaticBytes, StaticBytes>>; Table::ALL.len()],
    path: &'t Path,
}

impl<'t> WriteTransaction<'t> {
    pub(super) fn new(transaction: &'t redb::WriteTransaction, path: &'t Path) -> Self {
        WriteTransaction {
            transaction,
            tables: Default::default(),
            path,
        }
    }

    /// Whether the file holds no table at all: it was created just now.
    pub(crate) fn is_new(&self) -> Result<bool> {
        let mut tables = self
            .transaction
            .list_tables()
            .map_err(|error| storage_error(self.path, error))?;
        Ok(tables.next().is_none())
    }

    /// Creates every table of a hot file, so that a missing one is a damage and never just empty.
    pub(crate) fn create_tables(&mut self) -> Result<()> {
        for table in Table::ALL {
            self.table(table)?;
        }
        Ok(())
    }

    /// Creates every table of a segment.
    pub(crate) fn create_tables_of_segment(&mut self) -> Result<()> {
        for table in Table::OF_SEGMENT {
            self.table(table)?;
        }
        Ok(())
    }

    pub(crate) fn get<T>(
        &mut self,
        table: Table,
        key: &[u8],
        see: impl FnOnce(&[u8]) -> T,
    ) -> Result<Option<T>> {
        let path = self.path;
        get(self.table(table)?, path, table, key, see)
    }

    pub(crate) fn scan(
        &mut self,
        table: Table,
        range: KeyRange<'_>,
        direction: Direction,
        see: impl FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        let path = self.path;
        scan(self.table(table)?, path, table, range, direction, see)
    }

    /// Stores `value`, whose first [`CHECKSUM_BYTES`] are room for the checksum.
    pub(crate) fn put(&mut self, table: Table, key: &[u8], value: &mut [u8]) -> Result<()> {
        seal(table, key, value);
        let path = self.path;
        self.table(table)?
            .insert(key, &*value)
            .map_err(|error| storage_error(path, error))?;
        Ok(())
    }

    /// Stores a payload as it was read from the same table of another file.
    pub(crate) fn put_payload(&mut self, table: Table, key: &[u8], payload: &[u8]) -> Result<()> {
        // The checksum covers the table's name and the key. The payload may move between files, but
        // not between tables or keys.
        let mut value = vec![0; CHECKSUM_BYTES];
        value.extend_from_slice(payload);
        self.put(table, key, &mut value)
    }

    /// Stores a value with the checksum that it has, which may be wrong.
    pub(crate) fn put_raw(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<()> {
        let path = self.path;
        self.table(table)?
            .insert(key, value)
            .map_err(|error| storage_error(path, error))?;
        Ok(())
    }

    /// Removes the value under `key`, if there is one.
    pub(crate) fn remove(&mut self, table: Table, key: &[u8]) -> Result<()> {
        let path = self.path;
        self.table(table)?
            .remove(key)
            .map_err(|error| storage_error(path, error))?;
        Ok(())
    }

    /// Opens `table`, creating it if this file has never had it.
    fn table(&mut self, table: Table) -> Result<&mut redb::Table<'t, StaticBytes, StaticBytes>> {
        let slot = &mut self.tables[table as usize];
        match slot {
            Some(rows) => Ok(rows),
            None => {
                let rows = self
                    .transaction
                    .open_table(table.definition())
                    .map_err(|error| table_error(self.path, error))?;
                Ok(slot.insert(rows))
            }
        }
    }
}

fn get<T>(
    rows: &impl ReadableTable<StaticBytes, StaticBytes>,
    path: &Path,
    table: Table,
    key: &[u8],
    see: impl FnOnce(&[u8]) -> T,
) -> Result<Option<T>> {
    let found = rows.get(key).map_err(|error| storage_error(path, error))?;
    match found {
        Some(value) => Ok(Some(see(unseal(path, table, key, value.value())?))),
        None => Ok(None),
    }
}

fn scan(
    rows: &impl ReadableTable<StaticBytes, StaticBytes>,
    path: &Path,
    table: Table,
    range: KeyRange<'_>,
    direction: Direction,
    mut see: impl FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>>,
) -> Result<()> {
    let mut before: Option<Vec<u8>> = None;
    each(rows, path, range, direction, |key, value| {
        // Pages that do not belong together have right checksums, each.
        if before
            .as_ref()
            .is_some_and(|before| !direction.leads(before, key))
        {
            return Err(out_of_order(path, table));
        }
        let flow = see(key, unseal(path, table, key, value)?)?;
        if flow.is_continue() {
            let before = before.get_or_insert_default();
            before.clear();
            before.extend_from_slice(key);
        }
        Ok(flow)
    })
}

fn out_of_order(path: &Path, table: Table) -> Error {
    let detail = format!("the keys of table {} are out of order", table.name());
    corrupt(path, detail)
}

/// Shows every row in stored form.
fn each(
    rows: &impl ReadableTable<StaticBytes, StaticBytes>,
    path: &Path,
    range: KeyRange<'_>,
    direction: Direction,
    mut see: impl FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>>,
) -> Result<()> {
    let mut found = rows
        .range::<&[u8]>(range)
        .map_err(|error| storage_error(path, error))?;
    loop {
        let row = match direction {
            Direction::Ascending => found.next(),
            Direction::Descending => found.next_back(),
        };
        let Some(row) = row else { return Ok(()) };
        let (key, value) = row.map_err(|error| storage_error(path, error))?;
        if see(key.value(), value.value())?.is_break() {
            return Ok(());
        }
    }
}

fn checksum(table: Table, key: &[u8], payload: &[u8]) -> [u8; CHECKSUM_BYTES] {
    // The usual small value is put together on the stack: a streaming hasher costs more to set up.
    let mut whole = [0; 768];
    if let Some(bytes) = joined(
        &mut whole,
        [
            table.name().as_bytes(),
            &key.len().to_le_bytes(),
            key,
            payload,
        ],
    ) {
        return xxh3_64(bytes).to_le_bytes();
    }
    let mut hash = Xxh3::new();
    hash.update(table.name().as_bytes());
    // The length keeps key and payload apart: "ab" before "c" is not "a" before "bc".
    hash.update(&key.len().to_le_bytes());
    hash.update(key);
    hash.update(payload);
    hash.digest().to_le_bytes()
}

/// The parts one behind the other, if they fit.
fn joined<'b>(room: &'b mut [u8], parts: [&[u8]; 4]) -> Option<&'b [u8]> {
    let mut length = 0;
    for part in parts {
        room.get_mut(length..length + part.len())?
            .copy_from_slice(part);
        length += part.len();
    }
    room.get(..length)
}

fn seal(table: Table, key: &[u8], value: &mut [u8]) {
    // Callers leave room for the checksum, so that a value is not copied.
    let (sum, payload) = value.split_at_mut(CHECKSUM_BYTES);
    sum.copy_from_slice(&checksum(table, key, payload));
}

fn unseal<'v>(path: &Path, table: Table, key: &[u8], value: &'v [u8]) -> Result<&'v [u8]> {
    match value.split_at_checked(CHECKSUM_BYTES) {
        // A value that is too short for a checksum is as damaged as one with a wrong checksum.
        Some((sum, payload)) if sum == checksum(table, key, payload) => Ok(payload),
        _ => Err(Error::Corrupt {
            path: path.to_owned(),
            detail: format!("checksum of {} {}", table.name(), hex(key)),
        }),
    }
}

//! Finding checkpoints, in a snapshot or within a transaction that is about to change them.

use std::ops::{Bound, ControlFlow};
use std::path::Path;

use super::keys;
use super::rows::{AliasRow, AliasStep, CheckpointRow, DeletedRow, LeavingRow, ModelRow};
use crate::engine::format::codec;
use crate::engine::format::codec::Stored;
use crate::engine::keys::first_number;
use crate::engine::kv::{Direction, Table, WriteTransaction};
use crate::engine::meta::damaged;
use crate::engine::source::Snapshot;
use crate::entry::error::Result;
use crate::entry::mode::Mode;
use crate::entry::timestamp::Timestamp;

/// The key in `meta` of the number of the registry's last change.
pub(super) const CHANGE_KEY: &[u8] = b"registry";

/// Sees a key and its value, and returns whether to continue.
type VisitRow<'a> = dyn FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>> + 'a;

type KeyBounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// A view of the tables: a snapshot, or a transaction with its own changes.
pub(crate) trait RegistryView {
    fn path(&self) -> &Path;

    fn fetch<T: Stored>(&mut self, table: Table, key: &[u8]) -> Result<Option<T>>;

    fn walk(
        &mut self,
        table: Table,
        range: KeyBounds<'_>,
        direction: Direction,
        see: &mut VisitRow<'_>,
    ) -> Result<()>;

    /// The number of the last change.
    fn change(&mut self) -> Result<u64> {
        Ok(self.fetch(Table::Meta, CHANGE_KEY)?.unwrap_or(0))
    }

    fn checkpoint(&mut self, id: &str) -> Result<Option<CheckpointRow>> {
        self.fetch(Table::Checkpoints, id.as_bytes())
    }

    fn deleted(&mut self, id: &str) -> Result<Option<DeletedRow>> {
        self.fetch(Table::Deleted, id.as_bytes())
    }

    fn model(&mut self, model: &str) -> Result<Option<ModelRow>> {
        self.fetch(Table::Models, model.as_bytes())
    }

    /// A model's best checkpoint by its monitor, if it has a monitor and any ranks.
    fn best(&mut self, model: &str) -> Result<Option<(String, CheckpointRow)>> {
        self.fetch(Table::Bests, model.as_bytes())
    }

    fn alias(&mut self, model: &str, alias: &str) -> Result<Option<AliasRow>> {
        let mut key = keys::prefix(&[model, alias]);
        // Without the separator behind the last part: this is a whole key, and no prefix.
        key.pop();
        self.fetch(Table::Aliases, &key)
    }

    fn alias_step(
        &mut self,
        model: &str,
        alias: &str,
        time: Timestamp,
    ) -> Result<Option<AliasStep>> {
        self.fetch(Table::AliasHistory, &keys::step(model, alias, time))
    }

    /// The entry of an alias's history that held at `time`, if there was one.
    fn alias_at(&mut self, model: &str, alias: &str, time: Timestamp) -> Result<Option<AliasStep>> {
        let first = keys::prefix(&[model, alias]);
        let last = keys::step(model, alias, time);
        let path = self.path().to_owned();
        let mut found = None;
        self.walk(
            Table::AliasHistory,
            (Bound::Included(&first), Bound::Included(&last)),
            Direction::Descending,
            &mut |_, value| {
                found = Some(decode(&path, "alias_history", value)?);
                Ok(ControlFlow::Break(()))
            },
        )?;
        Ok(found)
    }

    /// An alias's history, oldest first, with the times of its entries.
    fn alias_steps(&mut self, model: &str, alias: &str) -> Result<Vec<(Timestamp, AliasStep)>> {
        let path = self.path().to_owned();
        let start = keys::prefix(&[model, alias]);
        let mut found = Vec::new();
        self.walk_prefix(
            Table::AliasHistory,
            &start,
            Direction::Ascending,
            &mut |key, value| {
                let time = key.get(start.len()..).and_then(first_number);
                let time = time.ok_or_else(|| damaged(&path, "alias_history", "a short key"))?;
                found.push((time, decode(&path, "alias_history", value)?));
                Ok(ControlFlow::Continue(()))
            },
        )?;
        Ok(found)
    }

    /// A model's aliases, by name.
    fn aliases(&mut self, model: &str) -> Result<Vec<(String, AliasRow)>> {
        let path = self.path().to_owned();
        let start = keys::prefix(&[model]);
        let mut found = Vec::new();
        self.walk_prefix(
            Table::Aliases,
            &start,
            Direction::Ascending,
            &mut |key, value| {
                let name = text(&path, "aliases", key.get(start.len()..).unwrap_or_default())?;
                found.push((name, decode(&path, "aliases", value)?));
                Ok(ControlFlow::Continue(()))
            },
        )?;
        Ok(found)
    }

    /// Every model, by name.
    fn models(&mut self) -> Result<Vec<(String, ModelRow)>> {
        self.rows(Table::Models)
    }

    /// Deleted checkpoints whose files are still to be removed, and those files.
    fn leaving(&mut self) -> Result<Vec<(String, Vec<String>)>> {
        let rows: Vec<(String, LeavingRow)> = self.rows(Table::Leaving)?;
        Ok(rows.into_iter().map(|(id, row)| (id, row.0)).collect())
    }

    /// All rows of a table whose keys are texts.
    fn rows<T: Stored>(&mut self, table: Table) -> Result<Vec<(String, T)>> {
        let (path, name) = (self.path().to_owned(), table.name());
        let everything = (Bound::Unbounded, Bound::Unbounded);
        let mut found = Vec::new();
        self.walk(
            table,
            everything,
            Direction::Ascending,
            &mut |key, value| {
                found.push((text(&path, name, key)?, decode(&path, name, value)?));
                Ok(ControlFlow::Continue(()))
            },
        )?;
        Ok(found)
    }

    /// Ids under a prefix in the order of their keys, from behind the key `after` on, with their
    /// keys, `most` at the most.
    fn ids(
        &mut self,
        table: Table,
        prefix: &[u8],
        after: Option<&[u8]>,
        most: usize,
    ) -> Result<Vec<(Vec<u8>, String)>> {
        let path = self.path().to_owned();
        // The first key that does not begin with the prefix.
        let end = keys::after(prefix);
        let start = after.map_or(Bound::Included(prefix), Bound::Excluded);
        let mut found = Vec::new();
        // The walk stops only after it has taken one.
        if most == 0 {
            return Ok(found);
        }
        self.walk(
            table,
            (start, Bound::Excluded(&end)),
            Direction::Ascending,
            &mut |key, value| {
                let id = decode(&path, "an index of checkpoints", value)?;
                found.push((key.to_owned(), id));
                Ok(if found.len() < most {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                })
            },
        )?;
        Ok(found)
    }

    /// A model's checkpoints, newest first, with their ids.
    fn of_model(&mut self, model: &str) -> Result<Vec<(String, CheckpointRow)>> {
        let ids = self.ids(Table::Newest, &keys::prefix(&[model]), None, usize::MAX)?;
        let mut found = Vec::with_capacity(ids.len());
        for (_, id) in ids {
            if let Some(row) = self.checkpoint(&id)? {
                found.push((id, row));
            }
        }
        Ok(found)
    }

    /// The id of a model's newest checkpoint.
    fn newest(&mut self, model: &str) -> Result<Option<String>> {
        let found = self.ids(Table::Newest, &keys::prefix(&[model]), None, 1)?;
        Ok(found.into_iter().next().map(|(_, id)| id))
    }

    /// The ids of the `most` best by `metric`, best first, with their scores; the newest of
    /// equals comes first.
    fn ranked(
        &mut self,
        model: &str,
        metric: &str,
        mode: Mode,
        most: usize,
    ) -> Result<Vec<(String, f64)>> {
        let all = keys::prefix(&[model, metric]);
        if mode == Mode::Min {
            // Scores ascend in the index, and equal ones are newest first.
            let found = self.ids(Table::Ranking, &all, None, most)?;
            let scored = found.into_iter().filter_map(|(key, id)| {
                // A key that is too short for a score is passed over.
                let score = keys::score_in(&key, all.len())?;
                Some((id, keys::value(score)))
            });
            return Ok(scored.collect());
        }
        // From the last score down; within a score, as with Min, from the newest on.
        let mut found: Vec<(String, f64)> = Vec::new();
        let mut end = keys::after(&all);
        // Two walks for each score, because a single one from the end would give equal scores
        // oldest first.
        while found.len() < most {
            let mut highest = None;
            self.walk(
                Table::Ranking,
                (Bound::Included(&all), Bound::Excluded(&end)),
                Direction::Descending,
                &mut |key, _| {
                    highest = keys::score_in(key, all.len());
                    Ok(ControlFlow::Break(()))
                },
            )?;
            let Some(score) = highest else { break };
            let mut same = all.clone();
            same.extend_from_slice(&score);
            let value = keys::value(score);
            // Scores are not texts, so the range of one score ends where the search came from.
            let path = self.path().to_owned();
            self.walk(
                Table::Ranking,
                (Bound::Included(&same), Bound::Excluded(&end)),
                Direction::Ascending,
                &mut |_, payload| {
                    found.push((decode(&path, "ranking", payload)?, value));
                    Ok(if found.len() < most {
                        ControlFlow::Continue(())
                    } else {
                        ControlFlow::Break(())
                    })
                },
            )?;
            end = same;
        }
        Ok(found)
    }

    fn walk_prefix(
        &mut self,
        table: Table,
        prefix: &[u8],
        direction: Direction,
        see: &mut VisitRow<'_>,
    ) -> Result<()> {
        let end = keys::after(prefix);
        let range = (Bound::Included(prefix), Bound::Excluded(end.as_slice()));
        self.walk(table, range, direction, see)
    }
}

impl RegistryView for &Snapshot<'_, '_> {
    fn path(&self) -> &Path {
        Snapshot::path(self)
    }

    fn fetch<T: Stored>(&mut self, table: Table, key: &[u8]) -> Result<Option<T>> {
        let found = self.get(table, key, codec::decode::<T>)?;
        found
            .transpose()
            .map_err(|why| undecodable(RegistryView::path(self), key, &why))
    }

    fn walk(
        &mut self,
        table: Table,
        range: KeyBounds<'_>,
        direction: Direction,
        see: &mut VisitRow<'_>,
    ) -> Result<()> {
        self.scan(table, range, direction, see)
    }
}

/// A transaction of the registry; see [`super::Checkpoints::write`].
pub(crate) struct RegistryChange<'w, 't> {
    pub(super) transaction: &'w mut WriteTransaction<'t>,
    pub(super) path: &'w Path,
    /// The number of this change.
    pub(super) number: u64,
    /// How many checkpoints it has brought so far.
    pub(super) inserted: u32,
}

impl RegistryView for RegistryChange<'_, '_> {
    fn path(&self) -> &Path {
        self.path
    }

    fn fetch<T: Stored>(&mut self, table: Table, key: &[u8]) -> Result<Option<T>> {
        let found = self.transaction.get(table, key, codec::decode::<T>)?;
        found
            .transpose()
            .map_err(|why| undecodable(self.path, key, &why))
    }

    fn walk(
        &mut self,
        table: Table,
        range: KeyBounds<'_>,
        direction: Direction,
        see: &mut VisitRow<'_>,
    ) -> Result<()> {
        self.transaction.scan(table, range, direction, see)
    }
}

fn undecodable(path: &Path, key: &[u8], why: &str) -> crate::Error {
    damaged(
        path,
        &format!("registry, {}", String::from_utf8_lossy(key)),
        why,
    )
}

fn decode<T: Stored>(path: &Path, what: &str, value: &[u8]) -> Result<T> {
    codec::decode(value).map_err(|why| damaged(path, what, &why))
}

fn text(path: &Path, what: &str, bytes: &[u8]) -> Result<String> {
    let text = String::from_utf8(bytes.to_owned());
    text.map_err(|_| damaged(path, what, "a key is no text"))
}

//! Changing the registry: each method keeps every index in step with the rows.
//!
//! Invariants, held by every committed change: R1: a checkpoint has one entry in `newest` and one
//! in `tags` for each of its tags. If its condition is `Present`, it has one in `ranking` for each
//! metric that is a number. No other entry exists. R2: a model's row counts its checkpoints, their
//! bytes and their metrics. R3: an alias points at a checkpoint of its model, and is the last entry
//! of its history. R4: no id is in `checkpoints` and in `deleted`. R5: `bests` has the first of the
//! ranking by the monitor, with a copy of its row, so that the most frequent question takes one
//! look-up. Models without a monitor or without a ranked checkpoint are absent. Only `with_model`
//! writes it, which every change of a model ends with.

use serde::Serialize;

use super::keys;
use super::look::{RegistryChange, RegistryView};
use super::rows::WITHIN_BITS;
use super::rows::{
    AliasRow, AliasStep, CheckpointRow, Condition, DeletedRow, LeavingRow, ModelRow,
};
use crate::engine::format::CHECKSUM_BYTES;
use crate::engine::format::codec::{self, Stored};
use crate::engine::kv::Table;
use crate::engine::meta::{damaged, extent_to_write};
use crate::entry::error::{Error, Result};
use crate::entry::mode::Mode;
use crate::entry::timestamp::Timestamp;

impl RegistryChange<'_, '_> {
    /// Stores a row. One that no reader could decode is refused, and with it the whole change.
    pub(super) fn store(&mut self, table: Table, key: &[u8], value: &impl Serialize) -> Result<()> {
        let mut sealed = vec![0; CHECKSUM_BYTES];
        let encoded = codec::encode_into(value, &mut sealed).map_err(|error| error.to_string());
        let payload = sealed.get(CHECKSUM_BYTES..).unwrap_or_default();
        // A large row is read back before it is stored: one that readers refuse would be damage.
        let readable = encoded.and_then(|()| match payload.len() {
            0..=codec::SURELY_READABLE => Ok(()),
            _ => super::rebuild::check_row(table, key, payload),
        });
        if let Err(why) = readable {
            return Err(Error::InvalidOption {
                name: "a row of the registry",
                value: format!("{} bytes in {table:?}: {why}", payload.len()),
                advice: "give fewer names, or shorter texts",
            });
        }
        self.transaction.put(table, key, &mut sealed)
    }

    /// Changes a model's row, which exists from its first checkpoint or monitor on.
    pub(super) fn with_model(
        &mut self,
        model: &str,
        edit: impl FnOnce(&mut ModelRow),
    ) -> Result<()> {
        let mut row = self.model(model)?.unwrap_or_default();
        edit(&mut row);
        // Watches compare this number, so each change of the model sets it.
        row.changed = self.number;
        self.store(Table::Models, model.as_bytes(), &row)?;
        let Some((metric, mode)) = &row.monitor else {
            return Ok(());
        };
        // The best row is kept beside the index: the question for it is one look-up.
        let best = self.ranked(model, metric, *mode, 1)?.into_iter().next();
        if let Some((id, _)) = best
            && let Some(best) = self.checkpoint(&id)?
        {
            return self.store(Table::Bests, model.as_bytes(), &(id, best));
        }
        self.transaction.remove(Table::Bests, model.as_bytes())
    }

    /// Adds a checkpoint. Gives it its number and, if it was saved just now, an order that makes it
    /// the newest. A known id stays as it is: `false`.
    pub(crate) fn insert(&mut self, id: &str, row: &mut CheckpointRow, now: bool) -> Result<bool> {
        if self.checkpoint(id)?.is_some() {
            return Ok(false);
        }
        // Rows that a reader refuses must not get in.
        if row.check().is_err() {
            return Err(Error::InvalidName {
                what: "checkpoint's file",
                name: crate::entry::name::shown(&row.file),
                reason: "it is no plain name",
            });
        }
        self.transaction.remove(Table::Deleted, id.as_bytes())?;
        row.sequence = extent_to_write(self.transaction, self.path)?.next;
        let highest = self.model(&row.model)?.and_then(|model| model.highest);
        // Unique over all changes: it decides between two of the same microsecond.
        row.number = (self.number << WITHIN_BITS) | u64::from(self.inserted);
        self.inserted = self.inserted.saturating_add(1);
        row.order = match highest {
            // A clock that was set back must not make the last save older than the one before.
            Some(highest) if now => row.created.max(highest.moved_by(1)),
            _ => row.created,
        };
        self.put(id, row)?;
        Ok(true)
    }

    /// Stores a checkpoint that has its number and order.
    pub(super) fn put(&mut self, id: &str, row: &CheckpointRow) -> Result<()> {
        self.store(Table::Newest, &keys::newest(row), &id)?;
        for tag in &row.tags {
            self.store(Table::Tags, &keys::tag(row, tag), &id)?;
        }
        self.rank(id, row)?;
        self.store(Table::Checkpoints, id.as_bytes(), row)?;
        let (order, bytes) = (row.order, row.bytes);
        let names: Vec<String> = row.metrics.iter().map(|(name, _)| name.clone()).collect();
        self.with_model(&row.model, |model| {
            model.highest = model.highest.max(Some(order));
            model.checkpoints = model.checkpoints.saturating_add(1);
            model.bytes = model.bytes.saturating_add(bytes);
            for name in names {
                match model.metrics.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, count)) => *count = count.saturating_add(1),
                    None => model.metrics.push((name, 1)),
                }
            }
        })
    }

    fn rank(&mut self, id: &str, row: &CheckpointRow) -> Result<()> {
        if row.condition != Condition::Present {
            return Ok(());
        }
        for (metric, value) in &row.metrics {
            if let Some(score) = keys::score(*value) {
                self.store(Table::Ranking, &keys::rank(row, metric, score), &id)?;
            }
        }
        Ok(())
    }

    fn unrank(&mut self, row: &CheckpointRow) -> Result<()> {
        for (metric, value) in &row.metrics {
            if let Some(score) = keys::score(*value) {
                let key = keys::rank(row, metric, score);
                self.transaction.remove(Table::Ranking, &key)?;
            }
        }
        Ok(())
    }

    /// Removes a checkpoint and leaves a note of it and of its files, which are to be removed. The
    /// caller has asked whether it may.
    pub(crate) fn delete(&mut self, id: &str, note: &DeletedRow, files: &[String]) -> Result<()> {
        let Some(row) = self.checkpoint(id)? else {
            return Ok(());
        };
        self.transaction
            .remove(Table::Newest, &keys::newest(&row))?;
        for tag in &row.tags {
            self.transaction
                .remove(Table::Tags, &keys::tag(&row, tag))?;
        }
        self.unrank(&row)?;
        self.transaction.remove(Table::Checkpoints, id.as_bytes())?;
        self.store(Table::Deleted, id.as_bytes(), note)?;
        if !files.is_empty() {
            let row = LeavingRow(files.to_vec());
            self.store(Table::Leaving, id.as_bytes(), &row)?;
        }
        self.with_model(&row.model, |model| {
            model.checkpoints = model.checkpoints.saturating_sub(1);
            model.bytes = model.bytes.saturating_sub(row.bytes);
            for (name, _) in &row.metrics {
                if let Some((_, count)) = model.metrics.iter_mut().find(|(known, _)| known == name)
                {
                    *count = count.saturating_sub(1);
                }
            }
            model.metrics.retain(|(_, count)| *count > 0);
        })
    }

    /// Writes down that the files of a deleted checkpoint are gone.
    pub(crate) fn files_gone(&mut self, id: &str) -> Result<()> {
        self.transaction.remove(Table::Leaving, id.as_bytes())
    }

    /// Changes the mutable fields of a checkpoint: condition, files, digest, size, tags, pin, and
    /// fields that an import completes. Model, order, number and creation stay.
    pub(crate) fn edit(
        &mut self,
        id: &str,
        edit: impl FnOnce(&mut CheckpointRow),
    ) -> Result<CheckpointRow> {
        let Some(before) = self.checkpoint(id)? else {
            return Err(self.why_unknown(id)?);
        };
        let mut row = before.clone();
        edit(&mut row);
        if row == before {
            return Ok(row);
        }
        for tag in before.tags.iter().filter(|tag| !row.tags.contains(tag)) {
            self.transaction
                .remove(Table::Tags, &keys::tag(&row, tag))?;
        }
        for tag in row.tags.iter().filter(|tag| !before.tags.contains(tag)) {
            self.store(Table::Tags, &keys::tag(&row, tag), &id)?;
        }
        // By the values before the change, which the keys were made of.
        self.unrank(&before)?;
        self.rank(id, &row)?;
        self.store(Table::Checkpoints, id.as_bytes(), &row)?;
        self.with_model(&row.model, |model| {
            let others = model.bytes.saturating_sub(before.bytes);
            model.bytes = others.saturating_add(row.bytes);
            let had = |name: &str| before.metrics.iter().any(|(known, _)| known == name);
            for (name, _) in row.metrics.iter().filter(|(name, _)| !had(name)) {
                match model.metrics.iter_mut().find(|(known, _)| known == name) {
                    Some((_, count)) => *count = count.saturating_add(1),
                    None => model.metrics.push((name.clone(), 1)),
                }
            }
        })?;
        Ok(row)
    }

    /// The error for an id that is not in the registry.
    pub(crate) fn why_unknown(&mut self, id: &str) -> Result<Error> {
        Ok(unknown(id, self.deleted(id)?))
    }

    pub(crate) fn set_monitor(&mut self, model: &str, metric: &str, mode: Mode) -> Result<()> {
        self.with_model(model, |row| {
            row.monitor = Some((metric.to_owned(), mode));
        })
    }

    /// Lets an alias point at a checkpoint, or nowhere, from `now` on. `back` is the entry that a
    /// later rollback goes to. Returns the time that was written down.
    pub(crate) fn point(
        &mut self,
        model: &str,
        alias: &str,
        target: Option<&str>,
        now: Timestamp,
        back: Option<Timestamp>,
    ) -> Result<Timestamp> {
        // A history that ran backwards could not tell the alias at a time.
        let last = self.last_step(model, alias)?;
        let time = last.map_or(now, |last| now.max(last.moved_by(1)));
        let step = AliasStep {
            target: target.map(str::to_owned),
            back,
        };
        self.store(Table::AliasHistory, &keys::step(model, alias, time), &step)?;
        let mut key = keys::prefix(&[model, alias]);
        key.pop();
        match target {
            Some(target) => {
                let row = AliasRow {
                    since: time,
                    target: target.to_owned(),
                };
                self.store(Table::Aliases, &key, &row)?;
            }
            None => self.transaction.remove(Table::Aliases, &key)?,
        }
        self.with_model(model, |_| ())?;
        Ok(time)
    }

    /// The time of the last entry of an alias's history.
    pub(crate) fn last_step(&mut self, model: &str, alias: &str) -> Result<Option<Timestamp>> {
        let start = keys::prefix(&[model, alias]);
        let path = self.path.to_owned();
        let mut last = None;
        self.walk_prefix(
            Table::AliasHistory,
            &start,
            crate::engine::kv::Direction::Descending,
            &mut |key, _| {
                let time = key
                    .get(start.len()..)
                    .and_then(crate::engine::keys::first_number);
                let time = time.ok_or_else(|| damaged(&path, "alias_history", "a short key"))?;
                last = Some(time);
                Ok(std::ops::ControlFlow::Break(()))
            },
        )?;
        Ok(last)
    }
}

/// The error for an id that is not in the registry, given the note of its deletion.
pub(crate) fn unknown(id: &str, deleted: Option<DeletedRow>) -> Error {
    match deleted {
        Some(note) => Error::Deleted {
            id: id.to_owned(),
            at: note.at,
            why: note.why,
        },
        None => Error::UnknownCheckpoint {
            id: crate::entry::name::shown(id),
        },
    }
}

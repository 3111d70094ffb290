//! The hot file, written anew from its readable rows, and from facts in entries.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use super::evidence::Evidence;
use super::fill::fill;
use super::inputs;
use super::quarantine::quarantine;
use super::salvage::{Raw, Salvage, is_among};
use super::withdrawal::Withdrawal;
use super::{CACHE_BYTES, Mended, SequenceLayout, set_stray_aside, verified};
use crate::engine::cursors::CursorRow;
use crate::engine::dictionary;
use crate::engine::dictionary::{FOR_EVER, NameRow};
use crate::engine::directory::{Directory, HOT_FILE, sync_directory};
use crate::engine::elapsed;
use crate::engine::format::block::{Block, BlockEncoder, StoredEntry};
use crate::engine::format::codec;
use crate::engine::format::row::NameId;
use crate::engine::index;
use crate::engine::inputs::rows::{self, FileState};
use crate::engine::keys;
use crate::engine::kv::{Kv, Table, WriteFailure, WriteTransaction};
use crate::engine::manifests;
use crate::engine::meta;
use crate::engine::meta::{Extent, Identity, damaged};
use crate::engine::retired;
use crate::engine::runs;
use crate::engine::runs::{RunEnd, RunRow};
use crate::engine::segments;
use crate::engine::segments::{Registered, files};
use crate::entry::error::{Error, Result};
use crate::entry::ids::{InferenceId, RunId};
use crate::entry::sequence::Sequence;
use crate::entry::timestamp::Timestamp;
use crate::fs::disk;
use crate::maintenance::backup::copy::put_rows;
use crate::outcomes::out_of_order;
use crate::registry::tables;
use crate::stats::folding::folded;
use crate::stats::folding::folded::FoldedReach;

/// How much one transaction writes.
const SLICE_BYTES: usize = 4 << 20;

/// Writes the hot file anew, without the withdrawn entries, and replaces the one before.
#[expect(clippy::too_many_arguments, reason = "all that a hot file consists of")]
pub(super) fn write_anew(
    salvage: &Salvage,
    directory: &Directory,
    layout: &SequenceLayout,
    registered: &[Registered],
    identity: &Identity,
    now: Timestamp,
    withdrawal: Option<&Withdrawal>,
    mended: &mut Mended,
) -> Result<()> {
    // Left by a repair that was cut short; nothing reads it.
    directory.remove_unfinished();
    let unfinished = directory.unfinished_hot_file(now.as_micros().cast_unsigned());
    let kv = Kv::create(&unfinished, CACHE_BYTES)?;
    let mut anew = Anew {
        salvage,
        kv: &kv,
        withdrawal,
        evidence: Evidence::default(),
    };
    anew.write(|transaction| meta::ensure(transaction, &unfinished, identity))?;
    for segment in registered {
        let file = Kv::salvage(&segment.file(directory), CACHE_BYTES)?;
        // Entries name runs and names that the tables may have lost.
        let range = segment.first..segment.row.next;
        fill(Some(&file), &range, now, |rows| {
            rows.iter().for_each(|entry| anew.evidence.see(entry));
            Ok(())
        })?;
    }
    let mut extent = layout.extent;
    extent.hot_bytes = anew.blocks(layout, now, mended)?;
    anew.write(|transaction| {
        for segment in registered {
            segments::put(transaction, segment.first, &segment.row)?;
        }
        if let Some(retired) = salvage.known("meta retired", retired::read) {
            retired::put(transaction, &retired)?;
        }
        let before = salvage.known("meta lost", meta::lost).unwrap_or(0);
        let lost = mended.lost_entries();
        if before > 0 || lost > 0 {
            meta::set_lost(transaction, before.saturating_add(lost))?;
        }
        meta::set_extent(transaction, extent)
    })?;
    let mut cursors = salvage.rows(Table::Cursors);
    // No cursor can have reached a sequence that never existed.
    cursors.retain(|(_, row)| {
        let row = codec::decode::<CursorRow>(row);
        row.is_ok_and(|row| row.next <= extent.next)
    });
    anew.copy(Table::Cursors, cursors)?;
    let inputs_lost = anew.inputs(directory, identity, extent.next)?;
    let stamp = salvage.known("meta elapsed", elapsed::stamp).flatten();
    let mut marks = salvage.rows(Table::Meta);
    anew.write(|transaction| elapsed::put_again(transaction, stamp, &mut marks))?;
    let all_names = anew.names(mended)?;
    anew.runs(now, mended)?;
    anew.rollups(&extent, all_names)?;
    anew.registry()?;
    // Closed before it is synced and checked, as its readers will find it.
    drop(kv);
    let written = File::open(&unfinished).and_then(|opened| disk::sync(&opened, &unfinished));
    written.map_err(|error| Error::io("sync", &unfinished, error))?;
    // The old file is replaced only by one that is whole.
    verified(&directory.with_hot_file(&unfinished))?;

    let is_less = !mended.lost.is_empty()
        || !mended.names.is_empty()
        || !mended.runs.is_empty()
        || !salvage.incomplete().is_empty();
    if withdrawal.is_some() && is_less {
        // A repair keeps as much as it can; an undo must lose nothing but the import.
        let why = "it cannot be read to its end and was left as it is: repair it first";
        return Err(damaged(&salvage.path, "undo", why));
    }
    for (first, next) in files(directory) {
        if !is_among(&layout.slots, &(first..next)) {
            set_stray_aside(directory, first, next, mended)?;
        }
    }
    let name = directory.hot_file();
    if name.exists() {
        // Before the new file takes the name: a crash in between leaves both.
        mended.set_aside.push(quarantine(directory, &name)?);
    }
    disk::rename(&unfinished, &name).map_err(|error| Error::io("name", &name, error))?;
    sync_directory(directory.path())?;
    mended.changed.push(name);
    mended.incomplete = salvage.incomplete();
    mended.incomplete.extend(inputs_lost.incomplete);
    mended.set_aside.extend(inputs_lost.set_aside);
    Ok(())
}

/// A hot file that is being written.
struct Anew<'r> {
    salvage: &'r Salvage,
    kv: &'r Kv,
    withdrawal: Option<&'r Withdrawal>,
    evidence: Evidence,
}

impl Anew<'_> {
    fn write(&self, body: impl FnOnce(&mut WriteTransaction<'_>) -> Result<()>) -> Result<()> {
        self.kv.write(body).map_err(WriteFailure::into_error)
    }

    /// Writes the blocks behind the segments, with their indexes; returns their bytes.
    fn blocks(
        &mut self,
        layout: &SequenceLayout,
        now: Timestamp,
        mended: &mut Mended,
    ) -> Result<u64> {
        let (kv, withdrawal, evidence) = (self.kv, self.withdrawal, &mut self.evidence);
        let mut pending: Vec<(Sequence, Block)> = Vec::new();
        let (mut bytes, mut pending_bytes) = (0, 0);
        let range = layout.extent.hot..layout.extent.next;
        let lost = fill(self.salvage.kv.as_ref(), &range, now, |rows| {
            let kept = withdrawal.map(|withdrawal| withdrawal.without(rows));
            let rows = kept.as_deref().unwrap_or(rows);
            rows.iter().for_each(|entry| evidence.see(entry));
            for (first, block) in encoded(rows)? {
                pending_bytes += block.value.len();
                bytes += block.value.len() as u64;
                pending.push((first, block));
            }
            if pending_bytes >= SLICE_BYTES {
                pending_bytes = 0;
                put_blocks(kv, &mut pending)?;
            }
            Ok(())
        })?;
        put_blocks(kv, &mut pending)?;
        mended.lost.extend(lost);
        Ok(bytes)
    }

    /// Writes the rows of files of inputs whose bytes are there; returns what was lost.
    fn inputs(&self, directory: &Directory, identity: &Identity, end: Sequence) -> Result<Mended> {
        let mut files = Vec::new();
        let mut is_possible = true;
        let is_whole = self
            .salvage
            .each(Table::Inputs, &mut |key, payload| match rows::decode(
                &self.salvage.path,
                key,
                payload,
            ) {
                Ok(file) => files.push(file),
                Err(_) => is_possible = false,
            });
        files.sort_unstable_by_key(|(first, _)| *first);
        files.dedup_by_key(|(first, _)| *first);
        if !(is_whole && is_possible) {
            let found = inputs::found(directory, identity, &files, end);
            files.extend(found);
        }
        for (_, row) in &mut files {
            row.until = row.until.min(end);
            if row.state == FileState::Open {
                // Nobody has the journal open.
                row.state = FileState::Ended;
            }
        }
        let mut lost = Mended::default();
        let files = inputs::mended(directory, identity, files, &mut lost)?;
        self.write(|transaction| {
            let mut files = files.iter();
            files.try_for_each(|(first, row)| rows::put(transaction, *first, row))
        })?;
        Ok(lost)
    }

    fn copy(&self, table: Table, mut rows: Vec<Raw>) -> Result<()> {
        put_rows(self.kv, table, &mut rows)
    }

    /// Writes the names that can be read, and others for those that entries need. Returns whether
    /// nothing was lost.
    fn names(&self, mended: &mut Mended) -> Result<bool> {
        let mut asked: BTreeMap<NameId, (u32, u32)> = BTreeMap::new();
        let mut names: BTreeMap<NameId, (u8, String)> = BTreeMap::new();
        let whole = self.salvage.each(Table::Names, &mut |key, payload| {
            let id = keys::first_number::<NameId>(key);
            if let (Some(id), Ok(name)) = (id, codec::decode(payload)) {
                names.insert(id, name);
            }
        });
        self.salvage.each(Table::NameIds, &mut |key, payload| {
            let Ok(row) = codec::decode::<NameRow>(payload) else {
                return;
            };
            asked.insert(row.id, row.asked);
            // The key has the name too, unless it was too long for one.
            if let Some(name) = dictionary::name_in(key) {
                names.entry(row.id).or_insert(name);
            }
        });
        for (id, seen) in &self.evidence.names {
            if !names.contains_key(id) {
                let name = seen.placeholder(*id);
                mended.names.push(name.1.clone());
                names.insert(*id, name);
            }
        }
        let stored = self
            .salvage
            .known("meta next_name", dictionary::stored_next)
            .flatten();
        let highest = names.last_key_value().map_or(NameId::NONE, |(id, _)| *id);
        // No id is given twice, also if the names that had the highest are lost.
        let next = highest.saturating_next().max(stored.unwrap_or_default());
        self.write(|transaction| {
            for (id, (kind, text)) in &names {
                // Without a record of who asked for it, no retention forgets it.
                let asked = asked.get(id).copied().unwrap_or((FOR_EVER, FOR_EVER));
                dictionary::put(transaction, (*kind, text), NameRow { id: *id, asked })?;
            }
            dictionary::set_next(transaction, next)
        })?;
        Ok(whole && mended.names.is_empty())
    }

    /// Writes the rows of runs that can be read, and others for those that entries are of.
    fn runs(&self, now: Timestamp, mended: &mut Mended) -> Result<()> {
        let mut rows: BTreeMap<u32, RunRow> = BTreeMap::new();
        for (key, payload) in self.salvage.rows(Table::Runs) {
            if let Ok((run, mut row)) = runs::decode(&self.salvage.path, &key, &payload) {
                if row.last_id.run() != run {
                    // Another run's: the facts in entries hold.
                    let seen = self.evidence.runs.get(&run.get());
                    row.last_id = seen.map_or(InferenceId::NONE, |seen| seen.last_id);
                }
                if self
                    .withdrawal
                    .is_some_and(|withdrawal| withdrawal.run == run)
                {
                    // Its number is not given again, and its source is not known any more.
                    row.source = None;
                    (row.committed, row.dropped) = (0, 0);
                }
                rows.insert(run.get(), row);
            }
        }
        for (run, seen) in &self.evidence.runs {
            // No run is 0: it stands for what belongs to none.
            if *run == 0 || rows.contains_key(run) {
                continue;
            }
            let row = RunRow {
                process: 0,
                committed: seen.entries,
                last_id: seen.last_id,
                // Its end is not known, and no process writes it any more.
                end: Some(RunEnd::FoundDead(now)),
                ..RunRow::begin(seen.first)
            };
            rows.insert(*run, row);
            mended.runs.push(*run);
        }
        let mut manifests = self.salvage.rows(Table::Manifests);
        // A lost one cannot be made of anything else. No run is lost with it.
        rows.values_mut().for_each(|row| row.has_manifest = false);
        manifests.retain(|(key, payload)| {
            let known = manifests::decode(&self.salvage.path, key, payload).ok();
            let row = known.and_then(|(run, _)| rows.get_mut(&run.get()));
            row.map(|row| row.has_manifest = true).is_some()
        });
        self.write(|transaction| {
            rows.iter()
                .try_for_each(|(run, row)| runs::put(transaction, RunId(*run), row))
        })?;
        self.copy(Table::Manifests, manifests)
    }

    /// Copies what was folded if all of it can be read, with the names that it needs. Otherwise
    /// everything is folded anew, from the first entry that is kept.
    fn rollups(&self, extent: &Extent, all_names: bool) -> Result<()> {
        let folded = self.salvage.known("meta folded", folded::read);
        let (mut whole, mut in_range) = (true, true);
        for table in folded::TABLES {
            whole &= self.salvage.each(table, &mut |key, payload| {
                in_range &= table != Table::OutOfOrderOutcomes
                    || out_of_order::is_before(&self.salvage.path, key, payload, extent.next);
            });
        }
        // Unfolded entries cannot be in there.
        let folded = folded.filter(|folded| folded.farthest() <= extent.next && in_range);
        let folded = match folded {
            Some(folded) if whole && all_names && self.withdrawal.is_none() => folded,
            _ => {
                // Sums that lack a part would be wrong for ever. Folding adds up what is there.
                let nothing = FoldedReach::beginning_at(extent.kept);
                return self.write(|transaction| folded::put(transaction, &nothing));
            }
        };
        for table in folded::TABLES {
            let (mut slice, mut bytes, mut written) = (Vec::new(), 0, Ok(()));
            self.salvage.each(table, &mut |key, payload| {
                bytes += key.len() + payload.len();
                slice.push((key.to_vec(), payload.to_vec()));
                if bytes >= SLICE_BYTES && written.is_ok() {
                    bytes = 0;
                    written = put_rows(self.kv, table, &mut slice);
                }
            });
            written?;
            put_rows(self.kv, table, &mut slice)?;
        }
        self.write(|transaction| folded::put(transaction, &folded))
    }

    /// Copies the registry's tables, or makes its indexes anew if a row of any cannot be read.
    fn registry(&self) -> Result<()> {
        let change = self.salvage.known("meta registry", |snapshot, path| {
            tables::stored_change(snapshot, path)
        });
        // An index that lacks rows would hide checkpoints: then all are made anew from the rows.
        let mut whole = change.is_some();
        for table in tables::TABLES {
            whole &= self.salvage.each(table, &mut |_, _| ());
        }
        if !whole {
            let path = self.kv.path();
            return self.write(|transaction| {
                let rows = |table| self.salvage.rows(table);
                tables::rebuild(transaction, path, change.flatten(), rows)
            });
        }
        for table in tables::TABLES {
            self.copy(table, self.salvage.rows(table))?;
        }
        match change.flatten() {
            Some(number) => self.write(|transaction| tables::set_change(transaction, number)),
            None => Ok(()),
        }
    }
}

/// The entries of one block as blocks, each with the sequence that it begins at.
fn encoded(rows: &[StoredEntry]) -> Result<Vec<(Sequence, Block)>> {
    let mut encoder = BlockEncoder::default();
    for entry in rows {
        let pushed = encoder.again(entry);
        let what = format!("entry {}", entry.sequence);
        pushed.map_err(|why| damaged(Path::new(HOT_FILE), &what, &why))?;
    }
    let mut next = rows.first().map_or(Sequence::ZERO, |entry| entry.sequence);
    let mut blocks = Vec::new();
    for block in encoder.take() {
        let first = next;
        next = next.saturating_add(block.count.into());
        blocks.push((first, block));
    }
    Ok(blocks)
}

fn put_blocks(kv: &Kv, pending: &mut Vec<(Sequence, Block)>) -> Result<()> {
    kv.write(|transaction| {
        for (first, block) in pending.iter_mut() {
            index::put(transaction, *first, block)?;
        }
        Ok(())
    })
    .map_err(WriteFailure::into_error)?;
    pending.clear();
    Ok(())
}

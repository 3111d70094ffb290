//! Copies of a journal: the segments' files, and the hot file row by row from one snapshot.
//!
//! The copy gets its hot file last, under another name first, and only after all of it was
//! verified. So it is at every moment the earlier copy or the new one. Segments are never written
//! again, so they may be hard links, and a copy that has them already needs only those that are
//! new.

use std::fs::{self, File};
use std::io;
use std::ops::{Bound, ControlFlow};
use std::path::Path;

use super::{around, inputs};
use crate::engine::blocks::go_on;
use crate::engine::directory::{Directory, sync_directory};
use crate::engine::index;
use crate::engine::inputs::rows;
use crate::engine::keys;
use crate::engine::kv::{Direction, Kv, ReadTransaction, Table, WriteFailure};
use crate::engine::maintenance_handle::MaintenanceHandle;
use crate::engine::meta;
use crate::engine::meta::Identity;
use crate::engine::runs;
use crate::engine::segments;
use crate::engine::segments::{Registered, file_name};
use crate::entry::error::{Error, Result};
use crate::entry::sequence::Sequence;
use crate::entry::timestamp::Timestamp;
use crate::fs::disk;
use crate::fs::lock::FileLock;
use crate::maintenance::verify::BLOCK;
use crate::maintenance::verify::defect::{Defect, DefectKind};
use crate::options::Sharing;
use crate::sealing::seal;

/// Memory for cached pages of a file that is written or read.
const CACHE_BYTES: usize = 4 << 20;
/// How much one transaction of the copy writes.
const SLICE_BYTES: usize = 4 << 20;
/// Number of new starts because segments were retired while they were copied.
const ATTEMPTS: u32 = 10;

/// Parts of a copy.
#[derive(Clone, Debug, Default)]
pub(crate) struct CopiedParts {
    /// Segments that were copied or linked now.
    pub(crate) new: usize,
    /// Segments that were there already.
    pub(crate) known: usize,
    /// Bytes of the segments that were written, links included.
    pub(crate) bytes: u64,
    /// Entries of the whole copy.
    pub(crate) entries: u64,
    /// Entries that cannot be read in it, because they cannot be in the original.
    pub(crate) damaged: u64,
    /// Tables of the original's hot file that cannot be read to the end.
    pub(crate) incomplete: Vec<String>,
}

/// Whether files that never change may be shared with the original.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Segments {
    /// Hard links where the file system allows them.
    Linked,
    /// Always files of their own.
    Copied,
}

impl MaintenanceHandle {
    /// Copies the journal into `to`, which may hold an earlier copy of it.
    pub(crate) fn copy_to(&self, to: &Directory, how: Segments) -> Result<CopiedParts> {
        let folder = to.create_segments()?;
        let Some(lock) = seal::hold(&folder)? else {
            return Err(Error::InUse {
                path: to.path().to_owned(),
                reason: "another process seals it or writes a backup there".to_owned(),
            });
        };
        // Under the lock, so that the copy cannot become another one's in between.
        self.refuse_other(to)?;
        // Leftovers of a backup that died or found no room: with the lock held no other backup
        // writes.
        to.remove_unfinished();
        let copied = self.copy_under_lock(to, &folder, how);
        if copied.is_err() {
            to.remove_unfinished();
        }
        drop::<FileLock>(lock);
        copied
    }

    fn copy_under_lock(&self, to: &Directory, folder: &Path, how: Segments) -> Result<CopiedParts> {
        let mut copied = CopiedParts::default();
        for _ in 0..ATTEMPTS {
            // Most of the work, before the snapshot: its entries are still there afterwards.
            // Copied before the snapshot is taken: a snapshot that is held for minutes would make
            // the hot file grow.
            for segment in &*self.source().segments()? {
                self.copy_segment(segment, folder, how, &mut copied)?;
            }
            // Not its final name: until all is verified, the earlier copy stays the valid one.
            let unfinished = to.unfinished_hot_file(std::process::id().into());
            let _ = disk::remove(&unfinished);
            let path = self.source().path();
            let (listed, files, identity);
            (listed, files, identity, copied.incomplete) = self.source().read(|snapshot| {
                let identity = meta::identity(snapshot, path)?;
                // The only part for which the snapshot is held. Its list of segments says what
                // belongs to it.
                let incomplete = write_hot(snapshot, path, &unfinished, &identity)?;
                let listed = segments::list(snapshot, path)?;
                Ok((listed, rows::list(snapshot, path)?, identity, incomplete))
            })?;
            let mut whole = true;
            for segment in &listed {
                // Those that were sealed since the first round; of the others this finds that they
                // are there.
                whole &= self.copy_segment(segment, folder, how, &mut copied)?;
            }
            // Segments first: a hot file must never name one that a power cut can take away.
            sync_directory(folder)?;
            if whole {
                let not_copied = inputs::copy(self.directory(), to, &identity, &files)?;
                // Read now: the budget may have removed files since the snapshot.
                let now = self.source().read(|snapshot| rows::list(snapshot, path))?;
                let lacking = not_copied.settle(&unfinished, &now)?;
                let unnamed = to.with_hot_file(&unfinished);
                (copied.entries, copied.damaged) = verified(&unnamed, &lacking)?;
                copied.incomplete.extend(lacking);
                let name = to.hot_file();
                disk::rename(&unfinished, &name)
                    .map_err(|error| Error::io("name", &name, error))?;
                sync_directory(to.path())?;
                // Last: until the new hot file has its name, the old one may need them.
                seal::remove_strays(&listed, folder)?;
                inputs::remove_others(to, &files)?;
                copied.known = listed.len().saturating_sub(copied.new);
                return Ok(copied);
            }
        }
        Err(Error::TimedOut {
            operation: "backup",
            waited: std::time::Duration::ZERO,
        })
    }

    /// Puts a segment into `folder`, unless it is there. Returns whether it is there then: it may
    /// have been retired.
    fn copy_segment(
        &self,
        segment: &Registered,
        folder: &Path,
        how: Segments,
        copied: &mut CopiedParts,
    ) -> Result<bool> {
        let from = segment.file(self.directory());
        let name = folder.join(file_name(segment.first, segment.row.next));
        let known = fs::symlink_metadata(&name);
        if known.is_ok_and(|found| found.is_file() && found.len() == segment.row.bytes) {
            // A segment's name says its entries, and it is never written again: equal length is
            // enough here. All contents are verified below.
            return Ok(true);
        }
        let unfinished = folder.join(format!("{:020}.new-copy", segment.first.get()));
        match put_file(&from, &unfinished, how) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let kept = self.source().extent()?.kept;
                // Retired between the list and the copy: the next attempt has a newer list.
                return if segment.first < kept {
                    Ok(false)
                } else {
                    Err(Error::io("copy", from, error))
                };
            }
            Err(error) => return Err(Error::io("copy", from, error)),
        }
        // A name in the folder of segments always stands for a whole file.
        disk::rename(&unfinished, &name).map_err(|error| Error::io("name", &name, error))?;
        copied.new += 1;
        copied.bytes = copied.bytes.saturating_add(segment.row.bytes);
        Ok(true)
    }

    /// Refuses a place that holds another journal, or one that went its own way.
    fn refuse_other(&self, to: &Directory) -> Result<()> {
        let path = to.hot_file();
        if !path.exists() {
            return Ok(());
        }
        let foreign = |reason: &str| Error::Foreign {
            path: path.clone(),
            reason: reason.to_owned(),
        };
        let kv = Kv::open_read_only(&path, Sharing::native(), CACHE_BYTES)?;
        let (id, next, run) = kv.read(|snapshot| {
            let rows = runs::page(snapshot, &path, 0, usize::MAX)?;
            let run = rows.last().map_or(0, |(run, _)| run.get());
            let identity = meta::identity(snapshot, &path)?;
            Ok((identity.id, meta::extent(snapshot, &path)?.next, run))
        })?;
        if id != self.source().identity()?.id {
            return Err(foreign("it is another journal"));
        }
        let ours = self.source().runs(0, usize::MAX)?;
        let highest = ours.last().map_or(0, |(run, _)| run.get());
        // A copy can only be older than its original, unless it was opened for writing.
        if next > self.source().next_sequence()? || run > highest {
            return Err(foreign("it is a copy that was written to since"));
        }
        Ok(())
    }
}

/// Verifies a copy; returns the number of its entries, and of unreadable ones. Blocks that cannot
/// be read are the original's: a copying error shows no right checksums anywhere else either. So
/// are the `lacking` files of inputs.
fn verified(copy: &Directory, lacking: &[String]) -> Result<(u64, u64)> {
    let found = MaintenanceHandle::open(copy.clone(), Sharing::native(), CACHE_BYTES)?.check();
    let is_of_block = |defect: &Defect| match defect.kind {
        DefectKind::Checksum | DefectKind::Undecodable => defect.detail.starts_with(BLOCK),
        DefectKind::Missing => defect.sequences.is_some(),
        _ => false,
    };
    let lost = found.defects.iter().filter(|defect| is_of_block(defect));
    let lost = lost.filter_map(|defect| defect.sequences.as_ref());
    let lost = lost.map(|lost| lost.end.saturating_sub(lost.start));
    let lost = lost.fold(0, u64::saturating_add);
    // The engine's check of a segment finds the same bytes wrong.
    let is_lacking = |defect: &Defect| {
        let name = defect.file.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| lacking.iter().any(|known| known == name))
    };
    let is_known = |defect: &Defect| match defect.kind {
        DefectKind::Engine => lost > 0,
        DefectKind::Input => is_lacking(defect),
        _ => is_of_block(defect),
    };
    match found.defects.iter().find(|defect| !is_known(defect)) {
        None => Ok((found.entries, lost)),
        Some(defect) => Err(Error::Corrupt {
            path: defect.file.clone(),
            detail: defect.to_string(),
        }),
    }
}

fn put_file(from: &Path, to: &Path, how: Segments) -> io::Result<()> {
    disk::remove(to)?;
    // Within the folder of segments, and no pipe: the target of a link is taken, and not the link.
    let from = disk::inside(from.parent().unwrap_or(from), from)?;
    // A hard link would share a pipe or a device without looking at it.
    // Opened and closed again, for the look alone.
    drop(disk::open_regular(&from)?);
    // Fails on another disk: then it is copied.
    if how == Segments::Linked && fs::hard_link(&from, to).is_ok() {
        return Ok(());
    }
    disk::copy(&from, to)
}

/// Writes a hot file of what `snapshot` shows, as `identity`'s; returns the names of tables that
/// cannot be read to the end.
fn write_hot(
    snapshot: &ReadTransaction<'_>,
    path: &Path,
    file: &Path,
    identity: &Identity,
) -> Result<Vec<String>> {
    match snapshot.guarded(|| write_rows(snapshot, path, file, identity, &[])) {
        Err(Error::Corrupt { .. }) => {}
        written => return written.map(|()| Vec::new()),
    }
    let damaged = around::damaged(snapshot, path)?;
    disk::remove(file).map_err(|error| Error::io("remove", file, error))?;
    write_rows(snapshot, path, file, identity, &damaged)?;
    Ok(damaged
        .iter()
        .map(|table| table.name().to_owned())
        .collect())
}

/// The same; the `damaged` tables are made anew from what can be read.
fn write_rows(
    snapshot: &ReadTransaction<'_>,
    path: &Path,
    file: &Path,
    identity: &Identity,
    damaged: &[Table],
) -> Result<()> {
    let hot = meta::extent(snapshot, path)?.hot;
    let kv = Kv::create(file, CACHE_BYTES)?;
    kv.write(|transaction| transaction.create_tables())
        .map_err(WriteFailure::into_error)?;
    for table in Table::ALL {
        if damaged.contains(&table) && table != Table::Blocks {
            continue;
        }
        let mut slice: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        let mut bytes = 0;
        let everything = (Bound::Unbounded, Bound::Unbounded);
        if table == Table::Blocks {
            // A backup of a damaged journal keeps the damage as it is: a later repair may know more
            // about it than this version.
            copy_unreadable(snapshot, &kv, hot)?;
        }
        let mut outcome = Ok(());
        let mut take = |key: &[u8], payload: &[u8]| -> Result<()> {
            // Entries in segments are not needed twice.
            let place: Option<Sequence> = match table {
                Table::Blocks => keys::first_number(key),
                _ if index::TABLES.contains(&table) => keys::second_number(key),
                _ => None,
            };
            // Also leaves out leftovers before the hot file's first sequence.
            if place.is_none_or(|place| place >= hot) {
                bytes += key.len() + payload.len();
                slice.push((key.to_vec(), payload.to_vec()));
            }
            if bytes >= SLICE_BYTES {
                put_rows(&kv, table, &mut slice)?;
                bytes = 0;
            }
            Ok(())
        };
        let ascending = Direction::Ascending;
        let see = |key: &[u8], value: Result<&[u8]>| {
            outcome = match value {
                Ok(payload) => take(key, payload),
                // Copied as they are.
                Err(_) if table == Table::Blocks => Ok(()),
                Err(error) => Err(error),
            };
            go_on(outcome.is_ok())
        };
        if damaged.contains(&table) {
            snapshot.reach(table, everything, ascending, see)?;
        } else {
            snapshot.sweep(table, everything, ascending, see)?;
        }
        outcome?;
        put_rows(&kv, table, &mut slice)?;
    }
    around::make_anew(snapshot, path, &kv, damaged)?;
    kv.write(|transaction| meta::set_identity(transaction, identity))
        .map_err(WriteFailure::into_error)?;
    drop(kv);
    let written = File::open(file).and_then(|opened| disk::sync(&opened, file));
    written.map_err(|error| Error::io("sync", file, error))
}

/// Copies the damaged blocks from `hot` on: a copy holds everything that the journal holds, so that
/// later attempts to read it stay possible.
fn copy_unreadable(snapshot: &ReadTransaction<'_>, kv: &Kv, hot: Sequence) -> Result<()> {
    let mut unreadable = Vec::new();
    let start = keys::number(hot);
    let range = (Bound::Included(&start[..]), Bound::Unbounded);
    snapshot.reach(Table::Blocks, range, Direction::Ascending, |key, value| {
        if value.is_err() {
            unreadable.push(key.to_vec());
        }
        ControlFlow::Continue(())
    })?;
    for key in unreadable {
        if let Some(value) = snapshot.raw(Table::Blocks, &key)? {
            kv.write(|transaction| transaction.put_raw(Table::Blocks, &key, &value))
                .map_err(WriteFailure::into_error)?;
        }
    }
    Ok(())
}

/// Stores rows as they were read from the same table of another file.
pub(crate) fn put_rows(kv: &Kv, table: Table, rows: &mut Vec<(Vec<u8>, Vec<u8>)>) -> Result<()> {
    kv.write(|transaction| {
        for (key, payload) in rows.iter() {
            transaction.put_payload(table, key, payload)?;
        }
        Ok(())
    })
    .map_err(WriteFailure::into_error)?;
    rows.clear();
    Ok(())
}

/// Makes the journal in `to`, which must not hold one, of the backup in `from`, under an identity
/// of its own. Its segments keep the id of their old journal.
pub(crate) fn restore(from: &Directory, to: &Directory, now: Timestamp) -> Result<CopiedParts> {
    let name = to.hot_file();
    // Segments without a hot file are a damaged journal, unless a restoring died among them: it
    // begins with a hot file under another name.
    if name.exists() || (to.segments().exists() && !to.has_unfinished()) {
        return Err(Error::Io {
            operation: "restore into",
            path: to.path().to_owned(),
            cause: std::sync::Arc::new(io::ErrorKind::AlreadyExists.into()),
        });
    }
    let maintenance = MaintenanceHandle::open(from.clone(), Sharing::native(), CACHE_BYTES)?;
    let unfinished = to.unfinished_hot_file(now.as_micros().cast_unsigned());
    let path = maintenance.source().path();
    let (listed, files, identity, incomplete) = maintenance.source().read(|snapshot| {
        let old = meta::identity(snapshot, path)?;
        let mut identity = Identity::draw(old.label.clone(), now)?;
        // Its segments say that they belong to them. A new identity keeps cursors of the old
        // journal from being used on this one, whose sequences will mean other entries.
        identity.ancestors = old.ancestors;
        identity
            .ancestors
            .push((old.id, meta::extent(snapshot, path)?.next));
        let incomplete = write_hot(snapshot, path, &unfinished, &identity)?;
        let listed = segments::list(snapshot, path)?;
        Ok((listed, rows::list(snapshot, path)?, identity, incomplete))
    })?;
    let folder = to.create_segments()?;
    let Some(lock) = seal::hold(&folder)? else {
        return Err(Error::InUse {
            path: to.path().to_owned(),
            reason: "another process restores into it".to_owned(),
        });
    };
    seal::remove_strays(&[], &folder)?;
    let mut copied = CopiedParts {
        incomplete,
        ..CopiedParts::default()
    };
    for segment in &listed {
        if !maintenance.copy_segment(segment, &folder, Segments::Copied, &mut copied)? {
            let file = segment.file(from);
            return Err(meta::damaged(&file, "segment", "the file is missing"));
        }
    }
    sync_directory(&folder)?;
    let not_copied = inputs::copy(from, to, &identity, &files)?;
    let lacking = not_copied.settle(&unfinished, &files)?;
    (copied.entries, copied.damaged) = verified(&to.with_hot_file(&unfinished), &lacking)?;
    copied.incomplete.extend(lacking);
    disk::rename(&unfinished, &name).map_err(|error| Error::io("name", &name, error))?;
    // The rest of an earlier restoring is not needed any more.
    to.remove_unfinished();
    sync_directory(to.path())?;
    drop::<FileLock>(lock);
    Ok(copied)
}

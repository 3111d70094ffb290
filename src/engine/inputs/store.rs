//! The writing side: inputs get numbers, frames go to the file of the run, and a commit makes them
//! count.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::frame::FrameEncoder;
use super::rows::{self, FileState, InputFileRow};
use super::seen::Seen;
use super::{first_of, path_of};
use crate::engine::directory::Directory;
use crate::engine::format::row::InputNumber;
use crate::engine::kv::WriteTransaction;
use crate::engine::meta;
use crate::entry::error::Result;
use crate::entry::ids::RunId;
use crate::entry::input::InputKind;
use crate::fs::disk;

/// A file with so many bytes is not continued.
const MOST_FILE: u64 = 64 << 20;
/// A budget has room for so many files, so that removing one removes a small part.
const FILES_OF_BUDGET: u64 = 8;
/// The smallest file that is ended for its size.
const LEAST_FILE: u64 = 64 << 10;

/// Counts of inputs, for the health.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct InputCounts {
    /// Stored, each with a number of its own.
    pub(crate) kept: u64,
    /// Bytes of these.
    pub(crate) bytes: u64,
    /// Found among those that were stored shortly before.
    pub(crate) repeated: u64,
    /// Given up because their file could not be written or synced.
    pub(crate) failed: u64,
    /// Removed for the budget.
    pub(crate) removed: u64,
}

impl InputCounts {
    pub(crate) fn add(&mut self, other: InputCounts) {
        self.kept = self.kept.saturating_add(other.kept);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.repeated = self.repeated.saturating_add(other.repeated);
        self.failed = self.failed.saturating_add(other.failed);
        self.removed = self.removed.saturating_add(other.removed);
    }

    /// None of those that were kept is there.
    fn fail(&mut self) {
        self.failed = self
            .failed
            .saturating_add(self.kept)
            .saturating_add(self.repeated);
        (self.kept, self.repeated, self.bytes) = (0, 0, 0);
    }
}

/// The inputs of one run on their way to its files.
pub(crate) struct InputStore {
    directory: Directory,
    journal: u128,
    budget: u64,
    /// The number of the next new input.
    next: InputNumber,
    /// The file that is written; frames so far are all in it.
    file: Option<OpenFile>,
    frame: FrameEncoder,
    /// Contents in this file, or in the frame.
    seen: Seen,
    pending: InputsCommit,
    /// A decision since the last commit has an input of the file.
    is_used: bool,
    /// A write failed; nothing is kept until the next commit.
    is_broken: bool,
}

#[derive(Clone)]
struct OpenFile {
    first: InputNumber,
    file: Arc<File>,
    path: PathBuf,
    length: u64,
    /// The number after that of the last input in it.
    next: InputNumber,
    is_dirty: bool,
    has_durable_name: bool,
}

impl InputStore {
    /// Of a run that has just begun. Touches no file.
    pub(crate) fn new(directory: Directory, journal: u128, run: RunId, budget: u64) -> Self {
        Self::from(directory, journal, InputNumber::first_of(run), budget)
    }

    /// Of a run whose next input has the number `next`.
    pub(crate) fn from(
        directory: Directory,
        journal: u128,
        next: InputNumber,
        budget: u64,
    ) -> Self {
        InputStore {
            directory,
            journal,
            budget,
            next,
            file: None,
            frame: FrameEncoder::default(),
            seen: Seen::new(),
            pending: InputsCommit::of(budget),
            is_used: false,
            is_broken: false,
        }
    }

    /// Keeps an input that [fits](InputKind::fits). `None` if its file cannot be written.
    pub(crate) fn keep(&mut self, kind: InputKind, bytes: &[u8]) -> Option<InputNumber> {
        let content = self.seen.hash(kind, bytes);
        if let Some(number) = self.seen.find(content) {
            self.is_used = true;
            self.pending.counts.repeated += 1;
            return Some(number);
        }
        if self.is_broken {
            self.pending.counts.failed += 1;
            return None;
        }
        let number = self.next;
        self.frame.push(kind, bytes);
        self.next = number.saturating_add(1);
        self.is_used = true;
        self.pending.counts.kept += 1;
        self.pending.counts.bytes += bytes.len() as u64;
        self.seen.insert(content, number);
        if self.frame.is_full() {
            self.write_frame();
            // The number is in a decision only if the input may be there.
            return (!self.is_broken).then_some(number);
        }
        Some(number)
    }

    /// Hands the frame to the system.
    fn write_frame(&mut self) {
        let count = self.frame.count();
        if count == 0 {
            return;
        }
        let first = InputNumber::new(self.next.get().saturating_sub(count));
        if let Err(error) = self.append(first) {
            self.pending.error = Some(error.to_string());
            self.lose_frame();
        }
        self.frame.clear();
    }

    /// After a failed write: what the file has already stays, and it is not continued.
    fn lose_frame(&mut self) {
        let counts = &mut self.pending.counts;
        counts.kept = counts.kept.saturating_sub(self.frame.count());
        counts.bytes = counts.bytes.saturating_sub(self.frame.payload_bytes());
        counts.failed += self.frame.count();
        if let Some(mut file) = self.file.take().filter(|file| file.length > 0) {
            self.pending.take_file(&mut file, FileState::Ended);
        }
        self.seen.clear();
        self.is_broken = true;
    }

    fn append(&mut self, first: InputNumber) -> io::Result<()> {
        let frame = self.frame.finish(self.journal, first);
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(OpenFile::create(&self.directory, first)?),
        };
        file.append(frame)?;
        file.next = self.next;
        let share = (self.budget / FILES_OF_BUDGET).clamp(LEAST_FILE, MOST_FILE);
        if file.length >= share {
            self.pending.take_file(file, FileState::Ended);
            self.file = None;
            // Only decisions up to here have inputs of that file.
            self.seen.clear();
        }
        Ok(())
    }

    /// After a failed sync: the inputs since then are not there, and the file is not continued.
    /// Those that were committed before stay.
    pub(crate) fn give_up(&mut self) {
        self.file = None;
        self.frame.clear();
        self.seen.clear();
        self.pending.files.clear();
        self.pending.counts.fail();
        self.is_broken = true;
    }

    /// Whether there are inputs that [`take`](Self::take) has not given to a commit.
    pub(crate) fn has_pending(&self) -> bool {
        self.is_used || self.frame.count() > 0 || !self.pending.files.is_empty()
    }

    /// Everything since the last call, for the commit of the decisions that have them.
    pub(crate) fn take(&mut self) -> InputsCommit {
        self.write_frame();
        let is_used = std::mem::take(&mut self.is_used);
        if let Some(file) = self.file.as_mut().filter(|_| is_used) {
            self.pending.take_file(file, FileState::Open);
        }
        self.is_broken = false;
        std::mem::replace(&mut self.pending, InputsCommit::of(self.budget))
    }

    /// Everything since the last call of [`take`](Self::take), and the number of the next input:
    /// the file is not continued.
    pub(crate) fn end(mut self) -> (InputsCommit, InputNumber) {
        self.write_frame();
        if let Some(mut file) = self.file.take() {
            self.pending.take_file(&mut file, FileState::Ended);
        }
        (self.pending, self.next)
    }

    /// Continues for the next run of this handle.
    pub(crate) fn move_to_run(&mut self, run: RunId) {
        self.write_frame();
        if let Some(mut file) = self.file.take() {
            self.pending.take_file(&mut file, FileState::Ended);
        }
        self.seen.clear();
        self.next = InputNumber::first_of(run);
    }
}

impl OpenFile {
    fn create(directory: &Directory, first: InputNumber) -> io::Result<OpenFile> {
        let folder = directory.inputs();
        disk::create_directory(&folder)?;
        disk::inside(directory.path(), &folder)?;
        let path = path_of(directory, first);
        // Put there by another program: a run's numbers are never given twice.
        disk::remove(&path)?;
        Ok(OpenFile {
            first,
            file: Arc::new(disk::create(&path)?),
            path,
            length: 0,
            next: first,
            is_dirty: false,
            has_durable_name: false,
        })
    }

    fn append(&mut self, frame: &[u8]) -> io::Result<()> {
        self.is_dirty = true;
        disk::write_by(&self.path, self.length, frame, || {
            use std::io::Write;
            // Nobody else writes, so the file ends where this one wrote last.
            (&*self.file).write_all(frame)
        })?;
        self.length = self.length.saturating_add(frame.len() as u64);
        Ok(())
    }
}

/// What one commit makes count. It survives a commit that is tried again.
pub(crate) struct InputsCommit {
    files: Vec<(OpenFile, FileState)>,
    counts: InputCounts,
    /// Why inputs were given up, in words.
    error: Option<String>,
    budget: u64,
    /// A file begins or ends with it: the budget is looked at.
    has_other_files: bool,
    /// The last try at a sync failed: nothing of it counts.
    is_lost: bool,
    /// Files that the budget has no room for any more.
    removed: Vec<InputNumber>,
    removed_inputs: u64,
    /// Runs of imports with inputs that were removed where they come from.
    gone: Vec<RunId>,
}

impl InputsCommit {
    pub(crate) fn of(budget: u64) -> Self {
        InputsCommit {
            files: Vec::new(),
            counts: InputCounts::default(),
            error: None,
            budget,
            has_other_files: false,
            is_lost: false,
            removed: Vec::new(),
            removed_inputs: 0,
            gone: Vec::new(),
        }
    }

    /// Takes in what another store has, of another run of the same journal.
    pub(crate) fn join(&mut self, other: InputsCommit) {
        self.files.extend(other.files);
        self.counts.add(other.counts);
        self.error = self.error.take().or(other.error);
        self.has_other_files |= other.has_other_files;
        self.is_lost |= other.is_lost;
        self.gone.extend(other.gone);
    }

    /// Decisions of `run` have [an input that was removed](InputNumber::removed_of).
    pub(crate) fn note_removed(&mut self, run: RunId) {
        if !self.gone.contains(&run) {
            self.gone.push(run);
        }
    }

    fn take_file(&mut self, file: &mut OpenFile, state: FileState) {
        self.has_other_files |= state != FileState::Open || !file.has_durable_name;
        self.files.push((file.clone(), state));
        // This commit syncs it.
        (file.is_dirty, file.has_durable_name) = (false, true);
    }

    /// Makes the files durable. What fails is given up.
    pub(crate) fn sync(&mut self) {
        let synced = self.files.iter_mut().try_for_each(|(file, _)| {
            if std::mem::take(&mut file.is_dirty) {
                disk::sync_data(&file.file, &file.path)?;
            }
            if !std::mem::replace(&mut file.has_durable_name, true) {
                disk::sync_directory(file.path.parent().unwrap_or(Path::new(".")))?;
            }
            Ok::<(), io::Error>(())
        });
        if let Err(error) = synced {
            // The system may report success for pages that it has lost: not asked again.
            self.files.clear();
            self.counts.fail();
            self.error = Some(error.to_string());
            self.is_lost = true;
        }
    }

    /// Stores how far the files count, behind the blocks of the same transaction.
    pub(crate) fn put(
        &mut self,
        transaction: &mut WriteTransaction<'_>,
        path: &Path,
    ) -> Result<()> {
        (self.removed, self.removed_inputs) = (Vec::new(), 0);
        if self.files.is_empty() && self.gone.is_empty() {
            return Ok(());
        }
        let until = meta::extent_to_write(transaction, path)?.next;
        for (file, state) in &self.files {
            let row = InputFileRow {
                next: file.next,
                length: file.length,
                until,
                state: *state,
            };
            rows::put(transaction, file.first, &row)?;
        }
        for run in &self.gone {
            let row = InputFileRow {
                next: InputNumber::first_of(*run),
                length: 0,
                until,
                state: FileState::Removed,
            };
            rows::put(transaction, InputNumber::removed_of(*run), &row)?;
        }
        // Seldom enough to read all rows.
        if self.has_other_files {
            let removed = rows::remove_beyond(transaction, path, self.budget)?;
            let inputs = removed.iter().map(|(first, row)| row.next.since(*first));
            self.removed_inputs = inputs.fold(0, u64::saturating_add);
            self.removed = removed.into_iter().map(|(first, _)| first).collect();
        }
        Ok(())
    }

    /// After the commit: removes the files that its transaction took out of the table. What cannot
    /// be removed now is removed by the next opener.
    pub(crate) fn remove_files(&mut self) {
        let folder = self.files.first().and_then(|(file, _)| file.path.parent());
        if let Some(folder) = folder {
            for first in std::mem::take(&mut self.removed) {
                let _ = disk::remove(&folder.join(super::file_name(first)));
            }
        }
    }

    /// Its counts, once it is committed.
    pub(crate) fn counts(&self) -> InputCounts {
        InputCounts {
            removed: self.removed_inputs,
            ..self.counts
        }
    }

    /// Why inputs were given up, in words.
    pub(crate) fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    /// Whether the store has to give up what came after it, too.
    pub(crate) fn is_lost(&self) -> bool {
        self.is_lost
    }
}

/// Files of runs that are over, to be removed if no row knows them.
#[derive(Default)]
pub(crate) struct Strays {
    files: Vec<(InputNumber, PathBuf)>,
}

impl Strays {
    /// Call it before the transaction: a run that is dead now commits nothing any more.
    pub(crate) fn of_dead_runs(directory: Option<&Directory>) -> Strays {
        let Some(directory) = directory else {
            return Strays::default();
        };
        let folder = directory.inputs();
        let is_inside = disk::is_directory_inside(directory.path(), &folder);
        let entries = is_inside.then(|| fs::read_dir(&folder).into_iter().flatten().flatten());
        let files = entries.into_iter().flatten().filter_map(|entry| {
            let first = first_of(entry.file_name().to_str()?)?;
            directory
                .is_run_dead(first.run())
                .then(|| (first, entry.path()))
        });
        Strays {
            files: files.collect(),
        }
    }

    /// Spares the files that the table knows.
    pub(crate) fn spare_known(
        &mut self,
        transaction: &mut WriteTransaction<'_>,
        path: &Path,
    ) -> Result<()> {
        if self.files.is_empty() {
            return Ok(());
        }
        let known = rows::list_to_write(transaction, path)?;
        self.files.retain(|(first, _)| {
            let row = known.binary_search_by_key(first, |(first, _)| *first);
            let row = row.ok().and_then(|place| known.get(place));
            row.is_none_or(|(_, row)| row.state == FileState::Removed)
        });
        Ok(())
    }

    /// Removes the rest, after the commit.
    pub(crate) fn remove(self) {
        for (_, path) in self.files {
            let _ = disk::remove(&path);
        }
    }
}

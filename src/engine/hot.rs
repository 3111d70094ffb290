//! The writing side of the hot file: runs begin and end here, names get their ids, batches commit.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::append::append;
use super::dictionary::FOR_EVER;
use super::directory::{Directory, RunLock};
use super::elapsed::Meter;
use super::format::block::{Block, BlockEncoder};
use super::format::row::{GapRow, NameId, Note};
use super::handle::{FileHandle, REOPENED};
use super::inputs::rows as inputs;
use super::inputs::store::{self as input_store, InputsCommit};
use super::kv::{Kv, Table, WriteFailure, WriteTransaction};
use super::manifests::OwnManifest;
use super::meta::{Identity, damaged};
use super::replay::{DeadLanes, DeadRun};
use super::runs::{RunEnd, RunRow};
use super::{dictionary, keys, manifests, meta, runs};
use crate::entry::error::{Error, Result};
use crate::entry::gap::GapReason;
use crate::entry::ids::{InferenceId, JournalId, MAX_RUN, RunId};
use crate::entry::timestamp::Timestamp;
use crate::options::{Options, Sharing};

/// The hot file of a journal, open for writing.
pub(crate) struct Hot {
    commits: Commits,
    directory: Option<Directory>,
    path: PathBuf,
    sharing: Sharing,
    cache_bytes: usize,
    locks: Vec<(RunId, RunLock)>,
    /// Inputs that died with their processes, of decisions that this handle took in.
    lost_inputs: u64,
}

/// The part that takes batches into the hot file, from any thread: one transaction at a time.
#[derive(Clone)]
pub(crate) struct Commits {
    handle: FileHandle,
    path: PathBuf,
    meter: Meter,
    manifest: Arc<OwnManifest>,
}

/// One batch to be committed.
pub(crate) struct Commit<'a> {
    pub(crate) blocks: &'a mut [Block],
    /// New state of the runs of the batch's events.
    pub(crate) rows: &'a [(RunId, RunRow)],
    /// Inputs that the blocks refer to.
    pub(crate) inputs: &'a mut InputsCommit,
}

impl Hot {
    /// Opens the journal in `directory`, creating its file if there is none.
    pub(crate) fn open(directory: Directory, options: &Options) -> Result<Self> {
        let path = directory.hot_file();
        let creation = directory.hold_creation()?;
        // Under the lock of creation: another process's unfinished file is being written right now.
        directory.remove_unfinished();
        if !path.exists() {
            create(&directory, options)?;
        }
        // The file has its name: others that wait for the creation need not wait for the opening.
        drop(creation);
        // Examined before it is opened for writing, which changes it: a refused file stays
        // unchanged. Only a file whose writer died cannot be examined first.
        if let Some(kv) = Kv::try_open_read_only(&path, options.sharing, options.cache_bytes)? {
            kv.read(|snapshot| {
                meta::identity(snapshot, &path)?;
                meta::extent(snapshot, &path)?;
                snapshot.check_tables()?;
                runs::page(snapshot, &path, 0, usize::MAX)
            })?;
        }
        let kv = Kv::open(&path, options.sharing, options.cache_bytes)?;
        Hot::start(kv, Some(directory), options)
    }

    /// A journal without a directory.
    pub(crate) fn in_memory(options: &Options) -> Result<Self> {
        let kv = Kv::in_memory(options.cache_bytes)?;
        Hot::start(kv, None, options)
    }

    fn start(kv: Kv, directory: Option<Directory>, options: &Options) -> Result<Self> {
        let path = kv.path().to_owned();
        // Drawn even if the journal has an identity: only the transaction tells whether it has.
        let identity = new_identity(options)?;
        kv.write(|transaction| meta::ensure(transaction, &path, &identity))
            .map_err(WriteFailure::into_error)?;
        Ok(Hot {
            commits: Commits {
                handle: FileHandle::new(kv),
                path: path.clone(),
                meter: Meter::new(options.clock.clone()),
                manifest: Arc::new(OwnManifest::new(options.manifest.of_this_process())),
            },
            sharing: if directory.is_some() {
                options.sharing
            } else {
                Sharing::Exclusive
            },
            directory,
            path,
            cache_bytes: options.cache_bytes,
            locks: Vec::new(),
            lost_inputs: 0,
        })
    }

    /// For readers of this process, where only this handle may be open.
    pub(crate) fn handle(&self) -> FileHandle {
        self.commits.handle.clone()
    }

    /// Counts the time that passes while this handle is open.
    pub(crate) fn meter(&self) -> Meter {
        self.commits.meter.clone()
    }

    pub(crate) fn sharing(&self) -> Sharing {
        self.sharing
    }

    pub(crate) fn directory(&self) -> Option<&Directory> {
        self.directory.as_ref()
    }

    /// The journal's directory, for messages.
    pub(crate) fn name(&self) -> &Path {
        self.path.parent().unwrap_or(&self.path)
    }

    /// Bytes that the hot file takes; 0 in memory.
    pub(crate) fn file_bytes(&self) -> u64 {
        std::fs::metadata(&self.path).map_or(0, |found| found.len())
    }

    /// Takes the next run number, takes in what runs that died without closing have left in their
    /// spools and `lanes`, and writes a gap for each of them. In the same transaction `before`,
    /// this handle's last run, gets the row with its end.
    pub(crate) fn begin_run(
        &mut self,
        now: Timestamp,
        before: Option<(RunId, &RunRow)>,
        lanes: &dyn DeadLanes,
    ) -> Result<(RunId, RunRow), WriteFailure> {
        // Nothing is visible before the commit. A crash until then leaves a lock file without a
        // run, and the next opener takes the same number.
        let row = RunRow {
            has_manifest: true,
            ..RunRow::begin(now)
        };
        let path = self.path.clone();
        let directory = self.directory.clone();
        let meter = self.meter();
        let (manifest, is_whole) = self.commits.manifest.begin();
        let mut strays = input_store::Strays::of_dead_runs(directory.as_ref());
        let (run, lock, dead) = self.write(|transaction| {
            match before {
                None => meter.begin(transaction, &path)?,
                Some(_) => meter.advance(transaction, &path)?,
            }
            // Before the new run has a number, so that its own lock is never taken for a dead
            // one's.
            let dead = close_dead_runs(transaction, &path, directory.as_ref(), lanes, now)?;
            let run = next_run(transaction, &path)?;
            // The lock is held before the run becomes visible: an unlocked run counts as dead.
            let lock = match &directory {
                Some(directory) => Some(directory.hold_run(run)?),
                None => None,
            };
            runs::put(transaction, run, &row)?;
            manifests::put(transaction, run, &manifest)?;
            if let Some((before, ended)) = before {
                runs::put(transaction, before, ended)?;
                inputs::end_run(transaction, &path, before)?;
            }
            strays.spare_known(transaction, &path)?;
            Ok((run, lock, dead))
        })?;
        self.commits.manifest.begun(run, is_whole);
        if let Some((before, _)) = before {
            self.release(before);
        }
        self.locks.extend(lock.map(|lock| (run, lock)));
        self.lost_inputs = self.lost_inputs.saturating_add(dead.lost_inputs);
        if let Some(directory) = &self.directory {
            // Only now: a crash before the commit must still find the files.
            for run in dead.runs {
                directory.forget_run(run);
            }
            for run in dead.lanes {
                lanes.forget(dead.journal, run);
            }
            strays.remove();
        }
        Ok((run, row))
    }

    /// Inputs that no process has committed, of decisions that this handle took in from dead runs.
    pub(crate) fn lost_inputs(&self) -> u64 {
        self.lost_inputs
    }

    /// Continues the run under which `source` is taken in, or begins it.
    pub(crate) fn take_in(
        &mut self,
        now: Timestamp,
        source: &str,
    ) -> Result<(RunId, RunRow), WriteFailure> {
        let path = self.path.clone();
        let directory = self.directory.clone();
        let meter = self.meter();
        let (run, row, lock) = self.write(|transaction| {
            meter.begin(transaction, &path)?;
            let is_its = |row: &RunRow| row.source.as_deref() == Some(source);
            let known = runs::select(transaction, &path, is_its)?.pop();
            let (run, mut row) = match known {
                Some(known) => known,
                None => {
                    let row = RunRow {
                        source: Some(source.to_owned()),
                        ..RunRow::begin(now)
                    };
                    (next_run(transaction, &path)?, row)
                }
            };
            // Taken up again: the import is under way until its run is ended.
            row.end = None;
            // Not what tells whether the run is alive, which its lock does: numbers of processes
            // come again.
            row.process = std::process::id();
            let lock = match &directory {
                Some(directory) => Some(directory.hold_run(run)?),
                None => None,
            };
            runs::put(transaction, run, &row)?;
            Ok((run, row, lock))
        })?;
        self.locks.extend(lock.map(|lock| (run, lock)));
        Ok((run, row))
    }

    /// Writes down how `run` ended and lets go of its lock.
    pub(crate) fn end_run(
        &mut self,
        run: RunId,
        row: &mut RunRow,
        end: RunEnd,
    ) -> Result<(), WriteFailure> {
        row.end = Some(end);
        let completed = self.commits.manifest.completed();
        self.write(|transaction| {
            self.commits.meter.advance(transaction, &self.path)?;
            inputs::end_run(transaction, &self.path, run)?;
            if let Some((run, manifest)) = &completed {
                manifests::put(transaction, *run, manifest)?;
            }
            runs::put(transaction, run, row)
        })?;
        // After the commit. A lock that was released before it would let another opener declare
        // this run dead, and write a gap for events that are there.
        self.release(run);
        Ok(())
    }

    fn release(&mut self, run: RunId) {
        if let Some(index) = self.locks.iter().position(|(held, _)| *held == run) {
            self.locks.swap_remove(index).1.release();
        }
    }

    /// The stored ids of `names`, given now to those that have none, in a transaction of its own.
    /// `run` may use them as long as it lives; without a run, they are kept for ever.
    pub(crate) fn intern(
        &self,
        run: Option<RunId>,
        names: &[(u8, Arc<str>)],
    ) -> Result<Vec<NameId>, WriteFailure> {
        let run = run.map_or(FOR_EVER, RunId::get);
        // Before the entries that use them. A crash between the two leaves unused names, never an
        // entry whose name is unknown.
        self.write(|transaction| dictionary::intern(transaction, &self.path, run, names))
    }

    /// See [`Commits::commit`].
    pub(crate) fn commit(&self, commit: Commit<'_>) -> Result<(), WriteFailure> {
        self.commits.commit(commit)
    }

    /// The same for another thread. The file is open until both are dropped.
    pub(crate) fn commits(&self) -> Commits {
        self.commits.clone()
    }

    /// For the writer, when opening is over: from here on nothing waits for these transactions that
    /// has no bound of its own.
    pub(crate) fn wait_endlessly(&self) {
        // A handle that is closed is told when it is opened again.
        let _ = self.commits.handle.try_with(Kv::wait_endlessly);
    }

    /// An error if the written file has lost its name: committed entries are then in no file of
    /// that name. Asks the directory once.
    pub(crate) fn check_name(&self) -> Result<()> {
        match self.commits.handle.try_with(Kv::lost_name).flatten() {
            Some(what) => Err(Error::Misplaced {
                path: self.path.clone(),
                what,
            }),
            None => Ok(()),
        }
    }

    /// Makes the lock file of `run` anew if it has been removed.
    pub(crate) fn keep_lock(&mut self, run: RunId) -> Result<()> {
        let held = self.locks.iter_mut().find(|(held, _)| *held == run);
        held.map_or(Ok(()), |(_, lock)| lock.keep_name())
    }

    /// After a failed commit: closes the file, opens it again and returns the stored batch number
    /// of `run`.
    pub(crate) fn reopen(&self, run: RunId) -> Result<u64> {
        self.commits.handle.reopen(|| {
            // Opening recovers the file: the failed commit is then either whole or not there, and
            // the number of the run's last batch tells which.
            let kv = Kv::open(&self.path, self.sharing, self.cache_bytes)?;
            kv.wait_endlessly();
            let key = keys::number(u64::from(run.get()));
            let batch = kv.read(|snapshot| {
                let row = snapshot.get(Table::Runs, &key, |value| {
                    runs::decode(&self.path, &key, value).map(|(_, row)| row.batch)
                })?;
                row.unwrap_or_else(|| Err(damaged(&self.path, "runs", "this run's row is missing")))
            })?;
            Ok((kv, batch))
        })
    }

    fn write<T>(
        &self,
        body: impl FnOnce(&mut WriteTransaction<'_>) -> Result<T>,
    ) -> Result<T, WriteFailure> {
        self.commits.write(body)
    }
}

impl Commits {
    /// The hot file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Commits one batch durably. The caller must not assume anything about it after an error.
    pub(crate) fn commit(&self, commit: Commit<'_>) -> Result<(), WriteFailure> {
        let path = self.path.clone();
        let inputs = commit.inputs;
        let completed = self.manifest.completed();
        // Before the rows that say that they are there. What fails costs the inputs alone.
        inputs.sync();
        self.write(|transaction| {
            // Elapsed time is stored with the entries that it passed beside, so that their age
            // never depends on a wall clock.
            self.meter.advance(transaction, &path)?;
            append(transaction, &path, commit.blocks)?;
            inputs.put(transaction, &path)?;
            for (run, row) in commit.rows {
                runs::put(transaction, *run, row)?;
            }
            if let Some((run, manifest)) = &completed {
                manifests::put(transaction, *run, manifest)?;
            }
            Ok(())
        })?;
        self.manifest.store(completed);
        inputs.remove_files();
        Ok(())
    }

    fn write<T>(
        &self,
        body: impl FnOnce(&mut WriteTransaction<'_>) -> Result<T>,
    ) -> Result<T, WriteFailure> {
        let written = self.handle.try_with(|kv| kv.write(body));
        // The writer keeps its events and tries again.
        written.unwrap_or_else(|| {
            Err(WriteFailure::NoRoom(Error::NoRoom {
                path: self.path.clone(),
                reason: REOPENED.to_owned(),
            }))
        })
    }
}

fn new_identity(options: &Options) -> Result<Identity> {
    Identity::draw(options.label.clone(), options.clock.now())
}

/// Creates the hot file under another name, so that a crash leaves no half of one behind.
fn create(directory: &Directory, options: &Options) -> Result<()> {
    let identity = new_identity(options)?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "any 64 of the bits are random"
    )]
    let unfinished = directory.unfinished_hot_file(identity.id as u64);
    // The name holds random bits: two processes that create at once do not write one file.
    let kv = Kv::create(&unfinished, options.cache_bytes)?;
    kv.write(|transaction| meta::ensure(transaction, &unfinished, &identity))
        .map_err(WriteFailure::into_error)?;
    // Closed first: redb marks the file as cleanly closed, and only such a file may get the name.
    drop(kv);
    directory.publish_hot_file(&unfinished)
}

fn next_run(transaction: &mut WriteTransaction<'_>, path: &Path) -> Result<RunId> {
    // Read in the transaction that stores the run, so no two processes get one number. Retention
    // never forgets the newest run: ids must not come again.
    let number = runs::highest(transaction, path)?.saturating_add(1);
    if number > MAX_RUN {
        return Err(Error::RunsExhausted {
            path: path.to_owned(),
            limit: MAX_RUN,
        });
    }
    Ok(RunId(number))
}

/// Runs that were found dead, and runs whose lanes are not needed any more.
struct DeadRuns {
    journal: JournalId,
    runs: Vec<RunId>,
    lanes: Vec<RunId>,
    lost_inputs: u64,
}

fn close_dead_runs(
    transaction: &mut WriteTransaction<'_>,
    path: &Path,
    directory: Option<&Directory>,
    lanes: &dyn DeadLanes,
    now: Timestamp,
) -> Result<DeadRuns> {
    let mut dead = DeadRuns {
        journal: meta::identity_to_write(transaction, path)?.journal(),
        runs: Vec::new(),
        lanes: Vec::new(),
        lost_inputs: 0,
    };
    let Some(directory) = directory else {
        return Ok(dead);
    };
    // Of runs that ended, or were found dead, and whose process, or opener, was killed before it
    // could remove them. A run that went on as another one may not have given them on yet.
    let left = lanes.runs(dead.journal);
    if !left.is_empty() {
        let is_over = |row: &RunRow| !matches!(row.end, None | Some(RunEnd::Continued(_)));
        let over = runs::select(transaction, path, is_over)?;
        let over = over.into_iter().map(|(run, _)| run);
        dead.lanes.extend(over.filter(|run| left.contains(run)));
    }
    let open = runs::select(transaction, path, |row| row.end.is_none())?;
    let mut encoder = BlockEncoder::default();
    for (run, mut row) in open {
        // Alive, or in a process of which nothing is known: its gap is left to a later opener. Two
        // openers cannot both write it: the later transaction sees the end of the run.
        if !directory.is_run_dead(run) {
            continue;
        }
        // Before the gap, which stands behind the last id.
        let mut lost = None;
        if row.source.is_none() {
            let mut run = DeadRun::take_in(transaction, path, directory, run, &mut row)?;
            lost = lanes.take_in(&mut run)?;
            dead.lost_inputs = dead.lost_inputs.saturating_add(run.lost_inputs);
        }
        row.dropped = row.dropped.saturating_add(lost.unwrap_or(0));
        let gap = GapRow {
            run: run.get(),
            reason: GapReason::Died,
            count: lost,
            // The last id known to be committed; the process may have given out more.
            after: (row.last_id > InferenceId::NONE).then_some(row.last_id),
            recorded_range: None,
            event_range: None,
            refusal: None,
        };
        // An import can be read again from its source: nothing is lost.
        if row.source.is_none() {
            let noted = encoder.note(now, &Note::Gap(gap));
            noted.map_err(|why| meta::damaged(path, "gap", &why))?;
        }
        row.end = Some(RunEnd::FoundDead(now));
        runs::put(transaction, run, &row)?;
        dead.runs.push(run);
        dead.lanes.push(run);
    }
    // In the same transaction as the runs' ends: a crash leaves both or neither, so each death has
    // one gap.
    append(transaction, path, &mut encoder.take())?;
    // Behind the entries that were taken in, which may have inputs of the runs' last files.
    for run in &dead.runs {
        inputs::end_run(transaction, path, *run)?;
    }
    Ok(dead)
}

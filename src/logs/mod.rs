//! The human-readable files: a follower of the journal with a place of its own, in its own thread.
//!
//! It writes only committed entries, each line once, in the order of commit. One process holds the
//! directory's lock; when it dies, another continues from the stored state. A failure here never
//! fails a commit.

pub(crate) mod clean;
pub(crate) mod days;
pub(crate) mod display;
pub(crate) mod entries;
pub(crate) mod file;
pub(crate) mod files;
pub(crate) mod health;
pub(crate) mod line;
pub(crate) mod place;
mod rebuild;
pub(crate) mod retention;
pub(crate) mod state;
mod surplus;
pub(crate) mod write_back;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;

use crate::engine::format::block::StoredEntry;
use crate::engine::source::Source;
use crate::entry::error::{Error, Result};
use crate::entry::event::Level;
use crate::entry::ids::JournalId;
use crate::entry::sequence::Sequence;
use crate::entry::value::Value;
use crate::fs::disk;
use crate::fs::failpoint::{self, lock_timeout};
use crate::fs::lock::FileLock;
pub use crate::options::logs::{LogKind, Mirror, Rotation};
use crate::record::conditions::{COMPONENT, Conditions};
use crate::threads::rounds::{Rounds, RoundsFrame, RoundsThread};
pub use clean::Cleaned;
use files::Files;
use health::MirrorHealth;
pub use retention::{LogRetention, LogRetentionPlan, LogRetentionReport, PlannedLogFile};

/// Interval of looks at the journal: one read of some 10 µs.
const POLL: Duration = Duration::from_millis(100);
/// Interval of trying the lock while another process holds it, and of trying again after a fault.
const RETRY: Duration = Duration::from_millis(500);
/// Interval of making files and state durable while lines are written.
const SAVE: Duration = Duration::from_secs(1);
/// Interval of cleaning up old files.
const CLEAN: Duration = Duration::from_secs(60);
/// How much is decoded at once.
const BUDGET_BYTES: usize = 1 << 20;

/// The thread that writes the files.
pub(crate) struct MirrorThread {
    thread: RoundsThread<Follower>,
    directory: PathBuf,
}

/// Write committed entries, and remove old files.
type CleanUp = Sender<Result<Cleaned>>;

impl MirrorThread {
    /// Starts mirroring the journal behind `source` into `directory`.
    pub(crate) fn start(
        source: Arc<Source>,
        journal: JournalId,
        directory: PathBuf,
        settings: Mirror,
        conditions: Arc<Conditions>,
    ) -> Result<MirrorThread> {
        let mut follower = Follower {
            source,
            journal,
            directory: directory.clone(),
            settings,
            conditions: conditions.clone(),
            held: None,
            saved: Instant::now(),
            cleaned: None,
        };
        // Held before the first event is logged, so that a program which ends at once still reports
        // the obstacle. A fault is met again, and reported, by the thread.
        follower.held = follower.try_hold().unwrap_or(None);
        let health = MirrorHealth {
            writing: follower.held.is_some(),
            ..MirrorHealth::default()
        };
        follower.report_moved();
        let thread = RoundsThread::start(health, conditions, move || follower)?;
        Ok(MirrorThread { thread, directory })
    }

    pub(crate) fn health(&self) -> MirrorHealth {
        self.thread.health()
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn clean_up(&self, timeout: Duration) -> Result<Cleaned> {
        let operation = "clean-up of the text files";
        self.thread.worker().ask(operation, timeout, |reply| reply)
    }

    /// Lets the thread write committed entries and waits for it, for at most `timeout`; returns
    /// whether it has ended.
    pub(crate) fn finish(&self, timeout: Duration) -> bool {
        self.thread.worker().stop_by(Instant::now() + timeout);
        self.thread.worker().finish(timeout)
    }
}

pub(crate) struct Follower {
    source: Arc<Source>,
    journal: JournalId,
    directory: PathBuf,
    settings: Mirror,
    conditions: Arc<Conditions>,
    /// Present while this process is the one that writes.
    held: Option<HeldFiles>,
    saved: Instant,
    cleaned: Option<Instant>,
}

struct HeldFiles {
    files: Files,
    lock: FileLock,
}

const LOCK: &str = ".lock";
const UNCLEAN: &str = "the text files cannot be cleaned up";
const SKIPPED: &str = "entries were retired before their lines were written";

impl Rounds for Follower {
    const NAME: &'static str = "annals-mirror";
    const FAULT: &'static str = "the text files cannot be written";
    type Command = CleanUp;
    type Health = MirrorHealth;

    fn path(&self) -> &Path {
        &self.directory
    }

    fn round(&mut self, frame: &RoundsFrame<Self>) -> Result<Duration> {
        self.write_or_let_go(frame)?;
        Ok(match self.held {
            Some(_) => POLL,
            None => self.rest(),
        })
    }

    fn rest(&self) -> Duration {
        lock_timeout(&self.directory, RETRY)
    }

    fn obey(&mut self, reply: CleanUp, frame: &RoundsFrame<Self>) {
        let written = self.write_or_let_go(frame);
        let cleaned = match &written {
            Ok(()) => self.clean(),
            Err(error) => Err(error.clone()),
        };
        frame.report(written.err());
        // The caller may have stopped waiting.
        let _ = reply.send(cleaned);
    }

    /// The last round. It begins after the stop, so it takes in all that was committed before.
    fn wind_up(&mut self, frame: &RoundsFrame<Self>) {
        failpoint::round(&self.directory);
        let written = self.write_or_let_go(frame);
        frame.report(written.err());
    }
}

impl Follower {
    /// Writes what is committed. After an error nothing is held any more. The directory may be
    /// gone, and the lock with it, and files that were closed would not be synced by the next save.
    fn write_or_let_go(&mut self, frame: &RoundsFrame<Self>) -> Result<()> {
        let outcome = self.write(frame);
        if outcome.is_err() {
            // Buffers may hold lines that were not written. The state on disk is the last whole
            // one: the next round cuts the files to it.
            self.held = None;
            frame.health().writing = false;
        }
        outcome
    }

    fn write(&mut self, frame: &RoundsFrame<Self>) -> Result<()> {
        let path = self.directory.join(LOCK);
        if self
            .held
            .as_ref()
            .is_some_and(|held| !file::is_named(held.lock.file(), &path))
        {
            // The directory or the lock was removed: another process may hold a new one.
            self.held = None;
        }
        // Tried at each round: the process that writes the files may have died.
        if self.held.is_none() {
            self.held = self.try_hold()?;
            frame.health().writing = self.held.is_some();
        }
        let caught_up = self.catch_up(frame);
        self.report_moved();
        caught_up?;
        // A place that is stored late costs nothing but lines that are rendered once more after a
        // crash.
        let due = frame.is_stopped() || self.saved.elapsed() >= SAVE;
        if due && let Some(held) = &mut self.held {
            held.files.save()?;
            self.saved = Instant::now();
        }
        if self.cleaned.is_none_or(|last| last.elapsed() >= CLEAN) {
            self.clean_and_report();
        }
        Ok(())
    }

    /// A clean-up that fails does not keep lines from being written.
    fn clean_and_report(&mut self) {
        match self.clean() {
            Ok(_) => {
                self.conditions.clear(COMPONENT, UNCLEAN);
            }
            Err(error) => {
                self.cleaned = Some(Instant::now());
                let cause = vec![("cause".to_owned(), Value::Text(error.to_string()))];
                self.conditions
                    .raise(Level::Warn, COMPONENT, UNCLEAN, cause);
            }
        }
    }

    /// Takes the directory's lock and the stored state; `None` while another process has it.
    fn try_hold(&self) -> Result<Option<HeldFiles>> {
        let fault = |error| Error::io("prepare the text files in", &self.directory, error);
        disk::create_directory(&self.directory).map_err(fault)?;
        let path = self.directory.join(LOCK);
        let Some(lock) = FileLock::hold(&path).map_err(fault)? else {
            return Ok(None);
        };
        // Read while the lock is held: no other process stores a later state.
        let end = self.source.next_sequence()?;
        let settings = self.settings.clone();
        let files = Files::resume(&self.directory, self.journal, end, settings);
        let mut files = files.map_err(fault)?;
        files.keep_panics(self.conditions.queue().clone());
        Ok(Some(HeldFiles { files, lock }))
    }

    /// Writes everything that is committed, in pieces, as long as there is time.
    fn catch_up(&mut self, frame: &RoundsFrame<Self>) -> Result<()> {
        let Some(held) = &mut self.held else {
            return Ok(());
        };
        loop {
            if !file::is_named(held.lock.file(), &self.directory.join(LOCK)) {
                // The next round begins anew.
                return Ok(());
            }
            // Bounded, so that a mirror far behind does not fill memory, and can stop between two
            // pieces.
            let blocks = match self.source.after(held.files.next(), BUDGET_BYTES) {
                Err(Error::Retired { sequence, kept, .. }) => {
                    // Retention does not wait for text files. The files say that lines are missing,
                    // by this event.
                    let (sequence, kept) = (Sequence::new(sequence), Sequence::new(kept));
                    held.files.skip_to(kept);
                    self.conditions.warn(SKIPPED, skipped(sequence, kept));
                    continue;
                }
                blocks => blocks?,
            };
            // Read after the blocks, so the lag is never less than nothing.
            let end = self.source.next_sequence()?;
            let mut known = frame.health();
            known.lag = end.since(held.files.next());
            drop(known);
            if blocks.is_empty() {
                return Ok(());
            }
            let last = blocks.iter().flat_map(|block| block.rows.last()).last();
            let behind = last.map_or(Sequence::ZERO, StoredEntry::next);
            let mut lines = 0;
            loop {
                lines += held.files.write(&self.source, &blocks)?;
                if !held.files.take_turned() {
                    break;
                }
                // Positions first, as before each clean-up.
                held.files.save()?;
                self.saved = Instant::now();
                let room = clean::make_room(&self.directory, &self.settings, &held.files);
                if let Err(error) = room {
                    // Too many files are better than no lines.
                    let cause = vec![("cause".to_owned(), Value::Text(error.to_string()))];
                    self.conditions
                        .raise(Level::Warn, COMPONENT, UNCLEAN, cause);
                }
                if !frame.has_time() || held.files.next() >= behind {
                    break;
                }
            }
            let mut known = frame.health();
            known.lines += lines;
            known.lag = end.since(held.files.next());
            drop(known);
            if self.saved.elapsed() >= SAVE {
                held.files.save()?;
                self.saved = Instant::now();
            }
            if !frame.has_time() {
                return Ok(());
            }
        }
    }

    fn clean(&mut self) -> Result<Cleaned> {
        let Some(held) = &mut self.held else {
            return Ok(Cleaned::default());
        };
        // Positions first: a crash after the clean-up must not go back to files that it removed.
        held.files.save()?;
        self.saved = Instant::now();
        let elapsed = self.source.elapsed_by_system_clock()?;
        let elapsed = elapsed.as_ref();
        let mut clean = || clean::clean(&self.directory, &self.settings, &mut held.files, elapsed);
        let cleaned = match clean() {
            // Another process applies a retention plan: what it deleted is not there to be counted.
            Err(error) if error.kind() == ErrorKind::NotFound => clean(),
            cleaned => cleaned,
        };
        let cleaned = cleaned
            .map_err(|error| Error::io("clean up the text files in", &self.directory, error))?;
        self.cleaned = Some(Instant::now());
        Ok(cleaned)
    }

    /// Records which foreign files were moved aside.
    fn report_moved(&mut self) {
        let moved = self.held.as_mut().map(|held| held.files.take_moved());
        for path in moved.into_iter().flatten() {
            let to = vec![("to".to_owned(), Value::Text(path.display().to_string()))];
            self.conditions.warn(
                "a file that bore the name of a text file of the journal was moved aside",
                to,
            );
        }
    }
}

fn skipped(from: Sequence, until: Sequence) -> Vec<(String, Value)> {
    let entries = i64::try_from(until.since(from)).unwrap_or(i64::MAX);
    vec![("entries".to_owned(), Value::Integer(entries))]
}

/// The last `n` lines of one kind of human-readable file in `directory`, oldest first.
///
/// Reads the ends of plain files and all of compressed ones; a line that is being written is left
/// out. The predecessor's `get_recent_inferences(lines=50)`.
///
/// # Errors
/// [`Error::Io`] if the directory or a file cannot be read.
///
/// ```no_run
/// use annals::logs::{LogKind, recent_lines};
///
/// for line in recent_lines("data/logs", LogKind::Inferences, 50)? {
///     println!("{line}");
/// }
/// # Ok::<(), annals::Error>(())
/// ```
pub fn recent_lines(directory: impl AsRef<Path>, kind: LogKind, n: usize) -> Result<Vec<String>> {
    let directory = directory.as_ref();
    clean::recent(directory, kind, n)
        .map_err(|error| Error::io("read the text files in", directory, error))
}

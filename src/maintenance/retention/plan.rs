//! Retention: a plan of which segments go, shown before anything happens, then done exactly.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::segments::RetentionBase;
use crate::engine::segments::Registered;
use crate::entry::error::{Error, Result};
use crate::entry::sequence::Sequence;
use crate::entry::timestamp::Timestamp;
use crate::maintenance::Maintenance;
use crate::options::retention::{KeptItem, RetentionPolicy, in_days, too_old};

/// A policy for entries that is about to be planned; from [`Maintenance::retention`].
#[must_use = "nothing is planned until plan is called"]
pub struct Retention<'m> {
    maintenance: &'m Maintenance,
    policy: RetentionPolicy,
}

/// Which segments are to be retired. Nothing happens until it is applied.
#[must_use = "nothing is retired until apply is called"]
#[derive(Debug)]
pub struct RetentionPlan {
    maintenance: Maintenance,
    cursors: Vec<String>,
    expired: Vec<Registered>,
    lines: Vec<PlannedSegment>,
    held_back: Vec<String>,
    kept_entries: u64,
    newest: Option<Timestamp>,
    doubt: Option<Doubt>,
    unreadable: Option<Error>,
}

/// One line of a [`RetentionPlan`].
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct PlannedSegment {
    /// Its file.
    pub file: PathBuf,
    /// The sequences of its entries.
    pub sequences: RangeInclusive<u64>,
    /// How many entries it holds.
    pub entries: u64,
    /// Inferences and repeats among them.
    pub inferences: u64,
    /// When the first and the last of them were recorded.
    pub recorded: (Timestamp, Timestamp),
    /// The first and last event time of its inferences and repeats.
    pub event_times: Option<(Timestamp, Timestamp)>,
    /// Size of its file.
    pub bytes: u64,
    /// The limit that it exceeds.
    pub reason: String,
}

/// Result of applying a [`RetentionPlan`].
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct RetentionReport {
    /// How many segments are retired.
    pub segments: usize,
    /// How many entries they held.
    pub entries: u64,
    /// Size of their files.
    pub bytes: u64,
    /// Names that no entry needs any more, and that were forgotten.
    pub names: usize,
    /// Ended runs that have no entry any more, and that were forgotten.
    pub runs: usize,
}

/// All that has been retired so far; from [`Maintenance::retired`].
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct RetentionTotals {
    /// How many segments.
    pub segments: u64,
    /// How many entries they held.
    pub entries: u64,
    /// Inferences and repeats among them.
    pub inferences: u64,
    /// When the first and the last of them were recorded.
    pub recorded: Option<(Timestamp, Timestamp)>,
    /// When something was retired last.
    pub last: Option<Timestamp>,
    /// Ranges of event time, in whole hours, that lack something: each from its first microsecond
    /// to its last. At most 2,048; beyond that the nearest are joined.
    pub event_times: Vec<(Timestamp, Timestamp)>,
}

impl Maintenance {
    /// Begins to apply a policy to the entries. Whole segments go, oldest first; unsealed entries
    /// stay. [`RetentionPolicy`] lists the rules.
    ///
    /// ```
    /// # use annals::{Inference, Journal, RetentionPolicy};
    /// # use std::time::Duration;
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = Journal::open(dir.path().join("data"))?;
    /// # journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY"));
    /// # journal.flush().wait(Duration::from_secs(60))?;
    /// # journal.seal(Duration::from_secs(60))?;
    /// let policy = RetentionPolicy::new().max_age_days(30);
    /// let plan = journal.maintenance()?.retention(policy).plan()?;
    /// for segment in plan.segments() {
    ///     println!("{:?} goes: {}", segment.sequences, segment.reason);
    /// }
    /// assert_eq!(plan.apply()?.segments, 0); // it was recorded just now
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn retention(&self, policy: RetentionPolicy) -> Retention<'_> {
        Retention {
            maintenance: self,
            policy,
        }
    }

    /// Everything that has been retired so far. One short snapshot.
    ///
    /// # Errors
    /// [Errors of reading](crate::Error#errors-of-reading).
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let journal = annals::Journal::open(&dir)?;
    /// assert_eq!(journal.maintenance()?.retired()?.entries, 0);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn retired(&self) -> Result<RetentionTotals> {
        let row = self.maintenance.retired()?;
        let ranges = row.hours.iter();
        Ok(RetentionTotals {
            segments: row.segments,
            entries: row.entries,
            inferences: row.events,
            recorded: row.recorded,
            last: (row.segments > 0).then_some(row.last),
            event_times: ranges
                .map(|(first, last)| {
                    let end = Timestamp::of_hour(last.saturating_add(1)).moved_by(-1);
                    (Timestamp::of_hour(first), end)
                })
                .collect(),
        })
    }
}

impl Retention<'_> {
    /// Lists the segments that would go, from one look at the journal. It changes nothing, but
    /// folds their entries into the rollups first: statistics outlive their entries. A segment that
    /// could not be read before it was folded stays, with all later ones, until it is repaired. The
    /// plan reports it.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] for a policy that [`RetentionPolicy`] calls refused,
    /// [`Error::InvalidName`] for a cursor, and [errors of
    /// reading](crate::Error#errors-of-reading).
    ///
    /// ```
    /// # use annals::{Inference, Journal, ManualClock, RetentionPolicy, Timestamp};
    /// # use std::time::Duration;
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let clock = ManualClock::at(Timestamp::now());
    /// # let options = Journal::options().without_mirror().clock(clock.clone());
    /// # let journal = options.open(dir.path().join("data"))?;
    /// # let minute = Duration::from_secs(60);
    /// journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY"));
    /// journal.flush().wait(minute)?;
    /// journal.seal(minute)?;
    /// clock.advance(Duration::from_secs(31 * 86_400));
    /// let month = RetentionPolicy::new().max_age_days(30);
    /// let plan = journal.maintenance()?.retention(month).plan()?;
    /// assert_eq!(plan.entries(), 1);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn plan(self) -> Result<RetentionPlan> {
        self.policy.check(KeptItem::Entries)?;
        let cursors = &self.policy.keep_after_cursor;
        for name in cursors {
            // Refuses a name that no cursor can have. One that is not stored holds all entries
            // back.
            self.maintenance.cursor(name)?;
        }
        let maintenance = &self.maintenance.maintenance;
        let now = self.maintenance.clock.now();
        let mut base = maintenance.retention_base(cursors, now)?;
        let mut exceeded = exceeding(&self.policy, &base, now);
        let mut unreadable = None;
        // Folding costs writes: only where the plan would be held back without it.
        if base.retirable < wanted(&base, exceeded.len()) {
            match maintenance.fold(now) {
                Err(error @ Error::Corrupt { .. }) => unreadable = Some(error),
                folded => _ = folded?,
            }
            // All anew: another process may have sealed or retired in between.
            base = maintenance.retention_base(cursors, now)?;
            exceeded = exceeding(&self.policy, &base, now);
        }
        let (until, mut held_back) =
            bounds(&self.policy, &base, exceeded.len(), unreadable.as_ref());
        let expired: Vec<Registered> = base
            .segments
            .iter()
            .zip(&exceeded)
            .map(|(segment, _)| segment.clone())
            // From the oldest on: the entries that stay are dense.
            .take_while(|segment| segment.row.next <= until)
            .collect();
        let first_kept = expired.last().map_or(base.extent.kept, |s| s.row.next);
        let hot = base.extent.next.since(base.extent.hot);
        if exceeded.len() == base.segments.len() && !exceeded.is_empty() && hot > 0 {
            held_back.push(format!("{hot} entries are not sealed yet and stay"));
        }
        let doubt = doubted(&self.policy, &base, exceeded.len(), now);
        held_back.extend(doubt.as_ref().map(Doubt::to_string));
        let lines = expired.iter().zip(exceeded);
        let lines = lines.map(|(segment, reason)| line(self.maintenance, segment, reason));
        Ok(RetentionPlan {
            maintenance: self.maintenance.clone(),
            cursors: cursors.clone(),
            lines: lines.collect(),
            held_back,
            kept_entries: base.extent.next.since(first_kept),
            newest: newest(self.maintenance, &base)?,
            doubt,
            unreadable,
            expired,
        })
    }
}

/// The limit that each of the oldest segments exceeds, as far as one after the other exceeds one.
fn exceeding(policy: &RetentionPolicy, base: &RetentionBase, now: Timestamp) -> Vec<String> {
    let sizes = base.segments.iter().map(|segment| segment.row.bytes);
    // Free room in the hot file does not count: deleting entries does not give it back.
    let mut bytes = sizes.fold(base.extent.hot_bytes, u64::saturating_add);
    let mut exceeded = Vec::new();
    for segment in &base.segments {
        let entries = base.extent.next.since(segment.first);
        let old = policy
            .max_age
            .filter(|age| is_older(policy, base, segment, *age, now));
        // A segment that stays keeps all later ones, whatever they exceed.
        let Some(reason) = old.map(too_old).or_else(|| policy.exceeded(entries, bytes)) else {
            break;
        };
        bytes = bytes.saturating_sub(segment.row.bytes);
        exceeded.push(reason);
    }
    exceeded
}

/// Whether every entry of a segment is older than `age`.
fn is_older(
    policy: &RetentionPolicy,
    base: &RetentionBase,
    segment: &Registered,
    age: Duration,
    now: Timestamp,
) -> bool {
    if policy.trust_clock {
        return segment.row.recorded.1 < now.saturating_sub(age);
    }
    base.elapsed
        // Its last entry is its youngest.
        .since_entry(segment.row.next.saturating_sub(1))
        > age
}

/// Segments that the clock calls old enough to go, while elapsed time does not.
#[derive(Clone, Debug)]
pub(crate) struct Doubt {
    segments: usize,
    age: Duration,
    /// Time that has certainly passed since the oldest of them was recorded.
    certain: Duration,
    /// Its age by the clock.
    pub(crate) by_clock: Duration,
}

impl std::fmt::Display for Doubt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let segments = match self.segments {
            1 => "1 segment was".to_owned(),
            n => format!("{n} segments were"),
        };
        write!(
            f,
            "{segments} recorded more than {} ago by the clock, but only {} are certain (time with \
             an open run, and at most 7 days between two runs, the longest pause left out): \
             they stay, unless trust_clock goes by it",
            in_days(self.age),
            in_days(whole_seconds(self.certain)),
        )
    }
}

fn whole_seconds(duration: Duration) -> Duration {
    Duration::from_secs(duration.as_secs())
}

/// Whether the clock alone would retire more than the `exceeded` oldest segments.
fn doubted(
    policy: &RetentionPolicy,
    base: &RetentionBase,
    exceeded: usize,
    now: Timestamp,
) -> Option<Doubt> {
    let age = policy.max_age.filter(|_| !policy.trust_clock)?;
    let by_clock = |segment: &Registered| now.saturating_since(segment.row.recorded.1);
    let rest = base.segments.get(exceeded..).unwrap_or_default();
    let segments = rest.iter().filter(|segment| by_clock(segment) > age);
    let first = segments.clone().next()?;
    let last = first.row.next.saturating_sub(1);
    Some(Doubt {
        segments: segments.count(),
        age,
        certain: base.elapsed.since_entry(last),
        by_clock: by_clock(first),
    })
}

/// The sequence after the `exceeded` oldest segments.
fn wanted(base: &RetentionBase, exceeded: usize) -> Sequence {
    let last = base.segments.iter().take(exceeded).next_back();
    last.map_or(Sequence::ZERO, |segment| segment.row.next)
}

/// How many of the `exceeded` oldest segments the keep rules and the journal's own needs let go,
/// and the reason that holds the others back. `unreadable` could not be brought into the
/// statistics.
fn bounds(
    policy: &RetentionPolicy,
    base: &RetentionBase,
    exceeded: usize,
    unreadable: Option<&Error>,
) -> (Sequence, Vec<String>) {
    let wanted = wanted(base, exceeded);
    let mut until = base.retirable;
    let mut held_back = Vec::new();
    if until < wanted {
        held_back.push(match unreadable {
            None => format!("entries from {until} on are not in the statistics yet"),
            Some(error) => format!(
                "entries from {until} on cannot be brought into the statistics, repair the \
                 journal: {error}"
            ),
        });
    }
    for (name, next) in &base.cursors {
        if *next < wanted {
            held_back.push(match *next {
                Sequence::ZERO => format!("no cursor {name:?} is stored"),
                _ => format!("the cursor {name:?} has come to {next}"),
            });
        }
        until = until.min(*next);
    }
    if let Some(n) = policy.keep_latest {
        let latest = base.extent.next.saturating_sub(n);
        if latest < wanted {
            held_back.push(format!("the newest {n} entries stay (keep_latest)"));
        }
        until = until.min(latest);
    }
    (until, held_back)
}

/// When the journal's last entry was recorded.
fn newest(maintenance: &Maintenance, base: &RetentionBase) -> Result<Option<Timestamp>> {
    let source = maintenance.maintenance.source();
    let last = base.extent.next.saturating_sub(1);
    let entry = source.at(last)?;
    Ok(entry.map(|entry| entry.head.recorded))
}

fn line(maintenance: &Maintenance, segment: &Registered, reason: String) -> PlannedSegment {
    let row = &segment.row;
    PlannedSegment {
        file: maintenance.maintenance.file_of(segment),
        sequences: segment.first.get()..=row.next.saturating_sub(1).get(),
        entries: row.next.since(segment.first),
        inferences: row.events,
        recorded: row.recorded,
        event_times: row.event_times,
        bytes: row.bytes,
        reason,
    }
}

impl RetentionPlan {
    /// The segments that would be retired, oldest first.
    ///
    /// ```
    /// # use annals::{Inference, Journal, ManualClock, RetentionPolicy, Timestamp};
    /// # use std::time::Duration;
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let clock = ManualClock::at(Timestamp::now());
    /// # let options = Journal::options().without_mirror().clock(clock.clone());
    /// # let journal = options.open(dir.path().join("data"))?;
    /// # let minute = Duration::from_secs(60);
    /// journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY"));
    /// journal.flush().wait(minute)?;
    /// journal.seal(minute)?;
    /// clock.advance(Duration::from_secs(31 * 86_400));
    /// let month = RetentionPolicy::new().max_age_days(30);
    /// let plan = journal.maintenance()?.retention(month).plan()?;
    /// assert_eq!(plan.segments()[0].reason, "older than 30 days (max_age)");
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn segments(&self) -> &[PlannedSegment] {
        &self.lines
    }

    /// How many entries would be retired.
    ///
    /// ```
    /// # use annals::{Inference, Journal, ManualClock, RetentionPolicy, Timestamp};
    /// # use std::time::Duration;
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let clock = ManualClock::at(Timestamp::now());
    /// # let options = Journal::options().without_mirror().clock(clock.clone());
    /// # let journal = options.open(dir.path().join("data"))?;
    /// # let minute = Duration::from_secs(60);
    /// journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY"));
    /// journal.flush().wait(minute)?;
    /// journal.seal(minute)?;
    /// clock.advance(Duration::from_secs(31 * 86_400));
    /// let month = RetentionPolicy::new().max_age_days(30);
    /// let plan = journal.maintenance()?.retention(month).plan()?;
    /// assert_eq!(plan.entries(), 1);
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn entries(&self) -> u64 {
        let entries = self.lines.iter().map(|line| line.entries);
        entries.fold(0, u64::saturating_add)
    }

    /// How many bytes would be freed.
    ///
    /// ```
    /// # use annals::{Inference, Journal, ManualClock, RetentionPolicy, Timestamp};
    /// # use std::time::Duration;
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let clock = ManualClock::at(Timestamp::now());
    /// # let options = Journal::options().without_mirror().clock(clock.clone());
    /// # let journal = options.open(dir.path().join("data"))?;
    /// # let minute = Duration::from_secs(60);
    /// journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY"));
    /// journal.flush().wait(minute)?;
    /// journal.seal(minute)?;
    /// clock.advance(Duration::from_secs(31 * 86_400));
    /// let month = RetentionPolicy::new().max_age_days(30);
    /// let plan = journal.maintenance()?.retention(month).plan()?;
    /// assert!(plan.bytes() > 0);
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let bytes = self.lines.iter().map(|line| line.bytes);
        bytes.fold(0, u64::saturating_add)
    }

    /// How many entries would stay.
    ///
    /// ```
    /// # use annals::{Inference, Journal, ManualClock, RetentionPolicy, Timestamp};
    /// # use std::time::Duration;
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let clock = ManualClock::at(Timestamp::now());
    /// # let options = Journal::options().without_mirror().clock(clock.clone());
    /// # let journal = options.open(dir.path().join("data"))?;
    /// # let minute = Duration::from_secs(60);
    /// journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY"));
    /// journal.flush().wait(minute)?;
    /// journal.seal(minute)?;
    /// clock.advance(Duration::from_secs(31 * 86_400));
    /// let month = RetentionPolicy::new().max_age_days(30);
    /// let plan = journal.maintenance()?.retention(month).plan()?;
    /// assert_eq!(plan.kept_entries(), 0);
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn kept_entries(&self) -> u64 {
        self.kept_entries
    }

    /// The reason why further entries are kept although they exceed a limit.
    ///
    /// ```
    /// # use annals::{Inference, Journal, ManualClock, RetentionPolicy, Timestamp};
    /// # use std::time::Duration;
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let clock = ManualClock::at(Timestamp::now());
    /// # let options = Journal::options().without_mirror().clock(clock.clone());
    /// # let journal = options.open(dir.path().join("data"))?;
    /// # let minute = Duration::from_secs(60);
    /// journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY"));
    /// journal.flush().wait(minute)?;
    /// journal.seal(minute)?;
    /// clock.advance(Duration::from_secs(31 * 86_400));
    /// let month = RetentionPolicy::new().max_age_days(30);
    /// let exported = month.keep_after_cursor("export");
    /// let plan = journal.maintenance()?.retention(exported).plan()?;
    /// assert_eq!(plan.held_back(), ["no cursor \"export\" is stored"]);
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn held_back(&self) -> &[String] {
        &self.held_back
    }

    /// The part that could not be read, and so not be brought into the statistics: it holds back
    /// all later entries.
    pub(crate) fn unreadable(&self) -> Option<&Error> {
        self.unreadable.as_ref()
    }

    /// Entries that only the clock calls old enough.
    pub(crate) fn doubt(&self) -> Option<&Doubt> {
        self.doubt.as_ref()
    }

    /// When the newest entry of the journal was recorded.
    pub(crate) fn newest(&self) -> Option<Timestamp> {
        self.newest
    }

    /// Folds committed entries first, since an outcome counts only while its decision is there.
    /// Then it retires exactly the segments of the plan, in transactions of 100. Each transaction
    /// checks the plan again: if segments, cursors or the first kept entry have changed, it and the
    /// later ones do not happen. Then removes the files, and forgets unneeded names and runs. That
    /// decodes the unsealed blocks: up to a second or two. While a segment that stays is damaged,
    /// none is forgotten: it may need them.
    ///
    /// Readers and followers that are behind get [`Error::Retired`].
    ///
    /// # Errors
    /// [`Error::PlanOutdated`] with the changes, [errors of a
    /// commit](crate::Error#errors-of-a-commit), and [`Error::Io`] if a file cannot be removed: it
    /// is retired all the same, and the next sealer removes it.
    ///
    /// ```
    /// # use annals::{Inference, Journal, ManualClock, RetentionPolicy, Timestamp};
    /// # use std::time::Duration;
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let clock = ManualClock::at(Timestamp::now());
    /// # let options = Journal::options().without_mirror().clock(clock.clone());
    /// # let journal = options.open(dir.path().join("data"))?;
    /// # let minute = Duration::from_secs(60);
    /// journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY"));
    /// journal.flush().wait(minute)?;
    /// journal.seal(minute)?;
    /// clock.advance(Duration::from_secs(31 * 86_400));
    /// let month = RetentionPolicy::new().max_age_days(30);
    /// let plan = journal.maintenance()?.retention(month).plan()?;
    /// assert_eq!(plan.apply()?.entries, 1);
    /// assert_eq!(journal.stats("dqn_agent").get()?.count, 1); // statistics outlive entries
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn apply(self) -> Result<RetentionReport> {
        let retired = self.retire()?;
        if retired.segments == 0 {
            return Ok(retired);
        }
        let forgotten = self.maintenance.maintenance.forget_unused(&|| true)?;
        Ok(RetentionReport {
            names: forgotten.names,
            runs: forgotten.runs,
            ..retired
        })
    }

    /// Retires the segments; names and runs are left alone.
    pub(crate) fn retire(&self) -> Result<RetentionReport> {
        let Maintenance {
            maintenance, clock, ..
        } = &self.maintenance;
        let now = clock.now();
        let done = maintenance.retire(&self.expired, &self.cursors, now)?;
        if !done.changes.is_empty() {
            return Err(Error::PlanOutdated {
                changes: done.changes,
                deleted: done.segments,
            });
        }
        Ok(RetentionReport {
            segments: self.lines.len(),
            entries: self.entries(),
            bytes: self.bytes(),
            names: 0,
            runs: 0,
        })
    }
}

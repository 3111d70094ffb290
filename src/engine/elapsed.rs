//! Elapsed time: how long the journal is known to have existed, regardless of the wall clock.
//!
//! A wall clock can jump, so it is no evidence that an entry is old. The machine's clock is: it
//! counts from the start of the machine, and all processes share it. So all that have the journal
//! open count the same time. Where that clock ends (a restart, another machine, a clock of the
//! caller's), two things count: the time that passed while a run was open, by the monotonic clock,
//! and at most [`LONGEST_PAUSE`] for each pause between two runs. A pause is only believed as long
//! as the wall clock does not fall back behind its end. *Marks* remember, for some sequences, how
//! much time had elapsed when the entry before them was committed. Ages that are read from them
//! are lower bounds.

use std::ops::{Bound, ControlFlow};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::format::codec;
use super::format::codec::Stored;
use super::keys;
use super::kv::{Direction, ReadTransaction, Table, WriteTransaction};
use super::meta;
use super::meta::{damaged, sealed};
use crate::entry::clock::Clock;
use crate::entry::error::Result;
use crate::entry::sequence::Sequence;
use crate::entry::timestamp::Timestamp;
use crate::fs::machine_clock::{MachineClock, MachineTime};

/// The key in `meta` of the newest stamp.
const KEY: &[u8] = b"elapsed";

/// Stands before the sequence in a mark's key in `meta`. A table of its own would cost each commit
/// a page.
const MARK: &[u8] = b"elapsed ";

/// Microseconds that a pause between two runs counts for at most.
pub(crate) const LONGEST_PAUSE: u64 = 7 * 86_400 * 1_000_000;
const HOUR: u64 = 3_600 * 1_000_000;
/// Progress, in microseconds, after which a commit stores a new stamp.
const STAMP_AFTER: u64 = 1_000_000;
/// Progress, in microseconds, after which a commit stores a new mark.
const MARK_AFTER: u64 = 5_000_000;
/// Marks may be as far apart as their age divided by this, so their number grows with the
/// logarithm of the journal's age.
const PRECISION: u64 = 64;
/// Bound on the marks that are read, newest first. A journal writes about 1,200 in ten years.
const MOST_MARKS: usize = 4_096;

/// The newest moment that is known.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Microseconds that have elapsed.
    pub(crate) elapsed: u64,
    /// The wall clock at that moment.
    pub(crate) wall: Timestamp,
    /// The machine's clock at that moment, where there is one.
    pub(crate) machine: Option<MachineTime>,
    /// Microseconds that were taken back from believed pauses so far. Processes that have the
    /// journal open take them back from their own count.
    pub(crate) withdrawn: u64,
}

/// The clocks at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) wall: Timestamp,
    pub(crate) machine: Option<MachineTime>,
}

/// How much time had elapsed when the entry before a sequence was committed.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ElapsedMark {
    /// Microseconds that had elapsed before the pause that this mark ends, if it ends one.
    pub(crate) before: u64,
    /// The same after the pause.
    pub(crate) elapsed: u64,
    /// Pauses that are part of the progress since the mark before this one, together.
    pub(crate) pauses: u64,
    /// The highest reading of the wall clock that those pauses rest on.
    pub(crate) wall: Timestamp,
}

impl Stamp {
    /// Elapsed time by which everything was committed that is stored under this stamp.
    fn last(self) -> u64 {
        self.elapsed.saturating_add(STAMP_AFTER)
    }

    /// What passed until `now`, as the machine's clock measured it or as the wall clock makes
    /// believe: the first, or else the second.
    fn passed_until(self, now: Moment) -> Passed {
        let machine = self.machine.zip(now.machine);
        match machine.and_then(|(then, now)| now.micros_since(then)) {
            Some(micros) => Passed::Measured(micros),
            None => Passed::Believed(now.wall.micros_since(self.wall).min(LONGEST_PAUSE)),
        }
    }
}

/// Microseconds between a stamp and a later moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Passed {
    Measured(u64),
    Believed(u64),
}

impl Passed {
    fn micros(self) -> u64 {
        let (Passed::Measured(micros) | Passed::Believed(micros)) = self;
        micros
    }

    fn believed(self) -> u64 {
        match self {
            Passed::Measured(_) => 0,
            Passed::Believed(micros) => micros,
        }
    }
}

impl Stored for Stamp {
    fn check(&self) -> Result<(), String> {
        let machine = self.machine.map_or(0, |time| time.micros);
        codec::bounded("elapsed time", self.elapsed.max(self.withdrawn))?;
        codec::bounded("time since the machine started", machine)
    }
}

impl Stored for ElapsedMark {
    fn check(&self) -> Result<(), String> {
        codec::bounded("elapsed time", self.elapsed.max(self.pauses))?;
        if self.before > self.elapsed {
            return Err("a pause that ends before it begins".to_owned());
        }
        Ok(())
    }
}

/// Counts elapsed time for one open handle. Every clone is the same counter.
#[derive(Clone, Debug)]
pub(crate) struct Meter {
    clock: Clock,
    /// `None` also beside a clock of the caller's: the machine's does not go by it.
    machine: Option<MachineClock>,
    /// When the first run of this handle began.
    began: Arc<OnceLock<Began>>,
    /// Elapsed time when this handle committed last.
    committed: Arc<AtomicU64>,
}

/// The moment from which a handle counts.
#[derive(Clone, Copy, Debug)]
struct Began {
    elapsed: u64,
    ticks: u64,
    machine: Option<MachineTime>,
    /// Believed pauses that had been taken back by then.
    withdrawn: u64,
}

impl Meter {
    pub(crate) fn new(clock: Clock) -> Self {
        let machine = match clock {
            Clock::System(_) => MachineClock::of_this_process(),
            Clock::Manual(_) => None,
        };
        Meter {
            clock,
            machine,
            began: Arc::default(),
            committed: Arc::default(),
        }
    }

    pub(crate) fn is_of_system(&self) -> bool {
        matches!(self.clock, Clock::System(_))
    }

    fn now(&self) -> Moment {
        Moment {
            wall: self.clock.now(),
            machine: self.machine.and_then(MachineClock::now),
        }
    }

    /// Elapsed time when this handle began to count, and now; `None` before the first run.
    /// `withdrawn` is what the newest stamp says.
    fn measured(&self, withdrawn: u64) -> Option<(u64, u64)> {
        let began = self.began.get()?;
        let now = self.machine.and_then(MachineClock::now);
        let machine = now.zip(began.machine);
        let passed = match machine.and_then(|(now, then)| now.micros_since(then)) {
            Some(micros) => micros,
            None => self.clock.nanos_between(began.ticks, self.clock.ticks()) / 1_000,
        };
        let taken_back = withdrawn.saturating_sub(began.withdrawn);
        let count = |elapsed: u64| elapsed.saturating_sub(taken_back);
        let now = began.elapsed.saturating_add(passed);
        Some((count(began.elapsed), count(now)))
    }

    /// Counts the pause since the last stamp, and begins to count.
    pub(crate) fn begin(&self, transaction: &mut WriteTransaction<'_>, path: &Path) -> Result<()> {
        let now = self.now();
        let stamp = resume(transaction, path, now)?;
        // Once for the handle: a later run of it continues the same count, without a pause.
        self.began.get_or_init(|| Began {
            elapsed: stamp.elapsed,
            ticks: self.clock.ticks(),
            machine: stamp.machine,
            withdrawn: stamp.withdrawn,
        });
        Ok(())
    }

    /// Stores the elapsed time, if that is worth a row. Called before a commit appends its entries.
    /// Costs one look-up otherwise.
    pub(crate) fn advance(
        &self,
        transaction: &mut WriteTransaction<'_>,
        path: &Path,
    ) -> Result<()> {
        if self.began.get().is_none() {
            return Ok(());
        }
        let stamp = stamp_to_write(transaction, path)?;
        let withdrawn = stamp.map_or(0, |stamp| stamp.withdrawn);
        let Some((_, mine)) = self.measured(withdrawn) else {
            return Ok(());
        };
        // Everything that is stored now was committed by then, through this handle; through others,
        // soon after the stamp, or there would be a newer one.
        let committed = self.committed.swap(mine, Ordering::Relaxed);
        let Some(stamp) = stamp else {
            return Ok(());
        };
        // Two open runs count the same time: the larger count holds, they are not added up.
        if mine < stamp.elapsed.saturating_add(STAMP_AFTER) {
            return Ok(());
        }
        let marks = marks_to_write(transaction, path)?;
        let last = marks.last().map_or(0, |(_, mark)| mark.elapsed);
        // Never more than has certainly passed: ages are lower bounds.
        let elapsed = committed.max(stamp.last()).min(mine);
        if mine >= last.saturating_add(MARK_AFTER) && elapsed >= last {
            let mark = ElapsedMark {
                before: elapsed,
                elapsed,
                pauses: 0,
                wall: stamp.wall,
            };
            add_mark(transaction, path, marks, mark)?;
        }
        let now = self.now();
        let stamp = Stamp {
            elapsed: mine,
            wall: now.wall,
            machine: now.machine,
            withdrawn,
        };
        put_stamp(transaction, stamp)
    }
}

/// Counts the pause since the last stamp. Returns the new one.
fn resume(transaction: &mut WriteTransaction<'_>, path: &Path, now: Moment) -> Result<Stamp> {
    let mut marks = marks_to_write(transaction, path)?;
    let withdrawn = withdraw(&mut marks, now.wall);
    if withdrawn > 0 {
        for (sequence, mark) in &marks {
            put_mark(transaction, *sequence, mark)?;
        }
    }
    let known = stamp_to_write(transaction, path)?;
    let before = known.map_or(0, |stamp| stamp.elapsed.saturating_sub(withdrawn));
    let pause = known.map_or(Passed::Measured(0), |stamp| stamp.passed_until(now));
    let stamp = Stamp {
        elapsed: before.saturating_add(pause.micros()),
        wall: now.wall,
        machine: now.machine,
        withdrawn: known.map_or(0, |stamp| stamp.withdrawn.saturating_add(withdrawn)),
    };
    put_stamp(transaction, stamp)?;
    let last = known.map_or(0, Stamp::last).saturating_sub(withdrawn);
    let mark = ElapsedMark {
        before: last.min(stamp.elapsed),
        elapsed: stamp.elapsed,
        pauses: pause.believed(),
        wall: now.wall,
    };
    add_mark(transaction, path, marks, mark)?;
    Ok(stamp)
}

/// Takes back pauses as far as they end later than `wall`: the clock was ahead when they were
/// counted. Returns how much was taken back.
fn withdraw(marks: &mut [(Sequence, ElapsedMark)], wall: Timestamp) -> u64 {
    let mut withdrawn = 0_u64;
    for (_, mark) in marks {
        mark.before = mark.before.saturating_sub(withdrawn);
        mark.elapsed = mark.elapsed.saturating_sub(withdrawn);
        let ahead = mark.wall.micros_since(wall);
        let cut = ahead.min(mark.pauses);
        if cut > 0 {
            mark.pauses -= cut;
            mark.elapsed = mark.elapsed.saturating_sub(cut);
            mark.before = mark.before.min(mark.elapsed);
            // Otherwise the next opener would take the same time back once more.
            mark.wall = wall;
            withdrawn = withdrawn.saturating_add(cut);
        }
    }
    withdrawn
}

/// Adds a mark at the journal's end, and removes those that are closer together than needed.
fn add_mark(
    transaction: &mut WriteTransaction<'_>,
    path: &Path,
    mut marks: Vec<(Sequence, ElapsedMark)>,
    mut mark: ElapsedMark,
) -> Result<()> {
    let extent = meta::extent_to_write(transaction, path)?;
    if let Some((sequence, last)) = marks.last()
        && *sequence == extent.next
    {
        // No entry lies between the two marks.
        mark.before = last.before;
        mark.pauses = mark.pauses.saturating_add(last.pauses);
        mark.wall = mark.wall.max(last.wall);
        marks.pop();
    }
    marks.push((extent.next, mark));
    let now = mark.elapsed;
    let mut removed = Vec::new();
    let mut index = 0;
    while index + 1 < marks.len() {
        // All entries before it are retired.
        let useless = marks[index].0 <= extent.kept;
        let crowded = index > 0 && {
            let (_, next) = marks[index + 1];
            // Distances grow with age: each age stays right to a 64th, and the number of marks
            // grows with its logarithm.
            let room = (now.saturating_sub(next.elapsed) / PRECISION).max(MARK_AFTER);
            next.elapsed.saturating_sub(marks[index - 1].1.elapsed) <= room
        };
        if !useless && !crowded {
            index += 1;
            continue;
        }
        let (sequence, gone) = marks.remove(index);
        removed.push(sequence);
        let next = &mut marks[index].1;
        // The pauses of a mark that goes are kept with the next: they may have to be withdrawn
        // later.
        next.pauses = next.pauses.saturating_add(gone.pauses);
        next.wall = next.wall.max(gone.wall);
        let (sequence, next) = marks[index];
        put_mark(transaction, sequence, &next)?;
    }
    for sequence in removed {
        transaction.remove(Table::Meta, &mark_key(sequence))?;
    }
    let (sequence, mark) = marks[marks.len() - 1];
    put_mark(transaction, sequence, &mark)
}

fn mark_key(sequence: Sequence) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(MARK);
    key[8..].copy_from_slice(&keys::number(sequence));
    key
}

/// The sequence of a mark's key.
fn sequence_of(key: &[u8]) -> Option<Sequence> {
    let rest = key.strip_prefix(MARK)?;
    let sequence = keys::first_number(rest);
    sequence.filter(|_| rest.len() == 8)
}

/// Whether this is the key of a mark.
pub(crate) fn is_mark(key: &[u8]) -> bool {
    key.starts_with(MARK)
}

fn put_mark(
    transaction: &mut WriteTransaction<'_>,
    sequence: Sequence,
    mark: &ElapsedMark,
) -> Result<()> {
    transaction.put(Table::Meta, &mark_key(sequence), &mut sealed(mark))
}

fn put_stamp(transaction: &mut WriteTransaction<'_>, stamp: Stamp) -> Result<()> {
    transaction.put(Table::Meta, KEY, &mut sealed(&stamp))
}

fn stamp_to_write(transaction: &mut WriteTransaction<'_>, path: &Path) -> Result<Option<Stamp>> {
    decode_stamp(path, transaction.get(Table::Meta, KEY, codec::decode)?)
}

fn decode_stamp(path: &Path, stored: Option<Result<Stamp, String>>) -> Result<Option<Stamp>> {
    let stored = stored.transpose();
    stored.map_err(|why| damaged(path, "meta elapsed", &why))
}

/// Returns the reason why a row of the table of marks is impossible.
pub(crate) fn check_mark(key: &[u8], value: &[u8]) -> Result<(), String> {
    sequence_of(key).ok_or("a key is no sequence")?;
    codec::decode::<ElapsedMark>(value).map(drop)
}

/// Copies the readable part of the stamp and the marks for a repair.
pub(crate) fn put_again(
    transaction: &mut WriteTransaction<'_>,
    stamp: Option<Stamp>,
    rows: &mut [(Vec<u8>, Vec<u8>)],
) -> Result<()> {
    if let Some(stamp) = stamp {
        put_stamp(transaction, stamp)?;
    }
    for (key, payload) in rows {
        if is_mark(key) && check_mark(key, payload).is_ok() {
            transaction.put_payload(Table::Meta, key, payload)?;
        }
    }
    Ok(())
}

/// The newest stamp, if there is one.
pub(crate) fn stamp(snapshot: &ReadTransaction<'_>, path: &Path) -> Result<Option<Stamp>> {
    decode_stamp(path, snapshot.get(Table::Meta, KEY, codec::decode)?)
}

fn decode_mark(path: &Path, key: &[u8], value: &[u8]) -> Result<(Sequence, ElapsedMark)> {
    let sequence =
        sequence_of(key).ok_or_else(|| damaged(path, "elapsed", "a key is no sequence"))?;
    let mark =
        codec::decode(value).map_err(|why| damaged(path, &format!("elapsed {sequence}"), &why))?;
    Ok((sequence, mark))
}

fn marks_to_write(
    transaction: &mut WriteTransaction<'_>,
    path: &Path,
) -> Result<Vec<(Sequence, ElapsedMark)>> {
    let mut marks = Marks::default();
    let (first, last) = (mark_key(Sequence::ZERO), mark_key(Sequence::MAX));
    let all = (Bound::Included(&first[..]), Bound::Included(&last[..]));
    let direction = Direction::Descending;
    transaction.scan(Table::Meta, all, direction, |key, value| {
        marks.see(path, key, value)
    })?;
    Ok(marks.ascending())
}

/// Marks that are being read, newest first.
#[derive(Default)]
struct Marks(Vec<(Sequence, ElapsedMark)>);

impl Marks {
    /// Takes up one row, and returns whether to continue.
    fn see(&mut self, path: &Path, key: &[u8], value: &[u8]) -> Result<ControlFlow<()>> {
        self.0.push(decode_mark(path, key, value)?);
        // Newest first: what a hostile file has beyond the bound makes entries younger, never
        // older.
        Ok(if self.0.len() < MOST_MARKS {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        })
    }

    fn ascending(mut self) -> Vec<(Sequence, ElapsedMark)> {
        self.0.reverse();
        self.0
    }
}

/// Elapsed time as one snapshot shows it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Elapsed {
    /// Ascending by sequence.
    marks: Vec<(Sequence, ElapsedMark)>,
    /// Elapsed time now, the pause since the last stamp included.
    now: u64,
    /// The pause since the last stamp, as far as it is believed and not measured; 0 while a run of
    /// this process is open.
    pending: u64,
    /// Elapsed time by which every entry was committed, and the wall clock about then.
    last: u64,
    wall: Timestamp,
    /// Elapsed time when this process began to count it, or the highest number if it does not:
    /// later time is measured, and needs no pause to be believed.
    measured_from: u64,
}

impl Elapsed {
    /// Reads stamp and marks. `wall` is the wall clock now; `meter` counts for a run of this
    /// process.
    pub(crate) fn read(
        snapshot: &ReadTransaction<'_>,
        path: &Path,
        meter: Option<&Meter>,
        wall: Timestamp,
    ) -> Result<Self> {
        let mut marks = Marks::default();
        let (first, last) = (mark_key(Sequence::ZERO), mark_key(Sequence::MAX));
        let all = (Bound::Included(&first[..]), Bound::Included(&last[..]));
        let direction = Direction::Descending;
        snapshot.scan(Table::Meta, all, direction, |key, value| {
            marks.see(path, key, value)
        })?;
        let marks = marks.ascending();
        let stamp = stamp(snapshot, path)?;
        let withdrawn = stamp.map_or(0, |stamp| stamp.withdrawn);
        let running = meter.and_then(|meter| meter.measured(withdrawn));
        let clock = match meter {
            Some(meter) => meter.machine,
            None => MachineClock::of_this_process(),
        };
        let machine = clock.and_then(MachineClock::now);
        let now = Moment { wall, machine };
        Ok(Elapsed::known(marks, stamp, running, now))
    }

    /// Elapsed time by marks, ascending, and a stamp. `running` is when a run of this process
    /// began to count, and how far it is.
    fn known(
        mut marks: Vec<(Sequence, ElapsedMark)>,
        stamp: Option<Stamp>,
        running: Option<(u64, u64)>,
        clocks: Moment,
    ) -> Self {
        let stamp = stamp.unwrap_or(Stamp {
            elapsed: 0,
            wall: clocks.wall,
            machine: clocks.machine,
            withdrawn: 0,
        });
        if let Some((measured_from, now)) = running {
            return Elapsed {
                marks,
                now,
                pending: 0,
                last: stamp.last(),
                wall: stamp.wall,
                measured_from,
            };
        }
        let withdrawn = withdraw(&mut marks, clocks.wall);
        let passed = stamp.passed_until(clocks);
        let elapsed = stamp.elapsed.saturating_sub(withdrawn);
        Elapsed {
            marks,
            now: elapsed.saturating_add(passed.micros()),
            pending: passed.believed(),
            last: stamp.last().saturating_sub(withdrawn),
            wall: stamp.wall,
            measured_from: u64::MAX,
        }
    }

    /// Time that has passed at least since the entry `sequence` was recorded. The longest pause
    /// since then is left out, so that one jump of the clock is never taken for time.
    pub(crate) fn since_entry(&self, sequence: Sequence) -> Duration {
        let index = self.marks.partition_point(|(first, _)| *first <= sequence);
        let mark = self.marks.get(index);
        self.since(mark.map_or(self.last, |(_, mark)| mark.before), index)
    }

    /// Time that has passed at least since the wall clock last showed `wall` or earlier; `None` if
    /// it never did, as far as is known.
    pub(crate) fn since_wall(&self, wall: Timestamp) -> Option<Duration> {
        let earlier = self.marks.iter().rposition(|(_, mark)| mark.wall <= wall)?;
        let index = earlier + 1;
        // The mark that follows is the first at which the clock certainly showed more.
        let elapsed = match self.marks.get(index) {
            Some((_, mark)) => mark.elapsed,
            None if wall < self.wall => self.last,
            None => self.now,
        };
        Some(self.since(elapsed, index))
    }

    /// Whole hours that have passed at least since `hours` had elapsed.
    pub(crate) fn hours_since(&self, hours: i64) -> i64 {
        let micros = u64::try_from(hours).unwrap_or(0).saturating_mul(HOUR);
        let index = self
            .marks
            .partition_point(|(_, mark)| mark.elapsed <= micros);
        let passed = self.since(micros, index).as_secs() / 3_600;
        i64::try_from(passed).unwrap_or(i64::MAX)
    }

    /// Whole hours that have elapsed.
    pub(crate) fn hours(&self) -> i64 {
        i64::try_from(self.now / HOUR).unwrap_or(i64::MAX)
    }

    /// Time since `elapsed`, without the longest pause from the mark `index` on.
    fn since(&self, elapsed: u64, index: usize) -> Duration {
        let later = self.marks.get(index..).unwrap_or_default();
        let believed = later
            .iter()
            .filter(|(_, mark)| mark.elapsed <= self.measured_from);
        // One pause may have been a jump of the clock. Which one is not known, so the longest does
        // not count.
        let longest = believed.map(|(_, mark)| mark.pauses).max();
        let longest = longest.unwrap_or(0).max(self.pending);
        let total = self.now.saturating_sub(elapsed);
        Duration::from_micros(total.saturating_sub(longest))
    }

    /// Entries that were committed in the last `span` of elapsed time before `next`, and the time
    /// that these took. Marks are 5 s apart at least, so that time may be longer than `span`; it is
    /// shorter if the journal is younger.
    pub(crate) fn recent(&self, span: Duration, next: Sequence) -> (u64, Duration) {
        let span = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        let from = self.now.saturating_sub(span);
        let index = self.marks.partition_point(|(_, mark)| mark.elapsed <= from);
        let start = index.checked_sub(1).and_then(|index| self.marks.get(index));
        let (sequence, elapsed) = match start.or(self.marks.first()) {
            Some((sequence, mark)) => (*sequence, mark.elapsed),
            None => (next, self.now),
        };
        let took = self.now.saturating_sub(elapsed);
        (next.since(sequence), Duration::from_micros(took))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::kv::Kv;

    const DAY: u64 = 86_400_000_000;

    fn mark(before: u64, elapsed: u64, wall: Timestamp) -> ElapsedMark {
        ElapsedMark {
            before,
            elapsed,
            pauses: elapsed - before,
            wall,
        }
    }

    fn stamp_at(elapsed: u64, wall: Timestamp) -> Stamp {
        Stamp {
            elapsed,
            wall,
            machine: None,
            withdrawn: 0,
        }
    }

    /// A moment of a machine whose own clock is not known.
    fn wall(wall: Timestamp) -> Moment {
        Moment {
            wall,
            machine: None,
        }
    }

    fn machine(start: u64, micros: u64) -> Option<MachineTime> {
        Some(MachineTime { start, micros })
    }

    fn days(count: u64) -> Duration {
        Duration::from_micros(count * DAY)
    }

    #[test]
    fn one_pause_is_never_taken_for_age() {
        let marks = vec![
            (Sequence::FIRST, mark(0, 0, Timestamp(0))),
            (Sequence::new(100), mark(10, 10 + 7 * DAY, Timestamp(0))),
        ];
        let stamp = stamp_at(10 + 7 * DAY, Timestamp(0));
        let known = Elapsed::known(marks, Some(stamp), None, wall(Timestamp(0)));
        assert_eq!(known.since_entry(Sequence::new(50)), Duration::ZERO);
        assert!(known.since_entry(Sequence::new(100)) < Duration::from_secs(2));
    }

    #[test]
    fn a_job_of_minutes_each_day_ages_by_days() {
        let day = i64::try_from(DAY).unwrap();
        let marks = (0..40_u64).map(|n| {
            let before = if n == 0 { 0 } else { (n - 1) * DAY + 300 };
            let wall = Timestamp(i64::try_from(n).unwrap() * day);
            (Sequence::new(1 + n * 100), mark(before, n * DAY, wall))
        });
        let stamp = stamp_at(39 * DAY, Timestamp(39 * day));
        let known = Elapsed::known(
            marks.collect(),
            Some(stamp),
            None,
            wall(Timestamp(39 * day)),
        );
        // Recorded on the first day; the longest pause of a day is left out.
        assert!(
            known.since_entry(Sequence::new(50)) >= days(37),
            "{:?}",
            known.since_entry(Sequence::new(50))
        );
        assert!(known.since_entry(Sequence::new(50)) <= days(39));
        assert!(known.since_wall(Timestamp(0)) >= Some(days(36)));
        assert_eq!(known.since_wall(Timestamp(39 * day)), Some(Duration::ZERO));
        assert_eq!(known.since_wall(Timestamp::MAX), Some(Duration::ZERO));
        assert_eq!(known.since_wall(Timestamp(-1)), None);
    }

    #[test]
    fn a_clock_that_falls_back_takes_the_pause_back() {
        let day = i64::try_from(DAY).unwrap();
        let mut marks = vec![
            (Sequence::FIRST, mark(0, 0, Timestamp(0))),
            (Sequence::new(2), mark(5, 5 + 3 * DAY, Timestamp(3 * day))),
        ];
        assert_eq!(withdraw(&mut marks, Timestamp(day)), 2 * DAY);
        assert_eq!(marks[1].1.elapsed, 5 + DAY);
        // The same fall is not counted twice.
        assert_eq!(withdraw(&mut marks, Timestamp(day)), 0);
        assert_eq!(withdraw(&mut marks, Timestamp::MIN), DAY);
    }

    #[test]
    fn the_machines_clock_measures_what_the_wall_clock_denies() {
        let stamp = Stamp {
            machine: machine(1, 1_000),
            ..stamp_at(500, Timestamp(0))
        };
        let at = |shown: i64, machine| Moment {
            wall: Timestamp(shown),
            machine,
        };
        // The wall clock fell back, stood still, or leapt: on one start of the machine all is one.
        for shown in [-5, 0, i64::MAX] {
            let passed = stamp.passed_until(at(shown, machine(1, 9_000)));
            assert_eq!(passed, Passed::Measured(8_000));
        }
        // Longer than a pause is believed, and no part of it is left out.
        let later = at(0, machine(1, 1_000 + 30 * DAY));
        let known = Elapsed::known(Vec::new(), Some(stamp), None, later);
        assert_eq!(known.now, 500 + 30 * DAY);
        assert!(known.since_entry(Sequence::FIRST) > days(29));
        // Of another start, or of none, it says nothing.
        for other in [machine(2, 9_000), None] {
            let passed = stamp.passed_until(at(7, other));
            assert_eq!(passed, Passed::Believed(7));
        }
    }

    #[test]
    fn handles_of_one_machine_count_the_same() {
        let kv = Kv::in_memory(1 << 20).unwrap();
        let path = kv.path().to_owned();
        let identity = meta::Identity::draw(None, Timestamp(0)).unwrap();
        kv.write(|transaction| meta::ensure(transaction, &path, &identity))
            .unwrap();
        let begin = |meter: &Meter| kv.write(|transaction| meter.begin(transaction, &path));
        let count = |meter: &Meter| {
            let withdrawn = kv.read(|snapshot| stamp(snapshot, &path));
            meter
                .measured(withdrawn.unwrap().unwrap().withdrawn)
                .unwrap()
                .1
        };
        let first = Meter::new(Clock::system());
        if first.machine.is_none() {
            return;
        }
        begin(&first).unwrap();
        // Ten days of a pause that was believed, and turns out to be a leap of the clock.
        let mut known = kv.read(|snapshot| stamp(snapshot, &path)).unwrap().unwrap();
        kv.write(|transaction| {
            known.elapsed += 5 * DAY;
            let ahead = known.wall.saturating_add(Duration::from_secs(10 * 86_400));
            let mark = ElapsedMark {
                before: 0,
                elapsed: known.elapsed,
                pauses: 5 * DAY,
                wall: ahead,
            };
            put_stamp(transaction, known)?;
            put_mark(transaction, Sequence::new(1), &mark)
        })
        .unwrap();
        let ahead = Meter::new(Clock::system());
        ahead.began.get_or_init(|| Began {
            elapsed: known.elapsed,
            ticks: 0,
            machine: known.machine,
            withdrawn: 0,
        });
        let second = Meter::new(Clock::system());
        begin(&second).unwrap();
        // The opener took the leap back, and the handle that was open follows.
        let counts = [count(&ahead), count(&second), count(&ahead)];
        assert!(counts.is_sorted() && counts[2] < DAY, "{counts:?}");
    }

    #[test]
    fn hostile_marks_saturate() {
        let worst = ElapsedMark {
            before: u64::MAX,
            elapsed: u64::MAX,
            pauses: u64::MAX,
            wall: Timestamp::MAX,
        };
        let stamp = Stamp {
            withdrawn: u64::MAX,
            ..stamp_at(u64::MAX, Timestamp::MIN)
        };
        for shown in [Timestamp::MIN, Timestamp(0), Timestamp::MAX] {
            let marks = vec![(Sequence::ZERO, worst), (Sequence::MAX, worst)];
            let known = Elapsed::known(marks, Some(stamp), Some((0, 0)), wall(shown));
            known.since_entry(Sequence::new(5));
            known.since_wall(shown);
            known.recent(Duration::MAX, Sequence::ZERO);
            let marks = vec![(Sequence::ZERO, worst), (Sequence::MAX, worst)];
            let known = Elapsed::known(marks, Some(stamp), None, wall(shown));
            known.since_entry(Sequence::MAX);
            assert!(known.hours() >= 0);
        }
    }
}

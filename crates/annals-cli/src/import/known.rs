//! Entries of earlier imports: found by number and by content, each entry for one row.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use annals::{Error, InferenceId, Reader, Repeats};

use super::content::{InferenceContent, Likeness, of_record};
use super::times::{QUARTER, ZONES, is_of_a_zone};
use crate::failure::Result;

/// Difference of summer and winter time.
const HOUR: u64 = 3_600_000_000;
/// Differences between two zones: summer and winter change on other days in each.
const ZONE_OFFSETS: usize = 3;
/// Rows without a number of their own have those from here on, by their content.
pub const BY_CONTENT: u64 = 1 << 39;
/// Rows that may agree by chance with a time that another zone gives them.
const FEW: u64 = 5;

/// An inference that an import took in.
struct StoredInference {
    id: u64,
    content: InferenceContent,
    /// Whether a row of this source has been found to be it.
    used: bool,
}

/// All inferences of the imports of one kind of source: 56 bytes for each.
#[derive(Default)]
pub struct KnownInferences {
    /// By core and time.
    rows: Vec<StoredInference>,
    /// Indexes of `rows`, by id.
    by_id: Vec<usize>,
    sources: BTreeMap<u32, String>,
    counts: BTreeMap<u32, u64>,
    /// Runs that this source has been taken in under.
    ours: Vec<u32>,
    /// Differences between the zone that was said before and the one that is said now, in µs.
    offsets: BTreeSet<i64>,
    /// Whether most rows still have the numbers that they were taken in under.
    is_stable: bool,
}

/// A row of a source, as far as it is known by that.
pub struct SourceRow {
    /// Its number, if that can be an id's.
    pub number: Option<u64>,
    pub content: InferenceContent,
    /// Its time as if it were UTC's, if it bears no zone.
    pub local: Option<i64>,
}

/// A row's relation to earlier imports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Recognition {
    New,
    /// It was taken in before, as this entry.
    Known(EntryId, How),
    /// Another source has one like it.
    Alike(u32),
}

/// The id of an entry of an earlier import.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EntryId(u64);

impl EntryId {
    /// The run that it was taken in under.
    pub fn run(self) -> u32 {
        u32::try_from(self.0 >> 40).unwrap_or(u32::MAX)
    }

    /// Its number in that.
    pub fn counter(self) -> u64 {
        self.0 & ((1 << 40) - 1)
    }
}

/// How the entry of a known row stands to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum How {
    Same,
    /// It was taken in with a time that another `--zone` gave it.
    OtherZone,
    Differs(InferenceContent),
}

/// How many rows of a source are there under one run.
#[derive(Default)]
struct Met {
    /// Under their number.
    numbered: u64,
    /// Under another number.
    moved: u64,
    /// With the times of another zone.
    shifted: u64,
    /// Rows whose number and time another row has.
    others: u64,
    /// Differences of the zones, µs.
    offsets: Vec<i64>,
}

impl KnownInferences {
    /// Reads what imports of sources whose names begin with `prefix` took in.
    pub fn read(dir: &Path, prefix: &str) -> Result<KnownInferences> {
        let reader = match Reader::open(dir) {
            Err(Error::Missing { .. }) => return Ok(KnownInferences::default()),
            opened => opened?,
        };
        let mut known = KnownInferences::default();
        for run in reader.runs() {
            let run = run?;
            if let Some(source) = run.source.filter(|source| source.starts_with(prefix)) {
                known.sources.insert(run.id.get(), source);
            }
        }
        if known.sources.is_empty() {
            return Ok(known);
        }
        for record in reader.inferences().repeats(Repeats::Include).iter() {
            let record = record?;
            let run = record.id.run().get();
            if known.sources.contains_key(&run) {
                *known.counts.entry(run).or_default() += 1;
                known.rows.push(StoredInference {
                    id: record.id.to_u64(),
                    content: of_record(&record),
                    used: false,
                });
            }
        }
        let key = |row: &StoredInference| (row.content.core, row.content.time, row.id);
        known.rows.sort_unstable_by_key(key);
        known.by_id = (0..known.rows.len()).collect();
        let rows = &known.rows;
        let id = |index: &usize| rows.get(*index).map(|row| row.id);
        known.by_id.sort_unstable_by_key(id);
        Ok(known)
    }

    /// Whether there is nothing to be like.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The name of a run's source.
    pub fn source(&self, run: u32) -> &str {
        self.sources.get(&run).map_or("?", String::as_str)
    }

    /// Whether a source of this name has been taken in.
    pub fn has_source(&self, name: &str) -> bool {
        self.sources.values().any(|source| source == name)
    }

    /// Whether an inference with this id has been taken in.
    pub fn has_id(&self, id: InferenceId) -> bool {
        self.at(id.to_u64()).is_some()
    }

    fn at(&self, id: u64) -> Option<usize> {
        let of = |index: &usize| self.rows.get(*index).map_or(u64::MAX, |row| row.id);
        let found = self.by_id.binary_search_by_key(&id, of).ok()?;
        self.by_id.get(found).copied()
    }

    fn numbered(&self, run: u32, number: Option<u64>) -> Option<usize> {
        self.at((u64::from(run) << 40) | number?)
    }

    /// Entries with this content, at this time.
    fn alike(&self, core: u64, time: i64) -> impl Iterator<Item = (usize, &StoredInference)> {
        let key = |row: &StoredInference| (row.content.core, row.content.time);
        let start = self.rows.partition_point(|row| key(row) < (core, time));
        let rows = self.rows.iter().enumerate().skip(start);
        rows.take_while(move |(_, row)| key(row) == (core, time))
    }

    /// The difference of zones that makes `row` the same as what is stored.
    fn offset(row: &SourceRow, stored: &InferenceContent) -> Option<i64> {
        let local = row.local?;
        let is_zone = is_of_a_zone(local, stored.time)
            && row.content.time != stored.time
            && row.content.core == stored.core;
        is_zone.then(|| row.content.time.saturating_sub(stored.time))
    }

    /// Finds out under which runs the source that `sample` is of has been taken in; gives the name
    /// of the first of these. `is_same_name` tells names that the source itself bears.
    pub fn recognise(
        &mut self,
        sample: &[SourceRow],
        is_same_name: impl Fn(&str) -> bool,
    ) -> Option<&str> {
        let mut found: Vec<(u64, u32)> = Vec::new();
        let mut offsets = BTreeSet::new();
        let (mut numbered, mut moved) = (0_u64, 0_u64);
        for (run, source) in &self.sources {
            let met = self.meet(*run, sample);
            // A file of another name has to agree nearly everywhere.
            let (parts, of) = if is_same_name(source) {
                (1, 2)
            } else {
                (9, 10)
            };
            let enough =
                |part: u64, whole: u64| part > 0 && part * of >= whole.saturating_mul(parts);
            let all = u64::try_from(sample.len()).unwrap_or(u64::MAX);
            let stored = self.counts.get(run).copied().unwrap_or(0);
            let by_number = met.numbered + met.shifted;
            let by_content = met.numbered + met.moved + met.shifted;
            if enough(by_number, by_number + met.others) || enough(by_content, all.min(stored)) {
                found.push((by_content, *run));
                numbered = met.numbered.saturating_add(numbered);
                moved = met.moved.saturating_add(moved);
                offsets.extend(met.offsets);
            }
        }
        found.sort_unstable_by(|one, other| other.cmp(one));
        self.ours = found.iter().map(|(_, run)| *run).collect();
        self.offsets = offsets;
        self.is_stable = numbered >= moved;
        let first = self.ours.first()?;
        self.sources.get(first).map(String::as_str)
    }

    /// How the rows of a source stand to what was taken in under `run`.
    fn meet(&self, run: u32, sample: &[SourceRow]) -> Met {
        let mut met = Met::default();
        let mut used = vec![false; self.rows.len()];
        let mut left = Vec::new();
        for row in sample {
            let at = self.numbered(run, row.number);
            let before = at.and_then(|at| Some((at, self.rows.get(at)?)));
            let is_it =
                before.is_some_and(|(_, before)| match row.content.likeness(&before.content) {
                    Likeness::Same | Likeness::Completed => true,
                    Likeness::Changed => row.content.core == before.content.core,
                    Likeness::Other => false,
                });
            if let Some(used) = at.filter(|_| is_it).and_then(|at| used.get_mut(at)) {
                *used = true;
                met.numbered += 1;
            } else {
                left.push(row);
            }
        }
        left.retain(|row| {
            let mut alike = self.alike(row.content.core, row.content.time);
            let free = alike.find(|(at, stored)| {
                run_of(stored) == run && used.get(*at).is_some_and(|used| !used)
            });
            if let Some(used) = free.and_then(|(at, _)| used.get_mut(at)) {
                *used = true;
                met.moved += 1;
                return false;
            }
            true
        });
        self.compare_zones(run, &left, &used, &mut met);
        met
    }

    /// Finds out whether the rows in `left`, which are not there as they are, are there with the
    /// times of another zone. Rows that follow each other by a quarter of an hour or an hour look
    /// alike then, so nearly all have to agree.
    fn compare_zones(&self, run: u32, left: &[&SourceRow], used: &[bool], met: &mut Met) {
        let is_free = |at: usize| used.get(at).is_some_and(|used| !used);
        let mut shifts: BTreeMap<i64, u64> = BTreeMap::new();
        let (mut all, mut others, mut unnumbered) = (0, 0, 0);
        for row in left {
            if row.number.is_none() {
                unnumbered += 1;
                let mut seen = self.with_zones(row);
                seen.retain(|(at, stored, _)| run_of(stored) == run && is_free(*at));
                seen.iter()
                    .for_each(|(_, _, shift)| *shifts.entry(*shift).or_default() += 1);
                continue;
            }
            let at = self.numbered(run, row.number).filter(|at| is_free(*at));
            let Some(before) = at.and_then(|at| self.rows.get(at)) else {
                continue;
            };
            all += 1;
            match Self::offset(row, &before.content) {
                Some(shift) => *shifts.entry(shift).or_default() += 1,
                // A number with another time was given again to another row, and says nothing.
                // With the same time and another answer, it is another source's.
                None => {
                    others += u64::from(row.content.likeness(&before.content) == Likeness::Changed);
                }
            }
        }
        met.others = others;
        if unnumbered > 0 {
            let free = self.rows.iter().enumerate();
            let free = free.filter(|(at, stored)| run_of(stored) == run && is_free(*at));
            all = u64::try_from(free.count())
                .unwrap_or(u64::MAX)
                .min(unnumbered);
        }
        // A zone has two offsets, in summer and in winter.
        let mut most: Vec<(u64, i64)> = shifts.into_iter().map(|(shift, n)| (n, shift)).collect();
        most.sort_unstable_by(|one, other| other.cmp(one));
        let first = most.first().map_or(0, |(_, shift)| *shift);
        most.retain(|(_, shift)| shift.abs_diff(first) <= HOUR);
        most.truncate(ZONE_OFFSETS);
        let shifted: u64 = most.iter().map(|(rows, _)| rows).sum();
        let is_sure = shifted >= FEW || met.numbered + met.moved == 0;
        if shifted > 0 && is_sure && shifted * 10 >= all.saturating_mul(9) {
            met.shifted = shifted.min(all);
            met.offsets = most.into_iter().map(|(_, shift)| shift).collect();
        }
    }

    /// Entries with the content of `row` at a time that another zone gives it, and how far that is.
    fn with_zones(&self, row: &SourceRow) -> Vec<(usize, &StoredInference, i64)> {
        let Some(local) = row.local else {
            return Vec::new();
        };
        let quarters = ZONES.0..=ZONES.1;
        let times = quarters.map(|quarters| local.saturating_sub(quarters * QUARTER));
        let seen = times.filter_map(|time| {
            let (at, stored) = self.alike(row.content.core, time).next()?;
            Some((at, stored, row.content.time.saturating_sub(time)))
        });
        seen.filter(|(_, _, shift)| *shift != 0).collect()
    }

    /// Takes the source with this name for the one that is read, whatever it holds.
    pub fn assume(&mut self, sample: &[SourceRow], name: &str) {
        self.recognise(sample, |source| source == name);
        let named = self.sources.iter().find(|(_, source)| *source == name);
        let named = named.map(|(run, _)| *run);
        self.ours.retain(|run| Some(*run) == named);
        if let (true, Some(run)) = (self.ours.is_empty(), named) {
            self.ours.push(run);
        }
    }

    /// The relation of `row`; `run` is the one that the source is taken in under now.
    pub fn judge(&mut self, run: u32, row: &SourceRow) -> Recognition {
        if self.rows.is_empty() {
            return Recognition::New;
        }
        if self.ours.is_empty() {
            let alike = self.alike(row.content.core, row.content.time).next();
            return alike.map_or(Recognition::New, |(_, stored)| {
                Recognition::Alike(run_of(stored))
            });
        }
        if let Some((at, how)) = self.by_number(run, row) {
            return self.used(at, how);
        }
        // By content alone, rows of other zones are looked for only where nothing numbers them.
        let shifts = self.offsets.iter().copied();
        let shifts = shifts.filter(|_| row.number.is_none());
        let times = std::iter::once(0).chain(shifts);
        let mut found = None;
        for offset in times {
            let time = row.content.time.saturating_sub(offset);
            let free = self
                .alike(row.content.core, time)
                .filter(|(_, stored)| !stored.used && self.ours.contains(&run_of(stored)));
            // Of those with other attributes, rows that come later by their number may claim
            // theirs.
            let likeness = |stored: &StoredInference| row.content.likeness(&stored.content);
            let mut free = free.filter(|(_, stored)| {
                likeness(stored) == Likeness::Same || !self.is_awaited(stored, row.number)
            });
            let first = free.next();
            let same = first
                .filter(|(_, stored)| likeness(stored) == Likeness::Same)
                .or_else(|| free.find(|(_, stored)| likeness(stored) == Likeness::Same));
            if let Some((at, stored)) = same.or(first) {
                let how = match row.content.likeness(&stored.content) {
                    Likeness::Other => How::OtherZone,
                    Likeness::Same => How::Same,
                    Likeness::Completed | Likeness::Changed => How::Differs(stored.content),
                };
                found = Some((at, how));
                break;
            }
        }
        match found {
            Some((at, how)) => self.used(at, how),
            None => Recognition::New,
        }
    }

    /// Whether the row that `stored` was taken in from is still to come, after the one with this
    /// number.
    fn is_awaited(&self, stored: &StoredInference, number: Option<u64>) -> bool {
        let own = stored.id & (BY_CONTENT - 1);
        let has_own = stored.id & BY_CONTENT == 0;
        self.is_stable && has_own && number.is_some_and(|number| own > number)
    }

    /// The entry that bears the row's number, if it is the row's.
    fn by_number(&self, run: u32, row: &SourceRow) -> Option<(usize, How)> {
        let at = self.numbered(run, row.number)?;
        let before = self.rows.get(at).filter(|before| !before.used)?;
        let how = match row.content.likeness(&before.content) {
            Likeness::Same => How::Same,
            Likeness::Other => {
                let shift = Self::offset(row, &before.content);
                shift.filter(|shift| self.offsets.contains(shift))?;
                How::OtherZone
            }
            Likeness::Completed | Likeness::Changed => How::Differs(before.content),
        };
        Some((at, how))
    }

    fn used(&mut self, at: usize, how: How) -> Recognition {
        let Some(stored) = self.rows.get_mut(at) else {
            return Recognition::New;
        };
        stored.used = true;
        Recognition::Known(EntryId(stored.id), how)
    }
}

fn run_of(stored: &StoredInference) -> u32 {
    EntryId(stored.id).run()
}

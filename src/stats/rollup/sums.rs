//! A rollup: the sum of some decisions, in memory and in stored form.

use super::bytes::{ByteReader, put, put_wide};
use super::fixed::Confidences;
use super::outcomes::{Current, OutcomeSums, Predictions};
use super::reals::Sign;
use super::sketch::Sketch;
use crate::engine::format::row::{NameId, flag};
use crate::engine::format::scan::ScannedDecision;
use crate::entry::timestamp::Timestamp;

type Result<T> = std::result::Result<T, String>;

/// Sum of the decisions of one stretch of time.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rollup {
    /// First and last event time, repeats included. Invariant R1: reversed while there are none.
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
    /// By action. Invariant R2: sorted by action, none of them empty.
    pub(crate) cells: Vec<(NameId, Cell)>,
    /// Processing times in nanoseconds, without those of repeats.
    pub(crate) processing: Sketch,
    pub(crate) memory: MemorySums,
}

/// Sum of the decisions for one action.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Cell {
    /// In full, repeats left out.
    pub(crate) recorded: u64,
    pub(crate) repeats: u64,
    pub(crate) divergences: u64,
    /// Confidence given, but not from 0 to 1.
    pub(crate) invalid: u64,
    pub(crate) without_confidence: u64,
    /// The valid ones of those recorded in full.
    pub(crate) confidences: Confidences,
    pub(crate) processing: ProcessingSums,
    /// Outcomes, repeats included.
    pub(crate) outcomes: Option<Box<OutcomeSums>>,
}

/// A new outcome of a decision.
#[derive(Clone, Debug)]
pub(crate) struct OutcomeChange {
    pub(crate) event: ScannedDecision,
    pub(crate) predictions: Predictions,
    /// Its state before.
    pub(crate) before: Current,
    /// Its state now.
    pub(crate) after: Current,
}

/// Processing times, nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProcessingSums {
    pub(crate) count: u64,
    pub(crate) sum: u128,
    pub(crate) min: u64,
    pub(crate) max: u64,
}

/// Memory of the process, KiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MemorySums {
    pub(crate) count: u64,
    pub(crate) sum: u128,
    pub(crate) max: u64,
}

impl Default for ProcessingSums {
    fn default() -> Self {
        ProcessingSums {
            count: 0,
            sum: 0,
            min: u64::MAX,
            max: 0,
        }
    }
}

impl ProcessingSums {
    #[inline]
    fn add(&mut self, nanos: u64) {
        self.count = self.count.saturating_add(1);
        self.sum = self.sum.saturating_add(u128::from(nanos));
        self.min = self.min.min(nanos);
        self.max = self.max.max(nanos);
    }

    pub(crate) fn merge(&mut self, other: &ProcessingSums) {
        self.count = self.count.saturating_add(other.count);
        self.sum = self.sum.saturating_add(other.sum);
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }
}

impl MemorySums {
    #[inline]
    fn add(&mut self, kib: u64) {
        self.count = self.count.saturating_add(1);
        self.sum = self.sum.saturating_add(u128::from(kib));
        self.max = self.max.max(kib);
    }

    fn merge(&mut self, other: &MemorySums) {
        self.count = self.count.saturating_add(other.count);
        self.sum = self.sum.saturating_add(other.sum);
        self.max = self.max.max(other.max);
    }
}

impl Cell {
    /// Inferences and repeats.
    pub(crate) fn decisions(&self) -> u64 {
        self.recorded.saturating_add(self.repeats)
    }

    /// Adds a decision.
    #[inline]
    pub(crate) fn add(&mut self, event: &ScannedDecision) {
        // Means and extremes are of answers, and a repeat gives none of its own.
        if event.flags & flag::REPEAT != 0 {
            self.repeats = self.repeats.saturating_add(1);
            return;
        }
        self.recorded = self.recorded.saturating_add(1);
        self.divergences = self
            .divergences
            .saturating_add(u64::from(event.flags & flag::DIVERGENT != 0));
        if event.flags & flag::NO_CONFIDENCE != 0 {
            self.without_confidence = self.without_confidence.saturating_add(1);
        } else if (0.0..=1.0).contains(&event.confidence) {
            // NaN is in no range, so it counts as invalid below.
            self.confidences.add(event.confidence);
        } else {
            self.invalid = self.invalid.saturating_add(1);
        }
        // 0 stands for an unknown time; a known one is stored as one more.
        if let Some(nanos) = event.processing.checked_sub(1) {
            self.processing.add(nanos);
        }
    }

    pub(crate) fn merge(&mut self, other: &Cell) {
        self.recorded = self.recorded.saturating_add(other.recorded);
        self.repeats = self.repeats.saturating_add(other.repeats);
        self.divergences = self.divergences.saturating_add(other.divergences);
        self.invalid = self.invalid.saturating_add(other.invalid);
        self.without_confidence = self
            .without_confidence
            .saturating_add(other.without_confidence);
        self.confidences.merge(&other.confidences);
        self.processing.merge(&other.processing);
        if let Some(outcomes) = &other.outcomes {
            self.outcomes.get_or_insert_default().merge(outcomes);
        }
    }
}

impl Default for Rollup {
    fn default() -> Self {
        Rollup {
            first: Timestamp::MAX,
            last: Timestamp::MIN,
            cells: Vec::new(),
            processing: Sketch::default(),
            memory: MemorySums::default(),
        }
    }
}

impl Rollup {
    /// Adds a decision.
    #[inline]
    pub(crate) fn add(&mut self, event: &ScannedDecision) {
        self.first = self.first.min(event.event);
        self.last = self.last.max(event.event);
        self.cell(event.action).add(event);
        if event.flags & flag::REPEAT != 0 {
            return;
        }
        if let Some(nanos) = event.processing.checked_sub(1) {
            self.processing.add(nanos);
        }
        if let Some(kib) = event.memory.checked_sub(1) {
            self.memory.add(kib);
        }
    }

    /// The decisions for `action`.
    #[inline]
    pub(crate) fn cell(&mut self, action: NameId) -> &mut Cell {
        let place = self.cells.binary_search_by_key(&action, |cell| cell.0);
        let index = place.unwrap_or_else(|index| {
            // In its place, for invariant R2: the next search goes by halves.
            self.cells.insert(index, (action, Cell::default()));
            index
        });
        &mut self.cells[index].1
    }

    pub(crate) fn merge(&mut self, other: &Rollup) {
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        for (action, cell) in &other.cells {
            self.cell(*action).merge(cell);
        }
        self.processing.merge(&other.processing);
        self.memory.merge(&other.memory);
    }

    /// Adds what changed for a decision that this rollup holds.
    pub(crate) fn change(&mut self, change: &OutcomeChange) {
        let cell = self.cell(change.event.action);
        let outcomes = cell.outcomes.get_or_insert_default();
        let confidence = change.event.valid_confidence();
        // A replaced outcome does not count at all. Sums are integers, so this leaves no rest.
        for (current, sign) in [(&change.before, Sign::Minus), (&change.after, Sign::Plus)] {
            outcomes.change(current, confidence, &change.predictions, sign);
        }
    }

    /// Whether anything turned out for its decisions.
    pub(crate) fn has_outcomes(&self) -> bool {
        self.cells.iter().any(|(_, cell)| cell.outcomes.is_some())
    }

    /// The names of its actions, and of the values that turned out; one may come more than once.
    pub(crate) fn names(&self) -> impl Iterator<Item = NameId> {
        self.cells.iter().flat_map(|(action, cell)| {
            let outcomes = cell.outcomes.iter();
            let named = outcomes.flat_map(|outcomes| {
                let predictions = outcomes.predictions.iter().map(|errors| errors.0);
                outcomes
                    .named
                    .iter()
                    .map(|named| named.0)
                    .chain(predictions)
            });
            named.chain([*action])
        })
    }

    /// All actions in one.
    pub(crate) fn whole(&self) -> Cell {
        let mut whole = Cell::default();
        self.cells.iter().for_each(|(_, cell)| whole.merge(cell));
        whole
    }

    /// Decisions, repeats included.
    pub(crate) fn events(&self) -> u64 {
        let cells = self.cells.iter();
        cells.fold(0, |sum: u64, (_, cell)| {
            sum.saturating_add(cell.decisions())
        })
    }

    /// Whether all of its decisions lie in `from..=until`.
    pub(crate) fn is_within(&self, from: Timestamp, until: Timestamp) -> bool {
        self.first >= from && self.last <= until
    }

    /// Whether none of them does.
    pub(crate) fn is_beside(&self, from: Timestamp, until: Timestamp) -> bool {
        self.last < from || self.first > until
    }
}

/// The stored parts of a cell; an absent one is zero.
mod part {
    pub(super) const REPEATS: u8 = 1;
    pub(super) const DIVERGENCES: u8 = 2;
    pub(super) const INVALID: u8 = 4;
    pub(super) const WITHOUT: u8 = 8;
    pub(super) const CONFIDENCES: u8 = 16;
    pub(super) const PROCESSING: u8 = 32;
    pub(super) const OUTCOMES: u8 = 64;
    pub(super) const ALL: u8 = 127;
}

/// The units of a confidence of 1.
const MOST_UNITS: u64 = 1 << 40;

/// Refuses a sum that so many numbers of at most `each` cannot have.
fn at_most(sum: u128, count: u64, each: u64) -> Result<()> {
    // A larger sum would give a mean that no number of them has.
    if sum > u128::from(count).saturating_mul(each.into()) {
        return Err(format!("{count} numbers have a sum of {sum}"));
    }
    Ok(())
}

/// Which parts of a rollup are stored.
mod section {
    pub(super) const PROCESSING: u8 = 1;
    pub(super) const MEMORY: u8 = 2;
    pub(super) const ALL: u8 = 3;
}

impl Rollup {
    /// Appends the bytes of a rollup whose stretch of time begins at `start`.
    pub(crate) fn encode(&self, start: Timestamp, out: &mut Vec<u8>) {
        // Modulo 2^64, also for the reversed ends of R1: decoding adds the same numbers again.
        put(self.first.distance_from(start).cast_unsigned(), out);
        put(self.last.distance_from(self.first).cast_unsigned(), out);
        let mut sections = 0;
        sections |= if self.processing.is_empty() {
            0
        } else {
            section::PROCESSING
        };
        sections |= if self.memory.count == 0 {
            0
        } else {
            section::MEMORY
        };
        out.push(sections);
        put(self.cells.len() as u64, out);
        for (action, cell) in &self.cells {
            put((*action).into(), out);
            cell.encode(out);
        }
        if sections & section::PROCESSING != 0 {
            let bins = self.processing.bins();
            put(bins.len() as u64, out);
            let mut before = 0;
            for (bin, count) in bins {
                // Bins ascend by S1, so no distance is negative.
                put(u64::from(bin - before), out);
                put(*count, out);
                before = *bin;
            }
        }
        if sections & section::MEMORY != 0 {
            put(self.memory.count, out);
            put_wide(self.memory.sum, out);
            put(self.memory.max, out);
        }
    }

    /// Reads what [`encode`](Self::encode) wrote, in place of what this rollup was.
    pub(crate) fn decode(&mut self, start: Timestamp, bytes: &[u8]) -> Result<()> {
        let mut bytes = ByteReader::new(bytes);
        self.first = start.at_distance(bytes.number()?.cast_signed());
        self.last = self.first.at_distance(bytes.number()?.cast_signed());
        let sections = bytes.byte()?;
        if sections & !section::ALL != 0 {
            return Err(format!("sections {sections}"));
        }
        self.cells.clear();
        // No more parts than bytes are left: a false count makes no long loop.
        for _cell in 0..bytes.count()? {
            let action = bytes.small()?;
            // `cell` searches by halves, and would find nothing in cells out of order.
            if self.cells.last().is_some_and(|last| last.0 >= action) {
                return Err(format!("action {action} is out of order"));
            }
            self.cells.push((action, Cell::decode(&mut bytes)?));
        }
        self.processing.clear();
        if sections & section::PROCESSING != 0 {
            let mut bin = 0_u16;
            for _bin in 0..bytes.count()? {
                let more = bytes.small()?;
                // Checked here: a sum that wrapped would pass for a lower bin.
                bin = bin.checked_add(more).ok_or("a bin too many")?;
                self.processing.push(bin, bytes.bounded()?)?;
            }
        }
        self.memory = MemorySums::default();
        if sections & section::MEMORY != 0 {
            self.memory = MemorySums {
                count: bytes.bounded()?,
                sum: bytes.wide()?,
                max: bytes.number()?,
            };
            at_most(self.memory.sum, self.memory.count, u64::MAX)?;
        }
        bytes.end()
    }
}

impl Cell {
    fn encode(&self, out: &mut Vec<u8>) {
        let counts = [
            (part::REPEATS, self.repeats),
            (part::DIVERGENCES, self.divergences),
            (part::INVALID, self.invalid),
            (part::WITHOUT, self.without_confidence),
            (part::CONFIDENCES, self.confidences.count),
            (part::PROCESSING, self.processing.count),
        ];
        let present = counts.iter().filter(|(_, count)| *count != 0);
        let outcomes = self
            .outcomes
            .as_deref()
            // Outcomes that were all taken away again leave zeros.
            .filter(|outcomes| outcomes.attached != 0);
        let parts = outcomes.map_or(0, |_| part::OUTCOMES);
        out.push(present.clone().fold(parts, |parts, (part, _)| parts | part));
        put(self.recorded, out);
        present.for_each(|(_, count)| put(*count, out));
        if self.confidences.count != 0 {
            put_wide(self.confidences.sum, out);
            put_wide(self.confidences.squares, out);
            out.extend_from_slice(&self.confidences.min.to_le_bytes());
            out.extend_from_slice(&self.confidences.max.to_le_bytes());
        }
        if self.processing.count != 0 {
            put_wide(self.processing.sum, out);
            put(self.processing.min, out);
            put(self.processing.max.wrapping_sub(self.processing.min), out);
        }
        if let Some(outcomes) = outcomes {
            outcomes.encode(out);
        }
    }

    fn decode(bytes: &mut ByteReader<'_>) -> Result<Cell> {
        let parts = bytes.byte()?;
        if parts & !part::ALL != 0 {
            return Err(format!("parts {parts}"));
        }
        let mut cell = Cell {
            recorded: bytes.bounded()?,
            ..Cell::default()
        };
        let mut count = |part: u8| match parts & part {
            0 => Ok(0),
            _ => bytes.bounded(),
        };
        cell.repeats = count(part::REPEATS)?;
        cell.divergences = count(part::DIVERGENCES)?;
        cell.invalid = count(part::INVALID)?;
        cell.without_confidence = count(part::WITHOUT)?;
        cell.confidences.count = count(part::CONFIDENCES)?;
        cell.processing.count = count(part::PROCESSING)?;
        if cell.confidences.count != 0 {
            let confidences = &mut cell.confidences;
            (confidences.sum, confidences.squares) = (bytes.wide()?, bytes.wide()?);
            (confidences.min, confidences.max) = (bytes.float()?, bytes.float()?);
            at_most(confidences.sum, confidences.count, MOST_UNITS)?;
            at_most(confidences.squares, confidences.count, MOST_UNITS)?;
        }
        if cell.processing.count != 0 {
            let processing = &mut cell.processing;
            processing.sum = bytes.wide()?;
            processing.min = bytes.number()?;
            // Wraps as it was written. A hostile maximum is a wrong answer, and no panic.
            processing.max = processing.min.wrapping_add(bytes.number()?);
            at_most(processing.sum, processing.count, u64::MAX)?;
        }
        if parts & part::OUTCOMES != 0 {
            cell.outcomes = Some(Box::new(OutcomeSums::decode(bytes)?));
        }
        Ok(cell)
    }
}

#[cfg(test)]
#[path = "sums_tests.rs"]
mod tests;

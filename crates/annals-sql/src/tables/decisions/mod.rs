//! Decisions: our table, and the predecessor's.

mod columns;
mod sorted;

use std::ops::Range;
use std::sync::Arc;

use annals::{InferenceRecord, Outcomes, Query, Repeats, Timestamp};
use annals_virtual_table::{Cell, Condition, Failure, Operator, Rows, Search, Table};
use rusqlite::types::Value;

use crate::cells::{Column, Role, declaration};
use crate::place::Place;
use crate::times::{self, Bound};
use sorted::ByEventTime;

/// A row.
pub(crate) struct Decision {
    pub(crate) record: InferenceRecord,
    /// Looked up only if a column of them is read.
    pub(crate) outcomes: Option<Outcomes>,
}

/// A table of decisions.
pub(crate) struct Decisions {
    place: Arc<Place>,
    columns: &'static [Column<Decision>],
    declaration: String,
    repeats: Repeats,
}

/// All decisions, with our names of columns.
pub(crate) fn ours(place: Arc<Place>) -> Decisions {
    Decisions::new(place, columns::OURS, Repeats::Include)
}

/// Decisions that were recorded in full: the predecessor left repeats out.
pub(crate) fn predecessor(place: Arc<Place>) -> Decisions {
    Decisions::new(place, columns::PREDECESSOR, Repeats::Exclude)
}

/// What the columns of the two tables are about, by their names; for statements that are answered
/// without the table.
pub(crate) fn role(table: &str, column: &str) -> Option<Role> {
    let columns = match table {
        "decisions" => columns::OURS,
        _ => columns::PREDECESSOR,
    };
    let column = columns.iter().find(|known| known.name == column);
    column.map(|column| column.role)
}

impl Decisions {
    fn new(place: Arc<Place>, columns: &'static [Column<Decision>], repeats: Repeats) -> Decisions {
        Decisions {
            place,
            columns,
            declaration: declaration(columns),
            repeats,
        }
    }

    fn role(&self, column: usize) -> Role {
        self.columns
            .get(column)
            .map_or(Role::None, |column| column.role)
    }

    /// The query that a condition narrows; as it was if the condition's value cannot.
    fn narrowed(&self, query: Query, condition: &Condition) -> Query {
        let (Value::Text(name), Operator::Equal) = (&condition.value, condition.operator) else {
            return query;
        };
        match self.role(condition.column) {
            Role::Model => query.model(name),
            Role::Symbol => query.symbol(name),
            Role::Action => query.action(name),
            Role::Checkpoint => query.checkpoint(name),
            _ => query,
        }
    }
}

/// Event times from the first to the last, both included, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Times {
    first: i64,
    last: i64,
}

impl Times {
    const ALL: Times = Times {
        first: i64::MIN,
        last: i64::MAX,
    };
    const NONE: Times = Times { first: 1, last: 0 };

    fn is_empty(self) -> bool {
        self.first > self.last
    }

    /// The part before `time`.
    fn before(self, time: i64) -> Times {
        match time.checked_sub(1) {
            Some(last) => Times {
                last: self.last.min(last),
                ..self
            },
            None => Times::NONE,
        }
    }

    /// The part after `time`.
    fn after(self, time: i64) -> Times {
        match time.checked_add(1) {
            Some(first) => Times {
                first: self.first.max(first),
                ..self
            },
            None => Times::NONE,
        }
    }

    /// Two parts, the earlier one first. It has more than one time.
    fn halves(self) -> (Times, Times) {
        let middle = self.first.midpoint(self.last);
        (self.before(middle.saturating_add(1)), self.after(middle))
    }

    /// The decisions of these times, in the order of commit if these are all.
    fn of(self, query: Query) -> Query {
        match self == Times::ALL {
            true => query,
            false => self.by_hour(query),
        }
    }

    /// The decisions of these times, hour after hour.
    fn by_hour(self, query: Query) -> Query {
        let query = query.since(Timestamp::from_micros(self.first));
        match self.last.checked_add(1) {
            Some(end) => query.until(Timestamp::from_micros(end)),
            None => query,
        }
    }

    /// The part that compares as asked with what lies from `first` to `last`, or with a point
    /// between `last` and `first`.
    fn compared(self, operator: Operator, first: i64, last: i64) -> Times {
        let (first, last) = match operator {
            Operator::Equal => (first, last),
            Operator::Greater | Operator::AtLeast => (first, i64::MAX),
            Operator::Less | Operator::AtMost => (i64::MIN, last),
        };
        Times {
            first: self.first.max(first),
            last: self.last.min(last),
        }
    }

    /// The part that a condition leaves. A value that is no time leaves all.
    fn narrowed(self, condition: &Condition) -> Times {
        let (first, last) = match &condition.value {
            Value::Integer(micros) => (*micros, *micros),
            Value::Text(text) => match times::bound(text) {
                Some(Bound::Exact(time)) => (time.as_micros(), time.as_micros()),
                Some(Bound::Before(time)) => (time.as_micros(), time.as_micros() - 1),
                Some(Bound::Day(start, end)) => (start.as_micros(), end.as_micros() - 1),
                None => return self,
            },
            _ => return self,
        };
        self.compared(condition.operator, first, last)
    }
}

/// The part of `range` whose sequences compare with `number` as asked.
fn by_sequence(range: Range<u64>, operator: Operator, number: i64) -> Range<u64> {
    // No sequence is below 0.
    let Ok(number) = u64::try_from(number) else {
        return range;
    };
    let after = number.saturating_add(1);
    let (first, end) = match operator {
        Operator::Equal => (number, after),
        Operator::Greater => (after, u64::MAX),
        Operator::AtLeast => (number, u64::MAX),
        Operator::Less => (0, number),
        Operator::AtMost => (0, after),
    };
    range.start.max(first)..range.end.min(end)
}

impl Table for Decisions {
    fn declaration(&self) -> &str {
        &self.declaration
    }

    fn narrows(&self, column: usize) -> bool {
        !matches!(self.role(column), Role::None | Role::Outcome)
    }

    fn is_sorted_by(&self, column: usize, narrowed: &[usize]) -> bool {
        match self.role(column) {
            // By time, a query gives one hour after the other.
            Role::Sequence => !narrowed
                .iter()
                .any(|column| matches!(self.role(*column), Role::Time | Role::Micros)),
            Role::Time | Role::Micros => true,
            _ => false,
        }
    }

    fn open(&self, search: &Search) -> Result<Box<dyn Rows>, Failure> {
        let mut query = self.place.reader.inferences().repeats(self.repeats);
        let (mut sequences, mut times) = (0..self.place.end(), Times::ALL);
        for condition in &search.conditions {
            match (self.role(condition.column), &condition.value) {
                (Role::Sequence, Value::Integer(number)) => {
                    sequences = by_sequence(sequences, condition.operator, *number);
                }
                // Text beside a number compares by type, which narrows nothing here.
                (Role::Time, Value::Text(_)) | (Role::Micros, Value::Integer(_)) => {
                    times = times.narrowed(condition);
                }
                _ => query = self.narrowed(query, condition),
            }
        }
        query = query.sequences(sequences);
        let reads_outcomes = self
            .columns
            .iter()
            .enumerate()
            .any(|(index, column)| column.role == Role::Outcome && search.reads(index));
        let order = search
            .order
            .map(|(column, newest)| (self.role(column), newest));
        let source: Source = match order {
            Some((Role::Time | Role::Micros, newest)) => {
                let sorted = ByEventTime::new(query, times, newest);
                match reads_outcomes {
                    true => Box::new(sorted.with_outcomes(self.place.reader.clone())),
                    false => Box::new(sorted.map(|record| record.map(bare))),
                }
            }
            other => {
                query = times.of(query);
                if let Some((_, true)) = other {
                    query = query.newest_first();
                }
                match reads_outcomes {
                    true => Box::new(query.with_outcomes().map(|judged| {
                        judged.map(|(record, outcomes)| Decision { record, outcomes })
                    })),
                    false => Box::new(query.iter().map(|record| record.map(bare))),
                }
            }
        };
        Ok(Box::new(DecisionRows {
            place: self.place.clone(),
            columns: self.columns,
            source,
            row: None,
        }))
    }
}

type Source = Box<dyn Iterator<Item = annals::Result<Decision>>>;

fn bare(record: InferenceRecord) -> Decision {
    Decision {
        record,
        outcomes: None,
    }
}

struct DecisionRows {
    place: Arc<Place>,
    columns: &'static [Column<Decision>],
    source: Source,
    row: Option<Decision>,
}

impl Rows for DecisionRows {
    fn advance(&mut self) -> Result<bool, Failure> {
        self.row = self.place.noted(self.source.next().transpose())?;
        Ok(self.row.is_some())
    }

    fn id(&self) -> Option<i64> {
        let row = self.row.as_ref()?;
        i64::try_from(row.record.sequence).ok()
    }

    fn cell(&self, column: usize) -> Result<Cell<'_>, Failure> {
        let (Some(row), Some(column)) = (&self.row, self.columns.get(column)) else {
            return Ok(Cell::Null);
        };
        Ok((column.cell)(row))
    }
}

//! Typed values of decisions, in a column for each kind, name and type that a block has any of.
//! Other decisions take no byte in it.

use serde::{Deserialize, Serialize};

use super::codec;
use super::column::{Column, ColumnHead, ColumnNumbers};
use super::notes::split;
use super::row::{NameId, StoredValue};
use crate::entry::typed::{AttributeType, TypedRef, ValueKind};

type Result<T> = std::result::Result<T, String>;

/// Columns of one block. A decision with more than half of them has a block of its own.
const MOST_COLUMNS: usize = 4_096;
/// Values of one block: equal ones take no bytes, and must not decode to any amount of memory.
const MOST_VALUES: usize = 1 << 18;
/// Bytes of the longest text.
const LONGEST_TEXT: i64 = 1 << 20;
/// A head's largest size.
const HEAD_BYTES: usize = 1 + 1 + 5 + 5 + 10 + 10 + 5;

/// What the values of a column have in common; columns are in this order.
type ColumnKey = (ValueKind, NameId, AttributeType);

fn key_of(stored: &StoredValue) -> ColumnKey {
    let value_type = stored.value.as_typed().value_type();
    (stored.kind, stored.name, value_type)
}

#[derive(Serialize, Deserialize, Debug)]
struct ValueColumnHead {
    kind: u8,
    value_type: u8,
    name: NameId,
    /// Values.
    count: u32,
    /// Of each value, its decision's index in the block, less the index after that of the value
    /// before (or 0).
    gaps: ColumnHead,
    /// Whole numbers, flags as 0 and 1, and the lengths of texts.
    numbers: ColumnHead,
    /// Bytes of real numbers and texts.
    bytes: u32,
}

/// Columns that are being collected.
#[derive(Default)]
pub(super) struct ValueColumns {
    /// Invariant V1: sorted by key.
    columns: Vec<(ColumnKey, ValueColumn)>,
    bytes: usize,
    values: usize,
}

#[derive(Default)]
struct ValueColumn {
    count: usize,
    /// The index after that of the last value's decision.
    next: u32,
    gaps: Column,
    numbers: Column,
    bytes: Vec<u8>,
}

/// The number of a value in its column; `None` if its type has none.
fn number_of(value: TypedRef<'_>) -> Option<i64> {
    match value {
        TypedRef::F32(_) | TypedRef::F64(_) => None,
        TypedRef::I64(number) => Some(number),
        TypedRef::Bool(flag) => Some(flag.into()),
        TypedRef::Text(text) => Some(i64::try_from(text.len()).unwrap_or(i64::MAX)),
    }
}

/// Predictions are compared with an f64.
fn can_be_of(kind: ValueKind, value_type: AttributeType) -> bool {
    kind == ValueKind::Attribute || value_type == AttributeType::F64
}

/// Bytes of a value outside the numbers of its column.
fn flat_bytes(value: TypedRef<'_>) -> usize {
    match value {
        TypedRef::F32(_) => 4,
        TypedRef::F64(_) => 8,
        TypedRef::I64(_) | TypedRef::Bool(_) => 0,
        TypedRef::Text(text) => text.len(),
    }
}

impl ValueColumn {
    fn size(&self) -> usize {
        let width = self.gaps.head().width() + self.numbers.head().width();
        HEAD_BYTES + self.count * width + self.bytes.len()
    }

    fn gap(&self, index: u32) -> i64 {
        i64::from(index) - i64::from(self.next)
    }

    fn size_with(&self, index: u32, value: TypedRef<'_>) -> usize {
        let numbers = number_of(value).map_or(0, |number| self.numbers.width_with(number));
        let width = self.gaps.width_with(self.gap(index)) + numbers;
        HEAD_BYTES + (self.count + 1) * width + self.bytes.len() + flat_bytes(value)
    }

    fn push(&mut self, index: u32, value: TypedRef<'_>) {
        let gap = self.gap(index);
        self.gaps.push(gap, self.count);
        if let Some(number) = number_of(value) {
            self.numbers.push(number, self.count);
        }
        match value {
            TypedRef::F32(number) => self.bytes.extend(number.to_le_bytes()),
            TypedRef::F64(number) => self.bytes.extend(number.to_le_bytes()),
            TypedRef::Text(text) => self.bytes.extend(text.as_bytes()),
            TypedRef::I64(_) | TypedRef::Bool(_) => {}
        }
        self.count += 1;
        self.next = index + 1;
    }
}

impl ValueColumns {
    /// Bytes that the columns take, at most.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn columns(&self) -> u32 {
        u32::try_from(self.columns.len()).unwrap_or(u32::MAX)
    }

    fn place(&self, key: &ColumnKey) -> std::result::Result<usize, usize> {
        self.columns.binary_search_by(|known| known.0.cmp(key))
    }

    /// How many bytes longer the values of the decision at `index` make the block, at most.
    pub(super) fn growth(&self, index: u32, values: &[StoredValue]) -> usize {
        let of_one = |stored: &StoredValue| {
            let value = stored.value.as_typed();
            match self.place(&key_of(stored)) {
                Ok(place) => {
                    let column = self.columns.get(place).map(|known| &known.1);
                    column.map_or(0, |column| {
                        column.size_with(index, value).saturating_sub(column.size())
                    })
                }
                Err(_) => HEAD_BYTES + flat_bytes(value),
            }
        };
        values.iter().map(of_one).sum()
    }

    /// Refuses what no reader takes.
    pub(super) fn check(values: &[StoredValue]) -> Result<()> {
        if values.len() > MOST_COLUMNS {
            return Err(format!("{} typed values are too many", values.len()));
        }
        let is_right = |stored: &StoredValue| {
            let value = stored.value.as_typed();
            let is_short = i64::try_from(value.text_bytes()).is_ok_and(|n| n <= LONGEST_TEXT);
            is_short && can_be_of(stored.kind, value.value_type())
        };
        match values.iter().all(is_right) {
            true => Ok(()),
            false => Err("a typed value that is too long, or of another type".to_owned()),
        }
    }

    /// Whether readers would refuse a block with these, too.
    pub(super) fn are_too_many_with(&self, values: &[StoredValue]) -> bool {
        self.values + values.len() > MOST_VALUES || self.columns.len() + values.len() > MOST_COLUMNS
    }

    /// Appends the values of the decision at `index`, which is behind those that are there. Of two
    /// values of one key the first one is taken.
    pub(super) fn push(&mut self, index: u32, values: &[StoredValue]) {
        for stored in values {
            let key = key_of(stored);
            let place = self.place(&key).unwrap_or_else(|place| {
                self.columns.insert(place, (key, ValueColumn::default()));
                self.bytes += HEAD_BYTES;
                place
            });
            let Some((_, column)) = self.columns.get_mut(place) else {
                continue;
            };
            if column.count > 0 && column.next > index {
                continue;
            }
            let before = column.size();
            column.push(index, stored.value.as_typed());
            self.bytes += column.size() - before;
            self.values += 1;
        }
    }

    /// Appends the columns to `out` and forgets them.
    pub(super) fn pack(&mut self, out: &mut Vec<u8>) {
        for ((kind, name, value_type), mut column) in self.columns.drain(..) {
            let head = ValueColumnHead {
                kind: kind as u8,
                value_type: value_type as u8,
                name,
                count: u32::try_from(column.count).unwrap_or(u32::MAX),
                gaps: column.gaps.head(),
                numbers: column.numbers.head(),
                bytes: u32::try_from(column.bytes.len()).unwrap_or(u32::MAX),
            };
            let encoded = codec::encode_into(&head, out);
            debug_assert!(encoded.is_ok(), "stored types have known lengths");
            column.gaps.pack(out);
            column.numbers.pack(out);
            out.append(&mut column.bytes);
        }
        (self.bytes, self.values) = (0, 0);
    }
}

/// A column that is read.
#[derive(Clone, Copy)]
pub(super) struct ValueColumnReader<'a> {
    kind: ValueKind,
    name: NameId,
    value_type: AttributeType,
    count: usize,
    gaps: ColumnNumbers<'a>,
    numbers: ColumnNumbers<'a>,
    bytes: &'a [u8],
}

impl<'a> ValueColumnReader<'a> {
    /// The column at the front of `rest`, of a block of so many decisions.
    fn split_off(events: usize, rest: &mut &'a [u8]) -> Result<Self> {
        let (head, taken): (ValueColumnHead, usize) =
            codec::decode_front(rest).map_err(|error| format!("head: {error}"))?;
        *rest = rest.get(taken..).unwrap_or_default();
        let kind = ValueKind::of(head.kind.into());
        let value_type = AttributeType::of(head.value_type.into());
        let (Some(kind), Some(value_type)) = (kind, value_type) else {
            return Err(format!(
                "is of kind {} and type {}",
                head.kind, head.value_type
            ));
        };
        let count = head.count as usize;
        // Before any number is looked at: `ColumnNumbers` expects no more than decisions.
        if count == 0 || count > events {
            return Err(format!("has {count} values of {events} decisions"));
        }
        if !can_be_of(kind, value_type) {
            return Err("is of predictions that are no f64".to_owned());
        }
        let gaps = ColumnNumbers::split_off(head.gaps, count, rest)?;
        let numbers = ColumnNumbers::split_off(head.numbers, count, rest)?;
        let bytes = split(rest, head.bytes as usize, || {
            "values of a column".to_owned()
        })?;
        let column = ValueColumnReader {
            kind,
            name: head.name,
            value_type,
            count,
            gaps,
            numbers,
            bytes,
        };
        column.check(events, head.numbers).map(|()| column)
    }

    fn check(&self, events: usize, numbers: ColumnHead) -> Result<()> {
        let most = i64::try_from(events).unwrap_or(i64::MAX);
        // Each is bounded before they are summed up.
        let reach = match self.gaps.are_within(0..=most) {
            true => usize::try_from(self.gaps.sum(0..self.count)).ok(),
            false => None,
        };
        if reach.is_none_or(|gaps| gaps + self.count > events) {
            return Err("reaches beyond the decisions".to_owned());
        }
        let bytes = self.bytes.len();
        let is_right = match self.value_type {
            AttributeType::F32 => bytes == 4 * self.count && numbers == ColumnHead::default(),
            AttributeType::F64 => bytes == 8 * self.count && numbers == ColumnHead::default(),
            AttributeType::I64 => bytes == 0,
            AttributeType::Bool => bytes == 0 && self.numbers.are_within(0..=1),
            AttributeType::Text => {
                self.numbers.are_within(0..=LONGEST_TEXT)
                    && usize::try_from(self.numbers.sum(0..self.count)) == Ok(bytes)
                    && self.are_texts()
            }
        };
        match is_right {
            true => Ok(()),
            false => Err(format!("has no values of type {:?}", self.value_type)),
        }
    }

    fn are_texts(&self) -> bool {
        let mut rest = self.bytes;
        (0..self.count).all(|index| {
            let length = usize::try_from(self.numbers.get(index)).unwrap_or(0);
            let text = rest.split_at_checked(length);
            text.is_some_and(|(text, behind)| {
                rest = behind;
                std::str::from_utf8(text).is_ok()
            })
        })
    }

    fn key(&self) -> ColumnKey {
        (self.kind, self.name, self.value_type)
    }

    /// The value at `place`, whose bytes begin at `at` if it is a text.
    fn value(&self, place: usize, at: usize) -> TypedRef<'a> {
        fn array<const N: usize>(bytes: &[u8], place: usize) -> [u8; N] {
            let bytes = bytes.as_chunks().0.get(place);
            bytes.copied().unwrap_or([0; N])
        }
        match self.value_type {
            AttributeType::F32 => TypedRef::F32(f32::from_le_bytes(array(self.bytes, place))),
            AttributeType::F64 => TypedRef::F64(f64::from_le_bytes(array(self.bytes, place))),
            AttributeType::I64 => TypedRef::I64(self.numbers.get(place)),
            AttributeType::Bool => TypedRef::Bool(self.numbers.get(place) != 0),
            AttributeType::Text => {
                let length = usize::try_from(self.numbers.get(place)).unwrap_or(0);
                let text = self.bytes.get(at..at.saturating_add(length));
                let text = std::str::from_utf8(text.unwrap_or_default());
                TypedRef::Text(text.unwrap_or_default())
            }
        }
    }
}

/// The columns of a block that is read.
#[derive(Clone, Copy)]
pub(super) struct ValuesReader<'a> {
    columns: u32,
    events: usize,
    // Invariant V2: begins with so many columns, each of which was checked.
    bytes: &'a [u8],
}

impl<'a> ValuesReader<'a> {
    /// The columns at the front of `rest`. Allocates nothing.
    pub(super) fn split_off(columns: u32, events: usize, rest: &mut &'a [u8]) -> Result<Self> {
        let bytes = *rest;
        if columns as usize > MOST_COLUMNS {
            return Err(format!("{columns} columns of values"));
        }
        let (mut values, mut last) = (0, None);
        for number in 0..columns {
            let column = ValueColumnReader::split_off(events, rest)
                .map_err(|why| format!("column {number} of values {why}"))?;
            values += column.count;
            let key = Some(column.key());
            // Readers take each value of a decision once, and in one order.
            if values > MOST_VALUES || key <= last {
                return Err(format!(
                    "column {number} of values is out of order, or too long"
                ));
            }
            last = key;
        }
        Ok(ValuesReader {
            columns,
            events,
            bytes,
        })
    }

    fn each(&self) -> impl Iterator<Item = ValueColumnReader<'a>> + use<'a> {
        let (mut rest, events) = (self.bytes, self.events);
        // V2: none is refused here.
        (0..self.columns).map_while(move |_| ValueColumnReader::split_off(events, &mut rest).ok())
    }

    /// The names of the columns.
    pub(super) fn names(&self) -> impl Iterator<Item = NameId> + use<'a> {
        self.each().map(|column| column.name)
    }

    /// Begins to go through the values of each decision.
    pub(super) fn walk(&self) -> ValuesWalk<'a> {
        ValuesWalk::new(self.each())
    }

    /// The same, of predictions alone.
    pub(super) fn walk_predictions(&self) -> ValuesWalk<'a> {
        ValuesWalk::new(
            self.each()
                .filter(|column| column.kind == ValueKind::Prediction),
        )
    }
}

/// Goes forward through the decisions of a block.
pub(super) struct ValuesWalk<'a> {
    columns: Vec<ValueCursor<'a>>,
}

struct ValueCursor<'a> {
    column: ValueColumnReader<'a>,
    /// The next value, the index of its decision, and where its text begins.
    place: usize,
    index: usize,
    at: usize,
}

impl ValueCursor<'_> {
    /// Goes on to the first value of a decision that is not before `index`.
    fn go_to(&mut self, index: usize) {
        while self.index < index && self.place < self.column.count {
            self.at += match self.column.value_type {
                AttributeType::Text => {
                    usize::try_from(self.column.numbers.get(self.place)).unwrap_or(0)
                }
                _ => 0,
            };
            self.place += 1;
            if self.place < self.column.count {
                self.index += 1 + self.gap();
            }
        }
    }

    fn gap(&self) -> usize {
        usize::try_from(self.column.gaps.get(self.place)).unwrap_or(0)
    }
}

impl<'a> ValuesWalk<'a> {
    fn new(columns: impl Iterator<Item = ValueColumnReader<'a>>) -> Self {
        let begin = |column| {
            let mut cursor = ValueCursor {
                column,
                place: 0,
                index: 0,
                at: 0,
            };
            cursor.index = cursor.gap();
            cursor
        };
        ValuesWalk {
            columns: columns.map(begin).collect(),
        }
    }

    /// The values of the decision at `index`, which is not before one that was asked for.
    pub(super) fn of(
        &mut self,
        index: usize,
    ) -> impl Iterator<Item = (ValueKind, NameId, TypedRef<'a>)> {
        self.columns.iter_mut().filter_map(move |cursor| {
            cursor.go_to(index);
            let column = &cursor.column;
            let is_here = cursor.index == index && cursor.place < column.count;
            is_here.then(|| {
                (
                    column.kind,
                    column.name,
                    column.value(cursor.place, cursor.at),
                )
            })
        })
    }

    /// Copies of them.
    pub(super) fn stored(&mut self, index: usize) -> Box<[StoredValue]> {
        if self.columns.is_empty() {
            // The usual block.
            return Box::default();
        }
        let values = self.of(index).map(|(kind, name, value)| StoredValue {
            kind,
            name,
            value: value.to_owned(),
        });
        values.collect()
    }
}

//! Columns as arrays of Arrow.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::types::{
    ArrowPrimitiveType, Float32Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType,
    UInt64Type,
};
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, DictionaryArray, GenericListArray, PrimitiveArray,
    StringArray,
};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, DataType};

use crate::column::{ColumnValues, ListColumn, Optional};
use crate::inputs::Rows;
use crate::schema::element;

type Result<T, E = ArrowError> = std::result::Result<T, E>;

/// A column as an array of this type.
pub(crate) fn array(column: ColumnValues<'_, Arc<str>>, kind: &DataType) -> Result<ArrayRef> {
    use ColumnValues as V;
    Ok(match (column, kind) {
        (V::Text(texts), DataType::Dictionary(..)) => Arc::new(dictionary(texts.iter().map(Some))?),
        (V::Text(texts), _) => Arc::new(StringArray::from_iter_values(texts)),
        (V::OptionalText(column), DataType::Dictionary(..)) => Arc::new(dictionary(column.iter())?),
        (V::OptionalText(column), _) => Arc::new(column.iter().collect::<StringArray>()),
        (V::Int32(values), _) => numbers::<Int32Type>(values.to_vec(), None),
        (V::Int64(values), DataType::Timestamp(..)) => times(values.to_vec(), None),
        (V::Int64(values), _) => numbers::<Int64Type>(values.to_vec(), None),
        (V::OptionalInt64(column), DataType::Timestamp(..)) => {
            let (values, nulls) = spread(column);
            times(values, nulls)
        }
        (V::OptionalInt64(column), DataType::UInt64) => {
            let (values, nulls) = spread(column);
            // The bits are the number.
            let values = values.into_iter().map(i64::cast_unsigned).collect();
            numbers::<UInt64Type>(values, nulls)
        }
        (V::OptionalInt64(column), _) => {
            let (values, nulls) = spread(column);
            numbers::<Int64Type>(values, nulls)
        }
        (V::OptionalFloat(column), _) => {
            let (values, nulls) = spread(column);
            numbers::<Float32Type>(values, nulls)
        }
        (V::OptionalDouble(column), _) => {
            let (values, nulls) = spread(column);
            numbers::<Float64Type>(values, nulls)
        }
        (V::OptionalBool(column), _) => {
            let (values, nulls) = spread(column);
            Arc::new(BooleanArray::new(BooleanBuffer::from(values), nulls))
        }
        (V::TextList(column), _) => {
            let values = StringArray::from_iter_values(&column.values);
            lists(lengths(column), DataType::Utf8, Arc::new(values), None)?
        }
        (V::FloatList(column), _) => {
            let values = numbers::<Float32Type>(column.values.clone(), None);
            lists(lengths(column), DataType::Float32, values, None)?
        }
        (V::DoubleList(column), _) => {
            let values = numbers::<Float64Type>(column.values.clone(), None);
            lists(lengths(column), DataType::Float64, values, None)?
        }
    })
}

fn numbers<T: ArrowPrimitiveType>(values: Vec<T::Native>, nulls: Option<NullBuffer>) -> ArrayRef {
    Arc::new(PrimitiveArray::<T>::new(ScalarBuffer::from(values), nulls))
}

fn times(values: Vec<i64>, nulls: Option<NullBuffer>) -> ArrayRef {
    let times = PrimitiveArray::<TimestampMicrosecondType>::new(values.into(), nulls);
    Arc::new(times.with_timezone("UTC"))
}

/// The values with a place for each row, and which rows have one.
fn spread<T: Copy + Default>(column: &Optional<T>) -> (Vec<T>, Option<NullBuffer>) {
    if column.values.len() == column.levels.len() {
        return (column.values.clone(), None);
    }
    let values = column
        .iter()
        .map(|value| value.copied().unwrap_or_default());
    let is_there = column.levels.iter().map(|level| *level == 1);
    (
        values.collect(),
        Some(is_there.collect::<Vec<bool>>().into()),
    )
}

/// Texts by number. Equal names are one allocation, so most are told by where they lie.
fn dictionary<'a>(
    texts: impl Iterator<Item = Option<&'a Arc<str>>>,
) -> Result<DictionaryArray<Int32Type>> {
    let mut numbers: HashMap<usize, i32> = HashMap::new();
    let mut distinct: Vec<&str> = Vec::new();
    let mut last = None;
    let mut keys: Vec<Option<i32>> = Vec::with_capacity(texts.size_hint().0);
    for text in texts {
        let Some(text) = text else {
            keys.push(None);
            continue;
        };
        let place = Arc::as_ptr(text).cast::<u8>().addr();
        let number = match last {
            Some((known, number)) if known == place => number,
            _ => *numbers.entry(place).or_insert_with(|| {
                distinct.push(text);
                // A batch has fewer rows than there are numbers.
                i32::try_from(distinct.len() - 1).unwrap_or(i32::MAX)
            }),
        };
        last = Some((place, number));
        keys.push(Some(number));
    }
    let keys = PrimitiveArray::<Int32Type>::from(keys);
    DictionaryArray::try_new(keys, Arc::new(StringArray::from_iter_values(distinct)))
}

/// Few words for many rows.
pub(crate) fn words(words: &[&'static str]) -> Result<ArrayRef> {
    let mut distinct: Vec<&str> = Vec::new();
    let keys = words.iter().map(|word| {
        let known = distinct.iter().position(|known| known == word);
        let number = known.unwrap_or_else(|| {
            distinct.push(word);
            distinct.len() - 1
        });
        i32::try_from(number).unwrap_or(i32::MAX)
    });
    let keys = PrimitiveArray::<Int32Type>::from_iter_values(keys);
    let distinct = StringArray::from_iter_values(distinct);
    Ok(Arc::new(DictionaryArray::try_new(
        keys,
        Arc::new(distinct),
    )?))
}

fn lengths<T>(column: &ListColumn<T>) -> Vec<usize> {
    let mut lengths = Vec::new();
    for (level, repeat) in column.levels.iter().zip(&column.repeats) {
        match (*repeat, lengths.last_mut()) {
            (1, Some(last)) => *last += 1,
            _ => lengths.push(usize::from(*level == 1)),
        }
    }
    lengths
}

fn lists(
    lengths: impl IntoIterator<Item = usize>,
    kind: DataType,
    values: ArrayRef,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef> {
    let offsets = offsets(lengths)?;
    let lists = GenericListArray::<i32>::try_new(element(kind), offsets, values, nulls)?;
    Ok(Arc::new(lists))
}

/// Where each list begins; an error where 32 bits do not reach.
fn offsets(lengths: impl IntoIterator<Item = usize>) -> Result<OffsetBuffer<i32>> {
    let mut offsets = vec![0];
    let mut end = 0_i32;
    for length in lengths {
        let next = i32::try_from(length)
            .ok()
            .and_then(|length| end.checked_add(length));
        end = next.ok_or_else(|| ArrowError::OffsetOverflowError(length))?;
        offsets.push(end);
    }
    Ok(OffsetBuffer::new(ScalarBuffer::from(offsets)))
}

/// Lists of numbers of which some are missing.
pub(crate) fn number_lists<T: ArrowPrimitiveType>(rows: Rows<T::Native>) -> Result<ArrayRef> {
    let values = numbers::<T>(rows.values, None);
    let nulls = NullBuffer::from(rows.is_there);
    lists(rows.lengths, T::DATA_TYPE, values, Some(nulls))
}

/// Bytes of which some are missing.
pub(crate) fn blobs(rows: Rows<u8>) -> Result<ArrayRef> {
    let offsets = offsets(rows.lengths)?;
    let nulls = NullBuffer::from(rows.is_there);
    let blobs = BinaryArray::try_new(offsets, Buffer::from_vec(rows.values), Some(nulls))?;
    Ok(Arc::new(blobs))
}

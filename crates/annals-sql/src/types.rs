//! One type for each column of an answer. SQLite has a type for each value; formats with typed
//! columns need one that all of a column's values fit.

use rusqlite::types::ValueRef;

use crate::error::{Error, Result};

/// The type of a column, as [`ColumnTypes`] finds it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ColumnType {
    /// Whole numbers of 64 bits.
    Integer,
    /// Numbers of 64 bits with a fraction. Whole numbers among them lose nothing.
    Real,
    /// Text. A column with nothing but NULL is text too.
    Text,
    /// Bytes.
    Blob,
}

impl ColumnType {
    fn of(value: ValueRef<'_>) -> Option<ColumnType> {
        Some(match value {
            ValueRef::Null => return None,
            ValueRef::Integer(_) => ColumnType::Integer,
            ValueRef::Real(_) => ColumnType::Real,
            ValueRef::Text(_) => ColumnType::Text,
            ValueRef::Blob(_) => ColumnType::Blob,
        })
    }

    fn words(self) -> &'static str {
        match self {
            ColumnType::Integer => "whole numbers",
            ColumnType::Real => "numbers with a fraction",
            ColumnType::Text => "text",
            ColumnType::Blob => "blobs",
        }
    }
}

/// Finds one type for each column of an answer, from all its rows.
///
/// NULL fits every type. Whole numbers and numbers with a fraction make a column of
/// [`ColumnType::Real`], unless a whole number is beyond 2^53, where it would be changed. No other
/// types can be mixed.
///
/// ```
/// use annals_sql::{ColumnType, ColumnTypes, ValueRef};
///
/// let mut types = ColumnTypes::new(2);
/// types.see(&[ValueRef::Integer(1), ValueRef::Null]);
/// types.see(&[ValueRef::Real(0.5), ValueRef::Integer(2)]);
/// let names = ["share".to_owned(), "count".to_owned()];
/// assert_eq!(types.types(&names)?, [ColumnType::Real, ColumnType::Integer]);
/// types.see(&[ValueRef::Text(b"half"), ValueRef::Null]);
/// let error = types.types(&names).unwrap_err().to_string();
/// assert!(error.contains("\"share\" mixes numbers with a fraction and text, first in row 3"));
/// # Ok::<(), annals_sql::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ColumnTypes {
    columns: Vec<SeenColumn>,
    rows: u64,
}

/// The values of a column so far.
#[derive(Clone, Copy, Default, Debug)]
struct SeenColumn {
    kind: Option<ColumnType>,
    /// The first row with a whole number that no 64-bit fraction equals.
    wide: Option<u64>,
    /// The first type that does not fit, and its row.
    misfit: Option<(ColumnType, u64)>,
}

/// From here on not every whole number is also a number with a fraction.
const EXACT: u64 = 1 << 53;

impl ColumnTypes {
    /// No rows yet, of so many columns.
    #[must_use]
    pub fn new(columns: usize) -> ColumnTypes {
        ColumnTypes {
            columns: vec![SeenColumn::default(); columns],
            rows: 0,
        }
    }

    /// Takes the types of a row into account. Values beyond the columns are passed over.
    pub fn see(&mut self, row: &[ValueRef<'_>]) {
        self.rows = self.rows.saturating_add(1);
        for (column, value) in self.columns.iter_mut().zip(row) {
            column.see(*value, self.rows);
        }
    }

    /// The type of each column. `names` are those of the columns, for the error.
    ///
    /// # Errors
    /// [`Error::MixedTypes`] for the first column that has none.
    pub fn types(&self, names: &[String]) -> Result<Vec<ColumnType>> {
        let columns = self.columns.iter().enumerate();
        let types = columns.map(|(index, column)| match (column.kind, column.misfit) {
            (Some(kind), Some((other, row))) => Err(Error::MixedTypes {
                column: names.get(index).cloned().unwrap_or_default(),
                types: (kind.words(), other.words()),
                row,
            }),
            (kind, _) => Ok(kind.unwrap_or(ColumnType::Text)),
        });
        types.collect()
    }
}

impl SeenColumn {
    fn see(&mut self, value: ValueRef<'_>, row: u64) {
        let Some(new) = ColumnType::of(value).filter(|_| self.misfit.is_none()) else {
            return;
        };
        if let ValueRef::Integer(number) = value
            && number.unsigned_abs() > EXACT
        {
            self.wide.get_or_insert(row);
        }
        let is_fraction = matches!(
            (self.kind, new),
            (Some(ColumnType::Integer), ColumnType::Real)
                | (Some(ColumnType::Real), ColumnType::Integer)
        );
        match self.kind {
            None => self.kind = Some(new),
            Some(known) if known == new => {}
            Some(_) if is_fraction && self.wide.is_none() => self.kind = Some(ColumnType::Real),
            Some(_) => self.misfit = Some((new, row)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

    use super::*;

    fn column(values: &[ValueRef<'_>]) -> Result<ColumnType> {
        let mut types = ColumnTypes::new(1);
        for value in values {
            types.see(&[*value]);
        }
        Ok(types.types(&["x".to_owned()])?[0])
    }

    #[test]
    fn a_column_has_the_one_type_that_fits() {
        use ValueRef::{Blob, Integer, Null, Real, Text};
        let wide = Integer((1 << 53) + 1);
        for (values, expected) in [
            (&[][..], ColumnType::Text),
            (&[Null, Null], ColumnType::Text),
            (&[Null, Integer(1), Null], ColumnType::Integer),
            (&[wide, Integer(i64::MIN)], ColumnType::Integer),
            (&[Integer(1 << 53), Real(0.5)], ColumnType::Real),
            (&[Real(0.5), Integer(-3)], ColumnType::Real),
            (&[Text(b"a"), Null], ColumnType::Text),
            (&[Blob(b"a")], ColumnType::Blob),
        ] {
            assert_eq!(column(values).unwrap(), expected, "{values:?}");
        }
        for values in [
            &[Integer(1), Text(b"a")][..],
            &[Text(b"a"), Blob(b"a")],
            &[Null, Real(0.5), wide],
            &[wide, Real(0.5), Real(0.5)],
            &[Integer(1), Real(0.5), wide],
        ] {
            let error = column(values).unwrap_err().to_string();
            assert!(error.contains("\"x\" mixes"), "{values:?}: {error}");
        }
    }
}

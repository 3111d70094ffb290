//! Tables whose rows come from one iterator, and that no condition narrows.

use std::sync::Arc;

use annals_virtual_table::{Cell, Failure, Rows, Search, Table};

use crate::cells::{Column, declaration};
use crate::place::Place;

/// Rows of one type, one after the other.
pub(crate) type Each<R> = Box<dyn Iterator<Item = annals::Result<R>>>;

/// A table that is read from its beginning to its end.
pub(crate) struct List<R: 'static> {
    place: Arc<Place>,
    columns: &'static [Column<R>],
    declaration: String,
    each: fn(&Place) -> annals::Result<Each<R>>,
}

impl<R> List<R> {
    pub(crate) fn new(
        place: Arc<Place>,
        columns: &'static [Column<R>],
        each: fn(&Place) -> annals::Result<Each<R>>,
    ) -> Self {
        List {
            place,
            columns,
            declaration: declaration(columns),
            each,
        }
    }
}

impl<R: 'static> Table for List<R> {
    fn declaration(&self) -> &str {
        &self.declaration
    }

    fn narrows(&self, _: usize) -> bool {
        false
    }

    fn is_sorted_by(&self, _: usize, _: &[usize]) -> bool {
        false
    }

    fn open(&self, _: &Search) -> Result<Box<dyn Rows>, Failure> {
        let each = self.place.noted((self.each)(&self.place))?;
        Ok(Box::new(ListRows {
            place: self.place.clone(),
            columns: self.columns,
            each,
            row: None,
        }))
    }
}

struct ListRows<R: 'static> {
    place: Arc<Place>,
    columns: &'static [Column<R>],
    each: Each<R>,
    row: Option<R>,
}

impl<R> Rows for ListRows<R> {
    fn advance(&mut self) -> Result<bool, Failure> {
        self.row = self.place.noted(self.each.next().transpose())?;
        Ok(self.row.is_some())
    }

    fn cell(&self, column: usize) -> Result<Cell<'_>, Failure> {
        let (Some(row), Some(column)) = (&self.row, self.columns.get(column)) else {
            return Ok(Cell::Null);
        };
        Ok((column.cell)(row))
    }
}

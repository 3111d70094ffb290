//! The bridge between SQLite's calls and the safe traits.
//!
//! A call of SQLite must not unwind into its C code, so the calls that read are caught. Those that
//! only name columns do nothing that can panic.

use std::borrow::Cow;
use std::ffi::{CStr, CString, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use rusqlite::types::{Null, Value};
use rusqlite::vtab::{
    Context, Filters, IndexConstraintOp, IndexInfo, Module, VTab, VTabConnection, VTabCursor,
    sqlite3_vtab, sqlite3_vtab_cursor,
};
use rusqlite::{Connection, Error, Result};

use crate::{Cell, Condition, Failure, Operator, Rows, Search, Table};

/// Rows that a table without conditions is assumed to have.
const MANY: f64 = 1e6;

pub(crate) fn register(connection: &Connection, name: &str, table: Arc<dyn Table>) -> Result<()> {
    const MODULE: Module<'static, Bridge> = Module::eponymous_only_module();
    connection.create_module(name, &MODULE, Some(table))
}

/// The table as SQLite holds it.
#[repr(C)]
struct Bridge {
    /// Invariant V1: the first field, which SQLite uses as its own.
    base: sqlite3_vtab,
    table: Arc<dyn Table>,
}

// SAFETY: `Bridge` is `repr(C)` and begins with a `sqlite3_vtab` (V1), as the trait asks. The base
// is all zeros at first, and only SQLite changes it.
unsafe impl<'vtab> VTab<'vtab> for Bridge {
    type Aux = Arc<dyn Table>;
    type Cursor = Cursor;

    fn connect(
        _: &mut VTabConnection,
        aux: Option<&Arc<dyn Table>>,
        _: &[u8],
        _: &[u8],
        _: &[u8],
        _: &[&[u8]],
    ) -> Result<(Cow<'static, CStr>, Self)> {
        let table = aux.ok_or_else(|| failed("the table has no content"))?;
        let declaration = CString::new(table.declaration())?;
        let bridge = Bridge {
            base: sqlite3_vtab::default(),
            table: table.clone(),
        };
        Ok((Cow::Owned(declaration), bridge))
    }

    fn best_index(&self, info: &mut IndexInfo) -> Result<bool> {
        let mut plan = String::new();
        let (mut conditions, mut narrowed) = (0, Vec::new());
        // A comparison by other rules than bytes would find rows that the table leaves out.
        let is_binary = |info: &IndexInfo, index| matches!(info.collation(index), Ok("BINARY"));
        let asked: Vec<_> = info
            .constraints()
            .map(|asked| (asked.column(), asked.operator(), asked.is_usable()))
            .collect();
        for (index, (column, operator, is_usable)) in asked.into_iter().enumerate() {
            let Some(column) = usize::try_from(column).ok().filter(|_| is_usable) else {
                continue;
            };
            let Some(operator) = code(operator) else {
                continue;
            };
            if !self.table.narrows(column) || !is_binary(info, index) {
                continue;
            }
            conditions += 1;
            narrowed.push(column);
            info.constraint_usage(index).set_argv_index(conditions);
            plan += &format!("{operator}{column} ");
        }
        let mut order = None;
        if info.num_of_order_by() == 1 {
            order = info.order_bys().next().and_then(|by| {
                let column = usize::try_from(by.column()).ok()?;
                let is_sorted = self.table.is_sorted_by(column, &narrowed);
                is_sorted.then_some((column, by.is_order_by_desc()))
            });
        }
        if let Some((column, is_descending)) = order {
            info.set_order_by_consumed(true);
            let letter = if is_descending { 'd' } else { 'a' };
            plan += &format!("{letter}{column} ");
        }
        plan += &format!("c{}", info.col_used());
        info.set_idx_str(&plan);
        // Each condition leaves a tenth.
        info.set_estimated_cost(MANY / 10_f64.powi(conditions));
        Ok(true)
    }

    fn open(&'vtab mut self) -> Result<Cursor> {
        Ok(Cursor {
            base: sqlite3_vtab_cursor::default(),
            table: self.table.clone(),
            rows: None,
            row: 0,
        })
    }
}

/// One pass over a table.
#[repr(C)]
struct Cursor {
    /// Invariant V2: the first field, which SQLite uses as its own.
    base: sqlite3_vtab_cursor,
    table: Arc<dyn Table>,
    /// `None` at the end.
    rows: Option<Box<dyn Rows>>,
    row: i64,
}

// SAFETY: `Cursor` is `repr(C)` and begins with a `sqlite3_vtab_cursor` (V2), as the trait asks.
// The base is all zeros at first, and only SQLite changes it. It borrows nothing from the table.
unsafe impl VTabCursor for Cursor {
    fn filter(&mut self, _: c_int, plan: Option<&str>, values: &Filters<'_>) -> Result<()> {
        let values: Vec<Value> = values
            .iter()
            .map(|value| Value::try_from(value).unwrap_or(Value::Null))
            .collect();
        let search = search(plan.unwrap_or_default(), values);
        self.row = 0;
        self.rows = None;
        let table = &self.table;
        self.rows = Some(caught(|| table.open(&search))?);
        self.next()
    }

    fn next(&mut self) -> Result<()> {
        let rows = &mut self.rows;
        let more = caught(|| rows.as_mut().map_or(Ok(false), |rows| rows.advance()));
        if !matches!(more, Ok(true)) {
            self.rows = None;
        }
        self.row += 1;
        more.map(drop)
    }

    fn eof(&self) -> bool {
        self.rows.is_none()
    }

    fn column(&self, context: &mut Context, column: c_int) -> Result<()> {
        let (Some(rows), Ok(column)) = (&self.rows, usize::try_from(column)) else {
            return context.set_result(Null);
        };
        match caught(|| rows.cell(column))? {
            Cell::Null => context.set_result(Null),
            Cell::Integer(number) => context.set_result(number),
            Cell::Real(number) => context.set_result(number),
            Cell::Text(text) => context.set_result(&*text),
        }
    }

    fn rowid(&self) -> Result<i64> {
        Ok(self
            .rows
            .as_ref()
            .and_then(|rows| rows.id())
            .unwrap_or(self.row))
    }
}

/// The plan's letter for an operator that a table may use.
fn code(operator: IndexConstraintOp) -> Option<char> {
    match operator {
        IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_EQ => Some('='),
        IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_GT => Some('>'),
        IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_GE => Some('+'),
        IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_LT => Some('<'),
        IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_LE => Some('-'),
        _ => None,
    }
}

/// The plan of [`VTab::best_index`], with the values that SQLite found for it.
fn search(plan: &str, values: Vec<Value>) -> Search {
    let mut search = Search::default();
    let mut values = values.into_iter();
    for word in plan.split(' ') {
        let mut letters = word.chars();
        let letter = letters.next();
        let number: u64 = letters.as_str().parse().unwrap_or(0);
        let column = usize::try_from(number).unwrap_or(usize::MAX);
        let operator = match letter {
            Some('=') => Operator::Equal,
            Some('>') => Operator::Greater,
            Some('+') => Operator::AtLeast,
            Some('<') => Operator::Less,
            Some('-') => Operator::AtMost,
            Some(letter @ ('a' | 'd')) => {
                search.order = Some((column, letter == 'd'));
                continue;
            }
            _ => {
                search.columns = number;
                continue;
            }
        };
        search
            .conditions
            .extend(values.next().map(|value| Condition {
                column,
                operator,
                value,
            }));
    }
    search
}

/// Calls the table; a panic becomes an error of the statement.
fn caught<T>(call: impl FnOnce() -> std::result::Result<T, Failure>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(answer) => answer.map_err(|error| failed(&error.to_string())),
        Err(_) => Err(failed("the table panicked, which is a fault of annals")),
    }
}

fn failed(why: &str) -> Error {
    Error::ModuleError(why.to_owned())
}

//! What SQLite asks a table for, and what it makes of the answer.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::{Arc, Mutex};

use annals_virtual_table::{Cell, Condition, Failure, Operator, Rows, Search, Table, register};
use rusqlite::Connection;
use rusqlite::types::Value;

/// The numbers from 0, of which one may be no row but an error or a panic.
struct Numbers {
    count: i64,
    error_at: Option<i64>,
    panic_at: Option<i64>,
    searches: Mutex<Vec<Search>>,
}

struct Counting {
    next: i64,
    step: i64,
    left: i64,
    error_at: Option<i64>,
    panic_at: Option<i64>,
}

impl Numbers {
    fn new(count: i64) -> Numbers {
        Numbers {
            count,
            error_at: None,
            panic_at: None,
            searches: Mutex::default(),
        }
    }

    /// A connection with the table `numbers`, and the table.
    fn open(self) -> (Connection, Arc<Numbers>) {
        let table = Arc::new(self);
        let connection = Connection::open_in_memory().unwrap();
        register(&connection, "numbers", table.clone()).unwrap();
        (connection, table)
    }

    fn last_search(&self) -> Search {
        self.searches.lock().unwrap().last().unwrap().clone()
    }
}

impl Table for Numbers {
    fn declaration(&self) -> &str {
        "CREATE TABLE t(number INTEGER, name TEXT, other REAL)"
    }

    fn narrows(&self, column: usize) -> bool {
        column < 2
    }

    fn is_sorted_by(&self, column: usize, narrowed: &[usize]) -> bool {
        column == 0 && !narrowed.contains(&1)
    }

    fn open(&self, search: &Search) -> Result<Box<dyn Rows>, Failure> {
        self.searches.lock().unwrap().push(search.clone());
        let is_descending = search.order == Some((0, true));
        Ok(Box::new(Counting {
            next: if is_descending { self.count - 1 } else { 0 },
            step: if is_descending { -1 } else { 1 },
            left: self.count,
            error_at: self.error_at,
            panic_at: self.panic_at,
        }))
    }
}

impl Rows for Counting {
    fn advance(&mut self) -> Result<bool, Failure> {
        if self.left == 0 {
            return Ok(false);
        }
        if self.left < self.error_at.unwrap_or(0) {
            return Err("the row is gone".into());
        }
        assert!(self.left >= self.panic_at.unwrap_or(0), "a fault");
        self.left -= 1;
        self.next += self.step;
        Ok(true)
    }

    fn cell(&self, column: usize) -> Result<Cell<'_>, Failure> {
        let number = self.next - self.step;
        Ok(match column {
            0 => Cell::Integer(number),
            1 => Cell::Text(format!("n{number}").into()),
            _ => Cell::Real(f64::NAN),
        })
    }
}

fn numbers(connection: &Connection, sql: &str) -> Vec<i64> {
    let mut statement = connection.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.collect::<rusqlite::Result<_>>().unwrap()
}

#[test]
fn conditions_reach_the_table_and_are_checked_again() {
    let (connection, table) = Numbers::new(10).open();
    // The table ignores all conditions.
    let sql = "SELECT number FROM numbers WHERE number > 2 AND number <= 5 AND other IS NULL";
    assert_eq!(numbers(&connection, sql), [3, 4, 5]);
    let search = table.last_search();
    let condition = |operator, value| Condition {
        column: 0,
        operator,
        value: Value::Integer(value),
    };
    let mut conditions = search.conditions.clone();
    conditions.sort_by_key(|condition| format!("{:?}", condition.operator));
    let expected = [
        condition(Operator::AtMost, 5),
        condition(Operator::Greater, 2),
    ];
    assert_eq!(conditions, expected);
    assert!(search.reads(0) && search.reads(2) && !search.reads(1));
}

#[test]
fn other_rules_of_comparison_narrow_nothing() {
    let (connection, table) = Numbers::new(10).open();
    let sql = "SELECT number FROM numbers WHERE name = 'N4' COLLATE NOCASE";
    assert_eq!(numbers(&connection, sql), [4]);
    assert_eq!(table.last_search().conditions, []);
    let sql = "SELECT number FROM numbers WHERE name = 'n4'";
    assert_eq!(numbers(&connection, sql), [4]);
    assert_eq!(table.last_search().conditions.len(), 1);
}

#[test]
fn an_order_is_used_only_where_the_table_has_it() {
    let (connection, table) = Numbers::new(4).open();
    let sql = "SELECT number FROM numbers ORDER BY number DESC LIMIT 2";
    assert_eq!(numbers(&connection, sql), [3, 2]);
    assert_eq!(table.last_search().order, Some((0, true)));
    for sql in [
        "SELECT number FROM numbers ORDER BY name DESC LIMIT 2",
        "SELECT number FROM numbers WHERE name > 'n' ORDER BY number DESC LIMIT 2",
        "SELECT number FROM numbers WHERE number IN (3, 2) ORDER BY number DESC",
    ] {
        assert_eq!(numbers(&connection, sql), [3, 2], "{sql}");
    }
}

#[test]
fn a_join_and_a_sum_read_all_rows() {
    let (connection, _) = Numbers::new(100).open();
    let sql = "SELECT SUM(a.number) FROM numbers a JOIN numbers b ON a.number = b.number";
    assert_eq!(numbers(&connection, sql), [4_950]);
}

#[test]
fn errors_and_panics_are_errors_of_the_statement() {
    let failing = Numbers {
        error_at: Some(5),
        ..Numbers::new(10)
    };
    let panicking = Numbers {
        panic_at: Some(5),
        ..Numbers::new(10)
    };
    let said = |numbers: Numbers| {
        let (connection, _) = numbers.open();
        let counted = connection.query_row("SELECT COUNT(*) FROM numbers", [], |row| {
            row.get::<_, i64>(0)
        });
        let said = counted.unwrap_err().to_string();
        // The connection is as good as before.
        assert_eq!(
            connection.query_row("SELECT 1", [], |row| row.get(0)),
            Ok(1)
        );
        said
    };
    assert_eq!(said(failing), "the row is gone");
    assert!(said(panicking).contains("panicked"));
}

#[test]
fn a_table_cannot_be_written() {
    let (connection, _) = Numbers::new(3).open();
    for sql in [
        "INSERT INTO numbers VALUES (1, 'a', 1.0)",
        "DELETE FROM numbers",
        "UPDATE numbers SET number = 1",
    ] {
        let refused = connection.execute(sql, []).unwrap_err().to_string();
        assert!(refused.contains("may not be modified"), "{sql}: {refused}");
    }
}

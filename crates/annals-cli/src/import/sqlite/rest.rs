//! Reading a table of which some pages cannot be read: up to them, and from behind them on.

use rusqlite::{Error, ErrorCode, Row};

use super::table::SourceTable;
use crate::failure::{Failure, Result};

/// Stretches that are left out before a table is given up.
const MOST_STRETCHES: u32 = 4_096;

/// Whether more rows are wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Scanned {
    Further,
    Enough,
}

/// How one reading of a table ended.
enum End {
    Whole,
    Stopped,
    /// After the row with this number.
    Broken(Option<i64>, Error),
}

/// Shows each row that can be read to `see`, with its number; says which cannot.
pub fn scan(
    table: &SourceTable<'_>,
    others: bool,
    failed: &impl Fn(Error) -> Failure,
    mut see: impl FnMut(Option<i64>, &Row<'_>) -> Scanned,
) -> Result<Vec<String>> {
    let mut unread = Vec::new();
    let mut from = None;
    for _ in 0..MOST_STRETCHES {
        let (last, error) = match read(table, others, from, &mut see) {
            End::Whole | End::Stopped => return Ok(unread),
            End::Broken(last, error) => (last, error),
        };
        if !is_damage(&error) {
            return Err(failed(error));
        }
        let name = table.name;
        let after = last.or(from.map(|from: i64| from.saturating_sub(1)));
        match next(table, after) {
            Some(next) => {
                let first = after.map_or_else(
                    || "the first".to_owned(),
                    |after| after.saturating_add(1).to_string(),
                );
                let until = next.saturating_sub(1);
                unread.push(format!("{name}: rows from {first} to {until}: {error}"));
                from = Some(next);
            }
            None => {
                let what = match after {
                    Some(after) => format!("the rows after {after}"),
                    None if table.number.is_some() => "its rows".to_owned(),
                    None => "the rest of its rows".to_owned(),
                };
                unread.push(format!("{name}: {what}: {error}"));
                return Ok(unread);
            }
        }
    }
    unread.push(format!(
        "{}: the rest: too much of it is damaged",
        table.name
    ));
    Ok(unread)
}

fn read(
    table: &SourceTable<'_>,
    others: bool,
    from: Option<i64>,
    see: &mut impl FnMut(Option<i64>, &Row<'_>) -> Scanned,
) -> End {
    let mut last = None;
    let mut attempt = || -> Result<End, Error> {
        let mut query = table.file.prepare(&table.select(others, from.is_some()))?;
        let mut rows = match from {
            Some(from) => query.query([from])?,
            None => query.query([])?,
        };
        while let Some(row) = rows.next()? {
            let number = row.get::<_, Option<i64>>(0)?;
            last = number.or(last);
            if see(number, row) == Scanned::Enough {
                return Ok(End::Stopped);
            }
        }
        Ok(End::Whole)
    };
    match attempt() {
        Ok(end) => end,
        Err(error) => End::Broken(last, error),
    }
}

/// Whether the file is damaged, so that other parts of it may be whole.
pub fn is_damage(error: &Error) -> bool {
    let code = error.sqlite_error_code();
    matches!(
        code,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::SystemIoFailure)
    )
}

/// The lowest number above `after` from which on the table can be read. A row is found by way of
/// the pages that lead to it alone, so a bad page costs the rows that it leads to.
fn next(table: &SourceTable<'_>, after: Option<i64>) -> Option<i64> {
    if !table.is_ordered {
        return None;
    }
    let is_good = |number: i64| {
        let probe = || -> Result<bool, Error> {
            let ask = format!("{} LIMIT 1", table.select(true, true));
            let mut query = table.file.prepare(&ask)?;
            let mut rows = query.query([number])?;
            Ok(rows.next()?.is_some())
        };
        probe()
    };
    let bad = after.unwrap_or(i64::MIN).saturating_add(1);
    // The nearest number, by ever longer steps, where a row can be read.
    let (mut low, mut high) = (bad, None);
    let mut step = 1_i64;
    let start = if after.is_none() { 0 } else { bad };
    for _ in 0..62 {
        let number = start.saturating_add(step);
        match is_good(number) {
            Ok(true) => {
                high = Some(number);
                break;
            }
            // Beyond the last row.
            Ok(false) => {
                high = None;
                break;
            }
            Err(_) => low = number,
        }
        step = step.checked_mul(2)?;
    }
    let mut high = match high {
        Some(high) => high,
        // Rows may lie between the last step that failed and the end.
        None => last_good(low, start.saturating_add(step), &is_good)?,
    };
    while low.saturating_add(1) < high {
        let middle = low.midpoint(high);
        if is_good(middle).is_ok() {
            high = middle;
        } else {
            low = middle;
        }
    }
    Some(high)
}

/// A number between `low`, from which nothing can be read, and `high`, which is beyond the end,
/// from which a row can be read.
fn last_good(
    mut low: i64,
    mut high: i64,
    is_good: &impl Fn(i64) -> Result<bool, Error>,
) -> Option<i64> {
    while low.saturating_add(1) < high {
        let middle = low.midpoint(high);
        match is_good(middle) {
            Ok(true) => return Some(middle),
            Ok(false) => high = middle,
            Err(_) => low = middle,
        }
    }
    None
}

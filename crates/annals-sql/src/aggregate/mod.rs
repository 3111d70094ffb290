//! Statements that rollups can answer: counts, means, extremes and sums of one table of decisions,
//! by model, symbol, checkpoint, action or day.
//!
//! SQLite does not tell a virtual table that rows are only counted. So the usual forms are
//! recognised before SQLite sees them. Their groups are asked of the journal's statistics, and the
//! rest of the statement runs over these few rows. A statement with anything else in it reads the
//! rows, and so does one whose figures rollups cannot give.

mod figure;
mod shape;

use annals::stats::StatsRow;
use annals::{Group, Stats, StatsQuery};
use rusqlite::Connection;
use rusqlite::types::Value;

use crate::error::Result;
use crate::place::Place;
use crate::times;
use shape::{Key, Shape};

/// The rows of the answer from rollups; `None` if the statement has to read rows.
pub(crate) fn answer(place: &Place, sql: &str) -> Result<Option<Vec<Vec<Value>>>> {
    let scratch = Connection::open_in_memory()?;
    let Some(shape) = shape::of(sql, &scratch) else {
        return Ok(None);
    };
    let query = question(place, &shape);
    let groups: Vec<Group> = shape.keys.iter().map(|key| key.group).collect();
    let rows = match groups.is_empty() {
        true => vec![(Vec::new(), query.get()?)],
        false => {
            let rows = query.by(&groups[..])?;
            let named = rows
                .into_iter()
                .map(|row| (names(&row, &shape.keys), row.stats));
            named.collect()
        }
    };
    let mut table = Vec::with_capacity(rows.len());
    for (mut cells, stats) in rows {
        let rows = match shape.with_repeats {
            true => stats.count,
            false => stats.recorded,
        };
        if rows == 0 && !shape.keys.is_empty() && !is_partial(&stats) {
            // A group without rows is none.
            continue;
        }
        for figure in &shape.figures {
            let Some(value) = figure.of(&stats, shape.with_repeats) else {
                return Ok(None);
            };
            cells.push(value);
        }
        table.push(cells);
    }
    // What SQLite does not understand here it does not understand in the whole statement either,
    // of which its words are.
    Ok(finish(&scratch, &shape, &table).ok())
}

/// Whether a statistic lacks decisions that rows may have.
fn is_partial(stats: &Stats) -> bool {
    let coverage = &stats.coverage;
    coverage.damaged > 0 || coverage.damaged_rollups > 0 || coverage.retired > 0
}

/// The question to the journal's statistics.
fn question(place: &Place, shape: &Shape) -> StatsQuery {
    let mut query = match &shape.model {
        Some(model) => place.reader.stats(model),
        None => place.reader.stats_of_all(),
    };
    if let Some(symbol) = &shape.symbol {
        query = query.symbol(symbol);
    }
    if let Some(checkpoint) = &shape.checkpoint {
        query = query.checkpoint(checkpoint);
    }
    if let Some(since) = shape.since {
        query = query.since(since);
    }
    if let Some(until) = shape.until {
        query = query.until(until);
    }
    query
}

/// The keys of a row, in the order in which they were asked for.
fn names(row: &StatsRow, keys: &[Key]) -> Vec<Value> {
    let name = |name: &Option<std::sync::Arc<str>>| match name {
        Some(name) => Value::Text(name.to_string()),
        None => Value::Null,
    };
    let keys = keys.iter().map(|key| match key.group {
        Group::Model => name(&row.model),
        Group::Symbol => name(&row.symbol),
        Group::Checkpoint => name(&row.checkpoint),
        Group::Action => name(&row.action),
        _ => row
            .time
            .map_or(Value::Null, |time| Value::Text(times::date(time))),
    });
    keys.collect()
}

/// Runs the rest of the statement over the rows.
fn finish(scratch: &Connection, shape: &Shape, rows: &[Vec<Value>]) -> Result<Vec<Vec<Value>>> {
    let columns = shape::columns(shape);
    let width = columns.len();
    // Names compare as the texts that they are; a day has no type, as what `date` returns.
    let is_name = |number: usize| {
        let key = shape.keys.get(number);
        key.is_some_and(|key| key.group != Group::Day)
    };
    let columns = columns.into_iter().enumerate();
    let columns = columns.map(|(number, name)| match is_name(number) {
        true => format!("{name} TEXT"),
        false => name,
    });
    let columns: Vec<String> = columns.collect();
    scratch.execute(
        &format!("CREATE TABLE {}({})", shape::TABLE, columns.join(", ")),
        [],
    )?;
    let places = vec!["?"; width].join(", ");
    let mut insert = scratch.prepare(&format!("INSERT INTO {} VALUES ({places})", shape::TABLE))?;
    for row in rows {
        insert.execute(rusqlite::params_from_iter(row))?;
    }
    let mut statement = scratch.prepare(&shape.rest)?;
    let width = statement.column_count();
    let rows = statement.query_map([], |row| {
        (0..width)
            .map(|column| row.get(column))
            .collect::<rusqlite::Result<Vec<Value>>>()
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

//! The tables, a file for each kind of row.

mod checkpoints;
mod decisions;
mod entries;
mod list;
mod performance;

use std::sync::Arc;

use annals_virtual_table::{Table, register as register_table};
use rusqlite::Connection;

use crate::cells::Role;
use crate::error::Result;
use crate::place::Place;

/// Makes all tables known to the connection.
pub(crate) fn register(connection: &Connection, place: &Arc<Place>) -> Result<()> {
    let tables: [(&str, Arc<dyn Table>); 10] = [
        ("decisions", Arc::new(decisions::ours(place.clone()))),
        (
            "inference_records",
            Arc::new(decisions::predecessor(place.clone())),
        ),
        ("outcomes", Arc::new(entries::outcomes(place.clone()))),
        ("episodes", Arc::new(entries::episodes(place.clone()))),
        ("events", Arc::new(entries::events(place.clone()))),
        ("gaps", Arc::new(entries::gaps(place.clone()))),
        ("runs", Arc::new(entries::runs(place.clone()))),
        ("checkpoints", Arc::new(checkpoints::ours(place.clone()))),
        (
            "checkpoint_metadata",
            Arc::new(checkpoints::predecessor(place.clone())),
        ),
        (
            "model_performance",
            Arc::new(performance::table(place.clone())),
        ),
    ];
    for (name, table) in tables {
        register_table(connection, name, table)?;
    }
    Ok(())
}

/// What a column of a table of decisions is about; `None` if it has no such column.
pub(crate) fn decision_role(table: &str, column: &str) -> Option<Role> {
    decisions::role(table, column)
}

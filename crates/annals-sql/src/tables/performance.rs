//! The predecessor's table of figures by model and day, from rollups.

use std::sync::Arc;

use annals::Group;
use annals::stats::StatsRow;
use annals_virtual_table::Cell;

use super::list::List;
use crate::cells::{Column, maybe, milliseconds, owned, whole};
use crate::place::Place;
use crate::times;

const COLUMNS: &[Column<StatsRow>] = &[
    Column::new("model_name", "TEXT", |row| {
        maybe(row.model.clone(), |model| owned(model.to_string()))
    }),
    Column::new("date", "TEXT", |row| {
        maybe(row.time, |time| owned(times::date(time)))
    }),
    Column::new("total_predictions", "INTEGER", |row| {
        whole(row.stats.recorded)
    }),
    Column::new("correct_predictions", "INTEGER", |row| {
        whole(row.stats.outcomes.correct)
    }),
    Column::new("accuracy", "REAL", |row| {
        maybe(row.stats.outcomes.accuracy, Cell::Real)
    }),
    Column::new("avg_confidence", "REAL", |row| {
        maybe(row.stats.confidence.mean, Cell::Real)
    }),
    Column::new("avg_processing_time_ms", "REAL", |row| {
        maybe(row.stats.processing_time.mean, milliseconds)
    }),
    Column::new("memory_usage_mb", "REAL", |row| {
        let mean = row.stats.memory.mean;
        maybe(mean, |bytes| Cell::Real(bytes / f64::from(1 << 20)))
    }),
    Column::new("total_reward", "REAL", |row| {
        let reward = &row.stats.outcomes.reward;
        maybe((reward.count > 0).then_some(reward.sum), Cell::Real)
    }),
];

/// A row for each model and day, in UTC.
pub(crate) fn table(place: Arc<Place>) -> List<StatsRow> {
    List::new(place, COLUMNS, |place| {
        let rows = place.reader.stats_of_all().by([Group::Model, Group::Day])?;
        Ok(Box::new(rows.into_iter().map(Ok)))
    })
}

//! Checkpoints: our table, and the predecessor's.

use std::sync::Arc;

use annals::Checkpoint;
use annals::registry::{Condition, Metadata};
use annals_virtual_table::Cell;
use serde_json::Value as Json;

use super::list::{Each, List};
use crate::cells::{Column, maybe, micros, object, owned, shown, text, time, whole};
use crate::place::Place;

/// The alias that the predecessor's `is_active` is.
const ACTIVE: &str = "active";

/// A checkpoint with the aliases that point at it.
pub(crate) struct Known {
    checkpoint: Checkpoint,
    aliases: Vec<String>,
}

const OURS: &[Column<Known>] = &[
    Column::new("id", "TEXT", |row| text(row.checkpoint.id())),
    Column::new("model", "TEXT", |row| text(row.checkpoint.model())),
    Column::new("model_type", "TEXT", |row| {
        text(row.checkpoint.model_type())
    }),
    Column::new("created", "TEXT", |row| time(row.checkpoint.created())),
    Column::new("created_us", "INTEGER", |row| {
        micros(row.checkpoint.created())
    }),
    Column::new("metrics", "TEXT", metrics),
    Column::new("metadata", "TEXT", metadata),
    Column::new("step", "INTEGER", |row| maybe(row.checkpoint.step(), whole)),
    Column::new("epoch", "INTEGER", |row| {
        maybe(row.checkpoint.epoch(), whole)
    }),
    Column::new("parent", "TEXT", |row| {
        row.checkpoint.parent().map_or(Cell::Null, text)
    }),
    Column::new("tags", "TEXT", |row| list(row.checkpoint.tags())),
    Column::new("aliases", "TEXT", |row| list(&row.aliases)),
    Column::new("pinned", "INTEGER", |row| {
        Cell::Integer(row.checkpoint.is_pinned().into())
    }),
    Column::new("bytes", "INTEGER", |row| whole(row.checkpoint.bytes())),
    Column::new("digest", "TEXT", |row| {
        maybe(row.checkpoint.digest(), |digest| {
            owned(digest.iter().map(|byte| format!("{byte:02x}")).collect())
        })
    }),
    Column::new("path", "TEXT", path),
    Column::new("state", "TEXT", |row| match row.checkpoint.condition() {
        Condition::Present => text("present"),
        Condition::Missing => text("missing"),
        Condition::Corrupt(why) => owned(format!("corrupt: {why}")),
        _ => text("unknown"),
    }),
];

const PREDECESSOR: &[Column<Known>] = &[
    Column::new("checkpoint_id", "TEXT", |row| text(row.checkpoint.id())),
    Column::new("model_name", "TEXT", |row| text(row.checkpoint.model())),
    Column::new("model_type", "TEXT", |row| {
        text(row.checkpoint.model_type())
    }),
    Column::new("timestamp", "TEXT", |row| time(row.checkpoint.created())),
    Column::new("performance_metrics", "TEXT", metrics),
    Column::new("training_metadata", "TEXT", metadata),
    Column::new("file_path", "TEXT", path),
    Column::new("file_size_mb", "REAL", |row| {
        Cell::Real(megabytes(row.checkpoint.bytes()))
    }),
    Column::new("is_active", "BOOLEAN", |row| {
        let is_active = row.aliases.iter().any(|alias| alias == ACTIVE);
        Cell::Integer(is_active.into())
    }),
];

/// All checkpoints, with our names of columns.
pub(crate) fn ours(place: Arc<Place>) -> List<Known> {
    List::new(place, OURS, known)
}

/// All checkpoints, with the predecessor's names of columns.
pub(crate) fn predecessor(place: Arc<Place>) -> List<Known> {
    List::new(place, PREDECESSOR, known)
}

/// The checkpoints of all models, model after model.
fn known(place: &Place) -> annals::Result<Each<Known>> {
    let registry = place.registry()?;
    let models = registry.models()?;
    let of_model = move |model: String| -> annals::Result<Vec<Known>> {
        let aliases = registry.aliases(&model)?;
        let checkpoints = registry.list(model).get()?;
        let known = checkpoints.into_iter().map(|checkpoint| Known {
            aliases: aliases
                .iter()
                .filter(|(_, target)| target == checkpoint.id())
                .map(|(alias, _)| alias.clone())
                .collect(),
            checkpoint,
        });
        Ok(known.collect())
    };
    let pages = models.into_iter().map(of_model);
    Ok(Box::new(pages.flat_map(|page| match page {
        Ok(known) => known.into_iter().map(Ok).collect(),
        Err(error) => vec![Err(error)],
    })))
}

fn metrics(row: &Known) -> Cell<'_> {
    let metrics = row.checkpoint.metrics().iter();
    object(metrics.map(|(name, value)| (name.as_str(), Json::from(*value))))
}

fn metadata(row: &Known) -> Cell<'_> {
    let metadata = row.checkpoint.all_metadata().iter();
    object(metadata.map(|(name, value)| (name.as_str(), json(value))))
}

fn json(value: &Metadata) -> Json {
    serde_json::to_value(value).unwrap_or(Json::Null)
}

fn path(row: &Known) -> Cell<'_> {
    shown(row.checkpoint.path().display())
}

fn list<'a>(words: &[String]) -> Cell<'a> {
    match words.is_empty() {
        true => Cell::Null,
        false => owned(Json::from(words).to_string()),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a size to be read")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

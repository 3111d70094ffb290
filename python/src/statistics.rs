//! Statistics, from rollups.

use annals::Group;
use annals::stats::Groups;
use pyo3::prelude::*;

use crate::errors::{InvalidInputError, OrRaise};
use crate::values;

/// What a statistic is about; a mapping in Python.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct Scope<'py> {
    model: Option<String>,
    symbol: Option<String>,
    checkpoint: Option<String>,
    /// Event times.
    since: Option<Bound<'py, PyAny>>,
    until: Option<Bound<'py, PyAny>>,
}

/// A statistic as JSON, or with `by` one for each group.
pub(crate) fn ask(
    py: Python<'_>,
    reader: &annals::Reader,
    scope: Scope<'_>,
    by: Option<Vec<String>>,
) -> PyResult<String> {
    let mut query = match &scope.model {
        Some(model) => reader.stats(model),
        None => reader.stats_of_all(),
    };
    if let Some(symbol) = &scope.symbol {
        query = query.symbol(symbol);
    }
    if let Some(checkpoint) = &scope.checkpoint {
        query = query.checkpoint(checkpoint);
    }
    if let Some(since) = &scope.since {
        query = query.since(values::timestamp("since", since)?);
    }
    if let Some(until) = &scope.until {
        query = query.until(values::timestamp("until", until)?);
    }
    let text = match by {
        None => {
            let stats = py.detach(|| query.get()).or_raise()?;
            serde_json::to_string(&stats)
        }
        Some(by) => {
            let groups: Result<Vec<Group>, _> = by.iter().map(|group| group.parse()).collect();
            let groups = Groups::from(&groups.or_raise()?[..]);
            let rows = py.detach(|| query.by(groups)).or_raise()?;
            serde_json::to_string(&rows)
        }
    };
    text.map_err(|error| InvalidInputError::new_err(error.to_string()))
}

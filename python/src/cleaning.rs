//! Removing what is old, for the predecessor's calls.

use std::path::PathBuf;

use annals::{Maintenance, RetentionPolicy};
use pyo3::prelude::*;

use crate::errors::OrRaise;

/// Removes whole segments of entries older than so many days; how many entries.
#[pyfunction]
fn _remove_old_entries(py: Python<'_>, path: PathBuf, days: u32) -> PyResult<u64> {
    let removed = py.detach(|| {
        let policy = RetentionPolicy::new().max_age_days(days);
        let maintenance = Maintenance::open(&path)?;
        let report = maintenance.retention(policy.clone()).plan()?.apply()?;
        maintenance.log_retention(policy).plan()?.apply()?;
        Ok(report.entries)
    });
    removed.or_raise()
}

/// Shortens each text file to so many lines; how many lines were removed.
#[pyfunction]
fn _remove_old_lines(py: Python<'_>, path: PathBuf, lines: u64) -> PyResult<u64> {
    let removed = py.detach(|| {
        let policy = RetentionPolicy::new().max_count(lines);
        let maintenance = Maintenance::open(&path)?;
        let report = maintenance.log_retention(policy).plan()?.apply()?;
        Ok(report.lines)
    });
    removed.or_raise()
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(_remove_old_entries, module)?)?;
    module.add_function(wrap_pyfunction!(_remove_old_lines, module)?)
}

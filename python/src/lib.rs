//! The Python package `annals`: the extension module `annals._annals`.
//!
//! Each file holds the classes of one feature and a `register` that adds them to the module.

mod arrow;
mod checkpoint;
mod cleaning;
mod decision;
mod episode;
mod errors;
mod features;
mod follow;
mod fork;
mod handle;
mod journal;
mod outcome;
mod reader;
mod recorded;
mod recorder;
mod registry;
mod sql;
mod statistics;
mod timer;
mod values;
mod wait;

use pyo3::prelude::*;

/// Registers the classes and functions of every feature.
#[pymodule]
fn _annals(module: &Bound<'_, PyModule>) -> PyResult<()> {
    fork::register(module)?;
    handle::register(module)?;
    values::register(module)?;
    timer::register(module)?;
    journal::register(module)?;
    recorder::register(module)?;
    episode::register(module)?;
    checkpoint::register(module)?;
    cleaning::register(module)?;
    reader::register(module)?;
    registry::register(module)
}

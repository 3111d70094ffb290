//! Errors of annals as exceptions of `annals.errors`, by their kind.

use annals::{Error, ErrorKind};
use pyo3::prelude::*;

pyo3::import_exception!(annals.errors, AnnalsError);
pyo3::import_exception!(annals.errors, NotFoundError);
pyo3::import_exception!(annals.errors, InvalidInputError);
pyo3::import_exception!(annals.errors, UnsupportedError);
pyo3::import_exception!(annals.errors, BusyError);
pyo3::import_exception!(annals.errors, RefusedBySystemError);
pyo3::import_exception!(annals.errors, DamagedError);
pyo3::import_exception!(annals.errors, EndedError);
pyo3::import_exception!(annals.errors, ConflictError);

/// The exception for an error, with its message.
pub(crate) fn raised(error: &Error) -> PyErr {
    let message = error.to_string();
    match error.kind() {
        ErrorKind::NotFound => NotFoundError::new_err(message),
        ErrorKind::InvalidInput => InvalidInputError::new_err(message),
        ErrorKind::Unsupported => UnsupportedError::new_err(message),
        ErrorKind::Busy => BusyError::new_err(message),
        ErrorKind::System => RefusedBySystemError::new_err(message),
        ErrorKind::Damaged => DamagedError::new_err(message),
        ErrorKind::Ended => EndedError::new_err(message),
        ErrorKind::Conflict => ConflictError::new_err(message),
        // A kind that this package does not know yet.
        _ => AnnalsError::new_err(message),
    }
}

/// An argument that cannot be used: its name, and what is wrong with it.
pub(crate) fn invalid(name: &str, wrong: impl std::fmt::Display) -> PyErr {
    InvalidInputError::new_err(format!("{name}: {wrong}"))
}

/// Turns the library's results into Python's.
pub(crate) trait OrRaise<T> {
    /// The value, or the exception for the error.
    fn or_raise(self) -> PyResult<T>;
}

impl<T> OrRaise<T> for annals::Result<T> {
    fn or_raise(self) -> PyResult<T> {
        self.map_err(|error| raised(&error))
    }
}

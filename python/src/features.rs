//! Arrays of numbers: of numpy, of anything that becomes one, and lists.

use annals::record::Float;
use numpy::{Element, PyArrayDyn, PyArrayMethods, PyReadonlyArrayDyn, PyUntypedArrayMethods};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyFloat, PyInt, PyList, PySequence, PyString};

use crate::errors::invalid;
use crate::values::kind_of;

/// Up to so many numbers, a copy costs less than the registration of a borrow.
const SMALL: usize = 256;

/// Numbers of one argument, borrowed where they lie side by side in an array.
pub(crate) enum Numbers<'py> {
    /// An array of float32.
    F32(PyReadonlyArrayDyn<'py, f32>),
    /// An array of float64.
    F64(PyReadonlyArrayDyn<'py, f64>),
    /// Copied: an array with gaps between its elements.
    CopiedF32(Vec<f32>),
    /// Copied: the same of float64, and lists.
    CopiedF64(Vec<f64>),
}

/// Numbers side by side, in their own width.
#[derive(Clone, Copy)]
pub(crate) enum Slice<'a> {
    F32(&'a [f32]),
    F64(&'a [f64]),
}

impl Slice<'_> {
    /// How many numbers there are.
    #[inline]
    pub(crate) fn len(self) -> usize {
        match self {
            Slice::F32(numbers) => numbers.len(),
            Slice::F64(numbers) => numbers.len(),
        }
    }
}

/// Which arrays an argument takes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One dimension; others of length 1 before it do not matter.
    Row,
    /// Any number of dimensions, taken row by row.
    Any,
}

impl<'py> Numbers<'py> {
    /// The numbers of an argument: one dimension of float32 or float64, or a list of numbers.
    #[inline]
    pub(crate) fn of(name: &str, given: &Bound<'py, PyAny>, shape: Shape) -> PyResult<Self> {
        if let Ok(list) = given.cast_exact::<PyList>() {
            let numbers = list.iter().map(|item| number(name, &item));
            return numbers.collect::<PyResult<_>>().map(Numbers::CopiedF64);
        }
        if let Some(numbers) = Numbers::of_array(name, given, shape)? {
            return Ok(numbers);
        }
        Numbers::of_other(name, given, shape)
    }

    #[inline]
    fn of_array(name: &str, given: &Bound<'py, PyAny>, shape: Shape) -> PyResult<Option<Self>> {
        if !numpy_is_loaded(given.py())? {
            return Ok(None);
        }
        if let Ok(array) = given.cast::<PyArrayDyn<f32>>() {
            return Ok(Some(match taken(name, array, shape)? {
                Taken::Borrowed(array) => Numbers::F32(array),
                Taken::Copied(numbers) => Numbers::CopiedF32(numbers),
            }));
        }
        if let Ok(array) = given.cast::<PyArrayDyn<f64>>() {
            return Ok(Some(match taken(name, array, shape)? {
                Taken::Borrowed(array) => Numbers::F64(array),
                Taken::Copied(numbers) => Numbers::CopiedF64(numbers),
            }));
        }
        Ok(None)
    }

    #[cold]
    fn of_other(name: &str, given: &Bound<'py, PyAny>, shape: Shape) -> PyResult<Self> {
        let py = given.py();
        let is_true = |attribute| {
            let found = given.getattr(attribute).and_then(|flag| flag.is_truthy());
            found.unwrap_or(false)
        };
        if is_true(intern!(py, "is_cuda")) {
            let advice = "is on a GPU; give it as .cpu(), outside of the timed part";
            return Err(invalid(name, format!("the {} {advice}", kind_of(given))));
        }
        if is_true(intern!(py, "requires_grad")) {
            let advice = "requires a gradient; give it as .detach()";
            return Err(invalid(name, format!("the {} {advice}", kind_of(given))));
        }
        let Ok(dtype) = given.getattr(intern!(py, "dtype")) else {
            return Numbers::of_sequence(name, given);
        };
        let dtype = dtype.str()?.to_string();
        let dtype = dtype.trim_start_matches("torch.");
        // Tensors on the processor, series of pandas and arrays of other libraries: as numpy's.
        if matches!(dtype, "float32" | "float64")
            && let Ok(array) = py.import("numpy")?.call_method1("asarray", (given,))
            && let Some(numbers) = Numbers::of_array(name, &array, shape)?
        {
            return Ok(numbers);
        }
        Err(invalid(
            name,
            format!("the dtype is {dtype}; give float32 or float64, such as .astype('float32')"),
        ))
    }

    fn of_sequence(name: &str, given: &Bound<'py, PyAny>) -> PyResult<Self> {
        let is_text = given.is_instance_of::<PyString>() || given.is_instance_of::<PyBytes>();
        if is_text || given.cast::<PySequence>().is_err() {
            let kind = kind_of(given);
            let wanted = "a numpy array of float32 or float64, or a list of numbers";
            return Err(invalid(name, format!("expected {wanted}, got {kind}")));
        }
        let numbers = given.try_iter()?.map(|item| number(name, &item?));
        numbers.collect::<PyResult<_>>().map(Numbers::CopiedF64)
    }

    /// The numbers in their own width.
    #[inline]
    pub(crate) fn slice(&self) -> Slice<'_> {
        match self {
            // Rows side by side, as was looked at above, are a slice.
            Numbers::F32(array) => Slice::F32(array.as_slice().unwrap_or_default()),
            Numbers::F64(array) => Slice::F64(array.as_slice().unwrap_or_default()),
            Numbers::CopiedF32(numbers) => Slice::F32(numbers),
            Numbers::CopiedF64(numbers) => Slice::F64(numbers),
        }
    }

    /// Without a borrowed array.
    pub(crate) fn copied(self) -> Numbers<'static> {
        match self {
            Numbers::F32(array) => Numbers::CopiedF32(array.as_slice().unwrap_or_default().into()),
            Numbers::F64(array) => Numbers::CopiedF64(array.as_slice().unwrap_or_default().into()),
            Numbers::CopiedF32(numbers) => Numbers::CopiedF32(numbers),
            Numbers::CopiedF64(numbers) => Numbers::CopiedF64(numbers),
        }
    }

    /// As float32, which probabilities are stored in.
    #[inline]
    pub(crate) fn to_f32(&self) -> std::borrow::Cow<'_, [f32]> {
        match self.slice() {
            Slice::F32(numbers) => numbers.into(),
            Slice::F64(numbers) => narrowed(numbers).into(),
        }
    }
}

fn narrowed(numbers: &[f64]) -> Vec<f32> {
    numbers.iter().map(|number| number.to_f32()).collect()
}

#[inline]
fn fits(name: &str, lengths: &[usize], shape: Shape) -> PyResult<()> {
    let is_row = match lengths.split_last() {
        None => false,
        Some((_, before)) => shape == Shape::Any || before.iter().all(|length| *length == 1),
    };
    if is_row {
        return Ok(());
    }
    Err(invalid(
        name,
        format!("the array has the shape {lengths:?}; give one row of numbers"),
    ))
}

/// An array of one width, borrowed or copied.
enum Taken<'py, T: Element> {
    Borrowed(PyReadonlyArrayDyn<'py, T>),
    Copied(Vec<T>),
}

#[inline]
fn taken<'py, T: Element>(
    name: &str,
    array: &Bound<'py, PyArrayDyn<T>>,
    shape: Shape,
) -> PyResult<Taken<'py, T>> {
    fits(name, array.shape(), shape)?;
    // In the order of rows: one of columns would give another hash for the same input.
    if !array.is_c_contiguous() || !array.is_aligned() {
        let copy = array.call_method1(intern!(array.py(), "copy"), ("C",))?;
        return Ok(Taken::Copied(copy.cast::<PyArrayDyn<T>>()?.to_vec()?));
    }
    if array.len() <= SMALL {
        return Ok(Taken::Copied(array.to_vec()?));
    }
    let borrowed = array.try_readonly();
    borrowed
        .map(Taken::Borrowed)
        .map_err(|_| invalid(name, "another call is writing to the array"))
}

#[inline]
fn number(name: &str, item: &Bound<'_, PyAny>) -> PyResult<f64> {
    if let Ok(number) = item.cast_exact::<PyFloat>() {
        return Ok(number.value());
    }
    if item.is_instance_of::<PyBool>() || item.is_instance_of::<PyInt>() {
        let number = item.extract::<f64>();
        return number.map_err(|_| invalid(name, "an int is too large for a float"));
    }
    let number = item.extract::<f64>();
    number.map_err(|_| invalid(name, format!("expected numbers, got {}", kind_of(item))))
}

/// Whether somebody has imported numpy. It need not be installed, and there are no arrays before.
#[inline]
fn numpy_is_loaded(py: Python<'_>) -> PyResult<bool> {
    use std::sync::atomic::{AtomicBool, Ordering};
    static LOADED: AtomicBool = AtomicBool::new(false);
    if LOADED.load(Ordering::Relaxed) {
        return Ok(true);
    }
    let modules = py.import("sys")?.getattr("modules")?;
    let loaded = modules.contains("numpy")?;
    LOADED.store(loaded, Ordering::Relaxed);
    Ok(loaded)
}

//! A part of values that others have parts of, too.

use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;

/// Values of one input, read as a slice. Inputs that were stored together share their memory: a
/// clone allocates nothing, and each keeps up to 64 KiB of the others. Copy those that are kept for
/// long: `to_vec` does.
///
/// ```
/// use annals::entry::SharedSlice;
///
/// let values = SharedSlice::from(vec![0.25_f32, 1_300.0]);
/// assert_eq!(values[1], 1_300.0);
/// assert_eq!(values.iter().sum::<f32>(), 1_300.25);
/// ```
#[derive(Clone)]
pub struct SharedSlice<T> {
    all: Arc<[T]>,
    range: Range<usize>,
}

impl<T> SharedSlice<T> {
    /// The part of `all` in `range`; nothing if it is not within.
    #[inline]
    pub(crate) fn of(all: &Arc<[T]>, range: Range<usize>) -> Self {
        SharedSlice {
            all: all.clone(),
            range,
        }
    }
}

impl<T> Deref for SharedSlice<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        self.all.get(self.range.clone()).unwrap_or_default()
    }
}

impl<T> From<Vec<T>> for SharedSlice<T> {
    fn from(values: Vec<T>) -> Self {
        let range = 0..values.len();
        SharedSlice {
            all: values.into(),
            range,
        }
    }
}

impl<T: PartialEq> PartialEq for SharedSlice<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: fmt::Debug> fmt::Debug for SharedSlice<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

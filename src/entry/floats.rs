//! A short list of probabilities that needs no allocation in the usual case.

use std::fmt;

/// How many values fit without an allocation.
pub(crate) const INLINE: usize = 8;
/// How many values an inference may have.
pub(crate) const MOST: usize = 1_024;

/// Up to [`MOST`] floats; up to [`INLINE`] of them stored in place.
#[derive(Clone)]
pub(crate) enum Floats {
    Inline { len: u8, values: [f32; INLINE] },
    Heap(Box<[f32]>),
}

impl Floats {
    #[inline]
    pub(crate) fn new(slice: &[f32]) -> Self {
        if slice.len() <= INLINE {
            let mut values = [0.0; INLINE];
            values[..slice.len()].copy_from_slice(slice);
            #[expect(clippy::cast_possible_truncation, reason = "at most INLINE")]
            let len = slice.len() as u8;
            Floats::Inline { len, values }
        } else {
            Floats::Heap(slice.into())
        }
    }

    /// The `len` floats that `values` gives.
    #[inline]
    pub(crate) fn collect(len: usize, values: impl Iterator<Item = f32>) -> Self {
        if len > INLINE {
            return Floats::Heap(values.collect());
        }
        let mut inline = [0.0; INLINE];
        for (slot, value) in inline.iter_mut().zip(values) {
            *slot = value;
        }
        #[expect(clippy::cast_possible_truncation, reason = "at most INLINE")]
        let len = len as u8;
        Floats::Inline {
            len,
            values: inline,
        }
    }

    #[inline]
    pub(crate) fn as_slice(&self) -> &[f32] {
        match self {
            Floats::Inline { len, values } => &values[..usize::from(*len).min(INLINE)],
            Floats::Heap(values) => values,
        }
    }
}

impl fmt::Debug for Floats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_slice().fmt(f)
    }
}

//! The input of a decision, as it was given.

use std::sync::Arc;

use super::shared_slice::SharedSlice;

/// Most bytes of one kept input: 262,144 `f32`, 131,072 `f64`.
pub(crate) const MOST_INPUT: usize = 1 << 20;

/// What the bytes of an input are. The number is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum InputKind {
    F32 = 0,
    F64 = 1,
    Bytes = 2,
    /// Bytes in compressed form.
    Deflated = 3,
}

impl InputKind {
    /// The kind with this number.
    pub(crate) fn of(number: u32) -> Option<InputKind> {
        Some(match number {
            0 => InputKind::F32,
            1 => InputKind::F64,
            2 => InputKind::Bytes,
            3 => InputKind::Deflated,
            _ => return None,
        })
    }

    /// Whether an input of this kind can have so many bytes.
    pub(crate) fn fits(self, bytes: usize) -> bool {
        bytes <= MOST_INPUT && bytes.is_multiple_of(self.width())
    }

    fn width(self) -> usize {
        match self {
            InputKind::F32 => 4,
            InputKind::F64 => 8,
            InputKind::Bytes | InputKind::Deflated => 1,
        }
    }

    /// How many values so many bytes are.
    pub(crate) fn values(self, bytes: usize) -> usize {
        bytes / self.width()
    }

    /// The bytes of an input in stored order, which is little-endian.
    pub(crate) fn stored(self, native: &[u8]) -> Vec<u8> {
        let mut bytes = native.to_vec();
        if cfg!(target_endian = "big") && self != InputKind::Bytes {
            bytes.chunks_mut(self.width()).for_each(<[u8]>::reverse);
        }
        bytes
    }
}

/// What has to come true before an input is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Condition {
    #[default]
    None,
    /// Its decision is found to be divergent.
    Divergent,
}

/// An input as its caller gives it: bytes in the machine's order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GivenInput<'a> {
    pub(crate) kind: InputKind,
    pub(crate) bytes: &'a [u8],
    pub(crate) condition: Condition,
}

/// The input that a decision was made from, as it was given, bit by bit; from
/// [`Reader::input`](crate::Reader::input), and from [`new`](Self::new) for an import.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Input {
    /// Its values.
    pub values: InputValues,
    /// The names of its values, as
    /// [`feature_names`](crate::record::RecorderBuilder::feature_names) bound them. Empty if none
    /// were bound; there may be more or fewer than values.
    pub names: Arc<[Arc<str>]>,
}

/// Values of an [`Input`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum InputValues {
    /// Features of 32 bits.
    F32(SharedSlice<f32>),
    /// Features of 64 bits.
    F64(SharedSlice<f64>),
    /// Anything else: tokens, an image.
    Bytes(SharedSlice<u8>),
}

impl InputValues {
    /// What they are, and their bytes in stored order.
    pub(crate) fn stored(&self) -> (InputKind, Vec<u8>) {
        match self {
            InputValues::F32(values) => {
                let bytes = values.iter().flat_map(|value| value.to_le_bytes());
                (InputKind::F32, bytes.collect())
            }
            InputValues::F64(values) => {
                let bytes = values.iter().flat_map(|value| value.to_le_bytes());
                (InputKind::F64, bytes.collect())
            }
            InputValues::Bytes(bytes) => (InputKind::Bytes, bytes.to_vec()),
        }
    }
}

impl Input {
    /// An input for [`Importer::add_with_input`](crate::import::Importer::add_with_input).
    ///
    /// ```
    /// use annals::entry::{Input, InputValues};
    ///
    /// let input = Input::new(InputValues::F32(vec![0.25, 1_300.0].into()), ["spread", "volume"]);
    /// assert_eq!(&*input.names[1], "volume");
    /// ```
    pub fn new<A: AsRef<str>>(values: InputValues, names: impl IntoIterator<Item = A>) -> Input {
        let names = names.into_iter().map(|name| name.as_ref().into());
        Input {
            values,
            names: names.collect(),
        }
    }

    /// The features, if they were given as `f32`.
    ///
    /// ```
    /// use annals::Journal;
    /// use annals::record::KeepInputs;
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// let journal = Journal::open(dir.path().join("data"))?;
    /// let builder = journal.recorder("dqn_agent", "ETH/USDT").actions(["BUY", "SELL"]);
    /// let recorder = builder.keep_inputs(KeepInputs::Always).build()?;
    /// let id = recorder.log(recorder.start(), 0, &[0.85, 0.15], &[0.1, f32::NAN]).unwrap();
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let input = journal.reader()?.input(id)?.kept().expect("it was kept");
    /// assert!(input.features().expect("they are f32")[1].is_nan());
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn features(&self) -> Option<&[f32]> {
        match &self.values {
            InputValues::F32(values) => Some(values),
            InputValues::F64(_) | InputValues::Bytes(_) => None,
        }
    }
}

/// The input of a decision, or why there is none.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum KeptInput {
    /// It is there.
    Kept(Input),
    /// It was not to be kept: by the recorder, or because the budget is zero.
    NotKept,
    /// It was to be kept, and was given up: too large, no room in the queue, an input's file could
    /// not be written, or its process died before the commit. [`Health::inputs`] counts the
    /// reasons.
    ///
    /// [`Health::inputs`]: crate::health::Health::inputs
    GivenUp,
    /// It was kept, and its file is gone: removed for the budget, or not in this copy.
    Removed,
}

impl KeptInput {
    /// The input, if it is there.
    ///
    /// ```
    /// use annals::{Inference, Journal};
    /// use annals::entry::KeptInput;
    ///
    /// let journal = Journal::in_memory()?; // which keeps no inputs
    /// let id = journal.log(Inference::new("m", "s", "BUY").keep_features(&[0.1])).unwrap();
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let input = journal.reader()?.input(id)?;
    /// assert_eq!(input, KeptInput::NotKept);
    /// assert_eq!(input.kept(), None);
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn kept(self) -> Option<Input> {
        match self {
            KeptInput::Kept(input) => Some(input),
            KeptInput::NotKept | KeptInput::GivenUp | KeptInput::Removed => None,
        }
    }
}

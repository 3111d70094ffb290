//! Columns of kept inputs.

use annals::entry::{InputValues, KeptInput};

/// Inputs, a row for each decision.
#[derive(Default)]
pub(crate) struct InputColumns {
    pub(crate) features: Rows<f32>,
    pub(crate) features_64: Rows<f64>,
    pub(crate) bytes: Rows<u8>,
    pub(crate) states: Vec<&'static str>,
}

/// Lists that may be missing.
pub(crate) struct Rows<T> {
    pub(crate) values: Vec<T>,
    /// The length of each row's list.
    pub(crate) lengths: Vec<usize>,
    pub(crate) is_there: Vec<bool>,
}

impl<T> Default for Rows<T> {
    fn default() -> Self {
        Rows {
            values: Vec::new(),
            lengths: Vec::new(),
            is_there: Vec::new(),
        }
    }
}

impl<T: Copy> Rows<T> {
    fn push(&mut self, values: Option<&[T]>) {
        let list = values.unwrap_or_default();
        self.values.extend_from_slice(list);
        self.lengths.push(list.len());
        self.is_there.push(values.is_some());
    }
}

impl InputColumns {
    pub(crate) fn push(&mut self, input: &KeptInput) {
        let (mut features, mut features_64, mut bytes) = (None, None, None);
        let state = match input {
            KeptInput::Kept(input) => {
                match &input.values {
                    InputValues::F32(values) => features = Some(&**values),
                    InputValues::F64(values) => features_64 = Some(&**values),
                    InputValues::Bytes(values) => bytes = Some(&**values),
                    // A kind that this version does not know has a state alone.
                    _ => {}
                }
                "kept"
            }
            KeptInput::GivenUp => "given_up",
            KeptInput::Removed => "removed",
            _ => "not_kept",
        };
        self.features.push(features);
        self.features_64.push(features_64);
        self.bytes.push(bytes);
        self.states.push(state);
    }

    /// Bytes that are held.
    pub(crate) fn bytes(&self) -> usize {
        4 * self.features.values.len() + 8 * self.features_64.values.len() + self.bytes.values.len()
    }
}

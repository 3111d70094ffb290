//! Calls of a recorder that keep inputs.

use super::keep_inputs::KeepInputs;
use super::queue::Queue;
use super::queue::enqueue::{Carried, Facts, GivenNames};
use super::queue::local_names::LocalName;
use super::queue::message::Texts;
use super::queue::typed::GivenValues;
use super::recorder::{Prepared, Recorder, RecorderBuilder};
use crate::entry::extras::Extras;
use crate::entry::features::{Float, as_input};
use crate::entry::floats::INLINE;
use crate::entry::ids::InferenceId;
use crate::entry::input::{Condition, GivenInput, InputKind};
use xxhash_rust::xxh3::xxh3_64;

impl RecorderBuilder {
    /// Keeps the inputs themselves, and not only their hash, so that a decision can be replayed and
    /// can train the next model. [`Reader::input`](crate::Reader::input) gives them again. By
    /// default only those are kept that a call [asks for](Prepared::keep_features).
    ///
    /// An input that repeats is stored once. Up to 256 bytes (64 `f32`) of a call of
    /// [`log`](Recorder::log) travel without an allocation, where there are lanes. An input has up
    /// to 1 MiB. An input that is larger, or finds no room, is given up: it is counted, and its
    /// decision is recorded without it. [`Options::input_budget`](crate::Options::input_budget)
    /// bounds all. A journal in memory keeps none. An input is on disk when a flush has confirmed
    /// its decision. A [`sync`](crate::Journal::sync) alone, and the death of the process, keep the
    /// decision without it.
    ///
    /// ```
    /// use annals::Journal;
    /// use annals::record::KeepInputs;
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// let journal = Journal::open(dir.path().join("data"))?;
    /// let recorder = journal
    ///     .recorder("dqn_agent", "ETH/USDT")
    ///     .actions(["BUY", "SELL"])
    ///     .feature_names(["spread", "volume"])
    ///     .keep_inputs(KeepInputs::Always)
    ///     .build()?;
    /// let id = recorder.log(recorder.start(), 0, &[0.85, 0.15], &[0.25, 1_300.0]).unwrap();
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    ///
    /// let input = journal.reader()?.input(id)?.kept().expect("it was kept");
    /// assert_eq!(input.features(), Some(&[0.25, 1_300.0][..]));
    /// assert_eq!(&*input.names[1], "volume");
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn keep_inputs(mut self, keep: KeepInputs) -> Self {
        self.keep_inputs = keep;
        self
    }

    /// Names of the values of inputs, in their order. They are stored with the inputs that are
    /// kept. All together have up to 64 KiB.
    ///
    /// ```
    /// use annals::Journal;
    /// use annals::record::KeepInputs;
    ///
    /// let journal = Journal::in_memory()?;
    /// let builder = journal.recorder("dqn_agent", "ETH/USDT").actions(["BUY", "SELL"]);
    /// let recorder = builder.feature_names(["spread", "volume"]).build()?;
    /// # drop(recorder);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn feature_names<A: AsRef<str>>(mut self, names: impl IntoIterator<Item = A>) -> Self {
        let names = names.into_iter();
        self.feature_names = names.map(|name| name.as_ref().to_owned()).collect();
        self
    }
}

impl<'a> Prepared<'a> {
    /// The model's input, which is kept whatever the recorder's
    /// [`keep_inputs`](RecorderBuilder::keep_inputs) says.
    ///
    /// ```
    /// use annals::Journal;
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// let journal = Journal::open(dir.path().join("data"))?;
    /// let recorder = journal.recorder("dqn_agent", "ETH/USDT").actions(["BUY", "SELL"]).build()?;
    /// let id = recorder.inference(0).keep_features(&[0.1_f32, 0.2]).log().unwrap();
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let input = journal.reader()?.input(id)?.kept().expect("it was kept");
    /// assert_eq!(input.features(), Some(&[0.1, 0.2][..]));
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[inline]
    pub fn keep_features<F: Float>(mut self, features: &'a [F]) -> Self {
        self.is_kept = true;
        self.features(features)
    }

    /// The same for an input that is no list of numbers: tokens, an image. Its feature hash is
    /// xxh3-64 of the bytes.
    ///
    /// ```
    /// use annals::Journal;
    /// use annals::entry::InputValues;
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// let journal = Journal::open(dir.path().join("data"))?;
    /// let recorder = journal.recorder("guard", "chat").actions(["yes", "no"]).build()?;
    /// let id = recorder.inference(0).keep_bytes(b"is this safe?").log().unwrap();
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let input = journal.reader()?.input(id)?.kept().expect("it was kept");
    /// assert_eq!(input.values, InputValues::Bytes(b"is this safe?".to_vec().into()));
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[inline]
    pub fn keep_bytes(mut self, bytes: &'a [u8]) -> Self {
        self.is_kept = true;
        let kind = InputKind::Bytes;
        let condition = Condition::None;
        self.input = Some(GivenInput {
            kind,
            bytes,
            condition,
        });
        self.features_hashed(xxh3_64(bytes))
    }

    #[inline]
    pub(super) fn with_input<F: Float>(mut self, features: &'a [F]) -> Self {
        self.input = Some(as_input(features));
        self
    }
}

impl Recorder {
    /// The input of a decision, if it is to be kept, and the names of its values.
    #[inline]
    pub(super) fn input_to_keep<'a>(
        &self,
        prepared: &Prepared<'a>,
    ) -> Option<(GivenInput<'a>, LocalName)> {
        let queue = self.queue.as_deref()?;
        let wants = self.wants_input(prepared) && queue.inputs.is_on();
        let mut input = prepared.input.filter(|_| wants)?;
        if !prepared.is_kept {
            input.condition = self.inputs.condition();
        }
        Some((input, self.inputs.names()))
    }

    /// Whether this call or the recorder asks for the input to be kept.
    #[inline(always)]
    pub(super) fn wants_input(&self, prepared: &Prepared<'_>) -> bool {
        prepared.is_kept || self.inputs.wants(prepared.facts.features)
    }

    /// Queues a decision that is plain but for its input, and perhaps extras and typed values.
    #[inline(never)]
    pub(super) fn log_with_input(
        queue: &Queue,
        names: GivenNames,
        facts: Facts,
        values: &[f32],
        input: (GivenInput<'_>, LocalName),
        (extras, typed): (Extras<'_>, GivenValues<'_>),
    ) -> Option<InferenceId> {
        if !extras.is_none() || !typed.is_empty() {
            let carried = Carried {
                extras,
                input: Some(input),
                values: typed.to_fields(),
                blobs: &[],
            };
            let texts = Texts::default();
            return queue.send_extended(names, facts, values.into(), None, texts, carried);
        }
        let mut probabilities = [0.0; INLINE];
        for (slot, value) in probabilities.iter_mut().zip(values) {
            *slot = *value;
        }
        let count = values.len().min(INLINE);
        queue.log_with_input(names, facts, (probabilities, count), input)
    }
}

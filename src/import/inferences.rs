//! Inferences, each once.

use super::inputs::ImportedInput;
use super::{Importer, limits};
use crate::engine::format::block::RowHead;
use crate::engine::format::min_max::id_bucket;
use crate::engine::format::row::{InferenceRow, InputRef, NameId, RepeatRow, flag};
use crate::entry::error::{Error, Result};
use crate::entry::floats::Floats;
use crate::entry::ids::InferenceId;
use crate::entry::inference::{Inference, Processing};
use crate::entry::input::KeptInput;

/// An imported inference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// An answer in full.
    Full,
    /// An answer in full that differs from one just given to the same question.
    Divergent,
    /// The answer of another inference, given again: of the answer, action and confidence are taken
    /// in.
    RepeatOf(InferenceId),
}

impl Importer {
    /// Adds an inference under `id`, whose run is one of [`source`](Self::source)'s; `false` if it
    /// is there already. Committed with the slice that it belongs to: at the latest by
    /// [`commit`](Self::commit). About 300 ns, and a commit for each new name.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] for an id of another run, for more
    /// than 1,024 probabilities, and for more than 1 MiB of text, names and attributes together.
    /// Also [errors of reading](crate::Error#errors-of-reading) and [of a
    /// commit](crate::Error#errors-of-a-commit); after the latter the source may be read again from
    /// its start. An input [that is to be kept](Inference::keep_features) is taken in, too.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let mut importer = annals::import::Importer::open(dir.path().join("data"))?;
    /// let run = importer.source("old.db")?;
    /// let decision = annals::Inference::new("dqn_agent", "ETH/USDT", "BUY");
    /// assert!(importer.add(run.inference(4_711)?, &decision, annals::import::Answer::Full)?);
    /// assert!(!importer.add(run.inference(4_711)?, &decision, annals::import::Answer::Full)?);
    /// # importer.close()?;
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn add(
        &mut self,
        id: InferenceId,
        inference: &Inference<'_>,
        answer: Answer,
    ) -> Result<bool> {
        let input = match inference.input {
            Some(input) => ImportedInput::Given(input.kind, input.kind.stored(input.bytes), &[]),
            None => ImportedInput::NotKept,
        };
        self.add_inference(id, inference, answer, input)
    }

    /// Adds an inference and its input, as another journal had it; see [`add`](Self::add). An input
    /// that repeats is stored once. The feature hash is that of `inference`.
    ///
    /// # Errors
    /// Those of [`add`](Self::add). [`Error::InvalidOption`] for an
    /// input of more than 1 MiB, and for names of more than 64 KiB together.
    ///
    /// ```
    /// use annals::entry::{Input, InputValues, KeptInput};
    /// use annals::import::{Answer, Importer};
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let mut importer = Importer::open(&dir)?;
    /// let id = importer.source("old.db")?.inference(4_711)?;
    /// let decision = annals::Inference::new("dqn_agent", "ETH/USDT", "BUY");
    /// let input = Input::new(InputValues::F32(vec![0.25, 1_300.0].into()), ["spread", "volume"]);
    /// importer.add_with_input(id, &decision, Answer::Full, &KeptInput::Kept(input.clone()))?;
    /// importer.close()?;
    /// assert_eq!(annals::Reader::open(&dir)?.input(id)?.kept(), Some(input));
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn add_with_input(
        &mut self,
        id: InferenceId,
        inference: &Inference<'_>,
        answer: Answer,
        input: &KeptInput,
    ) -> Result<bool> {
        let input = match input {
            KeptInput::NotKept => ImportedInput::NotKept,
            KeptInput::GivenUp => ImportedInput::GivenUp,
            KeptInput::Removed => ImportedInput::Removed,
            KeptInput::Kept(input) => {
                let (kind, bytes) = input.values.stored();
                ImportedInput::Given(kind, bytes, &input.names)
            }
        };
        self.add_inference(id, inference, answer, input)
    }

    fn add_inference(
        &mut self,
        id: InferenceId,
        inference: &Inference<'_>,
        answer: Answer,
        input: ImportedInput<'_>,
    ) -> Result<bool> {
        limits::check_inference(inference)?;
        input.check()?;
        if self.has(id)? {
            return Ok(false);
        }
        let input = self.keep(id.run(), input)?;
        let recorded = self.recorded_or_now();
        let head = RowHead {
            id,
            recorded,
            event: inference.event_time.unwrap_or(recorded),
        };
        self.encode(head, inference, answer, input)?;
        if let Some(taking) = self.runs.get_mut(&id.run()) {
            taking.highest = taking.highest.max(id);
            taking.row.committed += 1;
        }
        self.pending.insert(id);
        self.fresh = Some(id);
        self.commit_if_due()?;
        Ok(true)
    }

    /// Whether the inference with this id has been taken in.
    fn has(&mut self, id: InferenceId) -> Result<bool> {
        // No look-up: this is why a first import, in the order of its numbers, is fast.
        if id > self.taking(id.run())?.highest {
            return Ok(false);
        }
        if self.pending.contains(&id) {
            return Ok(true);
        }
        let (bucket, _) = id_bucket(id);
        let near = match self.near.take() {
            Some(near) if near.0 == bucket => near,
            _ => (bucket, self.source.ids_near(id)?),
        };
        let known = near.1.contains(&id);
        self.near = Some(near);
        Ok(known)
    }

    fn encode(
        &mut self,
        head: RowHead,
        inference: &Inference<'_>,
        answer: Answer,
        input: InputRef,
    ) -> Result<()> {
        let names = self.stored_names(inference)?;
        let labels = match answer {
            Answer::RepeatOf(_) => NameId::NONE,
            Answer::Full | Answer::Divergent => self.stored_labels(inference)?,
        };
        let processing = match inference.processing {
            Processing::Known(time) => {
                let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
                // One more, because 0 stands for unknown.
                nanos.saturating_add(1)
            }
            // A measurement that is still running is of now, not of then.
            Processing::Unknown | Processing::Since(_) => 0,
        };
        let confidence = inference.confidence_or_probability();
        if let Answer::RepeatOf(original) = answer {
            let row = RepeatRow {
                names,
                original,
                confidence,
                processing,
                input,
            };
            let encoded = self.encoder.repeat(head, &row);
            return encoded.map_err(|why| limits::too_large("inference", why));
        }
        let attributes = inference.attributes.iter();
        let attributes = attributes.map(|(key, value)| ((*key).to_owned(), value.clone()));
        let mut flags = 0;
        if confidence.is_none() {
            flags |= flag::NO_CONFIDENCE;
        }
        if answer == Answer::Divergent {
            flags |= flag::DIVERGENT;
        }
        if !inference.blobs.is_empty() {
            return Err(Error::InvalidOption {
                name: "blobs",
                value: format!("{} of them", inference.blobs.len()),
                advice: "leave them out: an import has no place for blobs",
            });
        }
        let values = inference.probabilities.iter().map(|(_, value)| *value);
        let row = InferenceRow {
            names,
            labels,
            flags,
            confidence: confidence.unwrap_or(f32::NAN),
            probabilities: Floats::collect(inference.probabilities.len(), values),
            features: inference.features,
            input,
            processing,
            attributes: attributes.collect(),
            blobs: Vec::new(),
            extras: inference.extras().to_owned(),
            values: self.stored_predictions(inference)?,
        };
        let memory = inference
            .memory
            // In KiB, and one more, because 0 stands for unknown.
            .map_or(0, |bytes| (bytes / 1_024).saturating_add(1));
        let encoded = self.encoder.inference(head, memory, &row);
        encoded.map_err(|why| limits::too_large("inference", why))
    }
}

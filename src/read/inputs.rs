//! Kept inputs of decisions: by id, and joined to a query.

use std::sync::{Arc, PoisonError};

use super::{Inferences, Query, Reader};
use crate::engine::format::row::{InputRef, NameId};
use crate::engine::inputs::read::{FoundInput, InputCache};
use crate::entry::error::Result;
use crate::entry::ids::InferenceId;
use crate::entry::input::{Input, KeptInput};
use crate::entry::record::InferenceRecord;

impl Reader {
    /// The kept input of the decision with this id, or why there is none. A repeat has the input of
    /// its original if its own call asked for it. One look-up of the decision, a walk over the
    /// heads of its file's frames up to the input, and up to 64 KiB of that file. In the order of
    /// the decisions of one process, each frame is read once.
    ///
    /// # Errors
    /// [Errors of reading](crate::Error#errors-of-reading);
    /// [`Error::Corrupt`](crate::Error::Corrupt) if the file of inputs is damaged there.
    ///
    /// ```
    /// use annals::{Inference, Journal};
    /// use annals::entry::KeptInput;
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// let journal = Journal::open(dir.path().join("data"))?;
    /// let kept = Inference::new("dqn_agent", "ETH/USDT", "BUY").keep_features(&[0.1_f32, 0.2]);
    /// let hashed = Inference::new("dqn_agent", "ETH/USDT", "SELL").features(&[0.3, 0.4]);
    /// let ids = [kept, hashed].map(|decision| journal.log(decision).unwrap());
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    ///
    /// let reader = journal.reader()?;
    /// let input = reader.input(ids[0])?.kept().expect("it was kept");
    /// assert_eq!(input.features(), Some(&[0.1, 0.2][..]));
    /// assert_eq!(reader.input(ids[1])?, KeptInput::NotKept);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn input(&self, id: InferenceId) -> Result<KeptInput> {
        let found = self.source.find(id)?;
        let input = found.map_or(InputRef::NotKept, |entry| entry.row.input());
        let mut last = self.inputs.lock().unwrap_or_else(PoisonError::into_inner);
        self.input_of(input, &mut last)
    }

    fn input_of(&self, input: InputRef, last: &mut InputCache) -> Result<KeptInput> {
        let (number, names) = match input {
            InputRef::NotKept => return Ok(KeptInput::NotKept),
            InputRef::GivenUp => return Ok(KeptInput::GivenUp),
            InputRef::Kept { number, names } => (number, names),
        };
        Ok(match self.source.input(number, last)? {
            FoundInput::GivenUp => KeptInput::GivenUp,
            FoundInput::Removed => KeptInput::Removed,
            FoundInput::Kept(values) => KeptInput::Kept(Input {
                values,
                names: match names {
                    NameId::NONE => Arc::new([]),
                    names => self.names.feature_names(&self.source, names)?,
                },
            }),
        })
    }
}

impl Query {
    /// Runs the query, and gives each decision with its kept input, or why there is none.
    ///
    /// ```
    /// use annals::Journal;
    /// use annals::record::KeepInputs;
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// let journal = Journal::open(dir.path().join("data"))?;
    /// let builder = journal.recorder("dqn_agent", "ETH/USDT").actions(["BUY", "SELL"]);
    /// let recorder = builder.keep_inputs(KeepInputs::Always).build()?;
    /// recorder.log(recorder.start(), 0, &[0.85, 0.15], &[0.1, 0.2]);
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    ///
    /// for decided in journal.reader()?.inferences().model("dqn_agent").with_inputs() {
    ///     let (decision, input) = decided?;
    ///     let Some(input) = input.kept() else { continue };
    ///     println!("{} for {:?}", decision.action, input.features());
    /// #   assert_eq!(input.features(), Some(&[0.1, 0.2][..]));
    /// }
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn with_inputs(self) -> WithInputs {
        WithInputs {
            inferences: self.iter(),
            reader: self.reader,
            last: InputCache::default(),
            is_over: false,
        }
    }
}

/// Decisions with their inputs; from [`Query::with_inputs`](crate::Query::with_inputs).
pub struct WithInputs {
    reader: Reader,
    inferences: Inferences,
    last: InputCache,
    is_over: bool,
}

impl Iterator for WithInputs {
    type Item = Result<(InferenceRecord, KeptInput)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let next = self.inferences.next_with_input().transpose()?;
        let item = next.and_then(|(record, input)| {
            let input = self.reader.input_of(input, &mut self.last)?;
            Ok((record, input))
        });
        // Nothing is read after an error.
        self.is_over = item.is_err();
        Some(item)
    }
}

//! Kept inputs of decisions: by id, and joined to a query.

use std::sync::{Arc, PoisonError};

use super::{Cursor, Follow, Inferences, Query, Reader};
use crate::engine::format::row::{InputRef, NameId};
use crate::engine::inputs::read::{FoundInput, InputCache};
use crate::entry::error::Result;
use crate::entry::ids::InferenceId;
use crate::entry::input::{Input, KeptInput};
use crate::entry::record::{Entry, InferenceRecord};

impl Reader {
    /// The kept input of the decision with this id, or why there is none. A repeat has the input of
    /// its original if its own call asked for it. One look-up of the decision, and a read of up to
    /// 64 KiB of its file. The first look-up in a file walks over the heads of its frames up to the
    /// input. A reader and its clones remember these, and the frame that was read last, of eight
    /// files: in the order of the decisions each frame is read once.
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

    fn input_of(&self, input: InputRef, last: &mut LastInputs) -> Result<KeptInput> {
        let (number, names) = match input {
            InputRef::NotKept => return Ok(KeptInput::NotKept),
            InputRef::GivenUp => return Ok(KeptInput::GivenUp),
            InputRef::Kept { number, names } => (number, names),
        };
        Ok(match self.source.input(number, &mut last.inputs)? {
            FoundInput::GivenUp => KeptInput::GivenUp,
            FoundInput::Removed => KeptInput::Removed,
            FoundInput::Kept(values) => KeptInput::Kept(Input {
                values,
                names: self.names_of_values(names, last)?,
            }),
        })
    }

    fn names_of_values(&self, id: NameId, last: &mut LastInputs) -> Result<Arc<[Arc<str>]>> {
        if let Some((_, names)) = last.names.as_ref().filter(|(known, _)| *known == id) {
            return Ok(names.clone());
        }
        let names = match id {
            NameId::NONE => Arc::new([]),
            id => self.names.feature_names(&self.source, id)?,
        };
        last.names = Some((id, Arc::clone(&names)));
        Ok(names)
    }
}

/// The inputs that were read last, and the names of their values.
#[derive(Default)]
pub(super) struct LastInputs {
    inputs: InputCache,
    names: Option<(NameId, Arc<[Arc<str>]>)>,
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
            last: LastInputs::default(),
            is_over: false,
        }
    }
}

/// Decisions with their inputs; from [`Query::with_inputs`](crate::Query::with_inputs).
pub struct WithInputs {
    reader: Reader,
    inferences: Inferences,
    last: LastInputs,
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

impl Follow {
    /// Gives each entry with its kept input, or why there is none. Entries that are no decisions
    /// have [`NotKept`](KeptInput::NotKept).
    ///
    /// ```
    /// use annals::{Inference, Journal};
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// let journal = Journal::open(dir.path().join("data"))?;
    /// journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY").keep_features(&[0.1_f32, 0.2]));
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    ///
    /// let reader = journal.reader()?;
    /// let mut follow = reader.follow(reader.start())?.with_inputs();
    /// let (entry, input) = follow.next().transpose()?.expect("there is one");
    /// assert_eq!(entry.sequence, 1);
    /// assert_eq!(input.kept().unwrap().features(), Some(&[0.1, 0.2][..]));
    /// assert_eq!(follow.cursor().next_sequence(), 2);
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn with_inputs(self) -> FollowWithInputs {
        FollowWithInputs {
            follow: self,
            last: LastInputs::default(),
        }
    }
}

/// Entries with the inputs of decisions; from [`Follow::with_inputs`](crate::Follow::with_inputs).
/// After an error the place is unchanged: asking again tries again.
pub struct FollowWithInputs {
    follow: Follow,
    last: LastInputs,
}

impl FollowWithInputs {
    /// The place after the entry that was given last.
    ///
    /// ```
    /// # let journal = annals::Journal::in_memory()?;
    /// let reader = journal.reader()?;
    /// let follow = reader.follow(reader.start())?.with_inputs();
    /// assert_eq!(follow.cursor(), reader.start());
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        self.follow.cursor()
    }

    fn step(&mut self) -> Result<Option<(Entry, KeptInput)>> {
        let Some((entry, input)) = self.follow.look()? else {
            return Ok(None);
        };
        let input = self.follow.reader.input_of(input, &mut self.last)?;
        self.follow.pass();
        Ok(Some((entry, input)))
    }
}

impl Iterator for FollowWithInputs {
    type Item = Result<(Entry, KeptInput)>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step().transpose()
    }
}

//! Kept inputs of decisions: by id, and joined to a query.

use std::sync::{Arc, PoisonError};

use super::last_inputs::LastInputs;
use super::{Cursor, Follow, Inferences, Query, Reader};
use crate::engine::format::row::{InputRef, NameId, Row};
use crate::engine::inputs::read::FoundInput;
use crate::engine::meta::damaged;
use crate::entry::blob::KeptBlob;
use crate::entry::error::Result;
use crate::entry::ids::InferenceId;
use crate::entry::input::{Input, InputValues, KeptInput};
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

    /// The blob of this name of the decision with this id, or why there is none. Costs as
    /// [`input`](Self::input), and decompresses it.
    ///
    /// # Errors
    /// [Errors of reading](crate::Error#errors-of-reading);
    /// [`Error::Corrupt`](crate::Error::Corrupt) if the file of inputs is damaged there.
    ///
    /// ```
    /// use annals::record::Blob;
    /// use annals::{Inference, Journal};
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// let journal = Journal::open(dir.path().join("data"))?;
    /// let blobs = [Blob::new("prompt", "is this safe?")];
    /// let id = journal.log(Inference::new("guard", "chat", "allow").blobs(&blobs)).unwrap();
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// let prompt = journal.reader()?.blob(id, "prompt")?;
    /// assert_eq!(prompt.text().as_deref(), Some("is this safe?"));
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn blob(&self, id: InferenceId, name: &str) -> Result<KeptBlob> {
        let found = self.source.find(id)?;
        let Some(Row::Inference(row)) = found.map(|entry| entry.row) else {
            return Ok(KeptBlob::NotKept);
        };
        let Some((_, number)) = row.blobs.iter().find(|(known, _)| known == name) else {
            return Ok(KeptBlob::NotKept);
        };
        let Some(number) = *number else {
            return Ok(KeptBlob::GivenUp);
        };
        let mut last = self.inputs.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(match self.source.input(number, &mut last.inputs)? {
            FoundInput::GivenUp => KeptBlob::GivenUp,
            FoundInput::Removed => KeptBlob::Removed,
            FoundInput::Kept(InputValues::Bytes(bytes)) => KeptBlob::Kept(bytes.to_vec()),
            FoundInput::Kept(_) => {
                let path = self.source.path();
                let why = format!("its input {number} is no blob");
                return Err(damaged(path, &format!("decision {id}"), &why));
            }
        })
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
            last: LastInputs::default(),
        }
    }
}

/// Decisions with their inputs; from [`Query::with_inputs`](crate::Query::with_inputs).
pub struct WithInputs {
    inferences: Inferences,
    last: LastInputs,
}

impl Iterator for WithInputs {
    type Item = Result<(InferenceRecord, KeptInput)>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let last = &mut self.last;
        // Nothing is read after an error.
        self.inferences
            .next_with(|reader, input| reader.input_of(input, last))
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

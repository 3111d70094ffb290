//! Events around a source's models, each once.

use super::{Importer, limits, notes};
use crate::engine::format::name::NameKind;
use crate::engine::format::row::{CheckpointEventRow, Note, SystemEventRow};
use crate::entry::error::Result;
use crate::entry::event::{CheckpointAction, Level};
use crate::entry::ids::RunId;
use crate::entry::timestamp::Timestamp;
use crate::entry::value::Value;

impl Importer {
    /// Adds a system event of `run`, which has to be of [`source`](Self::source), with the time of
    /// [`recorded_at`](Self::recorded_at); `false` if it is there already. Events have no id: two
    /// events with the same content and time are the same.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let mut importer = annals::import::Importer::open(dir.path().join("data"))?;
    /// let run = importer.source("old.log")?;
    /// importer.add_event(run, annals::Level::Warn, "feed", "the feed is late", &[])?;
    /// importer.close()?;
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn add_event(
        &mut self,
        run: RunId,
        level: Level,
        component: &str,
        message: &str,
        fields: &[(String, Value)],
    ) -> Result<bool> {
        limits::check_event(component, message, fields)?;
        self.taking(run)?;
        let content = (level, component, message, fields);
        let recorded = self.recorded_or_now();
        if !self.is_new_note(run, notes::event_key(run, recorded, &content))? {
            return Ok(false);
        }
        let component = self.stored_name(NameKind::Component, component)?;
        let row = SystemEventRow {
            run: run.get(),
            level,
            component,
            message: message.to_owned(),
            fields: fields.to_vec(),
        };
        self.push_event(run, recorded, &Note::SystemEvent(row))
    }

    /// Adds a checkpoint event of `run`, as [`add_event`](Self::add_event) does. The registry does
    /// not change.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    ///
    /// ```
    /// use annals::entry::CheckpointAction;
    /// use annals::import::Importer;
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let dir = dir.path().join("data");
    /// let mut importer = Importer::open(&dir)?;
    /// let run = importer.source("old.log")?;
    /// let (model, id) = ("dqn_agent", "epoch_7");
    /// assert!(importer.add_checkpoint_event(run, CheckpointAction::Saved, model, id, "by hand")?);
    /// importer.close()?;
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn add_checkpoint_event(
        &mut self,
        run: RunId,
        action: CheckpointAction,
        model: &str,
        checkpoint: &str,
        detail: &str,
    ) -> Result<bool> {
        limits::check_checkpoint_event(model, checkpoint, detail)?;
        self.taking(run)?;
        let content = (action, model, checkpoint, detail);
        let recorded = self.recorded_or_now();
        if !self.is_new_note(run, notes::event_key(run, recorded, &content))? {
            return Ok(false);
        }
        let row = CheckpointEventRow {
            run: run.get(),
            action,
            model: self.stored_name(NameKind::Model, model)?,
            checkpoint: self.stored_name(NameKind::Checkpoint, checkpoint)?,
            detail: detail.to_owned(),
        };
        self.push_event(run, recorded, &Note::CheckpointEvent(row))
    }

    fn push_event(&mut self, run: RunId, recorded: Timestamp, note: &Note) -> Result<bool> {
        let encoded = self.encoder.note(recorded, note);
        encoded.map_err(|why| limits::too_large("event", why))?;
        self.taking(run)?.row.committed += 1;
        self.commit_if_due()?;
        Ok(true)
    }
}

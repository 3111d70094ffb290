//! What a source lost, each loss once.

use super::{Importer, foreign, limits};
use crate::entry::Gap;
use crate::error::Result;
use crate::format::row::{GapReason, GapRow, Note};
use crate::ids::{InferenceId, RunId};
use crate::queue::refusals::Refusal;
use crate::reader::Reader;
use crate::timestamp::Timestamp;

/// Inferences that another source lost, to be handed to [`Importer::add_gap`]: what a
/// [`Gap`] says, without its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// The run, one of [`Importer::source`]'s.
    pub run: RunId,
    /// Why they are missing.
    pub reason: GapReason,
    /// How many; `None` if nobody can know.
    pub count: Option<u64>,
    /// The last id before a death, of the same run.
    pub after: Option<InferenceId>,
    /// When the first and the last of them were offered.
    pub recorded_range: Option<(Timestamp, Timestamp)>,
    /// Their first and last event time.
    pub event_range: Option<(Timestamp, Timestamp)>,
    /// What was wrong with calls that were refused.
    pub refusal: Option<Refusal>,
}

impl From<&Gap> for Loss {
    fn from(gap: &Gap) -> Self {
        Loss {
            run: gap.run,
            reason: gap.reason,
            count: gap.count,
            after: gap.after,
            recorded_range: gap.recorded_range,
            event_range: gap.event_range,
            refusal: gap.refusal.clone(),
        }
    }
}

impl Importer {
    /// Adds a gap of a source; `false` if the same one is there already. Its run and the id in it
    /// have to be those of [`source`](Self::source).
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn add_gap(&mut self, gap: &Loss) -> Result<bool> {
        let taking = self.runs.get(&gap.run).ok_or_else(|| foreign(gap.run))?;
        if taking.gaps.is_none() {
            let all = Reader::new(self.source.clone())?.gaps();
            let ours =
                all.filter(|known| known.as_ref().map_or(true, |known| known.run == gap.run));
            let ours = ours.map(|known| known.map(|known| Loss::from(&known)));
            let ours = ours.collect::<Result<Vec<_>>>()?;
            self.taking(gap.run)?.gaps = Some(ours);
        }
        let known = self.taking(gap.run)?.gaps.get_or_insert_default();
        if known.contains(gap) {
            return Ok(false);
        }
        known.push(gap.clone());
        let times = |range: Option<(Timestamp, Timestamp)>| {
            range.map(|(first, last)| (first.as_micros(), last.as_micros()))
        };
        let row = GapRow {
            run: gap.run.get(),
            reason: gap.reason,
            count: gap.count,
            after: gap.after.map(InferenceId::to_u64),
            recorded_range: times(gap.recorded_range),
            event_range: times(gap.event_range),
            refusal: gap.refusal.clone(),
        };
        let dropped = &mut self.taking(gap.run)?.row.dropped;
        *dropped = dropped.saturating_add(gap.count.unwrap_or(0));
        let now = Timestamp::now().as_micros();
        let encoded = self.encoder.note(now, &Note::Gap(row));
        encoded.map_err(|why| limits::too_large("gap", why))?;
        Ok(true)
    }
}

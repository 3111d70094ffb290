//! Which decisions a query is about: looked for in the columns of a block, so that no other is
//! built.

use std::ops::{Range, RangeInclusive};

use super::attribute_filter::AttributeFilter;
use super::block::{BlockColumn, StoredEntry};
use super::reader::BlockReader;
use super::row::{NameId, flag};
use crate::entry::episode::EpisodeId;
use crate::entry::ids::InferenceId;
use crate::entry::sequence::Sequence;
use crate::entry::timestamp::Timestamp;

/// Conditions on a decision, in the numbers of columns.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    pub(crate) sequences: Range<Sequence>,
    /// Event times; `None` means all.
    pub(crate) times: Option<RangeInclusive<Timestamp>>,
    /// Whether repeats are meant too.
    pub(crate) repeats: bool,
    pub(crate) model: Option<NameId>,
    pub(crate) symbol: Option<NameId>,
    pub(crate) action: Option<NameId>,
    pub(crate) checkpoint: Option<NameId>,
    pub(crate) correlation: Option<String>,
    pub(crate) cause: Option<InferenceId>,
    /// Whether only steps of episodes are meant, and of which.
    pub(crate) steps: Steps,
    /// All of them are met.
    pub(crate) attributes: Vec<AttributeFilter>,
}

/// Which decisions are meant, by the episode that they are steps of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Steps {
    /// All, steps or not.
    #[default]
    AndOthers,
    OfAnyEpisode,
    Of(EpisodeId),
}

/// How many of those that are found are built.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Limit {
    First(usize),
    Last(usize),
}

impl Selection {
    fn names(&self) -> impl Iterator<Item = (BlockColumn, NameId)> {
        let names = [
            (BlockColumn::Checkpoint, self.checkpoint),
            (BlockColumn::Model, self.model),
            (BlockColumn::Symbol, self.symbol),
            (BlockColumn::Action, self.action),
        ];
        names
            .into_iter()
            .filter_map(|(part, wanted)| Some((part, wanted?)))
    }
}

impl BlockReader<'_> {
    /// The decisions that are meant and whose sequences are `within`, in order.
    pub(crate) fn select(
        &self,
        wanted: &Selection,
        within: Range<Sequence>,
        most: Limit,
    ) -> Result<Vec<StoredEntry>, String> {
        let mut indexes = self.with_names(wanted);
        let flags = self.column(BlockColumn::Flags);
        let is_repeat = |flags: i64| flags & i64::from(flag::REPEAT) != 0;
        if !wanted.repeats && flags.only().is_none_or(is_repeat) {
            indexes.retain(|index| !is_repeat(flags.get(*index)));
        }
        if let Some(correlation) = &wanted.correlation {
            self.retain_correlated(correlation, &mut indexes);
        }
        if let Some(cause) = wanted.cause {
            self.retain_caused(cause, &mut indexes);
        }
        self.retain_steps(wanted.steps, &mut indexes);
        if !wanted.attributes.is_empty() {
            self.retain_attributed(&wanted.attributes, &mut indexes)?;
        }
        if let Some(times) = &wanted.times {
            let meant = self.event_times(indexes.iter().copied());
            let meant: Vec<bool> = meant.map(|time| times.contains(&time)).collect();
            let mut meant = meant.into_iter();
            indexes.retain(|_| meant.next().unwrap_or_default());
        }
        let mut found = self.sequences_of(indexes);
        found.retain(|(_, sequence)| {
            wanted.sequences.contains(sequence) && within.contains(sequence)
        });
        let found = match most {
            Limit::First(most) => found.get(..most).unwrap_or(&found),
            Limit::Last(most) => found.get(found.len().saturating_sub(most)..).unwrap_or(&[]),
        };
        self.rows_at(found)
    }

    /// Keeps those of `indexes` whose decisions are the steps that are meant.
    fn retain_steps(&self, wanted: Steps, indexes: &mut Vec<usize>) {
        if wanted == Steps::AndOthers {
            return;
        }
        let flags = self.column(BlockColumn::Flags);
        let is_step = |index: usize| flags.get(index) & i64::from(flag::STEP) != 0;
        let episode = self.column(BlockColumn::Episode);
        indexes.retain(|index| {
            is_step(*index)
                && match wanted {
                    Steps::Of(id) => episode.get(*index).cast_unsigned() == id.to_u64(),
                    Steps::AndOthers | Steps::OfAnyEpisode => true,
                }
        });
    }

    /// The indexes of the decisions with the names that are looked for.
    fn with_names(&self, wanted: &Selection) -> Vec<usize> {
        let mut found: Option<Vec<usize>> = None;
        for (part, name) in wanted.names() {
            let (column, name) = (self.column(part), i64::from(name));
            match &mut found {
                Some(found) => found.retain(|index| column.get(*index) == name),
                None => found = Some(column.indexes_of(name)),
            }
        }
        found.unwrap_or_else(|| (0..self.decisions() as usize).collect())
    }
}

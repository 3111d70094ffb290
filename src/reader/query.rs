//! Inferences by time, model, symbol, action and checkpoint, in either order.

use std::collections::VecDeque;
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use super::Reader;
use crate::entry::InferenceRecord;
use crate::error::Result;
use crate::format::block::{HOUR_MICROS, Placed};
use crate::format::name::NameKind;
use crate::format::row::{NameId, Row};
use crate::store::{Direction, Extent, HourPlace, Located, Source};
use crate::timestamp::Timestamp;

/// Whether a query gives repeats too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeats {
    /// Only inferences that were recorded in full. The default.
    Exclude,
    /// Repeats as well, with their original's answer; each costs a look-up.
    Include,
}

/// A question about inferences; from [`Reader::inferences`]. Nothing is read before
/// [`iter`](Self::iter), and entries only as the iterator gives them.
#[derive(Clone, Debug)]
#[must_use = "a query reads nothing until iter is called"]
pub struct Query {
    reader: Reader,
    model: Option<String>,
    symbol: Option<String>,
    action: Option<String>,
    checkpoint: Option<String>,
    repeats: Repeats,
    /// Event times; `None` means all.
    times: Option<RangeInclusive<i64>>,
    direction: Direction,
    limit: usize,
}

impl Query {
    pub(super) fn new(reader: Reader) -> Self {
        Query {
            reader,
            model: None,
            symbol: None,
            action: None,
            checkpoint: None,
            repeats: Repeats::Exclude,
            times: None,
            direction: Direction::Ascending,
            limit: usize::MAX,
        }
    }

    /// Only this model's.
    pub fn model(mut self, name: impl Into<String>) -> Self {
        self.model = Some(name.into());
        self
    }

    /// Only about this symbol.
    pub fn symbol(mut self, name: impl Into<String>) -> Self {
        self.symbol = Some(name.into());
        self
    }

    /// Only with this action.
    pub fn action(mut self, name: impl Into<String>) -> Self {
        self.action = Some(name.into());
        self
    }

    /// Only decided by this checkpoint.
    pub fn checkpoint(mut self, id: impl Into<String>) -> Self {
        self.checkpoint = Some(id.into());
        self
    }

    /// Whether repeats are given too.
    pub fn repeats(mut self, repeats: Repeats) -> Self {
        self.repeats = repeats;
        self
    }

    /// Only event times from `time` on.
    pub fn since(mut self, time: impl Into<Timestamp>) -> Self {
        let end = self.times.map_or(i64::MAX, |times| *times.end());
        self.times = Some(time.into().as_micros()..=end);
        self
    }

    /// Only event times before `time`.
    pub fn until(mut self, time: impl Into<Timestamp>) -> Self {
        let start = self.times.map_or(i64::MIN, |times| *times.start());
        self.times = Some(match time.into().as_micros().checked_sub(1) {
            Some(last) => start..=last,
            // Nothing is before the beginning of time.
            None => RangeInclusive::new(i64::MAX, i64::MIN),
        });
        self
    }

    /// Newest first. Without it, oldest first.
    pub fn newest_first(mut self) -> Self {
        self.direction = Direction::Descending;
        self
    }

    /// At most `n` of them.
    pub fn limit(mut self, n: usize) -> Self {
        self.limit = n;
        self
    }

    /// Runs the query over what is committed now.
    ///
    /// Without a time range, the order is that of commit. With one, it is by hour of event time,
    /// and by commit within the hour (so back-dated decisions come where they belong), and only
    /// blocks that touch the range are read. A range that is empty or reversed gives nothing.
    pub fn iter(&self) -> Inferences {
        Inferences {
            state: State::New(Box::new((self.clone(), self.reader.source.extent()))),
        }
    }
}

impl IntoIterator for Query {
    type Item = Result<InferenceRecord>;
    type IntoIter = Inferences;

    fn into_iter(self) -> Inferences {
        self.iter()
    }
}

/// The answer to a [`Query`].
pub struct Inferences {
    state: State,
}

enum State {
    /// With what the journal held when the query was run.
    New(Box<(Query, Result<Extent>)>),
    Running(Box<Running>),
    Ended,
}

impl Iterator for Inferences {
    type Item = Result<InferenceRecord>;

    fn next(&mut self) -> Option<Result<InferenceRecord>> {
        let item = self.step().transpose();
        if !matches!(item, Some(Ok(_))) {
            self.state = State::Ended;
        }
        item
    }
}

impl Inferences {
    fn step(&mut self) -> Result<Option<InferenceRecord>> {
        if let State::New(asked) = &self.state {
            let (query, extent) = &**asked;
            self.state = State::Running(Box::new(Running::start(query, extent.clone()?)?));
        }
        match &mut self.state {
            State::Running(running) => running.step(),
            State::New(_) | State::Ended => Ok(None),
        }
    }
}

struct Running {
    reader: Reader,
    filter: Filter,
    left: usize,
    direction: Direction,
    plan: Plan,
    buffered: VecDeque<Placed>,
}

impl Running {
    /// `extent` bounds the entries that are given, in either direction.
    fn start(query: &Query, extent: Extent) -> Result<Self> {
        Ok(Running {
            filter: Filter::new(query, extent.next)?,
            left: query.limit,
            direction: query.direction,
            plan: match &query.times {
                Some(times) => Plan::ByTime(ByTime::new(times.clone())),
                None => Plan::BySequence {
                    next: match query.direction {
                        Direction::Ascending => extent.kept,
                        Direction::Descending => extent.next,
                    },
                    // The newest few are most often in the newest block.
                    budget: 1,
                },
            },
            reader: query.reader.clone(),
            buffered: VecDeque::new(),
        })
    }

    fn step(&mut self) -> Result<Option<InferenceRecord>> {
        while self.left > 0 {
            let Some(placed) = self.buffered.pop_front() else {
                if self.fill()? {
                    continue;
                }
                break;
            };
            if let Some(record) = self.reader.names.record(&self.reader.source, placed)? {
                self.left -= 1;
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    /// Reads on; says whether there was anything to read.
    fn fill(&mut self) -> Result<bool> {
        let source = &self.reader.source;
        let (filter, direction) = (&self.filter, self.direction);
        match &mut self.plan {
            Plan::BySequence { next, .. }
                if direction == Direction::Ascending && *next >= filter.end =>
            {
                Ok(false)
            }
            Plan::BySequence { next, budget } => {
                let located = match direction {
                    Direction::Ascending => source.after(*next, *budget)?,
                    Direction::Descending => source.before(*next, *budget)?,
                };
                *budget = BUDGET_BYTES;
                let Some(last) = located.last() else {
                    return Ok(false);
                };
                // A block may have been merged with others meanwhile: what it has beyond the
                // place that was reached has been given already.
                let reached = *next;
                *next = match direction {
                    Direction::Ascending => last.first + last.rows.len() as u64,
                    Direction::Descending => last.first,
                };
                for block in located {
                    // More than are asked for need not be kept.
                    let most = self.left.saturating_sub(self.buffered.len());
                    let rows = block.rows.into_iter();
                    let kept = |placed: &Placed| filter.keeps(placed);
                    match direction {
                        Direction::Ascending => {
                            let rows = rows.filter(|placed| placed.sequence >= reached);
                            self.buffered.extend(rows.filter(kept).take(most));
                        }
                        Direction::Descending => {
                            let rows = rows.filter(|placed| placed.sequence < reached);
                            self.buffered.extend(rows.rev().filter(kept).take(most));
                        }
                    }
                }
                Ok(true)
            }
            Plan::ByTime(plan) => match plan.next(source, direction)? {
                Some(piece) => {
                    let rows = piece.block.rows.iter().filter(|placed| {
                        let hour = placed.place.event.div_euclid(HOUR_MICROS);
                        hour == piece.hour
                            && piece.fresh.contains(&placed.sequence)
                            && filter.keeps(placed)
                    });
                    match direction {
                        Direction::Ascending => {
                            self.buffered.extend(rows.take(self.left).cloned());
                        }
                        Direction::Descending => {
                            self.buffered.extend(rows.rev().take(self.left).cloned());
                        }
                    }
                    Ok(true)
                }
                None => Ok(false),
            },
        }
    }
}

/// How much is decoded at once.
const BUDGET_BYTES: usize = 256 << 10;
/// Places of the index of event times that are read at once.
const PLACES: usize = 256;
/// Decoded blocks kept by a query by time: with daily bars, one block touches many hours.
const BLOCKS: usize = 4;

enum Plan {
    BySequence { next: u64, budget: usize },
    ByTime(ByTime),
}

struct ByTime {
    times: RangeInclusive<i64>,
    places: VecDeque<HourPlace>,
    /// How far the answer has come: an hour, and the border between what has been given of it and
    /// what has not. Blocks may be merged while the query runs, sequences stay.
    reached: Option<HourPlace>,
    ended: bool,
    /// Most recently used last.
    blocks: Vec<Arc<Located>>,
}

/// A part of the answer: what a block has of an hour.
struct Piece {
    hour: i64,
    block: Arc<Located>,
    /// The sequences that have not been given.
    fresh: Range<u64>,
}

impl ByTime {
    fn new(times: RangeInclusive<i64>) -> Self {
        ByTime {
            times,
            places: VecDeque::new(),
            reached: None,
            ended: false,
            blocks: Vec::new(),
        }
    }

    /// The next hour that holds something, and the block that holds it.
    fn next(&mut self, source: &Source, direction: Direction) -> Result<Option<Piece>> {
        if self.places.is_empty() && !self.ended {
            self.look_up(source, direction)?;
        }
        let Some(place) = self.places.pop_front() else {
            return Ok(None);
        };
        let Some(block) = self.block(source, place.first)? else {
            return Ok(None);
        };
        let end = block.first + block.rows.len() as u64;
        let reached = self.reached.filter(|reached| reached.hour == place.hour);
        let (fresh, border) = match (direction, reached.map(|reached| reached.first)) {
            (Direction::Ascending, before) => (before.unwrap_or(0)..u64::MAX, end),
            (Direction::Descending, before) => (0..before.unwrap_or(u64::MAX), block.first),
        };
        self.reached = Some(HourPlace {
            hour: place.hour,
            first: border,
        });
        Ok(Some(Piece {
            hour: place.hour,
            block,
            fresh,
        }))
    }

    fn look_up(&mut self, source: &Source, direction: Direction) -> Result<()> {
        let mut start = self.reached;
        // Going up, the block that holds the border may have something left.
        if let (Direction::Ascending, Some(reached)) = (direction, &mut start)
            && let Some(block) = source.block_with(reached.first)?
        {
            reached.first = block.first;
        }
        let (from, until) = (*self.times.start(), *self.times.end());
        let places = source.hours(from, until, start, direction, PLACES)?;
        self.ended = places.len() < PLACES;
        self.places = places.into();
        Ok(())
    }

    fn block(&mut self, source: &Source, sequence: u64) -> Result<Option<Arc<Located>>> {
        let holds = |block: &Arc<Located>| {
            (block.first..block.first + block.rows.len() as u64).contains(&sequence)
        };
        let block = match self.blocks.iter().position(holds) {
            Some(index) => self.blocks.remove(index),
            None => match source.block_with(sequence)? {
                Some(block) => Arc::new(block),
                None => return Ok(None),
            },
        };
        if self.blocks.len() == BLOCKS {
            self.blocks.remove(0);
        }
        self.blocks.push(block.clone());
        Ok(Some(block))
    }
}

struct Filter {
    end: u64,
    repeats: Repeats,
    times: Option<RangeInclusive<i64>>,
    model: Option<Wanted>,
    symbol: Option<Wanted>,
    action: Option<Wanted>,
    checkpoint: Option<Wanted>,
}

/// A name that is looked for, as a number and in words: rows have one or the other.
struct Wanted {
    id: Option<NameId>,
    text: String,
}

impl Wanted {
    fn is(&self, id: NameId, written: Option<&String>) -> bool {
        match written {
            Some(text) => *text == self.text,
            None => self.id == Some(id),
        }
    }
}

impl Filter {
    fn new(query: &Query, end: u64) -> Result<Self> {
        let source = &query.reader.source;
        let wanted = |kind: NameKind, text: &Option<String>| {
            text.as_ref()
                .map(|text| {
                    let id = source.name_id(kind as u8, text)?;
                    let text = text.clone();
                    Ok(Wanted { id, text })
                })
                .transpose()
        };
        Ok(Filter {
            end,
            repeats: query.repeats,
            times: query.times.clone(),
            model: wanted(NameKind::Model, &query.model)?,
            symbol: wanted(NameKind::Symbol, &query.symbol)?,
            action: wanted(NameKind::Action, &query.action)?,
            checkpoint: wanted(NameKind::Checkpoint, &query.checkpoint)?,
        })
    }

    fn keeps(&self, placed: &Placed) -> bool {
        let (names, texts) = match &placed.row {
            Row::Inference(row) => (row.names, row.texts.as_deref()),
            Row::Repeat(row) if self.repeats == Repeats::Include => {
                (row.names, row.texts.as_deref())
            }
            _ => return false,
        };
        let is = |wanted: &Option<Wanted>, id: NameId, written: Option<&String>| {
            wanted.as_ref().is_none_or(|wanted| wanted.is(id, written))
        };
        let event = placed.place.event;
        placed.sequence < self.end
            && self
                .times
                .as_ref()
                .is_none_or(|times| times.contains(&event))
            && is(
                &self.model,
                names.model,
                texts.and_then(|t| t.model.as_ref()),
            )
            && is(
                &self.symbol,
                names.symbol,
                texts.and_then(|t| t.symbol.as_ref()),
            )
            && is(
                &self.action,
                names.action,
                texts.and_then(|t| t.action.as_ref()),
            )
            && is(
                &self.checkpoint,
                names.checkpoint,
                texts.and_then(|t| t.checkpoint.as_ref()),
            )
    }
}

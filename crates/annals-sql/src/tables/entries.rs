//! Outcomes, episodes, events, gaps and runs.

use std::sync::Arc;

use annals::entry::{EpisodeRecord, Gap, OutcomeEntry, Run, RunManifest, RunState};
use annals::{Content, Entry};
use annals_virtual_table::Cell;
use serde_json::Value as Json;

use super::list::{Each, List};
use crate::cells::{Column, json_value, maybe, micros, object, owned, shown, text, time, whole};
use crate::place::Place;

/// Entries that readers see in order, of which a table takes some.
fn entries<R: 'static>(place: &Place, take: fn(Entry) -> Option<R>) -> annals::Result<Each<R>> {
    let end = place.end();
    let follow = place.reader.follow(place.reader.start())?;
    let seen =
        follow.take_while(move |entry| entry.as_ref().map_or(true, |entry| entry.sequence < end));
    Ok(Box::new(
        seen.filter_map(move |entry| entry.map(take).transpose()),
    ))
}

/// A word of the JSON dialect for a value of an enumeration.
fn word<'a>(value: &impl serde::Serialize) -> Cell<'a> {
    match serde_json::to_value(value) {
        Ok(Json::String(word)) => owned(word),
        Ok(Json::Null) | Err(_) => Cell::Null,
        Ok(other) => owned(other.to_string()),
    }
}

/// An entry of a kind, with the place of it.
pub(crate) struct Placed<T> {
    sequence: u64,
    recorded: annals::Timestamp,
    entry: T,
}

type Outcome = Placed<OutcomeEntry>;

const OUTCOMES: &[Column<Outcome>] = &[
    Column::new("sequence", "INTEGER", |row| whole(row.sequence)),
    Column::new("decision", "TEXT", |row| shown(row.entry.of)),
    Column::new("time", "TEXT", |row| time(row.entry.time)),
    Column::new("time_us", "INTEGER", |row| micros(row.entry.time)),
    Column::new("recorded_time", "TEXT", |row| time(row.recorded)),
    Column::new("run", "INTEGER", |row| whole(row.entry.run.get())),
    Column::new("reward", "REAL", |row| maybe(row.entry.reward, Cell::Real)),
    Column::new("correct", "INTEGER", |row| {
        maybe(row.entry.correct, |correct| Cell::Integer(correct.into()))
    }),
    Column::new("label", "TEXT", |row| {
        row.entry.label.as_deref().map_or(Cell::Null, text)
    }),
    Column::new("named", "TEXT", |row| {
        let named = row.entry.values.iter();
        object(named.map(|(name, value)| (&**name, Json::from(*value))))
    }),
];

/// Each outcome as it was recorded.
pub(crate) fn outcomes(place: Arc<Place>) -> List<Outcome> {
    List::new(place, OUTCOMES, |place| {
        entries(place, |entry| match entry.content {
            Content::Outcome(outcome) => Some(Placed {
                sequence: entry.sequence,
                recorded: entry.recorded_time,
                entry: outcome,
            }),
            _ => None,
        })
    })
}

const EPISODES: &[Column<EpisodeRecord>] = &[
    Column::new("id", "TEXT", |row| shown(row.id)),
    Column::new("model", "TEXT", |row| text(&row.model)),
    Column::new("symbol", "TEXT", |row| text(&row.symbol)),
    Column::new("first_time", "TEXT", |row| time(row.first_time)),
    Column::new("last_time", "TEXT", |row| time(row.last_time)),
    Column::new("decisions", "INTEGER", |row| whole(row.decisions)),
    Column::new("last_step", "INTEGER", |row| whole(row.last_step)),
    Column::new("total_reward", "REAL", |row| Cell::Real(row.total_reward)),
    Column::new("rewarded", "INTEGER", |row| whole(row.rewarded)),
    Column::new("invalid_rewards", "INTEGER", |row| {
        whole(row.invalid_rewards)
    }),
    Column::new("ended", "TEXT", |row| maybe(row.end.as_ref(), word)),
];

/// Each episode, added up from its decisions.
pub(crate) fn episodes(place: Arc<Place>) -> List<EpisodeRecord> {
    List::new(place, EPISODES, |place| {
        let decisions = place.reader.inferences().sequences(..place.end());
        Ok(Box::new(decisions.episodes()?.into_iter().map(Ok)))
    })
}

const EVENTS: &[Column<Entry>] = &[
    Column::new("sequence", "INTEGER", |row| whole(row.sequence)),
    Column::new("recorded_time", "TEXT", |row| time(row.recorded_time)),
    Column::new("recorded_time_us", "INTEGER", |row| {
        micros(row.recorded_time)
    }),
    Column::new("kind", "TEXT", |row| match row.content {
        Content::SystemEvent(_) => text("system"),
        _ => text("checkpoint"),
    }),
    Column::new("run", "INTEGER", |row| match &row.content {
        Content::SystemEvent(event) => whole(event.run.get()),
        Content::CheckpointEvent(event) => whole(event.run.get()),
        _ => Cell::Null,
    }),
    Column::new("level", "TEXT", |row| match &row.content {
        Content::SystemEvent(event) => text(event.level.as_str()),
        _ => Cell::Null,
    }),
    Column::new("component", "TEXT", |row| match &row.content {
        Content::SystemEvent(event) => text(&event.component),
        _ => Cell::Null,
    }),
    Column::new("message", "TEXT", |row| match &row.content {
        Content::SystemEvent(event) => text(&event.message),
        Content::CheckpointEvent(event) => text(&event.detail),
        _ => Cell::Null,
    }),
    Column::new("fields", "TEXT", |row| match &row.content {
        Content::SystemEvent(event) => {
            let fields = event.fields.iter();
            object(fields.map(|(name, value)| (name.as_str(), json_value(value))))
        }
        _ => Cell::Null,
    }),
    Column::new("action", "TEXT", |row| match &row.content {
        Content::CheckpointEvent(event) => text(event.action.as_str()),
        _ => Cell::Null,
    }),
    Column::new("model", "TEXT", |row| match &row.content {
        Content::CheckpointEvent(event) => text(&event.model),
        _ => Cell::Null,
    }),
    Column::new("checkpoint", "TEXT", |row| match &row.content {
        Content::CheckpointEvent(event) => text(&event.checkpoint),
        _ => Cell::Null,
    }),
];

/// System events and checkpoint events, newest first, found by the index of their kinds.
pub(crate) fn events(place: Arc<Place>) -> List<Entry> {
    List::new(place, EVENTS, |place| {
        let end = place.end();
        let events = place.reader.events();
        Ok(Box::new(events.filter(move |entry| {
            let Ok(entry) = entry else { return true };
            let is_event = matches!(
                entry.content,
                Content::SystemEvent(_) | Content::CheckpointEvent(_)
            );
            is_event && entry.sequence < end
        })))
    })
}

const GAPS: &[Column<Gap>] = &[
    Column::new("sequence", "INTEGER", |row| whole(row.sequence)),
    Column::new("run", "INTEGER", |row| whole(row.run.get())),
    Column::new("reason", "TEXT", |row| word(&row.reason)),
    Column::new("count", "INTEGER", |row| maybe(row.count, whole)),
    Column::new("after", "TEXT", |row| maybe(row.after, shown)),
    Column::new("first_recorded", "TEXT", |row| {
        maybe(row.recorded_range, |(first, _)| time(first))
    }),
    Column::new("last_recorded", "TEXT", |row| {
        maybe(row.recorded_range, |(_, last)| time(last))
    }),
    Column::new("first_event", "TEXT", |row| {
        maybe(row.event_range, |(first, _)| time(first))
    }),
    Column::new("last_event", "TEXT", |row| {
        maybe(row.event_range, |(_, last)| time(last))
    }),
    Column::new("refusal", "TEXT", |row| maybe(row.refusal.as_ref(), shown)),
];

/// What was lost, when and why.
pub(crate) fn gaps(place: Arc<Place>) -> List<Gap> {
    List::new(place, GAPS, |place| {
        let end = place.end();
        let gaps = place.reader.gaps();
        Ok(Box::new(gaps.take_while(move |gap| {
            gap.as_ref().map_or(true, |gap| gap.sequence < end)
        })))
    })
}

const RUNS: &[Column<Run>] = &[
    Column::new("run", "INTEGER", |row| whole(row.id.get())),
    Column::new("started", "TEXT", |row| time(row.started)),
    Column::new("started_us", "INTEGER", |row| micros(row.started)),
    Column::new("process", "INTEGER", |row| whole(row.process)),
    Column::new("state", "TEXT", |row| {
        text(match row.state {
            RunState::Alive => "alive",
            RunState::Closed(_) => "closed",
            RunState::Died(_) => "died",
            RunState::Continued(_) => "continued",
            RunState::Panicked(_) => "panicked",
            _ => "unknown",
        })
    }),
    Column::new("ended", "TEXT", |row| match row.state {
        RunState::Closed(at) | RunState::Continued(at) => time(at),
        RunState::Died(at) | RunState::Panicked(at) => maybe(at, time),
        _ => Cell::Null,
    }),
    Column::new("committed", "INTEGER", |row| whole(row.committed)),
    Column::new("dropped", "INTEGER", |row| whole(row.dropped)),
    Column::new("last_id", "TEXT", |row| maybe(row.last_id, shown)),
    Column::new("source", "TEXT", |row| {
        row.source.as_deref().map_or(Cell::Null, text)
    }),
    Column::new("program", "TEXT", |row| {
        of_manifest(row, |manifest| manifest.program.as_deref())
    }),
    Column::new("version", "TEXT", |row| {
        of_manifest(row, |manifest| manifest.version.as_deref())
    }),
    Column::new("host", "TEXT", |row| {
        of_manifest(row, |manifest| manifest.host.as_deref())
    }),
    Column::new("manifest", "TEXT", |row| {
        let manifest = row.manifest.as_ref();
        let json = manifest.and_then(|manifest| serde_json::to_string(manifest).ok());
        maybe(json, owned)
    }),
];

/// A text of a run's manifest.
fn of_manifest(row: &Run, part: fn(&RunManifest) -> Option<&str>) -> Cell<'_> {
    let part = row.manifest.as_ref().and_then(part);
    part.map_or(Cell::Null, text)
}

/// Openings of the journal.
pub(crate) fn runs(place: Arc<Place>) -> List<Run> {
    List::new(place, RUNS, |place| Ok(Box::new(place.reader.runs())))
}

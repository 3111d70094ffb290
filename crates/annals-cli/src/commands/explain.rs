//! One inference whole.

use std::path::Path;

use annals::entry::{KeptInput, Run};
use annals::{Checkpoint, InferenceId, InferenceRecord, Outcomes, Reader, Registry, Repeats};
use serde_json::json;

use super::runs;
use crate::blob::{self, NamedBlob};
use crate::checkpoint;
use crate::entries::{self, EntryColumn};
use crate::failure::{Done, Failure, Result};
use crate::filter;
use crate::input;
use crate::links::Links;
use crate::missing;
use crate::output::{Out, style};
use crate::predictions;
use crate::units;

/// Options of `explain`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  annals explain 3-17
  annals explain 3-17 --neighbours 10 --json
  annals explain 3-17 --blob prompt > prompt.txt")]
pub struct ExplainArgs {
    /// The decision's id, as `log` returned it and `tail --columns id` shows it.
    #[arg(value_parser = filter::id)]
    id: InferenceId,
    /// How many decisions of the same model about the same symbol to show, before and after.
    #[arg(long, default_value_t = 3)]
    neighbours: usize,
    /// Writes the blob of this name whole, and nothing else.
    #[arg(long, value_name = "NAME")]
    blob: Option<String>,
}

/// Known facts about one inference.
struct Explained {
    record: InferenceRecord,
    outcomes: Option<Outcomes>,
    /// Or why it cannot be read.
    input: annals::Result<KeptInput>,
    blobs: Vec<NamedBlob>,
    checkpoint: Option<Checkpoint>,
    aliases: Vec<(String, String)>,
    repeats: Vec<InferenceRecord>,
    before: Vec<InferenceRecord>,
    after: Vec<InferenceRecord>,
    links: Links,
    /// The run that recorded it, or why it cannot be read.
    run: annals::Result<Option<Run>>,
}

/// Prints all that is known of an inference.
pub fn run(dir: &Path, args: ExplainArgs, out: &mut Out) -> Result<Done> {
    let reader = Reader::open(dir)?;
    let Some(record) = reader.get(args.id)? else {
        return Err(Failure::Usage(format!(
            "no inference {}: it was dropped, is not committed yet, was retired or lost to damage, \
             never was, or is the id of an outcome; `annals tail --columns time,id,action` \
             shows ids",
            args.id
        )));
    };
    if let Some(name) = &args.blob {
        blob::write(&reader, &record, name, out)?;
        return Ok(missing::done(&reader));
    }
    let known = look(dir, &reader, record, args.neighbours)?;
    if out.json {
        let many = |records: &[InferenceRecord]| -> Vec<_> {
            records
                .iter()
                .map(|record| entries::record(record, None))
                .collect()
        };
        out.json(&json!({
            "inference": entries::record(&known.record, known.outcomes.as_ref()),
            "input": input::as_json(&known.input),
            "predictions": predictions::as_json(
                &predictions::of(&known.record, known.outcomes.as_ref()),
            ),
            "blobs": known.blobs.iter().map(blob::as_json).collect::<Vec<_>>(),
            "checkpoint": known.checkpoint.as_ref()
                .map(|one| checkpoint::as_json(one, &known.aliases)),
            "repeats": many(&known.repeats),
            "before": many(&known.before),
            "after": many(&known.after),
            "causes": known.links.causes_as_json(),
            "caused": known.links.caused_as_json(),
            "manifest": known.run.as_ref().ok().and_then(Option::as_ref)
                .and_then(|run| run.manifest.as_ref()),
        }))?;
    } else {
        print(&known, out)?;
    }
    Ok(missing::done(&reader))
}

fn look(dir: &Path, reader: &Reader, record: InferenceRecord, most: usize) -> Result<Explained> {
    let near = || {
        let query = reader
            .inferences()
            .model(&*record.model)
            .symbol(&*record.symbol);
        query.repeats(Repeats::Include)
    };
    let is_other = |found: &annals::Result<InferenceRecord>| {
        found.as_ref().map_or(true, |found| found.id != record.id)
    };
    let (mut before, mut after, mut repeats) = (Vec::new(), Vec::new(), Vec::new());
    let just_after = record
        .event_time
        .saturating_add(std::time::Duration::from_micros(1));
    for found in near()
        .until(just_after)
        .newest_first()
        .iter()
        .filter(is_other)
        .take(most)
    {
        before.push(found?);
    }
    before.reverse();
    let second = std::time::Duration::from_secs(60);
    for found in near().since(just_after).iter().filter(is_other) {
        let found = found?;
        let is_repeat = found.repeat_of == Some(record.id);
        let is_near = found.event_time <= record.event_time.saturating_add(second);
        if after.len() >= most && !is_near {
            break;
        }
        if is_repeat {
            repeats.push(found.clone());
        }
        if after.len() < most {
            after.push(found);
        }
    }
    let (mut checkpoint, mut aliases) = (None, Vec::new());
    if let Some(id) = &record.checkpoint {
        let registry = Registry::open(dir)?;
        checkpoint = registry.get(id)?;
        if let Some(known) = &checkpoint {
            aliases = registry.aliases(known.model())?;
        }
    }
    Ok(Explained {
        outcomes: reader.outcome(record.id)?,
        links: Links::of(reader, &record)?,
        run: reader.run(record.id.run()),
        input: reader.input(record.id),
        blobs: blob::of(reader, &record),
        checkpoint,
        aliases,
        repeats,
        before,
        after,
        record,
    })
}

fn print(known: &Explained, out: &mut Out) -> Result<()> {
    let record = &known.record;
    out.line(out.paint(style::HEAD, format!("inference {}", record.id)))?;
    let columns = [
        ("decided", EntryColumn::Time),
        ("recorded", EntryColumn::Recorded),
        ("sequence", EntryColumn::Sequence),
        ("model", EntryColumn::Model),
        ("symbol", EntryColumn::Symbol),
        ("action", EntryColumn::Action),
        ("confidence", EntryColumn::Confidence),
        ("probabilities", EntryColumn::Probabilities),
        ("features", EntryColumn::Hash),
        ("took", EntryColumn::Latency),
        ("memory", EntryColumn::Memory),
        ("attributes", EntryColumn::Attributes),
    ];
    // What few decisions carry is shown of these.
    let carried = [
        (
            "propensity",
            EntryColumn::Propensity,
            record.propensity.is_some(),
        ),
        (
            "action vector",
            EntryColumn::Vector,
            !record.action_vector.is_empty(),
        ),
        (
            "correlation",
            EntryColumn::Correlation,
            record.correlation.is_some(),
        ),
        ("episode", EntryColumn::Episode, record.episode.is_some()),
        ("step", EntryColumn::Step, record.step.is_some()),
    ];
    let carried = carried.into_iter().filter(|(_, _, is_there)| *is_there);
    let carried = carried.map(|(name, column, _)| (name, column));
    for (name, column) in columns.into_iter().chain(carried) {
        let value = entries::cell(record, None, column, &out.zone);
        if !value.is_empty() {
            out.line(format!("  {name:<14} {value}"))?;
        }
    }
    if let Some(text) = input::in_words(&known.input) {
        out.line(format!("  {:<14} {text}", "input"))?;
    }
    for (name, known) in &known.blobs {
        let name = format!("blob {}", crate::table::escaped(name));
        out.line(format!("  {name:<14} {}", blob::in_words(known)))?;
    }
    if record.divergent {
        let text = "the same features were just answered differently by the same checkpoint";
        out.line(format!(
            "  {:<14} {}",
            "divergent",
            out.paint(style::WARN, text)
        ))?;
    }
    if let Some(original) = record.repeat_of {
        out.line(format!("  {:<14} {original}", "repeat of"))?;
    }
    out.line("")?;
    match (&known.checkpoint, &record.checkpoint) {
        (Some(found), _) => checkpoint::print_one(found, &known.aliases, out)?,
        (None, Some(id)) => out.line(format!(
            "checkpoint {}: the registry does not know it",
            crate::table::escaped(id)
        ))?,
        (None, None) => out.line("no checkpoint was named")?,
    }
    out.line("")?;
    print_run(known, out)?;
    out.line("")?;
    print_outcome(known.outcomes.as_ref(), out)?;
    out.line("")?;
    predictions::print(&predictions::of(record, known.outcomes.as_ref()), out)?;
    known.links.print(out)?;
    let repeats = known.repeats.len();
    out.line(match repeats {
        0 => "no repeats within the next minute".to_owned(),
        n => format!(
            "repeated {} within the next minute",
            units::counted(n as u64, "time")
        ),
    })?;
    out.line("")?;
    out.line(out.paint(style::HEAD, "around it"))?;
    for neighbour in &known.before {
        let line = out.zone.line(neighbour.to_string(), neighbour.event_time);
        out.line(out.paint(style::DIM, line))?;
    }
    out.line(out.zone.line(record.to_string(), record.event_time))?;
    for neighbour in &known.after {
        let line = out.zone.line(neighbour.to_string(), neighbour.event_time);
        out.line(out.paint(style::DIM, line))?;
    }
    Ok(())
}

/// Which program decided.
fn print_run(known: &Explained, out: &mut Out) -> Result<()> {
    let run = known.record.id.run();
    out.line(out.paint(style::HEAD, format!("run {run}")))?;
    match &known.run {
        Ok(run) => {
            let manifest = run.as_ref().and_then(|run| run.manifest.as_ref());
            runs::print_manifest(manifest, out)
        }
        Err(error) => out.line(format!(
            "  {}",
            crate::table::escaped(&format!("not known: {error}"))
        )),
    }
}

fn print_outcome(outcomes: Option<&Outcomes>, out: &mut Out) -> Result<()> {
    let Some(outcomes) = outcomes else {
        return out.line("no outcome yet");
    };
    out.line(out.paint(style::HEAD, "outcome"))?;
    let zone = out.zone.clone();
    let mut line = |name: &str, value: String, time: annals::Timestamp| {
        let time = zone.second(time);
        out.line(format!(
            "  {:<14} {value}  (at {time})",
            crate::table::escaped(name)
        ))
    };
    if let Some(reward) = outcomes.reward {
        line("reward", units::real(reward.value), reward.time)?;
    }
    if let Some(correct) = outcomes.correct {
        line("correct", correct.value.to_string(), correct.time)?;
    }
    if let Some(label) = &outcomes.label {
        line("label", crate::table::escaped(&label.value), label.time)?;
    }
    for (name, latest) in &outcomes.values {
        line(name, units::real(latest.value), latest.time)?;
    }
    Ok(())
}

//! JSON lines, as `export` writes them.

mod lenient;
mod line;
mod lines;
mod unpack;

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use annals::{Answer, Importer, Inference, InferenceId, Outcome, Reader, RunId, Timestamp, Value};

use super::content::{Content, Parts, of_record};
use super::{Identity, Report, python};
use crate::failure::{Failure, Result};
use crate::progress;
use lenient::Lost;
use line::{Line, Turned, needed, real32, time};
pub use lines::is_utf16;
use lines::{BYTE_ORDER_MARK, Read};
pub use unpack::{Packing, unpacked};

/// The longest line that is read: a record has at most a megabyte of text.
const LONGEST: u64 = 16 << 20;
/// Lines that are compared with their entries at once.
const COMPARED: usize = 4_096;

/// Takes in lines from a file or, for `-`, from standard input.
pub fn import(
    dir: &Path,
    from: &Path,
    source: Option<&str>,
    identity: Identity,
    report: &mut Report,
) -> Result<()> {
    let reading = |cause| Failure::io(format!("read {}", from.display()), cause);
    let input: Box<dyn io::Read> = if from.as_os_str() == "-" {
        Box::new(io::stdin().lock())
    } else {
        Box::new(File::open(from).map_err(reading)?)
    };
    let mut input = unpacked(input).map_err(reading)?;
    let name = from
        .file_name()
        .map_or_else(|| "-".into(), |name| name.to_string_lossy());
    // Compressed or not, it is the same source.
    let name = unpack::without_ending(&name);
    report.source = source.unwrap_or(name).to_owned();
    let mut taking = Taking {
        importer: report.doing.importer(dir)?,
        fallback: report.source.clone(),
        sources: HashMap::new(),
        said: HashSet::new(),
        dir: dir.to_owned(),
        reader: None,
        known: Vec::new(),
        taken: match identity {
            Identity::Recognised => None,
            Identity::New => Some(names_of_sources(dir)?),
        },
    };
    let bar = progress::rows(None, "importing");
    let mut bytes = Vec::new();
    let mut number = 0_u64;
    loop {
        bytes.clear();
        number += 1;
        let place = || format!("line {number}");
        match lines::next(&mut input, LONGEST, &mut bytes).map_err(reading)? {
            Read::End => break,
            Read::Line => {}
            Read::TooLong(length) => {
                let why = format!("it has {length} bytes; 16 MiB is the most");
                report.broken(&place(), &why);
                continue;
            }
        }
        let line = match bytes.strip_prefix(BYTE_ORDER_MARK) {
            Some(rest) if number == 1 => rest,
            _ => &bytes[..],
        };
        if number == 1 && lines::is_utf16(line) {
            let name = from.display();
            return Err(Failure::Usage(format!(
                "{name} is UTF-16: make UTF-8 of it, with iconv -f UTF-16 -t UTF-8 {name}"
            )));
        }
        let Ok(text) = std::str::from_utf8(line) else {
            report.broken(&place(), "it is no UTF-8");
            continue;
        };
        if text.trim().is_empty() {
            continue;
        }
        match taking.line(text, &place(), report) {
            Ok(()) => {}
            Err(Trouble::Line(why)) => report.broken(&place(), &why),
            Err(Trouble::Journal(error)) => return Err(error.into()),
        }
        bar.inc(1);
    }
    taking.compare(report)?;
    let superseded = taking.importer.superseded();
    if superseded > 0 {
        report.not_taken_times("outcome", "a later one is there", superseded);
    }
    report
        .runs
        .extend(taking.sources.values().map(|run| run.get()));
    report.runs.sort_unstable();
    taking.importer.close()?;
    bar.finish_and_clear();
    Ok(())
}

/// Why a line was not taken in: for its own sake, or because nothing can be.
enum Trouble {
    Line(String),
    Journal(annals::Error),
}

impl From<String> for Trouble {
    fn from(why: String) -> Self {
        Trouble::Line(why)
    }
}

impl From<annals::Error> for Trouble {
    fn from(error: annals::Error) -> Self {
        match error {
            annals::Error::InvalidOption { .. } | annals::Error::Parse { .. } => {
                Trouble::Line(error.to_string())
            }
            other => Trouble::Journal(other),
        }
    }
}

struct Taking {
    importer: Importer,
    /// The source of lines that name no journal.
    fallback: String,
    sources: HashMap<(String, u32), RunId>,
    /// Events and gaps of this import, by run and sequence: lines may be there twice.
    said: HashSet<(RunId, u64)>,
    dir: PathBuf,
    reader: Option<Reader>,
    /// Lines that were there already, until they are compared, and whether they have a time.
    known: Vec<(InferenceId, Content, bool)>,
    /// For what is all another source's: the names that are taken.
    taken: Option<HashSet<String>>,
}

/// The names of all sources that have been taken in.
fn names_of_sources(dir: &Path) -> Result<HashSet<String>> {
    let reader = match Reader::open(dir) {
        Err(annals::Error::Missing { .. }) => return Ok(HashSet::new()),
        opened => opened?,
    };
    let mut names = HashSet::new();
    for run in reader.runs() {
        names.extend(run?.source);
    }
    Ok(names)
}

impl Taking {
    fn line(&mut self, text: &str, place: &str, report: &mut Report) -> Result<(), Trouble> {
        let text = python::as_json(text);
        let (line, mut lost) = match serde_json::from_str::<Line<'_>>(&text) {
            Ok(line) => (line, Vec::new()),
            Err(error) => lenient::line(&text, &error)?,
        };
        let journal = line.journal.as_deref().unwrap_or(&self.fallback).to_owned();
        // Times without which events would lose their place, and gaps their extent.
        let recorded = line.recorded_time.as_deref().map(time).transpose()?;
        self.importer.recorded_at(recorded);
        match &*line.kind {
            "inference" | "repeat" => {
                let known = report.known;
                self.inference(&line, &journal, &mut lost, report)?;
                if report.known == known && !lost.is_empty() {
                    lost.iter()
                        .for_each(|(field, reason)| report.not_taken(field, *reason));
                    let (field, reason) = &lost[0];
                    report.damaged(place, &format!("{field}: {reason}; taken in without it"));
                }
                Ok(())
            }
            "outcome" => {
                let id = self.id(&journal, line.id.as_deref())?;
                match &line.outcome {
                    // A row with a sequence in its journal came after the earlier export.
                    Some(turned) if line.sequence.is_some() => {
                        self.outcome(id, &line, turned, Importer::add_later_outcome, report)
                    }
                    Some(turned) => self.outcome(id, &line, turned, Importer::add_outcome, report),
                    None => Err("an outcome without one".to_owned().into()),
                }
            }
            "gap" => self.gap(&line, &journal, report),
            "event" | "checkpoint_event" => self.event(&line, &journal, report),
            other => Err(format!("the kind {other:?} is not known").into()),
        }
    }

    /// The id here of what has the id `text` there.
    fn id(&mut self, journal: &str, text: Option<&str>) -> Result<InferenceId, Trouble> {
        let text = text.ok_or_else(|| "it has no id".to_owned())?;
        let there: InferenceId = text.parse()?;
        let run = self.run(journal, there.run().get())?;
        Ok(run.inference(there.counter())?)
    }

    /// Counts the known lines that say something else than their entries.
    fn compare(&mut self, report: &mut Report) -> annals::Result<()> {
        let known = std::mem::take(&mut self.known);
        if known.is_empty() {
            return Ok(());
        }
        if self.reader.is_none() {
            self.reader = Some(Reader::open(&self.dir)?);
        }
        let Some(reader) = &self.reader else {
            return Ok(());
        };
        let ids: Vec<InferenceId> = known.iter().map(|(id, ..)| *id).collect();
        let records = reader.get_each(&ids)?;
        for ((id, mut content, has_time), record) in known.into_iter().zip(records) {
            // Uncommitted rows came from this very file.
            let Some(before) = record.map(|record| of_record(&record)) else {
                continue;
            };
            if !has_time {
                content.time = before.time;
            }
            if content == before {
                continue;
            }
            let mut fields: Vec<&str> = content.differing(&before).collect();
            if content.time != before.time {
                fields.push("event_time");
            }
            for field in &fields {
                *report.differing.entry(field).or_default() += 1;
            }
            let fields = fields.join(", ");
            let why = format!("{fields}: another than in {id}, which stays as it is");
            report.differs("a line", &why);
        }
        Ok(())
    }

    fn run(&mut self, journal: &str, run: u32) -> Result<RunId, Trouble> {
        let key = (journal.to_owned(), run);
        if let Some(known) = self.sources.get(&key) {
            return Ok(*known);
        }
        let own = format!("annals:{journal}:{run}");
        let mut name = own.clone();
        let is_taken = |name: &str| {
            self.taken
                .as_ref()
                .is_some_and(|taken| taken.contains(name))
        };
        let mut number = 2_u64;
        while is_taken(&name) {
            name = format!("{own}#{number}");
            number = number.saturating_add(1);
        }
        let here = self.importer.source(&name)?;
        self.sources.insert(key, here);
        Ok(here)
    }

    fn inference(
        &mut self,
        line: &Line<'_>,
        journal: &str,
        lost: &mut Vec<Lost>,
        report: &mut Report,
    ) -> Result<(), Trouble> {
        let id = self.id(journal, line.id.as_deref())?;
        let model = needed("model", &line.model)?;
        let symbol = needed("symbol", &line.symbol)?;
        let action = needed("action", &line.action)?;
        let values = line.probabilities.iter().enumerate();
        // The others keep their places.
        let values = values.map(|(index, value)| {
            let number = line.number(&format!("probabilities.{index}"), value.as_ref());
            let number = number.unwrap_or_else(|_| {
                lost.push(("probabilities".to_owned(), "a value that is no number"));
                None
            });
            real32(number.unwrap_or(f64::NAN))
        });
        let values: Vec<f32> = values.collect();
        let labels = line
            .labels
            .iter()
            .map(|label| &**label)
            .chain(std::iter::repeat(""));
        let probabilities: Vec<(&str, f32)> = labels.zip(values).collect();
        let attributes: Vec<(&str, Value)> = line.values("attributes", &line.attributes)?;
        let mut inference = Inference::new(model, symbol, action)
            .probabilities(&probabilities)
            .attributes(&attributes);
        if let Some(time) = &line.event_time {
            inference = inference.event_time(line::time(time)?);
        }
        match line.number("confidence", line.confidence.as_ref()) {
            Ok(Some(confidence)) => inference = inference.confidence(real32(confidence)),
            Ok(None) => {}
            Err(_) => lost.push(("confidence".to_owned(), "no number")),
        }
        if let Some(hash) = &line.feature_hash {
            match u64::from_str_radix(hash, 16) {
                Ok(hash) => inference = inference.features_hashed(hash),
                Err(_) => lost.push(("feature_hash".to_owned(), "no hexadecimal number")),
            }
        }
        if let Some(nanos) = line.processing_ns {
            inference = inference.processing_time(Duration::from_nanos(nanos));
        }
        if let Some(memory) = line.memory_bytes {
            inference = inference.memory(memory);
        }
        if let Some(checkpoint) = &line.checkpoint {
            inference = inference.checkpoint(checkpoint);
        }
        let answer = match &line.repeat_of {
            Some(original) => Answer::RepeatOf(self.id(journal, Some(original))?),
            None if line.divergent => Answer::Divergent,
            None => Answer::Full,
        };
        if self.importer.add(id, &inference, answer)? {
            report.inferences += 1;
        } else {
            report.known += 1;
            if answer != Answer::RepeatOf(id) && line.repeat_of.is_none() {
                let confidence = line.number("confidence", line.confidence.as_ref());
                let parts = Parts {
                    model,
                    symbol,
                    action,
                    confidence: confidence.ok().flatten().map(real32),
                    probabilities: &probabilities,
                    features: line
                        .feature_hash
                        .as_deref()
                        .and_then(|hash| u64::from_str_radix(hash, 16).ok()),
                    processing: line.processing_ns.map(Duration::from_nanos),
                    memory: line.memory_bytes,
                    checkpoint: line.checkpoint.as_deref(),
                };
                let time = line
                    .event_time
                    .as_deref()
                    .and_then(|text| line::time(text).ok());
                let attributes = attributes.iter().map(|(name, value)| (*name, value));
                let content = parts.content(time.map_or(0, Timestamp::as_micros), attributes);
                self.known.push((id, content, time.is_some()));
            }
            if self.known.len() >= COMPARED {
                self.compare(report)?;
            }
        }
        match &line.outcome {
            Some(turned) => self.outcome(id, line, turned, Importer::add_outcome, report),
            None => Ok(()),
        }
    }

    /// An outcome, in one entry for each time at which something turned out.
    fn outcome(
        &mut self,
        of: InferenceId,
        line: &Line<'_>,
        turned: &Turned,
        add: impl Fn(&mut Importer, InferenceId, &Outcome<'_>) -> annals::Result<bool>,
        report: &mut Report,
    ) -> Result<(), Trouble> {
        let whole = turned.time.as_deref().map(time).transpose()?;
        let at = |name: &str| -> Result<Option<Timestamp>, String> {
            turned
                .times
                .get(name)
                .map_or(Ok(whole), |text| time(text).map(Some))
        };
        let mut parts: Vec<(Option<Timestamp>, Outcome<'_>)> = Vec::new();
        let mut with = |time: Option<Timestamp>| -> usize {
            match parts.iter().position(|(known, _)| *known == time) {
                Some(index) => index,
                None => {
                    parts.push((time, Outcome::default()));
                    parts.len() - 1
                }
            }
        };
        let mut steps: Vec<(usize, Step<'_>)> = Vec::new();
        if let Some(reward) = line.number("outcome.reward", turned.reward.as_ref())? {
            steps.push((with(at("reward")?), Step::Reward(reward)));
        }
        if let Some(correct) = turned.correct {
            steps.push((with(at("correct")?), Step::Correct(correct)));
        }
        if let Some(label) = &turned.label {
            steps.push((with(at("label")?), Step::Label(label)));
        }
        for (name, value) in &turned.values {
            let time = at(&format!("values.{name}"))?;
            let place = format!("outcome.values.{name}");
            if let Some(value) = line.number(&place, value.as_ref())? {
                steps.push((with(time), Step::Value(name, value)));
            }
        }
        for (index, step) in steps {
            if let Some((_, outcome)) = parts.get_mut(index) {
                let whole = std::mem::take(outcome);
                *outcome = match step {
                    Step::Reward(reward) => whole.and_reward(reward),
                    Step::Correct(correct) => whole.and_correct(correct),
                    Step::Label(label) => whole.and_label(label),
                    Step::Value(name, value) => whole.and_value(name, value),
                };
            }
        }
        parts.sort_by_key(|(time, _)| *time);
        for (time, outcome) in parts {
            let outcome = match time {
                Some(time) => outcome.at(time),
                None => outcome,
            };
            report.outcomes += u64::from(add(&mut self.importer, of, &outcome)?);
        }
        Ok(())
    }

    /// Whether this import has not met this event or gap.
    fn is_first(&mut self, run: RunId, line: &Line<'_>) -> bool {
        line.sequence
            .is_none_or(|sequence| self.said.insert((run, sequence)))
    }

    /// A system event or a checkpoint event.
    fn event(
        &mut self,
        line: &Line<'_>,
        journal: &str,
        report: &mut Report,
    ) -> Result<(), Trouble> {
        if line.recorded_time.is_none() {
            return Err("an event without a recorded_time".to_owned().into());
        }
        let run = line
            .run
            .ok_or_else(|| "an event without a run".to_owned())?;
        let run = self.run(journal, run)?;
        let is_first = self.is_first(run, line);
        let is_new = match &*line.kind {
            _ if !is_first => false,
            "event" => {
                let level = needed("level", &line.level)?.parse()?;
                let component = needed("component", &line.component)?;
                let message = needed("message", &line.message)?;
                let fields = line.values("fields", &line.fields)?;
                let fields = fields
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value));
                let fields: Vec<(String, Value)> = fields.collect();
                self.importer
                    .add_event(run, level, component, message, &fields)?
            }
            _ => {
                let action = needed("action", &line.action)?.parse()?;
                let model = needed("model", &line.model)?;
                let checkpoint = needed("checkpoint", &line.checkpoint)?;
                let detail = line.detail.as_deref().unwrap_or_default();
                self.importer
                    .add_checkpoint_event(run, action, model, checkpoint, detail)?
            }
        };
        let count = if is_new {
            &mut report.events
        } else {
            &mut report.known
        };
        *count += 1;
        Ok(())
    }

    fn gap(&mut self, line: &Line<'_>, journal: &str, report: &mut Report) -> Result<(), Trouble> {
        if line.reason.as_deref() == Some("withdrawn") {
            // It stands for what that journal took out again: nothing is missing.
            return Ok(());
        }
        let run = line.run.ok_or_else(|| "a gap without a run".to_owned())?;
        let run = self.run(journal, run)?;
        let reason = match line.reason.as_deref() {
            Some("queue_full") => annals::GapReason::QueueFull,
            Some("refused") => annals::GapReason::Refused,
            Some("died") => annals::GapReason::Died,
            Some("damaged") => annals::GapReason::Damaged,
            other => return Err(format!("the reason {other:?} is not known").into()),
        };
        let range = |range: &Option<[String; 2]>| -> Result<_, String> {
            let Some([first, last]) = range else {
                return Ok(None);
            };
            Ok(Some((time(first)?, time(last)?)))
        };
        if !self.is_first(run, line) {
            report.known += 1;
            return Ok(());
        }
        let after = line.after.as_deref();
        let after = after.map(|id| self.id(journal, Some(id))).transpose()?;
        let loss = annals::Loss {
            run,
            reason,
            count: line.count,
            after,
            recorded_range: range(&line.recorded_range)?,
            event_range: range(&line.event_range)?,
            refusal: line.refusal.clone(),
        };
        if self.importer.add_gap(&loss)? {
            report.gaps += 1;
        } else {
            report.known += 1;
        }
        Ok(())
    }
}

/// One value of an outcome.
enum Step<'a> {
    Reward(f64),
    Correct(bool),
    Label(&'a str),
    Value(&'a str, f64),
}

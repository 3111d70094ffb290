//! JSON lines, as `export` writes them.

mod line;

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::time::Duration;

use annals::{Answer, Importer, Inference, InferenceId, Outcome, RunId, Timestamp, Value};

use super::{Report, python};
use crate::failure::{Failure, Result};
use crate::progress;
use line::{Line, Turned, needed, real32, time};

/// The longest line that is read: a record has at most a megabyte of text.
const LONGEST: u64 = 16 << 20;

/// Takes in lines from a file or, for `-`, from standard input.
pub fn import(dir: &Path, from: &Path, source: Option<&str>, report: &mut Report) -> Result<()> {
    let reading = |cause| Failure::io(format!("read {}", from.display()), cause);
    let input: Box<dyn Read> = if from.as_os_str() == "-" {
        Box::new(io::stdin().lock())
    } else {
        Box::new(File::open(from).map_err(reading)?)
    };
    let mut input = BufReader::with_capacity(1 << 18, input);
    let name = from
        .file_name()
        .map_or_else(|| "-".into(), |name| name.to_string_lossy());
    report.source = source.unwrap_or(&name).to_owned();
    let mut taking = Taking {
        importer: Importer::open(dir)?,
        fallback: report.source.clone(),
        sources: HashMap::new(),
        said: HashSet::new(),
    };
    let bar = progress::rows(None, "importing");
    let mut text = String::new();
    let mut number = 0_u64;
    loop {
        text.clear();
        number += 1;
        let read = (&mut input).take(LONGEST).read_line(&mut text);
        match read {
            Ok(0) => break,
            Ok(_) => {}
            Err(cause) if cause.kind() == io::ErrorKind::InvalidData => {
                report.broken(&format!("line {number}"), "it is no UTF-8");
                continue;
            }
            Err(cause) => return Err(reading(cause)),
        }
        if text.trim().is_empty() {
            continue;
        }
        match taking.line(&text, report) {
            Ok(()) => {}
            Err(Trouble::Line(why)) => report.broken(&format!("line {number}"), &why),
            Err(Trouble::Journal(error)) => return Err(error.into()),
        }
        bar.inc(1);
    }
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
}

impl Taking {
    fn line(&mut self, text: &str, report: &mut Report) -> Result<(), Trouble> {
        let text = python::as_json(text);
        let line: Line<'_> = serde_json::from_str(&text).map_err(|e| e.to_string())?;
        let journal = line.journal.as_deref().unwrap_or(&self.fallback).to_owned();
        // Times without which events would lose their place, and gaps their extent.
        let recorded = line.recorded_time.as_deref().map(time).transpose()?;
        self.importer.recorded_at(recorded);
        match &*line.kind {
            "inference" | "repeat" => self.inference(&line, &journal, report),
            "outcome" => {
                let id = self.id(&journal, line.id.as_deref())?;
                match &line.outcome {
                    Some(turned) => self.outcome(id, &line, turned, report),
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

    fn run(&mut self, journal: &str, run: u32) -> Result<RunId, Trouble> {
        let key = (journal.to_owned(), run);
        if let Some(known) = self.sources.get(&key) {
            return Ok(*known);
        }
        let here = self.importer.source(&format!("annals:{journal}:{run}"))?;
        self.sources.insert(key, here);
        Ok(here)
    }

    fn inference(
        &mut self,
        line: &Line<'_>,
        journal: &str,
        report: &mut Report,
    ) -> Result<(), Trouble> {
        let id = self.id(journal, line.id.as_deref())?;
        let model = needed("model", &line.model)?;
        let symbol = needed("symbol", &line.symbol)?;
        let action = needed("action", &line.action)?;
        let values = line.probabilities.iter().enumerate();
        let values = values.map(|(index, value)| {
            let number = line.number(&format!("probabilities.{index}"), value.as_ref())?;
            Ok(real32(number.unwrap_or(f64::NAN)))
        });
        let values = values.collect::<Result<Vec<f32>, String>>()?;
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
        if let Some(confidence) = line.number("confidence", line.confidence.as_ref())? {
            inference = inference.confidence(real32(confidence));
        }
        if let Some(hash) = &line.feature_hash {
            let hash = u64::from_str_radix(hash, 16);
            let hash = hash.map_err(|_| "feature_hash is no hexadecimal number".to_owned())?;
            inference = inference.features_hashed(hash);
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
        }
        match &line.outcome {
            Some(turned) => self.outcome(id, line, turned, report),
            None => Ok(()),
        }
    }

    /// An outcome, in one entry for each time at which something turned out.
    fn outcome(
        &mut self,
        of: InferenceId,
        line: &Line<'_>,
        turned: &Turned,
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
            report.outcomes += u64::from(self.importer.add_outcome(of, &outcome)?);
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

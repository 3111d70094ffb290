//! JSON lines, as `export` writes them.

mod extras;
mod history;
mod lenient;
mod line;
mod lines;
mod unpack;

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use annals::entry::{EpisodeId, GapReason, KeptInput};
use annals::import::{Answer, Importer, PastOutcome};
use annals::{Inference, InferenceId, Outcome, Reader, RunId, Timestamp, Value};
use jiff::tz::TimeZone;

use super::content::{FieldChange, InferenceContent, Parts, hash, of_record};
use super::times::{self, Doubts, GivenTime};
use super::{ImportReport, RowIdentity, python};
use crate::failure::{Failure, Result};
use crate::progress;
use extras::Extras;
use lenient::Lost;
use line::{JsonNumber, Line, LineOutcomes, needed, real32};
pub use lines::is_utf16;
use lines::{BYTE_ORDER_MARK, ReadLine};
pub use unpack::{Packing, unpacked};

/// The longest line that is read: a record has at most a megabyte of text.
const LONGEST: u64 = 16 << 20;
/// Lines that are compared with their entries at once.
const COMPARED: usize = 4_096;

/// How to take lines in.
pub struct JsonlSettings<'s> {
    /// The name of the source of lines that name no journal, if it was said.
    pub source: Option<&'s str>,
    pub zone: &'s TimeZone,
    pub identity: RowIdentity,
}

/// Takes in lines from a file or, for `-`, from standard input.
pub fn import(
    dir: &Path,
    from: &Path,
    settings: &JsonlSettings<'_>,
    report: &mut ImportReport,
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
    report.source = settings.source.unwrap_or(name).to_owned();
    let mut taking = JsonlImport {
        importer: report.doing.importer(dir)?,
        fallback: report.source.clone(),
        sources: HashMap::new(),
        said: HashSet::new(),
        dir: dir.to_owned(),
        reader: None,
        known: Vec::new(),
        times: Times {
            zone: settings.zone.clone(),
            doubts: Cell::default(),
        },
        taken: match settings.identity {
            RowIdentity::Recognised => None,
            RowIdentity::New => Some(names_of_sources(dir)?),
        },
    };
    let bar = progress::rows(None, "importing");
    let mut bytes = Vec::new();
    let mut number = 0_u64;
    loop {
        bytes.clear();
        number += 1;
        let place = || place(number);
        match lines::next(&mut input, LONGEST, &mut bytes).map_err(reading)? {
            ReadLine::End => break,
            ReadLine::Line => {}
            ReadLine::TooLong(length) => {
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
        match taking.line(text, number, report) {
            Ok(()) => {}
            Err(LineTrouble::Line(why)) => report.broken(&place(), &why),
            Err(LineTrouble::Journal(error)) => return Err(error.into()),
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

/// The input of a line. One that cannot be read is given up.
fn kept_input(line: &Line<'_>, lost: &mut Vec<Lost>) -> KeptInput {
    let Some(input) = &line.input else {
        let is_lost = lost.iter().any(|lost| lost.field == "input");
        return if is_lost {
            KeptInput::GivenUp
        } else {
            KeptInput::NotKept
        };
    };
    input.read().unwrap_or_else(|why| {
        lost.push(Lost::new("input", "an input that cannot be read", why));
        KeptInput::GivenUp
    })
}

/// One number for equal inputs.
fn hash_of(input: &KeptInput) -> u64 {
    hash(&crate::input::as_text(input))
}

/// How the input of a line differs from that of its entry. One that the budget has removed here
/// does not.
fn input_change(line: u64, entry: &KeptInput) -> Option<(&'static str, FieldChange)> {
    let change = match entry {
        KeptInput::Removed => return None,
        KeptInput::NotKept => FieldChange::Completed,
        kept if hash_of(kept) == line => return None,
        _ => FieldChange::Other,
    };
    Some(("input", change))
}

fn place(line: u64) -> String {
    format!("line {line}")
}

/// Why a line was not taken in: for its own sake, or because nothing can be.
enum LineTrouble {
    Line(String),
    Journal(annals::Error),
}

impl From<String> for LineTrouble {
    fn from(why: String) -> Self {
        LineTrouble::Line(why)
    }
}

impl From<annals::Error> for LineTrouble {
    fn from(error: annals::Error) -> Self {
        match super::refusal(&error) {
            Some(why) => LineTrouble::Line(why),
            None => LineTrouble::Journal(error),
        }
    }
}

/// A line that was there already, as it is compared with its entry.
struct KnownLine {
    number: u64,
    id: InferenceId,
    content: InferenceContent,
    /// A hash of its extras.
    extras: u64,
    /// A hash of its input, if it has one.
    input: Option<u64>,
    /// Its event time, if it bears one.
    time: Option<times::ReadTime>,
}

/// Reads the times of a line, and notes how sure they are.
struct Times {
    zone: TimeZone,
    doubts: Cell<Doubts>,
}

impl Times {
    fn read(&self, field: &str, stamp: &GivenTime) -> Result<times::ReadTime, String> {
        let read = stamp.read(field, &self.zone)?;
        let mut doubts = self.doubts.get();
        doubts.note(&read);
        self.doubts.set(doubts);
        Ok(read)
    }

    fn time(&self, field: &str, stamp: &GivenTime) -> Result<Timestamp, String> {
        Ok(self.read(field, stamp)?.time)
    }
}

/// Which of two values of an outcome holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum HoldsBy {
    /// The one with the later time.
    OfTime,
    /// The one that came later.
    OfArrival,
}

/// The outcomes, in one entry for each time at which one became known.
type TimedOutcomes<'l> = Vec<(Option<Timestamp>, Outcome<'l>)>;

struct JsonlImport {
    importer: Importer,
    /// The source of lines that name no journal.
    fallback: String,
    sources: HashMap<(String, u32), RunId>,
    /// Events and gaps of this import, by run and sequence: lines may be there twice.
    said: HashSet<(RunId, u64)>,
    dir: PathBuf,
    reader: Option<Reader>,
    /// Lines that were there already, until they are compared.
    known: Vec<KnownLine>,
    times: Times,
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

impl JsonlImport {
    fn line(
        &mut self,
        text: &str,
        number: u64,
        report: &mut ImportReport,
    ) -> Result<(), LineTrouble> {
        let text = python::as_json(text);
        let (line, mut lost) = match serde_json::from_str::<Line<'_>>(&text) {
            Ok(line) => (line, Vec::new()),
            Err(error) => lenient::line(&text, &error)?,
        };
        let journal = line.journal.as_deref().unwrap_or(&self.fallback).to_owned();
        self.times.doubts.take();
        // Times without which events would lose their place, and gaps their extent.
        let recorded = line.recorded_time.as_ref();
        let recorded = recorded.map(|stamp| self.times.time("recorded_time", stamp));
        self.importer.recorded_at(recorded.transpose()?);
        let before = report.taken();
        match &*line.kind {
            "inference" | "repeat" => {
                self.inference(&line, &journal, number, &mut lost, report)?;
            }
            "outcome" => self.late(&line, &journal, &mut lost, report)?,
            "gap" => self.gap(&line, &journal, report)?,
            "event" | "checkpoint_event" => self.event(&line, &journal, report)?,
            other => return Err(format!("the kind {other:?} is not known").into()),
        }
        if report.taken() == before {
            return Ok(());
        }
        self.times.doubts.take().count(report);
        for field in line::unknown(&text) {
            let reason = match field.as_str() {
                "blobs" => "names of blobs, whose content is in no export",
                _ => "a field that is not known",
            };
            report.not_taken(field, reason);
        }
        for lost in &lost {
            report.not_taken(&*lost.field, lost.reason);
        }
        if let Some(Lost { field, why, .. }) = lost.first() {
            report.damaged(
                &place(number),
                &format!("{field}: {why}; taken in without it"),
            );
        }
        Ok(())
    }

    /// An outcome that was written apart from its decision.
    fn late(
        &mut self,
        line: &Line<'_>,
        journal: &str,
        lost: &mut Vec<Lost>,
        report: &mut ImportReport,
    ) -> Result<(), LineTrouble> {
        let id = self.id(journal, line.id.as_deref())?;
        let Some(turned) = &line.outcome else {
            return Err("an outcome without one".to_owned().into());
        };
        if line.recorded_by.is_some() && line.sequence.is_some() {
            return self.past(id, line, journal, turned, report);
        }
        // A row with a sequence in its journal came after the earlier export.
        let order = match line.sequence {
            Some(_) => HoldsBy::OfArrival,
            None => HoldsBy::OfTime,
        };
        let judged = self.judged(turned, lost);
        let before = report.outcomes;
        self.outcomes(id, judged, order, lost, report)?;
        match lost.first() {
            Some(Lost { field, why, .. }) if report.outcomes == before => {
                Err(format!("{field}: {why}").into())
            }
            _ => Ok(()),
        }
    }

    /// An outcome as it stands in its journal.
    fn past(
        &mut self,
        of: InferenceId,
        line: &Line<'_>,
        journal: &str,
        turned: &LineOutcomes,
        report: &mut ImportReport,
    ) -> Result<(), LineTrouble> {
        if !self.is_first(of.run(), line) {
            return Ok(());
        }
        let by = line.recorded_by.unwrap_or_default();
        let recorded = line.recorded_time.as_ref();
        let recorded = recorded.map(|stamp| self.times.time("recorded_time", stamp));
        let mut lost = Vec::new();
        let mut judged = self.judged(turned, &mut lost);
        if let Some(Lost { field, why, .. }) = lost.first() {
            return Err(format!("{field}: {why}").into());
        }
        let Some((time, outcome)) = judged.pop().filter(|_| judged.is_empty()) else {
            return Err("an outcome of several times".to_owned().into());
        };
        let past = PastOutcome {
            outcome: match time {
                Some(time) => outcome.at(time),
                None => outcome,
            },
            recorded_time: recorded.transpose()?,
            recorded_by: self.run(journal, by)?,
        };
        report.outcomes += u64::from(self.importer.add_past_outcome(of, &past)?);
        Ok(())
    }

    /// The id here of what has the id `text` there.
    fn id(&mut self, journal: &str, text: Option<&str>) -> Result<InferenceId, LineTrouble> {
        let text = text.ok_or_else(|| "it has no id".to_owned())?;
        let there: InferenceId = text.parse()?;
        let run = self.run(journal, there.run().get())?;
        Ok(run.inference(there.counter())?)
    }

    /// Counts the known lines that say something else than their entries.
    fn compare(&mut self, report: &mut ImportReport) -> annals::Result<()> {
        let known = std::mem::take(&mut self.known);
        if known.is_empty() {
            return Ok(());
        }
        // Some may be there because of lines before them.
        self.importer.commit()?;
        if self.reader.is_none() {
            self.reader = Some(Reader::open(&self.dir)?);
        }
        let Some(reader) = &self.reader else {
            return Ok(());
        };
        let ids: Vec<InferenceId> = known.iter().map(|line| line.id).collect();
        let records = reader.get_each(&ids)?;
        for (line, record) in known.into_iter().zip(records) {
            // A rehearsal has not taken in the lines before this one.
            let Some(record) = record else {
                continue;
            };
            let before = of_record(&record);
            let run = line.id.run().get();
            let mut changes = line.content.changes(&before);
            if line.extras != Extras::of_record(&record).hash() {
                changes.push((
                    "propensity, action vector, cause or episode",
                    FieldChange::Other,
                ));
            }
            if let Some(input) = line.input {
                changes.extend(input_change(input, &reader.input(line.id)?));
            }
            if let Some(read) = line
                .time
                .filter(|read| read.time.as_micros() != before.time)
            {
                let is_zone = |local| times::is_of_a_zone(local, before.time);
                if changes.is_empty() && read.local.is_some_and(is_zone) {
                    report.other_zone(run);
                    continue;
                }
                changes.push(("event_time", FieldChange::Other));
            }
            if !changes.is_empty() {
                report.differs(&place(line.number), run, &changes);
            }
        }
        Ok(())
    }

    fn run(&mut self, journal: &str, run: u32) -> Result<RunId, LineTrouble> {
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
        number: u64,
        lost: &mut Vec<Lost>,
        report: &mut ImportReport,
    ) -> Result<(), LineTrouble> {
        let id = self.id(journal, line.id.as_deref())?;
        let model = needed("model", &line.model)?;
        let symbol = needed("symbol", &line.symbol)?;
        let action = needed("action", &line.action)?;
        let values = line.probabilities.iter();
        // The others keep their places.
        let values = values.map(|value| {
            let value = JsonNumber::optional(value.as_ref());
            let value = value.unwrap_or_else(|why| {
                lost.push(Lost::new("probabilities", "a value that is no number", why));
                None
            });
            real32(value.unwrap_or(f64::NAN))
        });
        let values: Vec<f32> = values.collect();
        let labels = line
            .labels
            .iter()
            .map(|label| &**label)
            .chain(std::iter::repeat(""));
        let probabilities: Vec<(&str, f32)> = labels.zip(values).collect();
        let attributes: Vec<(&str, Value)> = line.attributes.values();
        let mut inference = Inference::new(model, symbol, action)
            .probabilities(&probabilities)
            .attributes(&attributes);
        let time = line.event_time.as_ref();
        let time = time.map(|stamp| self.times.read("event_time", stamp));
        let time = time.transpose()?;
        if let Some(read) = time {
            inference = inference.event_time(read.time);
        }
        match JsonNumber::optional(line.confidence.as_ref()) {
            Ok(Some(confidence)) => inference = inference.confidence(real32(confidence)),
            Ok(None) => {}
            Err(why) => lost.push(Lost::new("confidence", "no number", why)),
        }
        if let Some(hash) = &line.feature_hash {
            match u64::from_str_radix(hash, 16) {
                Ok(hash) => inference = inference.features_hashed(hash),
                Err(_) => {
                    let why = format!("{hash:?} is no hexadecimal number of up to 16 digits");
                    lost.push(Lost::new("feature_hash", "no hexadecimal number", why));
                }
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
        let extras = self.extras(line, journal, lost)?;
        inference = extras.given_to(inference);
        let answer = match &line.repeat_of {
            Some(original) => Answer::RepeatOf(self.id(journal, Some(original))?),
            None if line.divergent => Answer::Divergent,
            None => Answer::Full,
        };
        let turned = line.outcome.as_ref();
        let judged = turned.map_or_else(Vec::new, |turned| self.judged(turned, lost));
        let input = kept_input(line, lost);
        let added = self.importer.add_with_input(id, &inference, answer, &input);
        let is_new = added?;
        if is_new {
            report.inferences += 1;
            report.inputs += u64::from(matches!(input, KeptInput::Kept(_)));
            if time.is_none() {
                let stands = match line.recorded_time {
                    Some(_) => "none is there; recorded_time stands for it",
                    None => "none is there; the time of the import stands for it",
                };
                report.not_taken("event_time", stands);
            }
        } else {
            report.known += 1;
            if line.repeat_of.is_none() {
                let confidence = JsonNumber::optional(line.confidence.as_ref());
                let features = line.feature_hash.as_deref();
                let parts = Parts {
                    model,
                    symbol,
                    action,
                    confidence: confidence.ok().flatten().map(real32),
                    probabilities: &probabilities,
                    features: features.and_then(|hash| u64::from_str_radix(hash, 16).ok()),
                    processing: line.processing_ns.map(Duration::from_nanos),
                    memory: line.memory_bytes,
                    checkpoint: line.checkpoint.as_deref(),
                };
                let attributes = attributes.iter().map(|(name, value)| (*name, value));
                let at = time.map_or(0, |read| read.time.as_micros());
                self.known.push(KnownLine {
                    number,
                    id,
                    content: parts.content(at, attributes),
                    extras: extras.hash(),
                    input: (input != KeptInput::NotKept).then(|| hash_of(&input)),
                    time,
                });
            }
            if self.known.len() >= COMPARED {
                self.compare(report)?;
            }
        }
        let before = report.outcomes;
        let is_told = self.told(id, line, journal, lost, report)?;
        if !is_told {
            self.outcomes(id, judged, HoldsBy::OfTime, lost, report)?;
        }
        report.completed += u64::from(!is_new && report.outcomes > before);
        Ok(())
    }

    /// What a decision carries besides its answer. Ids are those here.
    fn extras<'l>(
        &mut self,
        line: &'l Line<'_>,
        journal: &str,
        lost: &mut Vec<Lost>,
    ) -> Result<Extras<'l>, LineTrouble> {
        let propensity = JsonNumber::optional(line.propensity.as_ref());
        let propensity = propensity.unwrap_or_else(|why| {
            lost.push(Lost::new("propensity", "no number", why));
            None
        });
        let values = line.action_vector.iter().map(|value| {
            let value = JsonNumber::optional(value.as_ref());
            let value = value.unwrap_or_else(|why| {
                lost.push(Lost::new("action_vector", "a value that is no number", why));
                None
            });
            real32(value.unwrap_or(f64::NAN))
        });
        let vector = values.collect();
        let cause = match line.caused_by.as_deref().map(str::parse::<InferenceId>) {
            Some(Ok(_)) => Some(self.id(journal, line.caused_by.as_deref())?),
            Some(Err(error)) => {
                lost.push(Lost::new("caused_by", "no id", error.to_string()));
                None
            }
            None => None,
        };
        let episode = match line.episode.as_deref().map(str::parse::<EpisodeId>) {
            Some(Ok(there)) => {
                let run = self.run(journal, there.run().get())?;
                let here = run.inference(there.counter())?;
                Some(EpisodeId::from_u64(here.to_u64()))
            }
            Some(Err(error)) => {
                lost.push(Lost::new("episode", "no id", error.to_string()));
                None
            }
            None => None,
        };
        if episode.is_none() && line.step.is_some() {
            lost.push(Lost::new(
                "step",
                "without an episode",
                "it is of no episode",
            ));
        }
        let mut predictions = Vec::new();
        for (name, number) in &line.predictions {
            match JsonNumber::optional(number.as_ref()) {
                Ok(Some(number)) => predictions.push((name.as_str(), number)),
                Ok(None) => {}
                Err(why) => {
                    let field = format!("predictions.{name}");
                    lost.push(Lost::new(field, "no number", why));
                }
            }
        }
        Ok(Extras {
            propensity: propensity.map(real32),
            vector,
            cause,
            correlation: line.correlation.as_deref(),
            step: episode.map(|episode| (episode, line.step.unwrap_or(0))),
            predictions,
        })
    }

    /// Takes in the history of a line; whether that has all that the line says to hold.
    fn told(
        &mut self,
        of: InferenceId,
        line: &Line<'_>,
        journal: &str,
        lost: &mut Vec<Lost>,
        report: &mut ImportReport,
    ) -> Result<bool, LineTrouble> {
        let Some(told) = line.outcomes.as_ref().filter(|told| !told.is_empty()) else {
            return Ok(false);
        };
        let mut unread = |trouble| match trouble {
            LineTrouble::Line(why) => {
                lost.push(Lost::new("outcomes", "a history that cannot be read", why));
                Ok(false)
            }
            trouble => Err(trouble),
        };
        let there: InferenceId = match line.id.as_deref().map(str::parse).transpose() {
            Ok(id) => id.unwrap_or(of),
            Err(error) => return Err(error.into()),
        };
        let history = match self.history(journal, there, told) {
            Ok(history) => history,
            Err(trouble) => return unread(trouble),
        };
        match self.importer.add_outcome_history(of, &history) {
            Ok(new) => report.outcomes += new,
            Err(error) => return unread(error.into()),
        }
        let turned = line.outcome.as_ref();
        Ok(turned.is_none_or(|turned| {
            history::agrees(turned, told, |name| {
                let stamp = turned.times.get(name).or(turned.time.as_ref());
                // Read once more, so its doubts are not noted again.
                let read = stamp.map(|stamp| stamp.read(name, &self.times.zone));
                Ok(read.transpose()?.map(|read| read.time))
            })
        }))
    }

    /// The outcomes, in one entry for each time at which one became known. Values whose time cannot
    /// be read are lost: at another time they would say something else.
    fn judged<'l>(&self, turned: &'l LineOutcomes, lost: &mut Vec<Lost>) -> TimedOutcomes<'l> {
        let whole = turned.time.as_ref();
        let whole = whole.map(|stamp| self.times.time("outcome.time", stamp));
        let whole = whole.transpose();
        let mut judged: TimedOutcomes<'l> = Vec::new();
        let mut add = |name: &str, step: Result<Option<Step<'l>>, String>| {
            let field = format!("outcome.{name}");
            let step = match step {
                Ok(Some(step)) => step,
                Ok(None) => return,
                Err(why) => return lost.push(Lost::new(field, "no number", why)),
            };
            let time = match turned.times.get(name) {
                Some(stamp) => {
                    let field = format!("outcome.times.{name}");
                    self.times.time(&field, stamp).map(Some)
                }
                None => whole.clone(),
            };
            match time {
                Ok(time) => step.join(time, &mut judged),
                Err(why) => lost.push(Lost::new(field, "a time that is none", why)),
            }
        };
        let reward = JsonNumber::optional(turned.reward.as_ref());
        add("reward", reward.map(|reward| reward.map(Step::Reward)));
        add("correct", Ok(turned.correct.map(Step::Correct)));
        add("label", Ok(turned.label.as_deref().map(Step::Label)));
        for (name, value) in &turned.values {
            let value = JsonNumber::optional(value.as_ref());
            let step = value.map(|value| value.map(|value| Step::Value(name, value)));
            add(&format!("values.{name}"), step);
        }
        judged.sort_by_key(|(time, _)| *time);
        judged
    }

    /// Adds what turned out for `of`.
    fn outcomes(
        &mut self,
        of: InferenceId,
        judged: TimedOutcomes<'_>,
        order: HoldsBy,
        lost: &mut Vec<Lost>,
        report: &mut ImportReport,
    ) -> Result<(), LineTrouble> {
        for (time, outcome) in judged {
            let outcome = match time {
                Some(time) => outcome.at(time),
                None => outcome,
            };
            let added = match order {
                HoldsBy::OfTime => self.importer.add_outcome(of, &outcome),
                HoldsBy::OfArrival => self.importer.add_later_outcome(of, &outcome),
            };
            match added.map_err(LineTrouble::from) {
                Ok(is_new) => report.outcomes += u64::from(is_new),
                Err(LineTrouble::Line(why)) => {
                    lost.push(Lost::new("outcome", "more than an entry holds", why));
                }
                Err(trouble) => return Err(trouble),
            }
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
        report: &mut ImportReport,
    ) -> Result<(), LineTrouble> {
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
                let fields = line.fields.values();
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

    fn gap(
        &mut self,
        line: &Line<'_>,
        journal: &str,
        report: &mut ImportReport,
    ) -> Result<(), LineTrouble> {
        // The library's own words.
        let reason = serde_json::from_value(line.reason.as_deref().into());
        let reason: GapReason =
            reason.map_err(|_| format!("the reason {:?} is not known", line.reason))?;
        if reason == GapReason::Withdrawn {
            // It stands for what that journal took out again: nothing is missing.
            return Ok(());
        }
        let run = line.run.ok_or_else(|| "a gap without a run".to_owned())?;
        let run = self.run(journal, run)?;
        let range = |field: &str, range: &Option<[GivenTime; 2]>| -> Result<_, String> {
            let Some([first, last]) = range else {
                return Ok(None);
            };
            let (first, last) = (
                self.times.time(field, first)?,
                self.times.time(field, last)?,
            );
            Ok(Some((first, last)))
        };
        let recorded_range = range("recorded_range", &line.recorded_range)?;
        let event_range = range("event_range", &line.event_range)?;
        if !self.is_first(run, line) {
            report.known += 1;
            return Ok(());
        }
        let after = line.after.as_deref();
        let after = after.map(|id| self.id(journal, Some(id))).transpose()?;
        let loss = annals::import::Loss {
            run,
            reason,
            count: line.count,
            after,
            recorded_range,
            event_range,
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

impl<'a> Step<'a> {
    /// Adds this to the outcome of the same time.
    fn join(self, time: Option<Timestamp>, judged: &mut TimedOutcomes<'a>) {
        let known = judged.iter_mut().find(|(known, _)| *known == time);
        let whole = match known {
            Some((_, outcome)) => outcome,
            None => {
                judged.push((time, Outcome::new()));
                let Some((_, outcome)) = judged.last_mut() else {
                    return;
                };
                outcome
            }
        };
        let before = std::mem::take(whole);
        *whole = match self {
            Step::Reward(reward) => before.reward(reward),
            Step::Correct(correct) => before.correct(correct),
            Step::Label(label) => before.label(label),
            Step::Value(name, value) => before.value(name, value),
        };
    }
}

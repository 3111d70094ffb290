//! Folders of checkpoints as training libraries lay them out: which files are one checkpoint, and
//! the facts in the files beside them.
//!
//! Hugging Face: a folder with weights or an index of shards, and `trainer_state.json`. Lightning:
//! `epoch=1-step=100.ckpt`, with `hparams.yaml` and `metrics.csv` above. Keras: `.keras`, `.h5`,
//! `.weights.h5`, `.index` with `.data-…`, and folders with `saved_model.pb`. Orbax: a folder for
//! each step. Any other file of weights is one checkpoint.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{fs, io};

use serde_json::Value;

use super::adopt;
use super::metadata::Metadata;
use super::reconcile::Problem;
use super::tables::rows::{DEEPEST_PART, MOST_PARTS};
use crate::engine::directory::HOT_FILE;
use crate::fs::disk;

/// Folders within folders that are looked into.
const DEEPEST: usize = 16;
/// Bound on the names that one import examines.
const MOST_NAMES: usize = 1_000_000;
/// A larger file of words beside the weights is not read.
const MOST_TEXT: u64 = 16 << 20;
/// Columns and keys that are taken from one such file.
const MOST_FIELDS: usize = 1_000;

/// Weights of the Hugging Face libraries, in the order in which these prefer them.
const HUGGING_FACE: [&str; 9] = [
    "model.safetensors.index.json",
    "model.safetensors",
    "adapter_model.safetensors",
    "pytorch_model.bin.index.json",
    "pytorch_model.bin",
    "adapter_model.bin",
    "tf_model.h5",
    "flax_model.msgpack",
    "diffusion_pytorch_model.safetensors",
];
/// Prefixes of files that a Hugging Face trainer needs to continue: no weights of a model.
const STATE: [&str; 7] = [
    "optimizer",
    "scheduler",
    "scaler",
    "rng_state",
    "training_args",
    "random_states",
    "sampler",
];
const TRAINER_STATE: &str = "trainer_state.json";

/// One checkpoint that was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Candidates for its id: the first free one is taken.
    pub(super) names: Vec<String>,
    /// The first file: weights, or what leads to the parts.
    pub(super) file: PathBuf,
    /// Further files, relative to the first one's folder.
    pub(super) parts: Vec<String>,
    /// Why the weights are incomplete, if they are.
    pub(super) fault: Option<String>,
    /// The weights are gone, and only the files beside them are left.
    pub(super) missing: bool,
    pub(super) created: Option<i64>,
    pub(super) metrics: Vec<(String, f64)>,
    pub(super) metadata: Vec<(String, Metadata)>,
    pub(super) step: Option<u64>,
    pub(super) epoch: Option<u64>,
}

/// Everything that a folder holds.
#[derive(Debug, Default)]
pub(super) struct Layout {
    pub(super) found: Vec<Found>,
    pub(super) skipped: Vec<Problem>,
    /// Files that are no weights.
    pub(super) others: u64,
    seen: usize,
}

/// Looks through `root`, which exists.
pub(super) fn find(root: &Path) -> io::Result<Layout> {
    let mut layout = Layout::default();
    look(root, root, 0, &mut layout)?;
    Ok(layout)
}

/// Content of one folder, by name.
#[derive(Default)]
struct Listing {
    files: BTreeSet<String>,
    folders: BTreeSet<String>,
}

impl Layout {
    fn skip(&mut self, path: PathBuf, why: impl Into<String>) {
        self.skipped.push(Problem {
            path,
            why: why.into(),
        });
    }

    fn list(&mut self, folder: &Path) -> io::Result<Listing> {
        let mut listing = Listing::default();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            self.seen += 1;
            if self.seen > MOST_NAMES {
                let why = format!("more than {MOST_NAMES} names: import its folders one by one");
                return Err(io::Error::other(why));
            }
            let Ok(name) = entry.file_name().into_string() else {
                self.skip(entry.path(), "its name is no UTF-8");
                continue;
            };
            if name.starts_with('.') {
                continue;
            }
            let path = entry.path();
            let is_link = entry.file_type()?.is_symlink();
            match fs::metadata(&path) {
                Ok(known) if known.is_file() => drop(listing.files.insert(name)),
                // A link to a folder can lead round in circles.
                Ok(known) if known.is_dir() && is_link => {
                    self.skip(path, "a link to a folder is not followed");
                }
                Ok(known) if known.is_dir() => drop(listing.folders.insert(name)),
                Ok(_) => self.skip(path, "it is no regular file"),
                Err(error) if is_link && error.kind() == io::ErrorKind::NotFound => {
                    self.skip(path, "it is a link to nothing");
                }
                Err(error) => self.skip(path, error.to_string()),
            }
        }
        Ok(listing)
    }
}

fn look(root: &Path, folder: &Path, depth: usize, layout: &mut Layout) -> io::Result<()> {
    let listing = match layout.list(folder) {
        Ok(listing) => listing,
        Err(error) if depth > 0 && error.kind() == io::ErrorKind::PermissionDenied => {
            layout.skip(folder.to_owned(), error.to_string());
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let name = folder
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    if depth > 0 && (name.contains(".orbax-checkpoint-tmp") || name.ends_with("_tmp_orbax")) {
        layout.skip(folder.to_owned(), "its saver did not finish it");
        return Ok(());
    }
    if depth > 0 && listing.files.contains(HOT_FILE) {
        layout.skip(
            folder.to_owned(),
            "it is a journal, with checkpoints of its own",
        );
        return Ok(());
    }
    if let Some(kind) = whole_folder(folder, &listing) {
        return take_folder(root, folder, kind, layout);
    }
    let mut files = listing.files.clone();
    if let Some(found) = hugging_face(root, folder, &mut files, layout) {
        layout.found.push(found);
    }
    plain(root, folder, files, layout);
    for name in &listing.folders {
        let path = folder.join(name);
        if depth + 1 >= DEEPEST {
            layout.skip(path, format!("it lies deeper than {DEEPEST} folders"));
        } else if listing.files.contains(TRAINER_STATE) && name.starts_with("global_step") {
            layout.skip(path, "it is the state of an optimizer");
        } else {
            look(root, &path, depth + 1, layout)?;
        }
    }
    Ok(())
}

/// Folders that are one checkpoint with everything in them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whole {
    Orbax,
    SavedModel,
}

/// Files that lead an Orbax checkpoint, the best first.
const ORBAX: [&str; 3] = ["_CHECKPOINT_METADATA", "_METADATA", "manifest.ocdbt"];

fn whole_folder(folder: &Path, listing: &Listing) -> Option<Whole> {
    let has = |name: &&str| listing.files.contains(*name);
    if ORBAX.iter().any(has) {
        return Some(Whole::Orbax);
    }
    if has(&"saved_model.pb") {
        return Some(Whole::SavedModel);
    }
    // Older steps have their items in folders, and nothing beside these.
    let is_step = trailing_number(folder.file_name()?.to_str()?).is_some();
    let has_items = listing.folders.iter().any(|item| {
        let item = folder.join(item);
        ["_METADATA", "manifest.ocdbt"]
            .iter()
            .any(|name| item.join(name).is_file())
    });
    (is_step && has_items).then_some(Whole::Orbax)
}

fn take_folder(root: &Path, folder: &Path, kind: Whole, layout: &mut Layout) -> io::Result<()> {
    let mut files = Vec::new();
    if let Err(why) = gather(folder, "", 0, &mut files, layout)? {
        layout.skip(folder.to_owned(), why);
        return Ok(());
    }
    files.sort();
    let leads: &[&str] = match kind {
        Whole::Orbax => &ORBAX,
        Whole::SavedModel => &["saved_model.pb"],
    };
    let lead = leads
        .iter()
        .find(|lead| files.iter().any(|file| file == *lead));
    let Some(lead) = lead
        .map(|lead| (*lead).to_owned())
        .or_else(|| files.first().cloned())
    else {
        return Ok(());
    };
    files.retain(|file| *file != lead);
    let name = folder
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or("checkpoint");
    let step = trailing_number(name);
    let is_number = name.bytes().all(|byte| byte.is_ascii_digit());
    let first = if is_number {
        format!("step_{name}")
    } else {
        name.to_owned()
    };
    let mut found = Found {
        names: names(root, folder, &first),
        file: folder.join(&lead),
        parts: files,
        step: step.filter(|_| kind == Whole::Orbax),
        ..Found::default()
    };
    if kind == Whole::Orbax {
        orbax(folder, &mut found);
    }
    if found.fault.is_none() || found.missing {
        layout.found.push(found);
    } else if let Some(why) = found.fault {
        layout.skip(folder.to_owned(), why);
    }
    Ok(())
}

/// All regular files below `folder`, as paths below it. The inner error has the reason why they are
/// no checkpoint.
fn gather(
    folder: &Path,
    above: &str,
    depth: usize,
    files: &mut Vec<String>,
    layout: &mut Layout,
) -> io::Result<Result<(), String>> {
    if depth >= DEEPEST_PART {
        return Ok(Err(format!(
            "it has files deeper than {DEEPEST_PART} folders"
        )));
    }
    let listing = layout.list(folder)?;
    for name in listing.files {
        files.push(format!("{above}{name}"));
        if files.len() > MOST_PARTS {
            return Ok(Err(format!("it has more than {MOST_PARTS} files")));
        }
    }
    for name in listing.folders {
        if name.contains(".orbax-checkpoint-tmp") {
            return Ok(Err("its saver did not finish it".to_owned()));
        }
        let inner = format!("{above}{name}/");
        let gathered = gather(&folder.join(&name), &inner, depth + 1, files, layout)?;
        if gathered.is_err() {
            return Ok(gathered);
        }
    }
    Ok(Ok(()))
}

/// Orbax's facts about a step.
fn orbax(folder: &Path, found: &mut Found) {
    if let Some(Value::Object(said)) = read_json(&folder.join(ORBAX[0])) {
        let committed = said.get("commit_timestamp_nsecs");
        if committed == Some(&Value::Null) && said.contains_key("init_timestamp_nsecs") {
            found.fault = Some("its saver did not finish it".to_owned());
        }
        let micros = committed.and_then(Value::as_i64).map(|nanos| nanos / 1_000);
        found.created = micros.filter(|micros| *micros > 0);
        if let Some(metrics) = said.get("metrics") {
            numbers(metrics, &mut found.metrics);
        }
    }
    if let Some(metrics) = read_json(&folder.join("metrics/metrics")) {
        numbers(&metrics, &mut found.metrics);
    }
}

/// Takes the weights of a Hugging Face folder out of `files`, and what goes with them.
fn hugging_face(
    root: &Path,
    folder: &Path,
    files: &mut BTreeSet<String>,
    layout: &mut Layout,
) -> Option<Found> {
    let name = folder
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let is_step = name.starts_with("checkpoint-") && trailing_number(name).is_some();
    let state = files.contains(TRAINER_STATE);
    let has = |name: &&&str| files.contains(**name);
    let weights = HUGGING_FACE.iter().find(has).copied();
    let is_theirs = state || is_step || (files.contains("config.json") && weights.is_some());
    let is_index = weights.is_some_and(|weights| weights.ends_with(".index.json"));
    if !is_theirs && !is_index {
        return None;
    }
    if weights.is_none() && !state {
        return None;
    }
    let stem = weights.map_or("model", |weights| {
        weights.split('.').next().unwrap_or(weights)
    });
    let first = if folder == root && !is_step {
        stem
    } else {
        name
    };
    let lead = weights.unwrap_or("model.safetensors");
    let mut found = Found {
        names: names(root, folder, first),
        file: folder.join(lead),
        missing: weights.is_none(),
        step: trailing_number(name).filter(|_| is_step),
        ..Found::default()
    };
    files.remove(lead);
    if is_index {
        let (parts, fault) = shards(folder, lead, files);
        found.parts = parts;
        found.fault = fault;
    }
    if let Some(file) = files.take(TRAINER_STATE) {
        layout.others += 1;
        trainer_state(&folder.join(file), &mut found);
    }
    // The optimizer's state is no model, and other forms of the weights are no other checkpoint.
    let aside = |file: &String| {
        let is_state = STATE.iter().any(|state| file.starts_with(state));
        let is_form = HUGGING_FACE.contains(&file.as_str());
        is_state || is_form || is_shard(file).is_some()
    };
    let others: Vec<String> = files.iter().filter(|file| aside(file)).cloned().collect();
    for other in others {
        files.remove(&other);
        if STATE.iter().any(|state| other.starts_with(state)) {
            layout.others += 1;
        } else {
            let why = format!("it is another form of the weights in {lead}");
            layout.skip(folder.join(&other), why);
        }
    }
    Some(found)
}

/// The shards that an index names, taken out of `files`; and which of them are not there.
fn shards(
    folder: &Path,
    index: &str,
    files: &mut BTreeSet<String>,
) -> (Vec<String>, Option<String>) {
    let read = read_json(&folder.join(index));
    let map = read
        .as_ref()
        .and_then(|read| read.get("weight_map"))
        .and_then(Value::as_object);
    let Some(map) = map else {
        return (Vec::new(), Some(format!("{index} is no index of shards")));
    };
    let named: BTreeSet<&str> = map.values().filter_map(Value::as_str).collect();
    let mut parts = Vec::new();
    let mut lacking = Vec::new();
    for shard in named {
        // Only names of this folder: an index must not lead elsewhere.
        if parts.len() < MOST_PARTS && files.remove(shard) {
            parts.push(shard.to_owned());
        } else {
            lacking.push(shard.chars().take(200).collect::<String>());
        }
    }
    let fault = lacking.first().map(|first| match lacking.len() {
        1 => format!("the shard {first:?} is missing"),
        more => format!("{more} shards are missing, the first is {first:?}"),
    });
    (parts, fault)
}

/// A trainer's log until the step of this checkpoint.
fn trainer_state(path: &Path, found: &mut Found) {
    let Some(Value::Object(state)) = read_json(path) else {
        found
            .metadata
            .push((TRAINER_STATE.to_owned(), "it cannot be read".into()));
        return;
    };
    found.step = state
        .get("global_step")
        .and_then(Value::as_u64)
        .or(found.step);
    if let Some(epoch) = state.get("epoch").and_then(real) {
        found
            .metadata
            .push(("epoch".to_owned(), Metadata::from(epoch)));
        found.epoch = whole(epoch.floor());
    }
    for name in [
        "best_metric",
        "best_model_checkpoint",
        "max_steps",
        "num_train_epochs",
    ] {
        match state.get(name) {
            None | Some(Value::Null) => {}
            Some(value) => found
                .metadata
                .push((name.to_owned(), Metadata::from_json(value))),
        }
    }
    let history = state.get("log_history").and_then(Value::as_array);
    for entry in history.into_iter().flatten().filter_map(Value::as_object) {
        let step = entry.get("step").and_then(Value::as_u64);
        if step > found.step.or(step) {
            continue;
        }
        for (name, value) in entry {
            if let Some(value) = real(value)
                && !["step", "epoch"].contains(&name.as_str())
            {
                set(&mut found.metrics, name, value);
            }
        }
    }
}

/// Takes those files out that belong together.
fn take(files: &mut BTreeSet<String>, belongs: impl Fn(&str) -> bool) -> Vec<String> {
    let all = std::mem::take(files).into_iter();
    let (taken, left): (BTreeSet<_>, _) = all.partition(|file| belongs(file));
    *files = left;
    taken.into_iter().collect()
}

/// Files of weights that are checkpoints by themselves, or with their shards.
fn plain(root: &Path, folder: &Path, mut files: BTreeSet<String>, layout: &mut Layout) {
    let mut beside: Option<Beside> = None;
    while let Some(file) = files.pop_first() {
        let path = folder.join(&file);
        if !is_weights(&file, &path) {
            layout.others += 1;
            continue;
        }
        let mut found = Found {
            file: path.clone(),
            ..Found::default()
        };
        let mut stem = stem(&file).to_owned();
        if let Some((prefix, _, of)) = is_shard(&file) {
            let is_other =
                |other: &str| is_shard(other).is_some_and(|(p, _, n)| p == prefix && n == of);
            let rest = take(&mut files, is_other);
            let there = rest.len() + 1;
            if u64::try_from(there) != Ok(of) {
                found.fault = Some(format!("{there} of {of} shards are there"));
            }
            found.parts = rest;
            stem = prefix.trim_end_matches(['-', '.']).to_owned();
        } else if let Some(prefix) = file.strip_suffix(".index") {
            let data = format!("{prefix}.data-");
            let rest = take(&mut files, |other| other.starts_with(&data));
            if rest.is_empty() {
                found.fault = Some(format!("{data}… is missing"));
            }
            found.parts = rest;
        } else if let Some((prefix, _)) = file.split_once(".data-")
            && files.contains(&format!("{prefix}.index"))
        {
            // It comes with its index, which sorts behind it.
            let index = format!("{prefix}.index");
            files.remove(&index);
            let data = format!("{prefix}.data-");
            let rest = take(&mut files, |other| other.starts_with(&data));
            found.file = folder.join(index);
            found.parts = std::iter::once(file.clone()).chain(rest).collect();
            stem = prefix.to_owned();
        }
        if found.parts.len() > MOST_PARTS {
            layout.skip(path, format!("it has more than {MOST_PARTS} files"));
            continue;
        }
        found.names = names(root, folder, &stem);
        if stem != file {
            found.names.push(file.clone());
        }
        found.metadata = adopt::metadata(&path);
        let beside = beside.get_or_insert_with(|| Beside::read(root, folder));
        beside.describe(&file, &stem, &mut found);
        layout.found.push(found);
    }
}

/// A logger's files beside a folder of checkpoints, or above it.
#[derive(Default)]
struct Beside {
    hparams: Vec<(String, Metadata)>,
    /// Rows of `metrics.csv` that have an epoch or a step.
    rows: Vec<Row>,
}

/// Epoch, step, and the metrics of both.
type Row = (Option<u64>, Option<u64>, Vec<(String, f64)>);

impl Beside {
    fn read(root: &Path, folder: &Path) -> Beside {
        let mut beside = Beside::default();
        let above = folder.parent().filter(|_| folder != root);
        for place in [Some(folder), above].into_iter().flatten() {
            if beside.hparams.is_empty()
                && let Some(text) = read_text(&place.join("hparams.yaml"))
            {
                beside.hparams = hparams(&text);
            }
            if beside.rows.is_empty()
                && let Some(text) = read_text(&place.join("metrics.csv"))
            {
                beside.rows = table(&text);
            }
        }
        beside
    }

    /// Adds the facts in the name of a file and in the files beside it.
    fn describe(&self, file: &str, stem: &str, found: &mut Found) {
        let mut named = Vec::new();
        for part in pairs(stem) {
            match part {
                ("epoch", value) => found.epoch = value.parse().ok().or(found.epoch),
                ("step" | "global_step", value) => found.step = value.parse().ok().or(found.step),
                (name, value) => named.extend(number(value).map(|value| (name, value))),
            }
        }
        if !file.ends_with(".ckpt") {
            return named
                .into_iter()
                .for_each(|(name, value)| set(&mut found.metrics, name, value));
        }
        found.metadata.extend(self.hparams.iter().cloned());
        if found.epoch.is_some() || found.step.is_some() {
            for (epoch, step, values) in &self.rows {
                let fits = match (found.epoch, epoch) {
                    (Some(this), Some(epoch)) => *epoch == this,
                    _ => true,
                };
                // The logger counts steps from zero, the name counts those that were made.
                let is_later =
                    matches!((found.step, step), (Some(this), Some(step)) if *step > this);
                if fits && !is_later {
                    values
                        .iter()
                        .for_each(|(name, value)| set(&mut found.metrics, name, *value));
                }
            }
        }
        named
            .into_iter()
            .for_each(|(name, value)| set(&mut found.metrics, name, value));
    }
}

/// `name=value` in a file's name, with `-` between them. A value may begin with a minus.
fn pairs(stem: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = stem;
    std::iter::from_fn(move || {
        loop {
            let (name, value) = rest.split_once('=')?;
            let name = name.rsplit(['-', ' ', ',']).next().unwrap_or(name);
            let end = value
                .char_indices()
                .skip(1)
                .find(|(at, c)| {
                    let exponent = value[..*at].ends_with(['e', 'E']);
                    [' ', ','].contains(c) || (*c == '-' && !exponent)
                })
                .map_or(value.len(), |(at, _)| at);
            let (value, more) = value.split_at(end);
            rest = more;
            if !name.is_empty() && !value.is_empty() {
                return Some((name, value));
            }
        }
    })
}

/// The keys of a YAML file's first level that have plain values. Unknown values are kept as text,
/// so nothing is lost.
fn hparams(text: &str) -> Vec<(String, Metadata)> {
    let mut found = Vec::new();
    let mut is_plain = true;
    for line in text.lines() {
        let line = line.trim_end();
        if line.is_empty() || line.starts_with('#') || line == "---" {
            continue;
        }
        let pair = line
            .split_once(':')
            .filter(|_| !line.starts_with([' ', '-', '?', '!']));
        match pair {
            Some((name, value)) if found.len() < MOST_FIELDS && !value.trim().is_empty() => {
                let value = value.trim();
                if value.starts_with(['!', '&', '*', '|', '>', '[', '{']) {
                    is_plain = false;
                    continue;
                }
                found.push((name.trim().to_owned(), scalar(value)));
            }
            _ => is_plain = false,
        }
    }
    if !is_plain && text.len() <= 64 << 10 {
        found.push(("hparams.yaml".to_owned(), Metadata::from(text)));
    }
    found
}

fn scalar(value: &str) -> Metadata {
    let quoted = |mark: char| {
        value
            .strip_prefix(mark)
            .and_then(|rest| rest.strip_suffix(mark))
    };
    if let Some(text) = quoted('\'').or_else(|| quoted('"')) {
        return Metadata::from(text);
    }
    match value {
        "true" | "True" => Metadata::Flag(true),
        "false" | "False" => Metadata::Flag(false),
        "null" | "~" | "None" => Metadata::Null,
        _ => match (value.parse::<i64>(), value.parse::<f64>()) {
            (Ok(number), _) => Metadata::Integer(number),
            (_, Ok(number)) => Metadata::Real(number),
            _ => Metadata::from(value),
        },
    }
}

/// Rows of a logger's table: epoch, step, and the numbers that are there.
#[allow(clippy::type_complexity)]
fn table(text: &str) -> Vec<(Option<u64>, Option<u64>, Vec<(String, f64)>)> {
    let mut lines = text.lines();
    let header: Vec<&str> = lines
        .next()
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
        .collect();
    if header.len() > MOST_FIELDS {
        return Vec::new();
    }
    let row = |line: &str| {
        let (mut epoch, mut step, mut values) = (None, None, Vec::new());
        for (name, cell) in header.iter().zip(line.split(',')) {
            match (*name, number(cell.trim())) {
                (_, None) | ("", _) => {}
                ("epoch", Some(number)) => epoch = whole(number),
                ("step", Some(number)) => step = whole(number),
                (name, Some(number)) => values.push((name.to_owned(), number)),
            }
        }
        (epoch, step, values)
    };
    lines.map(row).collect()
}

/// Ids that a checkpoint in `folder` may have, the shortest first.
fn names(root: &Path, folder: &Path, first: &str) -> Vec<String> {
    let mut names = vec![first.to_owned()];
    let mut above: Vec<&str> = folder
        .strip_prefix(root)
        .map(|path| path.iter().filter_map(|name| name.to_str()).collect())
        .unwrap_or_default();
    if above.last() == Some(&first) {
        above.pop();
    }
    above.retain(|name| *name != "checkpoints");
    if !above.is_empty() {
        names.push(format!("{}_{first}", above.join("_")));
    }
    names
}

/// A file's name without the part that marks it as a file of weights.
fn stem(file: &str) -> &str {
    let stem = Path::new(file)
        .file_stem()
        .and_then(|stem| stem.to_str())
        .unwrap_or(file);
    match file.ends_with(".weights.h5") {
        true => stem
            .strip_suffix(".weights")
            .filter(|stem| !stem.is_empty())
            .unwrap_or(stem),
        false => stem,
    }
}

/// `prefix-00001-of-00003.ext`: the prefix, which one it is, and how many there are.
fn is_shard(file: &str) -> Option<(&str, u64, u64)> {
    let (stem, _) = file.rsplit_once('.')?;
    let (head, of) = stem.rsplit_once("-of-")?;
    let (prefix, number) = head.rsplit_once('-')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(number) || !digits(of) || prefix.is_empty() {
        return None;
    }
    Some((prefix, number.parse().ok()?, of.parse().ok()?))
}

/// Files that accompany weights, by their names.
fn is_weights(file: &str, path: &Path) -> bool {
    const NEVER: [&str; 26] = [
        "png",
        "jpg",
        "jpeg",
        "svg",
        "gif",
        "pdf",
        "html",
        "ipynb",
        "sh",
        "db",
        "sqlite",
        "ini",
        "cfg",
        "conf",
        "jsonl",
        "parquet",
        "tsv",
        "out",
        "err",
        "pid",
        "xml",
        "rst",
        "jinja",
        "gitattributes",
        "model_card",
        "tmp",
    ];
    let extension = path.extension().and_then(|extension| extension.to_str());
    let extension = extension.unwrap_or_default().to_lowercase();
    let upper = file.to_uppercase();
    let is_text = ["LICENSE", "README", "NOTICE", "COMMIT_SUCCESS"];
    let is_log = file.starts_with("events.out.tfevents");
    let is_state = file == "checkpoint" || file.ends_with(".tfevents");
    adopt::is_weights(path)
        && !NEVER.contains(&extension.as_str())
        && !is_text
            .iter()
            .any(|word| upper.starts_with(word) && extension.len() < 4)
        && !is_log
        && !is_state
}

fn trailing_number(name: &str) -> Option<u64> {
    let digits = name.bytes().rev().take_while(u8::is_ascii_digit).count();
    name.get(name.len() - digits..)?.parse().ok()
}

fn set(metrics: &mut Vec<(String, f64)>, name: &str, value: f64) {
    let has_room = metrics.len() < MOST_FIELDS;
    let is_name = crate::entry::name::check_word("metric", name).is_ok();
    match metrics.iter_mut().find(|(known, _)| known == name) {
        Some((_, known)) => *known = value,
        None if has_room && is_name => {
            metrics.push((name.to_owned(), value));
        }
        None => {}
    }
}

fn numbers(json: &Value, metrics: &mut Vec<(String, f64)>) {
    for (name, value) in json.as_object().into_iter().flatten() {
        if let Some(value) = real(value) {
            set(metrics, name, value);
        }
    }
}

/// A number, also one that Python wrote as a word.
fn real(value: &Value) -> Option<f64> {
    match value {
        Value::String(text) => match text.as_str() {
            "NaN" | "Infinity" | "-Infinity" => text.to_lowercase().parse().ok(),
            _ => None,
        },
        _ => value.as_f64(),
    }
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok()
}

/// A count that was written as a number with a point.
fn whole(number: f64) -> Option<u64> {
    let text = format!("{number:.0}");
    let is_whole = (0.0..9.0e15).contains(&number);
    text.parse().ok().filter(|_| is_whole)
}

fn read_text(path: &Path) -> Option<String> {
    if fs::metadata(path).ok()?.len() > MOST_TEXT {
        return None;
    }
    let mut file = disk::open_regular_anywhere(path).ok()?;
    let mut text = String::new();
    let limited = io::Read::take(&mut file, MOST_TEXT);
    io::Read::read_to_string(&mut { limited }, &mut text).ok()?;
    Some(text)
}

/// Reads JSON as Python writes it: its words for numbers become texts.
fn read_json(path: &Path) -> Option<Value> {
    let text = read_text(path)?;
    if let Ok(read) = serde_json::from_str(&text) {
        return Some(read);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    let mut within = false;
    while let Some(first) = rest.chars().next() {
        let words = ["-Infinity", "Infinity", "NaN"];
        let word = words
            .iter()
            .find(|word| !within && rest.starts_with(**word));
        let taken = match (word, first) {
            (Some(word), _) => {
                out.push('"');
                out.push_str(word);
                out.push('"');
                rest = rest.get(word.len()..)?;
                continue;
            }
            (None, '\\') if within => 1 + rest.chars().nth(1).map_or(0, char::len_utf8),
            (None, '"') => {
                within = !within;
                1
            }
            (None, _) => first.len_utf8(),
        };
        out.push_str(rest.get(..taken)?);
        rest = rest.get(taken..)?;
    }
    serde_json::from_str(&out).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_of_files_say_epoch_step_and_metrics() {
        let said: Vec<_> = pairs("dqn-epoch=1-step=100-val_loss=-0.25-lr=1e-05").collect();
        let expected = [
            ("epoch", "1"),
            ("step", "100"),
            ("val_loss", "-0.25"),
            ("lr", "1e-05"),
        ];
        assert_eq!(said, expected);
        assert_eq!(
            pairs("a=").count() + pairs("=b").count() + pairs("").count(),
            0
        );
        assert_eq!(is_shard("m-00001-of-00003.safetensors"), Some(("m", 1, 3)));
        assert_eq!(is_shard("m-1.safetensors"), None);
        assert_eq!(stem("cp-0001.weights.h5"), "cp-0001");
        assert_eq!(stem(".weights.h5"), ".weights");
        assert_eq!(
            (whole(3.0), whole(-1.0), whole(f64::NAN)),
            (Some(3), None, None)
        );
    }

    #[test]
    fn a_logger_s_table_is_read_up_to_the_checkpoint() {
        let rows =
            table("epoch,step,train_loss,val_loss\n0,49,0.9,\n0,49,,0.8\n1,99,,0.4\n2,149,,0.2\n");
        let beside = Beside {
            rows,
            ..Beside::default()
        };
        let mut found = Found::default();
        beside.describe("epoch=1-step=100.ckpt", "epoch=1-step=100", &mut found);
        assert_eq!((found.epoch, found.step), (Some(1), Some(100)));
        assert_eq!(found.metrics, [("val_loss".to_owned(), 0.4)]);
    }

    #[test]
    fn hyperparameters_keep_their_types() {
        let read = hparams("lr: 0.001\nlayers: 3\nname: 'x'\ndebug: false\nnone: null\n");
        assert_eq!(read.len(), 5);
        assert_eq!(read[0], ("lr".to_owned(), Metadata::Real(0.001)));
        assert_eq!(read[1], ("layers".to_owned(), Metadata::Integer(3)));
        // Nested values are kept as they were written.
        let nested = hparams("lr: 1\nnet:\n  width: 3\n");
        assert_eq!(nested.last().unwrap().0, "hparams.yaml");
    }
}

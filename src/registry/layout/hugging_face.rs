//! Hugging Face: a folder with weights or an index of shards, and `trainer_state.json`.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::super::metadata::Metadata;
use super::super::tables::rows::MOST_PARTS;
use super::plain::is_shard;
use super::words::{read_json, real, set, whole};
use super::{FolderContents, FoundCheckpoint, names, trailing_number};

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
/// A trainer's log; folders of optimizers' states lie beside it.
pub(super) const TRAINER_STATE: &str = "trainer_state.json";

/// Takes the weights of a Hugging Face folder out of `files`, and what goes with them.
pub(super) fn find(
    root: &Path,
    folder: &Path,
    files: &mut BTreeSet<String>,
    layout: &mut FolderContents,
) -> Option<FoundCheckpoint> {
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
    let mut found = FoundCheckpoint {
        names: names(root, folder, first),
        file: folder.join(lead),
        missing: weights.is_none(),
        step: trailing_number(name).filter(|_| is_step),
        ..FoundCheckpoint::default()
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
fn trainer_state(path: &Path, found: &mut FoundCheckpoint) {
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

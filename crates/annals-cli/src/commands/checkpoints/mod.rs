//! The models' checkpoints.

mod change;
mod look;
mod retention;

use std::path::Path;

use annals::{Checkpoint, Condition, Mode, Registry};
use clap::ValueEnum;
use serde_json::{Value as Json, json};

use crate::entries;
use crate::failure::{Done, Result};
use crate::output::{Out, style};
use crate::table::escaped;
use crate::units;

/// What to do with checkpoints.
#[derive(clap::Subcommand, Debug)]
#[command(after_help = "\
Examples:
  annals checkpoints list dqn_agent --tag nightly
  annals checkpoints best dqn_agent
  annals checkpoints plan --latest 5 --best 3:val_loss:min")]
pub enum Command {
    /// Lists a model's checkpoints, newest first; without a model, the models.
    List(look::List),
    /// The best checkpoint of a model.
    Best(look::Best),
    /// One checkpoint whole.
    Show(look::Show),
    /// Two checkpoints beside each other: metrics, metadata, age, size.
    Diff(look::Diff),
    /// Reads the weights and compares their digests.
    Verify(look::Verify),
    /// Makes a checkpoint its model's active one.
    Activate(change::Activate),
    /// Points an alias at a checkpoint, takes it away, or rolls it back.
    Alias(change::Alias),
    /// Protects a checkpoint from deletion.
    Pin(change::Pin),
    /// Gives a checkpoint a tag, or takes it away.
    Tag(change::Tag),
    /// Sets the metric that ranks a model's checkpoints.
    Monitor(change::Monitor),
    /// Compares the registry with the files.
    Reconcile(change::Reconcile),
    /// Shows what a policy would delete. Changes nothing.
    Plan(retention::Args),
    /// Shows what a policy would delete and, with --yes, deletes it.
    Apply(retention::Args),
}

/// Does what was asked for.
pub fn run(dir: &Path, command: Command, out: &mut Out) -> Result<Done> {
    let registry = Registry::open(dir)?;
    match command {
        Command::List(args) => look::list(&registry, args, out),
        Command::Best(args) => look::best(&registry, args, out),
        Command::Show(args) => look::show(&registry, args, out),
        Command::Diff(args) => look::diff(&registry, args, out),
        Command::Verify(args) => look::verify(&registry, args, out),
        Command::Activate(args) => change::activate(&registry, args, out),
        Command::Alias(args) => change::alias(&registry, args, out),
        Command::Pin(args) => change::pin(&registry, args, out),
        Command::Tag(args) => change::tag(&registry, args, out),
        Command::Monitor(args) => change::monitor(&registry, args, out),
        Command::Reconcile(args) => change::reconcile(&registry, args, out),
        Command::Plan(args) => retention::run(&registry, args, false, out),
        Command::Apply(args) => retention::run(&registry, args, true, out),
    }
}

/// Whether the smallest or the largest value is best.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Best {
    /// The smallest.
    Min,
    /// The largest.
    Max,
}

impl From<Best> for Mode {
    fn from(best: Best) -> Mode {
        match best {
            Best::Min => Mode::Min,
            Best::Max => Mode::Max,
        }
    }
}

/// A checkpoint as JSON.
pub fn as_json(checkpoint: &Checkpoint) -> Json {
    let metrics = checkpoint.metrics().iter();
    let metadata = checkpoint.all_metadata().iter();
    json!({
        "id": checkpoint.id(),
        "model": checkpoint.model(),
        "model_type": checkpoint.model_type(),
        "created": checkpoint.created().to_string(),
        "metrics": metrics.map(|(name, value)| (name.clone(), entries::real(*value)))
            .collect::<serde_json::Map<_, _>>(),
        "step": checkpoint.step(),
        "epoch": checkpoint.epoch(),
        "parent": checkpoint.parent(),
        "tags": checkpoint.tags(),
        "pinned": checkpoint.is_pinned(),
        "bytes": checkpoint.bytes(),
        "digest": checkpoint.digest().map(hex),
        "origin": format!("{:?}", checkpoint.origin()).to_lowercase(),
        "condition": condition(checkpoint),
        "path": checkpoint.path(),
        "metadata": metadata
            .map(|(name, value)| (name.clone(), read_back(&value.to_string())))
            .collect::<serde_json::Map<_, _>>(),
    })
}

/// Metadata prints itself as JSON.
fn read_back(text: &str) -> Json {
    serde_json::from_str(text).unwrap_or_else(|_| Json::from(text))
}

fn hex(bytes: [u8; 32]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn condition(checkpoint: &Checkpoint) -> String {
    match checkpoint.condition() {
        Condition::Present => "present".to_owned(),
        Condition::Missing => "missing".to_owned(),
        Condition::Corrupt(why) => format!("corrupt: {why}"),
        _ => "unknown".to_owned(),
    }
}

/// Metrics in one line.
fn metrics(checkpoint: &Checkpoint) -> String {
    let metrics = checkpoint.metrics().iter();
    let metrics = metrics.map(|(name, value)| format!("{}={}", escaped(name), units::real(*value)));
    metrics.collect::<Vec<_>>().join(" ")
}

/// A checkpoint for people.
pub fn print_one(checkpoint: &Checkpoint, out: &mut Out) -> Result<()> {
    let head = format!("checkpoint {}", escaped(checkpoint.id()));
    out.line(out.paint(style::HEAD, head))?;
    let mut lines = vec![
        ("model", escaped(checkpoint.model())),
        ("type", escaped(checkpoint.model_type())),
        ("created", units::second(checkpoint.created())),
        ("metrics", metrics(checkpoint)),
        (
            "step",
            checkpoint.step().map_or_else(String::new, units::count),
        ),
        (
            "epoch",
            checkpoint.epoch().map_or_else(String::new, units::count),
        ),
        ("parent", escaped(checkpoint.parent().unwrap_or_default())),
        ("tags", escaped(&checkpoint.tags().join(" "))),
        ("size", units::bytes(checkpoint.bytes())),
        ("file", escaped(&checkpoint.path().display().to_string())),
        ("state", condition(checkpoint)),
    ];
    if checkpoint.is_pinned() {
        lines.push(("pinned", "yes".to_owned()));
    }
    for (name, value) in lines.into_iter().filter(|(_, value)| !value.is_empty()) {
        out.line(format!("  {name:<14} {value}"))?;
    }
    for (name, value) in checkpoint.all_metadata() {
        out.line(format!(
            "  {:<14} {}",
            escaped(name),
            escaped(&value.to_string())
        ))?;
    }
    Ok(())
}

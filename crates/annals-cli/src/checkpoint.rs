//! A checkpoint, for people and as JSON.

use annals::Checkpoint;
use annals::registry::Condition;
use serde_json::{Value as Json, json};

use crate::failure::Result;
use crate::output::{Out, style};
use crate::table::escaped;
use crate::units;

/// Aliases and where they point, as the registry lists them.
pub type Aliases = [(String, String)];

/// Those of the aliases that point at this checkpoint.
pub fn names<'a>(checkpoint: &Checkpoint, aliases: &'a Aliases) -> Vec<&'a str> {
    let mine = aliases
        .iter()
        .filter(|(_, target)| target == checkpoint.id());
    mine.map(|(alias, _)| alias.as_str()).collect()
}

/// A checkpoint as JSON: as the library writes it, with its aliases.
pub fn as_json(checkpoint: &Checkpoint, aliases: &Aliases) -> Json {
    let mut json = json!(checkpoint);
    if let Some(fields) = json.as_object_mut() {
        fields.insert("aliases".to_owned(), json!(names(checkpoint, aliases)));
    }
    json
}

/// Whether its weights are there, in words.
pub fn condition(checkpoint: &Checkpoint) -> String {
    match checkpoint.condition() {
        Condition::Present => "present".to_owned(),
        Condition::Missing => "missing".to_owned(),
        Condition::Corrupt(why) => format!("corrupt: {why}"),
        _ => "unknown".to_owned(),
    }
}

/// Metrics in one line.
pub fn metrics(checkpoint: &Checkpoint) -> String {
    let metrics = checkpoint.metrics().iter();
    let metrics = metrics.map(|(name, value)| format!("{}={}", escaped(name), units::real(*value)));
    metrics.collect::<Vec<_>>().join(" ")
}

/// A checkpoint for people.
pub fn print_one(checkpoint: &Checkpoint, aliases: &Aliases, out: &mut Out) -> Result<()> {
    let head = format!("checkpoint {}", escaped(checkpoint.id()));
    out.line(out.paint(style::HEAD, head))?;
    let mut lines = vec![
        ("model", escaped(checkpoint.model())),
        ("type", escaped(checkpoint.model_type())),
        ("created", out.second(checkpoint.created())),
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
        ("aliases", escaped(&names(checkpoint, aliases).join(" "))),
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

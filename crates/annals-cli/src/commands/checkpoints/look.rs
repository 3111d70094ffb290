//! Looking at checkpoints; nothing here changes any.

use annals::{Checkpoint, Registry};
use serde_json::json;

use super::known;
use crate::checkpoint::{as_json, condition, metrics, names, print_one};
use crate::escape::sentence;
use crate::failure::{Done, Result};
use crate::output::{Out, style};
use crate::table::{Rows, escaped};
use crate::units;
use crate::when::{self, When};

/// Options of `checkpoints list`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  annals checkpoints list
  annals checkpoints list dqn_agent --since 7d -n 50
  annals checkpoints list dqn_agent --alias champion --json")]
pub struct ListArgs {
    /// The model.
    model: Option<String>,
    /// Only those with this tag.
    #[arg(long)]
    tag: Option<String>,
    /// Only the one that this alias points at.
    #[arg(long)]
    alias: Option<String>,
    /// Only those created from here on.
    #[arg(long, value_parser = when::read, value_name = "TIME")]
    since: Option<When>,
    /// Only those created before this.
    #[arg(long, value_parser = when::read, value_name = "TIME")]
    until: Option<When>,
    /// How many decisions.
    #[arg(short = 'n', long, default_value_t = 20)]
    lines: usize,
}

pub fn list(registry: &Registry, args: ListArgs, out: &mut Out) -> Result<Done> {
    let Some(model) = &args.model else {
        return models(registry, out);
    };
    known::model(registry, model)?;
    if let Some(alias) = &args.alias {
        known::alias(registry, model, alias)?;
    }
    let mut list = registry.list(model).limit(args.lines);
    if let Some(tag) = &args.tag {
        list = list.tag(tag);
    }
    if let Some(alias) = &args.alias {
        list = list.alias(alias);
    }
    if let Some(since) = args.since {
        list = list.since(since.on(&out.zone));
    }
    if let Some(until) = args.until {
        list = list.until(until.on(&out.zone));
    }
    let found = list.get()?;
    print(registry, model, &found, out)
}

fn models(registry: &Registry, out: &mut Out) -> Result<Done> {
    let mut rows = Rows::new([
        "model",
        ">checkpoints",
        ">size",
        "ranked by",
        "best",
        "active",
    ]);
    let mut found = Vec::new();
    for model in registry.models()? {
        let monitor = registry.monitor(&model)?;
        let best = registry.best(&model).ok().flatten();
        let active = registry.active(&model)?;
        let ranked = monitor.map(|(metric, mode)| format!("{metric} ({mode:?})").to_lowercase());
        let (count, bytes) = (registry.count(&model)?, registry.bytes(&model)?);
        let id = |of: &Option<Checkpoint>| of.as_ref().map(|of| of.id().to_owned());
        if out.json {
            found.push(json!({
                "model": model, "checkpoints": count, "bytes": bytes, "monitor": ranked,
                "best": id(&best), "active": id(&active),
            }));
        } else {
            let dash = || "-".to_owned();
            found.push(json!(null));
            rows.push([
                model,
                units::count(count),
                units::bytes(bytes),
                ranked.unwrap_or_else(dash),
                id(&best).unwrap_or_else(dash),
                id(&active).unwrap_or_else(dash),
            ]);
        }
    }
    if out.json {
        out.json(&found)?;
    } else if found.is_empty() {
        out.line("no checkpoints")?;
    } else {
        rows.print(out)?;
    }
    Ok(Done::Well)
}

/// Prints a table of checkpoints.
pub fn print(
    registry: &Registry,
    model: &str,
    found: &[Checkpoint],
    out: &mut Out,
) -> Result<Done> {
    let aliases = registry.aliases(model)?;
    if out.json {
        let found = found.iter().map(|one| as_json(one, &aliases));
        out.json(&found.collect::<Vec<_>>())?;
        return Ok(Done::Well);
    }
    if found.is_empty() {
        out.line(format!("no checkpoints of {} that fit", escaped(model)))?;
        return Ok(Done::Well);
    }
    // A column that would be empty in every row says nothing.
    let has_steps = found.iter().any(|one| one.step().is_some());
    let has_epochs = found.iter().any(|one| one.epoch().is_some());
    let mut headings = vec!["id", "created", ">size", "metrics"];
    headings.extend(has_steps.then_some(">step"));
    headings.extend(has_epochs.then_some(">epoch"));
    headings.push("marks");
    let mut rows = Rows::new(headings);
    let number = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), units::count);
    for checkpoint in found {
        let mut marks: Vec<String> = names(checkpoint, &aliases)
            .into_iter()
            .map(|alias| format!("@{alias}"))
            .collect();
        if checkpoint.is_pinned() {
            marks.push("pinned".to_owned());
        }
        marks.extend(checkpoint.tags().iter().map(|tag| format!("#{tag}")));
        let state = condition(checkpoint);
        if state != "present" {
            marks.push(state);
        }
        let mut cells = vec![
            escaped(checkpoint.id()),
            out.second(checkpoint.created()),
            units::bytes(checkpoint.bytes()),
            // Escaped name by name.
            metrics(checkpoint),
        ];
        cells.extend(has_steps.then(|| number(checkpoint.step())));
        cells.extend(has_epochs.then(|| number(checkpoint.epoch())));
        cells.push(escaped(&marks.join(" ")));
        rows.push_escaped(cells);
    }
    rows.print(out)?;
    Ok(Done::Well)
}

/// Options of `checkpoints show`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  annals checkpoints show dqn_agent_20250725_143500
  annals checkpoints show dqn_agent_20250725_143500 --lineage")]
pub struct Show {
    /// The checkpoint's id.
    id: String,
    /// Its ancestors too.
    #[arg(long)]
    lineage: bool,
}

pub fn show(registry: &Registry, args: Show, out: &mut Out) -> Result<Done> {
    let found = known::checkpoint(registry, &args.id)?;
    let all = if args.lineage {
        registry.lineage(&args.id)?
    } else {
        vec![found]
    };
    for checkpoint in &all {
        let aliases = registry.aliases(checkpoint.model())?;
        if out.json {
            out.json(&as_json(checkpoint, &aliases))?;
        } else {
            print_one(checkpoint, &aliases, out)?;
        }
    }
    Ok(Done::Well)
}

/// Options of `checkpoints diff`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  annals checkpoints diff dqn_agent_20250725_143500 dqn_agent_20250726_080000")]
pub struct Diff {
    /// One checkpoint's id.
    this: String,
    /// Another one's.
    that: String,
}

pub fn diff(registry: &Registry, args: Diff, out: &mut Out) -> Result<Done> {
    let this = known::checkpoint(registry, &args.this)?;
    let that = known::checkpoint(registry, &args.that)?;
    if out.json {
        let aliases = [
            registry.aliases(this.model())?,
            registry.aliases(that.model())?,
        ];
        out.json(&json!({
            "this": as_json(&this, &aliases[0]),
            "that": as_json(&that, &aliases[1]),
        }))?;
        return Ok(Done::Well);
    }
    let mut rows = Rows::new(["", ">this", ">that", ">change"]);
    let text = |text: &str| {
        if text.is_empty() {
            "-".to_owned()
        } else {
            text.to_owned()
        }
    };
    rows.push(["id".into(), text(this.id()), text(that.id()), String::new()]);
    rows.push([
        "created".into(),
        out.second(this.created()),
        out.second(that.created()),
        String::new(),
    ]);
    rows.push([
        "size".into(),
        units::bytes(this.bytes()),
        units::bytes(that.bytes()),
        if this.digest().is_some() && this.digest() == that.digest() {
            "same weights".to_owned()
        } else {
            String::new()
        },
    ]);
    let mut names: Vec<&String> = this.metrics().iter().map(|(name, _)| name).collect();
    for (name, _) in that.metrics() {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    for name in names {
        let (one, other) = (this.metric(name), that.metric(name));
        let show = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), units::real);
        let change = one.zip(other).map(|(one, other)| other - one);
        let sign = |change: f64| {
            let plus = if change > 0.0 { "+" } else { "" };
            format!("{plus}{}", units::real(change))
        };
        let change = change.map_or_else(String::new, sign);
        rows.push([name.clone(), show(one), show(other), change]);
    }
    let metadata = |of: &Checkpoint, name: &str| {
        of.metadata(name)
            .map_or_else(|| "-".to_owned(), |value| value.to_string())
    };
    let mut known: Vec<&String> = this.all_metadata().iter().map(|(name, _)| name).collect();
    for (name, _) in that.all_metadata() {
        if !known.contains(&name) {
            known.push(name);
        }
    }
    for name in known {
        let (one, other) = (metadata(&this, name), metadata(&that, name));
        let change = if one == other { "same" } else { "" };
        rows.push([name.clone(), one, other, change.to_owned()]);
    }
    rows.print(out)?;
    Ok(Done::Well)
}

/// Options of `checkpoints verify`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  annals checkpoints verify
  annals checkpoints verify dqn_agent
  annals checkpoints verify --id dqn_agent_20250725_143500")]
pub struct VerifyCheckpointsArgs {
    /// Only this model's.
    model: Option<String>,
    /// Only this one.
    #[arg(long)]
    id: Option<String>,
}

pub fn verify(registry: &Registry, args: VerifyCheckpointsArgs, out: &mut Out) -> Result<Done> {
    let found = match (&args.id, &args.model) {
        (Some(id), _) => vec![known::checkpoint(registry, id)?],
        (None, Some(model)) => {
            known::model(registry, model)?;
            registry.list(model).get()?
        }
        (None, None) => {
            let mut all = Vec::new();
            for model in registry.models()? {
                all.extend(registry.list(model).get()?);
            }
            all
        }
    };
    let bar = crate::progress::rows(Some(found.len() as u64), "verifying");
    let (mut bad, mut unseen) = (0_u64, 0_u64);
    for checkpoint in &found {
        let outcome = registry.load(checkpoint.id());
        bar.inc(1);
        let why = outcome.err().map(|error| error.to_string());
        bad += u64::from(why.is_some());
        // It cannot be proved that these are the saved ones.
        let is_unseen = why.is_none() && checkpoint.digest().is_none();
        unseen += u64::from(is_unseen);
        if out.json {
            out.json(&json!({
                "id": checkpoint.id(),
                "ok": why.is_none(),
                "first_seen": is_unseen,
                "problem": why,
            }))?;
        } else if let Some(why) = why {
            out.line(out.paint(style::BAD, sentence(&why)))?;
        }
    }
    bar.finish_and_clear();
    if !out.json {
        let all = units::counted(found.len() as u64, "checkpoint");
        if unseen > 0 {
            let note = format!(
                "{unseen} of {all} had no digest: what lies there now is taken for what was saved"
            );
            out.line(out.paint(style::WARN, note))?;
        }
        out.line(match bad {
            0 if unseen > 0 => out.paint(style::WARN, format!("{all} can be loaded")),
            0 => out.paint(style::GOOD, format!("{all}, each as it was saved")),
            _ => out.paint(style::BAD, format!("{bad} of {all} cannot be loaded")),
        })?;
    }
    Ok(if bad == 0 {
        Done::Well
    } else {
        Done::WithProblems
    })
}

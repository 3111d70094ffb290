//! The run on one screen: what was decided and what it cost, one decision explained, a crash
//! survived, and what to type next.

use std::io::{self, Write};
use std::path::Path;

use annals::{InferenceRecord, Outcomes};

use crate::crash::Rehearsed;
use crate::features::Vector;
use crate::record::Explained;
use crate::report::{percent, thousands, time};

/// Prints a line of text that goes on below its title.
pub fn item(out: &mut dyn Write, title: &str, lines: &[String]) -> io::Result<()> {
    for (number, line) in lines.iter().enumerate() {
        let title = if number == 0 { title } else { "" };
        writeln!(out, "{title:<10} {line}")?;
    }
    Ok(())
}

/// Prints one decision as the journal has it, with what the agent had seen.
pub fn print_explained(
    out: &mut dyn Write,
    explained: &Explained,
    features: &Vector,
) -> io::Result<()> {
    let record = &explained.record;
    let id = record.id;
    writeln!(
        out,
        "\nIts costliest decision, as the journal has it ({id})"
    )?;
    writeln!(out, "  {}", decided(record))?;
    // The first features are the log returns over 1, 2, 5, 10 and 21 bars.
    let [one, _, five, _, many, ..] = *features;
    let moved = |log_return: f32| format!("{:+.1}%", 100.0 * log_return.exp_m1());
    writeln!(
        out,
        "  it had seen {} in a bar, {} in 5, {} in 21",
        moved(one),
        moved(five),
        moved(many)
    )?;
    if let Some(checkpoint) = &explained.checkpoint {
        writeln!(out, "  decided by {checkpoint}")?;
    }
    if let Some(outcomes) = &explained.outcomes {
        writeln!(out, "  {}", turned_out(outcomes))?;
    }
    Ok(())
}

fn decided(record: &InferenceRecord) -> String {
    let others = record.probabilities.iter();
    let others = others.filter(|(label, _)| **label != *record.action);
    let others = others.map(|(label, share)| format!("{label} {}", percent(f64::from(share))));
    let others: Vec<String> = others.collect();
    let took = record.processing_time;
    let took = took.map_or_else(String::new, |took| format!(", in {}", time(took)));
    format!(
        "{}  {}: {} at {} ({}){took}",
        moment(record.event_time),
        record.symbol,
        record.action,
        record
            .confidence
            .map_or_else(|| "-".to_owned(), |given| percent(f64::from(given))),
        others.join(", "),
    )
}

fn turned_out(outcomes: &Outcomes) -> String {
    let when = outcomes.reward.as_ref().map(|reward| moment(reward.time));
    let verdict = match outcomes.correct.map(|correct| correct.value) {
        Some(true) => "it turned out right",
        Some(false) => "it turned out wrong",
        None => "it is not known what came of it",
    };
    let reward = outcomes.reward.as_ref();
    let reward = reward.map_or_else(String::new, |reward| {
        format!(", and earned {:+.1}%", 100.0 * reward.value)
    });
    format!("{}  {verdict}{reward}", when.unwrap_or_default())
}

/// A time to the minute, or the day if it is midnight, as daily bars have it.
fn moment(time: annals::Timestamp) -> String {
    let text = time.to_string();
    match text.split_once("T00:00:00") {
        Some((day, _)) => day.to_owned(),
        None => text.chars().take(16).collect::<String>().replace('T', " "),
    }
}

/// Prints what was left of the second process.
pub fn print_crash(out: &mut dyn Write, rehearsed: &anyhow::Result<Rehearsed>) -> io::Result<()> {
    writeln!(out, "\nA crash, survived")?;
    let rehearsed = match rehearsed {
        Ok(rehearsed) => rehearsed,
        Err(why) => return writeln!(out, "  it could not be tried: {why:#}"),
    };
    writeln!(
        out,
        "  a second process decided into the same journal until it was killed in mid-loop"
    )?;
    writeln!(
        out,
        "  the journal had told it that {} decisions are on disk: {}{}",
        thousands(rehearsed.acknowledged),
        match rehearsed.found == rehearsed.acknowledged {
            true => "all of them are there".to_owned(),
            false => format!("{} ARE THERE", thousands(rehearsed.found)),
        },
        match rehearsed.later {
            0 => String::new(),
            later => format!(", and {} more", thousands(later)),
        },
    )?;
    let run = rehearsed.last.run();
    match rehearsed.is_known {
        true => writeln!(
            out,
            "  the journal knows that run {run} died, and this run went on"
        ),
        false => writeln!(out, "  the journal takes run {run} for alive"),
    }
}

/// Prints what to type next.
pub fn print_next(
    out: &mut dyn Write,
    directory: &Path,
    model: &str,
    explained: Option<&Explained>,
) -> io::Result<()> {
    let directory = quoted(&directory.display().to_string());
    writeln!(
        out,
        "\nType next  (`cargo install --path crates/annals-cli` gives `annals`)"
    )?;
    if let Some(explained) = explained {
        let id = explained.record.id;
        writeln!(out, "  annals -d {directory} explain {id}")?;
    }
    writeln!(out, "  annals -d {directory} stats --by model,action")?;
    let model = quoted(model);
    writeln!(
        out,
        "  annals -d {directory} checkpoints best {model} --live reward"
    )?;
    writeln!(
        out,
        "  cargo run --release -p trading-agent -- --details   # epochs, tables, text files"
    )
}

/// A word as a shell takes it.
pub fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "._-/@+:\\".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

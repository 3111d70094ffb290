//! Black boxes of dead processes whose journal is not at its path.

use std::path::Path;

use annals::maintenance::{LeftBlackBox, WhyLeft, left_black_boxes};
use annals::{Error, JournalId, Reader, Timestamp};
use serde_json::{Value, json};

use crate::failure::{Done, Failure, Result};
use crate::output::{Out, style};
use crate::table::{Rows, escaped};
use crate::units;

/// Whose black boxes are removed.
#[derive(Clone, Copy, Debug)]
pub enum Whose {
    /// Those of all journals that are gone.
    All,
    /// Those of one.
    Journal(JournalId),
}

/// For clap: `all`, or a journal's identity.
pub fn whose(text: &str) -> Result<Whose, String> {
    match text {
        "all" => Ok(Whose::All),
        id => {
            let id = id.parse().map(Whose::Journal);
            id.map_err(|error: annals::Error| format!("{error}, or all"))
        }
    }
}

/// Those that are left, other than those of the journal that is looked at.
pub fn left(here: Option<JournalId>) -> Result<Vec<LeftBlackBox>> {
    let mut left = left_black_boxes()?;
    // It was moved here: its next opening takes them in.
    left.retain(|left| Some(left.journal) != here);
    Ok(left)
}

/// The identity of the journal in `dir`, if there is one. One that cannot be read is an error: its
/// boxes could not be told from those of others.
fn identity(dir: &Path) -> Result<Option<JournalId>> {
    match Reader::open(dir) {
        Ok(reader) => Ok(Some(reader.id())),
        Err(Error::Missing { .. } | Error::NotADirectory { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Lists them; the journal in `dir` need not exist.
pub fn list(dir: &Path, out: &mut Out) -> Result<Done> {
    let left = left(identity(dir)?)?;
    if out.json {
        let left: Vec<Value> = left.iter().map(as_json).collect();
        out.json(&json!({ "left_black_boxes": left }))?;
    } else if left.is_empty() {
        out.line("no black box is left of a journal that is gone")?;
    } else {
        print(&left, out)?;
    }
    Ok(Done::Well)
}

/// Removes them, but for those of which nobody knows whether their journal is there.
pub fn remove(dir: &Path, whose: Whose, out: &mut Out) -> Result<Done> {
    let here = identity(dir)?;
    if let Whose::Journal(id) = whose
        && Some(id) == here
    {
        return Err(Failure::Usage(format!(
            "the journal {id} is in {}: its next opening takes its black boxes in",
            dir.display()
        )));
    }
    let mut left = left(here)?;
    if let Whose::Journal(id) = whose {
        left.retain(|left| left.journal == id);
    }
    let (mut removed, mut kept) = (Vec::new(), Vec::new());
    for left in left {
        match (&left.why, left.remove()) {
            (_, Ok(())) => removed.push(left),
            (WhyLeft::Unknown(why), Err(_)) => {
                let why = why.clone();
                kept.push((left, why));
            }
            (_, Err(error)) => kept.push((left, error.to_string())),
        }
    }
    if out.json {
        let kept = kept.iter().map(|(left, why)| {
            let mut left = as_json(left);
            left["error"] = json!(why);
            left
        });
        out.json(&json!({
            "removed": removed.iter().map(as_json).collect::<Vec<_>>(),
            "kept": kept.collect::<Vec<_>>(),
        }))?;
    } else {
        let bytes = removed
            .iter()
            .fold(0, |sum: u64, left| sum.saturating_add(left.bytes));
        let boxes = units::counted(removed.len() as u64, "black box");
        out.line(format!("{boxes} removed, {}", units::bytes(bytes)))?;
        for (left, why) in &kept {
            let line = format!("{} stays: {why}", left.path.display());
            out.line(out.paint(style::WARN, escaped(&line)))?;
        }
    }
    Ok(match kept.is_empty() {
        true => Done::Well,
        false => Done::WithProblems,
    })
}

/// One line for the status, which is one screen; nothing if none is left.
pub fn print_summary(left: &[LeftBlackBox], out: &mut Out) -> Result<()> {
    if left.is_empty() {
        return Ok(());
    }
    let bytes = left
        .iter()
        .fold(0, |sum: u64, left| sum.saturating_add(left.bytes));
    let summary = format!(
        "black boxes  {} left of journals that are gone, {}; `annals status --black-boxes` lists \
         them",
        units::count(left.len() as u64),
        units::bytes(bytes)
    );
    out.line(out.paint(style::WARN, summary))
}

/// The table.
fn print(left: &[LeftBlackBox], out: &mut Out) -> Result<()> {
    let boxes = units::counted(left.len() as u64, "black box");
    out.line(out.paint(
        style::WARN,
        format!(
            "{boxes} of dead processes; `annals status --remove-black-boxes all` or JOURNAL \
             removes those whose journal is not at its path"
        ),
    ))?;
    let mut rows = Rows::new([
        "journal was in",
        "journal",
        ">run",
        "created",
        ">size",
        "now",
    ]);
    let now = Timestamp::now();
    for left in left {
        let place = left.journal_path.as_ref();
        rows.push([
            place.map_or("-".to_owned(), |place| place.display().to_string()),
            left.journal.to_string(),
            left.run.to_string(),
            units::ago(left.created, now),
            units::bytes(left.bytes),
            left.why.to_string(),
        ]);
    }
    rows.print(out)
}

/// One of them.
pub fn as_json(left: &LeftBlackBox) -> Value {
    let (state, other) = match &left.why {
        WhyLeft::JournalGone => ("journal_gone", None),
        WhyLeft::OtherJournal(other) => ("other_journal", Some(other.to_string())),
        _ => ("unknown", None),
    };
    let place = left.journal_path.as_ref();
    json!({
        "path": left.path.display().to_string(),
        "journal": left.journal.to_string(),
        "journal_path": place.map(|place| place.display().to_string()),
        "run": left.run.get(),
        "created": left.created.to_string(),
        "bytes": left.bytes,
        "state": state,
        "other_journal": other,
        "why": left.why.to_string(),
    })
}

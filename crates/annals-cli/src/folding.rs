//! Statistics need folded entries to be fast: who asks first folds what a killed agent has left.

use std::ops::ControlFlow;
use std::path::Path;

use annals::maintenance::FoldProgress;
use annals::{Maintenance, Reader};

use crate::failure::Result;
use crate::progress;
use crate::units;

/// Unfolded entries that are worth a word and a fold: reading them takes some milliseconds.
pub const MANY: u64 = 65_536;

/// Opens the journal for statistics. Many unfolded entries are folded first if no other process is
/// there. Otherwise stderr names the reason for a slow answer, and the next step.
pub fn reader(dir: &Path) -> Result<Reader> {
    let reader = Reader::open(dir)?;
    let unfolded = reader.unfolded()?;
    if unfolded < MANY {
        return Ok(reader);
    }
    let folded = Maintenance::open(dir)
        .and_then(|maintenance| watched(|watch| maintenance.fold_if_idle(watch)));
    let (why, advice) = match folded {
        Ok(Some(_)) => return Ok(reader),
        Ok(None) => (
            "another process has the journal open".to_owned(),
            "it folds them as it can, or: annals fold",
        ),
        Err(error) => (error.to_string(), "fold them with: annals fold"),
    };
    let entries = units::count(unfolded);
    anstream::eprintln!(
        "annals: {entries} entries are not folded, so this reads them one by one: {}; {advice}",
        why.replace('\n', " ")
    );
    Ok(reader)
}

/// Folds with a bar on stderr, for a person who looks.
pub fn watched<T>(
    fold: impl FnOnce(&mut dyn FnMut(FoldProgress) -> ControlFlow<()>) -> annals::Result<T>,
) -> annals::Result<T> {
    let bar = progress::rows(Some(0), "folding");
    let folded = fold(&mut |progress: FoldProgress| {
        bar.set_length(progress.total);
        bar.set_position(progress.done);
        ControlFlow::Continue(())
    });
    bar.finish_and_clear();
    folded
}

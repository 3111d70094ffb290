//! Unreadable parts of a journal: reported on stderr, with the next step.

use std::ops::Range;

use annals::Reader;

use crate::failure::Done;
use crate::units;

/// Stretches that are named; the others are counted.
const MOST_NAMED: usize = 3;

/// The message about rollups that cannot be read.
const ROLLUPS: &str = "the sums that make statistics quick cannot all be read, so entries were \
                           read in their place: `annals verify` names them, `annals repair` makes \
                           them anew, and decisions that are retired may be missing until then";

/// How a command ended that read through `reader`. Says which entries were passed over, if any
/// were: what it printed lacks them, so it ends with 1.
pub fn done(reader: &Reader) -> Done {
    let done = say(&reader.missing());
    if reader.damaged_rollups() == 0 {
        return done;
    }
    anstream::eprintln!("annals: {ROLLUPS}");
    Done::WithProblems
}

/// The same for stretches of sequences.
pub fn say(missing: &[Range<u64>]) -> Done {
    if missing.is_empty() {
        return Done::Well;
    }
    anstream::eprintln!("annals: {}", sentence(missing));
    Done::WithProblems
}

/// Which entries are missing, and what to do.
pub fn sentence(missing: &[Range<u64>]) -> String {
    let lengths = missing
        .iter()
        .map(|lost| lost.end.saturating_sub(lost.start));
    let entries = lengths.fold(0, u64::saturating_add);
    let named = missing.iter().take(MOST_NAMED);
    let named = named.map(|lost| format!("{} to {}", lost.start, lost.end.saturating_sub(1)));
    let mut named: Vec<String> = named.collect();
    if missing.len() > MOST_NAMED {
        named.push(format!("{} more stretches", missing.len() - MOST_NAMED));
    }
    damaged(entries, &format!(" (sequences {})", named.join(", ")))
}

/// The message about `entries` that cannot be read.
pub fn damaged(entries: u64, which: &str) -> String {
    let (entries, are) = match entries {
        1 => ("1 entry".to_owned(), "is"),
        n => (format!("{} entries", units::count(n)), "are"),
    };
    format!(
        "{entries}{which} cannot be read and {are} left out: `annals verify` says more, \
         `annals repair` keeps the rest"
    )
}

//! The writer's looks at the clock, for tests that set one.

use std::time::Duration;

use annals::Journal;

/// Waits until the writer's next look is over.
///
/// A test that has set its clock calls this before it logs. A look that began before the clock was
/// set has the earlier time, and would give it to entries that are logged while it lasts.
pub fn end_look(journal: &Journal) {
    journal.flush().wait(Duration::from_secs(60)).unwrap();
}

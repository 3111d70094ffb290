//! How the text mirror is doing.

use serde::{Deserialize, Serialize};

use crate::threads::rounds::RoundsHealth;

/// How the human-readable files are doing; part of [`Health`](crate::health::Health).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MirrorHealth {
    /// Whether this process writes the files; otherwise another one does, or none yet.
    pub writing: bool,
    /// Entries committed and not yet in the files, at the last look; 0 if another process writes.
    pub lag: u64,
    /// Lines written by this process.
    pub lines: u64,
    /// The obstacle to writing the files now, in words.
    pub fault: Option<String>,
}

impl RoundsHealth for MirrorHealth {
    fn fault(&mut self) -> &mut Option<String> {
        &mut self.fault
    }

    fn set_panicked(&mut self, panic: String) {
        self.fault = Some(panic);
        self.writing = false;
    }
}

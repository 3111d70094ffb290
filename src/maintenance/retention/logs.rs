//! Retention of text files.

use crate::logs::retention::LogRetention;
use crate::maintenance::Maintenance;
use crate::options::retention::RetentionPolicy;

impl Maintenance {
    /// Begins to apply a policy to the text files in `logs` below the journal's directory, or
    /// [elsewhere](LogRetention::directory). Whole files go, each kind oldest first; the entries
    /// stay. [`RetentionPolicy`] lists the rules. The lines of entries that stay can be written
    /// anew by [`Reader::rebuild_mirror`](crate::Reader::rebuild_mirror).
    ///
    /// ```
    /// # use annals::{Inference, Journal, RetentionPolicy};
    /// # use std::time::Duration;
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let journal = Journal::open(dir.path().join("data"))?;
    /// # journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY"));
    /// # journal.flush().wait(Duration::from_secs(60))?;
    /// let policy = RetentionPolicy::new().max_age_days(7).keep_latest(1_000);
    /// let plan = journal.maintenance()?.log_retention(policy).plan()?;
    /// for file in plan.files() {
    ///     println!("{} goes: {}", file.file.display(), file.reason);
    /// }
    /// assert_eq!(plan.apply()?.files, 0); // it was written just now
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn log_retention(&self, policy: RetentionPolicy) -> LogRetention {
        let source = self.maintenance.source().clone();
        let logs = self.maintenance.root().join("logs");
        LogRetention::new(source, self.id, logs, policy)
    }
}

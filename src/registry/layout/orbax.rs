//! Orbax: a folder for each step.

use std::path::Path;

use serde_json::Value;

use super::words::{numbers, read_json};
use super::{FoundCheckpoint, Listing, trailing_number};
use crate::entry::timestamp::Timestamp;

/// Files that lead a checkpoint, the best first.
pub(super) const LEADS: [&str; 3] = ["_CHECKPOINT_METADATA", "_METADATA", "manifest.ocdbt"];

/// Whether a folder of this name is one that its saver has not finished.
pub(super) fn is_unfinished(name: &str) -> bool {
    name.contains(".orbax-checkpoint-tmp") || name.ends_with("_tmp_orbax")
}

/// Whether `folder` is one checkpoint with everything in it.
pub(super) fn is_step(folder: &Path, listing: &Listing) -> bool {
    if LEADS.iter().any(|name| listing.files.contains(*name)) {
        return true;
    }
    // Older steps have their items in folders, and nothing beside these.
    let name = folder.file_name().and_then(|name| name.to_str());
    let is_step = name.and_then(trailing_number).is_some();
    let has_items = listing.folders.iter().any(|item| {
        let item = folder.join(item);
        ["_METADATA", "manifest.ocdbt"]
            .iter()
            .any(|name| item.join(name).is_file())
    });
    is_step && has_items
}

/// Orbax's facts about a step.
pub(super) fn describe(folder: &Path, found: &mut FoundCheckpoint) {
    if let Some(Value::Object(said)) = read_json(&folder.join(LEADS[0])) {
        let committed = said.get("commit_timestamp_nsecs");
        if committed == Some(&Value::Null) && said.contains_key("init_timestamp_nsecs") {
            found.fault = Some("its saver did not finish it".to_owned());
        }
        let micros = committed.and_then(Value::as_i64).map(|nanos| nanos / 1_000);
        found.created = micros
            .filter(|micros| *micros > 0)
            .map(Timestamp::from_micros);
        if let Some(metrics) = said.get("metrics") {
            numbers(metrics, &mut found.metrics);
        }
    }
    if let Some(metrics) = read_json(&folder.join("metrics/metrics")) {
        numbers(&metrics, &mut found.metrics);
    }
}

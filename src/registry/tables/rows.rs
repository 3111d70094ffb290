//! Stored rows of checkpoints. The order of fields and variants is the format.

use serde::{Deserialize, Serialize};

use super::details::Details;
use super::names;
use crate::engine::format::codec::{Stored, bounded};
use crate::entry::mode::Mode;
use crate::entry::sequence::Sequence;
use crate::entry::timestamp::Timestamp;
use crate::fs::disk::Below;

/// A change brings fewer checkpoints than two to the power of this.
pub(super) const WITHIN_BITS: u32 = 20;

/// Origin of a checkpoint in the registry, which decides what may be removed with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Origin {
    /// The registry wrote the weights, and removes them with the checkpoint.
    Saved,
    /// The weights lay elsewhere and were registered where they are. They are never removed.
    Registered,
    /// A file was found in the checkpoints' directory without a sidecar. It is never removed.
    Found,
}

impl Origin {
    /// Its word in sidecars and in JSON.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Origin::Saved => "saved",
            Origin::Registered => "registered",
            Origin::Found => "found",
        }
    }

    /// The origin with this word.
    pub(crate) fn of_word(word: &str) -> Option<Origin> {
        let all = [Origin::Saved, Origin::Registered, Origin::Found];
        all.into_iter().find(|origin| origin.word() == word)
    }
}

/// Known state of a checkpoint's weights.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Condition {
    /// They are at their place, as far as is known.
    Present,
    /// Gone at the last look.
    Missing,
    /// Different from the saved ones, and the sign of it.
    Corrupt(String),
}

/// One checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct CheckpointRow {
    pub(crate) model: Box<str>,
    pub(crate) model_type: String,
    pub(crate) created: Timestamp,
    /// Order of "newest": `created`, or a little more where the clock went back between two saves,
    /// so that the last save is the newest.
    pub(crate) order: Timestamp,
    /// The change that brought it and its place in that change; decides between equal `order`s.
    pub(crate) number: u64,
    pub(crate) origin: Origin,
    pub(crate) condition: Condition,
    /// The file's path below the folder of all checkpoints, with `/`; with [`Origin::Registered`],
    /// anywhere.
    pub(crate) file: String,
    /// Of all its files.
    pub(crate) bytes: u64,
    /// Of `file`. Absent where the file was never read yet.
    pub(crate) digest: Option<[u8; 32]>,
    pub(crate) metrics: Vec<(String, f64)>,
    pub(crate) step: Option<u64>,
    pub(crate) epoch: Option<u64>,
    pub(crate) parent: Option<String>,
    pub(crate) tags: Vec<String>,
    pub(crate) pinned: bool,
    pub(crate) metadata: Details,
    /// The wall clock when the registry took it in. Unlike `created`, no
    /// caller chooses it.
    pub(crate) saved: Timestamp,
    /// The sequence that the journal's next entry had then: later entries are younger.
    pub(crate) sequence: Sequence,
    /// Further files of its weights, as paths below the folder of `file`, by name.
    pub(crate) parts: Vec<WeightsPart>,
}

/// One further file of weights that consist of several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WeightsPart {
    /// Plain names with `/` between them.
    pub(crate) file: String,
    pub(crate) bytes: u64,
    pub(crate) digest: [u8; 32],
}

/// Files that the weights of one checkpoint may consist of, besides the first.
pub(crate) const MOST_PARTS: usize = 4_096;
/// Folders that a part may lie below the first file's.
pub(crate) const DEEPEST_PART: usize = 16;

impl WeightsPart {
    fn check(&self) -> Result<(), String> {
        bounded("a size in bytes", self.bytes)?;
        let names = self.file.split('/');
        if names.clone().count() > DEEPEST_PART {
            return Err("a part lies too deep".to_owned());
        }
        names.into_iter().try_for_each(|name| {
            let plain = !name.contains('\\') && !name.contains(':');
            if !plain {
                return Err("a part's path is no plain one".to_owned());
            }
            Below::new(name).map(drop)
        })
    }
}

impl Stored for CheckpointRow {
    fn check(&self) -> Result<(), String> {
        names::check_model(&self.model).map_err(|error| error.to_string())?;
        bounded("a size in bytes", self.bytes)?;
        if self.parts.len() > MOST_PARTS {
            return Err(format!("{} files are too many", self.parts.len()));
        }
        self.parts.iter().try_for_each(WeightsPart::check)?;
        match self.origin {
            // May lie anywhere; it is only ever read.
            Origin::Registered => Ok(()),
            Origin::Saved | Origin::Found => Below::new(&self.file).map(drop),
        }
    }
}

impl CheckpointRow {
    /// Stores the fingerprint of its first file, which was never read before.
    pub(crate) fn see(&mut self, bytes: u64, digest: [u8; 32]) {
        let parts = self.bytes.saturating_sub(self.first_bytes());
        self.bytes = parts.saturating_add(bytes);
        self.digest = Some(digest);
    }

    /// Bytes of the first file: `bytes` without the parts.
    pub(crate) fn first_bytes(&self) -> u64 {
        let parts = self.parts.iter().map(|part| part.bytes);
        self.bytes
            .saturating_sub(parts.fold(0, u64::saturating_add))
    }

    /// Whether its metadata, which was never decoded yet, can be read.
    pub(super) fn check_metadata(&self) -> Result<(), String> {
        self.metadata.check()
    }
}

impl Stored for (String, CheckpointRow) {
    fn check(&self) -> Result<(), String> {
        self.1.check()
    }
}

/// One model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ModelRow {
    /// The metric that ranks its checkpoints.
    pub(crate) monitor: Option<(String, Mode)>,
    pub(crate) checkpoints: u64,
    pub(crate) bytes: u64,
    /// The highest `order` given out so far.
    pub(crate) highest: Option<Timestamp>,
    /// The names of its checkpoints' metrics, and how many have each.
    pub(crate) metrics: Vec<(String, u64)>,
    /// The number of the last change to any of its checkpoints, aliases or the monitor.
    pub(crate) changed: u64,
}

impl Stored for ModelRow {
    fn check(&self) -> Result<(), String> {
        let of_metrics = self.metrics.iter().map(|(_, count)| *count);
        let mut counts = [self.checkpoints, self.bytes].into_iter().chain(of_metrics);
        counts.try_for_each(|count| bounded("a model's count", count))
    }
}

/// Where an alias points.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct AliasRow {
    /// The time of the entry in the history.
    pub(crate) since: Timestamp,
    pub(crate) target: String,
}

impl Stored for AliasRow {}

/// Where an alias pointed from a time on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct AliasStep {
    /// `None`: from then on it pointed nowhere.
    pub(crate) target: Option<String>,
    /// The time of the entry that a rollback goes to.
    pub(crate) back: Option<Timestamp>,
}

impl Stored for AliasStep {}

/// A checkpoint that is gone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct DeletedRow {
    pub(crate) model: Box<str>,
    pub(crate) at: Timestamp,
    pub(crate) why: String,
}

impl Stored for DeletedRow {}

/// Files of a deleted checkpoint that are still to be removed, as paths below the folder of all
/// checkpoints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LeavingRow(pub(crate) Vec<String>);

impl Stored for LeavingRow {
    fn check(&self) -> Result<(), String> {
        self.0
            .iter()
            .try_for_each(|file| Below::new(file).map(drop))
    }
}

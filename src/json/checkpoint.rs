//! A checkpoint as a JSON object. It is only written: a checkpoint is the registry's entry, and
//! [`Registry::get`](crate::Registry::get) gives it for its id.

use serde::ser::{Serialize, Serializer};

use super::fields::{InOrder, Real};
use crate::entry::timestamp::Timestamp;
use crate::registry::checkpoint::Checkpoint;
use crate::registry::{Condition, Metadata, Origin};

#[derive(serde::Serialize)]
struct CheckpointFields<'c> {
    id: &'c str,
    model: &'c str,
    model_type: &'c str,
    created: Timestamp,
    metrics: InOrder<&'c str, Real<f64>>,
    step: Option<u64>,
    epoch: Option<u64>,
    parent: Option<&'c str>,
    tags: &'c [String],
    pinned: bool,
    bytes: u64,
    digest: Option<String>,
    origin: &'static str,
    condition: String,
    path: String,
    metadata: InOrder<&'c str, &'c Metadata>,
}

/// Metrics and metadata are objects, and the digest is text in hexadecimal.
impl Serialize for Checkpoint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let metrics = self.metrics().iter();
        let metadata = self.all_metadata().iter();
        let fields = CheckpointFields {
            id: self.id(),
            model: self.model(),
            model_type: self.model_type(),
            created: self.created(),
            metrics: InOrder(
                metrics
                    .map(|(name, value)| (&**name, Real(*value)))
                    .collect(),
            ),
            step: self.step(),
            epoch: self.epoch(),
            parent: self.parent(),
            tags: self.tags(),
            pinned: self.is_pinned(),
            bytes: self.bytes(),
            digest: self.digest().map(|digest| {
                let digits = digest.iter().map(|byte| format!("{byte:02x}"));
                digits.collect()
            }),
            origin: match self.origin() {
                Origin::Saved => "saved",
                Origin::Registered => "registered",
                Origin::Found => "found",
            },
            condition: match self.condition() {
                Condition::Present => "present".to_owned(),
                Condition::Missing => "missing".to_owned(),
                Condition::Corrupt(why) => format!("corrupt: {why}"),
            },
            // A path need not be UTF-8, and a text is what people read.
            path: self.path().display().to_string(),
            metadata: InOrder(metadata.map(|(name, value)| (&**name, value)).collect()),
        };
        fields.serialize(serializer)
    }
}

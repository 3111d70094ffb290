//! A checkpoint as a JSON object, with all that its methods tell. The registry's own numbers, which
//! order the checkpoints of one second, are not in it.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, Error};
use serde::ser::{Serialize, Serializer};

use super::fields::{InOrder, Real};
use crate::engine::format::codec::Stored;
use crate::entry::hex::{hex, unhex};
use crate::entry::sequence::Sequence;
use crate::entry::timestamp::Timestamp;
use crate::registry::checkpoint::Checkpoint;
use crate::registry::tables::details::Details;
use crate::registry::tables::names::FOLDER;
use crate::registry::tables::rows::{CheckpointRow, WeightsPart};
use crate::registry::{Condition, Metadata, Origin};

#[derive(serde::Serialize, serde::Deserialize)]
struct CheckpointFields {
    id: Box<str>,
    model: Box<str>,
    model_type: String,
    created: Timestamp,
    metrics: InOrder<String, Real<f64>>,
    step: Option<u64>,
    epoch: Option<u64>,
    parent: Option<String>,
    tags: Vec<String>,
    pinned: bool,
    bytes: u64,
    digest: Option<String>,
    origin: String,
    condition: String,
    path: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    parts: Vec<PartFields>,
    metadata: InOrder<String, Metadata>,
}

/// One further file of the weights, by its path below the folder of the first.
#[derive(serde::Serialize, serde::Deserialize)]
struct PartFields {
    file: String,
    bytes: u64,
    digest: String,
}

const CORRUPT: &str = "corrupt: ";

/// Metrics and metadata are objects, and digests are texts in hexadecimal.
impl Serialize for Checkpoint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let row = self.row();
        let metrics = row.metrics.iter();
        let parts = row.parts.iter();
        let fields = CheckpointFields {
            id: self.id().into(),
            model: row.model.clone(),
            model_type: row.model_type.clone(),
            created: row.created,
            metrics: InOrder(
                metrics
                    .map(|(name, value)| (name.clone(), Real(*value)))
                    .collect(),
            ),
            step: row.step,
            epoch: row.epoch,
            parent: row.parent.clone(),
            tags: row.tags.clone(),
            pinned: row.pinned,
            bytes: row.bytes,
            digest: row.digest.map(|digest| hex(&digest)),
            origin: row.origin.word().to_owned(),
            condition: match &row.condition {
                Condition::Present => "present".to_owned(),
                Condition::Missing => "missing".to_owned(),
                Condition::Corrupt(why) => format!("{CORRUPT}{why}"),
            },
            // A path need not be UTF-8, and a text is what people read.
            path: self.path().display().to_string(),
            parts: parts
                .map(|part| PartFields {
                    file: part.file.clone(),
                    bytes: part.bytes,
                    digest: hex(&part.digest),
                })
                .collect(),
            metadata: InOrder(self.all_metadata().to_vec()),
        };
        fields.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Checkpoint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fields = CheckpointFields::deserialize(deserializer)?;
        let unknown = |what: &str, text: &str| D::Error::custom(format!("{what} {text:?}"));
        let digest = |text: String| unhex(&text).ok_or_else(|| unknown("no digest:", &text));
        let Some(origin) = Origin::of_word(&fields.origin) else {
            return Err(unknown("unknown origin", &fields.origin));
        };
        let condition = match &*fields.condition {
            "present" => Condition::Present,
            "missing" => Condition::Missing,
            other => match other.strip_prefix(CORRUPT) {
                Some(why) => Condition::Corrupt(why.to_owned()),
                None => return Err(unknown("unknown condition", other)),
            },
        };
        let parts = fields.parts.into_iter().map(|part| {
            Ok(WeightsPart {
                file: part.file,
                bytes: part.bytes,
                digest: digest(part.digest)?,
            })
        });
        let parts = parts.collect::<Result<_, D::Error>>()?;
        let (root, file) = match origin {
            Origin::Registered => (PathBuf::new(), fields.path),
            Origin::Saved | Origin::Found => below_checkpoints(&fields.path)
                .ok_or_else(|| unknown("no file below `checkpoints`:", &fields.path))?,
        };
        let metrics = fields.metrics.0.into_iter();
        let row = CheckpointRow {
            model: fields.model,
            model_type: fields.model_type,
            created: fields.created,
            order: fields.created,
            number: 0,
            origin,
            condition,
            file,
            bytes: fields.bytes,
            digest: fields.digest.map(digest).transpose()?,
            metrics: metrics.map(|(name, Real(value))| (name, value)).collect(),
            step: fields.step,
            epoch: fields.epoch,
            parent: fields.parent,
            tags: fields.tags,
            pinned: fields.pinned,
            metadata: Details::new(fields.metadata.0),
            saved: fields.created,
            sequence: Sequence::ZERO,
            parts,
        };
        // The bounds of a stored row: paths that lead out of the folder are refused.
        row.check().map_err(D::Error::custom)?;
        Ok(Checkpoint::new(fields.id, row, &Arc::from(root)))
    }
}

/// The journal's directory, and the file below its folder of checkpoints. A model may have the
/// folder's name, and any folder above may; the path that is made of both is the same then.
fn below_checkpoints(path: &str) -> Option<(PathBuf, String)> {
    let mut names: Vec<&str> = Vec::new();
    let mut rest = Path::new(path);
    loop {
        let Some(Component::Normal(name)) = rest.components().next_back() else {
            return None;
        };
        rest = rest.parent()?;
        if name == FOLDER && !names.is_empty() {
            names.reverse();
            return Some((rest.to_owned(), names.join("/")));
        }
        names.push(name.to_str()?);
    }
}

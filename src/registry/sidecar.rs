//! The sidecar: a checkpoint's entry in the registry, as a small JSON file beside its weights, from
//! which the registry can be rebuilt.

use std::io;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::metadata::{Metadata, real_from_json, real_to_json};
use super::tables::details::Details;
use super::tables::rows::{CheckpointRow, Condition, Origin};
use crate::entry::hex::{hex, unhex};
use crate::entry::sequence::Sequence;
use crate::entry::timestamp::Timestamp;
use crate::fs::disk;

/// The version that this library writes and reads.
pub(super) const VERSION: u64 = 1;
const MARK: &str = "annals_checkpoint";
const SEAL: &str = "seal";
const CLAIM: &str = "annals_claim";
/// Bytes that no sidecar is shorter than, and no claim longer.
pub(super) const LONGEST_CLAIM: u64 = 256;

/// Bytes that the text of a sidecar may have when it is written.
pub(super) const MOST_TEXT: usize = 4 << 20;
/// Values that a sidecar may have: each takes some hundred bytes while it is read, and one of the
/// file.
pub(super) const MOST_VALUES: usize = 1 << 18;
/// A larger one was not written by this library. The id comes to the size that was measured before.
const MOST_BYTES: u64 = (MOST_TEXT as u64) + (64 << 10);

/// The reason why a sidecar is unreadable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// A claim: a checkpoint is being saved, or its saver died. The name is that of its weights, if
    /// they were to lie beside it.
    Claim(Option<String>),
    /// Not of this library.
    Foreign(String),
    /// Of a later version.
    Newer(u64),
    /// Of this library, and damaged or edited.
    Broken(String),
}

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Unreadable::Claim(_) => f.write_str("it is the claim of a checkpoint being saved"),
            Unreadable::Foreign(why) => write!(f, "not written by annals: {why}"),
            Unreadable::Newer(found) => {
                write!(
                    f,
                    "it has version {found}, this version of annals reads {VERSION}"
                )
            }
            Unreadable::Broken(why) => write!(f, "damaged or edited: {why}"),
        }
    }
}

/// The text of the sidecar of checkpoint `id`. Maps are in the order of their names.
pub(crate) fn write(id: &str, row: &CheckpointRow) -> String {
    let metrics = row.metrics.iter();
    let metrics: Map<_, _> = metrics
        .map(|(k, v)| (k.clone(), real_to_json(*v)))
        .collect();
    let metadata = row.metadata.entries().iter();
    let metadata: Map<_, _> = metadata.map(|(k, v)| (k.clone(), v.to_json())).collect();
    let mut body = json!({
        MARK: VERSION,
        "id": id,
        "model": &*row.model,
        "model_type": row.model_type,
        "created_us": row.created.as_micros(),
        "origin": row.origin.word(),
        "file": row.file,
        "bytes": row.bytes,
        "blake3": row.digest.map(|digest| hex(&digest)),
        "metrics": metrics,
        "step": row.step,
        "epoch": row.epoch,
        "parent": row.parent,
        "tags": row.tags,
        "metadata": metadata,
    });
    // Over the body without the seal: reading takes it out before it compares.
    let seal = seal(&body);
    if let Value::Object(fields) = &mut body {
        fields.insert(SEAL.to_owned(), Value::String(seal));
    }
    format!("{body:#}\n")
}

/// The text that stands in the sidecar's place while a checkpoint is being saved. `weights` is the
/// name of the file that is being written, which goes with the claim if the saver dies.
pub(super) fn claim(weights: Option<&str>) -> String {
    json!({ CLAIM: weights }).to_string()
}

/// A digest of everything else in the sidecar, spelt in one way.
fn seal(body: &Value) -> String {
    // In the order of the names, which is the same after reading.
    let digest = blake3::hash(body.to_string().as_bytes());
    // Against accidents and edits. A forger of a sidecar can compute it.
    hex(&digest.as_bytes()[..16])
}

/// Reads the sidecar at `path`.
pub(super) fn read(path: &Path) -> io::Result<Result<(String, CheckpointRow), Unreadable>> {
    match disk::read_at_most(path, MOST_BYTES) {
        Ok(Some(text)) => Ok(parse(&text)),
        Ok(None) => Ok(Err(Unreadable::Foreign(format!(
            "it has more than {MOST_BYTES} bytes"
        )))),
        Err(error) if disk::is_no_regular_file(&error) => {
            Ok(Err(Unreadable::Foreign(error.to_string())))
        }
        Err(error) => Err(error),
    }
}

/// Reads a sidecar's text.
pub(crate) fn parse(text: &[u8]) -> Result<(String, CheckpointRow), Unreadable> {
    // Created, and cut short before its text was written.
    if text.is_empty() {
        return Err(Unreadable::Claim(None));
    }
    // Each value takes many times its text in memory: counted before it is parsed.
    let values = count_values(text);
    if values > MOST_VALUES {
        return Err(Unreadable::Foreign(format!("{values} values are too many")));
    }
    let mut body: Value = match serde_json::from_slice(text) {
        Ok(body) => body,
        // A claim that was cut short still shows its owner.
        Err(error) if contains(text, MARK.as_bytes()) => {
            return Err(Unreadable::Broken(error.to_string()));
        }
        Err(error) => return Err(Unreadable::Foreign(error.to_string())),
    };
    if let Some(weights) = body.get(CLAIM) {
        return Err(Unreadable::Claim(weights.as_str().map(str::to_owned)));
    }
    let Value::Object(fields) = &mut body else {
        return Err(Unreadable::Foreign("it is no object".to_owned()));
    };
    match fields.get(MARK).map(Value::as_u64) {
        Some(Some(VERSION)) => {}
        Some(Some(found)) if found > VERSION => return Err(Unreadable::Newer(found)),
        Some(_) => return Err(Unreadable::Broken(format!("{MARK} is no version"))),
        None => return Err(Unreadable::Foreign(format!("it has no {MARK}"))),
    }
    // Before any field is believed.
    let sealed = fields.remove(SEAL);
    if sealed != Some(Value::String(seal(&body))) {
        return Err(Unreadable::Broken("its seal does not fit".to_owned()));
    }
    fields_of(&body).ok_or_else(|| Unreadable::Broken("a field is missing".to_owned()))
}

/// No text of JSON has more values than this.
pub(super) fn count_values(text: &[u8]) -> usize {
    // At least as many as there are values; some of these bytes are within texts.
    let begins = |byte: &&u8| matches!(byte, b',' | b'[' | b'{');
    text.iter().filter(begins).count()
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

fn fields_of(body: &Value) -> Option<(String, CheckpointRow)> {
    let text = |name: &str| body.get(name)?.as_str().map(str::to_owned);
    let map = |name: &str| body.get(name)?.as_object();
    let metrics = map("metrics")?.iter();
    let metrics = metrics.map(|(k, v)| Some((k.clone(), real_from_json(v)?)));
    let metadata = map("metadata")?.iter();
    let tags = body.get("tags")?.as_array()?.iter();
    let row = CheckpointRow {
        model: text("model")?.into(),
        model_type: text("model_type")?,
        created: Timestamp::from_micros(body.get("created_us")?.as_i64()?),
        order: Timestamp::default(),
        number: 0,
        origin: Origin::of_word(body.get("origin")?.as_str()?)?,
        condition: Condition::Present,
        file: text("file")?,
        bytes: body.get("bytes")?.as_u64()?,
        digest: match body.get("blake3")? {
            Value::Null => None,
            digest => Some(unhex(digest.as_str()?)?),
        },
        metrics: metrics.collect::<Option<_>>()?,
        step: body.get("step")?.as_u64(),
        epoch: body.get("epoch")?.as_u64(),
        parent: text("parent"),
        tags: tags
            .map(|tag| tag.as_str().map(str::to_owned))
            .collect::<Option<_>>()?,
        pinned: false,
        metadata: Details::new(
            metadata
                .map(|(k, v)| (k.clone(), Metadata::from_json(v)))
                .collect(),
        ),
        saved: Timestamp::default(),
        sequence: Sequence::ZERO,
        parts: Vec::new(),
    };
    Some((text("id")?, row))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn row() -> CheckpointRow {
        CheckpointRow {
            model: "dqn".into(),
            model_type: "rl".to_owned(),
            created: Timestamp::from_micros(-5),
            order: Timestamp::default(),
            number: 0,
            origin: Origin::Saved,
            condition: Condition::Present,
            file: "dqn/x.bin".to_owned(),
            bytes: 3,
            digest: Some([7; 32]),
            metrics: vec![
                ("acc".to_owned(), 0.1 + 0.2),
                ("loss".to_owned(), f64::NEG_INFINITY),
            ],
            step: Some(u64::MAX),
            epoch: None,
            parent: Some("p".to_owned()),
            tags: vec!["nightly".to_owned()],
            pinned: false,
            metadata: Details::new(vec![("lr".to_owned(), Metadata::from(0.001))]),
            saved: Timestamp::default(),
            sequence: Sequence::ZERO,
            parts: Vec::new(),
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let text = write("dqn_1", &row());
        assert_eq!(parse(text.as_bytes()), Ok(("dqn_1".to_owned(), row())));
    }

    #[test]
    fn anything_else_says_what_it_is() {
        let text = write("dqn_1", &row());
        for cut in 1..text.trim_end().len() {
            assert!(parse(&text.as_bytes()[..cut]).is_err(), "{cut}");
        }
        assert_eq!(parse(b""), Err(Unreadable::Claim(None)));
        let weights = Some("x.bin".to_owned());
        let claimed = claim(weights.as_deref());
        assert_eq!(parse(claimed.as_bytes()), Err(Unreadable::Claim(weights)));
        assert!(matches!(parse(b"{}"), Err(Unreadable::Foreign(_))));
        assert!(matches!(parse(b"[1]"), Err(Unreadable::Foreign(_))));
        assert!(matches!(parse(&[0xff; 9]), Err(Unreadable::Foreign(_))));
        let newer = text.replace("\"annals_checkpoint\": 1", "\"annals_checkpoint\": 9");
        assert_eq!(parse(newer.as_bytes()), Err(Unreadable::Newer(9)));
        let edited = text.replace("\"bytes\": 3", "\"bytes\": 4");
        assert!(matches!(
            parse(edited.as_bytes()),
            Err(Unreadable::Broken(_))
        ));
        let many = format!("[{}0]", "0,".repeat(MOST_VALUES));
        assert!(matches!(
            parse(many.as_bytes()),
            Err(Unreadable::Foreign(_))
        ));
        let deep = "[".repeat(100_000);
        assert!(matches!(
            parse(deep.as_bytes()),
            Err(Unreadable::Foreign(_))
        ));
    }
}

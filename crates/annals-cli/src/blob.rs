//! The blobs of a decision, for people and as JSON.

use std::io::Write as _;

use annals::entry::KeptBlob;
use annals::{InferenceRecord, Reader};
use serde_json::{Value, json};

use crate::failure::{Failure, Result};
use crate::output::Out;
use crate::table::escaped;
use crate::units;

/// Characters of a text that are shown.
const SHOWN: usize = 60;

/// A blob by its name, or why it cannot be read.
pub type NamedBlob = (String, annals::Result<KeptBlob>);

/// The blobs of a decision.
pub fn of(reader: &Reader, record: &InferenceRecord) -> Vec<NamedBlob> {
    let names = record.blobs.iter();
    names
        .map(|name| (name.clone(), reader.blob(record.id, name)))
        .collect()
}

/// Size and beginning of a blob, or why there is none.
pub fn in_words(blob: &annals::Result<KeptBlob>) -> String {
    let bytes = match blob {
        Ok(KeptBlob::Kept(bytes)) => bytes,
        Ok(missing) => return why(missing).to_owned(),
        Err(error) => return escaped(&format!("cannot be read: {error}")),
    };
    let size = units::counted(bytes.len() as u64, "byte");
    let Ok(text) = std::str::from_utf8(bytes) else {
        return format!("{size}, no text");
    };
    let start: String = text.chars().take(SHOWN).collect();
    let more = match text.chars().nth(SHOWN) {
        Some(_) => " …",
        None => "",
    };
    format!("{size}: {}{more}", escaped(&start))
}

fn why(missing: &KeptBlob) -> &'static str {
    match missing {
        KeptBlob::GivenUp => "was to be kept, and was given up",
        KeptBlob::Removed => "was kept, and its file was removed",
        _ => "was not kept",
    }
}

/// A whole blob.
pub fn as_json((name, blob): &NamedBlob) -> Value {
    let bytes = match blob {
        Ok(KeptBlob::Kept(bytes)) => bytes,
        Ok(KeptBlob::GivenUp) => return json!({ "name": name, "missing": "given_up" }),
        Ok(KeptBlob::Removed) => return json!({ "name": name, "missing": "removed" }),
        Ok(_) => return json!({ "name": name, "missing": "not_kept" }),
        Err(error) => {
            return json!({
                "name": name, "missing": "unreadable", "error": error.to_string(),
            });
        }
    };
    match std::str::from_utf8(bytes) {
        Ok(text) => json!({ "name": name, "bytes": bytes.len(), "text": text }),
        Err(_) => json!({ "name": name, "bytes": bytes.len(), "values": bytes }),
    }
}

/// Writes a whole blob out: as it is, or escaped on a terminal.
pub fn write(reader: &Reader, record: &InferenceRecord, name: &str, out: &mut Out) -> Result<()> {
    let blob = reader.blob(record.id, name)?;
    if out.json {
        return out.json(&as_json(&(name.to_owned(), Ok(blob))));
    }
    let bytes = match blob {
        KeptBlob::Kept(bytes) => bytes,
        KeptBlob::NotKept => {
            let names: Vec<_> = record.blobs.iter().map(|name| escaped(name)).collect();
            let known = match names.is_empty() {
                true => "it has none".to_owned(),
                false => format!("it has {}", names.join(", ")),
            };
            return Err(Failure::Usage(format!(
                "inference {} has no blob {}: {known}",
                record.id,
                escaped(name)
            )));
        }
        missing => {
            return Err(Failure::Usage(format!(
                "the blob {} of inference {} {}",
                escaped(name),
                record.id,
                why(&missing)
            )));
        }
    };
    if !out.is_terminal() {
        let written = out.write_all(&bytes);
        return written.map_err(|cause| Failure::io("standard output", cause));
    }
    let Ok(text) = std::str::from_utf8(&bytes) else {
        return Err(Failure::Usage(format!(
            "the blob {} is no text: write it to a file with > FILE",
            escaped(name)
        )));
    };
    text.lines().try_for_each(|line| out.line(escaped(line)))
}

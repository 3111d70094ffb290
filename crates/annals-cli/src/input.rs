//! The kept input of a decision, for people and as JSON.

use annals::entry::{Input, InputValues, KeptInput};
use serde_json::{Value, json};

use crate::table::escaped;
use crate::units;

/// Values that are shown of a long input.
const SHOWN: usize = 8;

/// Why there is no input, as JSON has it.
fn missing(input: &KeptInput) -> &'static str {
    match input {
        KeptInput::GivenUp => "given_up",
        KeptInput::Removed => "removed",
        _ => "not_kept",
    }
}

/// A line about the input, shortened; `None` if it was not to be kept.
pub fn in_words(input: &annals::Result<KeptInput>) -> Option<String> {
    let kept = match input {
        Ok(KeptInput::Kept(kept)) => kept,
        Ok(KeptInput::GivenUp) => return Some("was to be kept, and was given up".to_owned()),
        Ok(KeptInput::Removed) => return Some("was kept, and its file was removed".to_owned()),
        Ok(_) => return None,
        Err(error) => return Some(escaped(&format!("cannot be read: {error}"))),
    };
    let (count, shown) = match &kept.values {
        InputValues::F32(values) => (values.len(), named(kept, values.iter().map(f32_text))),
        InputValues::F64(values) => {
            let shown = values.iter().map(|value| units::real(*value));
            (values.len(), named(kept, shown))
        }
        InputValues::Bytes(bytes) => {
            let text = String::from_utf8_lossy(bytes);
            let start: String = text.chars().take(60).collect();
            let more = if text.chars().nth(60).is_some() {
                " …"
            } else {
                ""
            };
            let size = units::counted(bytes.len() as u64, "byte");
            return Some(format!("{size}: {}{more}", escaped(&start)));
        }
        _ => return None,
    };
    let more = if count > SHOWN { " …" } else { "" };
    Some(format!(
        "{}: {shown}{more}",
        units::counted(count as u64, "value")
    ))
}

fn f32_text(value: &f32) -> String {
    format!("{value}")
}

/// The first values, with their names.
fn named(input: &Input, values: impl Iterator<Item = String>) -> String {
    let names = input.names.iter().map(Some).chain(std::iter::repeat(None));
    let values = names
        .zip(values)
        .take(SHOWN)
        .map(|(name, value)| match name {
            Some(name) => format!("{}={value}", escaped(name)),
            None => value,
        });
    values.collect::<Vec<_>>().join(" ")
}

/// The whole input.
pub fn as_json(input: &annals::Result<KeptInput>) -> Value {
    let kept = match input {
        Ok(KeptInput::Kept(kept)) => kept,
        Ok(other) => return json!({ "missing": missing(other) }),
        Err(error) => return json!({ "missing": "unreadable", "error": error.to_string() }),
    };
    let names: Vec<&str> = kept.names.iter().map(|name| &**name).collect();
    let (kind, values): (_, Vec<Value>) = match &kept.values {
        InputValues::F32(values) => {
            let values = values
                .iter()
                .map(|value| real(f64::from(*value), value.to_string()));
            ("f32", values.collect())
        }
        InputValues::F64(values) => {
            let values = values.iter().map(|value| real(*value, value.to_string()));
            ("f64", values.collect())
        }
        InputValues::Bytes(bytes) => ("bytes", bytes.iter().map(|byte| json!(byte)).collect()),
        _ => ("unknown", Vec::new()),
    };
    json!({ "type": kind, "names": names, "values": values })
}

/// A number; one that JSON cannot have is a text, as in entries.
fn real(value: f64, text: String) -> Value {
    if value.is_finite() {
        json!(value)
    } else {
        json!(text)
    }
}

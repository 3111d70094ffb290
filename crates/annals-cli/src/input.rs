//! The kept input of a decision, for people and as JSON.

use annals::entry::{Input, InputValues, KeptInput};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::table::escaped;
use crate::units;

/// Bytes of an input, and of the names of its values, that a journal takes.
const MOST_BYTES: usize = 1 << 20;
const MOST_NAMES: usize = 64 << 10;
/// Values that are shown of a long input.
const SHOWN: usize = 8;

/// Why an input that was to be kept is not there.
pub fn missing(input: &KeptInput) -> Option<&'static str> {
    match input {
        KeptInput::GivenUp => Some("given_up"),
        KeptInput::Removed => Some("removed"),
        _ => None,
    }
}

/// Bytes that it takes in memory, about.
pub fn bytes(input: &KeptInput) -> usize {
    match input {
        KeptInput::Kept(input) => match &input.values {
            InputValues::F32(values) => size_of_val(&values[..]),
            InputValues::F64(values) => size_of_val(&values[..]),
            InputValues::Bytes(bytes) => bytes.len(),
            _ => 0,
        },
        _ => 0,
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

/// The whole input as JSON, or why there is none.
pub fn as_json(input: &annals::Result<KeptInput>) -> Value {
    match input {
        Ok(KeptInput::NotKept) => json!({ "missing": "not_kept" }),
        Ok(input) => serde_json::from_str(&as_text(input)).unwrap_or_default(),
        Err(error) => json!({ "missing": "unreadable", "error": error.to_string() }),
    }
}

/// The text of that. It is put together here, since a long vector would take many times its bytes
/// as a [`Value`].
pub fn as_text(input: &KeptInput) -> String {
    let mut text = String::new();
    let kept = match input {
        KeptInput::Kept(kept) => kept,
        other => return json!({ "missing": missing(other) }).to_string(),
    };
    match &kept.values {
        InputValues::F32(values) => {
            text.push_str(r#"{"type":"f32","values":["#);
            list(&mut text, values.iter().map(|value| f32_json(*value)));
        }
        InputValues::F64(values) => {
            text.push_str(r#"{"type":"f64","values":["#);
            list(&mut text, values.iter().map(|value| f64_json(*value)));
        }
        InputValues::Bytes(bytes) => {
            text.push_str(r#"{"type":"bytes","hex":""#);
            bytes.iter().for_each(|byte| {
                for half in [byte >> 4, byte & 15] {
                    text.push(char::from_digit(half.into(), 16).unwrap_or('0'));
                }
            });
            text.push('"');
        }
        _ => text.push_str(r#"{"type":"unknown""#),
    }
    if !kept.names.is_empty() {
        let names: Vec<&str> = kept.names.iter().map(|name| &**name).collect();
        text.push_str(",\"names\":");
        text.push_str(&json!(names).to_string());
    }
    text.push('}');
    text
}

fn list(text: &mut String, values: impl Iterator<Item = String>) {
    for (place, value) in values.enumerate() {
        if place > 0 {
            text.push(',');
        }
        text.push_str(&value);
    }
    text.push(']');
}

/// A number that is read again bit by bit, through `f64`.
fn f32_json(value: f32) -> String {
    if value.is_nan() {
        return nan(
            value.to_bits() == f32::NAN.to_bits(),
            value.to_bits().into(),
            8,
        );
    }
    if value.is_infinite() {
        return format!("\"{value}\"");
    }
    // Few of the shortest texts are read as another number, through `f64`.
    let shortest = value.to_string().parse::<f64>().unwrap_or_default();
    let is_same = real32(shortest).to_bits() == value.to_bits();
    let exact = if is_same { shortest } else { value.into() };
    json!(exact).to_string()
}

fn f64_json(value: f64) -> String {
    if value.is_nan() {
        return nan(value.to_bits() == f64::NAN.to_bits(), value.to_bits(), 16);
    }
    if value.is_infinite() {
        return format!("\"{value}\"");
    }
    json!(value).to_string()
}

/// The text of a NaN; one of other bits than the usual has them.
fn nan(is_usual: bool, bits: u64, digits: usize) -> String {
    if is_usual {
        "\"NaN\"".to_owned()
    } else {
        format!("\"NaN:{bits:0digits$x}\"")
    }
}

#[allow(clippy::cast_possible_truncation, reason = "it was an f32 once")]
fn real32(value: f64) -> f32 {
    value as f32
}

/// An input as JSON has it.
#[derive(Deserialize)]
pub struct JsonInput {
    #[serde(rename = "type")]
    kind: Option<String>,
    values: Option<Vec<JsonReal>>,
    hex: Option<String>,
    #[serde(default)]
    names: Vec<String>,
    missing: Option<String>,
}

/// A number of an input, or the word for one that JSON has none for.
#[derive(Deserialize)]
#[serde(untagged)]
enum JsonReal {
    Finite(f64),
    Word(String),
}

impl JsonInput {
    /// The input.
    ///
    /// # Errors
    /// What cannot be read, and why.
    pub fn read(&self) -> Result<KeptInput, String> {
        if let Some(missing) = &self.missing {
            return match &**missing {
                "given_up" => Ok(KeptInput::GivenUp),
                "removed" => Ok(KeptInput::Removed),
                "not_kept" => Ok(KeptInput::NotKept),
                other => Err(format!(
                    "the word {other:?} for a missing input is not known"
                )),
            };
        }
        let kind = self.kind.as_deref().ok_or("it has no type")?;
        let numbers = || self.values.as_ref().ok_or("it has no values");
        let values = match kind {
            "f32" => {
                let values: Result<Vec<f32>, _> = numbers()?.iter().map(JsonReal::as_f32).collect();
                InputValues::F32(values?.into())
            }
            "f64" => {
                let values: Result<Vec<f64>, _> = numbers()?.iter().map(JsonReal::as_f64).collect();
                InputValues::F64(values?.into())
            }
            "bytes" => {
                let hex = self.hex.as_deref().ok_or("it has no hex")?;
                InputValues::Bytes(unhex(hex)?.into())
            }
            other => return Err(format!("the type {other:?} is not known")),
        };
        let kept = KeptInput::Kept(Input::new(values, &self.names));
        if bytes(&kept) > MOST_BYTES {
            return Err(format!("it has {} bytes; 1 MiB is the most", bytes(&kept)));
        }
        let names: usize = self.names.iter().map(|name| name.len() + 1).sum();
        if names > MOST_NAMES {
            return Err(format!("its names have {names} bytes; 64 KiB are the most"));
        }
        Ok(kept)
    }
}

impl JsonReal {
    fn as_f32(&self) -> Result<f32, String> {
        match self {
            JsonReal::Finite(value) => Ok(real32(*value)),
            JsonReal::Word(word) => {
                let bits = word
                    .strip_prefix("NaN:")
                    .map(|bits| u32::from_str_radix(bits, 16));
                match bits {
                    Some(bits) => bits.map(f32::from_bits).map_err(|_| no_number(word)),
                    None => word.parse().map_err(|_| no_number(word)),
                }
            }
        }
    }

    fn as_f64(&self) -> Result<f64, String> {
        match self {
            JsonReal::Finite(value) => Ok(*value),
            JsonReal::Word(word) => {
                let bits = word
                    .strip_prefix("NaN:")
                    .map(|bits| u64::from_str_radix(bits, 16));
                match bits {
                    Some(bits) => bits.map(f64::from_bits).map_err(|_| no_number(word)),
                    None => word.parse().map_err(|_| no_number(word)),
                }
            }
        }
    }
}

fn no_number(word: &str) -> String {
    let shown: String = word.chars().take(40).collect();
    format!("{shown:?} is no number")
}

fn unhex(text: &str) -> Result<Vec<u8>, String> {
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let pairs = text.as_bytes().chunks(2).map(|pair| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    });
    let bytes: Option<Vec<u8>> = pairs.collect();
    bytes.ok_or_else(|| "hex has something else than pairs of hexadecimal digits".to_owned())
}

//! Words of the files beside weights: JSON as Python writes it, numbers, texts of bounded size.

use std::path::Path;
use std::{fs, io};

use serde_json::Value;

use crate::fs::disk;

/// A larger file of words beside the weights is not read.
const MOST_TEXT: u64 = 16 << 20;
/// Columns and keys that are taken from one such file.
pub(super) const MOST_FIELDS: usize = 1_000;

/// Sets a metric, if its name can be one's.
pub(super) fn set(metrics: &mut Vec<(String, f64)>, name: &str, value: f64) {
    let has_room = metrics.len() < MOST_FIELDS;
    let is_name = crate::entry::name::check_word("metric", name).is_ok();
    match metrics.iter_mut().find(|(known, _)| known == name) {
        Some((_, known)) => *known = value,
        None if has_room && is_name => {
            metrics.push((name.to_owned(), value));
        }
        None => {}
    }
}

/// Sets a metric for each number of an object.
pub(super) fn numbers(json: &Value, metrics: &mut Vec<(String, f64)>) {
    for (name, value) in json.as_object().into_iter().flatten() {
        if let Some(value) = real(value) {
            set(metrics, name, value);
        }
    }
}

/// A number, also one that Python wrote as a word.
pub(super) fn real(value: &Value) -> Option<f64> {
    match value {
        Value::String(text) => match text.as_str() {
            "NaN" | "Infinity" | "-Infinity" => text.to_lowercase().parse().ok(),
            _ => None,
        },
        _ => value.as_f64(),
    }
}

/// A number in a text.
pub(super) fn number(text: &str) -> Option<f64> {
    text.parse().ok()
}

/// A count that was written as a number with a point.
pub(super) fn whole(number: f64) -> Option<u64> {
    let text = format!("{number:.0}");
    let is_whole = (0.0..9.0e15).contains(&number);
    text.parse().ok().filter(|_| is_whole)
}

/// The text of a file that is no larger than what is read.
pub(super) fn read_text(path: &Path) -> Option<String> {
    if fs::metadata(path).ok()?.len() > MOST_TEXT {
        return None;
    }
    let mut file = disk::open_regular_anywhere(path).ok()?;
    let mut text = String::new();
    let limited = io::Read::take(&mut file, MOST_TEXT);
    io::Read::read_to_string(&mut { limited }, &mut text).ok()?;
    Some(text)
}

/// Reads JSON as Python writes it: its words for numbers become texts.
pub(super) fn read_json(path: &Path) -> Option<Value> {
    let text = read_text(path)?;
    if let Ok(read) = serde_json::from_str(&text) {
        return Some(read);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    let mut within = false;
    while let Some(first) = rest.chars().next() {
        let words = ["-Infinity", "Infinity", "NaN"];
        let word = words
            .iter()
            .find(|word| !within && rest.starts_with(**word));
        let taken = match (word, first) {
            (Some(word), _) => {
                out.push('"');
                out.push_str(word);
                out.push('"');
                rest = rest.get(word.len()..)?;
                continue;
            }
            (None, '\\') if within => 1 + rest.chars().nth(1).map_or(0, char::len_utf8),
            (None, '"') => {
                within = !within;
                1
            }
            (None, _) => first.len_utf8(),
        };
        out.push_str(rest.get(..taken)?);
        rest = rest.get(taken..)?;
    }
    serde_json::from_str(&out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_with_a_point_are_whole() {
        assert_eq!(
            (whole(3.0), whole(-1.0), whole(f64::NAN)),
            (Some(3), None, None)
        );
    }
}

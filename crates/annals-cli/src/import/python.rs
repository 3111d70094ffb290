//! JSON as Python writes it: with the words `NaN`, `Infinity` and `-Infinity` for numbers.

use std::borrow::Cow;

/// The words, the longer one first where one begins like another.
const WORDS: [&str; 3] = ["-Infinity", "Infinity", "NaN"];

/// The same as JSON: the words become texts, which are read as numbers where numbers are expected.
/// Nothing within a text is touched.
pub fn as_json(text: &str) -> Cow<'_, str> {
    if !WORDS.iter().any(|word| text.contains(word)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let taken = match first {
            '"' => text_length(rest),
            _ => match WORDS.iter().find(|word| rest.starts_with(**word)) {
                Some(word) => {
                    out.push('"');
                    out.push_str(word);
                    out.push('"');
                    rest = rest.get(word.len()..).unwrap_or_default();
                    continue;
                }
                None => first.len_utf8(),
            },
        };
        let (piece, more) = rest.split_at(taken);
        out.push_str(piece);
        rest = more;
    }
    Cow::Owned(out)
}

/// Bytes of the text that `json` begins with, quotes included.
fn text_length(json: &str) -> usize {
    let mut escaped = false;
    for (index, byte) in json.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return index + 1,
            _ => {}
        }
    }
    json.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_texts_and_texts_stay() {
        for (python, json) in [
            (r#"{"a": NaN}"#, r#"{"a": "NaN"}"#),
            (r#"[Infinity, -Infinity]"#, r#"["Infinity", "-Infinity"]"#),
            (r#"{"NaN": "a \" NaN"}"#, r#"{"NaN": "a \" NaN"}"#),
            (r#"{"é": "NaN", "b": NaN"#, r#"{"é": "NaN", "b": "NaN""#),
            (r#""NaN"#, r#""NaN"#),
            ("plain", "plain"),
        ] {
            assert_eq!(as_json(python), json);
        }
    }
}

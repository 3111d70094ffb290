//! Text from a journal, made safe for a terminal.

use std::fmt::Write;

/// `text`, with dangerous characters written as the text files write them: `\n`, `\r`, `\t`, `\\`
/// or `\u{XXXX}`. Dangerous characters end a line, steer the terminal, reorder its text or stay
/// invisible.
///
/// Two different texts never become the same, so what a table shows can be told apart.
pub fn escaped(text: &str) -> String {
    escape(text, |character| character == '\\' || is_unseen(character))
}

/// A sentence that may quote text from outside: as [`escaped`], but a backslash stays, because
/// sentences hold paths and quoted text. Escapes of fewer than four digits, as Rust's quoting
/// writes them, get the form of all others.
pub fn sentence(text: &str) -> String {
    let text = escape(text, is_unseen);
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once("\\u{") {
        out.push_str(before);
        let digits = after.split('}').next().unwrap_or_default();
        out.push_str("\\u{");
        if digits.len() < 4 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            out.push_str(&"0000"[digits.len()..]);
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

fn escape(text: &str, is_special: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            _ if !is_special(character) => out.push(character),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\\' => out.push_str("\\\\"),
            // Writing into a String never fails.
            _ => _ = write!(out, "\\u{{{:04x}}}", u32::from(character)),
        }
    }
    out
}

/// Control characters, marks and overrides of direction, characters without width, separators of
/// lines and paragraphs, and tags: the same ones as in the text files.
fn is_unseen(character: char) -> bool {
    matches!(
        character,
        '\0'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            | '\u{61c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_steers_a_terminal_or_hides() {
        for (text, shown) in [
            ("plain, ünïcode 猫 | [x]", "plain, ünïcode 猫 | [x]"),
            ("a\nb\rc\td", "a\\nb\\rc\\td"),
            ("\u{1b}[31m\u{7}\u{9b}", "\\u{001b}[31m\\u{0007}\\u{009b}"),
            ("\u{202e}txt.exe\u{202c}", "\\u{202e}txt.exe\\u{202c}"),
            (
                "a\u{200b}b\u{2066}\u{feff}",
                "a\\u{200b}b\\u{2066}\\u{feff}",
            ),
            ("\u{e0041}", "\\u{e0041}"),
            ("C:\\new", "C:\\\\new"),
        ] {
            assert_eq!(escaped(text), shown);
        }
    }

    #[test]
    fn sentences_have_the_same_form() {
        let quoted = format!("{:?} is no model", "a\u{1b}b\u{202e}");
        assert_eq!(sentence(&quoted), "\"a\\u{001b}b\\u{202e}\" is no model");
        assert_eq!(
            sentence("cannot read C:\\x\u{200b}"),
            "cannot read C:\\x\\u{200b}"
        );
        assert_eq!(
            sentence("\\u{} \\u{zz} \\u{12345}"),
            "\\u{0000} \\u{zz} \\u{12345}"
        );
    }
}

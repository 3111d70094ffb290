//! Text from outside, made safe to be part of a line.

use xxhash_rust::xxh3::xxh3_64;

/// Bytes of a name that is shown whole.
const WHOLE: usize = 512;
/// Bytes at the beginning of a longer name that are shown.
const BEGINNING: usize = 480;

/// Appends `text` so that it stays within its column of its line.
///
/// These are written as `\\`, `\|`, `\n`, `\r`, `\t` or `\u{XXXX}`: a backslash, `|`, and
/// characters that end lines, steer terminals, reverse the direction of writing or show nothing.
/// The rest is kept as it is. Different texts stay different. ASCII without any of these is one
/// pass and one copy; other text costs a few ns per character.
pub(crate) fn escape_into(out: &mut Vec<u8>, text: &str) {
    escape::<false>(out, text);
}

/// [`escape_into`] for a name. Many lines repeat it, so a name over 512 bytes is cut: its first
/// characters, up to 480 bytes of them, and `\~` with the hash of the whole name in 16 hexadecimal
/// digits. So different names stay different.
pub(super) fn name_into(out: &mut Vec<u8>, name: &str) {
    name_within::<false>(out, name);
}

/// [`name_into`] for a name within brackets: writes `[` and `]` as `\[` and `\]` as well.
pub(super) fn bracketed_name_into(out: &mut Vec<u8>, name: &str) {
    name_within::<true>(out, name);
}

fn name_within<const BRACKETS: bool>(out: &mut Vec<u8>, name: &str) {
    if name.len() <= WHOLE {
        escape::<BRACKETS>(out, name);
        return;
    }
    let shown = name
        .char_indices()
        .map(|(at, character)| at + character.len_utf8());
    let end = shown
        .take_while(|end| *end <= BEGINNING)
        .last()
        .unwrap_or(0);
    escape::<BRACKETS>(out, &name[..end]);
    out.extend_from_slice(format!("\\~{:016x}", xxh3_64(name.as_bytes())).as_bytes());
}

/// A name as [`name_into`] writes it, padded with spaces to `width` characters; it may be longer.
///
/// For names that many lines share: allocates, so render once and keep it.
pub(crate) fn column(name: &str, width: usize) -> Box<[u8]> {
    let mut out = Vec::with_capacity(name.len().max(width));
    column_into(&mut out, name, width);
    out.into_boxed_slice()
}

/// Appends what [`column()`] returns.
pub(super) fn column_into(out: &mut Vec<u8>, name: &str, width: usize) {
    let start = out.len();
    name_into(out, name);
    // In UTF-8 every character has exactly one byte that is not a continuation, 0b10xx_xxxx.
    let characters = out[start..]
        .iter()
        .filter(|byte| *byte & 0xc0 != 0x80)
        .count();
    out.resize(out.len() + width.saturating_sub(characters), b' ');
}

fn escape<const BRACKETS: bool>(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    // No early exit: that lets the compiler compare many bytes at a time.
    let plain = bytes.iter().fold(true, |plain, byte| {
        plain & is_plain_ascii::<BRACKETS>(*byte)
    });
    if plain {
        out.extend_from_slice(bytes);
        return;
    }
    let mut copied = 0;
    for (at, character) in text.char_indices() {
        if !is_special::<BRACKETS>(character) {
            continue;
        }
        out.extend_from_slice(&bytes[copied..at]);
        copied = at + character.len_utf8();
        match character {
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            '\\' => out.extend_from_slice(b"\\\\"),
            '|' => out.extend_from_slice(b"\\|"),
            '[' => out.extend_from_slice(b"\\["),
            ']' => out.extend_from_slice(b"\\]"),
            _ => push_code_point(out, character),
        }
    }
    out.extend_from_slice(&bytes[copied..]);
}

/// Whether the byte is a whole character that is not escaped.
const fn is_plain_ascii<const BRACKETS: bool>(byte: u8) -> bool {
    let special = matches!(byte, b'\\' | b'|') | (BRACKETS & matches!(byte, b'[' | b']'));
    matches!(byte, b' '..=b'~') & !special
}

const fn is_special<const BRACKETS: bool>(character: char) -> bool {
    match character {
        '[' | ']' => BRACKETS,
        '\\' | '|' => true,
        // C0 with ESC and the line ends, DEL, C1 with NEL: these move cursors and start colours.
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' => true,
        // Marks and overrides of direction reorder the whole line on a terminal. Zero-width
        // characters and the byte order mark make different names look alike.
        '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => true,
        // Line and paragraph separators, then embeddings and overrides of direction.
        '\u{2028}'..='\u{202e}' => true,
        // Tags: invisible copies of ASCII.
        '\u{e0000}'..='\u{e007f}' => true,
        _ => false,
    }
}

/// Appends `\u{XXXX}`: lower-case hexadecimal, at least four digits.
fn push_code_point(out: &mut Vec<u8>, character: char) {
    let code = u32::from(character);
    out.extend_from_slice(b"\\u{");
    for shift in [20, 16, 12, 8, 4, 0] {
        let rest = code >> shift;
        if rest != 0 || shift <= 12 {
            out.push(b"0123456789abcdef"[(rest % 16) as usize]);
        }
    }
    out.push(b'}');
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn escaped(text: &str) -> String {
        let mut out = Vec::new();
        escape_into(&mut out, text);
        String::from_utf8(out).unwrap()
    }

    fn bracketed(text: &str) -> String {
        let mut out = Vec::new();
        escape::<true>(&mut out, text);
        String::from_utf8(out).unwrap()
    }

    /// The inverse of both escapings.
    fn unescaped(text: &str) -> String {
        let mut out = String::new();
        let mut rest = text.chars();
        while let Some(character) = rest.next() {
            if character != '\\' {
                out.push(character);
                continue;
            }
            match rest.next().unwrap() {
                'n' => out.push('\n'),
                'r' => out.push('\r'),
                't' => out.push('\t'),
                'u' => {
                    assert_eq!(rest.next(), Some('{'));
                    let digits: String = rest.by_ref().take_while(|c| *c != '}').collect();
                    let code = u32::from_str_radix(&digits, 16).unwrap();
                    out.push(char::from_u32(code).unwrap());
                }
                kept => out.push(kept),
            }
        }
        out
    }

    /// Any text, rich in the characters that matter here.
    fn texts() -> impl Strategy<Value = String> {
        let special = "[\\x00-\\x1f\\x7f-\\u{a0}|\\\\\\[\\]nu{}\u{61c}\u{200a}-\u{2010}\
            \u{2027}-\u{202f}\u{205f}-\u{2070}\u{feff}\u{e0000}-\u{e0080}]{0,12}";
        prop_oneof![".*", special, "[ -~]{0,40}", "\\PC{0,20}", any::<String>()]
    }

    #[test]
    fn each_class_is_escaped() {
        for (text, expected) in [
            ("", ""),
            ("dqn_agent [v2]", "dqn_agent [v2]"),
            ("a\nb\rc\td\\e|f", r"a\nb\rc\td\\e\|f"),
            (
                "\u{1b}[31m\0\u{7f}\u{80}\u{85}\u{9f}",
                r"\u{001b}[31m\u{0000}\u{007f}\u{0080}\u{0085}\u{009f}",
            ),
            (
                "\u{2028}\u{2029}\u{202a}\u{202e}",
                r"\u{2028}\u{2029}\u{202a}\u{202e}",
            ),
            (
                "\u{200b}\u{200d}\u{200e}\u{200f}",
                r"\u{200b}\u{200d}\u{200e}\u{200f}",
            ),
            (
                "\u{2060}\u{2066}\u{2069}\u{61c}\u{feff}",
                r"\u{2060}\u{2066}\u{2069}\u{061c}\u{feff}",
            ),
            ("\u{e0000}\u{e007f}", r"\u{e0000}\u{e007f}"),
            ("größe €😀\u{a0}", "größe €😀\u{a0}"),
        ] {
            assert_eq!(escaped(text), expected);
        }
        assert_eq!(bracketed("a[b]|"), r"a\[b\]\|");
    }

    #[test]
    fn a_long_name_shows_its_beginning_and_stays_different() {
        let shown = |name: &str| String::from_utf8(column(name, 600).into()).unwrap();
        let whole = "ä".repeat(256);
        assert_eq!(shown(&whole).trim_end(), whole);
        let longer = ["x", "y"].map(|end| shown(&(whole.clone() + end)));
        let beginning = "ä".repeat(240) + "\\~";
        for name in &longer {
            assert!(name.starts_with(&beginning), "{name}");
            assert_eq!(name.trim_end().chars().count(), 240 + 2 + 16);
            assert_eq!(name.chars().count(), 600);
        }
        assert_ne!(longer[0], longer[1]);
        // Characters of three bytes: the cut is between two of them.
        assert!(shown(&"\u{200b}".repeat(9_999)).trim_end().len() < 2_000);
        let mut out = Vec::new();
        bracketed_name_into(&mut out, &"[".repeat(10_000));
        assert_eq!(out.len(), 960 + 18);
    }

    #[test]
    fn columns_count_characters_and_never_cut() {
        assert_eq!(&*column("BUY", 4), b"BUY ");
        assert_eq!(&*column("größe", 7), "größe  ".as_bytes());
        assert_eq!(&*column("a|", 4), br"a\| ");
        assert_eq!(&*column("longer", 4), b"longer");
        assert_eq!(&*column("", 2), b"  ");
    }

    proptest! {
        #[test]
        fn nothing_dangerous_remains(text in texts()) {
            for out in [escaped(&text), bracketed(&text)] {
                prop_assert!(!out.chars().any(char::is_control), "{out:?}");
                for (start, end) in [
                    ('\u{61c}', '\u{61c}'),
                    ('\u{200b}', '\u{200f}'),
                    ('\u{2028}', '\u{202e}'),
                    ('\u{2060}', '\u{206f}'),
                    ('\u{feff}', '\u{feff}'),
                    ('\u{e0000}', '\u{e007f}'),
                ] {
                    prop_assert!(!out.contains(|c| start <= c && c <= end), "{out:?}");
                }
                // An escape is one backslash and one character, so the rest is unescaped.
                let raw = out.replace(r"\\", "").replace(r"\|", "");
                prop_assert!(!raw.contains('|'), "{out:?}");
            }
            let raw = bracketed(&text).replace(r"\\", "").replace(r"\[", "").replace(r"\]", "");
            prop_assert!(!raw.contains(['[', ']']));
        }

        #[test]
        fn escaping_can_be_undone(text in texts()) {
            prop_assert_eq!(&unescaped(&escaped(&text)), &text);
            prop_assert_eq!(&unescaped(&bracketed(&text)), &text);
        }

        #[test]
        fn columns_are_padded_text(text in texts(), width in 0..40usize) {
            let column = String::from_utf8(column(&text, width).into_vec()).unwrap();
            prop_assert_eq!(column, format!("{:<width$}", escaped(&text)));
        }
    }
}

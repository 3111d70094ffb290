//! Lines of a file, each of bounded length.

use std::io::{self, BufRead, Read as _};

/// Mark that some editors begin a file of UTF-8 with.
pub const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The rows read.
#[derive(PartialEq, Eq, Debug)]
pub enum ReadLine {
    Line,
    /// A line of so many bytes, which is left out.
    TooLong(u64),
    End,
}

/// Reads the next line of at most `longest` bytes into `line`.
pub fn next(input: &mut impl BufRead, longest: u64, line: &mut Vec<u8>) -> io::Result<ReadLine> {
    let read = input.by_ref().take(longest).read_until(b'\n', line)?;
    if read == 0 {
        return Ok(ReadLine::End);
    }
    let mut length = read as u64;
    if length < longest || line.ends_with(b"\n") {
        return Ok(ReadLine::Line);
    }
    line.clear();
    loop {
        let buffer = input.fill_buf()?;
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let (taken, is_over) = match end {
            Some(end) => (end + 1, true),
            None => (buffer.len(), buffer.is_empty()),
        };
        input.consume(taken);
        length = length.saturating_add(taken as u64);
        if is_over {
            return Ok(ReadLine::TooLong(length));
        }
    }
}

/// Whether a text that begins so is UTF-16: by its mark, or by every other byte being zero.
pub fn is_utf16(start: &[u8]) -> bool {
    match start {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => true,
        [0, second, 0, fourth, ..] => *second != 0 && *fourth != 0,
        [first, 0, third, 0, ..] => *first != 0 && *third != 0,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_count_once() {
        let mut input = io::BufReader::with_capacity(3, &b"1234\n123456789\n12345\n\nab"[..]);
        let mut lines = Vec::new();
        let mut found = Vec::new();
        loop {
            lines.clear();
            match next(&mut input, 6, &mut lines).unwrap() {
                ReadLine::End => break,
                read => found.push((read, String::from_utf8_lossy(&lines).into_owned())),
            }
        }
        let text = |text: &str| (ReadLine::Line, text.to_owned());
        assert_eq!(
            found,
            [
                text("1234\n"),
                (ReadLine::TooLong(10), String::new()),
                text("12345\n"),
                text("\n"),
                text("ab"),
            ]
        );
    }

    #[test]
    fn utf16_is_told_from_utf8() {
        assert!(is_utf16(b"\xff\xfe{\0") && is_utf16(b"{\0\"\0") && is_utf16(b"\0{\0\""));
        assert!(!is_utf16(b"{\"a\"") && !is_utf16(b"") && !is_utf16(b"\xef\xbb\xbf{"));
    }
}

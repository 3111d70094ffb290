//! Text, also of what is compressed: told by its content, because a pipe has no name.

use std::io::{self, BufRead, BufReader, Read};

/// Bytes that are read ahead.
const AHEAD: usize = 1 << 18;

/// How a file is compressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Packing {
    Gzip,
    Zstd,
}

impl Packing {
    /// The compression of a file that begins so; no text begins so.
    pub fn of_start(start: &[u8]) -> Option<Self> {
        match start {
            [0x1f, 0x8b, ..] => Some(Packing::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Packing::Zstd),
            // A frame that says something else, and is skipped.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Packing::Zstd),
            _ => None,
        }
    }

    /// The command that unpacks it.
    pub fn command(self) -> &'static str {
        match self {
            Packing::Gzip => "gunzip",
            Packing::Zstd => "unzstd",
        }
    }
}

/// A file's name without the ending that says how it is compressed.
pub fn without_ending(name: &str) -> &str {
    let endings = [".gz", ".zst", ".zstd"];
    let plain = endings.iter().find_map(|ending| name.strip_suffix(ending));
    plain.unwrap_or(name)
}

/// The text.
pub fn unpacked<'r>(mut input: impl Read + 'r) -> io::Result<Box<dyn BufRead + 'r>> {
    // A pipe may give these few bytes one by one.
    let mut start = Vec::with_capacity(4);
    input.by_ref().take(4).read_to_end(&mut start)?;
    let packing = Packing::of_start(&start);
    let input = BufReader::with_capacity(AHEAD, io::Cursor::new(start).chain(input));
    Ok(match packing {
        None => Box::new(input),
        Some(Packing::Gzip) => {
            let unpacked = flate2::bufread::MultiGzDecoder::new(input);
            Box::new(BufReader::with_capacity(AHEAD, unpacked))
        }
        // It refuses frames that would need more than 128 MB, as the zstd command does.
        Some(Packing::Zstd) => {
            let unpacked = zstd::stream::read::Decoder::with_buffer(input)?;
            Box::new(BufReader::with_capacity(AHEAD, unpacked))
        }
    })
}

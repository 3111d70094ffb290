//! Compressed inputs: four bytes with the length, little-endian, and the content, deflated.

use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;

use crate::entry::input::{InputKind, MOST_INPUT};

/// Shorter content is not worth it.
const LEAST: usize = 128;
/// Bytes of the length.
const HEAD: usize = 4;

/// Content of at most 1 MiB as it is kept: compressed, if that is shorter by a sixteenth.
pub(crate) fn compressed(bytes: &[u8]) -> (InputKind, Vec<u8>) {
    let plain = || (InputKind::Bytes, bytes.to_vec());
    let Some(length) = u32::try_from(bytes.len())
        .ok()
        .filter(|_| bytes.len() >= LEAST)
    else {
        return plain();
    };
    let mut kept = Vec::with_capacity(HEAD + bytes.len() / 2);
    kept.extend(length.to_le_bytes());
    // The fastest: the caller waits for it.
    let mut encoder = DeflateEncoder::new(kept, Compression::fast());
    let written = encoder.write_all(bytes).and_then(|()| encoder.finish());
    match written {
        Ok(kept) if kept.len() < bytes.len() - bytes.len() / 16 => (InputKind::Deflated, kept),
        // Writing into a vector cannot fail.
        Ok(_) | Err(_) => plain(),
    }
}

/// What was compressed; `None` if nothing was compressed to these bytes.
pub(super) fn inflated(kept: &[u8]) -> Option<Vec<u8>> {
    let (length, rest) = kept.split_first_chunk::<HEAD>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    // No length is believed beyond what an input may have.
    if length > MOST_INPUT {
        return None;
    }
    let mut bytes = Vec::with_capacity(length);
    let mut decoder = DeflateDecoder::new(rest).take(length as u64 + 1);
    decoder.read_to_end(&mut bytes).ok()?;
    (bytes.len() == length).then_some(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_was_compressed_comes_back() {
        let text = "the same words again and again, ".repeat(2_000);
        let (kind, kept) = compressed(text.as_bytes());
        assert_eq!(kind, InputKind::Deflated);
        assert!(kept.len() < text.len() / 20, "{}", kept.len());
        assert_eq!(inflated(&kept).unwrap(), text.as_bytes());
        // One content has one form, or it would not be stored once.
        assert_eq!(compressed(text.as_bytes()).1, kept);
        // What gains nothing stays as it is.
        let noise: Vec<u8> = (0..500_u64)
            .flat_map(|number| xxhash_rust::xxh3::xxh3_64(&number.to_le_bytes()).to_le_bytes())
            .collect();
        assert_eq!(compressed(&noise), (InputKind::Bytes, noise));
        assert_eq!(compressed(b"short"), (InputKind::Bytes, b"short".to_vec()));
        assert_eq!(compressed(b"").1, b"");
    }

    #[test]
    fn lies_are_refused() {
        let text = "words, ".repeat(100);
        let (_, kept) = compressed(text.as_bytes());
        for end in 0..kept.len() {
            assert_eq!(inflated(&kept[..end]), None, "{end}");
        }
        for length in [0, 1, 699, 701, u32::MAX] {
            let mut lies = kept.clone();
            lies[..HEAD].copy_from_slice(&length.to_le_bytes());
            assert_eq!(inflated(&lies), None, "{length}");
        }
        // Far more than it says: nothing is read behind that.
        let (_, mut bomb) = compressed(&vec![0; MOST_INPUT]);
        bomb[..HEAD].copy_from_slice(&9_u32.to_le_bytes());
        assert_eq!(inflated(&bomb), None);
    }
}

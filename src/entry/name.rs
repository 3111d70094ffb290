//! Names that users give: compared quickly, checked, and shown in messages.

use crate::entry::error::{Error, Result};

/// Bytes that a metric, tag or alias may have.
pub(crate) const LONGEST_WORD: usize = 255;

/// A name for messages: not longer than a line.
pub(crate) fn shown(name: &str) -> String {
    match name.char_indices().nth(200) {
        Some((end, _)) => format!("{}… ({} bytes)", &name[..end], name.len()),
        None => name.to_owned(),
    }
}

/// The error for a name that is refused.
pub(crate) fn refused(what: &'static str, name: &str, reason: &'static str) -> Error {
    Error::InvalidName {
        what,
        name: shown(name),
        reason,
    }
}

/// Refuses a text that cannot be the name of a metric, a tag or an alias.
pub(crate) fn check_word(what: &'static str, name: &str) -> Result<()> {
    if name.is_empty() {
        return Err(refused(what, name, "it is empty"));
    }
    if name.len() > LONGEST_WORD {
        return Err(refused(what, name, "it is longer than 255 bytes"));
    }
    if name.chars().any(char::is_control) {
        return Err(refused(what, name, "it contains a control character"));
    }
    Ok(())
}

/// Whether two names are the same, without a call for those of usual length: their first bytes and
/// their last ones, which may overlap.
#[inline]
pub(crate) fn is_same(one: &str, other: &str) -> bool {
    #[inline]
    fn ends<const N: usize>(name: &str) -> Option<(&[u8; N], &[u8; N])> {
        let name = name.as_bytes();
        Some((name.first_chunk()?, name.last_chunk()?))
    }
    one.len() == other.len()
        && match one.len() {
            2..4 => ends::<2>(one) == ends::<2>(other),
            4..8 => ends::<4>(one) == ends::<4>(other),
            8..16 => ends::<8>(one) == ends::<8>(other),
            16..=32 => ends::<16>(one) == ends::<16>(other),
            _ => one == other,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_of_a_name_counts() {
        for length in 0..70 {
            let name = "a".repeat(length);
            assert!(is_same(&name, &name.clone()));
            assert!(!is_same(&name, &"a".repeat(length + 1)));
            for changed in 0..length {
                let mut other = name.clone();
                other.replace_range(changed..=changed, "b");
                assert!(!is_same(&name, &other), "{other}");
            }
        }
    }
}

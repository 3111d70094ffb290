//! Kinds of names, and their greatest lengths.

/// Kind of a name. The number is stored.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum NameKind {
    Model = 1,
    Symbol = 2,
    Action = 3,
    Checkpoint = 4,
    /// The labels of a list of probabilities, joined by [`LABEL_SEPARATOR`].
    Labels = 5,
    Component = 6,
    /// Name of a named value of an outcome.
    OutcomeName = 7,
}

/// Joins labels into one name; a label that contains it is written out instead.
pub(crate) const LABEL_SEPARATOR: char = '\u{1f}';

/// A longer name is written out in its row: a table of long texts is of no use.
pub(crate) const LONGEST_NAME: usize = 255;

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

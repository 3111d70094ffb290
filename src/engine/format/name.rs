//! Kinds of names, and how labels become one.

use std::borrow::Cow;

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
    /// The names of the values of an input, joined like labels.
    FeatureNames = 8,
    /// Name of an attribute that a recorder has bound.
    AttributeName = 9,
}

impl NameKind {
    /// The kind with this number.
    pub(crate) fn of(number: u8) -> Option<NameKind> {
        Some(match number {
            1 => NameKind::Model,
            2 => NameKind::Symbol,
            3 => NameKind::Action,
            4 => NameKind::Checkpoint,
            5 => NameKind::Labels,
            6 => NameKind::Component,
            7 => NameKind::OutcomeName,
            8 => NameKind::FeatureNames,
            9 => NameKind::AttributeName,
            _ => return None,
        })
    }
}

/// How many kinds there are; their numbers begin with 1.
pub(crate) const KINDS: usize = 9;

/// Joins labels into one name.
pub(crate) const LABEL_SEPARATOR: char = '\u{1f}';
/// In a label, this and an `s` stand for the separator, and this and an `e` for itself.
const LABEL_ESCAPE: char = '\u{1e}';
/// Both.
pub(crate) const LABEL_SPECIAL: [char; 2] = [LABEL_SEPARATOR, LABEL_ESCAPE];

/// One name for all `labels`, of which there is at least one.
pub(crate) fn join_labels<'a>(labels: impl IntoIterator<Item = &'a str>) -> String {
    let mut joined = String::new();
    for (index, label) in labels.into_iter().enumerate() {
        if index > 0 {
            joined.push(LABEL_SEPARATOR);
        }
        for letter in label.chars() {
            match letter {
                LABEL_SEPARATOR => joined.extend([LABEL_ESCAPE, 's']),
                LABEL_ESCAPE => joined.extend([LABEL_ESCAPE, 'e']),
                letter => joined.push(letter),
            }
        }
    }
    joined
}

/// The labels that a name joins.
pub(crate) fn split_labels(joined: &str) -> impl Iterator<Item = Cow<'_, str>> {
    joined.split(LABEL_SEPARATOR).map(|label| {
        if !label.contains(LABEL_ESCAPE) {
            return Cow::Borrowed(label);
        }
        let mut letters = label.chars();
        let mut plain = String::with_capacity(label.len());
        while let Some(letter) = letters.next() {
            plain.push(match letter {
                LABEL_ESCAPE => match letters.next() {
                    Some('s') => LABEL_SEPARATOR,
                    _ => LABEL_ESCAPE,
                },
                letter => letter,
            });
        }
        Cow::Owned(plain)
    })
}

/// Longer names are found by a digest, and a process does not keep their numbers for every thread.
pub(crate) const LONGEST_NAME: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_come_back_whatever_is_in_them() {
        let labels = [
            "",
            "a",
            "\u{1f}",
            "\u{1e}",
            "\u{1e}s",
            "s\u{1f}e\u{1e}",
            "é",
        ];
        for first in labels {
            let joined = join_labels([first]);
            assert_eq!(split_labels(&joined).collect::<Vec<_>>(), [first]);
            for second in labels {
                let joined = join_labels([first, second]);
                assert_eq!(split_labels(&joined).collect::<Vec<_>>(), [first, second]);
            }
        }
        assert_eq!(join_labels(["BUY", "SELL"]), "BUY\u{1f}SELL");
    }
}

//! Columns that hold what turned out for a row's decision: which ones, and their values.

use std::sync::Arc;

use annals::Outcome;
use rusqlite::types::ValueRef;

use super::decision::FieldLoss;
use super::values;
use crate::failure::{Failure, Result};
use crate::near;

/// What a column says, and its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutcomeColumn {
    what: What,
    column: String,
}

/// The value of an outcome that a column holds.
#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    Reward,
    Correct,
    Label,
    Named(Arc<str>),
}

impl What {
    fn of(name: &str) -> What {
        match name {
            "reward" => What::Reward,
            "correct" => What::Correct,
            "label" => What::Label,
            name => What::Named(name.into()),
        }
    }
}

impl std::str::FromStr for OutcomeColumn {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, column)) if !name.is_empty() && !column.is_empty() => Ok(OutcomeColumn {
                what: What::of(name),
                column: column.to_owned(),
            }),
            _ => Err("say NAME=COLUMN, for example reward=pnl".to_owned()),
        }
    }
}

/// The columns as a table with these columns spells them. One that is not there, or a value that
/// two columns hold, is an error.
pub fn matched(wanted: &[OutcomeColumn], there: &[String]) -> Result<Vec<OutcomeColumn>> {
    let mut found: Vec<OutcomeColumn> = Vec::new();
    for one in wanted {
        let mut columns = there.iter();
        let column = columns.find(|column| column.eq_ignore_ascii_case(&one.column));
        let Some(column) = column else {
            let shows = "sqlite3 FILE .schema lists them";
            return Err(near::unknown("column", &one.column, there, shows));
        };
        if found.iter().any(|known| known.what == one.what) {
            let text = format!("--outcome says twice which column holds {}", one.name());
            return Err(Failure::Usage(text));
        }
        found.push(OutcomeColumn {
            what: one.what.clone(),
            column: column.clone(),
        });
    }
    Ok(found)
}

impl OutcomeColumn {
    /// The column's name.
    pub fn column(&self) -> &str {
        &self.column
    }

    fn name(&self) -> &str {
        match &self.what {
            What::Reward => "reward",
            What::Correct => "correct",
            What::Label => "label",
            What::Named(name) => name,
        }
    }
}

/// The outcomes of a row.
#[derive(Default)]
pub struct RowOutcomes {
    reward: Option<f64>,
    correct: Option<bool>,
    label: Option<String>,
    values: Vec<(Arc<str>, f64)>,
    /// Values that were not taken over as they are.
    pub losses: Vec<FieldLoss>,
}

impl RowOutcomes {
    /// Takes in the value of a column.
    pub fn read(&mut self, column: &OutcomeColumn, value: ValueRef<'_>) {
        let read = match &column.what {
            What::Correct => yes_or_no(value).map(|correct| self.correct = correct),
            What::Label => {
                let text = values::text(value).filter(|text| !text.is_empty());
                self.label = text.map(std::borrow::Cow::into_owned);
                match values::is_text(value) {
                    true => Ok(()),
                    false => Err((
                        "no UTF-8",
                        "its bytes that are none become U+FFFD".to_owned(),
                    )),
                }
            }
            What::Reward | What::Named(_) => number(value).map(|number| {
                let Some(number) = number else { return };
                match &column.what {
                    What::Named(name) => self.values.push((name.clone(), number.value)),
                    _ => self.reward = Some(number.value),
                }
                if number.is_rounded {
                    let why = format!("it is rounded to {}", number.value);
                    self.lose(column, "more than 53 bits", &why);
                }
            }),
        };
        if let Err((reason, why)) = read {
            self.lose(column, reason, &why);
        }
    }

    fn lose(&mut self, column: &OutcomeColumn, reason: &'static str, why: &str) {
        let field = format!("outcome {}", column.name());
        let why = format!("{}: {why}", column.column);
        self.losses.push(FieldLoss {
            field: field.into(),
            reason,
            why,
        });
    }

    /// The outcome; `None` if no column has a value.
    pub fn outcome(&self) -> Option<Outcome<'_>> {
        let is_none = self.reward.is_none()
            && self.correct.is_none()
            && self.label.is_none()
            && self.values.is_empty();
        if is_none {
            return None;
        }
        let mut outcome = Outcome::new();
        if let Some(reward) = self.reward {
            outcome = outcome.reward(reward);
        }
        if let Some(correct) = self.correct {
            outcome = outcome.correct(correct);
        }
        if let Some(label) = &self.label {
            outcome = outcome.label(label);
        }
        for (name, value) in &self.values {
            outcome = outcome.value(name, *value);
        }
        Some(outcome)
    }
}

/// A value that cannot be read: the kind of reason, and the reason in full.
type Unread = (&'static str, String);

struct ReadNumber {
    value: f64,
    is_rounded: bool,
}

/// A number. Of one that no `f64` is, the nearest; NaN and infinity only where they are written.
fn number(value: ValueRef<'_>) -> Result<Option<ReadNumber>, Unread> {
    let shown = values::shown(value);
    let number = values::number(value).map_err(|why| ("no number", why))?;
    let Some(read) = number else { return Ok(None) };
    let text = match value {
        ValueRef::Text(bytes) => String::from_utf8_lossy(bytes).trim().to_lowercase(),
        _ => String::new(),
    };
    if read.is_infinite() && !text.is_empty() && !text.contains("inf") {
        let why = format!("{shown} is more than a number holds; taken in without it");
        return Err(("more than a number holds", why));
    }
    let whole = match value {
        ValueRef::Integer(whole) => Some(i128::from(whole)),
        _ => text.parse::<i128>().ok(),
    };
    #[allow(
        clippy::cast_possible_truncation,
        reason = "it saturates, and is then another number"
    )]
    let is_rounded = whole.is_some_and(|whole| read as i128 != whole);
    Ok(Some(ReadNumber {
        value: read,
        is_rounded,
    }))
}

/// Yes or no, in the ways in which SQLite, Python and people write it.
fn yes_or_no(value: ValueRef<'_>) -> Result<Option<bool>, Unread> {
    let unread = || {
        let shown = values::shown(value);
        let why = format!("{shown} is neither yes nor no; taken in without it");
        Err(("neither yes nor no", why))
    };
    match value {
        ValueRef::Null => Ok(None),
        // numpy's booleans arrive as their byte if they are not converted.
        ValueRef::Integer(0) | ValueRef::Blob([0]) => Ok(Some(false)),
        ValueRef::Integer(1) | ValueRef::Blob([1]) => Ok(Some(true)),
        ValueRef::Real(0.0) => Ok(Some(false)),
        ValueRef::Real(number) if number.to_bits() == 1.0_f64.to_bits() => Ok(Some(true)),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            let text = String::from_utf8_lossy(bytes).trim().to_lowercase();
            match &*text {
                "" => Ok(None),
                "1" | "1.0" | "true" | "t" | "yes" | "y" => Ok(Some(true)),
                "0" | "0.0" | "false" | "f" | "no" | "n" => Ok(Some(false)),
                _ => unread(),
            }
        }
        ValueRef::Integer(_) | ValueRef::Real(_) => unread(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
    use super::*;

    #[test]
    fn an_option_names_a_value_and_a_column() {
        let parsed: OutcomeColumn = "reward=pnl = net".parse().unwrap();
        assert_eq!(
            (&parsed.what, parsed.column()),
            (&What::Reward, "pnl = net")
        );
        for bad in ["", "reward", "=pnl", "reward="] {
            assert!(bad.parse::<OutcomeColumn>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_number_is_what_is_written_or_lost() {
        let read = |value| number(value).map(|read| read.map(|read| (read.value, read.is_rounded)));
        assert_eq!(read(ValueRef::Null), Ok(None));
        assert_eq!(read(ValueRef::Text(b" ")), Ok(None));
        assert_eq!(read(ValueRef::Text(b"-2.5")), Ok(Some((-2.5, false))));
        assert_eq!(
            read(ValueRef::Text(b"-inf")),
            Ok(Some((f64::NEG_INFINITY, false)))
        );
        assert!(read(ValueRef::Text(b"NaN")).unwrap().unwrap().0.is_nan());
        let long = "9".repeat(400);
        for far in ["1e400", "-1e400", &long] {
            assert!(read(ValueRef::Text(far.as_bytes())).is_err(), "{far}");
        }
        let odd = (1_i64 << 53) + 1;
        assert_eq!(
            read(ValueRef::Integer(odd)),
            Ok(Some((9_007_199_254_740_992.0, true)))
        );
        assert_eq!(
            read(ValueRef::Integer(odd - 1)),
            Ok(Some((9_007_199_254_740_992.0, false)))
        );
        assert!(read(ValueRef::Integer(i64::MAX)).unwrap().unwrap().1);
        assert!(!read(ValueRef::Integer(i64::MIN)).unwrap().unwrap().1);
        assert!(read(ValueRef::Text(b"much")).is_err());
        assert!(read(ValueRef::Blob(b"abc")).is_err());
    }

    #[test]
    fn yes_and_no_are_written_in_many_ways() {
        let yes: [&[u8]; 5] = [b"True", b" yes ", b"1", b"T", b"1.0"];
        for text in yes {
            assert_eq!(yes_or_no(ValueRef::Text(text)), Ok(Some(true)), "{text:?}");
        }
        assert_eq!(yes_or_no(ValueRef::Blob(&[0])), Ok(Some(false)));
        assert_eq!(yes_or_no(ValueRef::Real(-0.0)), Ok(Some(false)));
        assert_eq!(yes_or_no(ValueRef::Null), Ok(None));
        for other in [
            ValueRef::Integer(2),
            ValueRef::Real(f64::NAN),
            ValueRef::Text(b"BUY"),
        ] {
            assert!(yes_or_no(other).is_err(), "{other:?}");
        }
    }
}

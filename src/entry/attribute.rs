//! Attributes under names that a recorder binds, and conditions on attributes.

use std::ops::{
    Bound, Range, RangeBounds, RangeFrom, RangeFull, RangeInclusive, RangeTo, RangeToInclusive,
};

use super::features::Float;
use super::typed::{AttributeType, TypedRef};
use super::value::Value;

/// The value of a bound attribute, for
/// [`Prepared::attribute_values`](crate::record::Prepared::attribute_values). It borrows its text.
///
/// ```
/// use annals::entry::AttributeValue;
///
/// assert_eq!(AttributeValue::from(0.25), AttributeValue::Real(0.25));
/// assert_eq!(AttributeValue::from(-3), AttributeValue::Integer(-3));
/// assert_eq!(AttributeValue::from("paper"), AttributeValue::Text("paper"));
/// assert_eq!(AttributeValue::from(None::<bool>), AttributeValue::Missing);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum AttributeValue<'a> {
    /// The decision has no value of this attribute.
    Missing,
    /// A real number, for [`AttributeType::F32`], which rounds it, and [`AttributeType::F64`].
    Real(f64),
    /// A whole number.
    Integer(i64),
    /// Yes or no.
    Flag(bool),
    /// Text.
    Text(&'a str),
}

impl From<f32> for AttributeValue<'_> {
    fn from(number: f32) -> Self {
        AttributeValue::Real(number.into())
    }
}

impl From<f64> for AttributeValue<'_> {
    fn from(number: f64) -> Self {
        AttributeValue::Real(number)
    }
}

impl From<bool> for AttributeValue<'_> {
    fn from(flag: bool) -> Self {
        AttributeValue::Flag(flag)
    }
}

impl<'a> From<&'a str> for AttributeValue<'a> {
    fn from(text: &'a str) -> Self {
        AttributeValue::Text(text)
    }
}

macro_rules! from_whole {
    ($($whole:ty),*) => { $(
        impl From<$whole> for AttributeValue<'_> {
            fn from(number: $whole) -> Self {
                AttributeValue::Integer(number.into())
            }
        }
    )* };
}

from_whole!(i64, i8, i16, i32, u8, u16, u32);

impl<'a, T: Into<AttributeValue<'a>>> From<Option<T>> for AttributeValue<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(AttributeValue::Missing, Into::into)
    }
}

impl<'a> AttributeValue<'a> {
    /// The value as one of this type; `None` if it is missing, or of another type.
    #[inline]
    pub(crate) fn as_type(self, attribute_type: AttributeType) -> Option<TypedRef<'a>> {
        match (attribute_type, self) {
            (AttributeType::F32, AttributeValue::Real(number)) => {
                Some(TypedRef::F32(number.to_f32()))
            }
            (AttributeType::F64, AttributeValue::Real(number)) => Some(TypedRef::F64(number)),
            (AttributeType::I64, AttributeValue::Integer(number)) => Some(TypedRef::I64(number)),
            (AttributeType::Bool, AttributeValue::Flag(flag)) => Some(TypedRef::Bool(flag)),
            (AttributeType::Text, AttributeValue::Text(text)) => Some(TypedRef::Text(text)),
            _ => None,
        }
    }

    pub(crate) const fn is_missing(self) -> bool {
        matches!(self, AttributeValue::Missing)
    }
}

impl TypedRef<'_> {
    /// The value as readers give it.
    pub(crate) fn to_value(self) -> Value {
        match self {
            // It keeps the digits that it prints with.
            TypedRef::F32(number) => number.into(),
            TypedRef::F64(number) => number.into(),
            TypedRef::I64(number) => number.into(),
            TypedRef::Bool(flag) => Value::Flag(flag),
            TypedRef::Text(text) => text.into(),
        }
    }
}

/// A condition on the value of an attribute, for
/// [`Query::attribute`](crate::Query::attribute): a text, a flag or a number that it equals, or a
/// range of numbers that it lies in.
///
/// ```
/// use annals::Value;
/// use annals::read::AttributeCondition;
///
/// let narrow = AttributeCondition::from(..0.5);
/// assert!(narrow.is_met_by(&Value::Real(0.25)) && narrow.is_met_by(&Value::Integer(-1)));
/// assert!(!narrow.is_met_by(&Value::Real(0.5)) && !narrow.is_met_by(&Value::Text("0".into())));
/// assert!(AttributeCondition::from("paper").is_met_by(&"paper".into()));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct AttributeCondition(Condition);

#[derive(Clone, Debug, PartialEq)]
enum Condition {
    Text(String),
    Flag(bool),
    Integer(i64),
    Within(Bound<f64>, Bound<f64>),
    Shown(String),
    /// There is a value.
    Any,
}

impl AttributeCondition {
    /// It is there, whatever it is.
    ///
    /// ```
    /// use annals::read::AttributeCondition;
    ///
    /// assert!(AttributeCondition::any().is_met_by(&f64::NAN.into()));
    /// ```
    #[must_use]
    pub fn any() -> Self {
        AttributeCondition(Condition::Any)
    }

    /// It is shown as this text, whatever its type: `paper`, `true`, `0.5`. A number also meets it
    /// in another notation, such as `0.50`.
    ///
    /// ```
    /// use annals::Value;
    /// use annals::read::AttributeCondition;
    ///
    /// let seven = AttributeCondition::shown_as("7");
    /// assert!(seven.is_met_by(&Value::Integer(7)) && seven.is_met_by(&"7".into()));
    /// ```
    #[must_use]
    pub fn shown_as(text: impl Into<String>) -> Self {
        AttributeCondition(Condition::Shown(text.into()))
    }

    /// A number within bounds, each of which may belong to it or not.
    ///
    /// ```
    /// use std::ops::Bound;
    /// use annals::Value;
    /// use annals::read::AttributeCondition;
    ///
    /// let above = AttributeCondition::between(Bound::Excluded(0.5), Bound::Unbounded);
    /// assert!(!above.is_met_by(&Value::Real(0.5)) && above.is_met_by(&Value::Real(0.75)));
    /// ```
    #[must_use]
    pub fn between(low: Bound<f64>, high: Bound<f64>) -> Self {
        AttributeCondition(Condition::Within(low, high))
    }

    /// Whether a value meets it. NaN lies in no range.
    ///
    /// ```
    /// use annals::Value;
    /// use annals::read::AttributeCondition;
    ///
    /// assert!(AttributeCondition::from(true).is_met_by(&Value::Flag(true)));
    /// assert!(!AttributeCondition::from(..).is_met_by(&Value::Real(f64::NAN)));
    /// ```
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "bounds are f64")]
    pub fn is_met_by(&self, value: &Value) -> bool {
        let number = match value {
            Value::Real(number) => Some(*number),
            Value::Integer(number) => Some(*number as f64),
            Value::Text(_) | Value::Flag(_) => None,
        };
        match &self.0 {
            Condition::Text(wanted) => matches!(value, Value::Text(text) if text == wanted),
            Condition::Flag(wanted) => *value == Value::Flag(*wanted),
            Condition::Integer(wanted) => match value {
                Value::Integer(number) => number == wanted,
                _ => number.is_some_and(|number| number == *wanted as f64),
            },
            Condition::Within(low, high) => {
                number.is_some_and(|number| !number.is_nan() && (*low, *high).contains(&number))
            }
            Condition::Any => true,
            Condition::Shown(text) => {
                let same = |number: f64| text.parse() == Ok(number);
                value.to_string() == *text || number.is_some_and(same)
            }
        }
    }
}

impl From<&str> for AttributeCondition {
    fn from(text: &str) -> Self {
        AttributeCondition(Condition::Text(text.to_owned()))
    }
}

impl From<String> for AttributeCondition {
    fn from(text: String) -> Self {
        AttributeCondition(Condition::Text(text))
    }
}

impl From<bool> for AttributeCondition {
    fn from(flag: bool) -> Self {
        AttributeCondition(Condition::Flag(flag))
    }
}

impl From<i64> for AttributeCondition {
    fn from(number: i64) -> Self {
        AttributeCondition(Condition::Integer(number))
    }
}

impl From<i32> for AttributeCondition {
    fn from(number: i32) -> Self {
        i64::from(number).into()
    }
}

impl From<f64> for AttributeCondition {
    fn from(number: f64) -> Self {
        AttributeCondition::between(Bound::Included(number), Bound::Included(number))
    }
}

macro_rules! from_range {
    ($($range:ty),*) => { $(
        impl From<$range> for AttributeCondition {
            fn from(range: $range) -> Self {
                let (low, high) = (range.start_bound(), range.end_bound());
                AttributeCondition::between(low.cloned(), high.cloned())
            }
        }
    )* };
}

from_range!(
    Range<f64>,
    RangeInclusive<f64>,
    RangeFrom<f64>,
    RangeTo<f64>,
    RangeToInclusive<f64>
);

impl From<RangeFull> for AttributeCondition {
    fn from(_: RangeFull) -> Self {
        AttributeCondition::between(Bound::Unbounded, Bound::Unbounded)
    }
}

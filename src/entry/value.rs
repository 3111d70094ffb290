//! Values of attributes, which a caller attaches to an inference beyond the fixed fields.

/// The value of an attribute.
///
/// ```
/// use annals::Value;
///
/// assert_eq!(Value::from("paper"), Value::Text("paper".into()));
/// assert_eq!(Value::from(0.25), Value::Real(0.25));
/// assert_eq!(Value::from(17_u32), Value::Integer(17));
/// assert_eq!(Value::from(57.1_f32), Value::Real(57.1));
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// Text.
    Text(String),
    /// A real number.
    Real(f64),
    /// A whole number.
    Integer(i64),
    /// Yes or no.
    Flag(bool),
}

/// The bare value; text without quotation marks.
impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Value::Text(text) => text.fmt(f),
            Value::Real(number) => number.fmt(f),
            Value::Integer(number) => number.fmt(f),
            Value::Flag(flag) => flag.fmt(f),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Text(text)
    }
}

/// An `f32` keeps the digits that it prints with: 0.1 stays 0.1.
impl From<f32> for Value {
    fn from(number: f32) -> Self {
        Value::Real(widened(number))
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Value::Real(number)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Value::Integer(number)
    }
}

macro_rules! from_whole {
    ($($whole:ty),*) => { $(
        impl From<$whole> for Value {
            fn from(number: $whole) -> Self {
                Value::Integer(number.into())
            }
        }
    )* };
}

from_whole!(i8, i16, i32, u8, u16, u32);

/// A number that no `i64` can hold is kept to the digit as text.
macro_rules! from_large {
    ($($whole:ty),*) => { $(
        impl From<$whole> for Value {
            fn from(number: $whole) -> Self {
                let whole = i64::try_from(number);
                whole.map_or_else(|_| Value::Text(number.to_string()), Value::Integer)
            }
        }
    )* };
}

from_large!(u64, usize, isize);

/// A number of metrics, rewards and named values of outcomes, in stored form: made of any number.
///
/// An `f32` keeps the digits that it prints with. Whole numbers beyond 2^53 are rounded.
///
/// ```
/// use annals::{Number, Outcome};
///
/// assert_eq!(Number::from(57.1_f32).get(), 57.1);
/// let outcome = Outcome::new().reward(3).value("tokens", 512_usize);
/// # drop(outcome);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Number(f64);

impl Number {
    /// The number.
    ///
    /// ```
    /// use annals::Number;
    ///
    /// assert_eq!(Number::from(0.5_f32).get(), 0.5);
    /// ```
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl From<f64> for Number {
    fn from(number: f64) -> Self {
        Number(number)
    }
}

impl From<f32> for Number {
    fn from(number: f32) -> Self {
        Number(widened(number))
    }
}

macro_rules! number_from {
    ($($whole:ty),*) => { $(
        impl From<$whole> for Number {
            fn from(number: $whole) -> Self {
                Number(number as f64)
            }
        }
    )* };
}

number_from!(i8, i16, i32, i64, isize, u8, u16, u32, u64, usize);

/// The `f64` with the digits that an `f32` prints with: 57.1 is not stored as 57.099998474121094.
pub(crate) fn widened(number: f32) -> f64 {
    if !number.is_finite() {
        return number.into();
    }
    number.to_string().parse().unwrap_or_else(|_| number.into())
}

impl Value {
    /// The number, whole ones included; `None` for text and flags.
    ///
    /// ```
    /// use annals::Value;
    ///
    /// assert_eq!(Value::from(2).as_f64(), Some(2.0));
    /// assert_eq!(Value::from("two").as_f64(), None);
    /// ```
    #[must_use]
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Value::Real(number) => Some(*number),
            Value::Integer(number) => Some(*number as f64),
            Value::Text(_) | Value::Flag(_) => None,
        }
    }

    /// The whole number; `None` for all else.
    ///
    /// ```
    /// use annals::Value;
    ///
    /// assert_eq!(Value::from(7).as_i64(), Some(7));
    /// assert_eq!(Value::from("7").as_i64(), None);
    /// ```
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Value::Integer(number) => Some(*number),
            _ => None,
        }
    }

    /// The text; `None` for all else.
    ///
    /// ```
    /// use annals::Value;
    ///
    /// assert_eq!(Value::from("night").as_str(), Some("night"));
    /// assert_eq!(Value::from(7).as_str(), None);
    /// ```
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Yes or no; `None` for all else.
    ///
    /// ```
    /// use annals::Value;
    ///
    /// assert_eq!(Value::from(true).as_bool(), Some(true));
    /// assert_eq!(Value::from("true").as_bool(), None);
    /// ```
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Flag(flag) => Some(*flag),
            _ => None,
        }
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Value::Flag(flag)
    }
}

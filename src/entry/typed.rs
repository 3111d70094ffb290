//! Values of one type each, under names that are bound once: predictions and attributes.

/// What a typed value is. The number is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum ValueKind {
    Prediction = 0,
    Attribute = 1,
}

/// The type of an attribute that a recorder binds with
/// [`RecorderBuilder::attributes`](crate::record::RecorderBuilder::attributes).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
// The number is stored.
pub enum AttributeType {
    /// A real number of 32 bits. Read back, it has the digits that it prints with.
    F32 = 0,
    /// A real number of 64 bits.
    F64 = 1,
    /// A whole number of 64 bits. A block stores each in as few bytes as its numbers differ by.
    I64 = 2,
    /// Yes or no.
    Bool = 3,
    /// Text.
    Text = 4,
}

impl ValueKind {
    /// The kind with this number.
    pub(crate) const fn of(number: u64) -> Option<ValueKind> {
        match number {
            0 => Some(ValueKind::Prediction),
            1 => Some(ValueKind::Attribute),
            _ => None,
        }
    }
}

impl AttributeType {
    /// The type with this number.
    pub(crate) const fn of(number: u64) -> Option<AttributeType> {
        match number {
            0 => Some(AttributeType::F32),
            1 => Some(AttributeType::F64),
            2 => Some(AttributeType::I64),
            3 => Some(AttributeType::Bool),
            4 => Some(AttributeType::Text),
            _ => None,
        }
    }

    /// Its name, for messages.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            AttributeType::F32 => "F32",
            AttributeType::F64 => "F64",
            AttributeType::I64 => "I64",
            AttributeType::Bool => "Bool",
            AttributeType::Text => "Text",
        }
    }
}

/// A typed value, borrowed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum TypedRef<'a> {
    F32(f32),
    F64(f64),
    I64(i64),
    Bool(bool),
    Text(&'a str),
}

impl<'a> TypedRef<'a> {
    pub(crate) const fn value_type(self) -> AttributeType {
        match self {
            TypedRef::F32(_) => AttributeType::F32,
            TypedRef::F64(_) => AttributeType::F64,
            TypedRef::I64(_) => AttributeType::I64,
            TypedRef::Bool(_) => AttributeType::Bool,
            TypedRef::Text(_) => AttributeType::Text,
        }
    }

    /// The value as 64 bits; a text as none.
    #[inline]
    pub(crate) fn to_bits(self) -> u64 {
        match self {
            TypedRef::F32(number) => number.to_bits().into(),
            TypedRef::F64(number) => number.to_bits(),
            TypedRef::I64(number) => number.cast_unsigned(),
            TypedRef::Bool(flag) => flag.into(),
            TypedRef::Text(_) => 0,
        }
    }

    /// The value of these bits, or the text; `None` if no value has them.
    pub(crate) fn of(value_type: AttributeType, bits: u64, text: &'a str) -> Option<Self> {
        Some(match value_type {
            AttributeType::F32 => TypedRef::F32(f32::from_bits(u32::try_from(bits).ok()?)),
            AttributeType::F64 => TypedRef::F64(f64::from_bits(bits)),
            AttributeType::I64 => TypedRef::I64(bits.cast_signed()),
            AttributeType::Bool if bits > 1 => return None,
            AttributeType::Bool => TypedRef::Bool(bits == 1),
            AttributeType::Text => TypedRef::Text(text),
        })
    }

    /// Bytes of its text.
    pub(crate) const fn text_bytes(self) -> usize {
        match self {
            TypedRef::Text(text) => text.len(),
            _ => 0,
        }
    }

    pub(crate) fn to_owned(self) -> TypedValue {
        match self {
            TypedRef::F32(number) => TypedValue::F32(number),
            TypedRef::F64(number) => TypedValue::F64(number),
            TypedRef::I64(number) => TypedValue::I64(number),
            TypedRef::Bool(flag) => TypedValue::Bool(flag),
            TypedRef::Text(text) => TypedValue::Text(text.into()),
        }
    }
}

/// A typed value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum TypedValue {
    F32(f32),
    F64(f64),
    I64(i64),
    Bool(bool),
    Text(Box<str>),
}

impl TypedValue {
    pub(crate) fn as_typed(&self) -> TypedRef<'_> {
        match self {
            TypedValue::F32(number) => TypedRef::F32(*number),
            TypedValue::F64(number) => TypedRef::F64(*number),
            TypedValue::I64(number) => TypedRef::I64(*number),
            TypedValue::Bool(flag) => TypedRef::Bool(*flag),
            TypedValue::Text(text) => TypedRef::Text(text),
        }
    }
}

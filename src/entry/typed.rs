//! Values of one type each, under names that are bound once: predictions.

/// What a typed value is. The number is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum ValueKind {
    Prediction = 0,
    Attribute = 1,
}

/// The type of a typed value. The number is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum ValueType {
    F32 = 0,
    F64 = 1,
    I64 = 2,
    Bool = 3,
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

impl ValueType {
    /// The type with this number.
    pub(crate) const fn of(number: u64) -> Option<ValueType> {
        match number {
            0 => Some(ValueType::F32),
            1 => Some(ValueType::F64),
            2 => Some(ValueType::I64),
            3 => Some(ValueType::Bool),
            4 => Some(ValueType::Text),
            _ => None,
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
    pub(crate) const fn value_type(self) -> ValueType {
        match self {
            TypedRef::F32(_) => ValueType::F32,
            TypedRef::F64(_) => ValueType::F64,
            TypedRef::I64(_) => ValueType::I64,
            TypedRef::Bool(_) => ValueType::Bool,
            TypedRef::Text(_) => ValueType::Text,
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
    pub(crate) fn of(value_type: ValueType, bits: u64, text: &'a str) -> Option<Self> {
        Some(match value_type {
            ValueType::F32 => TypedRef::F32(f32::from_bits(u32::try_from(bits).ok()?)),
            ValueType::F64 => TypedRef::F64(f64::from_bits(bits)),
            ValueType::I64 => TypedRef::I64(bits.cast_signed()),
            ValueType::Bool if bits > 1 => return None,
            ValueType::Bool => TypedRef::Bool(bits == 1),
            ValueType::Text => TypedRef::Text(text),
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

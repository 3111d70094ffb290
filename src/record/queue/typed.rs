//! Typed values of a call, under names that its recorder has bound.

use super::local_names::{LocalName, LocalNames, NO_NAME};
use super::message::{TypedField, name_kind};
use crate::entry::attribute::AttributeValue;
use crate::entry::typed::{AttributeType, TypedRef, ValueKind};

/// A name that a recorder has bound.
#[derive(Clone, Debug)]
pub(crate) struct BoundName {
    pub(crate) local: LocalName,
    /// The name, if the table of this process has no room for it.
    pub(crate) written: Option<Box<str>>,
}

impl BoundName {
    /// Looks the name up, or enters it.
    pub(crate) fn bind(names: &LocalNames, kind: ValueKind, name: &str) -> BoundName {
        let local = names.id(name_kind(kind), name);
        BoundName {
            local: local.unwrap_or(NO_NAME),
            written: local.is_none().then(|| name.into()),
        }
    }
}

/// An attribute that a recorder has bound.
#[derive(Clone, Debug)]
pub(crate) struct BoundAttribute {
    pub(crate) name: BoundName,
    /// The name, for messages.
    pub(crate) text: Box<str>,
    pub(crate) value_type: AttributeType,
}

/// The typed values of one call. Each list is as long as its names, and attributes are missing or
/// of their type.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GivenValues<'a> {
    pub(crate) prediction_names: &'a [BoundName],
    pub(crate) predictions: &'a [f64],
    pub(crate) bound_attributes: &'a [BoundAttribute],
    pub(crate) attributes: &'a [AttributeValue<'a>],
}

/// One of them.
pub(crate) struct GivenValue<'a> {
    pub(crate) kind: ValueKind,
    pub(crate) name: &'a BoundName,
    pub(crate) value: TypedRef<'a>,
}

impl<'a> GivenValues<'a> {
    pub(crate) const NONE: GivenValues<'static> = GivenValues {
        prediction_names: &[],
        predictions: &[],
        bound_attributes: &[],
        attributes: &[],
    };

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.predictions.is_empty() && self.attributes.is_empty()
    }

    #[inline]
    pub(crate) fn iter(&self) -> impl Iterator<Item = GivenValue<'a>> + Clone + use<'a> {
        let predictions = self.prediction_names.iter().zip(self.predictions);
        let predictions = predictions.map(|(name, value)| GivenValue {
            kind: ValueKind::Prediction,
            name,
            value: TypedRef::F64(*value),
        });
        let attributes = self.bound_attributes.iter().zip(self.attributes);
        let attributes = attributes.filter_map(|(bound, value)| {
            Some(GivenValue {
                kind: ValueKind::Attribute,
                name: &bound.name,
                value: value.as_type(bound.value_type)?,
            })
        });
        predictions.chain(attributes)
    }

    /// Whether one of them is a text.
    pub(crate) fn has_text(self) -> bool {
        self.iter()
            .any(|given| matches!(given.value, TypedRef::Text(_)))
    }

    /// Copies of all of them.
    pub(crate) fn to_fields(self) -> Vec<TypedField> {
        let field = |given: GivenValue<'_>| TypedField {
            kind: given.kind,
            name: given.name.local,
            written: given.name.written.clone(),
            value: given.value.to_owned(),
        };
        self.iter().map(field).collect()
    }
}

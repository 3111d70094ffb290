//! What connects a prediction and the actual that it is compared with: a name. The actual of the
//! prediction `price` is the named value `actual.price` of an outcome, and a prediction is stored
//! under that name. So both have one stored name, and are joined by it.

/// The value of an outcome that is the actual of a decision's only prediction.
pub(crate) const ACTUAL: &str = "actual";
/// What the actual of a named prediction begins with.
const ACTUAL_OF: &str = "actual.";

/// The stored name of a prediction: that of its actual.
pub(crate) fn actual_of(prediction: &str) -> String {
    [ACTUAL_OF, prediction].concat()
}

/// The prediction with this stored name. One that no writer gives is shown as it is.
pub(crate) fn prediction_of(stored: &str) -> &str {
    stored.strip_prefix(ACTUAL_OF).unwrap_or(stored)
}

//! The columns of decisions, with their types in Arrow.

use std::sync::Arc;

use arrow_schema::{DataType, Field, TimeUnit};

use crate::error::UnknownColumn;

/// A column: its name, its type, and the part of a decision that it is about.
pub(crate) struct ColumnField {
    pub(crate) name: &'static str,
    kind: fn() -> DataType,
    is_nullable: bool,
    pub(crate) part: Part,
}

/// What a column is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Part {
    Decision,
    Outcome,
    Input,
}

const fn always(name: &'static str, kind: fn() -> DataType) -> ColumnField {
    ColumnField {
        name,
        kind,
        is_nullable: false,
        part: Part::Decision,
    }
}

const fn maybe(name: &'static str, kind: fn() -> DataType) -> ColumnField {
    ColumnField {
        name,
        kind,
        is_nullable: true,
        part: Part::Decision,
    }
}

const fn outcome(name: &'static str, kind: fn() -> DataType) -> ColumnField {
    ColumnField {
        name,
        kind,
        is_nullable: true,
        part: Part::Outcome,
    }
}

const fn input(name: &'static str, kind: fn() -> DataType) -> ColumnField {
    ColumnField {
        name,
        kind,
        is_nullable: true,
        part: Part::Input,
    }
}

/// A text that many rows have.
pub(crate) fn name() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

fn text() -> DataType {
    DataType::Utf8
}

fn time() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

fn list(kind: DataType) -> DataType {
    DataType::List(element(kind))
}

/// The field of the elements of a list.
pub(crate) fn element(kind: DataType) -> Arc<Field> {
    Arc::new(Field::new("element", kind, false))
}

fn texts() -> DataType {
    list(DataType::Utf8)
}

fn floats() -> DataType {
    list(DataType::Float32)
}

fn doubles() -> DataType {
    list(DataType::Float64)
}

/// The columns, in the order of [`DecisionColumns::column`](crate::DecisionColumns::column), and
/// those of inputs behind them.
pub(crate) const FIELDS: &[ColumnField] = &[
    always("kind", name),
    always("id", text),
    always("run", || DataType::Int32),
    always("number", || DataType::Int64),
    always("sequence", || DataType::Int64),
    maybe("event_time", time),
    always("recorded_time", time),
    maybe("model", name),
    maybe("symbol", name),
    maybe("action", name),
    maybe("checkpoint", name),
    maybe("confidence", || DataType::Float32),
    always("labels", texts),
    always("probabilities", floats),
    maybe("feature_hash", || DataType::UInt64),
    maybe("processing_ns", || DataType::Int64),
    maybe("memory_bytes", || DataType::Int64),
    maybe("divergent", || DataType::Boolean),
    maybe("repeat_of", text),
    maybe("attributes", text),
    outcome("reward", || DataType::Float64),
    outcome("correct", || DataType::Boolean),
    outcome("outcome_label", text),
    outcome("outcome_values", text),
    outcome("outcome_time", time),
    outcome("outcome_times", text),
    always("journal", name),
    maybe("propensity", || DataType::Float32),
    always("action_vector", floats),
    maybe("caused_by", text),
    maybe("correlation", text),
    maybe("episode", text),
    maybe("step", || DataType::UInt64),
    always("prediction_names", texts),
    always("predictions", doubles),
    input("input_f32", floats),
    input("input_f64", doubles),
    input("input_bytes", || DataType::Binary),
    input("input_state", name),
];

impl ColumnField {
    pub(crate) fn field(&self) -> Field {
        Field::new(self.name, (self.kind)(), self.is_nullable)
    }
}

/// Which columns batches have.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Parts {
    /// Those of outcomes.
    pub outcomes: bool,
    /// Those of kept inputs.
    pub inputs: bool,
}

impl Parts {
    pub(crate) fn has(self, part: Part) -> bool {
        match part {
            Part::Decision => true,
            Part::Outcome => self.outcomes,
            Part::Input => self.inputs,
        }
    }

    /// The columns with these names, in their order; `None` for all that the parts have.
    ///
    /// # Errors
    /// For a name that is of no column, or of a part that is left out.
    pub(crate) fn select(self, names: Option<&[String]>) -> Result<Vec<usize>, UnknownColumn> {
        let known = || {
            let fields = FIELDS.iter().enumerate();
            fields.filter(|(_, field)| self.has(field.part))
        };
        let Some(names) = names else {
            return Ok(known().map(|(index, _)| index).collect());
        };
        let find = |name: &String| {
            let found = known().find(|(_, field)| field.name == name);
            found.map(|(index, _)| index).ok_or_else(|| UnknownColumn {
                name: name.clone(),
                known: known().map(|(_, field)| field.name).collect(),
            })
        };
        names.iter().map(find).collect()
    }
}

/// The names of the columns that `parts` have, in their order.
///
/// ```
/// use annals_arrow::{Parts, column_names};
///
/// let names = column_names(Parts::default());
/// assert!(names.contains(&"confidence") && !names.contains(&"reward"));
/// ```
#[must_use]
pub fn column_names(parts: Parts) -> Vec<&'static str> {
    let fields = FIELDS.iter().filter(|field| parts.has(field.part));
    fields.map(|field| field.name).collect()
}

//! What a decision predicted, and what it should have been.

use annals::{InferenceRecord, Outcomes};
use serde_json::{Value as Json, json};

use crate::entries;
use crate::failure::Result;
use crate::output::{Out, style};
use crate::table::Rows;
use crate::units;

/// One prediction; the actual as far as it is known.
pub struct Compared<'r> {
    name: &'r str,
    predicted: f64,
    actual: Option<f64>,
}

impl Compared<'_> {
    fn error(&self) -> Option<f64> {
        self.actual.map(|actual| self.predicted - actual)
    }
}

/// The predictions of a decision.
pub fn of<'r>(record: &'r InferenceRecord, outcomes: Option<&Outcomes>) -> Vec<Compared<'r>> {
    let predictions = record.predictions.iter();
    let compared = predictions.map(|(name, predicted)| Compared {
        name,
        predicted: *predicted,
        actual: outcomes
            .and_then(|known| record.actual_of(name, known))
            .map(|latest| latest.value),
    });
    compared.collect()
}

/// As JSON; what is not known is null.
pub fn as_json(compared: &[Compared<'_>]) -> Json {
    let one = |one: &Compared<'_>| {
        json!({
            "name": one.name,
            "predicted": entries::real(one.predicted),
            "actual": one.actual.map(entries::real),
            "error": one.error().map(entries::real),
        })
    };
    compared.iter().map(one).collect()
}

/// As a table; nothing if there are none.
pub fn print(compared: &[Compared<'_>], out: &mut Out) -> Result<()> {
    if compared.is_empty() {
        return Ok(());
    }
    out.line(out.paint(style::HEAD, "predictions"))?;
    let mut table = Rows::new(["name", ">predicted", ">actual", ">error"]);
    for one in compared {
        let figure = |number: Option<f64>| number.map_or_else(|| "-".to_owned(), units::real);
        table.push([
            one.name.to_owned(),
            units::real(one.predicted),
            figure(one.actual),
            figure(one.error()),
        ]);
    }
    table.print(out)?;
    out.line("")
}

//! The table as Markdown.

use std::fmt::Write;

use crate::round::Cost;
use crate::shape::Shape;
use crate::subjects::Kind;

/// All rounds of one subject with one load.
pub struct Row {
    pub kind: &'static Kind,
    pub shape: Shape,
    pub costs: Vec<Cost>,
}

const HEAD: &str = "\
| what | rounds | acknowledged, mean | lost, mean | lost, most | rounds with a loss \
| unreadable until repaired | loss not reported |
|---|---|---|---|---|---|---|---|
";

/// A table of rows; each is named by its subject, or by its load where `by_shape`.
pub fn table(rows: &[Row], by_shape: bool) -> String {
    let mut page = HEAD.to_owned();
    for row in rows {
        let name = if by_shape {
            row.shape.description()
        } else {
            row.kind.description
        };
        page.push_str(&line(name, &row.costs));
    }
    page
}

fn line(name: &str, costs: &[Cost]) -> String {
    let rounds = (costs.len() as u64).max(1);
    let mean = |of: fn(&Cost) -> u64| costs.iter().map(of).sum::<u64>().div_ceil(rounds);
    let lost = |cost: &Cost| cost.lost + cost.outcomes_lost;
    let count = |of: fn(&Cost) -> bool| costs.iter().filter(|cost| of(cost)).count();
    let most = costs.iter().map(lost).max().unwrap_or(0);
    let torn = count(|cost| cost.torn > 0);
    let unreadable = count(|cost| cost.unreadable.is_some());
    let mut line = String::new();
    let written = write!(
        line,
        "| {name} | {rounds} | {} | {} | {} | {} | {}{} | {} |",
        grouped(mean(|cost| cost.acknowledged + cost.outcomes_acknowledged)),
        grouped(mean(lost)),
        grouped(most),
        count(|cost| cost.lost + cost.outcomes_lost > 0),
        unreadable,
        if torn > 0 {
            format!(" (last line torn: {torn})")
        } else {
            String::new()
        },
        count(Cost::is_silent),
    );
    // Writing into a string does not fail.
    debug_assert!(written.is_ok());
    line.push('\n');
    line
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

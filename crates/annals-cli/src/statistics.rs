//! Statistics as JSON, and how far they can be trusted.

use annals::Stats;
use serde_json::{Value as Json, json};

use crate::output::{Out, style};
use crate::units;

/// The trust that the numbers deserve: losses and limits.
pub fn footnote(stats: &Stats, out: &Out) -> String {
    let coverage = &stats.coverage;
    let complete = match coverage.completeness {
        Some(share) if share >= 1.0 => out.paint(style::GOOD, "complete"),
        Some(share) => {
            let dropped = units::count(coverage.dropped);
            let damaged = match coverage.damaged {
                0 => String::new(),
                n => format!(", {} of them damaged", units::count(n)),
            };
            out.paint(
                style::WARN,
                format!(
                    "{:.4} % complete: {dropped} dropped{damaged}",
                    share * 100.0
                ),
            )
        }
        None if coverage.uncounted == 0 => out.paint(
            style::WARN,
            "of retired decisions an unknown number is missing",
        ),
        None => out.paint(
            style::WARN,
            "a run died in this time: what it logged last is unknown",
        ),
    };
    let range = match (stats.first, stats.last) {
        (Some(first), Some(last)) => {
            let zone = match out.zone.is_utc() {
                true => String::new(),
                false => format!(" ({})", out.zone.name()),
            };
            format!("{} to {}{zone}", out.second(first), out.second(last))
        }
        _ => "no times".to_owned(),
    };
    let mut text = format!("{range}; {complete}");
    if coverage.damaged_rollups > 0 {
        text.push_str("; ");
        text.push_str(&out.paint(
            style::WARN,
            "rollups are damaged, entries were read instead",
        ));
    }
    text
}

/// A statistic as JSON, as the library writes it. Facts about the journal itself (how far it is
/// folded, its last sequence) are left out: two journals with the same entries give the same.
pub fn as_json(stats: &Stats) -> Json {
    let mut json = json!(stats);
    if let Some(fields) = json.as_object_mut() {
        fields.remove("coverage");
    }
    json
}

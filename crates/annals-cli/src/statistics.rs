//! How far statistics can be trusted.

use annals::Stats;

use crate::output::{Out, style};
use crate::units;

/// How far the numbers can be trusted.
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
        None => out.paint(
            style::WARN,
            "a run died in this time: what it logged last is unknown",
        ),
    };
    let range = match (stats.first, stats.last) {
        (Some(first), Some(last)) => {
            format!("{} to {}", units::second(first), units::second(last))
        }
        _ => "no times".to_owned(),
    };
    format!("{range}; {complete}")
}

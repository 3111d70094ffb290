//! Calibration of a model's confidence.

use std::path::Path;

use serde_json::json;

use crate::entries;
use crate::failure::{Done, Result};
use crate::folding;
use crate::missing;
use crate::output::{Out, style};
use crate::statistics::footnote;
use crate::table::Rows;
use crate::units;
use crate::which::{Which, Within};

/// Options of `calibration`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  annals calibration --model dqn_agent
  annals calibration --checkpoint dqn_agent_20250725_143500 --since 30d --json

Only decisions with an outcome of correct or wrong count. A model is calibrated if 70 % of the \
decisions that it was 70 % sure of are correct.")]
pub struct CalibrationArgs {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    within: Within,
}

/// Prints the calibration.
pub fn run(dir: &Path, args: CalibrationArgs, out: &mut Out) -> Result<Done> {
    let reader = folding::reader(dir)?;
    let query = args.within.of(args.which.query(&reader), &out.zone);
    let stats = query.get()?;
    if stats.is_empty() {
        args.which.say_unknown(&reader)?;
    }
    let known = &stats.calibration;
    if out.json {
        let bins = known.bins.iter().map(|bin| {
            json!({
                "above": bin.above,
                "up_to": bin.up_to,
                "count": bin.count,
                "correct": bin.correct,
                "confidence": bin.confidence.map(entries::figure),
                "accuracy": bin.accuracy.map(entries::figure),
            })
        });
        out.json(&json!({
            "count": known.count,
            "brier": known.brier.map(entries::figure),
            "expected_error": known.expected_error.map(entries::figure),
            "bins": bins.collect::<Vec<_>>(),
        }))?;
        return Ok(missing::done(&reader));
    }
    let (Some(brier), Some(expected_error)) = (known.brier, known.expected_error) else {
        out.line("no decision in this range has an outcome of correct or wrong")?;
        return Ok(missing::done(&reader));
    };
    let mut rows = Rows::new([
        ">confidence",
        ">decisions",
        ">mean",
        ">correct",
        ">off by",
        "",
    ]);
    for bin in &known.bins {
        let (Some(accuracy), Some(confidence)) = (bin.accuracy, bin.confidence) else {
            continue;
        };
        let off = accuracy - confidence;
        rows.push([
            format!("{:.1} to {:.1}", bin.above, bin.up_to),
            units::count(bin.count),
            format!("{:.1} %", confidence * 100.0),
            format!("{:.1} %", accuracy * 100.0),
            format!("{:+.1}", off * 100.0),
            bar(accuracy),
        ]);
    }
    rows.print(out)?;
    let sum = format!(
        "{} judged, expected calibration error {:.1} %, Brier score {}",
        units::count(known.count),
        expected_error * 100.0,
        units::real(brier)
    );
    out.line(out.paint(style::HEAD, sum))?;
    out.line(footnote(&stats, out))?;
    Ok(missing::done(&reader))
}

/// A share as a bar of twelve places, which no table folds.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "0 to 12"
)]
fn bar(share: f64) -> String {
    let full = (share.clamp(0.0, 1.0) * 12.0).round() as usize;
    format!("{}{}", "█".repeat(full), "░".repeat(12 - full))
}

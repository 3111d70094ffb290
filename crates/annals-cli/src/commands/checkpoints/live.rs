//! Which checkpoint does best by what its decisions led to.

use std::path::Path;

use annals::Mode;
use annals::stats::{LiveCandidate, LiveRanking, LiveValue};
use serde_json::json;

use super::best::BestArgs;
use crate::failure::{Done, Result};
use crate::folding;
use crate::missing;
use crate::output::{Out, style};
use crate::table::{Rows, escaped};
use crate::units;
use crate::which;

/// Prints a model's checkpoints by what turned out.
pub fn best(dir: &Path, args: BestArgs, out: &mut Out) -> Result<Done> {
    let reader = folding::reader(dir)?;
    let value = match args.live() {
        Some("correct") => LiveValue::Correct,
        None | Some("reward") => LiveValue::Reward,
        Some(name) => {
            let mode = args.mode.map_or(Mode::Max, Mode::from);
            LiveValue::Named(name.to_owned(), mode)
        }
    };
    let query = args.within.of(reader.stats(&args.model), &out.zone);
    let ranking = query.best_live(&value, args.at_least)?;
    if out.json {
        out.json(&json!({
            "model": args.model,
            "clear": ranking.is_clear(),
            "agrees_with_registry": ranking.agrees_with_registry(),
            "ranking": ranking,
        }))?;
        return Ok(missing::done(&reader));
    }
    if ranking.ranked.is_empty() && ranking.too_few.is_empty() {
        which::say_unknown(&reader, Some(&args.model), None, None)?;
        let model = escaped(&args.model);
        out.line(format!("no decisions of {model} in this range"))?;
        return Ok(missing::done(&reader));
    }
    print(&ranking, &args, out)?;
    Ok(missing::done(&reader))
}

fn print(ranking: &LiveRanking, args: &BestArgs, out: &mut Out) -> Result<()> {
    let what = args.live().unwrap_or("reward");
    let mean = match what {
        "correct" => ">correct".to_owned(),
        name => format!(">mean {name}"),
    };
    let headings = [
        "checkpoint",
        ">decisions",
        ">judged",
        &mean,
        ">95 % from",
        ">to",
        "",
    ];
    let mut rows = Rows::new(headings);
    let number = |value: Option<f64>| match (what, value) {
        ("correct", Some(value)) => format!("{:.1} %", 100.0 * value),
        (_, Some(value)) => units::real(value),
        (_, None) => "-".to_owned(),
    };
    let mut push = |candidate: &LiveCandidate, remark: &str| {
        let id = candidate.checkpoint.as_deref();
        let is_best = id.is_some() && id == ranking.registry_best.as_deref();
        let marks = [if is_best { "best by its monitor" } else { "" }, remark];
        let marks: Vec<&str> = marks.into_iter().filter(|mark| !mark.is_empty()).collect();
        rows.push([
            id.unwrap_or("none").to_owned(),
            units::count(candidate.decisions),
            units::count(candidate.count),
            number(candidate.mean),
            number(candidate.low),
            number(candidate.high),
            marks.join(", "),
        ]);
    };
    for candidate in ranking.ranked.iter().take(args.lines_or(10)) {
        push(candidate, "");
    }
    let left = args.lines_or(10).saturating_sub(ranking.ranked.len());
    for candidate in ranking.too_few.iter().take(left) {
        push(candidate, "too few to rank");
    }
    rows.print(out)?;
    let verdict = match (ranking.best(), ranking.is_clear()) {
        (None, _) => format!("none has {} yet", units::counted(args.at_least, "outcome")),
        (Some(_), true) if ranking.ranked.len() == 1 => "there is no other to compare".to_owned(),
        (Some(_), true) => "the first is better than every other beyond chance".to_owned(),
        (Some(_), false) => "the first may be so by chance: intervals overlap".to_owned(),
    };
    let agrees = match ranking.agrees_with_registry() {
        Some(true) => "; its monitor says the same",
        Some(false) => "; its monitor says another",
        None => "",
    };
    out.line(out.paint(style::HEAD, format!("{verdict}{agrees}")))?;
    let candidates = ranking.ranked.iter();
    let is_batched = candidates.clone().all(|candidate| candidate.batches > 0);
    let effect = candidates.map(|candidate| candidate.design_effect);
    let effect = effect.fold(1.0, f64::max);
    let how = match is_batched {
        true => format!(
            "intervals by batch means, in the order of time; decisions depend on each other up to \
             {effect:.1}-fold"
        ),
        false => {
            "some intervals have too few outcomes, or too few different times, for batch means: \
                  their decisions count as independent"
                .to_owned()
        }
    };
    match ranking.ranked.is_empty() {
        true => Ok(()),
        false => out.line(out.paint(style::DIM, how)),
    }
}

//! Output for a person: tables, and numbers in the units people think in.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use annals::stats::StatsRow;
use anyhow::Result;
use hdrhistogram::Histogram;

use crate::features::ACTIONS;
use crate::record::{Decision, Entry, Health, Live};

/// Symbols listed by name; beyond that the total has to do.
const LISTED: usize = 20;

/// Results of the walk through the later years.
pub struct Tally {
    symbols: Vec<Count>,
    thinking: Histogram<u64>,
    recording: Histogram<u64>,
    rewards: Rewards,
}

/// Rewards of decisions: how many, their sum, and the sum of their squares.
#[derive(Debug, Clone, Copy, Default)]
struct Rewards {
    count: f64,
    sum: f64,
    squares: f64,
}

/// The decisions on one symbol, or on all.
#[derive(Debug, Clone, Default)]
struct Count {
    name: String,
    decisions: u64,
    confidence: f64,
    actions: [u64; ACTIONS.len()],
    outcomes: u64,
    right: u64,
}

impl Count {
    fn add(&mut self, other: &Self) {
        self.decisions += other.decisions;
        self.confidence += other.confidence;
        for (sum, count) in self.actions.iter_mut().zip(other.actions) {
            *sum += count;
        }
        self.outcomes += other.outcomes;
        self.right += other.right;
    }

    fn row(&self) -> Vec<String> {
        let share = |part: f64, whole: u64| {
            if whole == 0 {
                "-".into()
            } else {
                percent(part / whole as f64)
            }
        };
        let mut row = vec![
            self.name.clone(),
            thousands(self.decisions),
            share(self.confidence, self.decisions),
        ];
        row.extend(
            self.actions
                .iter()
                .map(|count| share(*count as f64, self.decisions)),
        );
        row.push(share(self.right as f64, self.outcomes));
        row
    }
}

impl Tally {
    /// An empty tally over some symbols.
    pub fn new<'a>(symbols: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let symbols = symbols
            .into_iter()
            .map(|name| Count {
                name: name.to_owned(),
                ..Count::default()
            })
            .collect();
        // From a nanosecond to a minute, to three digits.
        let histogram = Histogram::new_with_bounds(1, 60_000_000_000, 3)?;
        Ok(Self {
            symbols,
            thinking: histogram.clone(),
            recording: histogram,
            rewards: Rewards::default(),
        })
    }

    /// Counts a decision and, where that is known, whether it was right and what it earned.
    pub fn add(&mut self, symbol: usize, decision: &Decision, came: Option<(bool, f64)>) {
        self.thinking
            .saturating_record(nanoseconds(decision.thinking));
        self.recording
            .saturating_record(nanoseconds(decision.recording));
        let Some(count) = self.symbols.get_mut(symbol) else {
            return;
        };
        count.decisions += 1;
        count.confidence += f64::from(decision.confidence);
        if let Some(action) = count.actions.get_mut(decision.action) {
            *action += 1;
        }
        if let Some((right, reward)) = came {
            count.outcomes += 1;
            count.right += u64::from(right);
            self.rewards.count += 1.0;
            self.rewards.sum += reward;
            self.rewards.squares += reward * reward;
        }
    }

    /// How many decisions there were.
    pub fn decisions(&self) -> u64 {
        self.symbols.iter().map(|count| count.decisions).sum()
    }

    /// Share of next bars that moved as decided, and the reward.
    pub fn score(&self) -> String {
        let right: u64 = self.symbols.iter().map(|count| count.right).sum();
        let outcomes: u64 = self.symbols.iter().map(|count| count.outcomes).sum();
        if outcomes == 0 {
            return "nothing has turned out".to_owned();
        }
        let Rewards {
            count,
            sum,
            squares,
        } = self.rewards;
        let mean = sum / count;
        let variance = (squares / count - mean * mean).max(0.0);
        // 95 times in 100 the mean is that near to what would come out in the long run.
        let reach = 1.96 * (variance / count).sqrt();
        let chance = if mean.abs() <= reach {
            ", which may be chance"
        } else {
            ""
        };
        format!(
            "{} right, {} ± {:.1} each{chance}",
            percent(right as f64 / outcomes as f64),
            basis_points(mean),
            10_000.0 * reach
        )
    }

    /// Cost of recording, beside the forward pass.
    pub fn latency(&self) -> String {
        let at = |histogram: &Histogram<u64>, quantile| {
            Duration::from_nanos(histogram.value_at_quantile(quantile))
        };
        let (thinking, recording) = (at(&self.thinking, 0.5), at(&self.recording, 0.5));
        let times = thinking.as_secs_f64() / recording.as_secs_f64().max(1e-9);
        format!(
            "recording takes {} (p99: {}), the forward pass {}, {times:.*} times as long",
            time(recording),
            time(at(&self.recording, 0.99)),
            time(thinking),
            usize::from(times < 9.95)
        )
    }

    /// Prints the decisions by symbol.
    pub fn print_decisions(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut total = Count {
            name: "all".into(),
            ..Count::default()
        };
        let mut table = Table::new(
            "Decisions",
            &[
                ("symbol", Align::Left),
                ("inferences", Align::Right),
                ("confidence", Align::Right),
                ("BUY", Align::Right),
                ("SELL", Align::Right),
                ("HOLD", Align::Right),
                ("right", Align::Right),
            ],
        );
        for (index, count) in self.symbols.iter().enumerate() {
            total.add(count);
            if index < LISTED {
                table.row(count.row());
            }
        }
        if self.symbols.len() > LISTED {
            table.row(vec![format!("... {} more", self.symbols.len() - LISTED)]);
        }
        table.rule();
        table.row(total.row());
        table.print(out)
    }

    /// Prints how long deciding and recording took.
    pub fn print_latency(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut table = Table::new(
            "Latency",
            &[
                ("per call", Align::Left),
                ("p50", Align::Right),
                ("p99", Align::Right),
                ("p99.9", Align::Right),
                ("max", Align::Right),
            ],
        );
        let quantiles = [0.5, 0.99, 0.999, 1.0];
        for (name, histogram) in [
            ("forward pass", &self.thinking),
            ("recording", &self.recording),
        ] {
            let mut row = vec![name.to_owned()];
            row.extend(
                quantiles.map(|quantile| {
                    time(Duration::from_nanos(histogram.value_at_quantile(quantile)))
                }),
            );
            table.row(row);
        }
        let mut row = vec!["forward / recording".to_owned()];
        // The two longest calls of a run have nothing to do with each other.
        row.extend(
            quantiles
                .iter()
                .filter(|quantile| **quantile < 1.0)
                .map(|quantile| {
                    let thinking = self.thinking.value_at_quantile(*quantile) as f64;
                    let recording = self.recording.value_at_quantile(*quantile).max(1) as f64;
                    let times = thinking / recording;
                    format!("{times:.*} x", usize::from(times < 9.95))
                }),
        );
        table.row(row);
        table.print(out)?;
        writeln!(
            out,
            "  {} calls of each; a reading of the clock, {}, is part of every figure",
            thousands(self.recording.len()),
            time(cost_of_the_clock())
        )
    }
}

/// Prints what the decisions came to, as the journal's statistics have it, newest checkpoint first.
pub fn print_results(
    out: &mut dyn Write,
    results: &[StatsRow],
    live: Option<&Live>,
) -> io::Result<()> {
    let mut table = Table::new(
        "Results, from the journal's statistics",
        &[
            ("checkpoint", Align::Left),
            ("symbol", Align::Left),
            ("inferences", Align::Right),
            ("accuracy", Align::Right),
            ("mean reward", Align::Right),
            ("Brier", Align::Right),
            ("latency p50", Align::Right),
        ],
    );
    let known =
        |value: Option<f64>, text: fn(f64) -> String| value.map_or_else(|| "-".to_owned(), text);
    let mut rows: Vec<&StatsRow> = results.iter().collect();
    // Ids of one model end in when they were saved.
    rows.sort_by(|one, other| other.checkpoint.cmp(&one.checkpoint));
    for row in rows.iter().take(LISTED) {
        let stats = &row.stats;
        let (outcomes, brier) = (&stats.outcomes, stats.calibration.brier);
        table.row(vec![
            row.checkpoint.as_deref().unwrap_or("-").to_owned(),
            row.symbol.as_deref().unwrap_or("-").to_owned(),
            thousands(stats.count),
            known(outcomes.accuracy, percent),
            known(outcomes.reward.mean, basis_points),
            known(brier, |brier| format!("{brier:.3}")),
            stats.processing_time.p50.map_or_else(|| "-".into(), time),
        ]);
    }
    if rows.len() > LISTED {
        table.row(vec![format!("... {} more", rows.len() - LISTED)]);
    }
    table.print(out)?;
    let Some(live) = live else { return Ok(()) };
    let (reward, reach) = (basis_points(live.reward), 10_000.0 * live.reach);
    let clear = if live.is_clear {
        ""
    } else {
        ", which may be chance"
    };
    writeln!(
        out,
        "  best by reward: {} ({reward} ± {reach:.1}{clear})",
        live.checkpoint
    )?;
    match &live.validated {
        Some(validated) => writeln!(out, "  best by validation: {validated}"),
        None => Ok(()),
    }
}

/// 0.0012 as "+12.0 bp": hundredths of a per cent.
fn basis_points(share: f64) -> String {
    format!("{:+.1} bp", 10_000.0 * share)
}

/// Prints entries that were read back.
pub fn print_entries(out: &mut dyn Write, entries: &[Entry]) -> io::Result<()> {
    let mut table = Table::new(
        "Newest entries, read back from the journal",
        &[
            ("sequence", Align::Right),
            ("event time", Align::Left),
            ("model", Align::Left),
            ("symbol", Align::Left),
            ("action", Align::Left),
            ("confidence", Align::Right),
            ("processing", Align::Right),
        ],
    );
    for entry in entries {
        table.row(vec![
            entry.sequence.to_string(),
            entry.event_time.clone(),
            entry.model.clone(),
            entry.symbol.clone(),
            entry.action.clone(),
            percent(f64::from(entry.confidence)),
            entry.processing_time.map_or_else(|| "-".into(), time),
        ]);
    }
    table.print(out)
}

/// Prints the ends of the text files, as `tail` would.
pub fn print_lines(out: &mut dyn Write, files: &[(PathBuf, Vec<String>)]) -> io::Result<()> {
    for (path, lines) in files {
        writeln!(out, "\n$ tail -n {} {}", lines.len(), path.display())?;
        for line in lines {
            writeln!(out, "{line}")?;
        }
    }
    Ok(())
}

/// Prints the state of the journal.
pub fn print_health(out: &mut dyn Write, health: &Health, directory: &str) -> io::Result<()> {
    let mut table = Table::new(
        "Journal",
        &[
            ("offered", Align::Right),
            ("committed", Align::Right),
            ("dropped", Align::Right),
            ("directory", Align::Left),
        ],
    );
    table.row(vec![
        thousands(health.offered),
        thousands(health.committed),
        thousands(health.dropped),
        directory.to_owned(),
    ]);
    table.print(out)
}

/// Where a cell's text stands in its column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Align {
    Left,
    Right,
}

/// A titled table whose columns are as wide as their widest cell.
struct Table {
    title: String,
    columns: Vec<(String, Align)>,
    /// An empty row is a rule.
    rows: Vec<Vec<String>>,
}

impl Table {
    fn new(title: &str, columns: &[(&str, Align)]) -> Self {
        let columns = columns
            .iter()
            .map(|(name, align)| ((*name).to_owned(), *align))
            .collect();
        Self {
            title: title.to_owned(),
            columns,
            rows: Vec::new(),
        }
    }

    fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    fn rule(&mut self) {
        self.rows.push(Vec::new());
    }

    fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        let names: Vec<String> = self.columns.iter().map(|(name, _)| name.clone()).collect();
        let mut widths: Vec<usize> = names.iter().map(|name| name.chars().count()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let rule = widths
            .iter()
            .map(|width| "─".repeat(*width))
            .collect::<Vec<_>>()
            .join("──");
        let line = |out: &mut dyn Write, cells: &[String]| {
            let mut text = String::from("  ");
            for ((cell, (_, align)), width) in cells.iter().zip(&self.columns).zip(&widths) {
                match align {
                    Align::Left => text.push_str(&format!("{cell:<width$}  ")),
                    Align::Right => text.push_str(&format!("{cell:>width$}  ")),
                }
            }
            writeln!(out, "{}", text.trim_end())
        };
        writeln!(out, "\n{}", self.title)?;
        line(out, &names)?;
        writeln!(out, "  {rule}")?;
        for row in &self.rows {
            if row.is_empty() {
                writeln!(out, "  {rule}")?;
            } else {
                line(out, row)?;
            }
        }
        Ok(())
    }
}

/// 1234567 as "1,234,567".
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// 0.3456 as "34.6%".
pub fn percent(share: f64) -> String {
    format!("{:.1}%", 100.0 * share)
}

/// A duration to three digits in its natural unit.
pub fn time(duration: Duration) -> String {
    let nanoseconds = duration.as_nanos();
    if nanoseconds < 1_000 {
        return format!("{nanoseconds} ns");
    }
    let mut value = nanoseconds as f64 / 1e3;
    for unit in ["µs", "ms"] {
        if value < 999.5 {
            return format!(
                "{value:.*} {unit}",
                if value < 9.995 {
                    2
                } else {
                    usize::from(value < 99.95)
                }
            );
        }
        value /= 1e3;
    }
    format!("{value:.1} s")
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The median time between two readings of the clock with nothing between them.
fn cost_of_the_clock() -> Duration {
    let mut costs = [Duration::ZERO; 1001];
    for cost in &mut costs {
        let begun = Instant::now();
        *cost = begun.elapsed();
    }
    costs.sort_unstable();
    costs.get(costs.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(thousands(number), text);
        }
    }

    #[test]
    fn times_have_their_natural_unit() {
        for (nanoseconds, text) in [
            (0, "0 ns"),
            (85, "85 ns"),
            (999, "999 ns"),
            (1_000, "1.00 µs"),
            (21_340, "21.3 µs"),
            (999_400, "999 µs"),
            (999_600, "1.00 ms"),
            (123_000_000, "123 ms"),
            (2_500_000_000, "2.5 s"),
        ] {
            assert_eq!(time(Duration::from_nanos(nanoseconds)), text);
        }
    }

    #[test]
    fn tables_line_up() -> anyhow::Result<()> {
        let mut table = Table::new(
            "Title",
            &[
                ("name", Align::Left),
                ("n", Align::Right),
                ("µ", Align::Left),
            ],
        );
        table.row(vec!["a".into(), "1,000".into(), "µs".into()]);
        table.rule();
        table.row(vec!["total".into(), "7".into(), String::new()]);
        let mut out = Vec::new();
        table.print(&mut out)?;
        let expected = "
Title
  name       n  µ
  ────────────────
  a      1,000  µs
  ────────────────
  total      7
";
        assert_eq!(String::from_utf8(out)?, expected);
        Ok(())
    }

    #[test]
    fn a_tally_adds_up() -> anyhow::Result<()> {
        let mut tally = Tally::new(["A", "B"])?;
        let decision = |action| Decision {
            id: None,
            action,
            confidence: 0.5,
            thinking: Duration::from_micros(20),
            recording: Duration::from_nanos(100),
        };
        tally.add(0, &decision(0), Some((true, 0.01)));
        tally.add(0, &decision(2), Some((false, 0.0)));
        tally.add(1, &decision(1), None);
        assert_eq!(tally.decisions(), 3);
        let score = tally.score();
        assert!(score.starts_with("50.0% right, +50.0 bp ±"), "{score}");
        assert!(score.ends_with("which may be chance"), "{score}");
        let latency = tally.latency();
        assert!(
            latency.contains("the forward pass 20.0 µs, 200 times"),
            "{latency}"
        );
        let mut out = Vec::new();
        tally.print_decisions(&mut out)?;
        tally.print_latency(&mut out)?;
        let text = String::from_utf8(out)?;
        let line = |start: &str| {
            let line = text
                .lines()
                .find(|line| line.trim_start().starts_with(start))
                .unwrap_or_default();
            line.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(line("A "), "A 2 50.0% 50.0% 0.0% 50.0% 50.0%");
        assert_eq!(line("B "), "B 1 50.0% 0.0% 100.0% 0.0% -");
        assert_eq!(line("all "), "all 3 50.0% 33.3% 33.3% 33.3% 50.0%");
        assert!(
            line("forward /").starts_with("forward / recording 200 x 200 x"),
            "{text}"
        );
        Ok(())
    }
}

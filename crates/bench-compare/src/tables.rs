//! A report as a page of Markdown, which is read as well in a terminal.

use std::fmt::{Result, Write};

use crate::measure::{Latency, Throughput};
use crate::report::{Figures, Report};

const HEAD: &str = "\
# annals beside others

Every subject records the same decisions at its best settings, one subject after the other, each in
a process of its own. A decision has time, model, symbol, action, confidence, three probabilities,
the hash of 16 features (made in the call), processing time and checkpoint. All are distinct, except
for the share of repeats in a row. A run that loses a decision is an error.

`cargo run --release -p bench-compare` writes this page. All figures are in
[comparison.json](comparison.json).
";

const LATENCY: &str = "
## What a call costs the loop

Single calls of a paced loop, in nanoseconds. Every figure includes the measurement's own time;
\"empty\" shows it. The last column is the median divided by that of `annals` at the same pace.

| subject | pace | p50 | p99 | p99.9 | empty | beside annals |
|---|---|---|---|---|---|---|
";

const THROUGHPUT: &str = "
## Events per second, until the promise holds

One producer at full speed. The last column is the rate of `annals` divided by that of the row.
Bytes are those of the whole directory. For `annals` that is some 33 bytes for each sealed event,
and a hot file of up to some 256 MB, which does not shrink.

| subject | repeats | events/s | bytes/event | CPU/event | peak memory | promise | annals |
|---|---|---|---|---|---|---|---|
";

const GROWTH: &str = "
## Recording one event durably, by the number of events

";

const TAIL: &str = "
![share of the calls that took longer than a given time](latency.svg)
![events per second](throughput.svg)
![bytes per event](bytes.svg)
![one event, as the journal grows](growth.svg)

## Quill

[Quill](https://github.com/odygrd/quill) is the fastest logger that we know of. It is not in the
run, because it is C++ and keeps text, not entries. A line with these fields was measured once on
this kind of machine.

| pace | p50 | p99 | p99.9 |
|---|---|---|---|
| 20 µs | 40 ns | 100 ns | 340 ns |
| 200 µs | 50 ns | 210 ns | 1,050 ns |
";

/// The whole page.
pub fn page(report: &Report) -> String {
    let mut out = String::new();
    // Writing into a string does not fail.
    let _ = write(&mut out, report);
    out
}

fn write(out: &mut String, report: &Report) -> Result {
    out.push_str(HEAD);
    places(out, report)?;
    out.push_str(LATENCY);
    let ours = |pace| {
        let annals = report
            .subjects
            .iter()
            .find(|known| known.name == "annals")?;
        annals.latency.iter().find(|known| known.pace_us == pace)
    };
    each(
        report,
        |figures| &figures.latency,
        |figures, latency| latency_row(out, figures, latency, ours(latency.pace_us)),
    )?;
    out.push_str(THROUGHPUT);
    let ours = |repeats| {
        let annals = report
            .subjects
            .iter()
            .find(|known| known.name == "annals")?;
        annals
            .throughput
            .iter()
            .find(|known| known.repeats == repeats)
    };
    each(
        report,
        |figures| &figures.throughput,
        |figures, throughput| throughput_row(out, figures, throughput, ours(throughput.repeats)),
    )?;
    growth(out, report)?;
    out.push_str(TAIL);
    Ok(())
}

/// Where and when: once for all subjects that were measured in one go.
fn places(out: &mut String, report: &Report) -> Result {
    let mut told: Vec<(&str, &str)> = Vec::new();
    for figures in &report.subjects {
        let day = figures.at.get(..10).unwrap_or_default();
        if !told.contains(&(&figures.machine, day)) {
            told.push((&figures.machine, day));
            writeln!(out, "\nMeasured on {day} on {}.", figures.machine)?;
        }
    }
    Ok(())
}

fn each<T>(
    report: &Report,
    of: impl Fn(&Figures) -> &Vec<T>,
    mut row: impl FnMut(&Figures, &T) -> Result,
) -> Result {
    report
        .subjects
        .iter()
        .try_for_each(|figures| of(figures).iter().try_for_each(|one| row(figures, one)))
}

#[allow(clippy::cast_precision_loss, reason = "a ratio")]
fn latency_row(
    out: &mut String,
    figures: &Figures,
    latency: &Latency,
    ours: Option<&Latency>,
) -> Result {
    let ratio = ours.map(|ours| latency.p50 as f64 / ours.p50.max(1) as f64);
    writeln!(
        out,
        "| {} | {} µs | {} | {} | {} | {} | {} |",
        figures.name,
        latency.pace_us,
        thousands(latency.p50),
        thousands(latency.p99),
        thousands(latency.p999),
        latency.empty_p50,
        times(ratio),
    )
}

fn throughput_row(
    out: &mut String,
    figures: &Figures,
    throughput: &Throughput,
    ours: Option<&Throughput>,
) -> Result {
    let per_second = throughput.per_second;
    let events = if per_second < 1e5 {
        format!("{per_second:.0}")
    } else {
        format!("{:.2} M", per_second / 1e6)
    };
    let cpu = throughput.cpu_ns_per_event;
    let peak = throughput.peak_bytes;
    writeln!(
        out,
        "| {} | {} % | {events} | {:.1} | {} | {} | {} | {} |",
        figures.name,
        throughput.repeats,
        throughput.bytes_per_event,
        cpu.map_or("-".to_owned(), |nanos| format!("{:.2} µs", nanos / 1e3)),
        peak.map_or("-".to_owned(), |bytes| format!("{} MB", bytes >> 20)),
        figures.promise,
        times(ours.map(|ours| ours.per_second / per_second)),
    )
}

/// One row for each subject that grows: the first size, and the last.
fn growth(out: &mut String, report: &Report) -> Result {
    out.push_str(GROWTH);
    out.push_str("| subject | events | time | events | time |\n|---|---|---|---|---|\n");
    for figures in &report.subjects {
        let points = figures.growth.as_ref().map(|growth| &growth.points);
        if let Some([first, .., last]) = points.map(Vec::as_slice) {
            writeln!(
                out,
                "| {} | {} | {:.0} µs | {} | {:.0} µs |",
                figures.name,
                thousands(first.0),
                first.1,
                thousands(last.0),
                last.1,
            )?;
        }
    }
    Ok(())
}

fn times(ratio: Option<f64>) -> String {
    match ratio {
        None => "-".to_owned(),
        Some(ratio) if ratio < 10.0 => format!("{ratio:.1} ×"),
        Some(ratio) => format!("{ratio:.0} ×"),
    }
}

/// 1234567 as "1,234,567".
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_ratios_short() {
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(thousands(12), "12");
        assert_eq!(times(Some(1.25)), "1.2 ×");
        assert_eq!(times(Some(41.6)), "42 ×");
    }
}

//! A trading agent whose every decision can be looked up afterwards.
//!
//! It trains a small network on the first years of real daily bars, then walks through the later
//! years as an agent in production would: one bar, one forward pass, one decision, one entry in the
//! journal. At the end it reads the journal back and shows what recording cost.
//!
//! The agent is here to show recording, not to make money: the next day's direction is close to
//! unpredictable from prices, and the share of right decisions it prints says so.

#![forbid(unsafe_code)]

mod bars;
mod features;
mod network;
mod record;
mod report;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};

use bars::{InputError, Series};
use features::{ACTIONS, Periods, WARM_UP};
use network::{LAYERS, Schedule};
use record::Book;
use report::{Tally, percent, thousands, time};

/// What to call the built-in bars.
const BUILT_IN: &str = "the built-in sample";

/// Fewer samples than this train nothing worth deciding with.
const LEAST_TRAINING: usize = 100;

/// How many entries to read back at the end.
const NEWEST: usize = 5;

/// Trains on the first years of daily bars, decides once per bar on the rest, and journals every
/// decision.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "\
A CSV file needs a header naming Date, Open, High, Low, Close and Volume, in any order and case;
Ticker and Adj Close are used where present. Without a Ticker column the file's name is the symbol."
)]
struct Arguments {
    /// Directory of the journal; a later run appends to it
    #[arg(long, value_name = "PATH", default_value = "target/trading-agent")]
    dir: PathBuf,

    /// Daily bars to use in place of the built-in ones
    #[arg(long, value_name = "PATH")]
    csv: Option<PathBuf>,

    /// How often to go through the training years
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    epochs: u32,

    /// Seed of the random weights and of the order of the training samples
    #[arg(long, default_value_t = 7)]
    seed: u64,

    /// Print the results only
    #[arg(long)]
    quiet: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments, &mut io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever was reading the output has seen enough.
        Err(error)
            if error
                .downcast_ref::<io::Error>()
                .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe) =>
        {
            ExitCode::SUCCESS
        }
        Err(error) => {
            // With nowhere left to complain to, the exit code has to do.
            _ = writeln!(io::stderr(), "error: {}", one_line(&error));
            ExitCode::from(if error.is::<InputError>() { 2 } else { 1 })
        }
    }
}

/// An error and its causes, leaving out a cause that the text before it has already told.
fn one_line(error: &anyhow::Error) -> String {
    let mut line = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !line.contains(&cause) {
            line.push_str(": ");
            line.push_str(&cause);
        }
    }
    line
}

fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<()> {
    let (source, series) = read(arguments)?;
    let train_until = train_until(arguments, &series);
    let samples = series
        .iter()
        .enumerate()
        .flat_map(|(index, series)| features::samples(index, series))
        .collect();
    let periods = Periods::divide(samples, train_until);
    enough(&source, &series, &periods)?;
    let names = || series.iter().map(|series| series.symbol.as_str());
    let mut book = Book::open(&arguments.dir, &model(arguments), names())?;

    if !arguments.quiet {
        print_plan(out, arguments, &source, &series, &periods)?;
    }
    let trained = train(arguments, out, &periods, &book)?;
    // What decides is what was saved, not what happens to be in memory.
    let network = match book.load_best(network::Network::read)? {
        Some((best, checkpoint)) => {
            let deleted = book.tidy()?;
            if !arguments.quiet {
                writeln!(
                    out,
                    "Loaded checkpoint {} (epoch {}), the best; deleted {deleted} old ones.",
                    checkpoint.id(),
                    checkpoint.epoch().unwrap_or_default(),
                )?;
            }
            best
        }
        None => trained,
    };
    book.note(&format!(
        "trained on {} samples, {}",
        periods.training.len(),
        span(&periods.training)
    ));

    let started = Instant::now();
    let mut tally = Tally::new(names())?;
    let bar = progress(arguments, "Deciding", periods.walk.len() as u64);
    // What each symbol's last decision will have come to when its next bar is there.
    let mut open = vec![None; series.len()];
    for (done, sample) in periods.walk.iter().enumerate() {
        let before = open.get_mut(sample.symbol).and_then(Option::take);
        if let Some((decision, outcome)) = before {
            book.settle(&decision, &outcome);
        }
        let decision = book.decide(sample.symbol, sample.time, &sample.features, |features| {
            network.probabilities(features)
        })?;
        if let Some(decision) = decision {
            let right = sample
                .outcome
                .map(|outcome| outcome.action == decision.action);
            tally.add(sample.symbol, &decision, right);
            if let Some(open) = open.get_mut(sample.symbol) {
                *open = sample.outcome.map(|outcome| (decision, outcome));
            }
        }
        if done % 64 == 0 {
            bar.set_position(done as u64);
        }
    }
    bar.finish_and_clear();
    let took = started.elapsed();
    let finished = book.finish(NEWEST)?;

    if !arguments.quiet {
        writeln!(out, "\nWalked {} in {}.", span(&periods.walk), time(took))?;
    }
    tally.print_decisions(out)?;
    writeln!(out, "  {}", yardstick(&periods))?;
    report::print_results(out, &finished.results, finished.live.as_ref())?;
    tally.print_latency(out)?;
    report::print_entries(out, &finished.entries)?;
    report::print_lines(out, &finished.lines)?;
    report::print_health(out, &finished.health, &arguments.dir.display().to_string())?;
    Ok(())
}

/// What to call the model: networks that were trained on different bars do not compare.
fn model(arguments: &Arguments) -> String {
    let file = arguments.csv.as_ref().and_then(|path| path.file_stem());
    match file {
        Some(file) => format!("{}_{}", network::NAME, file.to_string_lossy()),
        None => network::NAME.to_owned(),
    }
}

/// The bars, and what to call where they came from.
fn read(arguments: &Arguments) -> Result<(String, Vec<Series>), InputError> {
    match &arguments.csv {
        Some(path) => Ok((path.display().to_string(), bars::read_file(path)?)),
        None => Ok((
            BUILT_IN.to_owned(),
            bars::parse(BUILT_IN, bars::SAMPLE, "sample")?,
        )),
    }
}

/// The last time the network may learn from: the end of 2007 in the built-in sample, so that the
/// crash of 2008 is new to it, and the time by which three fifths of the bars have gone by in any
/// other file.
fn train_until(arguments: &Arguments, series: &[Series]) -> DateTime<Utc> {
    if arguments.csv.is_none()
        && let Some(date) = NaiveDate::from_ymd_opt(2007, 12, 31)
    {
        return date.and_time(NaiveTime::MIN).and_utc();
    }
    let mut times: Vec<_> = series
        .iter()
        .flat_map(|series| &series.bars)
        .map(|bar| bar.time)
        .collect();
    times.sort_unstable();
    times.get(times.len() * 3 / 5).copied().unwrap_or_default()
}

/// Refuses a file too short to train on or to decide about.
fn enough(source: &str, series: &[Series], periods: &Periods) -> Result<(), InputError> {
    if periods.training.len() >= LEAST_TRAINING
        && !periods.validation.is_empty()
        && !periods.walk.is_empty()
    {
        return Ok(());
    }
    let bars: usize = series.iter().map(|series| series.bars.len()).sum();
    Err(InputError {
        file: source.to_owned(),
        line: None,
        column: None,
        problem: format!(
            "too few bars: the {} bars of {} symbol(s) leave {} samples to train on and {} to \
             decide on, and at least {LEAST_TRAINING} and 1 are needed",
            thousands(bars as u64),
            series.len(),
            periods.training.len(),
            periods.walk.len(),
        ),
        advice: format!(
            "give more history, 300 bars or more of one symbol (the first {} of each only warm the \
             features up)",
            WARM_UP - 1
        ),
    })
}

fn print_plan(
    out: &mut dyn Write,
    arguments: &Arguments,
    source: &str,
    series: &[Series],
    periods: &Periods,
) -> io::Result<()> {
    let bars: usize = series.iter().map(|series| series.bars.len()).sum();
    let count = |samples: &[features::Sample]| thousands(samples.len() as u64);
    let symbols: Vec<&str> = series
        .iter()
        .map(|series| series.symbol.as_str())
        .take(8)
        .collect();
    let more = if series.len() > symbols.len() {
        ", ..."
    } else {
        ""
    };
    writeln!(
        out,
        "Bars      {} of {}{more}, from {source}",
        thousands(bars as u64),
        symbols.join(" ")
    )?;
    for series in series.iter().filter(|series| series.bars.len() < WARM_UP) {
        let bars = series.bars.len();
        writeln!(
            out,
            "          {} has {bars} bars of the {WARM_UP} a decision needs: left out",
            series.symbol
        )?;
    }
    writeln!(
        out,
        "Train     {:>6} samples  {}",
        count(&periods.training),
        span(&periods.training)
    )?;
    writeln!(
        out,
        "Validate  {:>6} samples  {}",
        count(&periods.validation),
        span(&periods.validation)
    )?;
    writeln!(
        out,
        "Decide    {:>6} bars     {}",
        count(&periods.walk),
        span(&periods.walk)
    )?;
    writeln!(
        out,
        "Network   {} wide, seed {}",
        LAYERS.map(|width| width.to_string()).join(" > "),
        arguments.seed
    )?;
    writeln!(out, "Journal   {}", arguments.dir.display())
}

fn train(
    arguments: &Arguments,
    out: &mut dyn Write,
    periods: &Periods,
    book: &Book,
) -> Result<network::Network> {
    let started = Instant::now();
    let schedule = Schedule {
        epochs: arguments.epochs,
        seed: arguments.seed,
    };
    let bar = progress(arguments, "Training", u64::from(arguments.epochs));
    if !arguments.quiet {
        writeln!(
            out,
            "\n  epoch  training loss  validation loss  accuracy      time"
        )?;
    }
    let (network, best) = network::train(
        &periods.training,
        &periods.validation,
        schedule,
        |epoch, network| -> Result<()> {
            book.save(epoch, |path| network.write(path))?;
            if !arguments.quiet {
                bar.suspend(|| {
                    writeln!(
                        out,
                        "  {:>5}  {:>13.4}  {:>15.4}  {:>8}  {:>8}{}",
                        epoch.number,
                        epoch.training_loss,
                        epoch.validation_loss,
                        percent(epoch.validation_accuracy),
                        time(epoch.took),
                        if epoch.best { "  best so far" } else { "" },
                    )
                })?;
            }
            bar.inc(1);
            Ok(())
        },
    )?;
    bar.finish_and_clear();
    if let (false, Some(best)) = (arguments.quiet, best) {
        writeln!(
            out,
            "\nTrained {} parameters in {}; kept epoch {}, the lowest validation loss.",
            thousands(network.parameters() as u64),
            time(started.elapsed()),
            best.number
        )?;
    }
    Ok(network)
}

/// A progress bar on standard error, where there is a terminal to draw it on.
fn progress(arguments: &Arguments, title: &'static str, length: u64) -> ProgressBar {
    if arguments.quiet {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(length).with_prefix(title);
    match ProgressStyle::with_template("{prefix} {bar:40} {human_pos}/{human_len} {elapsed}") {
        Ok(style) => bar.with_style(style.progress_chars("━╸─")),
        Err(_) => bar,
    }
}

/// First and last day of some samples in date order.
fn span(samples: &[features::Sample]) -> String {
    match (samples.first(), samples.last()) {
        (Some(first), Some(last)) => {
            format!("{} to {}", first.time.format("%F"), last.time.format("%F"))
        }
        _ => "no days".to_owned(),
    }
}

/// What someone without a network would have scored on the same days, going by the training years
/// alone.
fn yardstick(periods: &Periods) -> String {
    let share = |samples: &[features::Sample], action| {
        let outcomes = samples.iter().filter_map(|sample| sample.outcome);
        let right = outcomes
            .clone()
            .filter(|outcome| outcome.action == action)
            .count();
        right as f64 / outcomes.count().max(1) as f64
    };
    let most = (0..ACTIONS.len())
        .max_by(|a, b| share(&periods.training, *a).total_cmp(&share(&periods.training, *b)))
        .unwrap_or_default();
    let name = ACTIONS.get(most).copied().unwrap_or_default();
    format!(
        "right: the next bar moved as decided; always {name}, the most common in training: {}",
        percent(share(&periods.walk, most))
    )
}

//! A trading agent whose every decision can be looked up afterwards.
//!
//! It trains a small network on the first years of real daily bars. Then it walks through the later
//! years as an agent in production would: one bar, one forward pass, one decision, one entry in the
//! journal. At the end it reads the journal back and shows what recording cost.
//!
//! The agent is here to show recording, not to make money. The next day's direction is close to
//! unpredictable from prices, and the printed share of right decisions shows that.

#![forbid(unsafe_code)]

mod bars;
mod crash;
mod features;
mod interrupt;
mod network;
mod record;
mod report;
mod story;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use annals::InferenceId;
use anyhow::{Context, Result};
use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};

use bars::{InputError, Series};
use features::{ACTIONS, HOLD_BAND, POSITIONS, Periods, Vector, WARM_UP};
use interrupt::{Interrupt, Interrupted};
use network::{Epoch, LAYERS, Network, Schedule};
use record::{Book, Explained};
use report::{Tally, percent, thousands, time};

/// Name of the built-in bars.
const BUILT_IN: &str = "the built-in sample";

/// Fewer samples than this train nothing worth deciding with.
const LEAST_TRAINING: usize = 100;

/// How many entries to read back at the end.
const NEWEST: usize = 5;

/// Trains on the first years of price bars, decides once per bar on the rest, and journals every
/// decision.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "\
A CSV file needs a header naming Date, Open, High, Low, Close and Volume, in any order and case; \
Ticker and Adj Close are used where present. An unnamed first column, as pandas writes it, is the \
date. Without a Ticker column the file's name is the symbol.

Ctrl-C finishes: decisions and checkpoints until then are kept, and the journal is closed. A \
second Ctrl-C ends the program at once. Exit codes: 0 done, 1 something failed, 2 the input or an \
option cannot be used, 130 interrupted."
)]
struct Arguments {
    /// Directory of the journal; a later run appends to it
    #[arg(long, value_name = "PATH", default_value = "target/trading-agent")]
    dir: PathBuf,

    /// Bars to use in place of the built-in ones: daily, hourly or of any other spacing
    #[arg(long, value_name = "PATH")]
    csv: Option<PathBuf>,

    /// How often to go through the training years
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    epochs: u32,

    /// Seed of the random weights and of the order of the training samples
    #[arg(long, default_value_t = 7)]
    seed: u64,

    /// Print every epoch, all tables and the ends of the text files too
    #[arg(long)]
    details: bool,

    /// Print the results only: no progress, no rehearsal of a crash
    #[arg(long, conflicts_with = "details")]
    quiet: bool,

    /// Decide until the process is killed: what the rehearsal of a crash starts
    #[arg(long, hide = true)]
    until_killed: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments, &mut io::stdout().lock()) {
        Ok(code) => code,
        // The reader of the output has seen enough.
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

/// The bars, and how they are divided.
struct Market {
    source: String,
    series: Vec<Series>,
    /// A move within this is a HOLD.
    band: f64,
    periods: Periods,
}

impl Market {
    fn read(arguments: &Arguments) -> Result<Self, InputError> {
        let (source, series) = read(arguments)?;
        let train_until = train_until(arguments, &series);
        let band = match arguments.csv {
            Some(_) => features::hold_band(&series, train_until),
            None => HOLD_BAND,
        };
        let samples = series
            .iter()
            .enumerate()
            .flat_map(|(index, series)| features::samples(index, series, band))
            .collect();
        let periods = Periods::divide(samples, train_until);
        enough(&source, &series, &periods)?;
        Ok(Self {
            source,
            series,
            band,
            periods,
        })
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.series.iter().map(|series| series.symbol.as_str())
    }

    /// "12,154 daily bars of AAPL IBM".
    fn bars(&self) -> String {
        let bars: usize = self.series.iter().map(|series| series.bars.len()).sum();
        let pace = bars::spacing(&self.series).map(bars::pace);
        let symbols: Vec<&str> = self.names().take(5).collect();
        let more = self.series.len() - symbols.len();
        let more = match more {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!(
            "{} {} bars of {}{more}",
            thousands(bars as u64),
            pace.unwrap_or_default(),
            symbols.join(" ")
        )
    }

    /// The meaning of HOLD, as a share with as many digits as it needs.
    fn hold(&self) -> String {
        let percent = 100.0 * self.band;
        let digits = if percent < 0.1 { 4 } else { 2 };
        format!("{percent:.digits$}%")
    }

    /// Whether times of day tell bars apart.
    fn is_intraday(&self) -> bool {
        let spacing = bars::spacing(&self.series);
        spacing.is_some_and(|spacing| spacing.num_hours() < 23)
    }

    /// First and last day, or minute, of some samples in date order.
    fn span(&self, samples: &[features::Sample]) -> String {
        let form = if self.is_intraday() { "%F %H:%M" } else { "%F" };
        match (samples.first(), samples.last()) {
            (Some(first), Some(last)) => {
                format!("{} to {}", first.time.format(form), last.time.format(form))
            }
            _ => "no days".to_owned(),
        }
    }
}

fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<ExitCode> {
    let market = Market::read(arguments)?;
    if arguments.until_killed {
        return until_killed(arguments, &market, out);
    }
    let interrupt = Interrupt::listen().context("the program cannot listen for Ctrl-C")?;
    let model = model(arguments);
    let mut book = Book::open(&arguments.dir, &model, market.names())?;
    book.rank_checkpoints()?;

    if arguments.details {
        print_plan(out, arguments, &market)?;
    }
    let started = Instant::now();
    let trained = match train(arguments, out, &market.periods, &book, &interrupt) {
        Ok(trained) => trained,
        Err(error) if error.is::<Interrupted>() => {
            return interrupted(arguments, out, book, &model, 0);
        }
        Err(error) => return Err(error),
    };
    let trained = Trained {
        network: trained.0,
        best: trained.1,
        took: started.elapsed(),
    };
    // The saved network decides, not the one in memory.
    let network = match book.load_best(&model, Network::read)? {
        Some((best, checkpoint)) => {
            let deleted = book.tidy()?;
            if arguments.details {
                writeln!(
                    out,
                    "Loaded checkpoint {} (epoch {}), the best; deleted {deleted} old ones.",
                    checkpoint.id(),
                    checkpoint.epoch().unwrap_or_default(),
                )?;
            }
            best
        }
        None => trained.network.clone(),
    };
    book.note(&format!(
        "trained on {} samples, {}",
        market.periods.training.len(),
        market.span(&market.periods.training)
    ));

    let mut walk = Walk::new(&market)?;
    walk.go(arguments, &market, &book, &network, &interrupt);
    if interrupt.is_asked() {
        return interrupted(arguments, out, book, &model, walk.tally.decisions());
    }
    tell(
        arguments, out, &market, &trained, book, &model, &walk, &interrupt,
    )
}

/// Result of the training.
struct Trained {
    network: Network,
    best: Option<Epoch>,
    took: Duration,
}

/// The walk through the later years.
struct Walk {
    tally: Tally,
    /// The decision that cost most, with what the agent had seen.
    costliest: Option<(f64, InferenceId, Vector)>,
    took: Duration,
}

impl Walk {
    fn new(market: &Market) -> Result<Self> {
        Ok(Self {
            tally: Tally::new(market.names())?,
            costliest: None,
            took: Duration::ZERO,
        })
    }

    /// Decides on one bar after the other, until the bars or the person's patience end.
    fn go(
        &mut self,
        arguments: &Arguments,
        market: &Market,
        book: &Book,
        network: &Network,
        interrupt: &Interrupt,
    ) {
        let started = Instant::now();
        let walk = &market.periods.walk;
        let bar = progress(arguments, "Deciding", walk.len() as u64);
        // The result of each symbol's last decision when its next bar is there.
        let mut open = vec![None; market.series.len()];
        for (done, sample) in walk.iter().enumerate() {
            if interrupt.is_asked() {
                break;
            }
            let before = open.get_mut(sample.symbol).and_then(Option::take);
            if let Some((decision, outcome)) = before {
                book.settle(&decision, &outcome);
            }
            let decision = book.decide(sample.symbol, sample.time, &sample.features, |features| {
                network.probabilities(features)
            });
            if let Some(decision) = decision {
                let position = POSITIONS.get(decision.action).copied().unwrap_or_default();
                let came = sample.outcome.map(|outcome| {
                    let right = outcome.action == decision.action;
                    (right, position * outcome.gain)
                });
                self.tally.add(sample.symbol, &decision, came);
                if let (Some(id), Some((_, reward))) = (decision.id, came)
                    && self.costliest.is_none_or(|(least, ..)| reward < least)
                {
                    self.costliest = Some((reward, id, sample.features));
                }
                if let Some(open) = open.get_mut(sample.symbol) {
                    *open = sample.outcome.map(|outcome| (decision, outcome));
                }
            }
            if done % 64 == 0 {
                bar.set_position(done as u64);
            }
        }
        bar.finish_and_clear();
        self.took = started.elapsed();
    }
}

/// Prints what happened: the story, and with `--details` all the rest.
#[expect(clippy::too_many_arguments, reason = "they are what the run was")]
fn tell(
    arguments: &Arguments,
    out: &mut dyn Write,
    market: &Market,
    trained: &Trained,
    book: Book,
    model: &str,
    walk: &Walk,
    interrupt: &Interrupt,
) -> Result<ExitCode> {
    book.flush()?;
    let explained = match walk.costliest {
        Some((_, id, _)) if !arguments.quiet => book.explain(id)?,
        _ => None,
    };
    let rehearsed = match arguments.quiet {
        true => None,
        false => crash::rehearse(again(arguments)?, &book, interrupt).transpose(),
    };
    let finished = book.finish(NEWEST)?;
    if interrupt.is_asked() {
        return say_interrupted(arguments, out, model, walk.tally.decisions(), None);
    }
    if arguments.details {
        let (span, took) = (market.span(&market.periods.walk), time(walk.took));
        writeln!(out, "\nWalked {span} in {took}.")?;
        walk.tally.print_decisions(out)?;
        report::print_results(out, &finished.results, finished.live.as_ref())?;
        walk.tally.print_latency(out)?;
        report::print_entries(out, &finished.entries)?;
        report::print_lines(out, &finished.lines)?;
        report::print_health(out, &finished.health, &arguments.dir.display().to_string())?;
        writeln!(out)?;
    }
    print_summary(out, market, trained, walk, &finished.health)?;
    if let (Some(explained), Some((_, _, features))) = (&explained, &walk.costliest) {
        story::print_explained(out, explained, features)?;
    }
    if let Some(rehearsed) = &rehearsed {
        story::print_crash(out, rehearsed)?;
    }
    if !arguments.quiet {
        print_next(arguments, out, model, explained.as_ref())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn print_next(
    arguments: &Arguments,
    out: &mut dyn Write,
    model: &str,
    explained: Option<&Explained>,
) -> io::Result<()> {
    story::print_next(out, &arguments.dir, model, explained)
}

/// Prints the run in a few lines.
fn print_summary(
    out: &mut dyn Write,
    market: &Market,
    trained: &Trained,
    walk: &Walk,
    health: &record::Health,
) -> io::Result<()> {
    let periods = &market.periods;
    let hold = market.hold();
    let bars = format!("{}; a move of less than {hold} is HOLD", market.bars());
    story::item(out, "Bars", &[bars])?;
    let kept = trained.best.map_or_else(String::new, |best| {
        let loss = best.validation_loss;
        format!("; kept epoch {} (loss {loss:.3})", best.number)
    });
    let network = format!(
        "{} parameters on {} bars until {}, in {}{kept}",
        thousands(trained.network.parameters() as u64),
        thousands(periods.training.len() as u64),
        last(market, &periods.validation),
        time(trained.took),
    );
    story::item(out, "Trained", &[network])?;
    let decided = format!(
        "{} bars, {}, one at a time as a live agent would",
        thousands(walk.tally.decisions()),
        market.span(&periods.walk)
    );
    let scored = format!("{}; {}", walk.tally.score(), yardstick(periods));
    story::item(out, "Decided", &[decided, scored])?;
    let recorded = format!(
        "{} decisions, outcomes and events: {} on disk, {} dropped",
        thousands(health.offered),
        match health.committed == health.offered {
            true => "all".to_owned(),
            false => thousands(health.committed),
        },
        thousands(health.dropped)
    );
    story::item(out, "Recorded", &[recorded, walk.tally.latency()])
}

/// When the last of some samples was.
fn last(market: &Market, samples: &[features::Sample]) -> String {
    let span = market.span(samples);
    let last = span.rsplit_once(" to ").map(|(_, last)| last.to_owned());
    last.unwrap_or(span)
}

/// This program once more, as the process that is to crash.
fn again(arguments: &Arguments) -> Result<Command> {
    let program = std::env::current_exe().context("the program does not find itself")?;
    let mut command = Command::new(program);
    command.arg("--dir").arg(&arguments.dir);
    if let Some(csv) = &arguments.csv {
        command.arg("--csv").arg(csv);
    }
    command.arg("--until-killed");
    Ok(command)
}

/// Decides with the best checkpoint of the agent, under a name of its own, until it is killed.
fn until_killed(arguments: &Arguments, market: &Market, out: &mut dyn Write) -> Result<ExitCode> {
    let mut book = Book::open(&arguments.dir, crash::NAME, market.names())?;
    let best = book.load_best(&model(arguments), Network::read)?;
    let (network, _) = best.context("there is no checkpoint to decide with")?;
    crash::decide_until_killed(&book, &network, &market.periods.walk, out)?;
    Ok(ExitCode::SUCCESS)
}

/// Closes the journal after a Ctrl-C, and says what was kept.
fn interrupted(
    arguments: &Arguments,
    out: &mut dyn Write,
    book: Book,
    model: &str,
    decisions: u64,
) -> Result<ExitCode> {
    let checkpoints = book.checkpoints()?;
    let finished = book.finish(NEWEST)?;
    let kept = Some((checkpoints, finished.health));
    say_interrupted(arguments, out, model, decisions, kept)
}

fn say_interrupted(
    arguments: &Arguments,
    out: &mut dyn Write,
    model: &str,
    decisions: u64,
    kept: Option<(u64, record::Health)>,
) -> Result<ExitCode> {
    let dir = story::quoted(&arguments.dir.display().to_string());
    writeln!(
        out,
        "Interrupted; the journal is closed, and nothing is lost."
    )?;
    let mut lines = vec![format!("{} decisions of this run", thousands(decisions))];
    if let Some((checkpoints, health)) = kept {
        lines.push(format!(
            "{} checkpoints of {model}, and {} entries of this run, {} dropped",
            thousands(checkpoints),
            thousands(health.committed),
            thousands(health.dropped)
        ));
    }
    story::item(out, "Kept", &lines)?;
    let next = format!("annals -d {dir} status   # or the same command again: it appends a run");
    story::item(out, "Type next", &[next])?;
    Ok(ExitCode::from(interrupt::EXIT_CODE))
}

/// Name of the model: networks that were trained on different bars do not compare.
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

/// The last time the network may learn from. In the built-in sample it is the end of 2007, so that
/// the crash of 2008 is new to it. In any other file it is the time by which three fifths of the
/// bars have gone by.
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

fn print_plan(out: &mut dyn Write, arguments: &Arguments, market: &Market) -> io::Result<()> {
    let (series, periods) = (&market.series, &market.periods);
    let count = |samples: &[features::Sample]| thousands(samples.len() as u64);
    writeln!(out, "Bars      {}, from {}", market.bars(), market.source)?;
    writeln!(out, "Hold      a move of less than {}", market.hold())?;
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
        market.span(&periods.training)
    )?;
    writeln!(
        out,
        "Validate  {:>6} samples  {}",
        count(&periods.validation),
        market.span(&periods.validation)
    )?;
    writeln!(
        out,
        "Decide    {:>6} bars     {}",
        count(&periods.walk),
        market.span(&periods.walk)
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
    interrupt: &Interrupt,
) -> Result<(Network, Option<Epoch>)> {
    let started = Instant::now();
    let schedule = Schedule {
        epochs: arguments.epochs,
        seed: arguments.seed,
    };
    let bar = progress(arguments, "Training", u64::from(arguments.epochs));
    if arguments.details {
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
            if interrupt.is_asked() {
                return Err(Interrupted.into());
            }
            book.save(epoch, |path| network.write(path))?;
            if arguments.details {
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
    if let (true, Some(best)) = (arguments.details, best) {
        writeln!(
            out,
            "\nTrained {} parameters in {}; kept epoch {}, the lowest validation loss.",
            thousands(network.parameters() as u64),
            time(started.elapsed()),
            best.number
        )?;
    }
    Ok((network, best))
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

/// The score without a network on the same days, by the training years alone.
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
    format!("always {name}: {}", percent(share(&periods.walk, most)))
}

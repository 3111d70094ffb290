//! `kill -9` at random moments, for annals and for other ways to remember a decision.
//!
//! `cargo run --release -p kill-table` prints the tables of `docs/kill-table.md`: every subject
//! under one load, and annals under every load. A child records decisions and says each one whose
//! call was answered with success. It is killed at a random moment, what it left is opened as a
//! user would, and what was said is compared with what is there.
//!
//! | option | effect |
//! |---|---|
//! | `--rounds 200` | kills for each row |
//! | `--only annals-sync,redb` | these subjects |
//! | `--shapes paced-20,bursts` | these loads, for every subject |
//! | `--deaths` | annals alone: all deaths by itself, 50 rounds each |
//! | `--death abort` | of these, one |
//! | `--processes 2` | two processes in one journal, of which one or both are killed |
//! | `--dir DIR` | where the children record; the program's own folder without it |
//!
//! An out-of-memory kill is among the deaths where a memory cgroup can be made. Two processes are
//! annals' alone, and run under every load, unless `--only` and `--shapes` say otherwise.
//!
//! It fails if annals breaks a promise: an id that was returned is missing, there twice, or out of
//! order, where the settings promise that; a loss that no gap stands for.

#![allow(
    missing_docs,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that prints figures"
)]

mod child;
#[allow(dead_code, reason = "only its random numbers are used")]
#[path = "../../../benches/common/events.rs"]
mod events;
mod memory;
mod page;
mod round;
mod shape;
mod subjects;
mod teller;
mod together;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use child::{Death, Orders};
use events::Random;
use memory::Group;
use page::Row;
use round::{End, round};
use shape::Shape;
use subjects::Kind;
use together::Course;

/// A child lives between these times after its first answer.
const LEAST: Duration = Duration::from_millis(20);
const SPREAD_MICROS: usize = 380_000;
/// Calls before a child ends itself: between one and this.
const MOST_CALLS: usize = 10_000;

fn text(name: &str) -> Option<String> {
    let mut arguments = std::env::args().skip_while(|argument| argument != name);
    arguments.nth(1)
}

fn number(name: &str, usual: usize) -> Result<usize> {
    match text(name) {
        Some(text) => text.parse().with_context(|| format!("{name} {text}")),
        None => Ok(usual),
    }
}

fn asked(name: &str) -> bool {
    std::env::args().any(|argument| argument == name)
}

struct Run {
    program: PathBuf,
    dir: PathBuf,
    random: Random,
}

impl Run {
    fn new() -> Result<Run> {
        let program = std::env::current_exe()?;
        // On the disk that the build is on: the system's temporary directory may be memory.
        let beside = program.parent().context("a program lies in a folder")?;
        let dir = text("--dir").map_or(beside.to_owned(), PathBuf::from);
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let seed = text("--seed").and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or(now.as_secs());
        eprintln!("seed {seed}");
        Ok(Run {
            program,
            dir,
            random: Random::new(seed),
        })
    }

    fn row(&mut self, kind: &'static Kind, shape: Shape, rounds: usize) -> Result<Row> {
        let began = Instant::now();
        let mut costs = Vec::new();
        for _ in 0..rounds {
            let end = End::Killed(LEAST + self.random_time()?);
            costs.push(self.round(kind, shape, end)?);
        }
        let name = format!("{}, {}", kind.name, shape.name());
        eprintln!("{name}: {rounds} rounds in {:.0?}", began.elapsed());
        Ok(Row { kind, shape, costs })
    }

    fn round(&self, kind: &'static Kind, shape: Shape, end: End) -> Result<round::Cost> {
        let folder = tempfile::tempdir_in(&self.dir)?;
        round(&self.program, kind, shape, folder.path(), end)
            .with_context(|| format!("{}, {}", kind.name, shape.name()))
    }

    fn row_of_two(&mut self, kind: &'static Kind, shape: Shape, rounds: usize) -> Result<Row> {
        let began = Instant::now();
        let mut costs = Vec::new();
        for round in 0..rounds {
            let first = LEAST + self.random_time()?;
            let second = self.random_time()?;
            let course = match round % 3 {
                0 => Course::Both(first, second / 8),
                1 => Course::One(first, second / 2),
                _ => Course::Replaced(first, second / 2),
            };
            let folder = tempfile::tempdir_in(&self.dir)?;
            let cost = together::round(&self.program, kind, shape, folder.path(), course);
            costs.push(cost.with_context(|| format!("{}, {}", kind.name, shape.name()))?);
        }
        let name = format!("two of {}, {}", kind.name, shape.name());
        eprintln!("{name}: {rounds} rounds in {:.0?}", began.elapsed());
        Ok(Row { kind, shape, costs })
    }

    fn random_time(&mut self) -> Result<Duration> {
        let micros = u64::try_from(self.random.below(SPREAD_MICROS))?;
        Ok(Duration::from_micros(micros))
    }

    /// All kinds of death of those of `kinds` that promise something.
    fn deaths(&mut self, kinds: &[&'static Kind], rounds: usize) -> Result<()> {
        let no_group = Group::create().err();
        if let Some(why) = &no_group {
            println!("skipped: {}: {why:#}\n", Death::NoMemory.name());
        }
        let wanted = text("--death");
        let is_wanted = |death: &Death| wanted.as_ref().is_none_or(|name| name == death.name());
        for kind in kinds.iter().filter(|kind| kind.promise.is_some()) {
            for death in Death::ALL.into_iter().filter(is_wanted) {
                if death == Death::NoMemory && no_group.is_some() {
                    continue;
                }
                let mut costs = Vec::new();
                for _ in 0..rounds {
                    let most = MOST_CALLS.min(rounds * 200);
                    let after = u64::try_from(self.random.below(most))?;
                    let end = End::Itself(death, after);
                    costs.push(self.round(kind, Shape::Threads, end)?);
                }
                let row = Row {
                    kind,
                    shape: Shape::Threads,
                    costs,
                };
                println!("{}\n\n{}", death.name(), page::table(&[row], false));
            }
        }
        Ok(())
    }
}

fn chosen() -> Result<Vec<&'static Kind>> {
    match text("--only") {
        None => Ok(subjects::ALL.iter().collect()),
        Some(names) => names.split(',').map(subjects::named).collect(),
    }
}

fn shapes() -> Result<Option<Vec<Shape>>> {
    let Some(names) = text("--shapes") else {
        return Ok(None);
    };
    let shape = |name| Shape::named(name).with_context(|| format!("there is no load {name}"));
    names.split(',').map(shape).collect::<Result<_>>().map(Some)
}

/// What the parent told this process to be.
fn be_a_child(arguments: &[String]) -> Result<()> {
    let (subject, shape, dir, rest) = match arguments {
        [subject, shape, dir, rest @ ..] => (subject, shape, dir, rest),
        _ => bail!("a child needs a subject, a load and a folder"),
    };
    let shape = Shape::named(shape).context("no such load")?;
    let mut orders = Orders::default();
    let mut rest = rest.iter();
    while let Some(order) = rest.next() {
        let mut next = || rest.next().context("an order that is cut off");
        match order.as_str() {
            "--death" => {
                let (name, after) = (next()?, next()?.parse()?);
                let death = Death::ALL.into_iter().find(|known| known.name() == name);
                orders.death = Some((death.context("no such death")?, after));
            }
            "--group" => orders.group = Some(next()?.into()),
            "--process" => orders.process = Some(next()?.parse()?),
            other => bail!("no such order: {other}"),
        }
    }
    child::run(subject, shape, Path::new(dir), &orders)
}

/// Two processes, under every load.
fn two(run: &mut Run, rounds: usize) -> Result<()> {
    let kinds = match text("--only") {
        Some(_) => chosen()?,
        None => vec![subjects::named("annals")?],
    };
    let shapes = shapes()?.unwrap_or_else(|| Shape::ALL.to_vec());
    for kind in kinds {
        let rows = shapes
            .iter()
            .map(|shape| run.row_of_two(kind, *shape, rounds));
        let rows: Vec<Row> = rows.collect::<Result<_>>()?;
        println!("{}\n\n{}", kind.description, page::table(&rows, true));
    }
    Ok(())
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, rest @ ..] = arguments.as_slice()
        && flag == "--child"
    {
        return be_a_child(rest);
    }
    let mut run = Run::new()?;
    if asked("--deaths") {
        return run.deaths(&chosen()?, number("--rounds", 50)?);
    }
    let rounds = number("--rounds", 200)?;
    match number("--processes", 1)? {
        1 => {}
        2 => return two(&mut run, rounds),
        other => bail!("--processes {other}: one or two record in one journal"),
    }
    let kinds = chosen()?;
    match shapes()? {
        Some(shapes) => {
            for kind in kinds {
                let rows = shapes.iter().map(|shape| run.row(kind, *shape, rounds));
                let rows: Vec<Row> = rows.collect::<Result<_>>()?;
                println!("{}\n\n{}", kind.description, page::table(&rows, true));
            }
        }
        None => {
            let mut rows = Vec::new();
            for kind in kinds {
                rows.push(run.row(kind, Shape::Paced20, rounds)?);
            }
            println!(
                "{}\n\n{}",
                Shape::Paced20.description(),
                page::table(&rows, false)
            );
        }
    }
    Ok(())
}

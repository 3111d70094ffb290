//! How many outcomes a second reach the disk, and what reading them costs.
//!
//! `cargo bench --bench outcomes` records 2 M distinct inferences. Then it attaches outcomes
//! (reward and correct) at full speed until they are on disk:
//!
//! * for the newest inferences, roughly in order, as a loop does;
//! * for random ones of the whole journal, before and after it is sealed;
//! * 1 M for a single one.
//!
//! At last it reads them, by id and joined to a query. `-- --test` does little of each. A run in
//! which anything was dropped is an error.

#![allow(missing_docs, clippy::print_stdout, clippy::cast_precision_loss)]

mod common;

use std::path::Path;
use std::time::Instant;

use annals::{InferenceId, Journal, Outcome, Reader};
use common::events::{Decisions, Random};
use common::machine::bytes_written;
use common::{BOUND, Failure, journals, machine};

/// Records distinct inferences, and waits until they are on disk.
fn grow(journal: &Journal, events: usize) -> Result<Vec<InferenceId>, Failure> {
    let recorder = journals::recorder(journal, journals::MODEL, journals::SYMBOL)?;
    let mut decisions = Decisions::default();
    let ids: Option<Vec<_>> = (0..events)
        .map(|_| journals::log(&recorder, &decisions.draw()))
        .collect();
    journal.flush().wait(BOUND)?;
    Ok(ids.ok_or("an inference was dropped")?)
}

/// Attaches an outcome to each of `ids`, waits until they are on disk, and prints the rate.
fn attach(
    what: &str,
    journal: &Journal,
    random: &mut Random,
    ids: impl Iterator<Item = InferenceId>,
) -> Result<(), Failure> {
    let (began, written) = (Instant::now(), bytes_written());
    let mut count = 0_u64;
    for id in ids {
        let reward = random.draw() as f64 / u64::MAX as f64 - 0.5;
        let outcome = Outcome::new().reward(reward).correct(reward > 0.0);
        if !journal.attach_outcome(id, outcome) {
            return Err("an outcome was dropped".into());
        }
        count += 1;
    }
    journal.flush().wait(BOUND)?;
    let rate = count as f64 / began.elapsed().as_secs_f64();
    let bytes = bytes_written().zip(written);
    let bytes = bytes.map_or("-".to_owned(), |(now, then)| {
        ((now - then) / count).to_string()
    });
    println!("{what:<44} {count:>9} {rate:>12.0}/s {bytes:>7} B written each");
    Ok(())
}

/// The median time of a look-up by id.
fn look_up(what: &str, reader: &Reader, ids: &[InferenceId]) -> Result<(), Failure> {
    let mut times = Vec::new();
    for id in ids {
        let began = Instant::now();
        reader.outcome(*id)?.ok_or("an outcome is not there")?;
        times.push(began.elapsed());
    }
    let middle = common::median(times).unwrap_or_default();
    println!("{what:<44} {middle:>9.1?} p50");
    Ok(())
}

fn join(reader: &Reader, most: usize) -> Result<(), Failure> {
    let began = Instant::now();
    let (mut read, mut known) = (0_u64, 0_u64);
    for joined in reader
        .inferences()
        .newest_first()
        .limit(most)
        .with_outcomes()
    {
        read += 1;
        known += u64::from(joined?.1.is_some());
    }
    let rate = read as f64 / began.elapsed().as_secs_f64();
    let what = "newest inferences read with their outcomes";
    println!("{what:<44} {read:>9} {rate:>12.0}/s, {known} have one");
    Ok(())
}

fn measure(dir: &Path, inferences: usize, outcomes: usize) -> Result<(), Failure> {
    let journal = journals::options().without_mirror().open(dir)?;
    let mut random = Random::default();
    let ids = grow(&journal, inferences)?;
    // In the order of the decisions, but for how long each takes to turn out.
    let newest = &ids[ids.len() - outcomes..];
    let mut order: Vec<_> = (0..outcomes).collect();
    order.sort_by_cached_key(|index| index + random.below(1_000));
    let recent = order.iter().map(|index| newest[*index]);
    attach("for the newest inferences", &journal, &mut random, recent)?;
    let reader = Reader::open(dir)?;
    join(&reader, outcomes)?;

    let some = |random: &mut Random, count: usize| -> Vec<InferenceId> {
        (0..count).map(|_| ids[random.below(ids.len())]).collect()
    };
    let few = outcomes.div_ceil(5);
    let scattered = some(&mut random, few);
    let them = scattered.iter().copied();
    attach("for random ones of all", &journal, &mut random, them)?;
    look_up("one of them, by id", &reader, &scattered[..few.min(1_000)])?;
    journal.seal(BOUND)?;
    look_up(
        "one of them, by id, sealed",
        &reader,
        &scattered[..few.min(1_000)],
    )?;
    let scattered = some(&mut random, few);
    let them = scattered.into_iter();
    attach(
        "for random ones of all, after sealing",
        &journal,
        &mut random,
        them,
    )?;
    join(&reader, outcomes)?;

    let single = std::iter::repeat_n(ids[7], outcomes);
    attach("for a single one", &journal, &mut random, single)?;
    look_up("that one, by id", &reader, &ids[7..8])?;
    journal.close()?;
    Ok(())
}

fn main() -> Result<(), Failure> {
    let (inferences, outcomes) = if common::trial() {
        (5_000, 1_000)
    } else {
        (2_000_000, 1_000_000)
    };
    let (directory, machine) = machine::place(Path::new(env!("CARGO_TARGET_TMPDIR")))?;
    println!("{machine}");
    measure(&directory.path().join("data"), inferences, outcomes)
}

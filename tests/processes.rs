//! One directory, several real processes: nothing is lost, nothing is seen twice, and no process
//! waits for another to close.

#![cfg(all(
    any(target_os = "linux", target_vendor = "apple", windows),
    not(annals_portable)
))]
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod common;

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use annals::entry::RunState;
use annals::{Error, Inference, InferenceId, Journal, Reader, Sharing};
use common::{BOUND, Child, Random, command, role, say, spin, unfinished};

/// Sequence and id of one entry.
type Seen = (u64, InferenceId);

/// Plays the role that the environment names; does nothing in the test run proper.
#[test]
fn child() {
    let Some((role, dir)) = role() else { return };
    match role.as_str() {
        "writer" => write(&dir, Sharing::Shared),
        "exclusive writer" => write(&dir, Sharing::Exclusive),
        "reader" => read(&dir),
        "follower" => follow_on_command(&dir),
        "opener" => open_on_command(),
        other => panic!("no role {other}"),
    }
}

fn write(dir: &Path, sharing: Sharing) {
    let journal = Journal::options().sharing(sharing).open(dir).unwrap();
    say(&format!("opened {}", journal.id()));
    let mut logged = 0;
    while let Some(command) = command() {
        if command == "close" {
            journal.close().unwrap();
            say("closed");
            continue;
        }
        let (commits, events) = pair(&command);
        let mut ids = Vec::new();
        for _ in 0..commits {
            ids.extend(log_flushed(&journal, &mut logged, events));
        }
        say(&join(&ids));
    }
}

/// Logs `events` numbered inferences and commits them.
fn log_flushed(journal: &Journal, logged: &mut u64, events: u64) -> Vec<InferenceId> {
    let model = model_of(std::process::id());
    let log = |number| {
        let inference = Inference::new(&model, "ETH/USDT", "BUY");
        let time = Duration::from_nanos(number);
        journal.log(inference.processing_time(time)).unwrap()
    };
    let ids = (*logged..*logged + events).map(log).collect();
    *logged += events;
    journal.flush().wait(BOUND).unwrap();
    ids
}

fn read(dir: &Path) {
    let mut reader = None;
    while let Some(command) = command() {
        let answer = match (command.as_str(), &reader) {
            ("open", _) => match Reader::open(dir) {
                Ok(opened) => format!("opened {}", reader.insert(opened).id()),
                Err(Error::Missing { .. }) => "missing".to_owned(),
                Err(error) => format!("{error:?}"),
            },
            ("count", Some(reader)) => count(reader).to_string(),
            ("states", Some(reader)) => states(reader).join(" "),
            _ => "what?".to_owned(),
        };
        say(&answer);
    }
}

fn follow_on_command(dir: &Path) {
    let reader = Reader::open(dir).unwrap();
    while let Some(command) = command() {
        let [cursor, last, seed] = command.split(' ').collect::<Vec<_>>()[..] else {
            panic!("cannot follow {command}");
        };
        let random = Random::from_seed(seed.parse().unwrap());
        let seen = follow(&reader, cursor, last.parse().unwrap(), Some(random));
        let words = seen.iter().map(|(at, id)| format!("{at}={id}"));
        say(&words.collect::<Vec<_>>().join(" "));
    }
}

fn open_on_command() {
    while let Some(command) = command() {
        let [delay, events, dir] = command.splitn(3, ' ').collect::<Vec<_>>()[..] else {
            panic!("cannot open {command}");
        };
        spin(Duration::from_micros(delay.parse().unwrap()));
        match Journal::open(dir) {
            Ok(journal) => {
                let ids = log_flushed(&journal, &mut 0, events.parse().unwrap());
                say(&format!("{} {}", journal.id(), join(&ids)));
                journal.close().unwrap();
            }
            Err(error) => say(&format!("{error:?}")),
        }
    }
}

fn model_of(process: u32) -> String {
    format!("model of {process}")
}

fn join(ids: &[InferenceId]) -> String {
    let words: Vec<_> = ids.iter().map(InferenceId::to_string).collect();
    words.join(" ")
}

fn split(words: &str) -> Vec<InferenceId> {
    words.split(' ').map(|id| id.parse().unwrap()).collect()
}

fn pair(text: &str) -> (u64, u64) {
    let (left, right) = text.split_once(' ').unwrap();
    (left.parse().unwrap(), right.parse().unwrap())
}

fn count(reader: &Reader) -> usize {
    let follow = reader.follow(reader.start()).unwrap();
    follow.map(Result::unwrap).count()
}

/// State of each run, in a word.
fn states(reader: &Reader) -> Vec<&'static str> {
    let word = |state| match state {
        RunState::Alive => "alive",
        RunState::Closed(_) => "closed",
        RunState::Died(_) => "died",
        _ => "?",
    };
    reader.runs().map(|run| word(run.unwrap().state)).collect()
}

/// Follows from `cursor` up to the entry `last`. With `random`, lets go again and again, and goes
/// on from the cursor as it prints itself.
fn follow(reader: &Reader, cursor: &str, last: u64, mut random: Option<Random>) -> Vec<Seen> {
    let mut cursor = cursor.to_owned();
    let mut seen = Vec::new();
    loop {
        let mut follow = reader.follow(cursor.parse().unwrap()).unwrap();
        let steps = random.as_mut().map_or(u64::MAX, |random| random.below(20));
        for _ in 0..steps {
            if follow.cursor().next_sequence() > last {
                return seen;
            }
            assert!(follow.wait(BOUND).unwrap(), "stuck at {}", follow.cursor());
            let entry = follow.next().unwrap().unwrap();
            seen.push((entry.sequence, entry.id().unwrap()));
        }
        cursor = follow.cursor().to_string();
    }
}

fn start_writer(role: &str, dir: &Path) -> (Child, String) {
    let writer = Child::start(role, dir);
    let said = writer.hear();
    let id = said.strip_prefix("opened ").unwrap();
    (writer, id.to_owned())
}

#[test]
fn followers_see_all_commits_of_two_writers_once_and_in_order() {
    const COMMITS: u64 = 40;
    const EVENTS: u64 = 3;
    const LAST: u64 = 2 * 2 * COMMITS * EVENTS;
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let mut random = Random::new();
    println!("seed {}", random.seed());
    let mut fork = || Random::from_seed(random.below(u64::MAX));

    let (first, journal) = start_writer("writer", dir);
    let (second, same_journal) = start_writer("writer", dir);
    let mut writers = [first, second];
    assert_eq!(journal, same_journal);
    let reader = Reader::open(dir).unwrap();
    assert_eq!(states(&reader), ["alive", "alive"]);

    let start = reader.start().to_string();
    let mut follower = Child::start("follower", dir);
    follower.tell(&format!("{start} {LAST} {}", fork().seed()));
    let here = |cursor: &str, random| {
        let (reader, cursor) = (reader.clone(), cursor.to_owned());
        thread::spawn(move || follow(&reader, &cursor, LAST, random))
    };
    let at_a_stretch = here(&start, None);
    let in_pieces = here(&start, Some(fork()));

    // In turns: the second process's commit follows the first's at once.
    let mut logged = [Vec::new(), Vec::new()];
    for _ in 0..COMMITS {
        for (writer, ids) in writers.iter_mut().zip(&mut logged) {
            ids.extend(split(&writer.ask(&format!("1 {EVENTS}"))));
        }
    }
    let middle = reader.end().unwrap();
    assert_eq!(middle.next_sequence(), LAST / 2 + 1);
    let middle = middle.to_string();
    let late = here(&middle, None);
    let late_in_pieces = here(&middle, Some(fork()));

    // Both at once, as fast as they can.
    for writer in &mut writers {
        writer.tell(&format!("{COMMITS} {EVENTS}"));
    }
    for (writer, ids) in writers.iter_mut().zip(&mut logged) {
        ids.extend(split(&writer.hear()));
    }

    let seen = at_a_stretch.join().unwrap();
    assert!(seen.iter().map(|(sequence, _)| *sequence).eq(1..=LAST));
    assert_eq!(in_pieces.join().unwrap(), seen);
    assert_eq!(parse_seen(&follower.hear()), seen);
    let newer = &seen[seen.len() / 2..];
    assert_eq!(late.join().unwrap(), newer);
    assert_eq!(late_in_pieces.join().unwrap(), newer);
    follower.tell(&format!("{middle} {LAST} {}", fork().seed()));
    assert_eq!(parse_seen(&follower.hear()), newer);
    assert_eq!(reader.end().unwrap().next_sequence(), LAST + 1);

    for (writer, ids) in writers.iter().zip(&logged) {
        let run = ids[0].run();
        let of_run = seen.iter().map(|(_, id)| *id).filter(|id| id.run() == run);
        assert!(of_run.eq(ids.iter().copied()), "out of order");
        assert_records(&reader, ids, &seen, writer.number());
    }
    assert_eq!(states(&reader), ["alive", "alive"]);
    for writer in &mut writers {
        assert_eq!(writer.ask("close"), "closed");
    }
    assert_eq!(states(&reader), ["closed", "closed"]);
    let processes = reader.runs().map(|run| run.unwrap().process);
    assert!(processes.eq(writers.iter().map(Child::number)));
    writers.into_iter().for_each(Child::finish);
    follower.finish();
}

fn parse_seen(words: &str) -> Vec<Seen> {
    let one = |word: &str| {
        let (sequence, id) = word.split_once('=').unwrap();
        (sequence.parse().unwrap(), id.parse().unwrap())
    };
    words.split(' ').map(one).collect()
}

/// All of `ids`, which `process` logged in this order, are there as they were logged.
fn assert_records(reader: &Reader, ids: &[InferenceId], seen: &[Seen], process: u32) {
    let places: HashMap<_, _> = seen.iter().map(|(at, id)| (*id, *at)).collect();
    for (number, id) in (0..).zip(ids) {
        let record = reader.get(*id).unwrap().unwrap();
        assert_eq!((record.id, record.sequence), (*id, places[id]));
        assert_eq!(record.processing_time, Some(Duration::from_nanos(number)));
        assert_eq!(&*record.model, model_of(process));
        assert_eq!((&*record.symbol, &*record.action), ("ETH/USDT", "BUY"));
    }
}

#[test]
fn a_reader_works_before_during_and_after_the_writer() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path().join("data");
    let mut reader = Child::start("reader", &dir);
    assert_eq!(reader.ask("open"), "missing");
    fs::create_dir(&dir).unwrap();
    assert_eq!(reader.ask("open"), "missing", "an empty directory");
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 0, "a reader wrote");

    let (mut writer, id) = start_writer("writer", &dir);
    assert_eq!(reader.ask("open"), format!("opened {id}"));
    assert_eq!(reader.ask("count"), "0");
    assert_eq!(reader.ask("states"), "alive");

    writer.ask("1 3");
    assert_eq!(reader.ask("count"), "3");
    let mut late_reader = Child::start("reader", &dir);
    assert_eq!(late_reader.ask("open"), format!("opened {id}"));
    writer.ask("2 2");
    assert_eq!(late_reader.ask("count"), "7");
    assert_eq!(reader.ask("count"), "7");

    assert_eq!(writer.ask("close"), "closed");
    writer.finish();
    assert_eq!(reader.ask("count"), "7");
    assert_eq!(reader.ask("states"), "closed");
    let mut last_reader = Child::start("reader", &dir);
    assert_eq!(last_reader.ask("open"), format!("opened {id}"));
    assert_eq!(last_reader.ask("count"), "7");
    assert_eq!(last_reader.ask("states"), "closed");

    // Readers that have seen a writer go see the next one come.
    let (mut writer, _) = start_writer("writer", &dir);
    writer.ask("1 1");
    for mut reader in [reader, late_reader, last_reader] {
        assert_eq!(reader.ask("count"), "8");
        assert_eq!(reader.ask("states"), "closed alive");
        reader.finish();
    }
    writer.finish();
}

#[test]
fn a_run_that_closes_while_runs_are_read_has_not_died() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let (first, _) = start_writer("writer", dir);
    let (mut second, _) = start_writer("writer", dir);
    let reader = Reader::open(dir).unwrap();
    let mut runs = reader.runs();
    assert_eq!(runs.next().unwrap().unwrap().state, RunState::Alive);
    assert_eq!(second.ask("close"), "closed");
    let state = runs.next().unwrap().unwrap().state;
    assert!(!matches!(state, RunState::Died(_)), "{state:?}");
    first.finish();
    second.finish();
}

#[test]
fn processes_that_create_one_journal_at_the_same_instant_share_it() {
    const ROUNDS: usize = 40;
    const OPENERS: usize = 4;
    const EVENTS: u64 = 3;
    let directory = tempfile::tempdir().unwrap();
    let mut random = Random::new();
    println!("seed {}", random.seed());
    let mut openers = [(); OPENERS].map(|()| Child::start("opener", directory.path()));
    for round in 0..ROUNDS {
        let dir = directory.path().join(round.to_string());
        // The delays shift them against each other, so that each round meets another moment.
        for opener in &mut openers {
            let delay = random.below(2_000);
            opener.tell(&format!("{delay} {EVENTS} {}", dir.display()));
        }
        let answers = openers.each_ref().map(|opener| opener.hear());
        let reader = Reader::open(&dir).unwrap();
        for answer in &answers {
            let (journal, ids) = answer.split_once(' ').unwrap();
            assert_eq!(journal, reader.id().to_string(), "{answers:?}");
            for id in split(ids) {
                assert!(reader.get(id).unwrap().is_some(), "{id} is lost");
            }
        }
        assert_eq!(count(&reader) as u64, OPENERS as u64 * EVENTS);
        assert_eq!(unfinished(&dir), [""; 0]);
    }
    openers.into_iter().for_each(Child::finish);
}

#[test]
fn an_exclusive_journal_is_refused_to_others_until_it_is_closed() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let (mut holder, _) = start_writer("exclusive writer", dir);
    let logged = split(&holder.ask("1 2"));
    let before = fs::read(dir.join("journal.redb")).unwrap();
    for sharing in [Sharing::Exclusive, Sharing::Shared] {
        let refused = Journal::options().sharing(sharing).open(dir);
        assert!(matches!(refused, Err(Error::InUse { .. })), "{refused:?}");
    }
    let refused = Reader::open(dir);
    assert!(matches!(refused, Err(Error::InUse { .. })), "{refused:?}");
    let after = fs::read(dir.join("journal.redb")).unwrap();
    assert!(before == after, "a refused opener changed the file");
    let more = split(&holder.ask("1 2"));
    assert_eq!(holder.ask("close"), "closed");
    holder.finish();

    let exclusive = Journal::options().sharing(Sharing::Exclusive);
    let journal = exclusive.open(dir).unwrap();
    let reader = journal.reader().unwrap();
    for id in logged.into_iter().chain(more) {
        assert!(reader.get(id).unwrap().is_some(), "{id} is lost");
    }
    assert_eq!(count(&reader), 4);
    assert_eq!(states(&reader), ["closed", "alive"]);
    journal.close().unwrap();
}

#[test]
fn a_shared_journal_is_refused_to_an_exclusive_opener() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let (mut holder, _) = start_writer("writer", dir);
    holder.ask("1 2");
    let exclusive = Journal::options().sharing(Sharing::Exclusive);
    let refused = exclusive.clone().open(dir);
    assert!(matches!(refused, Err(Error::InUse { .. })), "{refused:?}");
    holder.ask("1 2");
    assert_eq!(holder.ask("close"), "closed");
    holder.finish();
    let journal = exclusive.open(dir).unwrap();
    assert_eq!(count(&journal.reader().unwrap()), 4);
    journal.close().unwrap();
}

#[test]
fn a_journal_that_is_closed_and_not_yet_dropped_holds_up_no_exclusive_opener() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path();
    let exclusive = Journal::options().sharing(Sharing::Exclusive);
    for sharing in [Sharing::Exclusive, Sharing::Shared] {
        let closed = Journal::options().sharing(sharing).open(dir).unwrap();
        closed.close().unwrap();
        let next = exclusive.clone().open(dir);
        assert!(next.is_ok(), "after a journal with {sharing:?}: {next:?}");
    }
}

//! Episodes: numbered steps, an end, and what readers add up, also where a process died.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod common;

use std::path::Path;
use std::thread;
use std::time::Duration;

use annals::entry::{EpisodeEnd, EpisodeId, EpisodeRecord};
use annals::{Inference, Journal, Options, Outcome, Reader, Recorder};
use common::{BOUND, Child, command, role, say};

fn options() -> Options {
    Journal::options().without_mirror()
}

fn recorder(journal: &Journal) -> Recorder {
    let builder = journal.recorder("dqn", "pong").actions(["up", "down"]);
    builder.build().unwrap()
}

fn episodes(journal: &Journal) -> Vec<EpisodeRecord> {
    journal.flush().wait(BOUND).unwrap();
    journal.reader().unwrap().inferences().episodes().unwrap()
}

/// Plays the role that the environment names; does nothing in the test run proper.
#[test]
fn child() {
    let Some((role, dir)) = role() else { return };
    let journal = options().open(&dir).unwrap();
    match role.split_once(' ') {
        // Two steps of an episode that the parent has begun, and its end when it is told so.
        Some((_, id)) => {
            let id: EpisodeId = id.parse().unwrap();
            for step in [1, 3] {
                let inference = Inference::new("helper", "pong", "up").episode(id, step);
                let decision = journal.log(inference).unwrap();
                journal.attach_outcome(decision, Outcome::new().reward(10.0));
            }
            journal.flush().wait(BOUND).unwrap();
            say("logged");
            command();
        }
        None => {
            let episode = recorder(&journal).episode();
            episode.inference(0).log().unwrap();
            journal.flush().wait(BOUND).unwrap();
            say(&episode.id().to_string());
            thread::sleep(BOUND);
        }
    }
}

#[test]
fn steps_are_numbered_and_rewards_added_up() {
    let journal = options().in_memory().unwrap();
    let recorder = recorder(&journal);
    let (first, second) = (recorder.episode(), recorder.episode());
    assert_ne!(first.id(), second.id());
    for step in 0..4 {
        let id = first.log(first.start(), 0, &[0.75, 0.25], &[0.5]).unwrap();
        // Corrected: the newest holds.
        first.attach_outcome(id, Outcome::new().reward(100.0));
        first.attach_outcome(id, Outcome::new().reward(step));
        second.inference(1).action_vector(&[0.5]).log().unwrap();
    }
    recorder.inference(0).log().unwrap();
    assert_eq!((first.steps(), second.steps()), (4, 4));
    let ids = [first.id(), second.id()];
    assert!(first.end_with_reward(EpisodeEnd::Terminated, 0.5));
    assert!(second.end(EpisodeEnd::Truncated));
    let known = episodes(&journal);
    assert_eq!([known[0].id, known[1].id], ids);
    assert_eq!((known[0].decisions, known[0].last_step), (4, 3));
    assert_eq!((known[0].total_reward, known[0].rewarded), (6.5, 5));
    assert_eq!((known[1].total_reward, known[1].rewarded), (0.0, 0));
    assert_eq!(
        [known[0].end, known[1].end],
        [Some(EpisodeEnd::Terminated), Some(EpisodeEnd::Truncated)]
    );
    let reader = journal.reader().unwrap();
    let steps: Vec<_> = reader.inferences().episode(ids[1]).iter().collect();
    let steps: Vec<_> = steps.into_iter().map(|one| one.unwrap().step).collect();
    // No step is a repeat of another.
    assert_eq!(steps, [Some(0), Some(1), Some(2), Some(3)]);
}

#[test]
fn a_dropped_handle_ends_as_abandoned() {
    let journal = options().in_memory().unwrap();
    let recorder = recorder(&journal);
    let episode = recorder.episode();
    episode.inference(0).log().unwrap();
    assert_eq!(episodes(&journal)[0].end, None, "its run is alive");
    drop(episode);
    assert_eq!(episodes(&journal)[0].end, Some(EpisodeEnd::Abandoned));
    // Without a decision there is nothing to end.
    let before = journal.health().offered;
    drop(recorder.episode());
    assert!(!recorder.episode().end(EpisodeEnd::Terminated));
    assert_eq!(journal.health().offered, before);
    // After the closing, nothing is counted as dropped for it.
    let late = recorder.episode();
    late.inference(0).log().unwrap();
    journal.close().unwrap();
    drop(late);
    assert_eq!(journal.health().dropped.total(), 0);
    let known = journal.reader().unwrap().inferences().episodes().unwrap();
    assert_eq!(
        (known.len(), known[1].end),
        (2, Some(EpisodeEnd::Abandoned))
    );
}

#[test]
fn refused_steps_leave_holes_in_the_numbers() {
    let journal = options().in_memory().unwrap();
    let episode = recorder(&journal).episode();
    for action in [0, 9, 1] {
        episode.inference(action).log();
    }
    let known = episodes(&journal).remove(0);
    assert_eq!((known.decisions, known.last_step), (2, 2));
}

#[test]
fn of_several_ends_the_newest_holds_and_odd_rewards_are_counted() {
    let journal = options().in_memory().unwrap();
    let id = EpisodeId::from_u64(u64::MAX);
    let log = |step| {
        let inference = Inference::new("m", "s", "up").episode(id, step);
        journal.log(inference).unwrap()
    };
    let (first, second) = (log(7), log(7));
    let end = |end, reward: f64| Outcome::new().ends_episode(end).episode_reward(reward);
    journal.attach_outcome(second, end(EpisodeEnd::Terminated, 1.0));
    journal.attach_outcome(first, end(EpisodeEnd::Truncated, 2.0).reward(f64::NAN));
    journal.attach_outcome(second, Outcome::new().reward(f64::INFINITY));
    // A value of that name that nobody writes is no end.
    journal.attach_outcome(second, Outcome::new().value("episode.end", 9.5));
    let known = episodes(&journal).remove(0);
    assert_eq!(known.end, Some(EpisodeEnd::Truncated));
    assert_eq!(
        (known.total_reward, known.rewarded, known.invalid_rewards),
        (2.0, 1, 2)
    );
    assert_eq!((known.decisions, known.last_step), (2, 7));
}

/// A disabled recorder has episodes too, and they cost nothing.
#[test]
fn a_disabled_recorder_has_episodes() {
    let recorder = Recorder::disabled();
    let episode = recorder.episode();
    assert_eq!(episode.id().to_string(), "0-0");
    assert!(episode.inference(0).log().is_none());
    assert!(!episode.end(EpisodeEnd::Terminated));
}

fn read(dir: &Path) -> Vec<EpisodeRecord> {
    Reader::open(dir).unwrap().inferences().episodes().unwrap()
}

/// Nobody can go on with an episode whose process died, whether or not a run was opened since.
#[test]
fn an_episode_whose_process_died_is_abandoned() {
    let dir = tempfile::tempdir().unwrap();
    let child = Child::start("begin", dir.path());
    let id: EpisodeId = child.hear().parse().unwrap();
    let known = read(dir.path());
    assert_eq!((known[0].id, known[0].end), (id, None), "it goes on");
    drop(child.kill());
    for opened in [false, true] {
        if opened {
            options().open(dir.path()).unwrap().close().unwrap();
        }
        let known = read(dir.path());
        assert_eq!((known[0].id, known[0].decisions), (id, 1));
        assert_eq!(known[0].end, Some(EpisodeEnd::Abandoned), "{opened}");
    }
}

#[test]
fn two_processes_share_an_episode() {
    let dir = tempfile::tempdir().unwrap();
    let journal = options().open(dir.path()).unwrap();
    let episode = recorder(&journal).episode();
    let first = episode.inference(0).log().unwrap();
    episode.attach_outcome(first, Outcome::new().reward(1.0));
    let mut helper = Child::start(&format!("help {}", episode.id()), dir.path());
    assert_eq!(helper.hear(), "logged");
    let known = episodes(&journal);
    assert_eq!(known.len(), 1);
    assert_eq!((known[0].decisions, known[0].last_step), (3, 3));
    assert_eq!((known[0].total_reward, known[0].end), (21.0, None));
    assert_eq!(&*known[0].model, "dqn");
    let id = episode.id();
    assert!(episode.end(EpisodeEnd::Terminated));
    helper.tell("end");
    helper.finish();
    journal.close().unwrap();
    let known = read(dir.path()).remove(0);
    assert_eq!((known.id, known.end), (id, Some(EpisodeEnd::Terminated)));
    let reader = Reader::open(dir.path()).unwrap();
    assert_eq!(reader.inferences().episode(id).count().unwrap(), 3);
    // Only the part within a stretch of time.
    let last = known.last_time;
    let part = reader.inferences().since(last).episodes().unwrap();
    assert!(part[0].decisions < 3);
    let later = last.saturating_add(Duration::from_secs(1));
    assert!(
        reader
            .inferences()
            .since(later)
            .episodes()
            .unwrap()
            .is_empty()
    );
}

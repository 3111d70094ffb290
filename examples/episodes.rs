//! An agent that learns by reinforcement, with its episodes in the journal.
//!
//! The world is a corridor: the agent begins on the left, and the goal is on the right. It learns
//! by Q-learning. Its actions are drawn, so that each has a propensity. Returns are read back from
//! the journal, which has each step, each reward, and how each episode ended.

#![allow(clippy::print_stdout, reason = "a program for a terminal")]

use std::time::Duration;

use annals::entry::EpisodeEnd;
use annals::{Journal, Manifest, Outcome};

const PLACES: usize = 8;
const ACTIONS: [&str; 2] = ["left", "right"];
const EPISODES: usize = 200;
/// An episode with more steps is cut off.
const MOST_STEPS: usize = 60;
const LEARNING_RATE: f64 = 0.2;
const DISCOUNT: f64 = 0.95;
const SEED: u64 = 42;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let manifest = Manifest::new()
        .program("episodes", env!("CARGO_PKG_VERSION"))
        .seed(SEED)
        .pairs([("learning_rate", LEARNING_RATE), ("discount", DISCOUNT)]);
    let journal = Journal::options()
        .manifest(manifest)
        .without_mirror()
        .open(dir.path().join("data"))?;
    let recorder = journal
        .recorder("q_learning", "corridor")
        .actions(ACTIONS)
        .build()?;

    let mut values = [[0.0; 2]; PLACES];
    let mut dice = Dice(SEED);
    for number in 0..EPISODES {
        let episode = recorder.episode();
        // It explores less and less.
        let explore = 1.0 / (1.0 + number as f32 / 10.0);
        let mut place = 0;
        let mut end = EpisodeEnd::Truncated;
        for _ in 0..MOST_STEPS {
            let policy = policy(&values[place], explore);
            let action = usize::from(dice.roll() >= policy[0]);
            let seen = [place as f32];
            let decision = episode.inference(action).features(&seen);
            let id = decision.probabilities(&policy).sampled().log();

            let (next, reward) = step(place, action);
            if let Some(id) = id {
                episode.attach_outcome(id, Outcome::new().reward(reward));
            }
            let is_goal = next == PLACES - 1;
            let later = values[next].iter().copied().fold(f64::MIN, f64::max);
            let target = reward + if is_goal { 0.0 } else { DISCOUNT * later };
            values[place][action] += LEARNING_RATE * (target - values[place][action]);
            place = next;
            if is_goal {
                end = EpisodeEnd::Terminated;
                break;
            }
        }
        episode.end(end);
    }
    journal.flush().wait(Duration::from_secs(60))?;

    // All that follows is from the journal alone.
    let reader = journal.reader()?;
    let episodes = reader.inferences().model("q_learning").episodes()?;
    println!(
        "{:>14} {:>12} {:>12} {:>10}",
        "episodes", "mean return", "mean length", "at goal"
    );
    for (number, part) in episodes.chunks(EPISODES / 5).enumerate() {
        let count = part.len() as f64;
        let total: f64 = part.iter().map(|one| one.total_reward).sum();
        let steps: u64 = part.iter().map(|one| one.decisions).sum();
        let at_goal = part
            .iter()
            .filter(|one| one.end == Some(EpisodeEnd::Terminated))
            .count();
        let first = number * (EPISODES / 5);
        println!(
            "{:>14} {:>12.2} {:>12.1} {:>10}",
            format!("{first}-{}", first + part.len() - 1),
            total / count,
            steps as f64 / count,
            at_goal
        );
    }
    let all = reader.inferences().model("q_learning").iter();
    let valid = all
        .filter_map(Result::ok)
        .filter(|one| one.has_valid_propensity())
        .count();
    println!("{valid} steps have a propensity, which off-policy evaluation needs");
    journal.close()?;
    Ok(())
}

/// Where an action leads, and its reward: each step costs something, and the goal pays.
fn step(place: usize, action: usize) -> (usize, f64) {
    let next = match action {
        0 => place.saturating_sub(1),
        _ => (place + 1).min(PLACES - 1),
    };
    (next, if next == PLACES - 1 { 10.0 } else { -1.0 })
}

/// The better action, or any with the probability `explore`.
fn policy(values: &[f64; 2], explore: f32) -> [f32; 2] {
    let better = usize::from(values[1] >= values[0]);
    let mut policy = [explore / 2.0; 2];
    policy[better] += 1.0 - explore;
    policy
}

/// Numbers from 0 to 1 that are the same for each seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 40) as f32 / (1_u32 << 24) as f32
    }
}

//! How calls come: paces, bursts, threads, outcomes.

use std::time::{Duration, Instant};

/// The load of a child until it is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A decision every 20 µs.
    Paced20,
    /// A decision every 200 µs.
    Paced200,
    /// A thousand decisions at once, then a pause of 20 ms.
    Bursts,
    /// Two threads, each with a decision every 50 µs.
    Threads,
    /// A decision every 50 µs, each with its outcome.
    Outcomes,
}

const BURST: u64 = 1_000;

impl Shape {
    pub const ALL: [Shape; 5] = [
        Shape::Paced20,
        Shape::Paced200,
        Shape::Bursts,
        Shape::Threads,
        Shape::Outcomes,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Shape::Paced20 => "paced-20",
            Shape::Paced200 => "paced-200",
            Shape::Bursts => "bursts",
            Shape::Threads => "threads",
            Shape::Outcomes => "outcomes",
        }
    }

    pub fn named(name: &str) -> Option<Shape> {
        Shape::ALL.into_iter().find(|shape| shape.name() == name)
    }

    pub fn description(self) -> &'static str {
        match self {
            Shape::Paced20 => "a decision every 20 µs",
            Shape::Paced200 => "a decision every 200 µs",
            Shape::Bursts => "1,000 decisions at once, then 20 ms of pause",
            Shape::Threads => "two threads, each with a decision every 50 µs",
            Shape::Outcomes => "a decision every 50 µs, each with its outcome",
        }
    }

    pub fn threads(self) -> u64 {
        match self {
            Shape::Threads => 2,
            _ => 1,
        }
    }

    pub fn has_outcomes(self) -> bool {
        self == Shape::Outcomes
    }

    fn pace(self) -> Duration {
        Duration::from_micros(match self {
            Shape::Paced20 => 20,
            Shape::Paced200 => 200,
            Shape::Bursts => 0,
            Shape::Threads | Shape::Outcomes => 50,
        })
    }

    /// Waits until call number `call` of a thread is due. A loop that is slower than its pace does
    /// not run after it.
    pub fn wait(self, call: u64, due: &mut Instant) {
        if self == Shape::Bursts {
            if call > 0 && call.is_multiple_of(BURST) {
                std::thread::sleep(Duration::from_millis(20));
            }
            return;
        }
        *due += self.pace();
        while Instant::now() < *due {
            std::hint::spin_loop();
        }
        *due = Instant::now();
    }
}

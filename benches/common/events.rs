//! Decisions as a model makes them: fresh features, probabilities with all their bits, times that
//! vary. No two are equal, unless repeats are asked for.

use std::time::Duration;

/// A small generator, so that making an event costs the loop next to nothing.
pub struct Random(u64);

impl Default for Random {
    fn default() -> Self {
        Random::new(0)
    }
}

impl Random {
    /// Numbers of their own for each `seed`.
    pub fn new(seed: u64) -> Self {
        let spread = (seed + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        Random(spread | 1)
    }

    pub fn draw(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.draw() % end as u64).unwrap_or(0)
    }

    pub fn unit(&mut self) -> f32 {
        to_unit(self.draw() >> 40)
    }
}

#[allow(clippy::cast_precision_loss, reason = "24 bits are exact")]
fn to_unit(bits: u64) -> f32 {
    bits as f32 / (1 << 24) as f32
}

/// Parts of one inference.
#[derive(Clone, Copy)]
pub struct Decision {
    pub features: [f32; 16],
    pub probabilities: [f32; 3],
    pub action: usize,
    pub took: Duration,
}

/// An endless row of decisions.
#[derive(Default)]
pub struct Decisions {
    random: Random,
    /// Of a hundred, how many are the one before once more.
    repeats: u64,
    last: Option<Decision>,
}

impl Decisions {
    pub fn new(seed: u64, repeats: u64) -> Self {
        Decisions {
            random: Random::new(seed),
            repeats,
            last: None,
        }
    }

    pub fn draw(&mut self) -> Decision {
        let random = &mut self.random;
        let took = Duration::from_nanos(random.draw() % 20_000_000);
        if self.repeats > 0
            && let Some(last) = self.last
            && random.draw() % 100 < self.repeats
        {
            return Decision { took, ..last };
        }
        // Two features of one draw: the loop that is measured has to keep up with the writer.
        let mut features = [0.0; 16];
        for pair in features.chunks_exact_mut(2) {
            let bits = random.draw();
            pair[0] = to_unit(bits >> 40);
            pair[1] = to_unit(bits & 0xFF_FFFF);
        }
        let raw = [random.unit(), random.unit(), random.unit()];
        let sum: f32 = raw.iter().sum();
        let probabilities = raw.map(|value| value / sum);
        let decision = Decision {
            features,
            probabilities,
            action: usize::try_from(random.draw() % 3).unwrap_or(0),
            took,
        };
        self.last = Some(decision);
        decision
    }
}

//! A control loop at 1 kHz: an arm of seven joints that sees 64 values, and commands 7 torques.
//!
//! Each tick is recorded with its torques and with all that it saw. The program runs for three
//! seconds and prints what the recording cost: the time of a call, and bytes on disk.

#![allow(clippy::print_stdout, reason = "a program for a terminal")]

use std::thread;
use std::time::{Duration, Instant};

use annals::record::KeepInputs;
use annals::{Journal, Manifest};

const JOINTS: usize = 7;
const SEEN: usize = 64;
const TICKS: u32 = 3_000;
const PERIOD: Duration = Duration::from_millis(1);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let manifest = Manifest::new()
        .program("control_loop", env!("CARGO_PKG_VERSION"))
        .pairs([("period_ms", 1)]);
    let journal = Journal::options()
        .manifest(manifest)
        .without_mirror()
        .open(dir.path().join("data"))?;
    let recorder = journal
        .recorder("impedance", "arm_2")
        .actions(["move"])
        .keep_inputs(KeepInputs::Always)
        .build()?;

    let mut arm = Arm::default();
    let mut costs = Vec::new();
    let (mut late, mut missing) = (0, 0);
    let began = Instant::now();
    for tick in 0..TICKS {
        let timer = recorder.start();
        let seen = arm.look();
        let torques = decide(&seen);

        let before = Instant::now();
        let decision = recorder.inference(0).timer(timer).features(&seen);
        let id = decision.action_vector(&torques).log();
        costs.push(before.elapsed());
        missing += u32::from(id.is_none());

        arm.step(&torques);
        let next = began + PERIOD * (tick + 1);
        let now = Instant::now();
        late += u32::from(now > next);
        thread::sleep(next.saturating_duration_since(now));
    }
    let took = began.elapsed();
    journal.flush().wait(Duration::from_secs(60))?;

    costs.sort_unstable();
    let at = |share: usize| costs[(costs.len() - 1) * share / 1_000];
    println!("{TICKS} ticks in {took:.2?}; {late} ended late, {missing} were not recorded");
    println!(
        "a call took p50 {:?}, p99 {:?}, at most {:?}; two reads of the clock are part of it",
        at(500),
        at(990),
        at(1_000)
    );
    let usage = journal.maintenance()?.usage()?;
    println!(
        "on disk: {} bytes of inputs a tick, {} of the rest",
        usage.input_bytes / u64::from(TICKS),
        (usage.hot_bytes + usage.segment_bytes) / u64::from(TICKS)
    );

    // Afterwards: what did the arm see when it pulled the most?
    let mut hardest: Option<(f32, annals::InferenceRecord)> = None;
    let reader = journal.reader()?;
    for decided in reader.inferences().model("impedance").iter() {
        let decided = decided?;
        let torques = decided.action_vector.iter();
        let most = torques.fold(0.0_f32, |most, torque| most.max(torque.abs()));
        if hardest.as_ref().is_none_or(|(known, _)| most > *known) {
            hardest = Some((most, decided));
        }
    }
    if let Some((most, decided)) = hardest {
        println!("the largest torque was {most:.3}: {decided}");
        if let Some(input) = reader.input(decided.id)?.kept() {
            let seen = input.features().unwrap_or_default();
            println!("the arm saw {:.3?} …", &seen[..JOINTS.min(seen.len())]);
        }
    }
    journal.close()?;
    Ok(())
}

/// Angles and speeds of its joints.
struct Arm {
    angles: [f32; JOINTS],
    speeds: [f32; JOINTS],
}

impl Default for Arm {
    fn default() -> Self {
        Arm {
            angles: [1.0, -0.5, 0.25, 0.75, -1.0, 0.5, -0.25],
            speeds: [0.0; JOINTS],
        }
    }
}

impl Arm {
    /// The state of the joints, and readings of a skin that follow from it.
    fn look(&self) -> [f32; SEEN] {
        let mut seen = [0.0; SEEN];
        let state = self.angles.iter().chain(&self.speeds).copied();
        for (slot, value) in seen.iter_mut().zip(state.clone()) {
            *slot = value;
        }
        let rest = seen.iter_mut().skip(2 * JOINTS);
        for (slot, (number, value)) in rest.zip((1_u8..).zip(state.cycle())) {
            *slot = value * f32::from(number) / 64.0;
        }
        seen
    }

    fn step(&mut self, torques: &[f32; JOINTS]) {
        let seconds = PERIOD.as_secs_f32();
        for ((angle, speed), torque) in self.angles.iter_mut().zip(&mut self.speeds).zip(torques) {
            *speed += torque * seconds;
            *angle += *speed * seconds;
        }
    }
}

/// Springs that pull each joint to zero, with dampers.
fn decide(seen: &[f32; SEEN]) -> [f32; JOINTS] {
    std::array::from_fn(|joint| -40.0 * seen[joint] - 8.0 * seen[joint + JOINTS])
}

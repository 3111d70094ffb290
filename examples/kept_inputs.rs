//! Keeps the inputs of decisions, and replays them: what would another model have decided?
//!
//! `cargo run --release --example kept_inputs -- 3000000` also shows how fast that is.

#![allow(clippy::print_stdout, reason = "a program for a terminal")]

use std::time::{Duration, Instant};

use annals::record::KeepInputs;
use annals::{Journal, Overflow};

const WIDTH: usize = 32;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let decisions = std::env::args()
        .nth(1)
        .map_or(Ok(1_000), |many| many.parse::<u32>())?;
    let dir = tempfile::tempdir()?;
    let wait = Overflow::Block {
        timeout: Duration::from_secs(60),
    };
    let journal = Journal::options()
        .overflow(wait)
        .without_mirror()
        .open(dir.path().join("data"))?;
    let names = (0..WIDTH).map(|number| format!("feature_{number}"));
    let recorder = journal
        .recorder("dqn_agent", "ETH/USDT")
        .actions(["BUY", "SELL"])
        .feature_names(names)
        .keep_inputs(KeepInputs::Always)
        .build()?;

    let began = Instant::now();
    for number in 0..decisions {
        let input = observe(number);
        let timer = recorder.start();
        let probabilities = decide(&input, 0.5);
        let action = usize::from(probabilities[1] > probabilities[0]);
        recorder.log(timer, action, &probabilities, &input);
    }
    journal.flush().wait(Duration::from_secs(60))?;
    report("recorded, on disk", decisions, began.elapsed());
    println!("{:?}", journal.health().inputs);

    let usage = journal.maintenance()?.usage()?;
    let bytes = usage.input_bytes + usage.hot_bytes + usage.segment_bytes;
    let each = f64::from(decisions);
    #[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
    let (all, inputs) = (bytes as f64 / each, usage.input_bytes as f64 / each);
    println!("{all:.1} bytes each, {inputs:.1} of them for the input");

    let began = Instant::now();
    let (mut kept, mut other) = (0, 0);
    for decided in journal.reader()?.inferences().with_inputs() {
        let (decision, input) = decided?;
        // Removed for the budget, or given up under load.
        let Some(input) = input.kept() else { continue };
        let probabilities = decide(input.features().unwrap_or_default(), 0.4);
        let action = if probabilities[1] > probabilities[0] {
            "SELL"
        } else {
            "BUY"
        };
        other += u32::from(*decision.action != *action);
        kept += 1;
    }
    report("read and replayed", kept, began.elapsed());
    println!("another model decides otherwise in {other} of {kept} cases");
    journal.close()?;
    Ok(())
}

/// What the agent sees: another vector each time.
fn observe(number: u32) -> [f32; WIDTH] {
    let mut input = [0.0; WIDTH];
    let mut state = number.wrapping_mul(0x9E37_79B9) | 1;
    for value in &mut input {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        *value = f32::from(u16::try_from(state >> 16).unwrap_or(0)) / 65_536.0;
    }
    input
}

/// A model of one weight.
fn decide(input: &[f32], weight: f32) -> [f32; 2] {
    let sell = input.first().copied().unwrap_or(0.0);
    let sell = (sell + 0.5 - weight).clamp(0.0, 1.0);
    [1.0 - sell, sell]
}

fn report(what: &str, many: u32, took: Duration) {
    let rate = f64::from(many) / took.as_secs_f64() / 1e6;
    println!("{what}: {many} in {took:.2?}, {rate:.2} million a second");
}

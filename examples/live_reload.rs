//! A trainer process saves checkpoints. This agent process runs with the best one and takes over a
//! better one in the middle of its loop, without asking the disk and without stopping.

#![allow(clippy::print_stdout)]

use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use annals::registry::Watched;
use annals::{Inference, Journal, Mode, Registry};

const MODEL: &str = "dqn_agent";
const EPOCHS: u16 = 8;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    if let Some(dir) = arguments.next() {
        return Ok(train(Path::new(&dir))?);
    }
    let dir = std::env::temp_dir().join(format!("annals-live-reload-{}", std::process::id()));
    let journal = Journal::open(&dir)?;
    let registry = journal.registry()?;
    registry.set_monitor(MODEL, "val_loss", Mode::Min)?;
    let mut trainer = Command::new(std::env::current_exe()?).arg(&dir).spawn()?;

    let mut best = registry.watch(MODEL, Watched::Best)?;
    let mut weight = 0.0_f32; // the model
    let mut ticks = 0_u64;
    let began = Instant::now();
    while trainer.try_wait()?.is_none() && began.elapsed() < Duration::from_secs(30) {
        // Asked at every tick: a nanosecond, unless there is a better one.
        if let Some(checkpoint) = best.changed() {
            let bytes = registry.load(checkpoint.id())?.into_bytes()?; // digest verified
            weight = f32::from_le_bytes(bytes.as_slice().try_into()?);
            let loss = checkpoint.metric("val_loss").unwrap_or(f64::NAN);
            println!(
                "tick {ticks:>4}: {} with val_loss {loss:.3}",
                checkpoint.id()
            );
        }
        if let Some(checkpoint) = best.current() {
            let decision = Inference::new(MODEL, "ETH/USDT", "BUY").features(&[weight]);
            journal.log(decision.checkpoint(checkpoint.id()));
        }
        ticks += 1;
        thread::sleep(Duration::from_millis(1));
    }
    println!("{ticks} ticks; the trainer ended with {}", trainer.wait()?);
    for checkpoint in registry.top_k(MODEL, "val_loss", Mode::Min, 3)? {
        println!("{} {:?}", checkpoint.id(), checkpoint.metric("val_loss"));
    }
    journal.close()?;
    drop((best, registry, journal));
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}

/// The other process: one checkpoint per epoch, and not every one is better.
fn train(dir: &Path) -> annals::Result<()> {
    let registry = Registry::open(dir)?;
    let mut parent: Option<String> = None;
    for epoch in 1..=EPOCHS {
        thread::sleep(Duration::from_millis(120));
        let worse = if epoch % 3 == 0 { 0.5 } else { 0.0 };
        let weight = f32::from(epoch);
        let loss = 1.0 / f64::from(epoch) + worse;
        let mut new = registry
            .checkpoint(MODEL)
            .epoch(epoch.into())
            .metric("val_loss", loss);
        if let Some(parent) = parent {
            new = new.parent(parent);
        }
        let saved = new.save_with(|out| out.write_all(&weight.to_le_bytes()))?;
        parent = Some(saved.id().to_owned());
    }
    thread::sleep(Duration::from_millis(300)); // so that the agent is still there for the last one
    Ok(())
}

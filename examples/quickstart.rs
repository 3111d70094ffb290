//! The whole round in a second: open, log, commit, read back. Run it twice: the journal grows.

#![allow(clippy::print_stdout)]

use std::time::{Duration, Instant};

use annals::{Inference, Journal, Timestamp};

fn main() -> annals::Result<()> {
    let dir = std::env::temp_dir().join("annals-quickstart");
    let journal = Journal::open(&dir)?;

    // The prepared way: names are bound once, a call costs some 50 ns.
    let mut recorder = journal
        .recorder("dqn_agent", "ETH/USDT")
        .actions(["BUY", "SELL", "HOLD"])
        .build()?;
    recorder.set_checkpoint("dqn_agent_20250725_143500");
    let began = Instant::now();
    for step in 0..1_000_u16 {
        let features = [f32::from(step), 0.5, -1.0];
        let timer = recorder.start();
        let probabilities = [0.85, 0.10, 0.05]; // your model's forward pass
        recorder.log(timer, 0, &probabilities, &features);
    }
    println!("1,000 inferences logged in {:?}", began.elapsed());

    // The one-call way, for code that has the names as strings.
    let id = journal.log(
        Inference::new("enhanced_cnn", "BTC/USDT", "HOLD")
            .probabilities(&[("BUY", 0.2), ("HOLD", 0.72), ("SELL", 0.08)])
            .processing_time(Duration::from_micros(8_200))
            .event_time(Timestamp::now()),
    );
    journal.flush().wait(Duration::from_secs(5))?; // on disk from here on

    let reader = journal.reader()?;
    for record in reader.newest(3) {
        let r = record?;
        println!(
            "{} {} {} {} {:.3}",
            r.id,
            r.model,
            r.symbol,
            r.action,
            r.confidence.unwrap_or(f32::NAN)
        );
    }
    if let Some(id) = id {
        println!("{:#?}", reader.get(id)?);
    }
    println!(
        "{} committed, in {}",
        journal.health().committed,
        dir.display()
    );
    journal.close()
}

//! In an async program: several tasks log through clones of one recorder, and `flush` is awaited.
//!
//! Logging is a plain call that never blocks, so it may be made in any task. A flush needs no
//! runtime of its own: it wakes the task that awaits it. Opening and closing do wait for the
//! disk, so they go to a thread that may.

#![allow(clippy::print_stdout)]

use std::sync::Arc;
use std::time::Duration;

use annals::{Journal, Recorder, Result};
use tokio::task::{JoinSet, spawn_blocking};

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::temp_dir().join("annals-tokio");
    let journal = Arc::new(spawn_blocking(move || Journal::open(dir)).await??);
    let recorder = journal
        .recorder("dqn_agent", "ETH/USDT")
        .actions(["BUY", "SELL", "HOLD"])
        .build()?;

    let mut tasks = JoinSet::new();
    for symbol in ["ETH/USDT", "BTC/USDT", "SOL/USDT"] {
        let mut recorder = recorder.clone();
        recorder.set_symbol(symbol);
        tasks.spawn(trade(recorder, Arc::clone(&journal)));
    }
    while let Some(ended) = tasks.join_next().await {
        println!("{} decisions on disk", ended??);
    }

    let health = journal.health();
    println!("{} in {} commits", health.committed, health.commits);
    spawn_blocking(move || journal.close()).await??;
    Ok(())
}

/// Decides every 10 ms and makes sure, now and then, that it is kept.
async fn trade(recorder: Recorder, journal: Arc<Journal>) -> Result<u16> {
    const DECISIONS: u16 = 30;
    for step in 1..=DECISIONS {
        let timer = recorder.start();
        let probabilities = [0.2, 0.1, 0.7]; // the model's forward pass
        recorder.log(timer, 2, &probabilities, &[f32::from(step), 0.5]);
        tokio::time::sleep(Duration::from_millis(10)).await;
        if step % 10 == 0 {
            journal.flush().await?;
        }
    }
    Ok(DECISIONS)
}

//! Two processes log to one directory, and one of them follows both, live. No process waits for
//! another to close. Run it twice: the journal grows, and only what is new is shown.

#![allow(clippy::print_stdout)]

use std::process::Command;
use std::thread;
use std::time::Duration;

use annals::{Content, Inference, Journal};

const DECISIONS: u32 = 10;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::temp_dir().join("annals-two-processes");
    // A short interval, so that one sees the two take turns; the default is 200 ms.
    let interval = Duration::from_millis(60);
    let journal = Journal::options().commit_interval(interval).open(&dir)?;
    if std::env::args().nth(1).as_deref() == Some("trainer") {
        decide(&journal, "trainer");
        return Ok(journal.close()?);
    }

    let reader = journal.reader()?;
    let new_entries = reader.end()?; // a cursor; printed and stored, any process can use it
    let program = std::env::current_exe()?;
    let mut trainer = Command::new(program).arg("trainer").spawn()?;

    thread::scope(|scope| {
        scope.spawn(|| decide(&journal, "agent"));
        print_from(&reader, new_entries)
    })?;
    journal.close()?;
    println!("the trainer ended with {}", trainer.wait()?);
    for run in reader.runs() {
        let run = run?;
        let (id, process) = (run.id, run.process);
        println!(
            "run {id} of process {process}: {} {:?}",
            run.committed, run.state
        );
    }
    println!("the journal stays in {}", dir.display());
    Ok(())
}

/// The loop of a model that decides every 30 ms. It never waits for a commit.
fn decide(journal: &Journal, model: &str) {
    for step in 1..=DECISIONS {
        let action = if step % 3 == 0 { "SELL" } else { "HOLD" };
        journal.log(Inference::new(model, "ETH/USDT", action).confidence(0.8));
        thread::sleep(Duration::from_millis(30));
    }
}

/// Prints what both processes log, in the one order in which it was committed.
fn print_from(reader: &annals::Reader, cursor: annals::Cursor) -> annals::Result<()> {
    let mut follow = reader.follow(cursor)?;
    let mut left = 2 * DECISIONS;
    while left > 0 && follow.wait(Duration::from_secs(2))? {
        for entry in follow.by_ref() {
            let entry = entry?;
            if let Content::Inference(record) = &entry.content {
                let (at, id) = (entry.sequence, record.id);
                println!("{at:>4}  {id:<6} {:<8} {}", record.model, record.action);
                left = left.saturating_sub(1);
            }
        }
    }
    Ok(())
}

//! Cost of one call to the loop that makes it: a histogram over single calls, paced like a real
//! loop, never the average of a batch.
//!
//! `cargo bench --bench latency` prints a table in nanoseconds. The row "empty" is the harness
//! itself (two reads of the time-stamp counter around nothing) and is not subtracted from the
//! others. The row "channel alone" sends a record of the same size and does nothing else: what is
//! left of a call where caches are cold. Every event is distinct: fresh random features, hashed
//! inside the timed call, and full-mantissa probabilities. A row in which anything was dropped is
//! an error.
//!
//! | option | effect |
//! |---|---|
//! | `-- --pace-us 20,200` | the pace of the calls; 0 is flat out, for at most one full queue |
//! | `-- --calls 200000` | the number of calls |
//! | `-- --slow` | 12,000 more calls, paced 5 ms, in two minutes |
//! | `-- --pin 1` | the calling thread stays on that processor |
//! | `-- --queue 4096` | the queue's size |
//! | `-- --test` | a few calls only |

#![allow(missing_docs, clippy::print_stdout)]

mod common;

use std::path::Path;
use std::time::Duration;

use annals::Journal;
use common::events::Decision;
use common::journals::{MODEL, SYMBOL};
use common::paced::paced;
use common::{Failure, journals, machine};
use hdrhistogram::Histogram;

/// Calls of a row that is not paced: fewer than the queue holds.
const FLAT_OUT: u64 = 50_000;

/// A pace at which a row takes a minute: only what matters most is measured.
const SLOW: Duration = Duration::from_millis(5);

struct Row {
    pace: Duration,
    calls: u64,
}

fn rows() -> Result<Vec<Row>, Failure> {
    let trial = common::trial();
    let calls = common::number("--calls")?.unwrap_or(if trial { 200 } else { 200_000 });
    let usual = if trial { vec![20] } else { vec![0, 20, 200] };
    let paces = common::numbers("--pace-us")?.unwrap_or(usual);
    let mut rows: Vec<Row> = paces
        .into_iter()
        .map(|pace| Row {
            pace: Duration::from_micros(pace),
            calls: if pace == 0 {
                calls.min(FLAT_OUT)
            } else {
                calls
            },
        })
        .collect();
    if common::asked("--slow") {
        rows.push(Row {
            pace: SLOW,
            calls: 12_000,
        });
    }
    Ok(rows)
}

/// Sends a record's bytes through the same kind of channel, and nothing else.
fn channel_alone(row: &Row) -> Result<Histogram<u64>, Failure> {
    let capacity = usize::try_from(row.calls)?;
    let (sender, _receiver) = crossbeam_channel::bounded::<[u64; 14]>(capacity);
    measure(row, |decision| {
        let sent = sender.try_send([decision.took.as_secs(); 14]);
        std::hint::black_box(sent.is_ok());
    })
}

/// On a thread of its own, which alone is pinned: threads inherit where they may run.
fn measure(row: &Row, body: impl FnMut(&Decision) + Send) -> Result<Histogram<u64>, Failure> {
    let processor = common::number("--pin")?;
    let measured = std::thread::scope(|scope| {
        let measuring = scope.spawn(|| {
            let pinned = processor.is_none_or(|id| {
                let id = usize::try_from(id).unwrap_or(usize::MAX);
                core_affinity::set_for_current(core_affinity::CoreId { id })
            });
            if !pinned {
                return Err("the thread cannot be pinned to that processor".to_owned());
            }
            paced(row.pace, row.calls, body).map_err(|error| error.to_string())
        });
        measuring.join()
    });
    Ok(measured.map_err(|_| "the measuring thread panicked")??)
}

fn show(name: &str, row: &Row, histogram: &Histogram<u64>) {
    let at = |quantile| histogram.value_at_quantile(quantile);
    println!(
        "{name:<22} {:>6} µs {:>8} {:>8} {:>8} {:>8} {:>10}",
        row.pace.as_micros(),
        at(0.50),
        at(0.90),
        at(0.99),
        at(0.999),
        histogram.max(),
    );
}

fn recorded(journal: &Journal) -> Result<(), Failure> {
    journal.flush().wait(Duration::from_secs(30))?;
    let dropped = journal.health().dropped.total();
    if dropped > 0 {
        return Err(format!("{dropped} events were dropped: this row measures nothing").into());
    }
    Ok(())
}

fn main() -> Result<(), Failure> {
    let rows = rows()?;
    let (dir, machine) = machine::place(Path::new(env!("CARGO_TARGET_TMPDIR")))?;
    println!("{machine}; one call, nanoseconds");
    println!(
        "{:<22} {:>9} {:>8} {:>8} {:>8} {:>8} {:>10}",
        "call", "pace", "p50", "p90", "p99", "p99.9", "max"
    );
    for (index, row) in rows.iter().enumerate() {
        let mut options = journals::with_black_box(Journal::options());
        if let Some(capacity) = common::number("--queue")? {
            options = options.queue_capacity(usize::try_from(capacity)?);
        }
        let journal = options.open(dir.path().join(index.to_string()))?;
        let recorder = journals::recorder(&journal, MODEL, SYMBOL)?;
        let empty = measure(row, |decision| {
            std::hint::black_box(decision);
        })?;
        show("empty (harness)", row, &empty);
        show("channel alone", row, &channel_alone(row)?);

        let figures = measure(row, |decision| {
            std::hint::black_box(journals::log(&recorder, decision));
        })?;
        recorded(&journal)?;
        show("prepared", row, &figures);
        if row.pace >= SLOW {
            journal.close()?;
            continue;
        }

        let figures = measure(row, |decision| {
            std::hint::black_box(journals::log_strings(&journal, decision));
        })?;
        recorded(&journal)?;
        show("strings", row, &figures);

        let figures = measure(row, |_| {
            std::hint::black_box(recorder.clone());
        })?;
        show("recorder clone + drop", row, &figures);
        journal.close()?;
    }
    Ok(())
}

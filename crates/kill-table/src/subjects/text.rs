//! Lines of `tracing`: through `tracing-appender`'s thread as it comes, and written in the call.

use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::Result;
use tracing_appender::non_blocking::WorkerGuard;

use super::{ACTION, CONFIDENCE, Found, Kind, MODEL, SYMBOL, Subject};

const FILE: &str = "decisions.log";

pub const DEFAULT: Kind = Kind {
    name: "tracing-appender",
    description: "tracing-appender 0.2, `non_blocking`, default settings",
    promise: None,
    open: |dir| {
        let appender = tracing_appender::rolling::never(dir, FILE);
        let (writer, guard) = tracing_appender::non_blocking(appender);
        let lines = tracing_subscriber::fmt().with_writer(writer);
        tracing::subscriber::set_global_default(lines.with_ansi(false).finish())?;
        Ok(Box::new(Lines {
            _guard: Some(guard),
        }))
    },
    read,
};

pub const DIRECT: Kind = Kind {
    name: "tracing-direct",
    description: "tracing-appender 0.2, no thread: a write in each call",
    promise: None,
    open: |dir| {
        let appender = tracing_appender::rolling::never(dir, FILE);
        let lines = tracing_subscriber::fmt().with_writer(std::sync::Mutex::new(appender));
        tracing::subscriber::set_global_default(lines.with_ansi(false).finish())?;
        Ok(Box::new(Lines { _guard: None }))
    },
    read,
};

struct Lines {
    _guard: Option<WorkerGuard>,
}

impl Subject for Lines {
    fn log(&self, number: u64) -> Result<bool> {
        tracing::info!(
            model = MODEL,
            symbol = SYMBOL,
            action = ACTION,
            confidence = CONFIDENCE,
            decision = number,
            end = true,
        );
        Ok(true)
    }

    fn attach_outcome(&self, number: u64) -> Result<bool> {
        tracing::info!(reward = 1.5, outcome = number, end = true);
        Ok(true)
    }
}

fn read(dir: &Path) -> Result<Found> {
    let mut found = Found::default();
    let file = match std::fs::File::open(dir.join(FILE)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(found),
        file => file?,
    };
    for line in BufReader::new(file).split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        if line.is_empty() {
            continue;
        }
        let word = |name: &str| {
            let word = line.split(' ').find_map(|word| word.strip_prefix(name))?;
            word.parse::<u64>().ok()
        };
        let is_whole = line.ends_with("end=true");
        match (is_whole, word("decision="), word("outcome=")) {
            (true, Some(number), _) => found.decisions.push(number),
            (true, _, Some(number)) => found.outcomes.push(number),
            _ => found.torn += 1,
        }
    }
    Ok(found)
}

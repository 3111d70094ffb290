//! From `tracing` to the journal: events of a chosen level become system events.

use std::fmt;

use std::sync::Arc;

use tracing_core::field::{Field, Visit};
use tracing_core::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

use crate::event::Level;
use crate::queue::Queue;
use crate::value::Value;

/// A layer for a `tracing` subscriber; from [`Journal::layer`](crate::Journal::layer).
///
/// An event's target becomes the component, its fields are kept with their types. Events of
/// `annals` itself and of the crates that it writes through are left out, and so is everything on
/// its own threads, so that a journal cannot feed itself. Like every call, a full queue drops and
/// counts. After the journal is closed, events are dropped and counted.
///
/// ```
/// use annals::{Journal, Level};
/// use tracing_subscriber::prelude::*;
///
/// let journal = Journal::in_memory()?;
/// let subscriber = tracing_subscriber::registry().with(journal.layer(Level::Info));
/// tracing::subscriber::with_default(subscriber, || {
///     tracing::warn!(symbol = "ETH/USDT", delay_ms = 250, "feed is late");
///     tracing::debug!("below the level");
/// });
/// assert_eq!(journal.health().offered, 1);
/// # Ok::<(), annals::Error>(())
/// ```
pub struct JournalLayer {
    queue: Arc<Queue>,
    least: Level,
}

impl JournalLayer {
    pub(crate) fn new(queue: Arc<Queue>, least: Level) -> Self {
        JournalLayer { queue, least }
    }
}

impl fmt::Debug for JournalLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JournalLayer")
            .field("least", &self.least)
            .finish_non_exhaustive()
    }
}

impl<S: Subscriber> Layer<S> for JournalLayer {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let metadata = event.metadata();
        let level = level_of(*metadata.level());
        if level < self.least || is_own(metadata.target()) || on_own_thread() {
            return;
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        self.queue
            .system_event(level, metadata.target(), fields.message, fields.others);
    }
}

fn level_of(level: tracing_core::Level) -> Level {
    match level {
        tracing_core::Level::ERROR => Level::Error,
        tracing_core::Level::WARN => Level::Warn,
        tracing_core::Level::INFO => Level::Info,
        tracing_core::Level::DEBUG => Level::Debug,
        tracing_core::Level::TRACE => Level::Trace,
    }
}

fn is_own(target: &str) -> bool {
    let crate_name = target.split("::").next().unwrap_or(target);
    matches!(crate_name, "annals" | "redb" | "tracing_appender")
}

fn on_own_thread() -> bool {
    std::thread::current()
        .name()
        .is_some_and(|name| matches!(name, "annals-writer" | "annals-mirror"))
}

#[derive(Default)]
struct Fields {
    message: String,
    others: Vec<(String, Value)>,
}

impl Fields {
    fn keep(&mut self, field: &Field, value: Value) {
        if field.name() == "message" {
            self.message = value.to_string();
        } else {
            self.others.push((field.name().to_owned(), value));
        }
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.keep(field, Value::Real(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.keep(field, Value::Integer(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        // What no i64 can hold is kept to the digit as text.
        let value =
            i64::try_from(value).map_or_else(|_| Value::Text(value.to_string()), Value::Integer);
        self.keep(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.keep(field, Value::Flag(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.keep(field, Value::from(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.keep(field, Value::Text(format!("{value:?}")));
    }
}

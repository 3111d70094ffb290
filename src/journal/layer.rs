//! From `tracing` to the journal: events of a chosen level become system events, with the spans
//! that they happened in.

use std::fmt;

use std::sync::Arc;

use tracing_core::field::{Field, Visit};
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use crate::entry::event::Level;
use crate::entry::value::Value;
use crate::record::queue::Queue;
use crate::record::queue::enqueue::attribute_bytes;

/// A layer for a `tracing` subscriber; from [`Journal::layer`](crate::Journal::layer).
///
/// An event's target becomes the component, its fields are kept with their types. The field `span`
/// names the spans around it, outermost first, as `outer:inner`. Their fields follow those of the
/// event, innermost first, under their names, or as `span.name` where a name is taken. Beyond 64
/// KiB, fields of spans are left out and `span_fields_left_out` counts them.
///
/// Needs a subscriber that keeps spans, such as `tracing_subscriber::registry()`. Events of
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
///
/// In `#[instrument(fields(request_id = "req-77"))] fn handle(user: &str)`, an event
/// `info!(tokens = 12, "tool called")` is stored as
/// `tool called tokens=12 span=handle request_id=req-77 user=ann`.
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

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for JournalLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        // Layers of several journals share them.
        span.extensions_mut().replace(SpanFields(fields.all()));
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::default();
        values.record(&mut fields);
        let mut extensions = span.extensions_mut();
        let Some(SpanFields(known)) = extensions.get_mut() else {
            return;
        };
        for (name, value) in fields.all() {
            match known.iter_mut().find(|(known, _)| *known == name) {
                Some((_, known)) => *known = value,
                None => known.push((name, value)),
            }
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let metadata = event.metadata();
        let level = level_of(*metadata.level());
        // Events of the journal's own work would be recorded, and cause further ones.
        if level < self.least || is_own(metadata.target()) || on_own_thread() {
            return;
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        if let Some(scope) = context.event_scope(event) {
            let mut names = Vec::new();
            let mut kept = Vec::new();
            for span in scope {
                if let Some(SpanFields(fields)) = span.extensions().get() {
                    kept.push((span.name(), fields.clone()));
                }
                names.push(span.name());
            }
            // The scope goes from the innermost span outwards; a path begins with the outermost.
            names.reverse();
            if !names.is_empty() {
                fields.add_spans(&names.join(":"), kept);
            }
        }
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
        .is_some_and(|name| OWN_THREADS.contains(&name))
}

/// The names of the threads that work for a journal.
const OWN_THREADS: [&str; 7] = [
    "annals-commit",
    "annals-folder",
    "annals-mirror",
    "annals-sealer",
    "annals-watch",
    "annals-writeback",
    "annals-writer",
];
/// How many bytes of fields of spans an event keeps.
const MOST_SPAN_BYTES: usize = 64 << 10;

/// The fields of a span, kept with it.
struct SpanFields(Vec<(String, Value)>);

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

impl Fields {
    /// The fields of a span, in which `message` is a field like any other.
    fn all(self) -> Vec<(String, Value)> {
        let mut all = self.others;
        if !self.message.is_empty() {
            all.push(("message".to_owned(), Value::Text(self.message)));
        }
        all
    }

    /// Adds the spans around an event, the innermost first.
    fn add_spans(&mut self, path: &str, spans: Vec<(&str, Vec<(String, Value)>)>) {
        let mut left = MOST_SPAN_BYTES;
        let mut left_out = 0_i64;
        self.add("span", "tracing", Value::from(path));
        for (span, fields) in spans {
            for (name, value) in fields {
                let bytes = attribute_bytes(&name, &value);
                if bytes > left {
                    left_out += 1;
                    continue;
                }
                left -= bytes;
                self.add(&name, span, value);
            }
        }
        if left_out > 0 {
            let count = Value::Integer(left_out);
            self.add("span_fields_left_out", "tracing", count);
        }
    }

    /// Adds a field under its name or, if that is taken, with `prefix` before it.
    fn add(&mut self, name: &str, prefix: &str, value: Value) {
        let is_taken = |name: &str| self.others.iter().any(|(known, _)| known == name);
        let mut free = name.to_owned();
        // A span within one of its own name may need it more than once.
        while is_taken(&free) {
            free = format!("{prefix}.{free}");
        }
        self.others.push((free, value));
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
        // A number beyond i64 is kept to the digit as text.
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

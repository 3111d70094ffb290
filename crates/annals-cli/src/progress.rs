//! Progress bars: on stderr, and only for a person who looks.

use std::fmt::Write;
use std::sync::Mutex;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use crate::escape::sentence;
use crate::units;

/// The bar on the screen, for lines that come in between.
static SHOWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Prints a line on stderr, above the bar if one is shown.
pub fn say(text: &str) {
    let print = || anstream::eprintln!("{}", sentence(text));
    let shown = SHOWN.lock().ok().and_then(|shown| shown.clone());
    match shown {
        Some(bar) if !bar.is_finished() => bar.suspend(print),
        _ => print(),
    }
}

/// A bar for so many rows; hidden where stderr is no terminal.
pub fn rows(total: Option<u64>, what: &'static str) -> ProgressBar {
    let (bar, template) = match total {
        Some(total) => (
            ProgressBar::new(total),
            "{msg} [{bar:30}] {human_pos}/{human_len} {rate} {eta}",
        ),
        None => (
            ProgressBar::no_length(),
            "{msg} {spinner} {human_pos} {rate}",
        ),
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        let rate = |state: &ProgressState, out: &mut dyn Write| {
            // A bar that cannot be written is no failure.
            _ = write!(out, "{}/s", units::real(state.per_sec().round()));
        };
        bar.set_style(style.with_key("rate", rate));
    }
    bar.set_message(what);
    if let Ok(mut shown) = SHOWN.lock() {
        *shown = Some(bar.clone());
    }
    bar
}

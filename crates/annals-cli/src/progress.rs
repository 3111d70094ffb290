//! Progress bars: on stderr, and only for a person who looks.

use std::fmt::Write;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use crate::units;

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
    bar
}

//! Standard output: buffered, coloured on a terminal only, JSON if asked for.

use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};

use anstyle::Style;
use clap::ValueEnum;
use serde::Serialize;

use crate::failure::Result;
use crate::zone::Zone;

/// When to use colours.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Where a command writes what it found.
pub struct Out {
    stdout: BufWriter<StdoutLock<'static>>,
    /// Whether JSON is wanted instead of text.
    pub json: bool,
    colored: bool,
    /// Whose clocks times in text are of.
    pub zone: Zone,
}

impl Out {
    /// Standard output.
    pub fn new(json: bool, color: Color, zone: Zone) -> Self {
        let colored = match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                let choice = anstream::AutoStream::choice(&io::stdout());
                choice != anstream::ColorChoice::Never && io::stdout().is_terminal()
            }
        };
        Out {
            stdout: BufWriter::with_capacity(1 << 16, io::stdout().lock()),
            json,
            colored,
            zone,
        }
    }

    /// Whether a person is looking.
    pub fn is_terminal(&self) -> bool {
        io::stdout().is_terminal()
    }

    /// Columns of a line: `COLUMNS` if that is set, else the terminal's. `None` for a pipe, whose
    /// content should not depend on a window.
    pub fn width(&self) -> Option<usize> {
        /// Narrower than this, no table can be read.
        const NARROWEST: usize = 20;
        let asked = std::env::var("COLUMNS").ok();
        let asked = asked.and_then(|columns| columns.trim().parse().ok());
        let asked = asked.filter(|columns| *columns > 0);
        let found = asked.or_else(|| {
            let size = self.is_terminal().then(terminal_size::terminal_size);
            size.flatten().map(|(width, _)| usize::from(width.0))
        });
        found.map(|columns| columns.max(NARROWEST))
    }

    /// A time to the second, on the clocks of `--zone`.
    pub fn second(&self, time: annals::Timestamp) -> String {
        self.zone.second(time)
    }

    /// One line of text.
    pub fn line(&mut self, text: impl std::fmt::Display) -> Result<()> {
        writeln!(self.stdout, "{text}")?;
        Ok(())
    }

    /// A name and a list that goes on below itself where it is too long.
    pub fn field(&mut self, name: &str, indent: usize, parts: &[String]) -> Result<()> {
        let most = self.width().unwrap_or(usize::MAX);
        let mut line = format!("{name:<indent$}");
        for (number, part) in parts.iter().enumerate() {
            let between = if number == 0 { "" } else { ", " };
            let wide = line.chars().count() + part.chars().count() + 3;
            if number > 0 && wide > most {
                self.line(format!("{line},"))?;
                line = format!("{:indent$}{part}", "");
            } else {
                line.push_str(between);
                line.push_str(part);
            }
        }
        self.line(line)
    }

    /// One JSON document, or one of several, on a line of its own.
    pub fn json(&mut self, value: &impl Serialize) -> Result<()> {
        serde_json::to_writer(&mut self.stdout, value).map_err(io::Error::from)?;
        self.stdout.write_all(b"\n")?;
        Ok(())
    }

    /// `text` in `style`, where colours are wanted.
    pub fn paint(&self, style: Style, text: impl std::fmt::Display) -> String {
        if self.colored {
            format!("{style}{text}{style:#}")
        } else {
            text.to_string()
        }
    }

    /// Writes out what is buffered.
    pub fn flush(&mut self) -> Result<()> {
        self.stdout.flush()?;
        Ok(())
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stdout.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stdout.flush()
    }
}

/// Styles, by what they mean.
pub mod style {
    use anstyle::{AnsiColor, Style};

    /// A heading.
    pub const HEAD: Style = Style::new().bold();
    /// For good values.
    pub const GOOD: Style = AnsiColor::Green.on_default();
    /// For values that deserve a look.
    pub const WARN: Style = AnsiColor::Yellow.on_default();
    /// For wrong values.
    pub const BAD: Style = AnsiColor::Red.on_default();
    /// For less important values.
    pub const DIM: Style = Style::new().dimmed();
}

//! Standard output: buffered, coloured on a terminal only, JSON if asked for.

use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};

use anstyle::Style;
use clap::ValueEnum;
use serde::Serialize;

use crate::failure::Result;

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
}

impl Out {
    /// Standard output.
    pub fn new(json: bool, color: Color) -> Self {
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
        }
    }

    /// Whether a person is looking.
    pub fn is_terminal(&self) -> bool {
        io::stdout().is_terminal()
    }

    /// One line of text.
    pub fn line(&mut self, text: impl std::fmt::Display) -> Result<()> {
        writeln!(self.stdout, "{text}")?;
        Ok(())
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
    /// What is well.
    pub const GOOD: Style = AnsiColor::Green.on_default();
    /// What somebody should look at.
    pub const WARN: Style = AnsiColor::Yellow.on_default();
    /// What is wrong.
    pub const BAD: Style = AnsiColor::Red.on_default();
    /// What matters less.
    pub const DIM: Style = Style::new().dimmed();
}

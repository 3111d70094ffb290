//! A prompt that answers one statement after the other, with a history.

use std::io::Write;
use std::path::PathBuf;

use annals_sql::Database;
use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;

use super::rows::RowWriter;
use super::{RowFormat, answer};
use crate::failure::{Failure, Result};
use crate::output::Out;

/// Before a statement, and before its further lines.
const PROMPTS: [&str; 2] = ["annals> ", "   ...> "];

/// Asks for statements until the input ends. A statement ends with a semicolon.
pub(super) fn run(database: &mut Database, format: RowFormat, out: &mut Out) -> Result<()> {
    let failed = |error: ReadlineError| {
        Failure::io(
            "read the statement",
            std::io::Error::other(error.to_string()),
        )
    };
    let mut editor = DefaultEditor::new().map_err(failed)?;
    let history = history();
    if let Some(file) = &history {
        // There is none at first.
        editor.load_history(file).ok();
    }
    let mut statement = String::new();
    loop {
        let line = match editor.readline(PROMPTS[usize::from(!statement.is_empty())]) {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => {
                statement.clear();
                continue;
            }
            Err(ReadlineError::Eof) => return Ok(()),
            Err(error) => return Err(failed(error)),
        };
        if statement.is_empty() && line.trim().is_empty() {
            continue;
        }
        statement.push_str(&line);
        if !line.trim_end().ends_with(';') {
            statement.push('\n');
            continue;
        }
        editor.add_history_entry(statement.trim()).ok();
        if let Some(file) = &history {
            // A history that cannot be kept does not keep one from asking.
            editor.save_history(file).ok();
        }
        let width = out.width();
        let answered = answer(database, &statement, |columns| {
            RowWriter::new(format, columns, width, out)
        });
        statement.clear();
        match answered {
            Ok(()) => {}
            Err(failure) if failure.is_broken_pipe() => return Err(failure),
            Err(failure) => drop(failure.report()),
        }
        Write::flush(out).map_err(Failure::from)?;
    }
}

/// Where the history is kept: `$XDG_STATE_HOME/annals/sql_history`, or the same below the home.
fn history() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let state = folder("XDG_STATE_HOME")
        .filter(|path| path.is_absolute())
        .or_else(|| Some(folder("HOME")?.join(".local/state")))?;
    let folder = state.join("annals");
    std::fs::create_dir_all(&folder).ok()?;
    Some(folder.join("sql_history"))
}

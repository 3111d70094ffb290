//! Tables for people: no borders, numbers to the right.

use comfy_table::{Cell, CellAlignment, Table, presets};

use crate::failure::Result;
use crate::output::Out;

/// A table that is printed at once.
pub struct Rows {
    table: Table,
    right: Vec<bool>,
}

impl Rows {
    /// Begins a table. A heading that begins with `>` is of a column of numbers.
    pub fn new<'a>(headings: impl IntoIterator<Item = &'a str>) -> Self {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        let mut right = Vec::new();
        let cells: Vec<Cell> = headings
            .into_iter()
            .map(|heading| {
                let is_right = heading.starts_with('>');
                right.push(is_right);
                aligned(heading.trim_start_matches('>'), is_right)
            })
            .collect();
        table.set_header(cells);
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        Rows { table, right }
    }

    /// Adds a row.
    pub fn push(&mut self, cells: impl IntoIterator<Item = String>) {
        let right = self.right.iter().chain(std::iter::repeat(&false));
        let cells: Vec<Cell> = cells
            .into_iter()
            .zip(right)
            .map(|(text, is_right)| aligned(&escaped(&text), *is_right))
            .collect();
        self.table.add_row(cells);
    }

    /// Prints the table.
    pub fn print(&self, out: &mut Out) -> Result<()> {
        for line in self.table.lines() {
            out.line(line.trim_end())?;
        }
        Ok(())
    }
}

fn aligned(text: &str, is_right: bool) -> Cell {
    let alignment = if is_right {
        CellAlignment::Right
    } else {
        CellAlignment::Left
    };
    Cell::new(text).set_alignment(alignment)
}

/// No name may end a line or speak to the terminal.
pub fn escaped(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let plain = !c.is_control();
            let escaped = c.escape_default();
            plain
                .then_some(c)
                .into_iter()
                .chain(escaped.filter(move |_| !plain))
        })
        .collect()
}

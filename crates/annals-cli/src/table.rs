//! Tables for people: no borders, numbers to the right, no wider than the terminal.
//!
//! A table that is too wide has its columns of text folded. If that is not enough, it is printed in
//! several parts, each of which begins with the first column again. Nothing is left out but the
//! rest of a cell of more than [`LONGEST`] characters.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

pub use crate::escape::escaped;
use crate::failure::Result;
use crate::output::Out;

/// Columns between two columns.
const GAP: usize = 2;
/// A word that is longer may be folded.
const WORD: usize = 28;
/// Longer text is cut: a name of a megabyte would make the table unreadable. JSON has it whole.
const LONGEST: usize = 256;

/// A table that is printed at once.
pub struct Rows {
    columns: Vec<TextColumn>,
    rows: Vec<Vec<String>>,
}

struct TextColumn {
    heading: String,
    is_right: bool,
}

impl Rows {
    /// Begins a table. A heading that begins with `>` is of a column of numbers.
    pub fn new<'a>(headings: impl IntoIterator<Item = &'a str>) -> Self {
        let columns = headings.into_iter().map(|heading| TextColumn {
            heading: cut(&escaped(heading.trim_start_matches('>'))),
            is_right: heading.starts_with('>'),
        });
        Rows {
            columns: columns.collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row of texts as they are; they are escaped here.
    pub fn push(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells = cells.into_iter().map(|text| cut(&escaped(&text)));
        self.push_escaped(cells);
    }

    /// Adds a row of texts that are made of escaped ones.
    pub fn push_escaped(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells = cells.into_iter().take(self.columns.len());
        self.rows.push(cells.map(|text| cut(&text)).collect());
    }

    /// Prints the table, as wide as the output is.
    pub fn print(&self, out: &mut Out) -> Result<()> {
        self.write(out.width(), out)
    }

    /// Writes the table, of at most `most` columns of text where that is possible.
    pub fn write(&self, most: Option<usize>, to: &mut dyn std::io::Write) -> Result<()> {
        for line in self.lines(most) {
            writeln!(to, "{line}")?;
        }
        Ok(())
    }

    /// The lines of the table, of at most `most` columns where that is possible.
    fn lines(&self, most: Option<usize>) -> Vec<String> {
        let most = most.unwrap_or(usize::MAX);
        let sizes: Vec<ColumnSize> = (0..self.columns.len())
            .map(|index| self.size(index))
            .collect();
        let mut lines = Vec::new();
        for (number, part) in parts(&sizes, most).iter().enumerate() {
            if number > 0 {
                lines.push(String::new());
            }
            let widths = widths(part.iter().map(|index| &sizes[*index]), most);
            let heading = |index: usize| self.columns[index].heading.as_str();
            self.line(&mut lines, part, &widths, heading);
            for row in &self.rows {
                let cell = |index: usize| row.get(index).map_or("", String::as_str);
                self.line(&mut lines, part, &widths, cell);
            }
        }
        lines
    }

    /// How wide a column is, and how narrow it can be.
    fn size(&self, index: usize) -> ColumnSize {
        let column = &self.columns[index];
        let cells = || self.rows.iter().filter_map(|row| row.get(index));
        let words = |text: &str| {
            text.split(' ')
                .map(UnicodeWidthStr::width)
                .max()
                .unwrap_or(0)
        };
        let widest = cells().map(|cell| cell.width()).max().unwrap_or(0);
        // Numbers and their units are never folded, and names only where they are very long.
        let least = match column.is_right {
            true => widest,
            false => cells().map(|cell| words(cell)).max().unwrap_or(0).min(WORD),
        };
        ColumnSize {
            widest: widest.max(column.heading.width()),
            least: least.max(words(&column.heading)),
        }
    }

    /// Adds a row, folded into as many lines as its longest cell needs.
    fn line<'a>(
        &self,
        lines: &mut Vec<String>,
        part: &[usize],
        widths: &[usize],
        cell: impl Fn(usize) -> &'a str,
    ) {
        let folded = part.iter().zip(widths);
        let folded = folded.map(|(index, width)| fold(cell(*index), *width));
        let folded: Vec<Vec<String>> = folded.collect();
        let height = folded.iter().map(Vec::len).max().unwrap_or(0);
        for number in 0..height {
            let mut line = String::new();
            for ((index, pieces), width) in part.iter().zip(&folded).zip(widths) {
                let piece = pieces.get(number).map_or("", String::as_str);
                let blank = " ".repeat(width.saturating_sub(piece.width()));
                if self.columns[*index].is_right {
                    line.push_str(&blank);
                    line.push_str(piece);
                } else {
                    line.push_str(piece);
                    line.push_str(&blank);
                }
                line.push_str("  ");
            }
            lines.push(line.trim_end().to_owned());
        }
    }
}

/// Space that a column needs.
struct ColumnSize {
    widest: usize,
    least: usize,
}

/// How wide each column is: as wide as its widest cell, or narrower so that all fit.
fn widths<'a>(sizes: impl Iterator<Item = &'a ColumnSize>, most: usize) -> Vec<usize> {
    let (mut widths, least): (Vec<usize>, Vec<usize>) =
        sizes.map(|size| (size.widest, size.least)).unzip();
    loop {
        let taken: usize = widths.iter().map(|width| width + GAP).sum();
        let over = taken.saturating_sub(GAP).saturating_sub(most);
        if over == 0 {
            return widths;
        }
        // The widest gives first, down to the next one, so that short columns stay whole.
        let can_give = |index: &usize| widths[*index] > least[*index];
        let all = 0..widths.len();
        let widest = all
            .clone()
            .filter(can_give)
            .max_by_key(|index| widths[*index]);
        let Some(widest) = widest else { return widths };
        let others = all.filter(|index| *index != widest).filter(can_give);
        let next = others.map(|index| widths[index]).max().unwrap_or(0);
        let down_to = next.min(widths[widest] - 1).max(least[widest]);
        widths[widest] -= over.min(widths[widest] - down_to);
    }
}

/// Which columns stand beside each other: all if they can, else the first with as many others as
/// fit.
fn parts(sizes: &[ColumnSize], most: usize) -> Vec<Vec<usize>> {
    let mut parts: Vec<Vec<usize>> = Vec::new();
    let mut taken = 0;
    for (index, size) in sizes.iter().enumerate() {
        let fits = taken + GAP + size.least <= most;
        match parts.last_mut() {
            Some(part) if fits || part.len() < 2 => {
                part.push(index);
                taken += GAP + size.least;
            }
            Some(_) => {
                parts.push(vec![0, index]);
                taken = sizes[0].least + GAP + size.least;
            }
            None => {
                parts.push(vec![index]);
                taken = size.least;
            }
        }
    }
    parts
}

/// `text`, or its beginning.
fn cut(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// `text` in lines of at most `width` columns: at blanks where there are any, else within a word.
fn fold(text: &str, width: usize) -> Vec<String> {
    if text.width() <= width {
        return vec![text.to_owned()];
    }
    let mut lines = vec![String::new()];
    let mut taken = 0;
    for word in text.split(' ') {
        let wide = word.width();
        let is_first = taken == 0;
        if !is_first && taken + 1 + wide > width {
            lines.push(String::new());
            taken = 0;
        } else if !is_first {
            push(&mut lines, ' ');
            taken += 1;
        }
        for character in word.chars() {
            let wide = character.width().unwrap_or(0);
            if taken > 0 && taken + wide > width {
                lines.push(String::new());
                taken = 0;
            }
            push(&mut lines, character);
            taken += wide;
        }
    }
    lines
}

fn push(lines: &mut [String], character: char) {
    if let Some(last) = lines.last_mut() {
        last.push(character);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: &[[&str; 4]]) -> Rows {
        let mut table = Rows::new(["model", ">mean reward", "actions", ">p50"]);
        for row in rows {
            table.push(row.map(str::to_owned));
        }
        table
    }

    #[test]
    fn a_table_that_fits_stays_as_it_is() {
        let rows = table(&[["dqn", "0.12", "BUY 3, SELL 4", "8 ms"]]);
        let whole = [
            "model  mean reward  actions        p50",
            "dqn           0.12  BUY 3, SELL 4  8 ms",
        ];
        assert_eq!(rows.lines(None)[1], whole[1]);
        assert_eq!(rows.lines(Some(39)), rows.lines(None));
        assert!(rows.lines(None)[0].starts_with("model  mean reward  actions"));
    }

    #[test]
    fn text_is_folded_and_numbers_are_not() {
        let rows = table(&[
            [
                "dqn_agent",
                "123,456,789",
                "BUY 3, SELL 4, HOLD 12, WAIT 7",
                "8.12 ms",
            ],
            ["a_very_long_name_of_a_model", "1", "BUY 3", "9.00 µs"],
        ]);
        for most in 50..90 {
            let lines = rows.lines(Some(most));
            let widest = lines.iter().map(|line| line.width()).max().unwrap_or(0);
            assert!(widest <= most, "{most}: {lines:#?}");
            let all = lines.join("\n");
            assert!(
                all.contains("123,456,789") && all.contains("8.12 ms"),
                "{all}"
            );
        }
        let lines = rows.lines(Some(60));
        assert_eq!(lines.len(), 6, "{lines:#?}");
    }

    #[test]
    fn too_many_columns_go_on_below() {
        let headings: Vec<String> = (0..20).map(|n| format!(">column{n}")).collect();
        let mut rows = Rows::new(std::iter::once("key").chain(headings.iter().map(|h| &**h)));
        rows.push((0..21).map(|n| format!("{n}000")));
        let lines = rows.lines(Some(40));
        assert!(lines.iter().all(|line| line.width() <= 40), "{lines:#?}");
        let begin = lines.iter().filter(|line| line.starts_with("0000"));
        assert_eq!(begin.count(), 6, "{lines:#?}");
        for n in 0..20 {
            assert!(
                lines
                    .iter()
                    .any(|line| line.contains(&format!("column{n}")))
            );
        }
    }

    #[test]
    fn odd_sizes_have_a_defined_end() {
        let rows = table(&[["x".repeat(100_000).as_str(), "1", "猫猫猫猫", "2"]]);
        for most in [0, 1, 2, 13, 80, 1_000] {
            let lines = rows.lines(Some(most));
            assert!(lines.len() < 1_000, "{most}");
            assert!(
                lines
                    .iter()
                    .all(|line| line.chars().count() <= most.max(300))
            );
        }
        assert!(Rows::new([]).lines(Some(80)).len() <= 1);
        assert_eq!(fold("猫猫猫", 4), ["猫猫", "猫"]);
        assert_eq!(fold("", 4), [""]);
        assert_eq!(fold("ab cd ef", 5), ["ab cd", "ef"]);
        assert_eq!(fold("abcdefg", 3), ["abc", "def", "g"]);
    }
}

//! Rules of style that no other tool checks: rustfmt leaves comments and texts as they are.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::{Path, PathBuf};

/// Columns of a line of Rust.
const WIDEST: usize = 100;
/// Words of the architecture page outside of tables and drawings, and under one heading.
const PAGE: usize = 1_500;
const HEADING: usize = 130;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files of Rust below `folder`, which a package may lack.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if !path.ends_with("target") {
                sources(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn no_line_is_wider_than_100_columns() {
    let mut found = Vec::new();
    for folder in [
        "src", "tests", "benches", "examples", "crates", "fuzz", "python",
    ] {
        sources(&root().join(folder), &mut found);
    }
    assert!(found.len() > 100, "{} files", found.len());
    let mut wide = Vec::new();
    for path in found {
        let text = fs::read_to_string(&path).unwrap();
        for (number, line) in text.lines().enumerate() {
            let columns = line.chars().count();
            if columns > WIDEST {
                let path = path.strip_prefix(root()).unwrap().display();
                wide.push(format!("{path}:{}: {columns} columns", number + 1));
            }
        }
    }
    assert!(wide.is_empty(), "wrap these lines:\n{}", wide.join("\n"));
}

/// The words of prose under each heading of a page.
fn prose(page: &str) -> Vec<(&str, usize)> {
    let mut headings = vec![("", 0)];
    let mut is_drawing = false;
    for line in page.lines() {
        if line.starts_with("```") {
            is_drawing = !is_drawing;
        } else if line.starts_with('#') {
            headings.push((line, 0));
        } else if !is_drawing && !line.starts_with('|') {
            headings.last_mut().unwrap().1 += line.split_whitespace().count();
        }
    }
    headings
}

#[test]
fn the_architecture_page_is_short() {
    let page = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let headings = prose(&page);
    for (heading, words) in &headings {
        assert!(*words <= HEADING, "{heading}: {words} words");
    }
    let words: usize = headings.iter().map(|(_, words)| words).sum();
    assert!(words <= PAGE, "{words} words");
}

#[test]
fn the_readme_shows_no_hidden_lines_of_its_examples() {
    for page in ["README.md", "docs/migrating.md"] {
        let Ok(page) = fs::read_to_string(root().join(page)) else {
            continue;
        };
        let examples = page.split("```rust").skip(1);
        let shown = examples.filter_map(|example| example.split("```").next());
        for line in shown.flat_map(str::lines) {
            let is_hidden = line == "#" || line.starts_with("# ");
            assert!(!is_hidden, "visitors see this line: {line}");
        }
    }
}

//! Every public call that does something has an example in its documentation, and links to its
//! errors.
//!
//! `docs/public-api.txt` says what is public, and the source has the documentation. Whether the
//! examples run, the documentation tests show.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Calls without an example, and why.
const WITHOUT: [(&str, &str); 0] = [];

/// Fewer than this would mean that the search finds nothing.
const AT_LEAST: usize = 400;

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if name != "faults" && name != "fuzzing" {
                sources(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The part of a line from `pub` to the call's name.
fn call(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let rest = line
        .strip_prefix("pub fn ")
        .or_else(|| line.strip_prefix("pub const fn "))?;
    let length = rest.find(['(', '<'])?;
    Some(&line[..line.len() - rest.len() + length])
}

/// The documentation above a line, without attributes.
fn documentation<'l>(lines: &[&'l str], at: usize) -> Vec<&'l str> {
    let above = lines[..at].iter().rev().map(|line| line.trim());
    let is_part = |line: &&str| {
        let starts = ["//", "#[", ")]", "]", "reason"];
        starts.iter().any(|start| line.starts_with(start))
    };
    above
        .take_while(is_part)
        .filter(|line| line.starts_with("///"))
        .collect()
}

#[test]
fn every_public_call_has_an_example() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/public-api.txt")).unwrap();
    let public: BTreeSet<&str> = page.lines().filter_map(call).collect();
    let mut files = Vec::new();
    sources(&root.join("src"), &mut files);
    let (mut found, mut without) = (0, BTreeSet::new());
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        // Unit tests are at the end of a file.
        let text = text.split("#[cfg(test)]\nmod ").next().unwrap();
        let lines: Vec<&str> = text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let Some(call) = call(line).filter(|call| public.contains(call)) else {
                continue;
            };
            let documentation = documentation(&lines, at);
            // What is not documented is public within the crate only.
            if documentation.is_empty() {
                continue;
            }
            found += 1;
            if let Some(above) = documentation
                .iter()
                .position(|line| *line == "/// # Errors")
            {
                // From the bottom up: the errors stand before their heading here.
                let errors = documentation[..above].iter().rev();
                let mut errors = errors.take_while(|line| **line != "///");
                let is_linked = errors.any(|line| line.contains('['));
                assert!(is_linked, "{}: link the errors of {call}", path.display());
            }
            if !documentation.iter().any(|line| line.contains("```")) {
                let name = call.rsplit(' ').next().unwrap();
                let file = path.strip_prefix(root).unwrap().display();
                without.insert(format!("{file}: {name}"));
            }
        }
    }
    assert!(found >= AT_LEAST, "{found} calls found");
    let allowed = WITHOUT.map(|(name, _)| name.to_owned());
    let allowed: BTreeSet<String> = allowed.into_iter().collect();
    assert_eq!(without, allowed, "give these an example, or a reason");
}

//! The public names, with their fields and signatures, are those of `docs/public-api.txt`.
//!
//! `ANNALS_BLESS=1 cargo test --test public_api` writes the page anew. It is made from the source
//! as rustfmt leaves it: implementations that macros write are not in it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

const PAGE: &str = "docs/public-api.txt";
/// Names at the crate's root, modules not counted.
const MOST_AT_THE_ROOT: usize = 45;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The sources that a user's build compiles, with their lines.
fn sources(folder: &Path, found: &mut BTreeMap<PathBuf, Vec<String>>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if name != "faults" && name != "fuzzing" {
                sources(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            // Unit tests are at the end of a file.
            let text = text.split("#[cfg(test)]\nmod ").next().unwrap();
            found.insert(path, text.lines().map(str::to_owned).collect());
        }
    }
}

/// What `pub use` of these lines names: the path in the crate of each exported name.
fn exports(lines: &[String], indent: &str) -> Vec<(String, String)> {
    let begin = format!("{indent}pub use ");
    let mut found = Vec::new();
    let mut lines = lines.iter();
    while let Some(line) = lines.next() {
        let Some(rest) = line.strip_prefix(&begin) else {
            continue;
        };
        let mut text = rest.to_owned();
        while !text.ends_with(';') {
            text.push_str(lines.next().unwrap().trim());
        }
        let text = text.trim_end_matches(';').trim_start_matches("crate::");
        let (path, names) = match text.split_once('{') {
            Some((path, names)) => (path, names.trim_end_matches('}')),
            None => text.split_at(text.rfind("::").unwrap() + 2),
        };
        for name in names
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
        {
            found.push((name.to_owned(), path.trim_end_matches("::").to_owned()));
        }
    }
    found
}

/// A declaration that begins at `at`, in one line, without its body.
fn declaration(lines: &[String], at: usize) -> String {
    let mut text = String::new();
    for line in &lines[at..] {
        let line = line.trim();
        let is_end = line.ends_with('{') || line.ends_with(';') || line.ends_with('}');
        if !text.is_empty() && !text.ends_with('(') && !line.starts_with(')') {
            text.push(' ');
        }
        text.push_str(line);
        if is_end {
            break;
        }
    }
    let text = text.trim_end_matches('{').trim_end().replace(",)", ")");
    text.split(" where").next().unwrap().to_owned()
}

/// The declaration of a tuple struct without the types of fields that only the crate can name.
fn without_private_fields(declaration: &str) -> String {
    match declaration.split_once('(') {
        Some((head, fields)) if head.starts_with("pub struct") && !fields.starts_with("pub ") => {
            format!("{head}(..);")
        }
        _ => declaration.to_owned(),
    }
}

/// Whether the attributes above a line hide it.
fn is_hidden(lines: &[String], at: usize) -> bool {
    let above = lines[..at].iter().rev();
    let mut above = above.take_while(|line| {
        let line = line.trim();
        line.starts_with("#[") || line.starts_with("///")
    });
    above.any(|line| line.contains("doc(hidden)") || line.contains("cfg(test)"))
}

/// The lines of a body that begins behind `at`, up to the brace that ends it.
fn body(lines: &[String], at: usize) -> impl Iterator<Item = (usize, &str)> {
    let lines = lines.iter().enumerate().skip(at + 1);
    let lines = lines.map(|(number, line)| (number, line.as_str()));
    lines.take_while(|(_, line)| *line != "}")
}

/// The name of the type that an `impl` is about, and whether it is of a trait.
fn subject(header: &str) -> Option<(String, bool)> {
    let header = header.strip_prefix("impl")?;
    let (of_trait, about) = match header.rsplit_once(" for ") {
        Some((_, about)) => (true, about),
        None => {
            let mut depth = 0;
            let end = header.find(|c| {
                depth += i32::from(c == '<') - i32::from(c == '>');
                c == ' ' && depth == 0
            })?;
            (false, &header[end..])
        }
    };
    let about = about.trim().trim_start_matches('&');
    let name: String = about
        .chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect();
    (!name.is_empty()).then_some((name, of_trait))
}

/// Everything that is public about a name.
fn describe(name: &str, file: &Path, all: &BTreeMap<PathBuf, Vec<String>>) -> String {
    let mut out = String::new();
    let kinds = ["struct", "enum", "trait", "fn", "type"];
    let declares = |lines: &[String]| {
        lines.iter().position(|line| {
            kinds.iter().any(|kind| {
                let rest = line.strip_prefix(&format!("pub {kind} {name}"));
                rest.is_some_and(|rest| {
                    !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_')
                })
            })
        })
    };
    // A room's head may give out what a file of the room declares.
    let beside = all
        .iter()
        .filter(|(path, _)| path.starts_with(file.parent().unwrap()));
    let places = std::iter::once(&all[file]).chain(beside.map(|(_, lines)| lines));
    let declared = places
        .into_iter()
        .find_map(|lines| Some((lines, declares(lines)?)));
    let (lines, at) = declared.unwrap_or_else(|| panic!("{name} is not in {}", file.display()));
    for line in lines[..at]
        .iter()
        .rev()
        .take_while(|line| line.starts_with(['#', '/']))
    {
        if line.starts_with("#[derive") || line.starts_with("#[non_exhaustive") {
            writeln!(out, "  {line}").unwrap();
        }
    }
    writeln!(out, "  {}", without_private_fields(&declaration(lines, at))).unwrap();
    let is_struct = lines[at].contains("struct");
    if lines[at].ends_with('{') && !lines[at].contains(" fn ") {
        for (number, line) in body(lines, at) {
            let text = line.trim();
            let is_field = !is_struct || text.starts_with("pub ");
            let is_comment = text.starts_with("//") || text.starts_with("#[");
            let is_own = text.starts_with("pub(") || line.starts_with("         ");
            if is_field && !is_comment && !is_own && !text.is_empty() && !is_hidden(lines, number) {
                writeln!(out, "    {text}").unwrap();
            }
        }
    }
    let mut implemented = BTreeSet::new();
    let mut calls = BTreeSet::new();
    for lines in all.values() {
        for (at, line) in lines.iter().enumerate() {
            if !line.starts_with("impl") {
                continue;
            }
            let header = declaration(lines, at);
            let Some((about, is_of_trait)) = subject(&header) else {
                continue;
            };
            if about != name || is_hidden(lines, at) {
                continue;
            }
            if is_of_trait {
                implemented.insert(header.replace(" {}", ""));
                continue;
            }
            for (at, line) in body(lines, at) {
                let is_call = ["    pub fn ", "    pub const "]
                    .iter()
                    .any(|begin| line.starts_with(begin));
                if is_call && !is_hidden(lines, at) {
                    calls.insert(declaration(lines, at));
                }
            }
        }
    }
    for line in implemented.iter().chain(&calls) {
        writeln!(out, "  {line}").unwrap();
    }
    out
}

/// The file in which the module at `path` is.
fn file_of(path: &str) -> PathBuf {
    let path = root().join("src").join(path.replace("::", "/"));
    let file = path.with_extension("rs");
    if file.exists() {
        file
    } else {
        path.join("mod.rs")
    }
}

fn listing() -> (String, usize) {
    let mut all = BTreeMap::new();
    sources(&root().join("src"), &mut all);
    let front = &all[&root().join("src/lib.rs")];
    let mut modules = BTreeMap::new();
    modules.insert(String::new(), exports(front, ""));
    for (at, line) in front.iter().enumerate() {
        let Some(name) = line
            .strip_prefix("pub mod ")
            .filter(|_| !is_hidden(front, at))
        else {
            continue;
        };
        let (name, inline) = match name.strip_suffix(" {") {
            Some(name) => (name, true),
            None => (name.trim_end_matches(';'), false),
        };
        let exported = if inline {
            let lines: Vec<String> = body(front, at).map(|(_, line)| line.to_owned()).collect();
            exports(&lines, "    ")
        } else {
            let file = file_of(name);
            let mut exported = exports(&all[&file], "");
            for (at, line) in all[&file].iter().enumerate() {
                let declared = line
                    .strip_prefix("pub ")
                    .filter(|_| !is_hidden(&all[&file], at));
                let mut words = declared.unwrap_or_default().split([' ', '<', '(']);
                if words
                    .next()
                    .is_some_and(|kind| ["struct", "enum", "fn"].contains(&kind))
                {
                    exported.push((words.next().unwrap().to_owned(), "self".to_owned()));
                }
            }
            exported
        };
        let exported = exported.into_iter().map(|(item, path)| {
            let within = format!("{name}::{path}");
            let path = match &*path {
                "self" => name.to_owned(),
                _ if !inline && file_of(&within).exists() => within,
                path => path.to_owned(),
            };
            (item, path)
        });
        modules.insert(format!("::{name}"), exported.collect());
    }
    let mut page = String::new();
    let mut seen = BTreeMap::new();
    let at_the_root = modules[""].len();
    for (module, mut exported) in modules {
        exported.sort();
        writeln!(page, "annals{module}: {} names", exported.len()).unwrap();
        for (name, path) in exported {
            let twice = seen.insert((name.clone(), path.clone()), module.clone());
            assert_eq!(twice, None, "{path}::{name} is exported twice");
            writeln!(page, "\nannals{module}::{name}").unwrap();
            page.push_str(&describe(&name, &file_of(&path), &all));
        }
        page.push('\n');
    }
    (page, at_the_root)
}

/// What is hidden from the documentation must not be callable either: only tests and fuzz targets
/// build with these features.
#[test]
fn what_is_hidden_is_in_no_users_build() {
    let builds = [
        "#[cfg(feature = \"__test-hooks\")]",
        "#[cfg(any(test, feature = \"fuzzing\"))]",
    ];
    let mut all = BTreeMap::new();
    sources(&root().join("src"), &mut all);
    let mut hidden = 0;
    for (path, lines) in &all {
        let places = lines.iter().enumerate();
        for (at, _) in places.filter(|(_, line)| line.contains("doc(hidden)")) {
            hidden += 1;
            let above = lines[at - 1].trim();
            let line = at + 1;
            assert!(
                builds.contains(&above),
                "{}:{line}: {above}",
                path.display()
            );
        }
    }
    assert!(hidden >= 3, "the hooks of the tests are not found");
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let is_default = manifest.lines().any(|line| line.starts_with("default = "));
    assert!(!is_default, "a default feature may name the hooks");
}

#[test]
fn the_public_names_are_those_of_the_page() {
    let (page, at_the_root) = listing();
    assert!(
        at_the_root <= MOST_AT_THE_ROOT,
        "{at_the_root} names at the root"
    );
    let path = root().join(PAGE);
    if std::env::var_os("ANNALS_BLESS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let known = fs::read_to_string(&path).unwrap_or_default();
    let (old, new): (BTreeSet<&str>, BTreeSet<&str>) =
        (known.lines().collect(), page.lines().collect());
    let gone: Vec<&&str> = old.difference(&new).collect();
    let come: Vec<&&str> = new.difference(&old).collect();
    assert!(
        known == page,
        "the public names have changed; `ANNALS_BLESS=1 cargo test --test public_api` writes \
         {PAGE} anew\ngone: {gone:#?}\nnew: {come:#?}"
    );
}

//! The storeys of the house: a file imports only from its own room and from rooms below it, and
//! files beside each other form no cycle. The order of the rooms is the table of ARCHITECTURE.md.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "house/imports.rs"]
mod imports;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use imports::{Imports, Sources};

/// The rooms of the first table after the heading, from top to bottom. A row may name two.
fn rooms(page: &str) -> Vec<String> {
    let (_, section) = page.split_once("\n## The rooms\n").unwrap();
    let table = section.lines().skip_while(|line| !line.starts_with('|'));
    let rows = table.take_while(|line| line.starts_with('|')).skip(2);
    rows.flat_map(|row| {
        let cell = row.split('|').nth(1).unwrap();
        let names = cell.split('`').skip(1).step_by(2);
        names.map(|name| {
            name.trim_end_matches('/')
                .trim_end_matches(".rs")
                .to_owned()
        })
    })
    .collect()
}

/// The room of a module; `lib` for the root.
fn room(module: &str) -> &str {
    match module.split("::").next() {
        None | Some("") => "lib",
        Some(room) => room,
    }
}

/// Imports of a room from one above it, and names that only the page or only the source has.
fn misplaced(order: &[String], imports: &Imports) -> Vec<String> {
    let place = |room: &str| order.iter().position(|name| name == room);
    let mut faults = Vec::new();
    for (from, targets) in imports {
        for to in targets {
            let (above, below) = (room(from), room(to));
            if above == below {
                continue;
            }
            match (place(above), place(below)) {
                (Some(importer), Some(imported)) if importer < imported => {}
                (Some(_), Some(_)) => faults.push(format!("{from} imports {to}, which is above")),
                (None, _) => faults.push(format!("the page does not name the room {above}")),
                (_, None) => faults.push(format!("the page does not name the room {below}")),
            }
        }
    }
    faults.sort();
    faults.dedup();
    faults
}

/// Whether one of both modules contains the other. A folder's head and its files may name each
/// other: the head is the folder's face, and the files extend its types.
fn is_family(one: &str, other: &str) -> bool {
    let within = |inner: &str, outer: &str| {
        outer.is_empty()
            || inner
                .strip_prefix(outer)
                .is_some_and(|rest| rest.starts_with("::"))
    };
    within(one, other) || within(other, one)
}

/// Groups of files that import each other in a circle.
fn cycles(imports: &Imports) -> Vec<BTreeSet<String>> {
    let reach = |start: &str| {
        let mut seen = BTreeSet::new();
        let mut open = vec![start.to_owned()];
        while let Some(file) = open.pop() {
            for to in imports.get(&file).into_iter().flatten() {
                if !is_family(&file, to) && seen.insert(to.clone()) {
                    open.push(to.clone());
                }
            }
        }
        seen
    };
    let reached: BTreeMap<_, _> = imports.keys().map(|file| (file, reach(file))).collect();
    let mut found = BTreeSet::new();
    for (file, all) in &reached {
        if all.contains(*file) {
            let back = |other: &&String| reached.get(other).is_some_and(|all| all.contains(*file));
            found.insert(all.iter().filter(back).cloned().collect::<BTreeSet<_>>());
        }
    }
    found.into_iter().collect()
}

#[test]
fn rooms_import_only_from_rooms_below_them() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let order = rooms(&fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap());
    let sources = Sources::read(&root.join("src"));
    assert!(order.len() > 10 && sources.len() > 100, "{order:?}");
    let imports = sources.imports();
    let faults = misplaced(&order, &imports);
    assert!(
        faults.is_empty(),
        "move what is shared down:\n{}",
        faults.join("\n")
    );
    for name in &order {
        let path = root.join("src").join(name);
        let is_there = path.is_dir() || path.with_extension("rs").is_file();
        assert!(
            is_there,
            "ARCHITECTURE.md names the room {name}, which is not in src/"
        );
    }
}

#[test]
fn files_beside_each_other_form_no_cycle() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let found = cycles(&Sources::read(&root.join("src")).imports());
    assert!(
        found.is_empty(),
        "these files import each other:\n{found:#?}"
    );
}

/// A small house, with each fault once.
#[test]
fn upward_imports_and_cycles_are_found() {
    let page = "\n## The rooms\n\n| room | content |\n|---|---|\n| `lib.rs` | |\n\
                | `attic/` | |\n| `hall/` | |\n| `cellar/` | |\n";
    let order = rooms(page);
    assert_eq!(order, ["lib", "attic", "hall", "cellar"]);
    let house = |cellar: &str, hall: &str| {
        Sources::of(&[
            ("", "mod attic; mod hall; mod cellar; pub use attic::Roof;"),
            ("attic", "use crate::hall::{Door, Lamp}; pub struct Roof;"),
            (
                "hall",
                "pub mod door; pub mod lamp; pub use door::Door; pub use lamp::Lamp;",
            ),
            ("hall::door", hall),
            (
                "hall::lamp",
                "use crate::cellar::Wine; use super::door::Door; pub struct Lamp;",
            ),
            ("cellar", cellar),
        ])
        .imports()
    };
    let sound = house("pub struct Wine;", "pub struct Door;");
    assert_eq!(misplaced(&order, &sound), Vec::<String>::new());
    assert_eq!(cycles(&sound), Vec::new());

    let upward = house("fn f() { crate::attic::Roof::new(); }", "pub struct Door;");
    assert_eq!(
        misplaced(&order, &upward),
        ["cellar imports attic, which is above"]
    );
    // Cellar, hall and attic: a cycle of rooms is a cycle of their files.
    assert_eq!(cycles(&upward).len(), 1);

    let hidden = house("use crate::Roof; pub struct Wine;", "pub struct Door;");
    assert_eq!(
        misplaced(&order, &hidden),
        ["cellar imports attic, which is above"]
    );

    let in_macro = house(
        "fn f() { println!(\"{}\", crate::hall::Door::WIDTH) }",
        "pub struct Door;",
    );
    assert_eq!(
        misplaced(&order, &in_macro),
        ["cellar imports hall::door, which is above"]
    );

    let circle = house("pub struct Wine;", "use super::Lamp; pub struct Door;");
    let pair = BTreeSet::from(["hall::door".to_owned(), "hall::lamp".to_owned()]);
    assert_eq!(cycles(&circle), [pair]);

    let tested = "#[cfg(test)] mod tests { use crate::attic::Roof; } pub struct Wine;";
    assert_eq!(
        misplaced(&order, &house(tested, "pub struct Door;")),
        Vec::<String>::new()
    );
    let unknown = Sources::of(&[
        ("", "mod shed;"),
        ("shed", "use crate::cellar::Wine;"),
        ("cellar", ""),
    ]);
    let unknown = misplaced(&order, &unknown.imports());
    assert_eq!(unknown, ["the page does not name the room shed"]);
}

//! Two small crates may have `unsafe`. Each stays small, and each use has a proof beside it. The
//! lint forbids it in all others.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::Path;

/// What one crate may have.
struct Allowed {
    name: &'static str,
    /// Lines of code at most, without comments and blank lines.
    lines: usize,
    /// How each line with `unsafe` begins.
    form: &'static str,
    uses: usize,
}

const CRATES: [Allowed; 2] = [
    Allowed {
        name: "annals-mapping",
        lines: 200,
        form: "unsafe { ",
        uses: 3,
    },
    Allowed {
        name: "annals-virtual-table",
        lines: 300,
        form: "unsafe impl",
        uses: 2,
    },
];

#[test]
fn each_use_has_its_proof_and_the_crates_are_small() {
    for allowed in CRATES {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates");
        let source = root.join(allowed.name).join("src");
        let (mut lines, mut uses) = (0, 0);
        for file in fs::read_dir(source).unwrap() {
            let path = file.unwrap().path();
            let text = fs::read_to_string(&path).unwrap();
            let mut comment = String::new();
            for line in text.lines().map(str::trim) {
                if line.starts_with("//") {
                    comment.push_str(line);
                    continue;
                }
                lines += usize::from(!line.is_empty());
                if line.contains("unsafe") {
                    uses += 1;
                    let place = format!("{}: {line}", path.display());
                    assert!(line.starts_with(allowed.form), "another form: {place}");
                    assert!(comment.starts_with("// SAFETY: "), "no proof: {place}");
                    assert!(comment.len() > 100, "hardly a proof: {place}");
                }
                comment.clear();
            }
        }
        let name = allowed.name;
        assert_eq!(uses, allowed.uses, "{name}");
        assert!(lines <= allowed.lines, "{name} has {lines} lines");
    }
}

#[test]
fn all_others_forbid_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = |folder: &Path| fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    assert!(manifest(root).contains("unsafe_code = \"forbid\""));
    let members = fs::read_dir(root.join("crates")).unwrap();
    for member in members.map(|entry| entry.unwrap().path()) {
        let name = member.file_name().unwrap().to_str().unwrap();
        let inherits = manifest(&member).contains("[lints]\nworkspace = true");
        let is_allowed = CRATES.iter().any(|allowed| allowed.name == name);
        assert_eq!(inherits, !is_allowed, "{name}");
    }
}

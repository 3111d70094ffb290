//! The crate is small, and each of its unsafe implementations has a proof.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::Path;

/// Lines of code, without comments and blank lines.
const MOST_LINES: usize = 300;

#[test]
fn each_unsafe_implementation_has_its_proof_and_the_crate_is_small() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut lines, mut unsafe_lines) = (0, 0);
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
                unsafe_lines += 1;
                let place = format!("{}: {line}", path.display());
                assert!(line.starts_with("unsafe impl"), "only traits: {place}");
                assert!(comment.starts_with("// SAFETY: "), "no proof: {place}");
                assert!(comment.len() > 100, "hardly a proof: {place}");
            }
            comment.clear();
        }
    }
    assert_eq!(unsafe_lines, 2);
    assert!(lines <= MOST_LINES, "{lines} lines");
}

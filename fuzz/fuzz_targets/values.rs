#![no_main]
//! A journal whose tables, sidecars, cursors and segments hold what the fuzzer likes, under right
//! checksums, and everything that can be done with one. Nothing outside of it may change. Run it
//! with `-rss_limit_mb=512 -timeout=60`: the whole takes some 100 ms.

#[path = "../../tests/hostile/craft.rs"]
mod craft;
#[path = "../../tests/hostile/exercise.rs"]
mod exercise;

use std::sync::OnceLock;

use craft::{Choices, Outside};
use tempfile::TempDir;

fn base() -> &'static TempDir {
    static BASE: OnceLock<TempDir> = OnceLock::new();
    BASE.get_or_init(|| {
        let dir = tempfile::tempdir().expect("there is room for a journal");
        craft::base(dir.path());
        dir
    })
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let scratch = tempfile::tempdir().expect("there is room for a copy");
    let dir = scratch.path().join("data");
    craft::copy(base().path(), &dir);
    let outside = Outside::make(scratch.path().join("outside"));
    craft::lie(&dir, &outside, None, &mut Choices::of(bytes));
    let before = outside.listing();
    let spare = scratch.path().join("spare");
    std::fs::create_dir(&spare).expect("there is room for copies");
    exercise::exercise(&dir, &spare);
    assert_eq!(outside.listing(), before);
});

//! `annals runs` and `annals explain`: which program decided.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::time::Duration;

use annals::record::Blob;
use annals::{Inference, Journal, Manifest};
use common::{Place, complaint, json, run};

fn decide(place: &Place, seed: u64) -> annals::InferenceId {
    let manifest = Manifest::new()
        .program("agent", "1.2.0")
        .features(["gpu"])
        .seed(seed)
        .pairs([("stage", "pa\u{202e}per")]);
    let options = Journal::options().manifest(manifest);
    let options = options.close_timeout(Duration::from_secs(60));
    let journal = options.open(&place.data).unwrap();
    let id = journal.log(Inference::new("m", "s", "a")).unwrap();
    journal.close().unwrap();
    id
}

#[test]
fn runs_are_listed_newest_first_and_shown_whole() {
    let place = Place::new();
    let ids = [decide(&place, 7), decide(&place, u64::MAX)];
    let known = json(&place.data, &["runs"]);
    let of = |name: &str| -> Vec<_> { known.iter().map(|run| run[name].clone()).collect() };
    assert_eq!(of("id"), [2, 1]);
    assert_eq!(of("state"), ["closed", "closed"]);
    let manifest = &known[0]["manifest"];
    assert_eq!(manifest["program"], "agent");
    assert_eq!(manifest["seed"], u64::MAX.to_string());
    assert_eq!(manifest["features"][0], "gpu");
    assert_eq!(manifest["pairs"]["stage"], "pa\u{202e}per");
    assert_eq!(manifest["executable"].as_str().unwrap().len(), 64);
    assert_eq!(json(&place.data, &["runs", "-n", "1"]), known[..1]);
    assert_eq!(json(&place.data, &["runs", "1"]), known[1..]);

    let table = run(&place.data, &["runs"], 0);
    assert!(
        table.contains("agent 1.2.0") && table.contains("2 runs"),
        "{table}"
    );
    let one = run(&place.data, &["runs", "1"], 0);
    let explained = run(&place.data, &["explain", &ids[0].to_string()], 0);
    for said in ["agent 1.2.0", "gpu", "pa\\u{202e}per", "command line"] {
        assert!(
            one.contains(said) && explained.contains(said),
            "{said}: {one}{explained}"
        );
    }
    let explained = &json(&place.data, &["explain", &ids[0].to_string()])[0];
    assert_eq!(explained["manifest"], known[1]["manifest"]);
    let said = complaint(&place.data, &["runs", "9"], 2);
    assert!(said.contains("no run 9"), "{said}");
    complaint(&place.data, &["runs", "x"], 2);
}

#[test]
fn sql_has_the_manifest() {
    let place = Place::new();
    decide(&place, 7);
    let sql = "SELECT program, version, host, manifest ->> '$.pairs.stage' AS stage FROM runs";
    let known = &json(&place.data, &["sql", sql])[0];
    assert_eq!(known["program"], "agent");
    assert_eq!(known["version"], "1.2.0");
    assert_eq!(known["stage"], "pa\u{202e}per");
}

#[test]
fn blobs_are_explained_and_written_out() {
    let place = Place::new();
    let long = format!("is this safe?\u{1b}[2J {}", "word ".repeat(100));
    let large = "x".repeat((1 << 20) + 1);
    let journal = Journal::open(&place.data).unwrap();
    let blobs = [
        Blob::new("prompt", &long),
        Blob::new("image", &[0xff, 0xd8]),
        Blob::new("large", &large),
    ];
    let decision = Inference::new("llm", "chat", "allow").blobs(&blobs);
    let id = journal.log(decision).unwrap().to_string();
    journal.close().unwrap();
    let text = run(&place.data, &["explain", &id], 0);
    for said in [
        "blob prompt    518 bytes: is this safe?\\u{001b}[2J word",
        "blob image     2 bytes, no text",
        "blob large     was to be kept, and was given up",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
    let known = &json(&place.data, &["explain", &id])[0]["blobs"];
    assert_eq!(known[0]["text"], long);
    assert_eq!(known[1]["values"], serde_json::json!([0xff, 0xd8]));
    assert_eq!(known[2]["missing"], "given_up");
    // Whole, and nothing else.
    assert_eq!(
        run(&place.data, &["explain", &id, "--blob", "prompt"], 0),
        long
    );
    let one = &json(&place.data, &["explain", &id, "--blob", "image"])[0];
    assert_eq!(one["bytes"], 2);
    let said = complaint(&place.data, &["explain", &id, "--blob", "other"], 2);
    assert!(said.contains("prompt, image, large"), "{said}");
    let said = complaint(&place.data, &["explain", &id, "--blob", "large"], 2);
    assert!(said.contains("given up"), "{said}");
}

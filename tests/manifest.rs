//! Each run says which program decided: what its author gave, and what comes by itself.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::Path;
use std::time::Duration;

use annals::entry::RunManifest;
use annals::maintenance::repair;
use annals::{
    Error, Inference, Journal, Level, Maintenance, Manifest, Options, Reader, RetentionPolicy,
};

const MINUTE: Duration = Duration::from_secs(60);

fn manifests(reader: &Reader) -> Vec<Option<RunManifest>> {
    reader.runs().map(|run| run.unwrap().manifest).collect()
}

fn only(reader: &Reader) -> RunManifest {
    manifests(reader).pop().unwrap().unwrap()
}

fn given() -> Manifest {
    Manifest::new()
        .program("agent", "1.2.0")
        .features(["gpu", "half"])
        .seed(u64::MAX)
        .pairs([("stage", "paper"), ("data", "2025-07")])
}

fn options() -> Options {
    // A close waits for the digest for a quarter of it.
    let options = Journal::options().manifest(given()).without_mirror();
    options.close_timeout(MINUTE)
}

fn log(journal: &Journal) -> annals::InferenceId {
    let id = journal.log(Inference::new("m", "s", "a")).unwrap();
    journal.flush().wait(MINUTE).unwrap();
    id
}

#[test]
fn a_run_has_what_was_given_and_what_comes_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let journal = options().open(dir.path()).unwrap();
    let id = log(&journal);
    journal.close().unwrap();
    let reader = Reader::open(dir.path()).unwrap();
    let run = reader.run(id.run()).unwrap().unwrap();
    let manifest = run.manifest.unwrap();
    assert_eq!(manifest, only(&reader));
    assert_eq!(manifest.program.as_deref(), Some("agent"));
    assert_eq!(manifest.version.as_deref(), Some("1.2.0"));
    assert_eq!(manifest.features, ["gpu", "half"]);
    assert_eq!(manifest.seed, Some(u64::MAX));
    assert_eq!(manifest.get("stage"), Some("paper"));
    assert_eq!(manifest.get("data"), Some("2025-07"));
    assert_eq!(manifest.get("other"), None);
    let first = manifest.command_line.first().unwrap();
    assert!(first.contains("manifest"), "{first}");
    if cfg!(target_os = "linux") {
        assert!(manifest.host.is_some());
    }
    // By another implementation: this file, read whole.
    let path = std::env::current_exe().unwrap();
    let digest = blake3::hash(&fs::read(path).unwrap());
    assert_eq!(manifest.executable, Some(*digest.as_bytes()));
    assert!(reader.run("77".parse().unwrap()).unwrap().is_none());
}

#[test]
fn a_later_journal_of_the_process_has_the_digest_at_once() {
    let dir = tempfile::tempdir().unwrap();
    options().open(dir.path()).unwrap().close().unwrap();
    let journal = options().in_memory().unwrap();
    assert!(only(&journal.reader().unwrap()).executable.is_some());
}

#[test]
fn what_comes_by_itself_can_be_switched_off() {
    let manifest = Manifest::new().without_command_line().without_host();
    let journal = Journal::options().manifest(manifest).in_memory().unwrap();
    let known = only(&journal.reader().unwrap());
    assert_eq!((known.command_line, known.host), (Vec::new(), None));
    assert_eq!((known.program, known.seed), (None, None));
}

#[test]
fn a_run_that_goes_on_as_another_has_the_same_manifest() {
    let dir = tempfile::tempdir().unwrap();
    let journal = options().ids_per_run(1).open(dir.path()).unwrap();
    let first = log(&journal);
    // The writer begins the next run between two of its rounds.
    while log(&journal).run() == first.run() {}
    journal.close().unwrap();
    let known = manifests(&Reader::open(dir.path()).unwrap());
    assert!(known.len() >= 2);
    let same = |one: &Option<RunManifest>| one.as_ref().unwrap().get("stage") == Some("paper");
    assert!(known.iter().all(same), "{known:?}");
}

#[test]
fn what_has_no_room_is_refused_by_name() {
    let long = "x".repeat(257);
    let many: Vec<String> = (0..257).map(|number| number.to_string()).collect();
    let pairs = |count: usize, bytes: usize| {
        let value = "v".repeat(bytes);
        Manifest::new().pairs((0..count).map(move |key| (key.to_string(), value.clone())))
    };
    for (manifest, said) in [
        (Manifest::new().program(&long, "1"), "at most 256 bytes"),
        (Manifest::new().program("agent", &long), "at most 256 bytes"),
        (Manifest::new().features([&long]), "at most 256 bytes"),
        (Manifest::new().features(&many), "at most 256 of each"),
        (pairs(257, 1), "at most 256 of each"),
        (pairs(1, 4_097), "\"0\" with 4097 bytes"),
        (pairs(17, 4_096), "at most 64 KiB"),
        (Manifest::new().pairs([(&long, 1)]), "at most 256 bytes"),
        (Manifest::new().pairs([("", 1)]), "give each pair a key"),
        (Manifest::new().pairs([("a", 1), ("a", 2)]), "each key once"),
    ] {
        let refused = Journal::options().manifest(manifest).in_memory();
        let refused = refused.unwrap_err();
        assert!(matches!(refused, Error::InvalidOption { .. }), "{refused}");
        assert!(refused.to_string().contains(said), "{refused}");
    }
    let most = pairs(15, 4_096).program("p".repeat(256), "").features(
        many[..256]
            .iter()
            .map(|number| format!("{number:>3}"))
            .collect::<Vec<_>>(),
    );
    assert!(Journal::options().manifest(most).in_memory().is_ok());
}

#[test]
fn a_journal_may_have_runs_of_several_programs() {
    let dir = tempfile::tempdir().unwrap();
    for seed in [1, 2] {
        let manifest = Manifest::new().seed(seed);
        let options = Journal::options().manifest(manifest).without_mirror();
        let journal = options.open(dir.path()).unwrap();
        log(&journal);
        journal.close().unwrap();
    }
    let known = manifests(&Reader::open(dir.path()).unwrap());
    let seeds: Vec<_> = known.into_iter().map(|one| one.unwrap().seed).collect();
    assert_eq!(seeds, [Some(1), Some(2)]);
}

/// Changes each occurrence of `text` in a file, so that its checksum is wrong.
fn damage(file: &Path, text: &str) {
    let mut bytes = fs::read(file).unwrap();
    let is_there = |window: &[u8]| window == text.as_bytes();
    let windows = bytes.windows(text.len()).enumerate();
    let places: Vec<_> = windows.filter(|(_, window)| is_there(window)).collect();
    let places: Vec<usize> = places.into_iter().map(|(place, _)| place).collect();
    assert!(!places.is_empty(), "{text}");
    for place in places {
        bytes[place] ^= 1;
    }
    fs::write(file, bytes).unwrap();
}

fn is_whole(place: &Path) -> bool {
    Maintenance::open(place).unwrap().verify().is_whole()
}

#[test]
fn a_backup_and_a_repair_keep_manifests() {
    let scratch = tempfile::tempdir().unwrap();
    let place = |name: &str| scratch.path().join(name);
    let journal = options().open(place("data")).unwrap();
    journal.event(Level::Info, "test", "words of this event");
    log(&journal);
    journal.close().unwrap();
    let before = manifests(&Reader::open(place("data")).unwrap());
    assert!(is_whole(&place("data")));
    let maintenance = Maintenance::open(place("data")).unwrap();
    maintenance.backup(place("backup")).run().unwrap();
    drop(maintenance);
    assert_eq!(manifests(&Reader::open(place("backup")).unwrap()), before);
    damage(&place("data").join("journal.redb"), "words of this event");
    assert!(!is_whole(&place("data")));
    repair(place("data")).unwrap();
    assert!(is_whole(&place("data")));
    assert_eq!(manifests(&Reader::open(place("data")).unwrap()), before);
}

#[test]
fn a_damaged_manifest_costs_no_run() {
    let dir = tempfile::tempdir().unwrap();
    let journal = options().open(dir.path()).unwrap();
    let id = log(&journal);
    journal.close().unwrap();
    damage(&dir.path().join("journal.redb"), "2025-07");
    assert!(!is_whole(dir.path()));
    let reader = Reader::open(dir.path()).unwrap();
    let told = reader.run(id.run()).unwrap_err();
    assert!(matches!(told, Error::Corrupt { .. }), "{told}");
    assert!(reader.get(id).unwrap().is_some());
    drop(reader);
    repair(dir.path()).unwrap();
    assert!(is_whole(dir.path()));
    let reader = Reader::open(dir.path()).unwrap();
    let run = reader.run(id.run()).unwrap().unwrap();
    assert_eq!((run.committed, run.manifest), (1, None));
}

#[test]
fn retention_keeps_a_manifest_as_long_as_its_run_has_entries() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..3 {
        let journal = options().open(dir.path()).unwrap();
        log(&journal);
        journal.seal(MINUTE).unwrap();
        journal.close().unwrap();
    }
    let maintenance = Maintenance::open(dir.path()).unwrap();
    let plan = maintenance
        .retention(RetentionPolicy::new().max_count(2))
        .plan();
    plan.unwrap().apply().unwrap();
    drop(maintenance);
    let reader = Reader::open(dir.path()).unwrap();
    let runs: Vec<_> = reader.runs().map(Result::unwrap).collect();
    assert!(runs.len() < 3, "{runs:?}");
    assert!(runs.iter().all(|run| run.manifest.is_some()));
    assert!(is_whole(dir.path()));
}

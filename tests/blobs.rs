//! A blob comes back byte by byte. What cannot be kept is counted, and costs no decision.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::Path;
use std::time::Duration;

use annals::entry::{GapReason, KeptBlob};
use annals::record::{Blob, KeepInputs};
use annals::{
    Error, Inference, InferenceId, Journal, Maintenance, Options, Overflow, Reader, Value,
};

const MINUTE: Duration = Duration::from_secs(60);
const MOST: usize = 1 << 20;

fn options() -> Options {
    Journal::options()
        .without_mirror()
        .without_folding()
        .overflow(Overflow::Block { timeout: MINUTE })
}

fn flush(journal: &Journal) {
    journal.flush().wait(MINUTE).unwrap();
}

/// Bytes that no compression makes shorter.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut word = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes: Vec<u8> = (0..length.div_ceil(8)).flat_map(|_| word()).collect();
    bytes.truncate(length);
    bytes
}

fn log(journal: &Journal, blobs: &[Blob<'_>]) -> InferenceId {
    let decision = Inference::new("llm", "chat", "answer").features_hashed(7);
    journal.log(decision.blobs(blobs)).unwrap()
}

fn content(reader: &Reader, id: InferenceId, name: &str) -> Vec<u8> {
    match reader.blob(id, name).unwrap() {
        KeptBlob::Kept(bytes) => bytes,
        other => panic!("{id} {name}: {other:?}"),
    }
}

#[test]
fn blobs_come_back_byte_by_byte() {
    let dir = tempfile::tempdir().unwrap();
    let journal = options().open(dir.path()).unwrap();
    let contents = [
        Vec::new(),
        b"short".to_vec(),
        "a prompt of many words, ".repeat(200).into_bytes(),
        noise(1, 5_000),
        vec![b'x'; MOST],
        noise(2, MOST),
    ];
    let recorder = journal.recorder("llm", "chat").actions(["answer"]);
    let recorder = recorder.keep_inputs(KeepInputs::Always).build().unwrap();
    let mut ids = Vec::new();
    for one in &contents {
        let blobs = [Blob::new("prompt", one), Blob::new("same", "words")];
        let more = [("tokens", Value::from(7))];
        let plain = log(&journal, &blobs);
        let prepared = recorder
            .inference(0)
            .features(&[0.5_f32, 1.5])
            .blobs(&blobs);
        let prepared = prepared.attributes(&more).correlation("c").log().unwrap();
        ids.push([plain, prepared]);
    }
    flush(&journal);
    let check = |reader: &Reader| {
        for (both, one) in ids.iter().zip(&contents) {
            for id in both {
                let record = reader.get(*id).unwrap().unwrap();
                assert_eq!(record.blobs, ["prompt", "same"]);
                assert_eq!(record.repeat_of, None);
                assert!(content(reader, *id, "prompt") == *one);
                assert_eq!(content(reader, *id, "same"), b"words");
                assert_eq!(reader.blob(*id, "other").unwrap(), KeptBlob::NotKept);
            }
            let record = reader.get(both[1]).unwrap().unwrap();
            assert_eq!(record.attributes.len(), 1);
            assert_eq!(record.correlation.as_deref(), Some("c"));
            let input = reader.input(both[1]).unwrap().kept().unwrap();
            assert_eq!(input.features(), Some(&[0.5, 1.5][..]));
        }
    };
    check(&journal.reader().unwrap());
    // Each content once, and the features.
    let health = journal.health().inputs;
    assert_eq!(health.kept, 6 + 1 + 1, "{health:?}");
    assert_eq!(health.repeated, 24 + 6 - health.kept);
    assert!(health.bytes < 1_200_000, "{health:?}");
    journal.seal(MINUTE).unwrap();
    journal.close().unwrap();
    check(&Reader::open(dir.path()).unwrap());
    let maintenance = Maintenance::open(dir.path()).unwrap();
    assert!(maintenance.verify().is_whole());
    let copy = tempfile::tempdir().unwrap();
    maintenance.backup(copy.path().join("copy")).run().unwrap();
    check(&Reader::open(copy.path().join("copy")).unwrap());
}

#[test]
fn a_blob_that_is_too_large_costs_no_decision() {
    let dir = tempfile::tempdir().unwrap();
    let journal = options().open(dir.path()).unwrap();
    let large = "x".repeat(MOST + 1);
    let id = log(
        &journal,
        &[Blob::new("prompt", &large), Blob::new("b", "kept")],
    );
    flush(&journal);
    let reader = journal.reader().unwrap();
    assert_eq!(reader.blob(id, "prompt").unwrap(), KeptBlob::GivenUp);
    assert_eq!(content(&reader, id, "b"), b"kept");
    let health = journal.health();
    assert_eq!((health.inputs.too_large, health.inputs.kept), (1, 1));
    let said = health.inputs.error.unwrap();
    assert!(said.contains("\"prompt\" of 1048577 bytes"), "{said}");
    assert_eq!((health.committed, health.dropped.total()), (1, 0));
}

#[test]
fn more_than_a_decision_may_have_is_refused_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let journal = options().open(dir.path()).unwrap();
    let most = [Blob::new("of one name", "x"); 16];
    let id = log(&journal, &most);
    let long = "n".repeat(65);
    let refused: [&[Blob<'_>]; 2] = [&[most[0]; 17], &[Blob::new(&long, "x")]];
    for blobs in refused {
        let decision = Inference::new("llm", "chat", "answer").blobs(blobs);
        assert_eq!(journal.log(decision), None);
    }
    flush(&journal);
    let health = journal.health();
    assert_eq!(health.dropped.refused, 2);
    let said: Vec<String> = health
        .refusals
        .iter()
        .map(|one| format!("{one:?}"))
        .collect();
    assert!(said.iter().any(|one| one.contains("blobs")), "{said:?}");
    assert!(
        said.iter().any(|one| one.contains("name of a blob")),
        "{said:?}"
    );
    let reader = journal.reader().unwrap();
    assert_eq!(content(&reader, id, "of one name"), b"x");
    let reasons: Vec<_> = reader.gaps().map(|gap| gap.unwrap().reason).collect();
    assert_eq!(reasons, [GapReason::Refused; 2]);
}

#[test]
fn a_journal_without_inputs_keeps_none() {
    let dir = tempfile::tempdir().unwrap();
    let without = options().input_budget(0).open(dir.path()).unwrap();
    let in_memory = options().in_memory().unwrap();
    for journal in [without, in_memory] {
        let id = log(&journal, &[Blob::new("prompt", "words")]);
        flush(&journal);
        let reader = journal.reader().unwrap();
        assert_eq!(reader.blob(id, "prompt").unwrap(), KeptBlob::NotKept);
        assert!(reader.get(id).unwrap().unwrap().blobs.is_empty());
    }
}

#[test]
fn blobs_and_inputs_share_a_budget() {
    let dir = tempfile::tempdir().unwrap();
    let journal = options().input_budget(1 << 20).open(dir.path()).unwrap();
    let mut ids = Vec::new();
    for number in 0..40 {
        let bytes = noise(number, 100_000);
        ids.push(log(&journal, &[Blob::new("image", &bytes)]));
        flush(&journal);
    }
    let reader = journal.reader().unwrap();
    assert_eq!(reader.blob(ids[0], "image").unwrap(), KeptBlob::Removed);
    assert!(content(&reader, ids[39], "image") == noise(39, 100_000));
    let usage = journal.maintenance().unwrap().usage().unwrap();
    assert!(usage.input_bytes < 1_500_000, "{usage:?}");
}

#[test]
fn what_finds_no_room_costs_no_decision() {
    let dir = tempfile::tempdir().unwrap();
    let journal = options()
        .overflow(Overflow::DropNewest)
        .open(dir.path())
        .unwrap();
    let contents: Vec<_> = (0..30).map(|number| noise(number, 900_000)).collect();
    let blobs = contents.iter().map(|one| Blob::new("image", one));
    let ids: Vec<_> = blobs.map(|blob| log(&journal, &[blob])).collect();
    flush(&journal);
    let health = journal.health();
    assert_eq!((health.committed, health.dropped.total()), (30, 0));
    let inputs = health.inputs;
    assert_eq!(inputs.kept + inputs.queue_full, 30, "{inputs:?}");
    let reader = journal.reader().unwrap();
    let mut given_up = 0;
    for (id, one) in ids.iter().zip(&contents) {
        match reader.blob(*id, "image").unwrap() {
            KeptBlob::Kept(bytes) => assert!(bytes == *one),
            KeptBlob::GivenUp => given_up += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(given_up, inputs.queue_full);
}

#[test]
fn a_damaged_blob_is_an_error_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let journal = options().open(dir.path()).unwrap();
    let id = log(&journal, &[Blob::new("prompt", "find these words")]);
    journal.close().unwrap();
    let file = only_file(&dir.path().join("inputs"));
    let mut bytes = fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&file, bytes).unwrap();
    let reader = Reader::open(dir.path()).unwrap();
    let told = reader.blob(id, "prompt").unwrap_err();
    assert!(matches!(told, Error::Corrupt { .. }), "{told}");
    assert!(reader.get(id).unwrap().is_some());
}

fn only_file(folder: &Path) -> std::path::PathBuf {
    let mut entries = fs::read_dir(folder).unwrap();
    entries.next().unwrap().unwrap().path()
}

//! The hook sees each text that a program gives freely, before anything of it is stored.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use annals::entry::{AttributeType, CheckpointAction, KeptBlob};
use annals::record::{Blob, RedactedPlace, Redaction};
use annals::{Content, Inference, InferenceId, Journal, Level, Outcome, Reader, Value};

const MINUTE: Duration = Duration::from_secs(60);
const SECRET: &str = "4111-1111-1111-1111";
const DROPPED: &str = "[dropped: its redaction panicked]";

fn hide(text: &mut Redaction<'_>) {
    if let Some(given) = text.text() {
        let hidden = given.replace(SECRET, "#");
        text.replace(hidden);
    }
}

/// Records the secret in each place that a hook sees.
fn record(journal: &Journal) -> [InferenceId; 3] {
    let text = format!("card {SECRET}.");
    let attributes = [
        ("card", Value::from(text.as_str())),
        ("tokens", Value::from(7)),
    ];
    let blobs = [Blob::new("prompt", &text)];
    let decision = Inference::new("llm", "chat", "answer");
    let first = journal.log(decision.attributes(&attributes).blobs(&blobs));
    let recorder = journal
        .recorder("llm", "chat")
        .actions(["answer"])
        .build()
        .unwrap();
    let second = recorder.inference(0).keep_bytes(text.as_bytes()).log();
    let third = decision
        .keep_bytes(text.as_bytes())
        .attribute("card", text.as_str());
    let third = journal.log(third);
    let fields = vec![("card".to_owned(), Value::from(text.as_str()))];
    journal.event_with(Level::Warn, "shop", text.clone(), fields);
    journal.checkpoint_event(CheckpointAction::Loaded, "llm", "c", &text);
    journal.attach_outcome(first.unwrap(), Outcome::new().label(&text));
    journal.raise(Level::Warn, "shop", &text);
    journal.flush().wait(MINUTE).unwrap();
    [first, second, third].map(Option::unwrap)
}

/// Whether any file below `folder` has the text.
fn is_anywhere(folder: &Path, text: &str) -> bool {
    fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return is_anywhere(&path, text);
        }
        let bytes = fs::read(&path).unwrap_or_default();
        bytes
            .windows(text.len())
            .any(|window| window == text.as_bytes())
    })
}

fn messages(reader: &Reader) -> Vec<(String, String)> {
    let events = reader.events().map(|entry| match entry.unwrap().content {
        Content::SystemEvent(event) => {
            let field = event.fields.first().map(|(_, value)| value.to_string());
            (event.message, field.unwrap_or_default())
        }
        Content::CheckpointEvent(event) => (event.detail, String::new()),
        other => panic!("{other:?}"),
    });
    events.collect()
}

#[test]
fn nothing_that_is_replaced_is_stored() {
    let dir = tempfile::tempdir().unwrap();
    let places = Arc::new(Mutex::new(BTreeMap::new()));
    let seen = places.clone();
    let options = Journal::options().redact(move |text| {
        let mut seen = seen.lock().unwrap();
        let place = format!("{:?} {}", text.place(), text.name());
        *seen.entry(place).or_insert(0) += 1;
        drop(seen);
        hide(text);
    });
    let journal = options.open(dir.path()).unwrap();
    let ids = record(&journal);
    let reader = journal.reader().unwrap();
    let first = reader.get(ids[0]).unwrap().unwrap();
    assert_eq!(first.attributes[0].1, "card #.".into());
    assert_eq!(first.attributes[1].1, 7.into());
    let prompt = reader.blob(ids[0], "prompt").unwrap();
    assert_eq!(prompt.text().as_deref(), Some("card #."));
    for id in &ids[1..] {
        let input = reader.input(*id).unwrap().kept().unwrap();
        assert_eq!(
            input.values,
            annals::entry::InputValues::Bytes(b"card #.".to_vec().into())
        );
    }
    let outcome = reader.outcome(ids[0]).unwrap().unwrap();
    assert_eq!(&*outcome.label.unwrap().value, "card #.");
    for (message, field) in messages(&reader) {
        assert!(message == "card #.", "{message}");
        assert!(field.is_empty() || field == "card #.", "{field}");
    }
    let places = places.lock().unwrap().clone();
    let expected = [
        ("Attribute card", 2),
        ("Blob prompt", 1),
        ("Detail llm", 1),
        ("Field card", 1),
        ("Input ", 2),
        ("Label ", 1),
        ("Message shop", 2),
    ];
    let expected = expected.map(|(place, count)| (place.to_owned(), count));
    assert_eq!(places, BTreeMap::from(expected));
    assert_eq!(journal.health().failed_redactions, 0);
    journal.close().unwrap();
    assert!(!is_anywhere(dir.path(), SECRET));
    assert!(is_anywhere(dir.path(), "card #."));
}

#[test]
fn a_hook_that_panics_costs_the_text_alone() {
    let dir = tempfile::tempdir().unwrap();
    // Panics are recorded too: their message must not be the way out.
    let options = Journal::options().flush_on_panic(MINUTE).redact(|text| {
        let text = text.text().unwrap_or_default();
        assert!(!text.contains(SECRET), "cannot say {text}");
    });
    let journal = options.open(dir.path()).unwrap();
    let ids = record(&journal);
    let reader = journal.reader().unwrap();
    let first = reader.get(ids[0]).unwrap().unwrap();
    assert_eq!(first.attributes[0].1, DROPPED.into());
    assert_eq!(reader.blob(ids[0], "prompt").unwrap(), KeptBlob::GivenUp);
    for id in &ids[1..] {
        assert_eq!(
            reader.input(*id).unwrap(),
            annals::entry::KeptInput::GivenUp
        );
    }
    for (message, field) in messages(&reader) {
        assert!(message == DROPPED, "{message}");
        assert!(field.is_empty() || field == DROPPED, "{field}");
    }
    let health = journal.health();
    assert_eq!(health.failed_redactions, 10, "{health:?}");
    assert_eq!(health.dropped.total(), 0);
    // It goes on with what it can.
    journal.event(Level::Info, "shop", "harmless");
    journal.flush().wait(MINUTE).unwrap();
    assert_eq!(messages(&reader)[0].0, "harmless");
    journal.close().unwrap();
    assert!(!is_anywhere(dir.path(), SECRET));
}

#[test]
fn a_hook_that_records_is_not_called_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let inner = Arc::new(Mutex::new(None::<Arc<Journal>>));
    let known = inner.clone();
    let options = Journal::options().redact(move |text| {
        let journal = known.lock().unwrap().clone();
        if let Some(journal) = journal {
            journal.event(Level::Info, "hook", format!("met {}", text.text().unwrap()));
        }
        text.replace("replaced");
    });
    let journal = Arc::new(options.open(dir.path()).unwrap());
    *inner.lock().unwrap() = Some(journal.clone());
    journal.event(Level::Info, "shop", SECRET);
    journal.flush().wait(MINUTE).unwrap();
    let said: Vec<_> = messages(&journal.reader().unwrap());
    let said: Vec<_> = said.iter().map(|(message, _)| message.as_str()).collect();
    // By their numbers: the outer call took its own first.
    assert_eq!(said.len(), 2);
    assert!(
        said.contains(&DROPPED) && said.contains(&"replaced"),
        "{said:?}"
    );
    assert_eq!(journal.health().failed_redactions, 1);
    inner.lock().unwrap().take();
}

#[test]
fn bytes_that_are_no_text_are_seen_and_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let options = Journal::options().redact(|text| match text.place() {
        RedactedPlace::Blob if text.text().is_none() => text.replace(vec![0xfe; 3]),
        // No text, where there must be one.
        RedactedPlace::Attribute => text.replace(vec![b'a', 0xff]),
        _ => text.replace("x".repeat((1 << 20) + 1)),
    });
    let journal = options.open(dir.path()).unwrap();
    let blobs = [
        Blob::new("image", &[0xff, 0xd8]),
        Blob::new("prompt", "words"),
    ];
    let more = [("key", Value::from("value"))];
    let decision = Inference::new("llm", "chat", "answer").attributes(&more);
    let id = journal.log(decision.blobs(&blobs)).unwrap();
    journal.flush().wait(MINUTE).unwrap();
    let reader = journal.reader().unwrap();
    assert_eq!(reader.blob(id, "image").unwrap().kept().unwrap(), [0xfe; 3]);
    // Its size is that of what is left.
    assert_eq!(reader.blob(id, "prompt").unwrap(), KeptBlob::GivenUp);
    let record = reader.get(id).unwrap().unwrap();
    assert_eq!(record.attributes[0].1, "a\u{fffd}".into());
    assert_eq!(journal.health().inputs.too_large, 1);
}

#[test]
fn texts_of_bound_attributes_pass_the_hook() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::options().redact(hide).open(dir.path()).unwrap();
    let builder = journal.recorder("llm", "chat").actions(["answer"]);
    let bound = [
        ("card", AttributeType::Text),
        ("amount", AttributeType::I64),
    ];
    let recorder = builder.attributes(bound).build().unwrap();
    let text = format!("card {SECRET}.");
    let ids = [&[][..], &[1.0; 700]].map(|vector| {
        let prepared = recorder.inference(0).action_vector(vector);
        let values = [text.as_str().into(), 7_i64.into()];
        prepared.attribute_values(&values).log().unwrap()
    });
    journal.flush().wait(MINUTE).unwrap();
    let reader = journal.reader().unwrap();
    for id in ids {
        let record = reader.get(id).unwrap().unwrap();
        let (_, card) = record
            .attributes
            .iter()
            .find(|(name, _)| &**name == "card")
            .unwrap();
        assert_eq!(*card, "card #.".into());
    }
    journal.close().unwrap();
    assert!(!is_anywhere(dir.path(), SECRET));
}

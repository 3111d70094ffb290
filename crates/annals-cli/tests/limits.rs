//! Each field at its limit is taken in, read back and restored; one beyond is refused by its name,
//! and costs nothing around it. On every way in: calls, lines, tables, folders, backups.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::path::Path;
use std::time::Duration;

use annals::entry::CheckpointAction;
use annals::maintenance::restore;
use annals::registry::Metadata;
use annals::{
    Content, Error, Inference, Journal, Level, Maintenance, Mode, Options, Outcome, Overflow,
    Reader, Registry, Timestamp, Value,
};
use common::{BEGIN, annals};
use serde_json::{Value as Json, json};

/// Bytes of text in one entry.
const TEXT: usize = 1 << 20;
/// Weight of a label or an attribute besides its bytes.
const EACH: usize = 64;
/// Probabilities of a decision, and values of an outcome.
const COUNT: usize = 1_024;
const WAIT: Duration = Duration::from_secs(60);

/// Options of a journal that waits for room. Two records at the limit fill a lane: without the
/// wait, the speed of the disk would decide whether a third is taken.
fn patient() -> Options {
    let options = Journal::options().without_mirror();
    options.overflow(Overflow::Block { timeout: WAIT })
}

/// The label of an outcome, and its named values.
type LabelAndValues = (Option<String>, Vec<(String, f64)>);

/// A decision, and what turned out.
#[derive(Clone, PartialEq)]
struct Decision {
    model: String,
    symbol: String,
    action: String,
    checkpoint: Option<String>,
    labels: Vec<String>,
    attributes: Vec<(String, Value)>,
    outcome: Option<LabelAndValues>,
}

fn plain() -> Decision {
    Decision {
        model: "m".to_owned(),
        symbol: "s".to_owned(),
        action: "a".to_owned(),
        checkpoint: None,
        labels: Vec::new(),
        attributes: Vec::new(),
        outcome: None,
    }
}

fn numbered(count: usize) -> impl Iterator<Item = String> {
    (0..count).map(|number| format!("{number:05}"))
}

/// Cost of one beyond its limit.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Costs {
    TheDecision,
    TheField,
}

/// A field of a decision.
struct Field {
    name: &'static str,
    most: usize,
    /// A decision whose field has this size.
    of: fn(usize) -> Decision,
    /// How a call's refusal names it, and a line's.
    named: (&'static str, &'static str),
    /// Its column and what one beyond costs there, if a table has it.
    column: Option<(&'static str, Costs)>,
}

const FIELDS: [Field; 12] = [
    Field {
        name: "model",
        most: TEXT,
        of: |size| Decision {
            model: "m".repeat(size),
            ..plain()
        },
        named: ("model", "model"),
        column: Some(("model_name", Costs::TheDecision)),
    },
    Field {
        name: "symbol",
        most: TEXT,
        of: |size| Decision {
            symbol: "s".repeat(size),
            ..plain()
        },
        named: ("symbol", "symbol"),
        column: Some(("symbol", Costs::TheDecision)),
    },
    Field {
        name: "action",
        most: TEXT,
        of: |size| Decision {
            action: "a".repeat(size),
            ..plain()
        },
        named: ("action", "action"),
        column: Some(("action", Costs::TheDecision)),
    },
    Field {
        name: "checkpoint",
        most: TEXT,
        of: |size| Decision {
            checkpoint: Some("c".repeat(size)),
            ..plain()
        },
        named: ("checkpoint", "checkpoint"),
        column: Some(("checkpoint_id", Costs::TheDecision)),
    },
    Field {
        name: "a label",
        most: TEXT - EACH,
        of: |size| Decision {
            labels: vec!["l".repeat(size)],
            ..plain()
        },
        named: ("labels", "labels of probabilities"),
        column: Some(("probabilities", Costs::TheDecision)),
    },
    Field {
        name: "probabilities",
        most: COUNT,
        of: |size| Decision {
            labels: numbered(size).collect(),
            ..plain()
        },
        named: ("probabilities", "probabilities"),
        column: Some(("probabilities", Costs::TheField)),
    },
    Field {
        name: "an attribute",
        most: TEXT - EACH - 1,
        of: |size| Decision {
            attributes: vec![("k".to_owned(), Value::from("x".repeat(size)))],
            ..plain()
        },
        named: ("k", "attributes"),
        column: Some(("metadata", Costs::TheDecision)),
    },
    Field {
        name: "an attribute's name",
        most: TEXT - EACH,
        of: |size| Decision {
            attributes: vec![("k".repeat(size), Value::Flag(true))],
            ..plain()
        },
        named: ("kkk", "attributes"),
        column: Some(("metadata", Costs::TheDecision)),
    },
    Field {
        name: "attributes",
        most: TEXT / (EACH + 5),
        of: |size| Decision {
            attributes: numbered(size)
                .map(|name| (name, Value::Integer(1)))
                .collect(),
            ..plain()
        },
        named: ("15", "attributes"),
        column: Some(("metadata", Costs::TheDecision)),
    },
    Field {
        name: "label of an outcome",
        most: TEXT,
        of: |size| Decision {
            outcome: Some((Some("l".repeat(size)), Vec::new())),
            ..plain()
        },
        named: ("outcome", "outcome: label of an outcome"),
        column: None,
    },
    Field {
        name: "name of an outcome's value",
        most: TEXT,
        of: |size| Decision {
            outcome: Some((None, vec![("v".repeat(size), 1.0)])),
            ..plain()
        },
        named: ("outcome", "outcome: names of an outcome's values"),
        column: None,
    },
    Field {
        name: "values of an outcome",
        most: COUNT,
        of: |size| Decision {
            outcome: Some((None, numbered(size).map(|name| (name, 1.0)).collect())),
            ..plain()
        },
        named: ("outcome values", "outcome: values of an outcome"),
        column: None,
    },
];

impl Decision {
    fn without_outcome(&self) -> Decision {
        Decision {
            outcome: None,
            ..self.clone()
        }
    }

    /// Hands it to a journal; says what of it was taken.
    fn log(&self, journal: &Journal) -> Option<Decision> {
        let pairs: Vec<(&str, f32)> = self.labels.iter().map(|label| (&**label, 0.5)).collect();
        let attributes = self.attributes.iter();
        let attributes: Vec<(&str, Value)> = attributes
            .map(|(name, value)| (&**name, value.clone()))
            .collect();
        let mut inference = Inference::new(&self.model, &self.symbol, &self.action)
            .probabilities(&pairs)
            .attributes(&attributes)
            .event_time(Timestamp::from_micros(BEGIN));
        if let Some(id) = &self.checkpoint {
            inference = inference.checkpoint(id);
        }
        let id = journal.log(inference)?;
        let Some((label, values)) = &self.outcome else {
            return Some(self.clone());
        };
        let mut outcome = Outcome::new();
        if let Some(label) = label {
            outcome = outcome.label(label);
        }
        for (name, value) in values {
            outcome = outcome.value(name, *value);
        }
        match journal.attach_outcome(id, outcome) {
            true => Some(self.clone()),
            false => Some(self.without_outcome()),
        }
    }

    fn line(&self, number: usize) -> String {
        let attributes = self.attributes.iter();
        let attributes = attributes.map(|(name, value)| {
            let value = serde_json::to_value(value).unwrap();
            (name.clone(), value)
        });
        let mut line = json!({
            "id": format!("1-{number}"), "journal": "j", "model": self.model,
            "symbol": self.symbol, "action": self.action, "checkpoint": self.checkpoint,
            "event_time": "2025-07-25T14:34:39Z", "labels": self.labels,
            "probabilities": vec![0.5; self.labels.len()],
            "attributes": attributes.collect::<serde_json::Map<String, Json>>(),
        });
        if let Some((label, values)) = &self.outcome {
            let values = values
                .iter()
                .map(|(name, value)| (name.clone(), (*value).into()));
            let values: serde_json::Map<String, Json> = values.collect();
            line["outcome"] = json!({"label": label, "values": values});
        }
        line.to_string() + "\n"
    }

    fn insert(&self, number: usize, file: &rusqlite::Connection) {
        let probabilities = self.labels.iter().map(|label| (label.clone(), 0.5.into()));
        let probabilities: serde_json::Map<String, Json> = probabilities.collect();
        let attributes = self.attributes.iter();
        let attributes = attributes.map(|(name, value)| {
            let value = serde_json::to_value(value).unwrap();
            (name.clone(), value)
        });
        let attributes: serde_json::Map<String, Json> = attributes.collect();
        file.execute(
            "INSERT INTO inference_records
             VALUES (?1, ?2, '2025-07-25 14:34:39', ?3, ?4, ?5, ?6, ?7)",
            (
                i64::try_from(number).unwrap(),
                &self.model,
                &self.symbol,
                &self.action,
                Json::Object(probabilities).to_string(),
                &self.checkpoint,
                Json::Object(attributes).to_string(),
            ),
        )
        .unwrap();
    }
}

/// Everything that a journal holds, in its order.
fn read(dir: &Path) -> Vec<Decision> {
    let reader = Reader::open(dir).unwrap();
    let records = reader.inferences().with_outcomes();
    let decisions = records.map(|item| {
        let (record, known) = item.unwrap();
        let labels = record.probabilities.iter();
        let outcome = known.map(|known| {
            let values = known.values.iter();
            let mut values: Vec<(String, f64)> = values
                .map(|(name, latest)| (name.to_string(), latest.value))
                .collect();
            values.sort_by(|(one, _), (other, _)| one.cmp(other));
            (known.label.map(|latest| latest.value.to_string()), values)
        });
        let is_some = |outcome: &(Option<String>, Vec<(String, f64)>)| {
            outcome.0.is_some() || !outcome.1.is_empty()
        };
        Decision {
            model: record.model.to_string(),
            symbol: record.symbol.to_string(),
            action: record.action.to_string(),
            checkpoint: record.checkpoint.as_deref().map(str::to_owned),
            labels: labels.map(|(label, _)| label.to_owned()).collect(),
            attributes: record.attributes.clone(),
            outcome: outcome.filter(is_some),
        }
    });
    decisions.collect()
}

#[track_caller]
fn same(found: &[Decision], wanted: &[Decision]) {
    // The texts are too long to be shown.
    assert_eq!(found.len(), wanted.len());
    for (index, (found, wanted)) in found.iter().zip(wanted).enumerate() {
        assert!(found == wanted, "decision {index} is another");
    }
}

/// A backup, restored elsewhere, is the same, and so is what an export gives to an import.
fn copies_are_the_same(dir: &Path, scratch: &Path, wanted: &[Decision]) {
    let maintenance = Maintenance::open(dir).unwrap();
    assert!(maintenance.verify().is_whole());
    let (to, new) = (scratch.join("backup"), scratch.join("restored"));
    maintenance.backup(&to).run().unwrap();
    restore(&to, &new).unwrap();
    same(&read(&new), wanted);
    assert!(Maintenance::open(&new).unwrap().verify().is_whole());
    let lines = annals(dir, &["export", "-", "--format", "jsonl"])
        .output()
        .unwrap();
    assert!(lines.status.success());
    let path = scratch.join("exported.jsonl");
    std::fs::write(&path, lines.stdout).unwrap();
    let copy = scratch.join("imported");
    let (report, said) = import(&copy, &path, 0);
    assert_eq!(report["not_taken_over"], json!([]), "{said}");
    same(&read(&copy), wanted);
}

fn import(data: &Path, from: &Path, code: i32) -> (Json, String) {
    let args = ["import", from.to_str().unwrap(), "--json"];
    let output = annals(data, &args).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{said}");
    (serde_json::from_slice(&output.stdout).unwrap(), said)
}

#[test]
fn calls_have_their_limits() {
    let scratch = tempfile::tempdir().unwrap();
    let data = scratch.path().join("data");
    let options = patient().dedup_window(Duration::ZERO);
    let journal = options.open(&data).unwrap();
    let mut wanted = Vec::new();
    for field in &FIELDS {
        let name = field.name;
        wanted.extend(plain().log(&journal));
        let at = (field.of)(field.most);
        assert!(
            at.log(&journal).as_ref() == Some(&at),
            "{name} at its limit"
        );
        wanted.push(at);
        let refused = journal.health().dropped.refused;
        let beyond = (field.of)(field.most + 1);
        let taken = beyond.log(&journal);
        assert!(taken.as_ref() != Some(&beyond), "{name} beyond its limit");
        assert_eq!(journal.health().dropped.refused, refused + 1, "{name}");
        wanted.extend(taken);
        let named =
            |known: &annals::health::RefusalCount| known.refusal.field.contains(field.named.0);
        let refusals = journal.health().refusals;
        assert!(refusals.iter().any(named), "{name}: {refusals:?}");
        journal.flush().wait(WAIT).unwrap();
    }
    wanted.extend(plain().log(&journal));
    journal.close().unwrap();
    same(&read(&data), &wanted);
    copies_are_the_same(&data, scratch.path(), &wanted);
}

#[test]
fn lines_have_the_limits_of_calls() {
    let scratch = tempfile::tempdir().unwrap();
    let data = scratch.path().join("data");
    let (mut text, mut wanted) = (String::new(), Vec::new());
    let (mut said_of, mut broken, mut damaged) = (Vec::new(), 0, 0);
    let mut number = 0;
    let mut add = |decision: &Decision| {
        number += 1;
        text.push_str(&decision.line(number));
        number
    };
    for field in &FIELDS {
        let at = (field.of)(field.most);
        let beyond = (field.of)(field.most + 1);
        add(&plain());
        add(&at);
        wanted.extend([plain(), at]);
        let line = add(&beyond);
        said_of.push(format!("line {line}: {}", field.named.1));
        if beyond.outcome.is_some() {
            wanted.push(beyond.without_outcome());
            damaged += 1;
        } else {
            broken += 1;
        }
    }
    add(&plain());
    wanted.push(plain());
    let path = scratch.path().join("all.jsonl");
    std::fs::write(&path, text).unwrap();
    let (report, said) = import(&data, &path, 1);
    assert_eq!(report["broken"], broken, "{said}");
    assert_eq!(report["damaged"], damaged, "{said}");
    for part in said_of {
        assert!(said.contains(&part), "{part} in {said}");
    }
    same(&read(&data), &wanted);
    let (again, said) = import(&data, &path, 1);
    assert_eq!(
        (&again["inferences"], &again["outcomes"]),
        (&0.into(), &0.into()),
        "{said}"
    );
    assert_eq!(again["known_and_changed"], 0, "{said}");
    copies_are_the_same(&data, scratch.path(), &wanted);
}

#[test]
fn tables_have_the_limits_of_calls() {
    let scratch = tempfile::tempdir().unwrap();
    let (data, path) = (scratch.path().join("data"), scratch.path().join("old.db"));
    let file = rusqlite::Connection::open(&path).unwrap();
    file.execute_batch(
        "CREATE TABLE inference_records (id INTEGER PRIMARY KEY, model_name TEXT, timestamp TEXT,
            symbol TEXT, action TEXT, probabilities TEXT, checkpoint_id TEXT, metadata TEXT)",
    )
    .unwrap();
    let (mut wanted, mut said_of) = (Vec::new(), Vec::new());
    let (mut broken, mut damaged, mut number) = (0, 0, 0);
    let mut add = |decision: &Decision| {
        number += 1;
        decision.insert(number, &file);
        number
    };
    for field in &FIELDS {
        let Some((column, costs)) = field.column else {
            continue;
        };
        let at = (field.of)(field.most);
        add(&plain());
        add(&at);
        wanted.extend([plain(), at]);
        let row = add(&(field.of)(field.most + 1));
        said_of.push(format!("inference_records row {row}: {column}"));
        match costs {
            Costs::TheDecision => broken += 1,
            Costs::TheField => {
                wanted.push(plain());
                damaged += 1;
            }
        }
    }
    add(&plain());
    wanted.push(plain());
    drop(file);
    let (report, said) = import(&data, &path, 1);
    assert_eq!(report["broken"], broken, "{said}");
    assert_eq!(report["damaged"], damaged, "{said}");
    for part in said_of {
        assert!(said.contains(&part), "{part} in {said}");
    }
    same(&read(&data), &wanted);
    let (again, said) = import(&data, &path, 1);
    assert_eq!(again["inferences"], 0, "{said}");
    copies_are_the_same(&data, scratch.path(), &wanted);
}

/// An event's component, message, name and text of a field.
type Said = (String, String, String, String);

fn events(dir: &Path) -> (Vec<Said>, Vec<(String, String, String)>) {
    let reader = Reader::open(dir).unwrap();
    let (mut system, mut of_checkpoints) = (Vec::new(), Vec::new());
    for entry in reader.follow(reader.start()).unwrap() {
        match entry.unwrap().content {
            Content::SystemEvent(event) if event.component.starts_with('c') => {
                let (name, value) = event.fields.first().cloned().unwrap();
                let component = event.component.to_string();
                system.push((component, event.message, name, value.to_string()));
            }
            Content::CheckpointEvent(event) => of_checkpoints.push((
                event.model.to_string(),
                event.checkpoint.to_string(),
                event.detail,
            )),
            _ => {}
        }
    }
    (system, of_checkpoints)
}

#[test]
fn events_have_their_limits_in_calls_and_lines() {
    let scratch = tempfile::tempdir().unwrap();
    let data = scratch.path().join("data");
    let journal = patient().open(&data).unwrap();
    let (mut lines, mut broken) = (String::new(), 0);
    let mut wanted = (Vec::new(), Vec::new());
    // All of it together is at most a megabyte: which of the four is long does not matter.
    for long in 0..4 {
        for size in [TEXT - EACH - 3, TEXT - EACH - 2] {
            let mut said = ["c", "m", "f", "v"].map(str::to_owned);
            said[long] = said[long].repeat(size);
            let [component, message, name, value] = said.clone();
            let fields = vec![(name.clone(), Value::from(&*value))];
            let taken = journal.event_with(Level::Info, &component, &*message, fields);
            assert_eq!(taken, size == TEXT - EACH - 3, "{long}");
            let line = json!({"kind": "event", "journal": "j", "run": 1, "level": "INFO",
                "component": component, "message": message, "fields": {name.clone(): value},
                "recorded_time": "2025-07-25T14:34:39Z"});
            lines.push_str(&(line.to_string() + "\n"));
            match taken {
                true => wanted.0.push((component, message, name, value)),
                false => broken += 1,
            }
        }
    }
    for long in 0..3 {
        for size in [TEXT - 2, TEXT - 1] {
            let mut said = ["m", "i", "d"].map(str::to_owned);
            said[long] = said[long].repeat(size);
            let [model, id, detail] = said.clone();
            let taken = journal.checkpoint_event(CheckpointAction::Saved, &model, &id, &detail);
            assert_eq!(taken, size == TEXT - 2, "{long}");
            let line = json!({"kind": "checkpoint_event", "journal": "j", "run": 1,
                "action": "saved", "model": model, "checkpoint": id, "detail": detail,
                "recorded_time": "2025-07-25T14:34:39Z"});
            lines.push_str(&(line.to_string() + "\n"));
            match taken {
                true => wanted.1.push((model, id, detail)),
                false => broken += 1,
            }
        }
        journal.flush().wait(WAIT).unwrap();
    }
    assert_eq!(journal.health().dropped.refused, broken);
    journal.close().unwrap();
    assert!(events(&data) == wanted);
    copies_are_the_same(&data, scratch.path(), &[]);
    for copy in ["restored", "imported"] {
        assert!(events(&scratch.path().join(copy)) == wanted, "{copy}");
    }
    let (path, other) = (
        scratch.path().join("all.jsonl"),
        scratch.path().join("lines"),
    );
    std::fs::write(&path, lines).unwrap();
    for _twice in 0..2 {
        let (report, said) = import(&other, &path, 1);
        assert_eq!(report["broken"], broken, "{said}");
        assert!(said.contains("message of an event") && said.contains("detail of an event"));
        assert!(events(&other) == wanted);
    }
}

/// Tries one field of a checkpoint with a size.
type Attempt = fn(&Registry, usize) -> annals::Result<()>;

/// A field of a checkpoint, its limit, and what the error names.
const OF_CHECKPOINTS: [(&str, usize, &str, Attempt); 9] = [
    ("model", 160, "model name", |registry, size| {
        registry.checkpoint("m".repeat(size)).save(b"w").map(drop)
    }),
    ("metric", 255, "metric", |registry, size| {
        let new = registry.checkpoint("a").metric("m".repeat(size), 0.5);
        new.save(b"w").map(drop)
    }),
    ("tag when it is saved", 255, "tag", |registry, size| {
        registry
            .checkpoint("a")
            .tag("t".repeat(size))
            .save(b"w")
            .map(drop)
    }),
    ("tag later", 255, "tag", |registry, size| {
        let newest = registry.latest("a")?.unwrap();
        registry.tag(newest.id(), &"u".repeat(size))
    }),
    ("alias", 255, "alias", |registry, size| {
        let newest = registry.latest("a")?.unwrap();
        registry.set_alias(&"l".repeat(size), newest.id())
    }),
    ("monitor", 255, "metric", |registry, size| {
        registry.set_monitor("a", &"m".repeat(size), Mode::Min)
    }),
    ("extension", 16, "extension", |registry, size| {
        registry
            .checkpoint("a")
            .extension("e".repeat(size))
            .save(b"w")
            .map(drop)
    }),
    ("depth of metadata", 32, "metadata", |registry, size| {
        let mut nested = Metadata::from(1.5);
        for _ in 0..size {
            nested = Metadata::List(vec![nested]);
        }
        registry
            .checkpoint("a")
            .metadata("deep", nested)
            .save(b"w")
            .map(drop)
    }),
    ("reason of a deletion", 64 << 10, "why", |registry, size| {
        let old = registry.checkpoint("b").save(b"old")?;
        registry.checkpoint("b").save(b"new")?;
        registry.delete(old.id(), &"y".repeat(size))
    }),
];

/// A registry's facts about its checkpoints, apart from those that only it has.
fn checkpoints(registry: &Registry) -> Vec<String> {
    let mut all = Vec::new();
    for model in registry.models().unwrap() {
        for one in registry.list(&model).get().unwrap() {
            let tags: Vec<&String> = one
                .tags()
                .iter()
                .filter(|tag| !tag.starts_with('u'))
                .collect();
            let (metrics, metadata) = (one.metrics(), one.all_metadata());
            all.push(format!(
                "{model} {} {metrics:?} {tags:?} {metadata:?}",
                one.id()
            ));
        }
    }
    all.sort();
    all
}

#[test]
fn checkpoints_have_their_limits() {
    let scratch = tempfile::tempdir().unwrap();
    let data = scratch.path().join("data");
    let journal = Journal::options().without_mirror().open(&data).unwrap();
    let registry = journal.registry().unwrap();
    for (name, most, field, attempt) in OF_CHECKPOINTS {
        attempt(&registry, most).unwrap_or_else(|error| panic!("{name}: {error}"));
        let before = checkpoints(&registry);
        let error = attempt(&registry, most + 1).unwrap_err();
        assert!(error.to_string().contains(field), "{name}: {error}");
        // A deletion saves what it would delete.
        let after = checkpoints(&registry);
        assert!(after == before || name == "reason of a deletion", "{name}");
    }
    // All metadata, metrics and tags together take at most 4 MiB, also when tags come later.
    let full = |bytes: usize| {
        let new = registry
            .checkpoint("full")
            .metadata("text", "x".repeat(bytes));
        new.save(b"w")
    };
    assert!(matches!(full(4 << 20), Err(Error::InvalidOption { .. })));
    let saved = full((4 << 20) - 2_000).unwrap();
    let tag = |number: usize| registry.tag(saved.id(), &format!("t{number:0254}"));
    let refused = (0..20).find_map(|number| tag(number).err());
    let error = refused.unwrap().to_string();
    assert!(error.contains("4 MiB"), "{error}");
    let known = registry.find(saved.id()).unwrap();
    assert!((2..20).contains(&known.tags().len()));
    registry.load(saved.id()).unwrap();
    // Additions of an import are left out in the same way.
    let file = scratch.path().join("gone.pt");
    let entry = |name: &str, bytes: usize| {
        let new = registry
            .checkpoint("full")
            .metadata(name, "x".repeat(bytes));
        new.import_missing_as("i", &file, 0).unwrap()
    };
    registry.import([entry("one", 3 << 20)]).unwrap();
    let imported = registry
        .import_each([entry("two", 3 << 20)])
        .unwrap()
        .remove(0);
    assert!(imported.completed.is_empty() && imported.differs[0].contains("4 MiB"));
    assert_eq!(registry.find("i").unwrap().all_metadata().len(), 1);
    // With ids of the caller's.
    for (size, is_taken) in [(255, true), (256, false)] {
        let new = registry
            .checkpoint("a")
            .import_missing_as("i".repeat(size), &file, 0);
        assert_eq!(new.and_then(|new| registry.import([new])).is_ok(), is_taken);
    }
    let wanted = checkpoints(&registry);
    drop(registry);
    journal.close().unwrap();

    // Restored with their weights.
    let maintenance = Maintenance::open(&data).unwrap();
    assert!(maintenance.verify().is_whole());
    let (to, new) = (
        scratch.path().join("backup"),
        scratch.path().join("restored"),
    );
    maintenance.backup(&to).with_checkpoints().run().unwrap();
    restore(&to, &new).unwrap();
    assert!(checkpoints(&Registry::open(&new).unwrap()) == wanted);
    // From their sidecars alone: all that were saved.
    let bare = scratch.path().join("bare");
    Journal::options()
        .without_mirror()
        .open(&bare)
        .unwrap()
        .close()
        .unwrap();
    std::fs::remove_dir_all(bare.join("checkpoints")).ok();
    std::fs::rename(new.join("checkpoints"), bare.join("checkpoints")).unwrap();
    let rebuilt = checkpoints(&Registry::open(&bare).unwrap());
    let is_saved = |one: &&String| {
        let id = one.split(' ').nth(1).unwrap_or_default();
        !id.starts_with('i') && !one.starts_with("full ")
    };
    let saved: Vec<&String> = wanted.iter().filter(is_saved).collect();
    assert!(rebuilt.iter().filter(is_saved).eq(saved.iter().copied()));
}

#[test]
fn tables_and_folders_of_checkpoints_have_their_limits() {
    let scratch = tempfile::tempdir().unwrap();
    let (data, path) = (scratch.path().join("data"), scratch.path().join("old.db"));
    let file = rusqlite::Connection::open(&path).unwrap();
    file.execute_batch(
        "CREATE TABLE checkpoint_metadata (id INTEGER PRIMARY KEY, checkpoint_id TEXT,
            model_name TEXT, timestamp TEXT, performance_metrics TEXT, training_metadata TEXT)",
    )
    .unwrap();
    let insert = |id: &str, model: &str, metric: &str, text: usize| {
        file.execute(
            "INSERT INTO checkpoint_metadata
                (checkpoint_id, model_name, timestamp, performance_metrics, training_metadata)
             VALUES (?1, ?2, '2025-07-25 14:34:39', ?3, ?4)",
            (
                id,
                model,
                json!({"loss": 0.5, metric: 0.25}).to_string(),
                json!({"text": "x".repeat(text)}).to_string(),
            ),
        )
        .unwrap();
    };
    let long = |size: usize| "n".repeat(size);
    insert("first", "m", "a", 1);
    insert(&long(255), "m", "a", 1);
    insert(&long(256), "m", "a", 1);
    insert("model", &long(160), "a", 1);
    insert("no_model", &long(161), "a", 1);
    insert("metric", "m", &long(255), 1);
    insert("no_metric", "m", &long(256), 1);
    insert("full", "m", "a", (4 << 20) - 2_000);
    insert("too_full", "m", "a", 4 << 20);
    insert("last", "m", "a", 1);
    let (report, said) = import(&data, &path, 1);
    assert_eq!(report["checkpoints"], 7, "{said}");
    assert_eq!(
        (&report["broken"], &report["damaged"]),
        (&3.into(), &1.into()),
        "{said}"
    );
    for (row, field) in [(3, "checkpoint id"), (5, "model name"), (9, "metadata")] {
        let part = format!("checkpoint_metadata row {row}: ");
        let line = said.lines().find(|line| line.contains(&part));
        assert!(
            line.is_some_and(|line| line.contains(field)),
            "{row}: {said}"
        );
    }
    assert!(
        said.contains("checkpoint_metadata row 7: performance_metrics"),
        "{said}"
    );
    let registry = Registry::open(&data).unwrap();
    for id in [
        "first",
        &long(255),
        "model",
        "metric",
        "no_metric",
        "full",
        "last",
    ] {
        assert_eq!(registry.find(id).unwrap().metric("loss"), Some(0.5), "{id}");
    }
    assert_eq!(
        registry.find("metric").unwrap().metric(&long(255)),
        Some(0.25)
    );
    let kept = registry.find("no_metric").unwrap();
    assert_eq!(kept.metadata(&long(256)), Some(&Metadata::from(0.25)));
    // A folder's model is the option's, and its names are those of files.
    let folder = scratch.path().join("models");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join(format!("{}.pt", long(252))), b"w").unwrap();
    for (size, code) in [(160, 0), (161, 2)] {
        let model = "o".repeat(size);
        let args = ["import", folder.to_str().unwrap(), "--model", &model];
        let output = annals(&data, &args).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{output:?}");
    }
    assert!(registry.find(&long(252)).is_ok());
    assert!(Maintenance::open(&data).unwrap().verify().is_whole());
}

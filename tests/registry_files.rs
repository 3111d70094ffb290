//! The registry and its files: loading verifies, reconciling takes in and leaves alone, and every
//! odd input has a defined end.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use annals::registry::{Condition, Metadata, Origin};
use annals::{Checkpoint, Error, Journal, Mode, Registry, Timestamp};
use common::{Child, command, role, say};
use tempfile::TempDir;

const MODEL: &str = "dqn_agent";

/// Plays the role that the environment names; does nothing in the test run proper.
#[test]
fn child() {
    let Some((role, dir)) = role() else { return };
    match role.as_str() {
        "fills the disk" => fill_the_disk(&dir),
        "may not write" => may_not_write(&dir),
        "saves much" => save_much(&dir),
        other => panic!("no role {other}"),
    }
}

fn place() -> (TempDir, Registry) {
    let dir = tempfile::tempdir().unwrap();
    Journal::open(dir.path()).unwrap().close().unwrap();
    let registry = Registry::open(dir.path()).unwrap();
    (dir, registry)
}

fn folder(dir: &TempDir) -> PathBuf {
    dir.path().join("checkpoints").join(MODEL)
}

fn files(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut names: Vec<_> = entries
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn save(registry: &Registry, loss: f64) -> Checkpoint {
    let new = registry.checkpoint(MODEL).metric("loss", loss);
    new.save(format!("weights of {loss}")).unwrap()
}

/// A journal's registry as if it were lost: the same files below a new one.
fn without_registry(dir: &TempDir) -> TempDir {
    let other = tempfile::tempdir().unwrap();
    Journal::open(other.path()).unwrap().close().unwrap();
    fs::rename(
        dir.path().join("checkpoints"),
        other.path().join("checkpoints"),
    )
    .unwrap();
    other
}

#[test]
fn weights_come_back_verified_or_not_at_all() {
    let (_dir, registry) = place();
    let saved = save(&registry, 0.5);
    let mut loaded = registry.load(saved.id()).unwrap();
    assert_eq!(loaded.path(), saved.path());
    loaded.seek(SeekFrom::Start(8)).unwrap();
    let mut rest = String::new();
    loaded.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "of 0.5");
    let mut whole = String::new();
    registry
        .reader(saved.id())
        .unwrap()
        .read_to_string(&mut whole)
        .unwrap();
    assert_eq!(whole, "weights of 0.5");

    for (contents, word) in [("weights of 0.6", "blake3"), ("weights", "7 bytes")] {
        fs::write(saved.path(), contents).unwrap();
        let error = registry.load(saved.id()).unwrap_err();
        assert!(
            matches!(&error, Error::WeightsCorrupt { detail, .. } if detail.contains(word)),
            "{error}"
        );
        let mut reader = registry.reader(saved.id()).unwrap();
        let error = reader.read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
    fs::remove_file(saved.path()).unwrap();
    let error = registry.load(saved.id()).unwrap_err();
    assert!(matches!(error, Error::WeightsMissing { .. }), "{error}");
    fs::create_dir(saved.path()).unwrap();
    let error = registry.load(saved.id()).unwrap_err();
    assert!(matches!(error, Error::WeightsCorrupt { .. }), "{error}");
    let error = registry.load("dqn_agent_20000101_000000").unwrap_err();
    assert!(matches!(error, Error::UnknownCheckpoint { .. }), "{error}");
}

#[test]
fn a_damaged_best_no_longer_ranks_until_it_is_well() {
    let (_dir, registry) = place();
    registry.set_monitor(MODEL, "loss", Mode::Min).unwrap();
    let (third, second, best) = (
        save(&registry, 0.3),
        save(&registry, 0.2),
        save(&registry, 0.1),
    );
    let contents = fs::read(best.path()).unwrap();
    fs::write(best.path(), "weights of 0.7").unwrap();
    fs::remove_file(second.path()).unwrap();
    // The files were never examined yet.
    assert_eq!(registry.best(MODEL).unwrap().unwrap().id(), best.id());
    let fallback = registry.best_loadable(MODEL).unwrap().unwrap();
    assert_eq!(fallback.loaded.checkpoint().id(), third.id());
    let skipped: Vec<_> = fallback
        .skipped
        .iter()
        .map(|skipped| &*skipped.id)
        .collect();
    assert_eq!(skipped, [best.id(), second.id()]);
    assert!(matches!(
        fallback.skipped[0].error,
        Error::WeightsCorrupt { .. }
    ));
    assert!(matches!(
        fallback.skipped[1].error,
        Error::WeightsMissing { .. }
    ));
    assert_eq!(registry.best(MODEL).unwrap().unwrap().id(), third.id());
    let report = registry.reconcile().unwrap();
    assert_eq!(report.corrupt[0].0, best.id());
    assert_eq!(report.missing, [second.id()]);
    // Its file is back, and only reading it can prove that.
    fs::write(best.path(), contents).unwrap();
    assert!(registry.reconcile().unwrap().restored.is_empty());
    assert_eq!(registry.reconcile_contents().unwrap().restored, [best.id()]);
    assert_eq!(registry.best(MODEL).unwrap().unwrap().id(), best.id());
    for gone in [&third, &best] {
        fs::remove_file(gone.path()).unwrap();
    }
    assert!(registry.best_loadable(MODEL).unwrap().is_none());
}

#[test]
fn weights_can_be_written_in_every_way() {
    let (dir, registry) = place();
    let weights: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    let new = || registry.checkpoint(MODEL);
    let elsewhere = dir.path().join("elsewhere.pt");
    fs::write(&elsewhere, &weights).unwrap();
    let saved = [
        new().save(&weights).unwrap(),
        new().save_from(&weights[..]).unwrap(),
        new().save_with(|out| out.write_all(&weights)).unwrap(),
        new()
            .save_to_path(|path| fs::write(path, &weights))
            .unwrap(),
        new().register(&elsewhere).unwrap(),
    ];
    for saved in &saved {
        assert_eq!(saved.digest(), Some(*blake3::hash(&weights).as_bytes()));
        assert_eq!(saved.bytes(), weights.len() as u64);
        assert_eq!(
            registry.load(saved.id()).unwrap().into_bytes().unwrap(),
            weights
        );
    }
    assert_eq!(saved[4].origin(), Origin::Registered);
    assert_eq!(saved[4].path(), elsewhere.canonicalize().unwrap());
    // Files that the registry did not write, it does not remove.
    registry.delete(saved[4].id(), "test").unwrap();
    assert!(elsewhere.exists());
    assert_eq!(files(&folder(&dir)).len(), 8);
}

#[test]
fn a_save_that_fails_leaves_nothing() {
    let (dir, registry) = place();
    let new = || registry.checkpoint(MODEL).metric("loss", 0.1);
    let half = |out: &mut dyn Write| -> io::Result<()> {
        out.write_all(&[7; 100_000])?;
        Err(io::Error::other("the GPU is gone"))
    };
    let panics = |out: &mut dyn Write| -> io::Result<()> {
        out.write_all(&[7; 100_000])?;
        panic!("out of tensors")
    };
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the pipe is gone"))
        }
    }
    for (outcome, word) in [
        (new().save_with(half), "the GPU is gone"),
        (new().save_with(panics), "out of tensors"),
        (new().save_from(Broken), "the pipe is gone"),
        (new().save_to_path(|_| panic!("no path")), "no path"),
        (
            new().save_to_path(|path| fs::remove_file(path)),
            "cannot save",
        ),
    ] {
        let error = outcome.unwrap_err();
        assert!(matches!(error, Error::NotSaved { .. }), "{error:?}");
        assert!(error.to_string().contains(word), "{error}");
    }
    assert_eq!(files(&folder(&dir)), [""; 0]);
    for path in [dir.path().join("missing.pt"), dir.path().to_owned()] {
        let error = new().register(path).unwrap_err();
        assert!(matches!(error, Error::Io { .. }), "{error:?}");
    }
    assert_eq!(files(&folder(&dir)), [""; 0]);
    assert!(registry.latest(MODEL).unwrap().is_none());
}

#[test]
fn names_that_play_tricks_are_refused_or_harmless() {
    let (dir, registry) = place();
    let long = "x".repeat(10_240);
    for name in [
        "",
        ".",
        "..",
        "../evil",
        "/etc/passwd",
        "a/b",
        "a\\b",
        "a\0b",
        "a\nb",
        &long,
    ] {
        let error = registry.checkpoint(name).save(b"").unwrap_err();
        assert!(
            matches!(error, Error::InvalidName { .. }),
            "{name:?} {error:?}"
        );
        let error = registry.set_monitor(name, "loss", Mode::Min).unwrap_err();
        assert!(
            matches!(error, Error::InvalidName { .. }),
            "{name:?} {error:?}"
        );
        // Looking is no harm.
        assert!(registry.best(name).unwrap().is_none());
        assert!(registry.latest(name).unwrap().is_none());
        assert!(registry.list(name).get().unwrap().is_empty());
        assert!(registry.get(name).unwrap().is_none());
        for error in [
            registry.load(name).unwrap_err(),
            registry.delete(name, "test").unwrap_err(),
            registry.activate(name).unwrap_err(),
            registry
                .checkpoint(MODEL)
                .parent(name)
                .save(b"")
                .unwrap_err(),
        ] {
            assert!(
                matches!(error, Error::UnknownCheckpoint { .. }),
                "{name:?} {error:?}"
            );
            assert!(error.to_string().len() < 1_000);
        }
    }
    let new = || registry.checkpoint(MODEL);
    for error in [
        new().metric("", 1.0).save(b"").unwrap_err(),
        new().metric("a\0b", 1.0).save(b"").unwrap_err(),
        new().tag("\u{7}").save(b"").unwrap_err(),
        new().tag(long.clone()).save(b"").unwrap_err(),
        new().extension("../x").save(b"").unwrap_err(),
        new().extension("json").save(b"").unwrap_err(),
        new().extension("partial").save(b"").unwrap_err(),
        new().extension("").save(b"").unwrap_err(),
    ] {
        assert!(matches!(error, Error::InvalidName { .. }), "{error:?}");
    }
    assert_eq!(files(&folder(&dir)), [""; 0]);

    // Each of these is a model of its own, on every file system.
    let odd = [
        "dqn",
        "DQN",
        "Dqn",
        "con",
        "NUL",
        "com1.x",
        "a b",
        "ü",
        ".hidden",
        "trailing.",
        "x~y",
    ];
    for name in odd {
        let saved = registry
            .checkpoint(name)
            .metric("m", 1.0)
            .save(name)
            .unwrap();
        assert!(saved.id().starts_with(name));
        assert!(saved.path().starts_with(dir.path().join("checkpoints")));
        assert_eq!(
            registry.load(saved.id()).unwrap().into_bytes().unwrap(),
            name.as_bytes()
        );
        assert_eq!(registry.count(name).unwrap(), 1);
    }
    let mut folders = files(&dir.path().join("checkpoints"));
    folders
        .iter_mut()
        .for_each(|name| *name = name.to_lowercase());
    folders.sort();
    folders.dedup();
    assert_eq!(folders.len(), odd.len() + 1, "{folders:?}"); // and the lock
    // They survive the loss of the registry too.
    drop(registry);
    let other = without_registry(&dir);
    let registry = Registry::open(other.path()).unwrap();
    assert!(registry.rebuild_failure().is_none());
    for name in odd {
        assert_eq!(registry.count(name).unwrap(), 1, "{name}");
    }
}

#[test]
fn metadata_has_bounds() {
    let (_dir, registry) = place();
    let mut deep = Metadata::Null;
    for _ in 0..33 {
        deep = Metadata::List(vec![deep]);
    }
    let much = "x".repeat(5 << 20);
    for value in [deep, Metadata::from(much)] {
        let error = registry
            .checkpoint(MODEL)
            .metadata("m", value)
            .save(b"")
            .unwrap_err();
        assert!(
            matches!(
                error,
                Error::InvalidOption {
                    name: "metadata",
                    ..
                }
            ),
            "{error:?}"
        );
    }
    let odd = Metadata::map([("\"\u{0}\n", Metadata::from(f64::NEG_INFINITY))]);
    let saved = registry
        .checkpoint(MODEL)
        .metadata("", odd.clone())
        .save(b"")
        .unwrap();
    assert_eq!(
        registry.get(saved.id()).unwrap().unwrap().metadata(""),
        Some(&odd)
    );
}

#[test]
fn a_lost_registry_is_rebuilt_from_its_sidecars() {
    let (dir, registry) = place();
    let elsewhere = dir.path().join("elsewhere.pt");
    fs::write(&elsewhere, "weights").unwrap();
    let parent = registry.checkpoint(MODEL).register(&elsewhere).unwrap();
    let new = registry
        .checkpoint(MODEL)
        .model_type("rl")
        .metric("loss", 0.1 + 0.2);
    let new = new
        .metric("odd", f64::NEG_INFINITY)
        .metadata("lr", 0.001)
        .step(7)
        .epoch(1);
    let saved = new
        .parent(parent.id())
        .tag("nightly")
        .save(b"weights")
        .unwrap();
    let other_model = registry
        .checkpoint("Other Model")
        .metric("acc", 0.9)
        .save(b"o")
        .unwrap();
    drop(registry);

    let other = without_registry(&dir);
    let registry = Registry::open(other.path()).unwrap();
    assert!(registry.rebuild_failure().is_none());
    let found = registry.get(saved.id()).unwrap().unwrap();
    assert_eq!((found.model(), found.model_type()), (MODEL, "rl"));
    assert_eq!(found.metrics(), saved.metrics());
    assert_eq!(found.metadata("lr"), Some(&Metadata::Real(0.001)));
    assert_eq!(
        (found.step(), found.epoch(), found.tags()),
        (Some(7), Some(1), saved.tags())
    );
    assert_eq!(
        (found.parent(), found.digest()),
        (Some(parent.id()), saved.digest())
    );
    assert_eq!(found.created(), saved.created());
    registry.load(saved.id()).unwrap();
    registry.load(parent.id()).unwrap();
    registry.load(other_model.id()).unwrap();
    let best = registry
        .best_by("Other Model", "acc", Mode::Max)
        .unwrap()
        .unwrap();
    assert_eq!(best.id(), other_model.id());
    assert_eq!(registry.latest(MODEL).unwrap().unwrap().id(), saved.id());
    // It is known now, and not taken in again.
    registry.delete(saved.id(), "test").unwrap();
    drop(registry);
    let registry = Registry::open(other.path()).unwrap();
    assert!(registry.get(saved.id()).unwrap().is_none());
    assert!(registry.reconcile().unwrap().adopted.is_empty());
}

#[test]
fn an_old_folder_of_plain_files_is_taken_in_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    Journal::open(dir.path()).unwrap().close().unwrap();
    let old = dir.path().join("checkpoints/Old_DQN");
    fs::create_dir_all(&old).unwrap();
    fs::write(old.join("dqn_20250725_143500.pt"), "first").unwrap();
    fs::write(old.join("best.pt"), "best").unwrap();
    fs::write(old.join("notes.txt"), "no weights").unwrap();
    let other = dir.path().join("checkpoints/cnn");
    fs::create_dir_all(&other).unwrap();
    fs::write(other.join("best.pt"), "other").unwrap();

    let registry = Registry::open(dir.path()).unwrap();
    assert!(registry.rebuild_failure().is_none());
    assert_eq!(registry.models().unwrap(), ["Old_DQN", "cnn"]);
    assert_eq!(registry.count("Old_DQN").unwrap(), 2);
    let found = registry.get("dqn_20250725_143500").unwrap().unwrap();
    assert_eq!(
        (found.origin(), found.bytes(), found.digest()),
        (Origin::Found, 5, None)
    );
    assert!(found.created() <= Timestamp::now());
    assert_eq!(
        registry.load(found.id()).unwrap().into_bytes().unwrap(),
        b"first"
    );
    // Read once, it has a digest, and damage shows.
    assert!(
        registry
            .get(found.id())
            .unwrap()
            .unwrap()
            .digest()
            .is_some()
    );
    fs::write(found.path(), "farst").unwrap();
    registry.load(found.id()).unwrap_err();
    // Two files of one name are two checkpoints.
    let best: Vec<_> = ["best", "cnn_best", "Old_DQN_best"]
        .iter()
        .filter_map(|id| registry.get(id).unwrap())
        .collect();
    assert_eq!(best.len(), 2);
    for best in best {
        let contents = registry.load(best.id()).unwrap().into_bytes().unwrap();
        let expected: &[u8] = if best.model() == "cnn" {
            b"other"
        } else {
            b"best"
        };
        assert_eq!(contents, expected);
    }
    // The registry did not write them, so it does not remove them, nor take them in again.
    registry.delete(found.id(), "test").unwrap();
    assert!(found.path().exists());
    drop(registry);
    let registry = Registry::open(dir.path()).unwrap();
    assert_eq!(registry.count("Old_DQN").unwrap(), 1);
    // New ones are saved beside them.
    let saved = registry.checkpoint("Old_DQN").save(b"new").unwrap();
    assert_eq!(
        registry.latest("Old_DQN").unwrap().unwrap().id(),
        saved.id()
    );
}

#[test]
fn a_folder_elsewhere_can_be_imported() {
    let (dir, registry) = place();
    let folder = dir.path().join("models");
    fs::create_dir(&folder).unwrap();
    for (name, contents) in [
        ("a.pt", "a"),
        ("b.safetensors", "bb"),
        ("README.md", "no"),
        ("a.onnx", "c"),
    ] {
        fs::write(folder.join(name), contents).unwrap();
    }
    let mut new = registry.import_folder(MODEL, &folder).unwrap().new;
    new.sort();
    // Two files of one stem are two checkpoints.
    assert_eq!(new, ["a", "b", "dqn_agent_a"]);
    let again = registry.import_folder(MODEL, &folder).unwrap();
    assert!(
        again.new.is_empty() && again.completed.is_empty(),
        "{again:?}"
    );
    assert_eq!(again.known.len(), 3);
    assert_eq!(registry.count(MODEL).unwrap(), 3);
    registry.load("a").unwrap();
    registry.delete("b", "test").unwrap();
    assert!(folder.join("b.safetensors").exists());
    let error = registry
        .import_folder(MODEL, folder.join("a.pt"))
        .unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error:?}");
}

#[cfg(feature = "safetensors")]
#[test]
fn a_safetensors_header_is_read_without_its_tensors() {
    let header =
        br#"{"__metadata__":{"loss":"0.5"},"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(header);
    file.extend_from_slice(&[0; 8]);
    let (dir, registry) = place();
    let saved = registry
        .checkpoint(MODEL)
        .extension("safetensors")
        .save(&file)
        .unwrap();
    let header = registry.safetensors(saved.id()).unwrap();
    assert_eq!(header.tensors[0].shape, [2]);
    drop(registry);
    let plain = dir.path().join("checkpoints/plain");
    fs::create_dir(&plain).unwrap();
    fs::write(plain.join("x.safetensors"), &file).unwrap();
    fs::write(plain.join("y.safetensors"), b"not one").unwrap();
    let registry = Registry::open(dir.path()).unwrap();
    let found = registry.get("x").unwrap().unwrap();
    assert_eq!(found.metadata("loss"), Some(&Metadata::from("0.5")));
    assert!(matches!(registry.safetensors("y"), Err(Error::Io { .. })));
}

#[test]
fn reconciling_reports_what_does_not_fit_and_removes_none_of_it() {
    let (dir, registry) = place();
    let (kept, orphan, stranger) = (
        save(&registry, 0.1),
        save(&registry, 0.2),
        save(&registry, 0.3),
    );
    let here = folder(&dir);
    let text = fs::read_to_string(orphan.path().with_extension("json")).unwrap();
    let foreign = here.join("foreign.pt");
    fs::write(&foreign, "?").unwrap();
    fs::write(here.join("torn.json"), &text[..text.len() / 2]).unwrap();
    fs::write(here.join("other.json"), "{\"unrelated\": true}").unwrap();
    let newer = text.replace("\"annals_checkpoint\": 1", "\"annals_checkpoint\": 2");
    fs::write(here.join("newer.json"), newer).unwrap();
    // A sidecar that speaks of another checkpoint, and one whose weights are gone.
    fs::copy(kept.path().with_extension("json"), here.join("moved.json")).unwrap();
    registry.delete(orphan.id(), "test").unwrap();
    fs::write(orphan.path().with_extension("json"), &text).unwrap();
    fs::remove_file(stranger.path()).unwrap();
    let before = files(&here);

    let report = registry.reconcile().unwrap();
    assert_eq!(report.missing, [stranger.id()]);
    assert_eq!(report.orphaned, [orphan.path().with_extension("json")]);
    assert!(report.foreign.contains(&foreign) && report.foreign.contains(&here.join("other.json")));
    assert_eq!(report.foreign.len(), 2, "{report:?}");
    let mut named: Vec<_> = report
        .sidecars
        .iter()
        .map(|p| p.path.file_name().unwrap().to_str().unwrap())
        .collect();
    named.sort_unstable();
    assert_eq!(
        named,
        ["moved.json", "newer.json", "other.json", "torn.json"]
    );
    assert!(
        report.adopted.is_empty() && report.removed.is_empty(),
        "{report:?}"
    );
    assert_eq!(files(&here), before);
    assert_eq!(registry.count(MODEL).unwrap(), 2);
    // Said once: a second look finds the same and changes nothing.
    assert_eq!(registry.reconcile().unwrap(), report);
}

/// A backup that is copied back over the folder brings files, not checkpoints.
#[test]
fn what_was_deleted_stays_deleted() {
    let (dir, registry) = place();
    let (old, _new) = (save(&registry, 0.1), save(&registry, 0.2));
    let sidecar = old.path().with_extension("json");
    let backup = [old.path(), sidecar.clone()].map(|path| (fs::read(&path).unwrap(), path));
    registry.delete(old.id(), "test").unwrap();
    for (contents, path) in backup {
        fs::write(path, contents).unwrap();
    }
    let report = registry.reconcile().unwrap();
    assert!(report.adopted.is_empty(), "{report:?}");
    assert_eq!(report.orphaned, [sidecar]);
    assert!(matches!(
        registry.load(old.id()),
        Err(Error::Deleted { .. })
    ));
    assert_eq!(files(&folder(&dir)).len(), 4);
}

/// A sidecar is only text; it must not lead out of its folder.
#[test]
fn a_forged_sidecar_leads_nowhere() {
    let (dir, registry) = place();
    let saved = save(&registry, 0.1);
    let secret = dir.path().join("secret.bin");
    fs::write(&secret, "weights of 0.1").unwrap();
    let sidecar = saved.path().with_extension("json");
    let text = fs::read_to_string(&sidecar).unwrap();
    let mut body: serde_json::Value = serde_json::from_str(&text).unwrap();
    drop(registry);
    let other = without_registry(&dir);
    let sidecar = other.path().join(sidecar.strip_prefix(dir.path()).unwrap());
    for file in [
        "../secret.bin",
        "dqn_agent/../../secret.bin",
        "/etc/passwd",
        "other/x.bin",
    ] {
        let fields = body.as_object_mut().unwrap();
        fields.remove("seal");
        fields.insert("file".to_owned(), file.into());
        let digest = blake3::hash(body.to_string().as_bytes()).to_hex();
        body["seal"] = digest[..32].into();
        fs::write(&sidecar, body.to_string()).unwrap();
        let registry = Registry::open(other.path()).unwrap();
        let known = registry.list(MODEL).get().unwrap();
        assert!(
            known.iter().all(|found| found.origin() == Origin::Found),
            "{file} {known:?}"
        );
        assert!(
            known
                .iter()
                .all(|found| found.path().starts_with(sidecar.parent().unwrap()))
        );
    }
}

/// Written to fd limits: the file system refuses what goes beyond 8 MiB.
fn fill_the_disk(dir: &Path) {
    let registry = Registry::open(dir).unwrap();
    let first = registry
        .checkpoint(MODEL)
        .metric("loss", 0.5)
        .save(b"small")
        .unwrap();
    let much = vec![7; 20 << 20];
    let new = || registry.checkpoint(MODEL).metric("loss", 0.1);
    for outcome in [
        new().save(&much),
        new().save_from(&much[..]),
        new().save_with(|out| out.write_all(&much)),
        new().save_to_path(|path| fs::write(path, &much)),
    ] {
        let error = outcome.unwrap_err();
        assert!(matches!(error, Error::NotSaved { .. }), "{error:?}");
    }
    assert_eq!(registry.list(MODEL).get().unwrap(), [first]);
    let second = registry
        .checkpoint(MODEL)
        .metric("loss", 0.4)
        .save(b"small")
        .unwrap();
    registry.load(second.id()).unwrap();

    // The registry's own file fills too; what was promised stays.
    let mut promised = Vec::new();
    let error = loop {
        let new = registry.checkpoint(MODEL).metric("loss", 0.3);
        match new.metadata("much", "x".repeat(1 << 20)).save(b"small") {
            Ok(saved) => promised.push(saved.id().to_owned()),
            Err(error) => break error,
        }
        assert!(promised.len() < 50, "the limit does not hold");
    };
    assert!(matches!(error, Error::NotSaved { .. }), "{error:?}");
    let registry = Registry::open(dir).unwrap();
    let listed = registry.list(MODEL).get().unwrap();
    assert_eq!(listed.len(), promised.len() + 2);
    for id in &promised {
        registry.load(id).unwrap();
    }
    say("held");
}

#[cfg(unix)]
#[test]
fn a_disk_that_fills_during_the_weights_costs_nothing_else() {
    let (dir, registry) = place();
    drop(registry);
    let mut shell = Command::new("bash");
    // 1,024-byte blocks; the signal would kill where an error is wanted.
    shell.args(["-c", "trap '' XFSZ; ulimit -f 8192; exec \"$0\" \"$@\""]);
    shell.arg(std::env::current_exe().unwrap());
    let child = Child::start_with(shell, "fills the disk", dir.path());
    assert_eq!(child.hear(), "held");
    child.finish();
    let registry = Registry::open(dir.path()).unwrap();
    let listed = registry.list(MODEL).get().unwrap();
    assert_eq!(files(&folder(&dir)).len(), 2 * listed.len());
    save(&registry, 0.1); // there is room again
}

fn may_not_write(dir: &Path) {
    let registry = Registry::open(dir).unwrap();
    // Looking and loading need no right to write.
    let latest = registry.latest(MODEL).unwrap().unwrap();
    registry.load(latest.id()).unwrap();
    let error = registry.checkpoint(MODEL).save(b"x").unwrap_err();
    assert!(
        matches!(error, Error::Io { .. } | Error::NotSaved { .. }),
        "{error:?}"
    );
    let error = registry.activate(latest.id()).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error:?}");
    say(&error.to_string());
}

#[cfg(unix)]
#[test]
fn a_folder_that_may_not_be_written_is_said_so() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    let (dir, registry) = place();
    let saved = save(&registry, 0.1);
    drop(registry);
    let mut command = Command::new(std::env::current_exe().unwrap());
    if fs::metadata(dir.path()).is_ok() && is_root(dir.path()) {
        // Nothing is forbidden to this one: let another look.
        command.uid(65_534).gid(65_534);
    }
    let set =
        |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let checkpoints = dir.path().join("checkpoints");
    set(dir.path(), 0o755);
    set(&dir.path().join("journal.redb"), 0o444);
    set(&checkpoints, 0o555);
    set(&folder(&dir), 0o555);
    set(&saved.path(), 0o444);
    let child = Child::start_with(command, "may not write", dir.path());
    assert!(child.hear().contains("journal.redb"));
    child.finish();
    for path in [&checkpoints, &folder(&dir)] {
        set(path, 0o755);
    }
    assert_eq!(files(&folder(&dir)).len(), 2);
}

#[cfg(unix)]
fn is_root(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).unwrap().uid() == 0
}

/// Says how much memory a checkpoint of 256 MB took, at its most.
fn save_much(dir: &Path) {
    let registry = Registry::open(dir).unwrap();
    let much: u64 = 256 << 20;
    let saved = registry
        .checkpoint(MODEL)
        .save_from(io::repeat(7).take(much))
        .unwrap();
    let mut piece = [7; 1 << 16];
    piece[9] = 8;
    let written = registry
        .checkpoint(MODEL)
        .save_with(|out| (0..much >> 16).try_for_each(|_| out.write_all(&piece)));
    assert_eq!(written.unwrap().bytes(), much);
    assert_eq!(saved.bytes(), much);
    registry.load(saved.id()).unwrap();
    io::copy(&mut registry.reader(saved.id()).unwrap(), &mut io::sink()).unwrap();
    registry.reconcile_contents().unwrap();
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    say(peak.trim().trim_end_matches(" kB"));
    command();
}

#[cfg(target_os = "linux")]
#[test]
fn memory_stays_flat_whatever_the_size() {
    let (dir, registry) = place();
    drop(registry);
    let child = Child::start("saves much", dir.path());
    let peak: u64 = child.hear().parse().unwrap();
    child.finish();
    assert!(peak < 64 << 10, "{peak} KiB");
}

#[test]
fn a_folder_that_is_a_file_is_said_so() {
    let (dir, registry) = place();
    fs::write(dir.path().join("checkpoints"), "in the way").unwrap();
    let error = registry.checkpoint(MODEL).save(b"x").unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error:?}");
    assert!(registry.latest(MODEL).unwrap().is_none());
    let missing = Registry::open(dir.path().join("nowhere")).unwrap_err();
    assert!(matches!(missing, Error::Missing { .. }), "{missing:?}");
    let empty = tempfile::tempdir().unwrap();
    let missing = Registry::open(empty.path()).unwrap_err();
    assert!(matches!(missing, Error::Missing { .. }), "{missing:?}");
    assert_eq!(files(empty.path()), [""; 0]);
}

#[test]
fn who_has_it_open_reads_on_when_it_is_deleted() {
    let (_dir, registry) = place();
    let (old, _new) = (save(&registry, 0.1), save(&registry, 0.2));
    let loaded = registry.load(old.id()).unwrap();
    registry.delete(old.id(), "superseded").unwrap();
    if cfg!(unix) {
        assert_eq!(loaded.into_bytes().unwrap(), b"weights of 0.1");
    }
    let error = registry.reader(old.id()).unwrap_err();
    assert!(matches!(error, Error::Deleted { .. }), "{error:?}");
    assert_eq!(*old.condition(), Condition::Present);
}

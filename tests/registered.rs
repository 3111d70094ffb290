//! Checkpoints that lie elsewhere: layouts of training libraries, imports that are repeated, files
//! that moved, backups.

#![allow(clippy::unwrap_used)]

mod registries;

use std::fs;

use annals::maintenance::restore;
use annals::registry::{Condition, Metadata};
use annals::{Error, Journal, Mode, Registry};
use registries::{place, put, sorted, tensors};

const MODEL: &str = "dqn";

#[test]
fn a_hugging_face_run_is_one_checkpoint_for_each_step() {
    let place = place();
    let runs = place.path("out");
    for (step, loss) in [(500, "0.5"), (1000, "NaN")] {
        let at = format!("checkpoint-{step}");
        put(
            &runs,
            &format!("{at}/model.safetensors"),
            tensors(&step.to_string().into_bytes()),
        );
        let state = format!(
            r#"{{"global_step": {step}, "epoch": 1.5, "best_metric": 0.4, "log_history": [
                {{"step": 500, "loss": 0.9, "eval_loss": 0.5, "epoch": 0.7}},
                {{"step": 1000, "loss": 0.8, "eval_loss": {loss}}},
                {{"step": 2000, "loss": 0.1}}]}}"#
        );
        put(&runs, &format!("{at}/trainer_state.json"), state);
        for other in [
            "optimizer.pt",
            "scheduler.pt",
            "rng_state.pth",
            "training_args.bin",
            "config.json",
        ] {
            put(&runs, &format!("{at}/{other}"), other);
        }
        put(&runs, &format!("{at}/pytorch_model.bin"), "the same");
        put(
            &runs,
            &format!("{at}/global_step{step}/mp_rank_00_model_states.pt"),
            "x",
        );
    }
    // One in shards, one whose second shard was lost, one whose weights were deleted.
    let index = r#"{"weight_map": {"a": "model-00001-of-00002.safetensors",
        "b": "model-00002-of-00002.safetensors"}}"#;
    for at in ["checkpoint-2000", "checkpoint-2500"] {
        put(&runs, &format!("{at}/model.safetensors.index.json"), index);
        put(
            &runs,
            &format!("{at}/model-00001-of-00002.safetensors"),
            tensors(b"1"),
        );
    }
    put(
        &runs,
        "checkpoint-2000/model-00002-of-00002.safetensors",
        tensors(b"two"),
    );
    let state = r#"{"global_step": 3000, "log_history": [{"step": 3000, "eval_loss": 0.05}]}"#;
    put(&runs, "checkpoint-3000/trainer_state.json", state);

    let imported = place.registry.import_folder(MODEL, &runs).unwrap();
    let ids = ["1000", "2000", "2500", "3000", "500"].map(|step| format!("checkpoint-{step}"));
    assert_eq!(sorted(imported.new.clone()), ids);
    let known = place.registry.find("checkpoint-500").unwrap();
    assert_eq!((known.step(), known.epoch()), (Some(500), Some(1)));
    assert_eq!(known.metric("eval_loss"), Some(0.5));
    assert_eq!(known.metadata("best_metric"), Some(&Metadata::from(0.4)));
    assert!(known.digest().is_some());
    let later = place.registry.find("checkpoint-1000").unwrap();
    assert!(later.metric("eval_loss").unwrap().is_nan());
    assert_eq!(later.metric("loss"), Some(0.8));
    // The other form of the weights and the optimizer's folder are said.
    assert_eq!(imported.skipped.len(), 4, "{:?}", imported.skipped);

    let whole = place.registry.find("checkpoint-2000").unwrap();
    assert_eq!(whole.parts().len(), 2);
    assert_eq!(
        whole.bytes(),
        index.len() as u64 + tensors(b"1").len() as u64 + tensors(b"two").len() as u64
    );
    place.registry.load(whole.id()).unwrap();
    let unusable: Vec<&str> = imported.unusable.iter().map(|(id, _)| &**id).collect();
    assert_eq!(unusable, ["checkpoint-2500", "checkpoint-3000"]);
    // The history of what is gone is kept, and does not rank.
    let gone = place.registry.find("checkpoint-3000").unwrap();
    assert_eq!(gone.metric("eval_loss"), Some(0.05));
    assert_eq!(*gone.condition(), Condition::Missing);
    let best = place
        .registry
        .best_by(MODEL, "eval_loss", Mode::Min)
        .unwrap();
    assert_eq!(best.unwrap().id(), "checkpoint-500");

    // A shard that changes or vanishes is noticed.
    fs::write(&whole.parts()[1], tensors(b"TWO")).unwrap();
    assert!(matches!(
        place.registry.load(whole.id()),
        Err(Error::WeightsCorrupt { .. })
    ));
    fs::remove_file(&whole.parts()[1]).unwrap();
    assert!(
        place
            .registry
            .reconcile()
            .unwrap()
            .missing
            .contains(&whole.id().to_owned())
    );

    // Again: nothing is new. Returned weights are there again.
    put(&runs, "checkpoint-3000/model.safetensors", tensors(b"back"));
    fs::write(&whole.parts()[1], tensors(b"two")).unwrap();
    put(
        &runs,
        "checkpoint-2500/model-00002-of-00002.safetensors",
        tensors(b"2"),
    );
    let again = place.registry.import_folder(MODEL, &runs).unwrap();
    assert!(
        again.new.is_empty() && again.unusable.is_empty(),
        "{again:?}"
    );
    assert_eq!(sorted(again.completed), [&*ids[1], &*ids[3]]);
    place.registry.load("checkpoint-3000").unwrap();
    place.registry.load(whole.id()).unwrap();
}

#[test]
fn lightning_keras_orbax_and_others_are_read_through_all_folders() {
    let place = place();
    let root = place.path("all");
    for version in ["version_0", "version_1"] {
        let at = format!("lightning_logs/{version}");
        put(
            &root,
            &format!("{at}/checkpoints/epoch=1-step=100.ckpt"),
            version,
        );
        put(&root, &format!("{at}/hparams.yaml"), "lr: 0.001\nname: x\n");
        put(
            &root,
            &format!("{at}/metrics.csv"),
            "epoch,step,val_loss\n0,49,0.8\n1,99,0.4\n2,149,0.1\n",
        );
        put(&root, &format!("{at}/events.out.tfevents.123.host"), "log");
    }
    put(&root, "keras/model.keras", "k");
    put(&root, "keras/cp-0001.weights.h5", "w");
    put(&root, "keras/best.h5", "h");
    put(&root, "keras/saved/saved_model.pb", "pb");
    put(&root, "keras/saved/variables/variables.index", "i");
    put(
        &root,
        "keras/saved/variables/variables.data-00000-of-00001",
        "d",
    );
    put(&root, "tf/checkpoint", "model_checkpoint_path: \"ckpt-7\"");
    put(&root, "tf/ckpt-7.index", "i");
    put(&root, "tf/ckpt-7.data-00000-of-00001", "d");
    put(
        &root,
        "orbax/100/_CHECKPOINT_METADATA",
        r#"{"init_timestamp_nsecs": 1, "commit_timestamp_nsecs": 1753454100000000000}"#,
    );
    put(&root, "orbax/100/default/manifest.ocdbt", "m");
    put(&root, "orbax/100/default/ocdbt.process_0/d/abc", "data");
    put(&root, "orbax/100/metrics/metrics", r#"{"loss": 0.25}"#);
    put(
        &root,
        "orbax/200/_CHECKPOINT_METADATA",
        r#"{"init_timestamp_nsecs": 1, "commit_timestamp_nsecs": null}"#,
    );
    put(
        &root,
        "orbax/300.orbax-checkpoint-tmp-5/_CHECKPOINT_METADATA",
        "{}",
    );
    put(&root, "orbax/50/default/_METADATA", "old");
    put(&root, "notes/README.md", "no");
    put(&root, ".hidden/x.pt", "no");

    let imported = place.registry.import_folder(MODEL, &root).unwrap();
    let expected = [
        "best",
        "ckpt-7",
        "cp-0001",
        "epoch=1-step=100",
        "lightning_logs_version_1_epoch=1-step=100",
        "model",
        "saved",
        "step_100",
        "step_50",
    ];
    let new = sorted(imported.new.clone());
    assert_eq!(new.len(), expected.len(), "{new:?}");
    for id in expected {
        let like = |known: &&String| **known == id || known.ends_with("epoch=1-step=100");
        assert!(new.iter().any(|known| like(&known)), "{id} in {new:?}");
        assert!(
            place
                .registry
                .list(MODEL)
                .get()
                .unwrap()
                .iter()
                .all(|known| known.digest().is_some())
        );
    }
    for known in place.registry.list(MODEL).get().unwrap() {
        place.registry.load(known.id()).unwrap();
    }
    let lightning = place.registry.find("epoch=1-step=100").unwrap();
    assert_eq!((lightning.step(), lightning.epoch()), (Some(100), Some(1)));
    assert_eq!(lightning.metric("val_loss"), Some(0.4));
    assert_eq!(lightning.metadata("lr"), Some(&Metadata::from(0.001)));
    let orbax = place.registry.find("step_100").unwrap();
    assert_eq!(
        (orbax.step(), orbax.metric("loss")),
        (Some(100), Some(0.25))
    );
    assert_eq!(orbax.created().as_micros(), 1_753_454_100_000_000);
    assert_eq!(orbax.parts().len(), 3);
    assert_eq!(place.registry.find("saved").unwrap().parts().len(), 2);
    assert_eq!(place.registry.find("ckpt-7").unwrap().parts().len(), 1);
    // Steps that were not finished are said, and no others.
    assert_eq!(imported.skipped.len(), 2, "{:?}", imported.skipped);
    let again = place.registry.import_folder(MODEL, &root).unwrap();
    assert!(
        again.new.is_empty() && again.completed.is_empty(),
        "{again:?}"
    );
    assert_eq!(again.known.len(), expected.len());
}

#[cfg(unix)]
#[test]
fn what_is_no_file_is_said_and_not_opened() {
    let place = place();
    let root = place.path("odd");
    put(&root, "a.pt", "a");
    std::os::unix::fs::symlink(&root, root.join("loop")).unwrap();
    std::os::unix::fs::symlink(root.join("nothing"), root.join("dangling.pt")).unwrap();
    std::os::unix::fs::symlink(root.join("a.pt"), root.join("link.pt")).unwrap();
    let pipe = root.join("pipe.pt");
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    let imported = place.registry.import_folder(MODEL, &root).unwrap();
    assert_eq!(sorted(imported.new), ["a", "link"]);
    assert_eq!(imported.skipped.len(), 3, "{:?}", imported.skipped);
}

#[test]
fn one_id_in_two_models_is_two_checkpoints() {
    let place = place();
    let (a, b) = (place.path("a.pt"), place.path("b.pt"));
    fs::write(&a, "a").unwrap();
    fs::write(&b, "b").unwrap();
    let entries = || {
        let of = |model: &str, file| {
            let new = place.registry.checkpoint(model).metric("loss", 0.1);
            new.import_as("best", file).unwrap()
        };
        [of("agent_a", &a), of("agent_b", &b)]
    };
    let imported = place.registry.import_each(entries()).unwrap();
    assert_eq!(
        [&*imported[0].id, &*imported[1].id],
        ["best", "agent_b_best"]
    );
    assert!(imported.iter().all(|one| one.is_new));
    assert_eq!(
        place.registry.load("best").unwrap().into_bytes().unwrap(),
        b"a"
    );
    assert_eq!(
        place
            .registry
            .load("agent_b_best")
            .unwrap()
            .into_bytes()
            .unwrap(),
        b"b"
    );
    assert_eq!(place.registry.import(entries()).unwrap(), 0);
    // A deletion by one model does not hide the other's checkpoint.
    let other = place.registry.checkpoint("agent_a").save(b"newer").unwrap();
    place.registry.delete("best", "test").unwrap();
    let imported = place.registry.import_each(entries()).unwrap();
    assert!(imported[0].is_deleted && !imported[1].is_new && !imported[1].is_deleted);
    assert_eq!(place.registry.count("agent_a").unwrap(), 1);
    assert_eq!(
        place.registry.latest("agent_a").unwrap().unwrap().id(),
        other.id()
    );
}

#[test]
fn an_import_completes_what_was_lacking_and_says_what_differs() {
    let place = place();
    let file = place.path("w.pt");
    let missing = place.registry.checkpoint(MODEL).metric("loss", 0.3);
    let missing = missing.import_missing_as("w", &file, 0).unwrap();
    assert_eq!(place.registry.import([missing]).unwrap(), 1);
    assert!(matches!(
        place.registry.load("w"),
        Err(Error::WeightsMissing { .. })
    ));
    place
        .registry
        .set_monitor(MODEL, "loss", Mode::Min)
        .unwrap();
    assert_eq!(place.registry.best(MODEL).unwrap(), None);

    fs::write(&file, "weights").unwrap();
    let again = place.registry.checkpoint(MODEL).metric("loss", 0.05);
    let again = again.metric("accuracy", 0.9).metadata("lr", 0.1);
    let again = again.import_as("w", &file).unwrap();
    let imported = place.registry.import_each([again]).unwrap().remove(0);
    assert_eq!(imported.completed.len(), 3, "{imported:?}");
    assert_eq!(imported.differs.len(), 1, "{imported:?}");
    let known = place.registry.best(MODEL).unwrap().unwrap();
    assert_eq!(
        (known.metric("loss"), known.metric("accuracy")),
        (Some(0.3), Some(0.9))
    );
    assert_eq!(known.bytes(), 7);
    assert_eq!(place.registry.metrics(MODEL).unwrap(), ["loss", "accuracy"]);
    assert_eq!(place.registry.bytes(MODEL).unwrap(), 7);

    // Without an import, a look at the files finds them too.
    let other = place.path("other.pt");
    let missing = place
        .registry
        .checkpoint(MODEL)
        .import_missing_as("other", &other, 0)
        .unwrap();
    place.registry.import([missing]).unwrap();
    fs::write(&other, "12345").unwrap();
    assert_eq!(place.registry.reconcile().unwrap().restored, ["other"]);
    assert_eq!(place.registry.find("other").unwrap().bytes(), 5);
    // A digest that was computed at the import tells a change before any load.
    fs::write(&other, "12645").unwrap();
    assert_eq!(
        place.registry.reconcile_contents().unwrap().corrupt[0].0,
        "other"
    );
}

#[test]
fn moved_files_are_found_again() {
    let place = place();
    let (old, new) = (place.path("proj"), place.path("proj2"));
    put(&old, "w0.pt", "zero");
    put(&old, "deep/w1.pt", "one");
    put(&old, "w2.pt", "two");
    put(&old, "shards/m-00001-of-00002.bin", "1");
    put(&old, "shards/m-00002-of-00002.bin", "2");
    place.registry.import_folder(MODEL, &old).unwrap();
    let registered = place.registry.checkpoint(MODEL).metric("loss", 0.1);
    let registered = registered.register(old.join("w2.pt")).unwrap();
    let saved = place.registry.checkpoint(MODEL).save(b"own").unwrap();
    fs::rename(&old, &new).unwrap();
    fs::write(new.join("w0.pt"), "ZERO").unwrap();
    place.registry.reconcile().unwrap();

    let planned = place.registry.plan_relocate(&old, &new).unwrap();
    assert!(place.registry.load("w1").is_err());
    let moved = place.registry.relocate(&old, &new).unwrap();
    assert_eq!(moved, planned);
    let expected = ["m", "w1", "w2", registered.id()].map(str::to_owned);
    assert_eq!(sorted(moved.moved), sorted(expected.to_vec()));
    assert_eq!(moved.problems.len(), 1, "{:?}", moved.problems);
    for id in ["m", "w1", "w2", registered.id(), saved.id()] {
        place.registry.load(id).unwrap();
    }
    assert!(place.registry.load("w0").is_err());
    // Again is no harm. An absent file belongs to no checkpoint.
    let again = place.registry.relocate(&old, &new).unwrap();
    assert_eq!((again.moved.len(), again.problems.len()), (0, 1));
    assert_eq!(
        place.registry.relocate("/nowhere", &new).unwrap(),
        Default::default()
    );
    // The sidecar of what was registered leads to the new place too.
    let text = fs::read_to_string(
        place
            .registry
            .path()
            .join(format!("checkpoints/{MODEL}/{}.json", registered.id())),
    );
    assert!(text.unwrap().contains("proj2"));
    // Importing the folder in its new place finds what moved instead of doubling it.
    let last = place.path("proj3");
    fs::rename(&new, &last).unwrap();
    let imported = place.registry.import_folder(MODEL, &last).unwrap();
    assert!(
        imported.completed.contains(&"w1".to_owned()),
        "{imported:?}"
    );
    place.registry.load("w1").unwrap();
    place.registry.load("m").unwrap();
}

#[test]
fn a_backup_has_all_checkpoints_or_says_which_it_lacks() {
    let place = place();
    let models = place.path("models");
    put(&models, "good.pt", "good");
    put(&models, "gone.pt", "gone");
    put(&models, "changed.pt", "before");
    put(
        &models,
        "checkpoint-1/model.safetensors.index.json",
        r#"{"weight_map":{"a":"model-00001-of-00001.safetensors"}}"#,
    );
    put(
        &models,
        "checkpoint-1/model-00001-of-00001.safetensors",
        tensors(b"shard"),
    );
    place.registry.import_folder(MODEL, &models).unwrap();
    let saved = place
        .registry
        .checkpoint(MODEL)
        .metric("loss", 0.1)
        .save(b"own")
        .unwrap();
    fs::remove_file(models.join("gone.pt")).unwrap();
    fs::write(models.join("changed.pt"), "after!").unwrap();

    let maintenance = place.journal.maintenance().unwrap();
    let (to, new) = (place.path("backup"), place.path("new"));
    let made = maintenance.backup(&to).with_checkpoints().run().unwrap();
    let lacking: Vec<String> = made.lacking.iter().map(|(id, _)| id.clone()).collect();
    assert_eq!(sorted(lacking), ["changed", "gone"]);
    // Own weights with their sidecar, one file, an index with its shard.
    assert_eq!(made.checkpoint_files, 5);
    let again = maintenance.backup(&to).with_checkpoints().run().unwrap();
    assert_eq!(
        (again.checkpoint_files, again.lacking.len()),
        (1, 2),
        "the sidecar is copied again"
    );

    // The originals may be gone by the time it is needed.
    fs::remove_dir_all(&models).unwrap();
    let restored = restore(&to, &new).unwrap();
    assert_eq!(restored.lacking.len(), 2, "{:?}", restored.lacking);
    let moved = place.path("moved");
    fs::rename(&new, &moved).unwrap();
    let registry = Registry::open(&moved).unwrap();
    for id in ["good", "checkpoint-1", saved.id()] {
        registry.load(id).unwrap();
    }
    assert_eq!(
        registry.load("good").unwrap().into_bytes().unwrap(),
        b"good"
    );
    assert_eq!(registry.count(MODEL).unwrap(), 5);
    // A backup of what was restored has them as well.
    let journal = Journal::options().without_mirror().open(&moved).unwrap();
    let second = place.path("second");
    let made = journal
        .maintenance()
        .unwrap()
        .backup(&second)
        .with_checkpoints()
        .run()
        .unwrap();
    assert_eq!(made.lacking.len(), 2, "{:?}", made.lacking);
    restore(&second, place.path("third")).unwrap();
    let registry = Registry::open(place.path("third")).unwrap();
    registry.load("checkpoint-1").unwrap();
}

#[test]
fn safetensors_that_break_the_format_are_not_saved_and_never_rank() {
    let place = place();
    let save = |bytes: &[u8]| {
        let new = place.registry.checkpoint(MODEL).extension("safetensors");
        new.save(bytes)
    };
    save(&tensors(b"fine")).unwrap();
    let mut longer = tensors(b"fine");
    longer.push(0);
    let random: Vec<u8> = (0..1_000_u32).map(|n| (n * 37 % 251) as u8).collect();
    for bytes in [&longer[..], &random, b"", &tensors(b"fine")[..20]] {
        let error = save(bytes).unwrap_err();
        assert!(matches!(error, Error::NotSaved { .. }), "{error:?}");
        assert!(error.to_string().contains("no safetensors file"), "{error}");
    }
    assert_eq!(place.registry.count(MODEL).unwrap(), 1);
    let folder = place.path("models");
    put(&folder, "bad.safetensors", &random);
    put(&folder, "good.safetensors", tensors(b"good"));
    let registered = place
        .registry
        .checkpoint(MODEL)
        .register(folder.join("bad.safetensors"));
    assert!(matches!(registered, Err(Error::Io { .. })));
    let imported = place.registry.import_folder(MODEL, &folder).unwrap();
    assert_eq!(imported.unusable.len(), 1);
    let bad = place.registry.find("bad").unwrap();
    assert!(matches!(bad.condition(), Condition::Corrupt(_)));
    // A look at sizes alone does not call it well.
    assert_eq!(place.registry.reconcile().unwrap().corrupt[0].0, "bad");
    assert_eq!(
        place.registry.reconcile_contents().unwrap().corrupt[0].0,
        "bad"
    );
}

#[test]
fn what_opening_took_in_is_named_by_the_next_report() {
    let place = place();
    let data = place.path("data");
    put(&data, "checkpoints/x/w.pt", "weights");
    put(&data, "checkpoints/x/v.pt", "weights");
    let registry = Registry::open(&data).unwrap();
    assert_eq!(registry.count("x").unwrap(), 2);
    // A clone is the same registry; what was said once is not said again.
    let report = registry.clone().reconcile().unwrap();
    assert_eq!(sorted(report.adopted), ["v", "w"]);
    assert!(registry.reconcile_contents().unwrap().adopted.is_empty());
    // Reports of others have their own.
    put(&data, "checkpoints/y/u.pt", "weights");
    let report = place.registry.reconcile().unwrap();
    assert_eq!(report.adopted, ["u"]);
}

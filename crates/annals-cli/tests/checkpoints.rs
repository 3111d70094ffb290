//! Checkpoints that were made elsewhere: imported twice, moved, checked, backed up, retired.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::path::{Path, PathBuf};

use common::{complaint, json, run};

/// A source with these rows: id, model, time, metrics, path, whether it is active.
fn source(dir: &Path, rows: &[(&str, &str, &str, &str, &str, u8)]) -> PathBuf {
    let path = dir.join("old.db");
    let _ = std::fs::remove_file(&path);
    let file = rusqlite::Connection::open(&path).unwrap();
    file.execute_batch(
        "CREATE TABLE checkpoint_metadata (checkpoint_id TEXT, model_name TEXT, model_type TEXT,
            timestamp TEXT, performance_metrics TEXT, training_metadata TEXT, file_path TEXT,
            file_size_mb REAL, is_active INTEGER)",
    )
    .unwrap();
    for (id, model, time, metrics, weights, active) in rows {
        let values = (id, model, time, metrics, weights, active);
        file.execute(
            "INSERT INTO checkpoint_metadata VALUES (?1, ?2, 'rl', ?3, ?4, '{}', ?5, 0.1, ?6)",
            values,
        )
        .unwrap();
    }
    path
}

fn active(data: &Path, model: &str) -> serde_json::Value {
    let listed = json(data, &["checkpoints", "list"]).remove(0);
    let models = listed.as_array().unwrap().clone();
    let known = models.into_iter().find(|known| known["model"] == model);
    known.unwrap()["active"].clone()
}

#[test]
fn two_models_may_use_one_id() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    std::fs::write(dir.path().join("a.pt"), b"a").unwrap();
    std::fs::write(dir.path().join("b.pt"), b"b").unwrap();
    let time = "2025-07-25 14:35:00";
    let rows = [
        ("best", "agent_a", time, r#"{"loss": 0.3}"#, "a.pt", 0),
        ("best", "agent_b", time, r#"{"loss": 0.4}"#, "b.pt", 0),
    ];
    let path = source(dir.path(), &rows);
    let from = path.to_str().unwrap();
    let said = run(&data, &["import", from], 0);
    assert!(said.contains("taken in: 2 checkpoints"), "{said}");
    let said = run(&data, &["import", from], 0);
    assert!(said.contains("already there: 2"), "{said}");
    let other = &json(&data, &["checkpoints", "show", "agent_b_best"])[0];
    assert_eq!(
        (&other["model"], &other["metrics"]["loss"]),
        (&"agent_b".into(), &0.4.into())
    );
    // The digest is known since the import: a change is told before anything was verified.
    assert!(other["digest"].is_string(), "{other}");
    std::fs::write(dir.path().join("b.pt"), b"B").unwrap();
    let said = complaint_or_output(&data, &["checkpoints", "verify"], 1);
    assert!(
        said.contains("1 of 2 checkpoints cannot be loaded"),
        "{said}"
    );
    // A metric that the source corrected is reported, and a new one is taken.
    let rows = [(
        "best",
        "agent_a",
        time,
        r#"{"loss": 0.05, "accuracy": 0.9}"#,
        "a.pt",
        0,
    )];
    source(dir.path(), &rows);
    let said = run(&data, &["import", from], 0);
    assert!(said.contains("0.3 is kept, 0.05 was found"), "{said}");
    assert!(said.contains("metric accuracy"), "{said}");
}

/// Output and errors together.
fn complaint_or_output(data: &Path, args: &[&str], code: i32) -> String {
    let output = common::annals(data, args).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let all = text(&output.stdout) + &text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{all}");
    all
}

#[test]
fn the_active_checkpoint_moves_with_the_source_unless_it_was_moved_here() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let row = |id: &'static str, minute: &'static str, active| {
        (id, "dqn", minute, r#"{"loss": 0.3}"#, "gone.pt", active)
    };
    let (one, two, three) = (
        "2025-07-25 14:31:00",
        "2025-07-25 14:32:00",
        "2025-07-25 14:33:00",
    );
    let import = |actives: [u8; 3]| {
        let several = actives.iter().sum::<u8>() > 1;
        let rows = [
            row("x", one, actives[0]),
            row("y", two, actives[1]),
            row("z", three, actives[2]),
        ];
        let path = source(dir.path(), &rows);
        complaint_or_output(
            &data,
            &["import", path.to_str().unwrap()],
            i32::from(several),
        )
    };
    import([1, 0, 0]);
    assert_eq!(active(&data, "dqn"), "x");
    import([0, 1, 0]);
    assert_eq!(active(&data, "dqn"), "y");
    // Back again, and two at once: the newest.
    import([1, 0, 0]);
    assert_eq!(active(&data, "dqn"), "x");
    import([1, 1, 0]);
    assert_eq!(active(&data, "dqn"), "y");
    // Moved here: what the source said before stays what it said.
    run(&data, &["checkpoints", "activate", "x"], 0);
    import([0, 1, 0]);
    assert_eq!(active(&data, "dqn"), "x");
    let said = import([0, 0, 1]);
    assert_eq!(active(&data, "dqn"), "x");
    assert!(
        said.contains("the source calls z the active checkpoint"),
        "{said}"
    );
}

#[test]
fn a_project_that_moved_is_pointed_to_its_new_place() {
    let dir = tempfile::tempdir().unwrap();
    let (data, old, new) = (
        dir.path().join("data"),
        dir.path().join("proj"),
        dir.path().join("proj2"),
    );
    std::fs::create_dir(&old).unwrap();
    std::fs::write(old.join("w.pt"), b"weights").unwrap();
    let folder = old.to_str().unwrap().to_owned();
    let said = run(&data, &["import", "--model", "dqn", &folder], 0);
    assert!(said.contains("taken in: 1 checkpoint"), "{said}");
    std::fs::rename(&old, &new).unwrap();
    let to = new.to_str().unwrap();
    let args = ["checkpoints", "relocate", &folder, to];
    let dry = run(&data, &[&args[..], &["--dry-run"]].concat(), 0);
    assert!(dry.contains("1 checkpoint would point to"), "{dry}");
    complaint_or_output(&data, &["checkpoints", "verify"], 1);
    run(&data, &args, 0);
    run(&data, &["checkpoints", "verify"], 0);
    let backup = dir.path().join("backup");
    let to_backup = ["backup", backup.to_str().unwrap(), "--checkpoints"];
    let said = run(&data, &to_backup, 0);
    assert!(said.contains("1 checkpoint file"), "{said}");
    std::fs::remove_dir_all(&new).unwrap();
    let restored = dir.path().join("restored");
    run(
        &data,
        &[
            "restore",
            backup.to_str().unwrap(),
            "--to",
            restored.to_str().unwrap(),
        ],
        0,
    );
    run(&restored, &["checkpoints", "verify"], 0);
    // Weights that cannot be backed up are reported.
    let second = dir.path().join("second");
    let said = complaint_or_output(
        &data,
        &["backup", second.to_str().unwrap(), "--checkpoints"],
        1,
    );
    assert!(said.contains("the weights of w are not in it"), "{said}");
}

#[test]
fn a_misspelt_metric_deletes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let folder = dir.path().join("models");
    std::fs::create_dir(&folder).unwrap();
    for n in 0..3 {
        std::fs::write(folder.join(format!("val_loss=0.{n}.ckpt")), b"w").unwrap();
    }
    run(
        &data,
        &["import", "--model", "dqn", folder.to_str().unwrap()],
        0,
    );
    let retain = ["checkpoints", "retain", "--max-count", "1"];
    let retain = |more: &[&'static str]| [&retain[..], more].concat();
    for yes in [&[][..], &["--yes"]] {
        let args = [retain(&["--keep-best", "1:vall_loss:min"]), yes.to_vec()].concat();
        let said = complaint(&data, &args, 2);
        assert!(
            said.contains("vall_loss") && said.contains("val_loss"),
            "{said}"
        );
        let args = [retain(&["--keep-tagged", "relaese"]), yes.to_vec()].concat();
        assert!(complaint(&data, &args, 2).contains("relaese"));
    }
    assert_eq!(json(&data, &["checkpoints", "list", "dqn"]).len(), 1);
    let plan = json(&data, &retain(&["--keep-best", "1:val_loss:min"])).remove(0);
    assert!(plan["delete"].as_u64() <= Some(2), "{plan}");
    // Young ones stay, however old the clock of their files calls them.
    let plan = json(&data, &["checkpoints", "retain", "--max-age", "7d"]).remove(0);
    assert_eq!(plan["delete"], 0, "{plan}");
    complaint(
        &data,
        &["checkpoints", "retain", "--max-count", "1", "--trust-clock"],
        2,
    );
}

/// Everything below a folder: names, sizes, and when they were written.
fn tree(folder: &Path) -> Vec<(PathBuf, u64, std::time::SystemTime)> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(folder) else {
        return found;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        let known = std::fs::metadata(&path).unwrap();
        found.push((path.clone(), known.len(), known.modified().unwrap()));
        found.extend(tree(&path));
    }
    found.sort();
    found
}

#[test]
fn a_rehearsal_of_checkpoints_reports_the_same_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let folder = dir.path().join("models");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("epoch=1-val_loss=0.5.ckpt"), b"w").unwrap();
    std::fs::write(folder.join("bad.safetensors"), b"no").unwrap();
    std::fs::write(folder.join("notes.txt"), b"x").unwrap();
    let import = |path: &Path, more: &[&str], code: i32| {
        let mut args = vec!["import", path.to_str().unwrap(), "--json", "--model", "dqn"];
        args.extend(more);
        let output = common::annals(&data, &args).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        report
    };
    let counts = |report: &serde_json::Value| {
        ["checkpoints", "known", "damaged", "notes", "broken"].map(|field| report[field].clone())
    };
    let planned = import(&folder, &["--dry-run"], 1);
    assert!(
        planned["dry_run"] == true && planned["checkpoints"] == 2,
        "{planned}"
    );
    assert!(!data.exists());
    assert_eq!(counts(&planned), counts(&import(&folder, &[], 1)));
    // With a registry that knows some of it, and files that it does not know.
    std::fs::write(folder.join("epoch=2-val_loss=0.4.ckpt"), b"v").unwrap();
    std::fs::create_dir_all(data.join("checkpoints/other")).unwrap();
    std::fs::write(data.join("checkpoints/other/w.pt"), b"w").unwrap();
    let before = tree(&data);
    let planned = import(&folder, &["--dry-run"], 1);
    assert_eq!(
        (&planned["checkpoints"], &planned["known"]),
        (&1.into(), &2.into())
    );
    assert_eq!(tree(&data), before);
    let said = run(
        &data,
        &[
            "import",
            folder.to_str().unwrap(),
            "--model",
            "dqn",
            "--dry-run",
        ],
        1,
    );
    assert!(said.contains("would be taken in: 1 checkpoint"), "{said}");
    assert_eq!(counts(&planned), counts(&import(&folder, &[], 1)));

    // The table of a database is rehearsed in the same way.
    let rows = [(
        "c1",
        "dqn",
        "2025-07-25 10:00:00",
        r#"{"loss": 0.5}"#,
        "gone.pt",
        1,
    )];
    let table = source(dir.path(), &rows);
    let before = tree(&data);
    let planned = import(&table, &["--dry-run"], 0);
    assert_eq!(planned["checkpoints"], 1, "{planned}");
    assert_eq!(planned["times_without_a_zone"], 1, "{planned}");
    assert_eq!(tree(&data), before);
    assert_eq!(counts(&planned), counts(&import(&table, &[], 0)));
    assert_eq!(import(&table, &["--dry-run"], 0)["known"], 1);
}

#[test]
fn a_misspelt_name_makes_nothing_and_is_told_what_is_near() {
    let dir = tempfile::tempdir().unwrap();
    common::journal(dir.path(), 3);
    let ids = json(dir.path(), &["checkpoints", "list", "dqn_agent"]).remove(0);
    let id = ids[0]["id"].as_str().unwrap().to_owned();
    run(dir.path(), &["checkpoints", "alias", "champion", &id], 0);
    run(dir.path(), &["checkpoints", "tag", &id, "release"], 0);
    let typo = id.replace("dqn", "dqm");
    let mut cases: Vec<(Vec<&str>, &str)> = vec![
        (
            vec!["monitor", "dqn_agnet", "val_loss", "min"],
            "\"dqn_agent\"",
        ),
        (
            vec!["monitor", "dqn_agent", "vall_loss", "min"],
            "\"val_loss\"",
        ),
        (vec!["monitor", "dqn_agent", "vall_loss", "min"], "--new"),
        (vec!["best", "dqn_agnet"], "\"dqn_agent\""),
        (
            vec!["best", "dqn_agent", "--by", "valloss", "--mode", "min"],
            "\"val_loss\"",
        ),
        (vec!["list", "dqn"], "\"dqn_agent\""),
        (
            vec!["list", "dqn_agent", "--alias", "chmapion"],
            "\"champion\"",
        ),
        (vec!["verify", "DQN_AGENT"], "\"dqn_agent\""),
        (
            vec!["retain", "--max-count", "1", "--model", "dqn_agnet"],
            "\"dqn_agent\"",
        ),
        (
            vec![
                "retain",
                "--max-count",
                "1",
                "--model",
                "dqn_agnet",
                "--yes",
            ],
            "\"dqn_agent\"",
        ),
        (vec!["tag", &id, "relaese", "--remove"], "\"release\""),
    ];
    for what in ["--remove", "--rollback", "--history"] {
        let args = vec!["alias", "champoin", "--model", "dqn_agent", what];
        cases.push((args, "\"champion\""));
        cases.push((
            vec!["alias", "champion", "--model", "dqn_agnet", what],
            "\"dqn_agent\"",
        ));
    }
    for args in [
        vec!["show", &typo],
        vec!["activate", &typo],
        vec!["alias", "other", &typo],
        vec!["pin", &typo],
        vec!["pin", &typo, "--remove"],
        vec!["tag", &typo, "x"],
        vec!["diff", &id, &typo],
        vec!["verify", "--id", &typo],
    ] {
        cases.push((args, &id));
    }
    let state = || {
        let models = json(dir.path(), &["checkpoints", "list"]);
        (
            models,
            json(dir.path(), &["checkpoints", "list", "dqn_agent"]),
        )
    };
    let before = state();
    for (args, near) in cases {
        let mut all = vec!["checkpoints"];
        all.extend(&args);
        let said = complaint(dir.path(), &all, 2);
        assert!(said.contains(near), "{args:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{args:?}: {said}");
        assert_eq!(state(), before, "{args:?}");
    }
    // A name that is meant to be new is made.
    run(
        dir.path(),
        &["checkpoints", "monitor", "next", "loss", "min", "--new"],
        0,
    );
    // Questions are answered all the same, and report the missing names.
    for args in [
        vec!["stats", "--model", "dqn_agnet"],
        vec!["tail", "--model", "dqn_agnet"],
        vec!["calibration", "--model", "dqn_agnet"],
        vec!["checkpoints", "best", "dqn_agnet", "--live", "reward"],
    ] {
        let said = complaint(dir.path(), &args, 0);
        assert!(said.contains("\"dqn_agent\""), "{args:?}: {said}");
    }
}

#[test]
fn a_file_that_a_table_registered_is_known_to_its_folder() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let folder = dir.path().join("models");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("dqn_0.pt"), b"w").unwrap();
    std::fs::write(folder.join("dqn_1.pt"), b"v").unwrap();
    let time = "2025-07-25 14:35:00";
    let rows = [(
        "c1",
        "dqn",
        time,
        r#"{"loss": 0.3}"#,
        "./models/../models/dqn_0.pt",
        1,
    )];
    let table = source(dir.path(), &rows);
    run(&data, &["import", table.to_str().unwrap()], 0);
    let folder = folder.to_str().unwrap();
    for (more, new, known) in [(Some("--dry-run"), 1, 1), (None, 1, 1), (None, 0, 2)] {
        let mut args = vec!["import", folder, "--model", "dqn"];
        args.extend(more);
        let report = json(&data, &args).remove(0);
        assert_eq!(report["checkpoints"], new, "{report}");
        assert_eq!(report["known"], known, "{report}");
    }
    let known = &json(&data, &["checkpoints", "show", "c1"])[0];
    assert_eq!(known["metrics"]["loss"], 0.3);
}

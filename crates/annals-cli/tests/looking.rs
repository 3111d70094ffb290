//! Looking at a journal: every command's good and bad input, as another process.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use annals::logs::{Mirror, Rotation};
use annals::{Inference, Journal, Maintenance};
use common::{annals, complaint, journal, json, run};

#[test]
fn tail_prints_the_lines_of_the_text_files() {
    let dir = tempfile::tempdir().unwrap();
    journal(dir.path(), 50);
    let text = run(dir.path(), &["tail", "-n", "2"], 0);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[1].starts_with(
        "2025-07-25 14:35:28 | dqn_agent       | ETH/USDT   | SELL | conf=0.696 | time=  12.5ms \
         [checkpoint: dqn_agent_"
    ));
    let logs = std::fs::read_to_string(dir.path().join("logs/inference_records.txt")).unwrap();
    assert!(logs.ends_with(&text));
}

#[test]
fn filters_and_columns_choose() {
    let dir = tempfile::tempdir().unwrap();
    journal(dir.path(), 60);
    let count = |args: &[&str]| json(dir.path(), args).len();
    assert_eq!(count(&["tail", "-n", "100"]), 60);
    assert_eq!(count(&["tail", "-n", "100", "--action", "BUY"]), 20);
    assert_eq!(count(&["tail", "-n", "100", "--min-confidence", "0.7"]), 10);
    assert_eq!(count(&["tail", "-n", "100", "--max-confidence", "0.5"]), 1);
    assert_eq!(count(&["tail", "-n", "100", "--outcome", "any"]), 20);
    assert_eq!(count(&["tail", "-n", "100", "--outcome", "wrong"]), 10);
    assert_eq!(count(&["tail", "-n", "100", "--outcome", "gain"]), 16);
    assert_eq!(count(&["tail", "-n", "100", "--slower-than", "12.55ms"]), 9);
    assert_eq!(count(&["tail", "--since", "2025-07-25 14:35:30"]), 9);
    assert_eq!(count(&["tail", "--until", "2025-07-25T14:34:49Z"]), 10);
    assert_eq!(count(&["tail", "--model", "nobody"]), 0);
    let nobody = run(dir.path(), &["tail", "--model", "nobody"], 0);
    assert_eq!(nobody, "no decisions that fit\n");
    let columns = [
        "tail",
        "-n",
        "1",
        "--columns",
        "id,action,confidence,reward",
    ];
    let text = run(dir.path(), &columns, 0);
    assert!(text.lines().nth(1).unwrap().contains("HOLD"), "{text}");
    let one = &json(dir.path(), &["tail", "-n", "1", "--outcome", "any"])[0];
    assert_eq!(one["outcome"]["reward"], 47.0);
    assert_eq!(one["outcome"]["values"]["pnl"], 0.5);
}

#[test]
fn times_that_are_none_are_told_what_is_accepted() {
    let dir = tempfile::tempdir().unwrap();
    journal(dir.path(), 1);
    for command in ["tail", "events", "stats", "follow", "calibration"] {
        let said = complaint(dir.path(), &[command, "--since", "soon"], 2);
        assert!(said.contains("24h") && said.contains("yesterday"), "{said}");
    }
}

#[test]
fn what_is_no_journal_gets_one_clear_line() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing");
    let file = dir.path().join("file");
    std::fs::write(&file, b"x").unwrap();
    let foreign = dir.path().join("foreign");
    std::fs::create_dir(&foreign).unwrap();
    std::fs::write(foreign.join("journal.redb"), b"this is no journal at all").unwrap();
    let commands: [&[&str]; 12] = [
        &["status"],
        &["tail"],
        &["follow", "--exit-at-end"],
        &["events"],
        &["explain", "1-1"],
        &["stats"],
        &["compare", "2d..1d", "1d..now"],
        &["calibration"],
        &["checkpoints", "list"],
        &["export", "-", "--format", "csv"],
        &["cursors"],
        &["mirror", "rebuild", "/nonexistent"],
    ];
    for (path, says) in [
        (&missing, "no journal in"),
        (&file, "is a file"),
        (&foreign, "was not written by annals"),
    ] {
        for command in commands {
            let said = complaint(path, command, 3);
            assert_eq!(said.lines().count(), 1, "{command:?}: {said}");
            assert!(said.contains(says), "{command:?}: {said}");
        }
    }
    assert!(!missing.exists());
}

#[test]
fn status_says_it_on_one_screen_and_in_json() {
    let dir = tempfile::tempdir().unwrap();
    journal(dir.path(), 30);
    let text = run(dir.path(), &["status"], 0);
    assert!(text.contains("no active writer"), "{text}");
    assert!(text.lines().count() <= 24);
    let living = Journal::open(dir.path()).unwrap();
    let seen = &json(dir.path(), &["status"])[0];
    assert_eq!(seen["alive_runs"], 1);
    // 30 decisions, 10 outcomes, three checkpoints saved, one event.
    assert_eq!(seen["entries"], 44);
    assert_eq!(seen["dropped"], 0);
    assert_eq!(seen["models"][0]["checkpoints"], 3);
    living.close().unwrap();
}

#[test]
fn events_are_listed_by_kind_and_level() {
    let dir = tempfile::tempdir().unwrap();
    journal(dir.path(), 3);
    let all = json(dir.path(), &["events"]);
    assert_eq!(all.len(), 4);
    assert_eq!(all[3]["message"], "feed is late");
    assert_eq!(
        json(dir.path(), &["events", "--kind", "checkpoint"]).len(),
        3
    );
    assert_eq!(json(dir.path(), &["events", "--level", "warn"]).len(), 1);
    assert_eq!(
        json(dir.path(), &["events", "--component", "exchange"]).len(),
        1
    );
    assert_eq!(
        json(dir.path(), &["events", "--until", "2025-07-25"]).len(),
        0
    );
    complaint(dir.path(), &["events", "--level", "loud"], 2);
}

#[test]
fn one_inference_is_explained_whole() {
    let dir = tempfile::tempdir().unwrap();
    journal(dir.path(), 20);
    let records = json(dir.path(), &["tail", "-n", "20"]);
    let id = records[9]["id"].as_str().unwrap();
    let all = &json(dir.path(), &["explain", id])[0];
    assert_eq!(all["inference"]["id"], id);
    assert_eq!(all["inference"]["outcome"]["label"], "closed");
    assert_eq!(all["checkpoint"]["metrics"]["val_loss"], 0.25);
    assert_eq!(all["before"][2]["id"], records[8]["id"]);
    assert_eq!(all["after"][0]["id"], records[10]["id"]);
    let text = run(dir.path(), &["explain", id], 0);
    assert!(
        text.contains("reward") && text.contains("around it"),
        "{text}"
    );
    assert!(complaint(dir.path(), &["explain", "999-1"], 2).contains("no inference"));
    assert!(complaint(dir.path(), &["explain", "x"], 2).contains("3-17"));
}

#[test]
fn a_kept_input_is_explained_with_its_names() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::options()
        .without_mirror()
        .open(dir.path())
        .unwrap();
    let builder = journal.recorder("m", "s").actions(["BUY"]);
    let recorder = builder.feature_names(["spread", "a\nb"]).build().unwrap();
    let call = || recorder.inference(0);
    let many = [0.5_f32; 40];
    let ids = [
        call().keep_features(&[0.25_f32, f32::NAN]).log(),
        call().keep_features(&many).log(),
        call().keep_bytes("é\u{1b}[2J".as_bytes()).log(),
        call().keep_bytes(&vec![0; (1 << 20) + 1]).log(),
        call().features(&[1.0]).log(),
    ];
    journal.close().unwrap();
    let ids = ids.map(|id| id.unwrap().to_string());
    let texts = ids
        .each_ref()
        .map(|id| run(dir.path(), &["explain", id], 0));
    for (text, part) in texts.iter().zip([
        "2 values: spread=0.25 a\\nb=NaN",
        "40 values: spread=0.5 a\\nb=0.5 0.5 0.5 0.5 0.5 0.5 0.5 …",
        "6 bytes: é\\u{001b}[2J",
        "was to be kept, and was given up",
    ]) {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!texts[4].contains("  input "), "{}", texts[4]);
    let found = ids
        .each_ref()
        .map(|id| json(dir.path(), &["explain", id])[0]["input"].clone());
    let names = serde_json::json!(["spread", "a\nb"]);
    assert_eq!(
        (&found[0]["type"], &found[0]["names"]),
        (&"f32".into(), &names)
    );
    assert_eq!(found[0]["values"], serde_json::json!([0.25, "NaN"]));
    assert_eq!(found[1]["values"].as_array().unwrap().len(), 40);
    assert_eq!(found[3]["missing"], "given_up");
    assert_eq!(found[4]["missing"], "not_kept");
}

#[test]
fn statistics_agree_with_the_rows() {
    let dir = tempfile::tempdir().unwrap();
    journal(dir.path(), 60);
    let stats = &json(dir.path(), &["stats", "--by", "action"])[0];
    assert_eq!(stats["all"]["count"], 60);
    assert_eq!(stats["rows"].as_array().unwrap().len(), 3);
    assert_eq!(stats["all"]["outcomes"]["reward"]["count"], 20);
    let text = run(dir.path(), &["stats", "--by", "model,day"], 0);
    assert!(
        text.contains("2025-07-25") && text.contains("complete"),
        "{text}"
    );
    assert_eq!(
        run(dir.path(), &["stats", "--since", "1d"], 0),
        "no decisions in this range\n"
    );
    let known = &json(dir.path(), &["calibration"])[0];
    assert_eq!(known["count"], 20);
    let halves = [
        "compare",
        "2025-07-25 14:34..2025-07-25 14:35",
        "2025-07-25 14:35..2025-07-25 14:36",
    ];
    let both = &json(dir.path(), &halves)[0];
    assert_eq!(both["this"]["count"], 21);
    assert_eq!(both["that"]["count"], 39);
    // 21 and 39 decisions: too few for anything.
    assert_eq!(both["drift"]["decisions"], serde_json::json!([21, 39]));
    let means = &both["drift"]["confidence"]["means"];
    assert_eq!(means[0], both["this"]["confidence"]["mean"]);
    assert_eq!(means[1], both["that"]["confidence"]["mean"]);
    let text = run(dir.path(), &halves, 0);
    for said in [
        "share of BUY",
        "stability index",
        "too few to tell",
        "mean reward",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
    complaint(
        dir.path(),
        &["compare", "2d..1d", "1d..now", "--since", "1d"],
        2,
    );
    complaint(dir.path(), &["compare", "now", "1d..now"], 2);
    complaint(dir.path(), &["compare", "now..1d", "1d..now"], 2);
}

#[test]
fn checkpoints_are_looked_at_and_never_deleted_by_the_way() {
    let dir = tempfile::tempdir().unwrap();
    journal(dir.path(), 1);
    let list = json(dir.path(), &["checkpoints", "list", "dqn_agent"]);
    let ids: Vec<&str> = list[0]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids.len(), 3);
    let best = &json(dir.path(), &["checkpoints", "best", "dqn_agent"])[0];
    assert_eq!(best["metrics"]["val_loss"], 0.25);
    assert_eq!(
        json(
            dir.path(),
            &[
                "checkpoints",
                "best",
                "dqn_agent",
                "--by",
                "val_loss",
                "--mode",
                "max",
                "-n",
                "2"
            ]
        )[0][0]["metrics"]["val_loss"],
        0.75
    );
    run(dir.path(), &["checkpoints", "diff", ids[0], ids[1]], 0);
    run(dir.path(), &["checkpoints", "show", ids[0]], 0);
    run(dir.path(), &["checkpoints", "tag", ids[2], "kept"], 0);
    run(dir.path(), &["checkpoints", "pin", ids[2]], 0);
    run(dir.path(), &["checkpoints", "pin", "--remove", ids[2]], 0);
    run(dir.path(), &["checkpoints", "activate", ids[0]], 0);
    run(dir.path(), &["checkpoints", "alias", "champion", ids[1]], 0);
    run(dir.path(), &["checkpoints", "alias", "champion", ids[0]], 0);
    run(
        dir.path(),
        &[
            "checkpoints",
            "alias",
            "champion",
            "--model",
            "dqn_agent",
            "--rollback",
        ],
        0,
    );
    let text = run(dir.path(), &["checkpoints", "list", "dqn_agent"], 0);
    assert!(
        text.contains("@champion") && text.contains("@active") && text.contains("#kept"),
        "{text}"
    );

    let plan = ["checkpoints", "retain", "--max-count", "1"];
    let said = run(dir.path(), &plan, 0);
    assert!(said.contains("1 of 3 would be deleted"), "{said}");
    assert!(said.contains("say --yes"), "{said}");
    assert_eq!(
        json(dir.path(), &["checkpoints", "list", "dqn_agent"])[0]
            .as_array()
            .unwrap()
            .len(),
        3
    );
    assert!(
        run(
            dir.path(),
            &["checkpoints", "retain", "--max-count", "1", "--yes"],
            0
        )
        .contains("1 deleted")
    );
    complaint(dir.path(), &["checkpoints", "retain"], 2);
    let none = ["checkpoints", "retain", "--keep-latest", "1"];
    assert!(complaint(dir.path(), &none, 2).contains("--max-count"));
    let by = ["checkpoints", "retain", "--max-count", "1", "--keep-best"];
    for wrong in ["x", "1:val_loss:least", "-1:val_loss:min"] {
        let args = [&by[..], &[wrong]].concat();
        complaint(dir.path(), &args, 2);
    }
    for rule in ["--max-count", "--max-age", "--max-bytes"] {
        let said = complaint(dir.path(), &["checkpoints", "retain", rule, "0"], 2);
        assert!(said.contains(rule), "{said}");
        assert!(complaint(dir.path(), &["retain", rule, "0"], 2).contains(rule));
    }
    assert!(
        complaint(dir.path(), &["checkpoints", "show", "nothing"], 2).contains("no checkpoint")
    );
    complaint(dir.path(), &["checkpoints", "best", "nobody"], 2);

    run(dir.path(), &["checkpoints", "verify"], 0);
    std::fs::write(best["path"].as_str().unwrap(), b"WEIGHTS").unwrap();
    run(dir.path(), &["checkpoints", "verify"], 1);
    run(dir.path(), &["checkpoints", "reconcile", "--contents"], 1);
}

#[test]
fn checkpoints_are_ranked_by_what_turned_out() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path()).unwrap();
    for number in 0..200_u16 {
        let (checkpoint, reward) = match number % 2 {
            0 => ("steady", 1.0 + f64::from(number % 3)),
            _ => ("wild", -1.0),
        };
        let inference = Inference::new("m", "s", "BUY").checkpoint(checkpoint);
        let id = journal.log(inference).unwrap();
        let outcome = annals::Outcome::new().reward(reward).correct(reward < 0.0);
        journal.attach_outcome(id, outcome.value("cost", reward));
    }
    journal.log(Inference::new("m", "s", "BUY").checkpoint("new"));
    journal.close().unwrap();
    let best = |more: &[&str]| {
        let args = [&["checkpoints", "best", "m", "--live"], more].concat();
        json(dir.path(), &args).remove(0)
    };
    let first = |answer: &serde_json::Value| answer["ranking"]["ranked"][0]["checkpoint"].clone();
    let reward = best(&["reward"]);
    assert_eq!(first(&reward), "steady");
    assert_eq!(reward["clear"], true);
    assert_eq!(reward["ranking"]["ranked"][0]["count"], 100);
    assert_eq!(reward["ranking"]["too_few"][0]["checkpoint"], "new");
    assert_eq!(first(&best(&["correct"])), "wild");
    assert_eq!(first(&best(&["cost"])), "steady");
    assert_eq!(first(&best(&["cost", "--mode", "min"])), "wild");
    let none = best(&["reward", "--at-least", "101"]);
    assert_eq!(none["ranking"]["ranked"], serde_json::json!([]));
    let args = ["checkpoints", "best", "m", "--live", "reward"];
    let text = run(dir.path(), &args, 0);
    assert!(
        text.contains("beyond chance") && text.contains("too few to rank"),
        "{text}"
    );
    let none = run(
        dir.path(),
        &["checkpoints", "best", "nobody", "--live", "reward"],
        0,
    );
    assert!(none.starts_with("no decisions"), "{none}");
    for bad in [
        &["--mode", "min"][..],
        &["--since", "1d"],
        &["--at-least", "3"],
    ] {
        complaint(
            dir.path(),
            &[&["checkpoints", "best", "m"], bad].concat(),
            2,
        );
    }
}

#[test]
fn gaps_are_counted_and_listed() {
    let dir = tempfile::tempdir().unwrap();
    let mut importer = annals::import::Importer::open(dir.path()).unwrap();
    let run_id = importer.source("elsewhere").unwrap();
    for count in 1..=100 {
        let gap = annals::import::Loss {
            run: run_id,
            reason: annals::entry::GapReason::QueueFull,
            count: Some(count),
            after: None,
            recorded_range: None,
            event_range: None,
            refusal: None,
        };
        importer.add_gap(&gap).unwrap();
    }
    importer.close().unwrap();
    let seen = &json(dir.path(), &["status"])[0];
    assert_eq!(seen["gaps"], 100);
    assert_eq!(seen["dropped"], 5_050);
    assert_eq!(
        json(dir.path(), &["events", "--kind", "gap", "-n", "200"]).len(),
        100
    );
}

#[test]
fn follow_shows_what_another_process_logs_and_survives_its_restart() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let args = ["follow", "--cursor", "test", "-n", "3"];
    let mut child = annals(&data, &args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // A journal that is there before it looks is followed from its end.
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(said.next().unwrap().unwrap().contains("waiting for"));
    for action in ["ONE", "TWO"] {
        // Not there at first, and closed and opened again in between.
        let journal = Journal::open(&data).unwrap();
        journal.log(Inference::new("m", "s", action)).unwrap();
        journal.flush().wait(Duration::from_secs(60)).unwrap();
        let line = lines.next().unwrap().unwrap();
        assert!(line.contains(action), "{line}");
        journal.close().unwrap();
    }
    let journal = Journal::open(&data).unwrap();
    journal.log(Inference::new("m", "s", "THREE")).unwrap();
    journal.flush().wait(Duration::from_secs(60)).unwrap();
    let began = Instant::now();
    assert!(lines.next().unwrap().unwrap().contains("THREE"));
    assert!(began.elapsed() < Duration::from_secs(10));
    assert!(child.wait().unwrap().success());
    // Goes on where it was left.
    journal.log(Inference::new("m", "s", "FOUR")).unwrap();
    journal.close().unwrap();
    let rest = run(&data, &["follow", "--cursor", "test", "--exit-at-end"], 0);
    assert_eq!(rest.lines().count(), 1, "{rest}");
    assert!(rest.contains("FOUR"));
    let cursors = json(&data, &["cursors"]);
    assert_eq!(cursors[0][0]["behind"], 0);
    run(&data, &["cursors", "--remove", "test"], 0);
    complaint(&data, &["cursors", "--remove", "test"], 2);
}

#[test]
fn a_reader_that_has_had_enough_is_no_failure() {
    let dir = tempfile::tempdir().unwrap();
    journal(dir.path(), 5_000);
    for args in [
        &["tail", "-n", "5000"][..],
        &["export", "-", "--format", "jsonl"],
    ] {
        let mut child = annals(dir.path(), args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut some = [0; 10];
        let mut stdout = child.stdout.take().unwrap();
        stdout.read_exact(&mut some).unwrap();
        drop(stdout);
        let mut said = String::new();
        child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut said)
            .unwrap();
        assert!(child.wait().unwrap().success(), "{said}");
        assert_eq!(said, "");
    }
}

#[test]
fn every_command_has_help_with_an_example() {
    let dir = tempfile::tempdir().unwrap();
    for command in [
        "status",
        "tail",
        "follow",
        "events",
        "explain",
        "episodes",
        "stats",
        "compare",
        "calibration",
        "checkpoints",
        "export",
        "import",
        "cursors",
        "completions",
        "verify",
        "repair",
        "retain",
        "compact",
        "backup",
        "restore",
    ] {
        let text = run(dir.path(), &[command, "--help"], 0);
        assert!(text.contains("Examples:\n  annals "), "{command}");
    }
    for command in [
        "list",
        "best",
        "show",
        "diff",
        "verify",
        "activate",
        "alias",
        "pin",
        "tag",
        "monitor",
        "reconcile",
        "retain",
    ] {
        let text = run(dir.path(), &["checkpoints", command, "--help"], 0);
        assert!(
            text.contains("Examples:\n  annals checkpoints "),
            "{command}"
        );
    }
    assert!(run(dir.path(), &["--help"], 0).contains("Exit codes"));
    assert!(run(dir.path(), &["completions", "bash"], 0).contains("checkpoints"));
    complaint(dir.path(), &["completions", "cmd.exe"], 2);
    for command in ["rebuild", "retain"] {
        let text = run(dir.path(), &["mirror", command, "--help"], 0);
        assert!(text.contains("Examples:\n  annals mirror "), "{command}");
    }
    for misunderstood in [
        &["dance"][..],
        &["stats", "--by", "weather"],
        &["compare", "now"],
        &["tail", "-n", "many"],
        &["checkpoints", "alias", "champion"],
        &["restore", "somewhere"],
        &["retain"],
    ] {
        let said = complaint(dir.path(), misunderstood, 2);
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(
            said.starts_with("annals: ") && said.contains("--help"),
            "{said}"
        );
    }
}

#[test]
fn the_text_files_are_rebuilt() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    journal(&data, 9);
    let to = dir.path().join("logs");
    let to = to.to_str().unwrap();
    assert!(run(&data, &["mirror", "rebuild", to], 0).starts_with("16 lines"));
    complaint(&data, &["mirror", "rebuild", to], 4);
}

/// The agent's file of options, with a misspelt name if so wanted.
fn options_file(dir: &Path, retention: &str) -> String {
    let file = dir.join("agent.json");
    let text = format!(
        r#"{{"commit_interval": "50ms", {retention}: {{"max_age": "30d"}},
        "mirror": {{"rotation": {{"size": "2KiB"}}, "retention": {{"max_files": 2}}}}}}"#
    );
    std::fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

#[test]
fn old_text_files_are_planned_and_then_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mirror = Mirror::new().rotation(Rotation::Size(2_048));
    let journal = Journal::options().mirror(mirror).open(&data).unwrap();
    for _ in 0..200 {
        journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY"));
    }
    journal.close().unwrap();
    let files = || std::fs::read_dir(data.join("logs")).unwrap().count();
    let all = files();
    assert!(all > 5, "{all}");

    let plan = ["mirror", "retain", "--max-files", "3"];
    let shown = run(&data, &plan, 0);
    assert!(
        shown.contains("beyond the newest 3 files (max_files)"),
        "{shown}"
    );
    assert!(
        shown.ends_with("nothing was deleted: say --yes to do it\n"),
        "{shown}"
    );
    assert_eq!(files(), all);
    let file = options_file(dir.path(), r#""retention""#);
    let by_file = ["mirror", "retain", "--options", &file];
    let told = &json(&data, &by_file)[0];
    assert_eq!(told["applied"], false);
    let planned = told["files"].as_array().unwrap().len();
    // A rule that is given takes the place of the file's.
    let both = [&by_file[..], &["--max-files", "3"]].concat();
    let fewer = json(&data, &both)[0]["files"].as_array().unwrap().len();
    assert_eq!(fewer + 1, planned);

    let said = run(&data, &[&by_file[..], &["--yes"]].concat(), 0);
    assert!(
        said.contains(&format!("{planned} files deleted: ")),
        "{said}"
    );
    assert_eq!(files(), all - planned);
    assert_eq!(run(&data, &by_file, 0), "nothing to delete\n");
    let count = ["mirror", "retain", "--max-count", "5"];
    assert!(run(&data, &count, 0).contains("max_count"));
    complaint(&data, &["mirror", "retain"], 2);
    complaint(&data, &["mirror", "retain", "--keep-latest", "5"], 2);
}

#[test]
fn rules_come_from_the_agents_file_of_options() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    journal(&data, 9);
    let file = options_file(dir.path(), r#""retention""#);
    let plan = ["retain", "--options", &file];
    assert_eq!(run(&data, &plan, 0), "nothing to retire\n");
    let to = dir.path().join("again");
    let rebuild = [
        "mirror",
        "rebuild",
        "--options",
        &file,
        to.to_str().unwrap(),
    ];
    assert!(run(&data, &rebuild, 0).starts_with("16 lines"));
    let part = to.join("inference_records.part-0.txt");
    assert!(
        part.is_file(),
        "the files are cut by size, as the options say"
    );

    let misspelt = options_file(dir.path(), r#""retentoin""#);
    let said = complaint(&data, &["retain", "--options", &misspelt], 2);
    assert!(
        said.contains("retentoin") && said.contains("agent.json"),
        "{said}"
    );
    std::fs::write(&file, "{}").unwrap();
    let said = complaint(&data, &["retain", "--options", &file], 2);
    assert!(said.contains("no retention of entries"), "{said}");
    let said = complaint(&data, &["mirror", "retain", "--options", &file], 2);
    assert!(said.contains("no retention of text files"), "{said}");
    complaint(&data, &["retain", "--options", "/nowhere.json"], 4);
}

/// A name of a directory need not be text, and JSON is.
#[cfg(unix)]
#[test]
fn paths_that_are_no_text_are_shown_all_the_same() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join(OsStr::from_bytes(b"data\xff"));
    journal(&data, 9);
    let to = dir.path().join(OsStr::from_bytes(b"logs\xfe"));
    let mut rebuild = annals(&data, &["mirror", "rebuild", "--json"]);
    let output = rebuild.arg(&to).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(
        String::from_utf8(output.stdout)
            .unwrap()
            .contains('\u{fffd}')
    );

    std::fs::write(data.join("checkpoints/dqn_agent/stray.bin"), b"weights").unwrap();
    let report = json(&data, &["checkpoints", "reconcile"]);
    assert!(
        report[0]["foreign"].to_string().contains("stray.bin"),
        "{report:?}"
    );
    let hot = data.join("journal.redb");
    let mut bytes = std::fs::read(&hot).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 64].fill(0x5a);
    std::fs::write(&hot, bytes).unwrap();
    for args in [&["verify", "--json"][..], &["repair", "--yes", "--json"]] {
        let output = annals(&data, args).output().unwrap();
        let code = output.status.code();
        assert!(code.is_some_and(|code| code < 5), "{args:?}: {output:?}");
    }
}

#[test]
fn a_journal_is_verified_backed_up_and_restored() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    journal(&data, 30);
    assert_eq!(json(&data, &["verify"])[0]["whole"], true);
    let (backup, back) = (dir.path().join("backup"), dir.path().join("back"));
    run(&data, &["backup", backup.to_str().unwrap()], 0);
    let restore = [
        "restore",
        backup.to_str().unwrap(),
        "--to",
        back.to_str().unwrap(),
    ];
    run(&data, &restore, 0);
    assert_eq!(json(&back, &["tail", "-n", "100"]).len(), 30);
    assert_eq!(
        run(&data, &["retain", "--max-age", "1d"], 0),
        "nothing to retire\n"
    );
    complaint(&data, &["retain"], 2);
    assert!(complaint(&data, &["repair"], 2).contains("--yes"));
    assert_eq!(run(&data, &["repair", "--yes"], 0), "nothing to repair\n");
    std::fs::write(back.join("journal.redb"), b"no journal any more").unwrap();
    complaint(&back, &["repair", "--yes"], 3);
    assert!(complaint(&data, &["compact"], 2).contains("--yes"));
    complaint(
        &data,
        &["restore", "/no/such/backup", "--to", "/no/such/place"],
        3,
    );
}

/// The state that a killed agent leaves: entries that no rollup holds.
fn unfolded(dir: &Path, count: u64) {
    let journal = Journal::options().without_mirror().without_folding();
    let journal = journal.dedup_window(Duration::ZERO).open(dir).unwrap();
    for number in 0..count {
        journal
            .log(Inference::new("m", "s", "BUY").confidence(0.5))
            .unwrap();
        if number % 10_000 == 9_999 {
            journal.flush().wait(Duration::from_secs(60)).unwrap();
        }
    }
    journal.close().unwrap();
}

#[test]
fn whoever_asks_first_folds_what_a_killed_agent_left() {
    const COUNT: u64 = 70_000;
    let left = |dir: &Path| annals::Reader::open(dir).unwrap().unfolded().unwrap();
    let first = tempfile::tempdir().unwrap();
    unfolded(first.path(), COUNT);
    let text = run(first.path(), &["status"], 0);
    let line = text.lines().find(|line| line.starts_with("statistics"));
    assert!(
        line.unwrap().contains("entries not folded: `annals fold`"),
        "{text}"
    );
    let seen = &json(first.path(), &["status"])[0];
    assert_eq!(seen["unfolded"], left(first.path()));
    for question in [
        &["stats"][..],
        &["compare", "2h..1h", "1h..now"],
        &["calibration"],
        &["checkpoints", "best", "m", "--live", "reward"],
    ] {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let copy = Maintenance::open(first.path()).unwrap();
        let backup = dir.path().join("backup");
        copy.backup(&backup).run().unwrap();
        annals::maintenance::restore(&backup, &data).unwrap();
        assert!(left(&data) >= COUNT);
        let told = complaint(&data, question, 0);
        assert_eq!(told, "");
        assert_eq!(left(&data), 0, "{question:?}");
    }

    // With an agent there, its journal folds; the answer says why it took so long.
    let agent = Journal::options().without_mirror().without_folding();
    let agent = agent.open(first.path()).unwrap();
    let told = annals(first.path(), &["stats"]).output().unwrap();
    assert!(String::from_utf8(told.stdout).unwrap().contains("70,000"));
    let why = String::from_utf8(told.stderr).unwrap();
    assert!(
        why.contains("not folded") && why.contains("annals fold"),
        "{why}"
    );
    assert!(left(first.path()) >= COUNT);
    let text = run(first.path(), &["fold"], 0);
    assert!(text.contains("entries folded in"), "{text}");
    agent.close().unwrap();
    assert_eq!(left(first.path()), 0);
    let text = run(first.path(), &["status"], 0);
    assert!(text.contains("all entries are folded"), "{text}");
    assert_eq!(json(first.path(), &["status"])[0]["unfolded"], 0);
    assert_eq!(
        run(first.path(), &["fold"], 0),
        "nothing to fold: all entries are folded\n"
    );
    let told = &json(first.path(), &["fold"])[0];
    assert_eq!((&told["entries"], &told["left"]), (&0.into(), &0.into()));
    complaint(&first.path().join("none"), &["fold"], 3);
}

#[test]
fn a_comparison_names_close_checkpoints_and_shows_missing_confidences() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::options().without_mirror();
    let journal = journal
        .dedup_window(Duration::ZERO)
        .open(dir.path())
        .unwrap();
    for number in 0..200 {
        let inference = Inference::new("m", "s", "BUY");
        journal.log(inference.checkpoint("epoch_1").confidence(0.5));
        let inference = inference.checkpoint("epoch_2");
        journal.log(match number % 20 {
            0 => inference.confidence(0.5),
            _ => inference,
        });
    }
    journal.close().unwrap();
    let text = run(
        dir.path(),
        &["compare", "--checkpoints", "epoch_1", "epoch_2"],
        0,
    );
    let line = text
        .lines()
        .find(|line| line.contains("without confidence"));
    let line = line.unwrap();
    assert!(
        line.contains("95.0 %") && line.contains("+95.0 points"),
        "{text}"
    );
    let unknown = ["compare", "--checkpoints", "epoch_1", "epoch2"];
    let told = complaint(dir.path(), &unknown, 2);
    assert!(told.contains("close: epoch_2, epoch_1"), "{told}");
    let unlike = ["compare", "--checkpoints", "epoch_1", "something_else"];
    let told = complaint(dir.path(), &unlike, 2);
    assert!(!told.contains("close"), "{told}");
}

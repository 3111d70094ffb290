//! Output of the command line and its form: widths, escapes, plurals, exit codes, and the next
//! step.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::path::Path;
use std::time::Duration;

use annals::{Inference, Journal, Timestamp};
use common::{annals, complaint, journal, json, run};

/// Output of the command for a given number of columns.
fn within(dir: &Path, columns: usize, args: &[&str]) -> String {
    let mut command = annals(dir, args);
    let output = command
        .env("COLUMNS", columns.to_string())
        .output()
        .unwrap();
    assert!(output.status.success(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn tables_fit_the_width_and_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    journal(dir.path(), 60);
    let id = json(dir.path(), &["checkpoints", "best", "dqn_agent"])[0]["id"].clone();
    let id = id.as_str().unwrap();
    let all = "time,recorded,id,sequence,model,symbol,action,confidence,latency,checkpoint,reward";
    let commands: [&[&str]; 8] = [
        &["status"],
        &["stats", "--by", "model,symbol,checkpoint"],
        &["tail", "-n", "3", "--columns", all],
        &["checkpoints", "list"],
        &["checkpoints", "list", "dqn_agent"],
        &["checkpoints", "diff", id, id],
        &["checkpoints", "best", "dqn_agent", "--live", "reward"],
        &["calibration"],
    ];
    for args in commands {
        let whole = run(dir.path(), args, 0);
        for columns in [70, 80, 100, 500] {
            let text = within(dir.path(), columns, args);
            for line in text.lines() {
                // Places and sentences are no tables.
                let is_table = !line.starts_with("journal ") && !line.contains("; ");
                let width = line.chars().count();
                assert!(
                    !is_table || width <= columns,
                    "{columns} {args:?}: {line}\n{text}"
                );
            }
            if args == ["status"] {
                // It tells of times that go on.
                continue;
            }
            let letters = |text: &str| text.chars().filter(|c| !c.is_whitespace()).count();
            assert!(
                letters(&text) >= letters(&whole),
                "{columns} {args:?}:\n{text}"
            );
            if columns == 500 {
                assert_eq!(text.lines().count(), whole.lines().count(), "{args:?}");
            }
        }
    }
    // Output to a pipe does not depend on a window.
    let text = run(dir.path(), &["tail", "-n", "3", "--columns", all], 0);
    assert!(text.lines().count() == 4, "{text}");
}

#[test]
fn one_character_has_one_escape_everywhere() {
    let dir = tempfile::tempdir().unwrap();
    let open = Journal::open(dir.path()).unwrap();
    let odd = "a\u{1b}[31m\u{202e}b\u{200b}c\u{feff}\\d";
    let shown = r"a\u{001b}[31m\u{202e}b\u{200b}c\u{feff}\\d";
    open.log(Inference::new(odd, "S", "BUY").confidence(0.5))
        .unwrap();
    let time = Timestamp::from_micros(common::BEGIN);
    open.log(Inference::new("x".repeat(1_000).as_str(), "S", "BUY").event_time(time))
        .unwrap();
    open.flush().wait(Duration::from_secs(60)).unwrap();
    open.close().unwrap();
    let commands: [&[&str]; 4] = [
        &["tail"],
        &["tail", "--columns", "model"],
        &["stats"],
        &["stats", "--by", "model,action"],
    ];
    for args in commands {
        let text = run(dir.path(), args, 0);
        assert!(text.contains(shown), "{args:?}: {text}");
        let unseen =
            |c: char| c != '\n' && (c.is_control() || "\u{202e}\u{200b}\u{feff}".contains(c));
        assert!(!text.contains(unseen), "{args:?}: {text:?}");
    }
    let widest = run(dir.path(), &["stats"], 0)
        .lines()
        .map(|line| line.chars().count())
        .max();
    assert!(
        widest.unwrap() < 600,
        "a long name makes the table unreadable"
    );
    let said = complaint(dir.path(), &["checkpoints", "show", odd], 2);
    assert!(
        said.contains(r"\u{001b}") && said.contains(r"\u{202e}"),
        "{said}"
    );
}

#[test]
fn a_missing_journal_says_how_to_name_one() {
    let dir = tempfile::tempdir().unwrap();
    let said = complaint(&dir.path().join("none"), &["status"], 3);
    assert!(
        said.contains("-d DIR") && said.contains("ANNALS_DIR"),
        "{said}"
    );
    assert!(!said.contains("open it"), "{said}");
}

#[test]
fn what_is_not_there_is_exit_code_2_and_names_a_command() {
    let dir = tempfile::tempdir().unwrap();
    journal(dir.path(), 5);
    let open = Journal::open(dir.path()).unwrap();
    let registry = open.registry().unwrap();
    let new = registry.checkpoint("other").metric("loss", 0.5);
    new.save(b"weights").unwrap();
    drop(registry);
    open.close().unwrap();
    let cases: [(&[&str], &str); 11] = [
        (&["explain", "9-9"], "annals tail"),
        (
            &["compare", "--checkpoints", "no", "yes"],
            "annals stats --by checkpoint",
        ),
        (
            &["checkpoints", "list", "nobody"],
            "annals checkpoints list",
        ),
        (&["checkpoints", "best", "nobody"], "nobody"),
        (
            &["checkpoints", "best", "other"],
            "annals checkpoints monitor other loss min",
        ),
        (
            &[
                "checkpoints",
                "best",
                "other",
                "--by",
                "los",
                "--mode",
                "min",
            ],
            "did you mean \"loss\"?",
        ),
        (
            &["checkpoints", "show", "nothing"],
            "annals checkpoints list",
        ),
        (
            &["checkpoints", "activate", "nothing"],
            "annals checkpoints list",
        ),
        (
            &[
                "checkpoints",
                "alias",
                "x",
                "--model",
                "other",
                "--rollback",
            ],
            "alias",
        ),
        (&["cursors", "--remove", "none"], "none"),
        (&["checkpoints", "alias", "", "x"], ""),
    ];
    for (args, says) in cases {
        let said = complaint(dir.path(), args, 2);
        assert_eq!(said.lines().count(), 1, "{args:?}: {said}");
        assert!(said.contains(says), "{args:?}: {said}");
        assert!(
            !said.contains("()") && !said.contains("set_monitor"),
            "{args:?}: {said}"
        );
    }
}

#[test]
fn options_that_are_wrong_are_said_in_words() {
    let dir = tempfile::tempdir().unwrap();
    journal(dir.path(), 1);
    let cases: [(&[&str], &str); 5] = [
        (&["tail", "-n", "many"], "not a whole number"),
        (&["events", "--levl", "warn"], "; tip:"),
        (&["retain"], "--max-bytes"),
        (&["retain", "--max-bytes", "1XB"], "1.5GB"),
        (
            &["status", "--watch", "99999999999999999999999"],
            "too large",
        ),
    ];
    for (args, says) in cases {
        let said = complaint(dir.path(), args, 2);
        assert!(said.contains(says), "{args:?}: {said}");
        assert!(!said.contains("found in string"), "{said}");
    }
    assert_eq!(
        run(dir.path(), &["retain", "--max-bytes", "1GB"], 0),
        "nothing to retire\n"
    );
    run(
        dir.path(),
        &["retain", "--max-bytes", "1GB", "--max-age", "30d"],
        0,
    );
}

#[test]
fn one_is_singular() {
    let dir = tempfile::tempdir().unwrap();
    journal(dir.path(), 2);
    let one = ["tail", "-n", "1", "--json"];
    let file = dir.path().join("one.jsonl");
    std::fs::write(&file, run(dir.path(), &one, 0)).unwrap();
    let into = dir.path().join("copy");
    let said = run(
        &into,
        &["import", file.to_str().unwrap(), "--source", "one"],
        0,
    );
    assert!(
        said.contains("1 inference\n") || said.contains("1 inference,"),
        "{said}"
    );
    let to = dir.path().join("one.csv");
    let said = run(&into, &["export", to.to_str().unwrap()], 0);
    assert!(said.starts_with("1 row in"), "{said}");
    let said = run(&into, &["verify"], 0);
    assert!(
        !said.contains(" 1 segments") && !said.contains(" 1 blocks"),
        "{said}"
    );
}

#[test]
fn the_documents_list_the_exit_codes_of_the_help() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = annals(dir.path(), &["--help"]);
    let help = command.env("COLUMNS", "1000").output().unwrap().stdout;
    let help = String::from_utf8(help).unwrap();
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/command-line.md");
    let page = std::fs::read_to_string(page).unwrap();
    let codes: Vec<&str> = help
        .lines()
        .skip_while(|line| *line != "Exit codes:")
        .skip(1)
        .take_while(|line| !line.trim().is_empty())
        .collect();
    assert_eq!(codes.len(), 5, "{help}");
    for line in codes {
        let (code, meaning) = line.trim().split_once("  ").unwrap();
        assert!(page.contains(&format!("| {code} | {meaning} |")), "{line}");
    }
}

#[test]
fn paragraphs_of_the_help_are_broken_once() {
    let dir = tempfile::tempdir().unwrap();
    for command in [
        "stats", "import", "export", "compare", "retain", "repair", "follow",
    ] {
        let help = run(dir.path(), &[command, "--help"], 0);
        let lines: Vec<&str> = help.lines().collect();
        // A line that ends early although the next word would have fit was broken by hand.
        for pair in lines.windows(2).filter(|pair| !pair[0].starts_with(' ')) {
            let [line, next] = pair else { continue };
            let is_text = line.len() > 30 && !next.starts_with(' ') && !next.trim().is_empty();
            let word = next.split(' ').next().unwrap_or_default();
            let fits = line.chars().count() + 1 + word.chars().count() <= 80;
            assert!(!(is_text && fits), "{command}: {line}\n{next}");
        }
        let own = help.find("Options:").unwrap();
        let shared = help.find("Options of every command:").unwrap();
        assert!(
            shared > own && help.find("--json").unwrap() > shared,
            "{help}"
        );
    }
}

#[test]
fn a_checkpoint_is_shown_with_its_aliases_and_epoch() {
    let dir = tempfile::tempdir().unwrap();
    let open = Journal::open(dir.path()).unwrap();
    let registry = open.registry().unwrap();
    let new = registry.checkpoint("m").epoch(1_500).metric("loss", 0.5);
    let id = new.save(b"weights").unwrap().id().to_owned();
    registry.set_alias("champion", &id).unwrap();
    registry.activate(&id).unwrap();
    drop(registry);
    open.close().unwrap();
    let text = run(dir.path(), &["checkpoints", "show", &id], 0);
    assert!(text.contains("aliases        active champion"), "{text}");
    let whole = &json(dir.path(), &["checkpoints", "show", &id])[0];
    assert_eq!(whole["aliases"], serde_json::json!(["active", "champion"]));
    let all = &json(dir.path(), &["checkpoints", "list", "m"])[0];
    assert_eq!(all[0]["aliases"], whole["aliases"]);
    let text = run(dir.path(), &["checkpoints", "list", "m"], 0);
    assert!(text.contains("epoch") && text.contains("1,500"), "{text}");
    assert!(!text.contains("step"), "a column that is empty: {text}");
}

#[test]
fn shares_are_compared_in_points() {
    let dir = tempfile::tempdir().unwrap();
    journal(dir.path(), 60);
    let (this, that) = (
        "2025-07-25 14:34..2025-07-25 14:35",
        "2025-07-25 14:35..2025-07-25 14:36",
    );
    let text = run(dir.path(), &["compare", this, that], 0);
    let line = |name: &str| {
        text.lines()
            .find(|line| line.starts_with(name))
            .unwrap_or_default()
    };
    assert!(line("accuracy").ends_with(" points"), "{text}");
    assert!(line("repeated").ends_with("+0.0 points"), "{text}");
    assert!(line("decisions").ends_with(" %"), "{text}");
}

#[test]
fn damage_is_listed_once_with_one_advice() {
    let dir = tempfile::tempdir().unwrap();
    journal(dir.path(), 5_000);
    let file = dir.path().join("journal.redb");
    let whole = std::fs::read(&file).unwrap();
    // One byte within a text of the first block.
    let text = whole
        .windows(9)
        .position(|bytes| bytes == b"dqn_agent")
        .unwrap();
    let mut told = 0;
    for place in [text, whole.len() / 3, whole.len() / 2, whole.len() * 2 / 3] {
        let mut bytes = whole.clone();
        for byte in &mut bytes[place..place + 8] {
            *byte ^= 0x55;
        }
        std::fs::write(&file, bytes).unwrap();
        let output = annals(dir.path(), &["verify"]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            !String::from_utf8_lossy(&output.stderr).contains("panicked"),
            "{output:?}"
        );
        if output.status.code() != Some(1) {
            continue;
        }
        told += 1;
        assert_eq!(said.matches("annals repair --yes").count(), 1, "{said}");
        assert_eq!(said.matches("restore a backup").count(), 0, "{said}");
        assert!(said.matches("journal.redb").count() <= 2, "{said}");
    }
    assert!(told > 0, "no place was in use");
}

//! Exports: whole under their name, nothing left behind, and only regular files replaced.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::fs;
use std::path::Path;

use annals::{Inference, Journal, Timestamp};
use common::{annals, complaint, journal, json, run};

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

#[test]
fn two_exports_under_one_name_are_each_whole() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    journal(&data, 3_000);
    let to = dir.path().join("out").join("all.jsonl");
    fs::create_dir(to.parent().unwrap()).unwrap();
    let path = to.to_str().unwrap();
    for _ in 0..5 {
        let mut first = annals(&data, &["export", path]).spawn().unwrap();
        let second = annals(&data, &["export", path, "--action", "BUY"]).output();
        assert!(second.unwrap().status.success() && first.wait().unwrap().success());
        let text = fs::read_to_string(&to).unwrap();
        let lines = text.lines().filter(|line| line.contains("\"inference\""));
        let lines = lines.count();
        assert!([1_000, 3_000].contains(&lines), "{lines}");
        assert_eq!(names(to.parent().unwrap()), ["all.jsonl"]);
    }
}

#[test]
fn missing_folders_above_the_file_are_created() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    journal(&data, 3);
    let to = dir.path().join("a").join("b").join("all.csv");
    run(&data, &["export", to.to_str().unwrap()], 0);
    assert_eq!(names(to.parent().unwrap()), ["all.csv"]);
}

#[test]
fn what_a_killed_export_left_is_hidden_and_removed() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    journal(&data, 30);
    let lake = dir.path().join("lake");
    let path = lake.to_str().unwrap();
    let by_day = ["export", path, "--by-day", "--format", "jsonl"];
    run(&data, &by_day, 0);
    let day = lake.join("day=2025-07-25");
    let other = lake.join("day=2001-01-01");
    fs::create_dir(&other).unwrap();
    for folder in [&day, &other] {
        fs::write(folder.join(".annals-1-0.partial"), b"half of a").unwrap();
    }
    // One that is being written is locked, and stays.
    let held = fs::File::create(day.join(".annals-1-1.partial")).unwrap();
    held.try_lock().unwrap();
    run(&data, &by_day, 0);
    assert_eq!(names(&other), [""; 0]);
    let found = names(&day);
    assert_eq!(found[0], ".annals-1-1.partial");
    assert_eq!(found.len(), 3, "{found:?}");
}

#[test]
fn days_in_turn_have_one_file_each() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let open = Journal::open(&data).unwrap();
    for number in 0..1_000_i64 {
        let time = Timestamp::from_micros((number % 40) * 86_400_000_000);
        open.log(Inference::new("m", "s", "BUY").event_time(time))
            .unwrap();
    }
    open.close().unwrap();
    let lake = dir.path().join("lake");
    run(
        &data,
        &[
            "export",
            lake.to_str().unwrap(),
            "--by-day",
            "--format",
            "csv",
        ],
        0,
    );
    let days = names(&lake);
    assert_eq!(days.len(), 40);
    for day in days {
        assert_eq!(names(&lake.join(&day)).len(), 1, "{day}");
    }
}

#[test]
fn what_cannot_be_replaced_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    journal(&data, 3);
    let folder = dir.path().join("folder.csv");
    fs::create_dir(&folder).unwrap();
    let said = complaint(&data, &["export", folder.to_str().unwrap()], 4);
    assert!(said.contains("directory"), "{said}");
    let kept = dir.path().join("kept.csv");
    fs::write(&kept, b"mine").unwrap();
    let mut mode = fs::metadata(&kept).unwrap().permissions();
    mode.set_readonly(true);
    fs::set_permissions(&kept, mode).unwrap();
    complaint(&data, &["export", kept.to_str().unwrap()], 4);
    assert_eq!(fs::read(&kept).unwrap(), b"mine");
    let behind_a_file = kept.join("such.csv");
    complaint(&data, &["export", behind_a_file.to_str().unwrap()], 4);
}

#[cfg(unix)]
#[test]
fn pipes_are_written_to_and_links_written_through() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    journal(&data, 300);
    let pipe = dir.path().join("pipe.csv");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let mut writing = annals(&data, &["export", pipe.to_str().unwrap()])
        .spawn()
        .unwrap();
    let text = fs::read_to_string(&pipe).unwrap();
    assert!(writing.wait().unwrap().success());
    assert_eq!(text.lines().count(), 301);
    assert!(!fs::symlink_metadata(&pipe).unwrap().is_file());

    let text = run(&data, &["export", "/dev/stdout", "--format", "csv"], 0);
    assert_eq!(text.lines().count(), 301);

    // As the shell's >(gzip) does.
    let path = data.to_str().unwrap();
    let shell = format!(
        "{} --dir {path} export /dev/fd/7 --format csv 7>&1 >/dev/null | cat",
        env!("CARGO_BIN_EXE_annals")
    );
    let piped = std::process::Command::new("sh")
        .args(["-c", &shell])
        .output();
    let text = String::from_utf8(piped.unwrap().stdout).unwrap();
    assert_eq!(text.lines().count(), 301);

    // A file that the shell has open is written to behind what is there.
    let head = dir.path().join("head.txt");
    let shell = format!(
        "exec 3>{0}; echo first >&3; {1} --dir {path} export /dev/fd/3 --format csv >/dev/null",
        head.display(),
        env!("CARGO_BIN_EXE_annals")
    );
    let ran = std::process::Command::new("sh")
        .args(["-c", &shell])
        .status();
    assert!(ran.unwrap().success());
    assert_eq!(fs::read_to_string(&head).unwrap().lines().count(), 302);

    let (real, link) = (dir.path().join("real.csv"), dir.path().join("link.csv"));
    std::os::unix::fs::symlink("real.csv", dir.path().join("between.csv")).unwrap();
    std::os::unix::fs::symlink("between.csv", &link).unwrap();
    for _ in 0..2 {
        run(&data, &["export", link.to_str().unwrap()], 0);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&real).unwrap().lines().count(), 301);
    }
}

#[test]
fn csv_has_named_outcome_values() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    journal(&data, 3);
    let text = run(&data, &["export", "-", "--format", "csv"], 0);
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let headers = reader.headers().unwrap().clone();
    let column = headers.iter().position(|name| name == "outcome_values");
    let column = column.unwrap();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(&rows[0][column], r#"{"pnl":0.5}"#);
    assert_eq!(&rows[1][column], "");
}

/// A deviation of one decision is unknown: null, not text.
#[test]
fn unknown_numbers_are_null_in_json() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let open = Journal::open(&data).unwrap();
    let inference = Inference::new("m", "s", "BUY").confidence(f32::NAN);
    open.log(inference).unwrap();
    open.close().unwrap();
    let text = json(&data, &["stats"]).remove(0).to_string();
    assert!(!text.contains("NaN"), "{text}");
}

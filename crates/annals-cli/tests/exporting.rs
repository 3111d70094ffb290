//! Exports: whole under their name, nothing left behind, and only regular files replaced.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use annals::{Inference, Journal, Outcome, Timestamp};
use common::{Place, annals, complaint, json, names, run};

#[test]
fn two_exports_under_one_name_are_each_whole() {
    let place = Place::with(3_000);
    let to = place.path("out").join("all.jsonl");
    fs::create_dir(to.parent().unwrap()).unwrap();
    let path = to.to_str().unwrap();
    for _ in 0..5 {
        let mut first = annals(&place.data, &["export", path]).spawn().unwrap();
        let second = annals(&place.data, &["export", path, "--action", "BUY"]).output();
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
    let place = Place::with(3);
    let to = place.path("a").join("b").join("all.csv");
    run(&place.data, &["export", to.to_str().unwrap()], 0);
    assert_eq!(names(to.parent().unwrap()), ["all.csv"]);
}

#[test]
fn what_a_killed_export_left_is_hidden_and_removed() {
    let place = Place::with(30);
    let lake = place.path("lake");
    let path = lake.to_str().unwrap();
    let by_day = ["export", path, "--by-day", "--format", "jsonl"];
    run(&place.data, &by_day, 0);
    let day = lake.join("day=2025-07-25");
    let other = lake.join("day=2001-01-01");
    fs::create_dir(&other).unwrap();
    for folder in [&day, &other] {
        fs::write(folder.join(".annals-1-0.partial"), b"half of a").unwrap();
    }
    // One that is being written is locked, and stays.
    let held = fs::File::create(day.join(".annals-1-1.partial")).unwrap();
    held.try_lock().unwrap();
    run(&place.data, &by_day, 0);
    assert_eq!(names(&other), [""; 0]);
    let found = names(&day);
    assert_eq!(found[0], ".annals-1-1.partial");
    // The second export took the place of the first.
    assert_eq!(found.len(), 2, "{found:?}");
}

#[test]
fn days_in_turn_have_one_file_each() {
    let place = Place::new();
    let open = Journal::open(&place.data).unwrap();
    for number in 0..1_000_i64 {
        let time = Timestamp::from_micros((number % 40) * 86_400_000_000);
        open.log(Inference::new("m", "s", "BUY").event_time(time))
            .unwrap();
    }
    open.close().unwrap();
    let lake = place.path("lake");
    run(
        &place.data,
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
    let place = Place::with(3);
    let folder = place.path("folder.csv");
    fs::create_dir(&folder).unwrap();
    let said = complaint(&place.data, &["export", folder.to_str().unwrap()], 4);
    assert!(said.contains("directory"), "{said}");
    let kept = place.path("kept.csv");
    fs::write(&kept, b"mine").unwrap();
    let mut mode = fs::metadata(&kept).unwrap().permissions();
    mode.set_readonly(true);
    fs::set_permissions(&kept, mode).unwrap();
    complaint(&place.data, &["export", kept.to_str().unwrap()], 4);
    assert_eq!(fs::read(&kept).unwrap(), b"mine");
    let behind_a_file = kept.join("such.csv");
    complaint(&place.data, &["export", behind_a_file.to_str().unwrap()], 4);
}

#[cfg(unix)]
#[test]
fn pipes_are_written_to_and_links_written_through() {
    let place = Place::with(300);
    let pipe = place.path("pipe.csv");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let mut writing = annals(&place.data, &["export", pipe.to_str().unwrap()])
        .spawn()
        .unwrap();
    let text = fs::read_to_string(&pipe).unwrap();
    assert!(writing.wait().unwrap().success());
    assert_eq!(text.lines().count(), 301);
    assert!(!fs::symlink_metadata(&pipe).unwrap().is_file());

    let text = run(
        &place.data,
        &["export", "/dev/stdout", "--format", "csv"],
        0,
    );
    assert_eq!(text.lines().count(), 301);

    // As the shell's >(gzip) does.
    let path = place.data.to_str().unwrap();
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
    let head = place.path("head.txt");
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

    let (real, link) = (place.path("real.csv"), place.path("link.csv"));
    std::os::unix::fs::symlink("real.csv", place.path("between.csv")).unwrap();
    std::os::unix::fs::symlink("between.csv", &link).unwrap();
    for _ in 0..2 {
        run(&place.data, &["export", link.to_str().unwrap()], 0);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&real).unwrap().lines().count(), 301);
    }
}

#[test]
fn csv_has_named_outcome_values() {
    let place = Place::with(3);
    let text = run(&place.data, &["export", "-", "--format", "csv"], 0);
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
    let place = Place::new();
    let open = Journal::open(&place.data).unwrap();
    let inference = Inference::new("m", "s", "BUY").confidence(f32::NAN);
    open.log(inference).unwrap();
    open.close().unwrap();
    let text = json(&place.data, &["stats"]).remove(0).to_string();
    assert!(!text.contains("NaN"), "{text}");
}

/// A decision with all that one can have, a repeat, and an outcome of what is not there.
fn all_kinds(dir: &Path) {
    let open = Journal::open(dir).unwrap();
    let asked = || {
        Inference::new("=m", "", "BUY")
            .confidence(f32::NAN)
            .probabilities(&[("BUY", f32::INFINITY)])
            .features_hashed(7)
            .checkpoint("+cp")
            .processing_time(std::time::Duration::from_micros(5))
            .memory(1 << 20)
            .deterministic()
            .propensity(f32::NAN)
            .action_vector(&[0.5, f32::INFINITY])
            .predictions(&[("=price", 101.5), ("volume", f64::NAN)])
            .caused_by(annals::InferenceId::from_u64(7))
            .correlation("=order")
            .episode(annals::entry::EpisodeId::from_u64(1 << 40), 1 << 40)
    };
    let attributes = [("note", "=1".into())];
    let id = open.log(asked().attributes(&attributes)).unwrap();
    let at = |second: i64| Timestamp::from_micros(second * 1_000_000);
    let first = Outcome::new().reward(f64::NEG_INFINITY).correct(true);
    open.attach_outcome(id, first.value("pnl", f64::NAN).at(at(1)));
    open.attach_outcome(id, Outcome::new().label("").at(at(2)));
    for _twice in 0..2 {
        let asked = Inference::new("odd", "BTC/USDT", "HOLD").confidence(0.5);
        open.log(asked.features_hashed(8).checkpoint("cp_2").deterministic())
            .unwrap();
    }
    open.log(Inference::new("plain", "s", "SELL")).unwrap();
    let of = open.health().run.inference(1 << 30).unwrap();
    open.attach_outcome(of, Outcome::new().reward(-1.5).at(at(3)));
    open.close().unwrap();
}

/// The columns of JSON lines: what is within `outcome` has a name of its own elsewhere.
fn columns_of_lines(text: &str) -> BTreeSet<String> {
    let mut columns = BTreeSet::new();
    for line in text.lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let kind = row["kind"].as_str().unwrap();
        if !["inference", "repeat", "outcome"].contains(&kind) {
            continue;
        }
        for name in row.as_object().unwrap().keys() {
            let Some(outcome) = row[name].as_object().filter(|_| name == "outcome") else {
                columns.insert(name.clone());
                continue;
            };
            let names = outcome.keys().map(|name| match name.as_str() {
                "reward" | "correct" => name.clone(),
                _ => format!("outcome_{name}"),
            });
            columns.extend(names);
        }
    }
    columns
}

#[test]
fn all_formats_have_the_same_columns() {
    use parquet::file::reader::{FileReader, SerializedFileReader};

    let place = Place::new();
    all_kinds(&place.data);
    let csv = run(&place.data, &["export", "-", "--format", "csv"], 0);
    let csv: Vec<&str> = csv.lines().next().unwrap().split(',').collect();
    let path = place.path("all.parquet");
    run(&place.data, &["export", path.to_str().unwrap()], 0);
    let file = SerializedFileReader::new(fs::File::open(&path).unwrap()).unwrap();
    let schema = file.metadata().file_metadata().schema().clone();
    let parquet: Vec<&str> = schema
        .get_fields()
        .iter()
        .map(|field| field.name())
        .collect();
    assert_eq!(csv, parquet);
    let lines = run(&place.data, &["export", "-", "--format", "jsonl"], 0);
    let mut columns = columns_of_lines(&lines);
    // Only lines have room for every outcome that was recorded, and by which run.
    for name in ["outcomes", "recorded_by"] {
        assert!(columns.remove(name), "{name}");
    }
    // In lines, predictions are one object.
    columns.insert("prediction_names".to_owned());
    // It is left out of a line where it does not hold.
    columns.insert("divergent".to_owned());
    assert_eq!(columns, csv.iter().map(ToString::to_string).collect());
    for name in ["id", "run", "number", "sequence", "journal"] {
        assert!(csv.contains(&name), "{name}");
    }
}

#[test]
fn missing_empty_and_odd_values_are_told_apart() {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::Field;

    let place = Place::new();
    all_kinds(&place.data);
    let text = run(&place.data, &["export", "-", "--format", "csv"], 0);
    let first = text.lines().nth(1).unwrap();
    assert!(first.contains(",=m,\"\",BUY,+cp,NaN,"), "{first}");
    assert!(first.contains(",-inf,true,\"\","), "{first}");
    let plain = text
        .lines()
        .find(|line| line.contains(",plain,s,SELL,"))
        .unwrap();
    assert!(plain.contains(",plain,s,SELL,,,,,"), "{plain}");

    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let names = reader.headers().unwrap().clone();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let cell = |row: &csv::StringRecord, name: &str| {
        let index = names.iter().position(|column| column == name).unwrap();
        row[index].to_owned()
    };
    let path = place.path("all.parquet");
    run(&place.data, &["export", path.to_str().unwrap()], 0);
    let file = SerializedFileReader::new(fs::File::open(&path).unwrap()).unwrap();
    let typed: Vec<_> = file
        .get_row_iter(None)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(typed.len(), rows.len());
    let kinds: BTreeSet<String> = rows.iter().map(|row| cell(row, "kind")).collect();
    assert_eq!(kinds.len(), 3, "{kinds:?}");
    for (row, typed) in rows.iter().zip(&typed) {
        assert_eq!(
            cell(row, "id"),
            format!("{}-{}", cell(row, "run"), cell(row, "number"))
        );
        for (name, value) in typed.get_column_iter() {
            let text = cell(row, name);
            match value {
                Field::Null => assert_eq!(text, "", "{name}"),
                Field::Str(value) => assert_eq!(&text, value, "{name}"),
                Field::Float(value) => assert_eq!(text, value.to_string(), "{name}"),
                Field::Double(value) => assert_eq!(text, value.to_string(), "{name}"),
                Field::Int(value) => assert_eq!(text, value.to_string(), "{name}"),
                Field::Bool(value) => assert_eq!(text, value.to_string(), "{name}"),
                Field::ULong(value) if name == "step" => assert_eq!(text, value.to_string()),
                Field::ListInternal(list) if name == "action_vector" => {
                    let is_first = cell(row, "propensity") == "NaN";
                    assert_eq!(list.len(), if is_first { 2 } else { 0 });
                    assert_eq!(text, if is_first { "[0.5,\"inf\"]" } else { "" });
                }
                Field::ListInternal(list) if name == "predictions" => {
                    let is_first = cell(row, "propensity") == "NaN";
                    assert_eq!(list.len(), if is_first { 2 } else { 0 });
                    assert_eq!(text, if is_first { "[101.5,\"NaN\"]" } else { "" });
                    let names = cell(row, "prediction_names");
                    assert_eq!(
                        names,
                        if is_first {
                            "[\"=price\",\"volume\"]"
                        } else {
                            ""
                        }
                    );
                }
                _ => {}
            }
        }
    }
}

#[test]
fn safe_cells_have_no_formulas() {
    let place = Place::new();
    all_kinds(&place.data);
    let text = run(
        &place.data,
        &["export", "-", "--format", "csv", "--safe-cells"],
        0,
    );
    let first = text.lines().nth(1).unwrap();
    assert!(first.contains(",'=m,\"\",BUY,'+cp,NaN,"), "{first}");
    assert!(
        first.contains(",-inf,true,") && text.contains(",-1.5,"),
        "{text}"
    );
    for format in ["jsonl", "parquet"] {
        let to = place.path("all");
        let args = [
            "export",
            to.to_str().unwrap(),
            "--format",
            format,
            "--safe-cells",
        ];
        let said = complaint(&place.data, &args, 2);
        assert!(said.contains("--format csv"), "{said}");
        assert!(!to.exists());
    }
}

#[test]
fn a_limit_takes_the_first_rows_and_a_cursor_goes_on_behind_them() {
    let place = Place::with(25);
    let csv = ["export", "-", "--format", "csv"];
    let whole = run(&place.data, &csv, 0);
    let with = |more: &[&str]| run(&place.data, &[&csv[..], more].concat(), 0);
    for limit in [0, 1, 7, 25, 1_000] {
        let text = with(&["-n", &limit.to_string()]);
        let first: String = whole.split_inclusive('\n').take(limit + 1).collect();
        assert_eq!(text, first);
    }
    assert_eq!(
        with(&["--limit", "2", "--action", "SELL"]).lines().count(),
        3
    );
    let lines = run(
        &place.data,
        &["export", "-", "--format", "jsonl", "-n", "3"],
        0,
    );
    assert_eq!(lines.lines().count(), 3);

    // In pieces, each decision comes once.
    let mut pieces = Vec::new();
    for limit in ["0", "10", "10", "10", "10"] {
        let text = with(&["-n", limit, "--cursor", "pieces"]);
        let rows = text
            .lines()
            .skip(1)
            .filter(|line| line.starts_with("inference,"));
        pieces.extend(rows.map(str::to_owned));
    }
    let all: Vec<&str> = whole.lines().skip(1).collect();
    assert_eq!(pieces, all);
    let path = place.path("some.parquet");
    let said = run(
        &place.data,
        &["export", path.to_str().unwrap(), "-n", "4"],
        0,
    );
    assert!(said.starts_with("4 rows in"), "{said}");
}

/// CSV and Parquet have what holds, say what they leave out, and have the rest with an option.
#[test]
fn what_was_replaced_has_a_way_out() {
    let place = Place::new();
    let open = Journal::open(&place.data).unwrap();
    let asked = || Inference::new("m", "s", "BUY");
    let ids = [open.log(asked()).unwrap(), open.log(asked()).unwrap()];
    for reward in [1.0, 2.0, 1.0] {
        open.attach_outcome(ids[0], Outcome::new().reward(reward).value("pnl", reward));
    }
    open.attach_outcome(ids[1], Outcome::new().correct(true));
    open.attach_outcome(ids[1], Outcome::new().reward(0.5));
    open.event(annals::Level::Warn, "exchange", "feed is late");
    open.close().unwrap();
    for name in ["all.csv", "all.parquet"] {
        let to = place.arg(name);
        let said = place.run(&["export", &to]);
        assert!(
            said.contains("left out: 1 event, 2 replaced outcomes"),
            "{said}"
        );
        assert!(said.contains("--history"), "{said}");
        let said = place.run(&["export", &to, "--history"]);
        assert!(said.starts_with("2 rows and 5 outcomes in"), "{said}");
        assert!(!said.contains("replaced"), "{said}");
    }
    let left_out = &json(&place.data, &["export", &place.arg("all.csv")])[0]["left_out"];
    assert_eq!(left_out["replaced_outcomes"], 2);
    let text = place.run(&[
        "export",
        "-",
        "--format",
        "csv",
        "--history",
        "--model",
        "m",
    ]);
    let rows = text.lines().filter(|line| line.starts_with("outcome,"));
    assert_eq!(rows.count(), 5);
    let none = place.run(&[
        "export",
        "-",
        "--format",
        "csv",
        "--history",
        "--model",
        "n",
    ]);
    assert_eq!(none.lines().count(), 1);
    let said = place.run(&["export", &place.arg("all.jsonl")]);
    assert!(!said.contains("left out"), "{said}");
    complaint(
        &place.data,
        &["export", &place.arg("all.jsonl"), "--history"],
        2,
    );
    let text = place.run(&["export", "-", "--format", "jsonl"]);
    let first: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    let rewards: Vec<f64> = first["outcomes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|past| past["reward"].as_f64().unwrap())
        .collect();
    assert_eq!(rewards, [1.0, 2.0, 1.0]);
}

/// A line that was changed: its current values are not lost.
#[test]
fn a_changed_outcome_is_taken_in_beside_its_history() {
    let place = Place::new();
    let open = Journal::open(&place.data).unwrap();
    let id = open.log(Inference::new("m", "s", "BUY")).unwrap();
    open.attach_outcome(id, Outcome::new().reward(1.0));
    open.close().unwrap();
    let text = place.run(&["export", "-", "--format", "jsonl"]);
    let mut line: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
    let changes: [fn(&mut serde_json::Value); 3] = [
        |line| line["outcome"]["reward"] = 7.0.into(),
        |line| line["outcomes"] = "none".into(),
        |line| line["outcomes"][0]["reward"] = "much".into(),
    ];
    for (change, holds) in changes.into_iter().zip([7.0, 1.0, 1.0]) {
        let before = line.clone();
        change(&mut line);
        let (file, copy) = (
            place.path("changed.jsonl"),
            place.path(&format!("to {holds}")),
        );
        let _ = fs::remove_dir_all(&copy);
        fs::write(&file, line.to_string()).unwrap();
        annals(&copy, &["import", file.to_str().unwrap()])
            .output()
            .unwrap();
        let text = run(&copy, &["export", "-", "--format", "jsonl"], 0);
        let taken: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
        assert_eq!(taken["outcome"]["reward"], holds);
        line = before;
    }
}

#[cfg(unix)]
fn signal(process: &std::process::Child, name: &str) {
    let process = process.id().to_string();
    let kill = std::process::Command::new("kill")
        .args([name, &process])
        .status();
    assert!(kill.unwrap().success());
}

/// Unfinished files, also within the folders of days.
#[cfg(unix)]
fn unfinished(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for name in names(folder) {
        let path = folder.join(&name);
        if path.is_dir() {
            found.extend(unfinished(&path));
        } else if name.ends_with(".partial") {
            found.push(name);
        }
    }
    found
}

/// The pipe is full and not read any more: the export cannot end by itself.
#[cfg(unix)]
#[test]
fn an_export_that_waits_for_a_pipe_can_be_ended() {
    use std::io::Read;

    let place = Place::with(3_000);
    let pipe = place.path("pipe.csv");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    for (name, code) in [("-INT", 130), ("-TERM", 143)] {
        let mut writing = annals(&place.data, &["export", pipe.to_str().unwrap()])
            .spawn()
            .unwrap();
        let mut reading = fs::File::open(&pipe).unwrap();
        reading.read_exact(&mut [0]).unwrap();
        signal(&writing, name);
        assert_eq!(writing.wait().unwrap().code(), Some(code));
    }
}

/// An attempt that was done before the signal came has written all of it, and does not count.
#[cfg(unix)]
#[test]
fn an_export_that_is_ended_leaves_nothing_unfinished() {
    let place = Place::with(10_000);
    let out = place.path("out");
    fs::create_dir(&out).unwrap();
    for (file, more, name, code) in [
        ("all.csv", &[][..], "-TERM", 143),
        ("all.jsonl.gz", &[], "-INT", 130),
        ("all.parquet", &[], "-TERM", 143),
        ("lake", &["--by-day", "--format", "jsonl"], "-INT", 130),
    ] {
        let to = out.join(file);
        let is_folder = !more.is_empty();
        let args = [&["export", to.to_str().unwrap()][..], more].concat();
        let mut was_ended = false;
        for _attempt in 0..100 {
            if is_folder {
                let _ = fs::remove_dir_all(&to);
            } else {
                fs::write(&to, b"mine").unwrap();
            }
            let quiet = std::process::Stdio::null();
            let mut writing = annals(&place.data, &args).stdout(quiet).spawn().unwrap();
            let ended = loop {
                if let Some(ended) = writing.try_wait().unwrap() {
                    break ended;
                }
                if !unfinished(&out).is_empty() {
                    signal(&writing, name);
                    break writing.wait().unwrap();
                }
            };
            assert_eq!(unfinished(&out), [""; 0]);
            was_ended = ended.code() == Some(code);
            if was_ended {
                break;
            }
            assert_eq!(ended.code(), Some(0), "{file}");
            assert!(is_folder || fs::read(&to).unwrap() != b"mine");
        }
        assert!(was_ended, "{file}");
        assert!(is_folder || fs::read(&to).unwrap() == b"mine", "{file}");
    }
}

#[test]
fn names_that_end_in_gz_are_compressed_and_read() {
    use std::io::Read;

    let place = Place::with(300);
    for format in ["csv", "jsonl"] {
        let to = place.path(&format!("all.{format}.gz"));
        run(&place.data, &["export", to.to_str().unwrap()], 0);
        let mut text = String::new();
        let mut file = flate2::read::GzDecoder::new(fs::File::open(&to).unwrap());
        file.read_to_string(&mut text).unwrap();
        assert_eq!(
            text,
            run(&place.data, &["export", "-", "--format", format], 0)
        );
    }
    let lines = place.path("all.jsonl.gz");
    let copy = place.path("copy");
    for known in ["taken in: 300 inferences", "already there: 304"] {
        let said = run(&copy, &["import", lines.to_str().unwrap()], 0);
        assert!(said.contains(known), "{said}");
    }
    // Also without a name that says it, through a pipe, and in several parts.
    let unnamed = place.path("unnamed");
    let packed = fs::read(&lines).unwrap();
    fs::write(&unnamed, [&packed[..], &packed].concat()).unwrap();
    let said = run(&copy, &["import", unnamed.to_str().unwrap()], 0);
    assert!(said.contains("already there: 608"), "{said}");
    let mut piped = annals(&copy, &["import", "-"]);
    let piped = piped
        .stdin(fs::File::open(&lines).unwrap())
        .output()
        .unwrap();
    assert!(piped.status.success());

    // One that is cut off is an error, and one of something else is not taken for lines.
    fs::write(&unnamed, &packed[..packed.len() / 2]).unwrap();
    complaint(&copy, &["import", unnamed.to_str().unwrap()], 4);
    let mut database = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut database, b"SQLite format 3\0 and more").unwrap();
    fs::write(&unnamed, database.finish().unwrap()).unwrap();
    let said = complaint(&copy, &["import", unnamed.to_str().unwrap()], 2);
    assert!(said.contains("gunzip"), "{said}");
    let parquet = place.path("all.parquet.gz");
    complaint(&place.data, &["export", parquet.to_str().unwrap()], 2);
}

#[test]
fn names_that_end_in_zst_are_compressed_and_read() {
    let place = Place::with(300);
    for format in ["csv", "jsonl"] {
        let plain = place.run(&["export", "-", "--format", format]);
        let to = place.export(&format!("all.{format}.zst"), &["--compress", "zstd:19"]);
        let file = fs::File::open(&to).unwrap();
        let text = zstd::stream::decode_all(file).unwrap();
        assert_eq!(String::from_utf8(text).unwrap(), plain);
        let args = ["export", "-", "--format", format, "--compress", "zstd"];
        let piped = annals(&place.data, &args).output().unwrap().stdout;
        let text = zstd::stream::decode_all(&piped[..]).unwrap();
        assert_eq!(String::from_utf8(text).unwrap(), plain);
    }
    let lines = place.path("all.jsonl.zst");
    let copy = place.path("copy");
    for known in ["taken in: 300 inferences", "already there: 304"] {
        let said = run(&copy, &["import", lines.to_str().unwrap()], 0);
        assert!(said.contains(known), "{said}");
    }
    // Without a name that says it, in several frames of which one is to be skipped, and the same
    // source as the plain file.
    let packed = fs::read(&lines).unwrap();
    let skipped = b"\x50\x2a\x4d\x18\x03\0\0\0abc";
    let unnamed = place.path("unnamed");
    fs::write(&unnamed, [skipped, &packed[..], &packed].concat()).unwrap();
    let said = run(&copy, &["import", unnamed.to_str().unwrap()], 0);
    assert!(said.contains("already there: 608"), "{said}");
    let mut piped = annals(&copy, &["import", "-"]);
    let piped = piped.stdin(fs::File::open(&lines).unwrap()).output();
    assert!(piped.unwrap().status.success());

    // One that is cut off or changed is an error, and one of something else is not taken for lines.
    fs::write(&unnamed, &packed[..packed.len() / 2]).unwrap();
    complaint(&copy, &["import", unnamed.to_str().unwrap()], 4);
    let mut changed = packed.clone();
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    fs::write(&unnamed, changed).unwrap();
    complaint(&copy, &["import", unnamed.to_str().unwrap()], 4);
    let database = zstd::stream::encode_all(&b"SQLite format 3\0 and more"[..], 1).unwrap();
    fs::write(&unnamed, database).unwrap();
    let said = complaint(&copy, &["import", unnamed.to_str().unwrap()], 2);
    assert!(said.contains("unzstd"), "{said}");
}

/// Two that are whole in different formats and sizes, and names that would lie.
#[test]
fn compression_is_chosen_by_name_or_option() {
    use parquet::file::reader::{FileReader, SerializedFileReader};

    let place = Place::with(3_000);
    let mut sizes = Vec::new();
    for how in ["none", "snappy", "zstd", "zstd:19"] {
        let to = place.export("all.parquet", &["--compress", how]);
        sizes.push(fs::metadata(&to).unwrap().len());
        let file = SerializedFileReader::new(fs::File::open(&to).unwrap()).unwrap();
        assert_eq!(file.get_row_iter(None).unwrap().count(), 3_000);
    }
    assert!(sizes[0] > sizes[1] && sizes[1] > sizes[2], "{sizes:?}");
    for (name, how) in [
        ("all.jsonl", "zstd"),
        ("all.jsonl.gz", "zstd"),
        ("all.csv.zst", "none"),
        ("all.csv", "snappy"),
        ("all.parquet", "gzip"),
        ("all.parquet.zst", "zstd"),
        ("all.csv.zst", "zstd:99"),
        ("all.csv.zst", "lz4"),
    ] {
        let to = place.arg(name);
        complaint(&place.data, &["export", &to, "--compress", how], 2);
    }
}

//! Exports by day: one file for each day in any order of the days, and no row twice, for any number
//! and pieces of exports into the same folder at once.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use annals::import::{Answer, Importer};
use annals::{Inference, InferenceId, Journal, Outcome, Timestamp};
use common::{Place, annals, complaint, names, run};

const DAY: i64 = 86_400_000_000;
const BY_DAY: [&str; 3] = ["--by-day", "--format", "jsonl"];

/// A decision for each of `days`, as days since 1970.
fn decide(place: &Place, days: impl Iterator<Item = i64>) -> Vec<InferenceId> {
    let journal = Journal::options()
        .without_mirror()
        .open(&place.data)
        .unwrap();
    let ids = days.map(|day| {
        let time = Timestamp::from_micros(day * DAY + 3_600_000_000);
        let inference = Inference::new("m", "s", "BUY").event_time(time);
        journal.log(inference).unwrap()
    });
    let ids = ids.collect();
    journal.close().unwrap();
    ids
}

/// Number of copies of each row of a folder of JSON lines, by kind, id and sequence, and the files
/// of each day.
type Rows = BTreeMap<(String, String, u64), usize>;

fn rows_of(lake: &Path) -> (Rows, BTreeMap<String, usize>) {
    let (mut rows, mut files) = (Rows::new(), BTreeMap::new());
    for day in names(lake) {
        let folder = lake.join(&day);
        for name in names(&folder) {
            // As readers of data sets do.
            if name.starts_with('.') || !name.ends_with(".jsonl") {
                continue;
            }
            *files.entry(day.clone()).or_default() += 1;
            for line in fs::read_to_string(folder.join(name)).unwrap().lines() {
                let row: serde_json::Value = serde_json::from_str(line).unwrap();
                let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
                if let Some(time) = row["event_time"].as_str() {
                    assert_eq!(day.strip_prefix("day="), time.split('T').next());
                }
                let key = (text("kind"), text("id"), row["sequence"].as_u64().unwrap());
                *rows.entry(key).or_default() += 1;
            }
        }
    }
    (rows, files)
}

/// The folder has what an export of everything has, each row once.
fn is_whole(place: &Place, lake: &Path) {
    let (rows, _) = rows_of(lake);
    let whole = place.run(&["export", "-", "--format", "jsonl"]);
    assert_eq!(rows.len(), whole.lines().count());
    let twice = rows.iter().find(|(_, count)| **count != 1);
    assert_eq!(twice, None);
    assert!(hidden(lake).is_empty());
}

fn hidden(lake: &Path) -> Vec<String> {
    let folders = names(lake).into_iter();
    let all = folders.flat_map(|day| names(&lake.join(day)));
    all.filter(|name| name.starts_with('.')).collect()
}

#[test]
fn any_order_of_days_gives_one_file_each() {
    let days = if std::env::var_os("ANNALS_LONG").is_some() {
        3_000
    } else {
        300
    };
    let place = Place::new();
    // Each day comes back after all others, once in the opposite order.
    let rounds = (0..days).chain((0..days).rev()).chain(0..days);
    decide(&place, rounds);
    let lake = place.path("lake");
    // With fewer open files than there are days.
    for format in ["jsonl", "parquet", "csv"] {
        let shell = format!(
            "ulimit -n 290 && exec {} --dir {} export {} --by-day --format {format}",
            env!("CARGO_BIN_EXE_annals"),
            place.data.display(),
            lake.display()
        );
        let ran = std::process::Command::new("sh")
            .args(["-c", &shell])
            .output();
        let said = String::from_utf8(ran.unwrap().stdout).unwrap();
        assert!(said.contains("rows in"), "{said}");
        for day in names(&lake) {
            let files = names(&lake.join(&day)).into_iter();
            let files = files.filter(|name| name.ends_with(format));
            assert_eq!(files.count(), 1, "{day}");
        }
        assert_eq!(i64::try_from(names(&lake).len()).unwrap(), days);
    }
    is_whole(&place, &lake);
}

#[test]
fn twice_is_once_and_newer() {
    let place = Place::new();
    let ids = decide(&place, [3, 1, 2, 1, 3].into_iter());
    let lake = place.export("lake", &BY_DAY);
    is_whole(&place, &lake);
    let before = rows_of(&lake);
    place.export("lake", &BY_DAY);
    assert_eq!(rows_of(&lake), before);

    let journal = Journal::open(&place.data).unwrap();
    journal.attach_outcome(ids[1], Outcome::new().reward(1.5));
    journal.close().unwrap();
    decide(&place, [4, 1].into_iter());
    place.export("lake", &BY_DAY);
    let (rows, files) = rows_of(&lake);
    assert_eq!(rows.len(), 7);
    assert_eq!(files.values().copied().collect::<Vec<_>>(), [1; 4]);
    let text = fs::read_dir(lake.join("day=1970-01-02")).unwrap();
    let text = fs::read_to_string(text.last().unwrap().unwrap().path()).unwrap();
    assert!(text.contains("\"reward\":1.5"), "{text}");
    is_whole(&place, &lake);

    // Compressed, the same rows have another name: they are replaced all the same.
    place.export(
        "lake",
        &["--by-day", "--format", "jsonl", "--compress", "zstd:1"],
    );
    for day in names(&lake) {
        let files = names(&lake.join(day));
        assert!(
            files.len() == 1 && files[0].ends_with(".jsonl.zst"),
            "{files:?}"
        );
    }
}

/// Half a day would take the place of all of it.
#[test]
fn times_are_widened_to_whole_days() {
    let place = Place::new();
    decide(&place, (1..10).chain(1..10));
    let lake = place.export("lake", &BY_DAY);
    decide(&place, 1..10);
    let noon = ["--since", "1970-01-04 12:00", "--until", "1970-01-06 00:30"];
    place.export("lake", &[&BY_DAY[..], &noon].concat());
    let (rows, files) = rows_of(&lake);
    // Days 3, 4 and 5 have their third row.
    assert_eq!(rows.len(), 18 + 3);
    assert!(rows.values().chain(files.values()).all(|count| *count == 1));
    place.export("lake", &BY_DAY);
    is_whole(&place, &lake);
}

#[test]
fn a_cursor_brings_only_what_is_new() {
    let place = Place::new();
    let with = [&BY_DAY[..], &["--cursor", "lake"]].concat();
    let lake = place.path("lake");
    for round in 1..4 {
        decide(&place, 1..4);
        let said = run(
            &place.data,
            &[&["export", &place.arg("lake")], &with[..]].concat(),
            0,
        );
        assert!(said.starts_with("3 rows"), "{said}");
        let (rows, files) = rows_of(&lake);
        assert_eq!(rows.len(), 3 * round);
        assert!(files.values().all(|count| *count == round), "{files:?}");
        is_whole(&place, &lake);
    }
    // Nothing new gives no file.
    place.export("lake", &with);
    assert_eq!(rows_of(&lake).1.values().sum::<usize>(), 9);

    // Of an export whose cursor was lost, nothing stays beside the next one.
    place.run(&["cursors", "--remove", "lake"]);
    place.export("lake", &[&with[..], &["-n", "4"]].concat());
    is_part(&place, &lake, 4);
    place.export("lake", &with);
    is_whole(&place, &lake);

    // One without a cursor covers more than the cursor knows of.
    decide(&place, 2..6);
    place.export("lake", &BY_DAY);
    decide(&place, 3..7);
    place.export("lake", &with);
    is_whole(&place, &lake);
    decide(&place, 3..7);
    place.export("lake", &[&BY_DAY[..], &["--since", "1970-01-05"]].concat());
    place.export("lake", &with);
    is_whole(&place, &lake);
    // Another cursor begins at the start.
    place.export("lake", &[&BY_DAY[..], &["--cursor", "other"]].concat());
    place.export("lake", &with);
    is_whole(&place, &lake);
}

/// The first so many rows, each once.
fn is_part(place: &Place, lake: &Path, count: usize) {
    let (rows, _) = rows_of(lake);
    assert_eq!(rows.len(), count);
    let whole = place.run(&["export", "-", "--format", "jsonl", "-n", &count.to_string()]);
    assert_eq!(whole.lines().count(), count);
    assert!(rows.values().all(|count| *count == 1));
}

#[test]
fn later_outcomes_come_once() {
    let place = Place::new();
    let ids = decide(&place, 1..4);
    let with = [&BY_DAY[..], &["--cursor", "lake"]].concat();
    let lake = place.export("lake", &with);
    let journal = Journal::open(&place.data).unwrap();
    for id in &ids {
        let at = Timestamp::from_micros(20 * DAY);
        journal.attach_outcome(*id, Outcome::new().reward(1.0).at(at));
    }
    journal.close().unwrap();
    for _twice in 0..2 {
        place.export("lake", &with);
        let (rows, _) = rows_of(&lake);
        let late = rows.keys().filter(|(kind, ..)| kind == "outcome");
        assert_eq!(late.count(), 3);
        assert!(rows.values().all(|count| *count == 1));
    }
    // With everything anew they are within the decisions again.
    place.export("lake", &BY_DAY);
    assert!(!lake.join("day=1970-01-21").exists());
    is_whole(&place, &lake);
}

#[test]
fn what_is_retired_stays_in_the_folder() {
    let place = Place::new();
    let mut importer = Importer::open(&place.data).unwrap();
    let run = importer.source("old").unwrap();
    for number in 0..300 {
        importer.recorded_at(Some(Timestamp::from_micros(DAY)));
        let inference = Inference::new("m", "s", "BUY");
        let id = run.inference(number).unwrap();
        importer.add(id, &inference, Answer::Full).unwrap();
    }
    importer.close().unwrap();
    let journal = Journal::open(&place.data).unwrap();
    journal.seal(std::time::Duration::from_secs(60)).unwrap();
    journal.close().unwrap();
    let lake = place.export("lake", &BY_DAY);
    let before: BTreeSet<_> = rows_of(&lake).0.into_keys().collect();
    decide(&place, 1..4);
    place.run(&["retain", "--max-age", "30d", "--trust-clock", "--yes"]);
    let left = place.run(&["export", "-", "--format", "jsonl"]);
    assert!(left.lines().count() < 10, "{left}");
    place.export("lake", &BY_DAY);
    let (rows, _) = rows_of(&lake);
    assert!(rows.values().all(|count| *count == 1));
    assert!(before.iter().all(|row| rows.contains_key(row)));
}

#[test]
fn two_at_once_write_each_row_once() {
    let place = Place::new();
    decide(&place, (0..12).cycle().take(1_000));
    let lake = place.path("lake");
    for more in [&[][..], &["--cursor", "lake"], &[], &["--cursor", "other"]] {
        decide(&place, 5..10);
        let to = place.arg("lake");
        let args = [&["export", &*to], &BY_DAY[..]].concat();
        let quiet = || std::process::Stdio::null();
        let mut other = annals(&place.data, &args).stdout(quiet()).spawn().unwrap();
        let mut third = annals(&place.data, &[&args[..], more].concat());
        let mut third = third.stdout(quiet()).spawn().unwrap();
        place.run(&[&args[..], more].concat());
        assert!(other.wait().unwrap().success() && third.wait().unwrap().success());
        is_whole(&place, &lake);
    }
}

/// Whenever it dies, each row is there as before or as it is now, and the next export mends the
/// rest.
#[cfg(unix)]
#[test]
fn an_export_that_is_killed_loses_no_row() {
    let place = Place::new();
    let days = 60;
    decide(&place, 0..days);
    let lake = place.export("lake", &BY_DAY);
    let rounds = if std::env::var_os("ANNALS_LONG").is_some() {
        100
    } else {
        8
    };
    let mut written = usize::try_from(days).unwrap();
    let to = place.arg("lake");
    let args = [&["export", &*to], &BY_DAY[..]].concat();
    let mut killed = 0;
    for round in 0..rounds {
        decide(&place, 0..5);
        let quiet = std::process::Stdio::null();
        let mut writing = annals(&place.data, &args).stdout(quiet).spawn().unwrap();
        // From the first hidden file on, later in each round.
        while hidden(&lake).len() <= round * 7 % 60 && writing.try_wait().unwrap().is_none() {}
        writing.kill().unwrap();
        killed += usize::from(!writing.wait().unwrap().success());
        let (rows, _) = rows_of(&lake);
        assert!(rows.len() >= written, "{} of {written}", rows.len());
        if round % 2 == 1 {
            place.export("lake", &BY_DAY);
            is_whole(&place, &lake);
            written = rows_of(&lake).0.len();
        }
    }
    assert!(killed > 0);
}

/// As if an export had been killed between a day's new file and the removal of its old one.
#[test]
fn a_file_that_another_one_covers_goes_with_the_next_export() {
    let place = Place::new();
    decide(&place, 1..3);
    let with = [&BY_DAY[..], &["--cursor", "lake"]].concat();
    let lake = place.export("lake", &with);
    let day = lake.join("day=1970-01-02");
    let name = names(&day).remove(0);
    let (front, end) = name.rsplit_once("-1-").unwrap();
    let until: u64 = end.strip_suffix(".jsonl").unwrap().parse().unwrap();
    let old = day.join(format!("{front}-1-{}.jsonl", until - 1));
    fs::copy(day.join(&name), &old).unwrap();
    decide(&place, 5..6);
    place.export("lake", &with);
    assert!(!old.exists());
    is_whole(&place, &lake);
}

#[test]
fn what_is_not_its_own_is_left_alone() {
    let (place, other) = (Place::new(), Place::new());
    decide(&place, 1..4);
    decide(&other, 2..5);
    let lake = place.export("lake", &BY_DAY);
    run(
        &other.data,
        &[&["export", &place.arg("lake")], &BY_DAY[..]].concat(),
        0,
    );
    place.export("lake", &["--by-day", "--format", "csv"]);
    let day = lake.join("day=1970-01-03");
    fs::write(day.join("mine.jsonl"), "{}").unwrap();
    fs::create_dir(lake.join("notes")).unwrap();
    for _twice in 0..2 {
        place.export("lake", &BY_DAY);
        let found = names(&day);
        let count = |end: &str| found.iter().filter(|name| name.ends_with(end)).count();
        assert_eq!((count(".jsonl"), count(".csv")), (3, 1), "{found:?}");
        assert!(lake.join("notes").is_dir());
    }

    // Another choice of rows would be there beside those that it has a part of.
    let to = place.arg("lake");
    let args = [&["export", &*to], &BY_DAY[..], &["--model", "m"]].concat();
    let said = complaint(&place.data, &args, 2);
    assert!(said.contains("filters"), "{said}");
    place.export("of_m", &[&BY_DAY[..], &["--model", "m"]].concat());
    let file = place.path("of_m");
    place.export("of_m", &[&BY_DAY[..], &["--model", "m"]].concat());
    assert_eq!(rows_of(&file).0.len(), 3);
}

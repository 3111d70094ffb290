//! Black boxes whose journal is gone are listed, and removed on request alone.

#![cfg(all(target_os = "linux", target_pointer_width = "64"))]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on fails, and one that is skipped says so"
)]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use annals::{BlackBox, Inference, Journal};
use common::{annals, complaint, json, run};

/// A black box as a killed process leaves it; removed with the test.
struct Left {
    path: PathBuf,
    journal: String,
}

impl Left {
    /// Of a journal in `dir`, which is closed. `None` where journals have no lanes.
    fn of(dir: &Path) -> Option<Left> {
        let journal = Journal::options().black_box(BlackBox::Lanes).open(dir);
        let journal = journal.unwrap();
        journal.log(Inference::new("m", "s", "BUY")).unwrap();
        if journal.health().black_box != BlackBox::Lanes {
            println!("skipped: {:?}", journal.health().black_box_error);
            return None;
        }
        let id = journal.id().to_string();
        let users = fs::read_dir("/dev/shm").unwrap().flatten();
        let users = users.filter(|user| user.file_name().to_string_lossy().starts_with("annals-"));
        let boxes = users.flat_map(|user| fs::read_dir(user.path()).into_iter().flatten());
        let living = boxes.flatten().find(|found| {
            let name = found.file_name();
            name.to_string_lossy().starts_with(&id)
        });
        let living = living.unwrap().path();
        let name = living.file_name().unwrap().to_str().unwrap();
        let path = living.with_file_name(name.replacen("-1-", "-77-", 1));
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        for file in fs::read_dir(&living).unwrap().flatten() {
            fs::copy(file.path(), path.join(file.file_name())).unwrap();
        }
        journal.close().unwrap();
        assert!(!living.exists());
        Some(Left { path, journal: id })
    }
}

impl Drop for Left {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// The item of this journal in a list of left black boxes.
fn item(list: &serde_json::Value, journal: &str) -> Option<serde_json::Value> {
    let all = list["left_black_boxes"].as_array().unwrap();
    all.iter().find(|left| left["journal"] == journal).cloned()
}

#[test]
fn a_box_whose_journal_is_gone_is_listed_and_removed_on_request() {
    let scratch = tempfile::tempdir().unwrap();
    let (dir, other) = (scratch.path().join("data"), scratch.path().join("other"));
    let Some(left) = Left::of(&dir) else { return };
    common::journal(&other, 3);
    let id = left.journal.as_str();
    // Its journal is there: its next opening takes it in.
    let list = |dir: &Path| json(dir, &["status", "--black-boxes"]).remove(0);
    assert_eq!(item(&list(&other), id), None);
    let remove = ["status", "--remove-black-boxes", id];
    assert!(run(&other, &remove, 0).contains("0 black boxes removed"));
    let said = complaint(&dir, &remove, 2);
    assert!(said.contains("its next opening takes"), "{said}");

    let moved = scratch.path().join("moved");
    fs::rename(&dir, &moved).unwrap();
    // The one that is looked at has only moved.
    assert_eq!(item(&list(&moved), id), None);
    assert_eq!(item(&json(&moved, &["status"])[0], id), None);
    complaint(&moved, &remove, 2);
    // Without any journal.
    let found = item(&list(&dir), id).unwrap();
    assert_eq!(found["state"], "journal_gone");
    assert_eq!(found["run"], 77);
    let place = fs::canonicalize(scratch.path()).unwrap().join("data");
    assert_eq!(found["journal_path"], place.to_str().unwrap());
    assert!(found["bytes"].as_u64().unwrap() > 2 << 20, "{found}");
    assert_eq!(item(&json(&other, &["status"])[0], id), Some(found));
    let text = run(&other, &["status"], 0);
    assert!(text.contains("annals status --black-boxes"), "{text}");
    let text = run(&other, &["status", "--black-boxes"], 0);
    assert!(text.contains("--remove-black-boxes"), "{text}");
    let line = text.lines().find(|line| line.contains(id)).unwrap();
    assert!(line.contains("no journal there"), "{line}");
    assert!(left.path.exists());

    let unknown = ["status", "--remove-black-boxes", "some"];
    assert!(complaint(&dir, &unknown, 2).contains("or all"));
    let removed = json(&other, &remove).remove(0);
    assert_eq!(removed["removed"][0]["journal"], id);
    assert!(!left.path.exists());
    assert_eq!(item(&list(&dir), id), None);
}

#[test]
fn a_box_that_does_not_say_where_its_journal_is_stays() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("data");
    let Some(left) = Left::of(&dir) else { return };
    fs::remove_dir_all(&dir).unwrap();
    fs::write(left.path.join("journal"), "xxxxxxxx/nowhere").unwrap();
    let output = annals(&dir, &["status", "--remove-black-boxes", &left.journal]);
    let output = { output }.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("stays: "), "{said}");
    assert!(left.path.exists());
}

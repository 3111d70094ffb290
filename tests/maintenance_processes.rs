//! Several processes seal, retire and back up the same journal at once, and some of them are
//! killed. Kept entries are dense, the backup is one moment of the journal, and no file is left
//! over.

#![cfg(all(
    any(target_os = "linux", target_vendor = "apple", windows),
    not(annals_portable)
))]
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use annals::maintenance::{DefectKind, RetentionPlan, restore};
use annals::{Error, Inference, Journal, Maintenance, Options, Reader, RetentionPolicy};
use common::{BOUND, Child, Random, cases, command, role, say, spin};

/// The least that can be kept: the hot file and some ten segments.
const KEEP_BYTES: u64 = 1 << 20;

fn options() -> Options {
    Journal::options()
        .without_mirror()
        .seal_bytes(1 << 16)
        .close_timeout(BOUND)
}

fn data(root: &Path) -> PathBuf {
    root.join("data")
}

fn backup(root: &Path) -> PathBuf {
    root.join("backup")
}

/// Plays the role that the environment names; does nothing in the test run proper.
#[test]
fn child() {
    let Some((role, root)) = role() else { return };
    let journal = options().open(data(&root)).unwrap();
    let maintenance = journal.maintenance().unwrap();
    match role.as_str() {
        "writer" => {
            while command().is_some() {
                log(&journal, 1_000);
                say("logged");
            }
        }
        "keeper" => {
            let mut planned = None;
            while let Some(command) = command() {
                if command == "seal" {
                    log(&journal, 2_000);
                    journal.seal(BOUND).unwrap();
                    say("sealed");
                } else if command == "plan" {
                    let wanted = planned.insert(plan(&maintenance));
                    say(&wanted.segments().len().to_string());
                } else {
                    log(&journal, 200);
                    say(&look_after(&journal, &maintenance, &root, planned.take()));
                }
            }
        }
        // For being killed: says where it is about to be.
        "keeper for ever" => loop {
            log(&journal, 1_000);
            say("");
            look_after(&journal, &maintenance, &root, None);
        },
        other => panic!("no role {other}"),
    }
    journal.close().unwrap();
}

fn log(journal: &Journal, events: u32) {
    for number in 0..events {
        #[expect(clippy::cast_precision_loss, reason = "small")]
        let features = [number as f32, (number % 7) as f32];
        let inference = Inference::new("dqn_agent", "ETH/USDT", "BUY").features(&features);
        journal.log(inference).unwrap();
    }
    journal.flush().wait(BOUND).unwrap();
}

fn plan(maintenance: &Maintenance) -> RetentionPlan {
    maintenance
        .retention(RetentionPolicy::new().max_bytes(KEEP_BYTES))
        .plan()
        .unwrap()
}

/// Seals, retires and backs up; says how many segments went, and whether the backup was made.
/// Another process may have been faster, or be at it: that is no fault.
fn look_after(
    journal: &Journal,
    maintenance: &Maintenance,
    root: &Path,
    planned: Option<RetentionPlan>,
) -> String {
    journal.seal(BOUND).unwrap();
    let planned = planned.unwrap_or_else(|| plan(maintenance));
    let retired = match planned.apply() {
        Ok(retired) => retired.segments,
        Err(Error::PlanOutdated { deleted, .. }) => deleted,
        Err(error) => panic!("{error:?}"),
    };
    let made = match maintenance.backup(backup(root)).run() {
        Ok(_) => 1,
        Err(Error::InUse { .. }) => 0,
        Err(error) => panic!("{error:?}"),
    };
    format!("{retired} {made}")
}

/// Every entry that is kept, by its sequence; fails if one is missing or comes twice.
fn entries(dir: &Path) -> BTreeMap<u64, String> {
    let reader = Reader::open(dir).unwrap();
    let follow = reader.follow(reader.start()).unwrap();
    let entries: BTreeMap<_, _> = follow
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.sequence, format!("{entry:?}")))
        .collect();
    let (first, last) = (entries.keys().min(), entries.keys().max());
    if let (Some(first), Some(last)) = (first, last) {
        assert_eq!(
            last - first + 1,
            entries.len() as u64,
            "sequences are dense"
        );
    }
    entries
}

/// Both are the same journal at two moments: what both hold is the same, and between them is no
/// hole.
fn assert_earlier(earlier: &BTreeMap<u64, String>, later: &BTreeMap<u64, String>) {
    for (sequence, entry) in earlier {
        if let Some(found) = later.get(sequence) {
            assert_eq!(found, entry);
        }
    }
    assert!(earlier.keys().min() <= later.keys().min());
    assert!(earlier.keys().max() <= later.keys().max());
}

fn assert_whole(dir: &Path) {
    let verified = Maintenance::open(dir).unwrap().verify();
    assert!(verified.is_whole(), "{:?}", verified.defects);
}

/// Whole except for files that the next sealer or backup removes.
fn assert_whole_but_for_strays(dir: &Path) {
    let defects = Maintenance::open(dir).unwrap().verify().defects;
    let stray = defects.iter().all(|found| found.kind == DefectKind::Stray);
    assert!(stray, "{defects:?}");
}

/// Files of the journal or of its segments that are neither.
fn strays(dir: &Path) -> Vec<String> {
    let names = [dir.to_owned(), dir.join("segments")].map(|folder| fs::read_dir(folder).unwrap());
    let names = names.into_iter().flatten();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.contains(".new-")).collect()
}

/// No process is at work any more: seals and backs up once more, and all is whole and the same.
fn assert_comes_to_rest(root: &Path) {
    let journal = options().open(data(root)).unwrap();
    journal.seal(BOUND).unwrap();
    journal
        .maintenance()
        .unwrap()
        .backup(backup(root))
        .run()
        .unwrap();
    journal.close().unwrap();
    let (dir, copy, new) = (data(root), backup(root), root.join("new"));
    restore(&copy, &new).unwrap();
    let expected = entries(&dir);
    for place in [&dir, &copy, &new] {
        assert_whole(place);
        assert_eq!(strays(place), [""; 0], "{}", place.display());
    }
    assert_earlier(&entries(&copy), &expected);
    // Closing the journal commits nothing else, so the copies hold all of it.
    assert_eq!(entries(&copy), expected);
    assert_eq!(entries(&new), expected);
}

/// Follows the journal from `next` on to its present end, or `most` entries far; says how often it
/// was told that it is behind what is kept.
fn follow(reader: &Reader, next: &mut u64, most: usize) -> u32 {
    let mut behind = 0;
    loop {
        let cursor = format!("annals:{}:{next}", reader.id()).parse().unwrap();
        let mut told = None;
        for entry in reader.follow(cursor).unwrap().take(most) {
            match entry {
                Ok(entry) => {
                    assert_eq!(entry.sequence, *next);
                    *next += 1;
                }
                Err(Error::Retired { kept, .. }) => {
                    told = Some(kept);
                    break;
                }
                Err(error) => panic!("{error:?}"),
            }
        }
        let Some(kept) = told else { return behind };
        assert!(kept > *next);
        *next = kept;
        behind += 1;
    }
}

#[test]
fn processes_that_seal_retire_and_back_up_at_once_share_the_work() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    options().open(data(root)).unwrap().close().unwrap();
    let mut keepers = [Child::start("keeper", root), Child::start("keeper", root)];
    let mut writer = Child::start("writer", root);
    let reader = Reader::open(data(root)).unwrap();
    let (mut next, mut slow) = (1, 1);
    let (mut behind, mut retired, mut made, mut contested) = (0, 0, 0, 0);
    let rounds = cases(30, 300);
    for round in 0..10 * rounds {
        // Whether both want the same depends on the machine: it is tried until they did.
        if round >= rounds && behind > 0 && contested > 0 {
            break;
        }
        // Now and then both want the same segments to go: one of them does it.
        if round % 3 == 0 {
            keepers[0].ask("seal");
            let planned = keepers.each_mut().map(|keeper| keeper.ask("plan"));
            contested += u32::from(planned.iter().all(|segments| segments != "0"));
        }
        keepers.iter_mut().for_each(|keeper| keeper.tell("go on"));
        writer.tell("go on");
        assert_eq!(follow(&reader, &mut next, usize::MAX), 0);
        behind += follow(&reader, &mut slow, 100);
        writer.hear();
        for keeper in &keepers {
            let said = keeper.hear();
            let (segments, backups) = said.split_once(' ').unwrap();
            retired += segments.parse::<u64>().unwrap();
            made += backups.parse::<u32>().unwrap();
        }
    }
    println!("{retired} segments retired, {made} backups, {behind} times behind");
    keepers.into_iter().for_each(Child::finish);
    writer.finish();
    assert!(retired > 0 && made > 0 && behind > 0 && contested > 0);
    follow(&reader, &mut next, usize::MAX);
    let kept = entries(&data(root));
    let so_far = Maintenance::open(data(root)).unwrap().retired().unwrap();
    assert_eq!(so_far.segments, retired);
    assert_eq!(kept.keys().min(), Some(&(so_far.entries + 1)));
    assert_eq!(kept.keys().max(), Some(&(next - 1)));
    // The last of the backups is a moment of it.
    assert_whole(&backup(root));
    assert_earlier(&entries(&backup(root)), &kept);
    assert_comes_to_rest(root);
}

#[test]
fn one_that_is_killed_while_it_seals_retires_or_backs_up_leaves_all_whole() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let mut random = Random::printed();
    options().open(data(root)).unwrap().close().unwrap();
    let mut before = entries(&data(root));
    for _ in 0..cases(20, 500) {
        let keepers = [
            Child::start("keeper for ever", root),
            Child::start("keeper for ever", root),
        ];
        for keeper in &keepers {
            for _ in 0..1 + random.below(2) {
                keeper.hear();
            }
        }
        let [killed, other] = keepers;
        spin(Duration::from_micros(random.below(60_000)));
        killed.kill();
        // The other one meets what is left, and is killed elsewhere.
        thread::sleep(Duration::from_micros(random.below(20_000)));
        other.kill();
        let found = entries(&data(root));
        assert_earlier(&before, &found);
        assert_whole_but_for_strays(&data(root));
        if backup(root).join("journal.redb").exists() {
            assert_whole_but_for_strays(&backup(root));
            assert_earlier(&entries(&backup(root)), &found);
        }
        before = found;
    }
    assert!(before.keys().min() > Some(&1), "nothing was retired");
    assert_comes_to_rest(root);
}

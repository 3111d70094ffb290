//! The text files when something stands in their way, goes missing or dies: commits go on, the
//! fault is said, and afterwards every line is there once.

#![cfg(all(unix, not(annals_portable)))]
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod logs;
mod tiny;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use annals::entry::{CheckpointAction, SystemEvent};
use annals::logs::{LogKind, Mirror, Rotation, recent_lines};
use annals::{Content, Error, Journal, Level, Reader, RetentionPolicy};
use logs::*;
use tempfile::TempDir;
use tiny::Tiny;

const FAULT: &str = "the text files cannot be written";
const MOVED: &str = "a file that bore the name of a text file of the journal was moved aside";
/// The files of the day at which all tests here stand.
const TODAY: &str = "inference_records.2025-07-25.txt";

/// A directory with a journal and its text files.
struct Place {
    directory: TempDir,
    mirror: Mirror,
}

impl Place {
    fn new() -> Place {
        Place::with(Mirror::new())
    }

    fn with(mirror: Mirror) -> Place {
        let directory = tempfile::tempdir().unwrap();
        Place { directory, mirror }
    }

    fn dir(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn logs(&self) -> PathBuf {
        self.dir().join("logs")
    }

    fn log(&self, name: &str) -> PathBuf {
        self.logs().join(name)
    }

    fn open(&self) -> Journal {
        let options = Journal::options().mirror(self.mirror.clone());
        let options = options.clock(july()).close_timeout(BOUND);
        options.open(self.dir()).unwrap()
    }

    /// One run that logs inferences with these numbers.
    fn run(&self, numbers: std::ops::Range<u64>) {
        let journal = self.open();
        log_numbers(&journal, numbers);
        journal.close().unwrap();
    }

    /// The files that a crash in this moment would leave.
    fn crashed(&self) -> Place {
        let crashed = Place::with(self.mirror.clone());
        copy(&self.dir(), &crashed.dir());
        crashed
    }

    fn numbers(&self) -> Vec<u64> {
        numbers(&lines(&self.logs(), LogKind::Inferences))
    }

    /// The numbers in one file; none if it is not there.
    fn numbers_in(&self, name: &str) -> Vec<u64> {
        let text = fs::read_to_string(self.log(name)).unwrap_or_default();
        numbers(&text.lines().map(str::to_owned).collect::<Vec<_>>())
    }

    fn assert_mirrored(&self) {
        assert_mirrored(&self.dir(), &self.logs());
    }

    /// The system events with this message.
    fn said(&self, message: &str) -> Vec<SystemEvent> {
        let reader = Reader::open(self.dir()).unwrap();
        let entries = reader.follow(reader.start()).unwrap().map(Result::unwrap);
        let events = entries.filter_map(|entry| match entry.content {
            Content::SystemEvent(event) if event.message == message => Some(event),
            _ => None,
        });
        events.collect()
    }

    /// Files that were renamed out of the way by a mirror that began anew.
    fn aside(&self) -> Vec<String> {
        let names = names(&self.logs()).into_iter();
        names.filter(|name| name.contains(".aside-")).collect()
    }
}

fn up_to(end: u64) -> Vec<u64> {
    (0..end).collect()
}

/// One line for each file.
fn log_every_name(journal: &Journal, number: u64) {
    log_number(journal, number);
    journal.event(Level::Info, "loop", format!("number {number}"));
    journal.checkpoint_event(CheckpointAction::Saved, "m", &format!("c{number}"), "");
}

fn fault(journal: &Journal) -> Option<String> {
    journal.health().mirror.unwrap().fault
}

/// Waits for a fault that names `what`, and checks that commits continue.
fn wait_for_fault(journal: &Journal, what: &str) {
    wait_until("the fault is seen", || fault(journal).is_some());
    let said = fault(journal).unwrap();
    assert!(said.contains(what), "{said}");
    let before = journal.health().committed;
    flush(journal);
    journal.event(Level::Info, "test", "commits go on");
    flush(journal);
    let health = journal.health();
    assert!(health.committed > before);
    assert_eq!(health.dropped.total(), 0);
}

fn wait_for_recovery(journal: &Journal) {
    wait_until("the fault is over", || fault(journal).is_none());
    flush(journal);
}

/// After the fault: closed, mirrored, and said once, at its beginning and at its end.
fn assert_recovered(place: &Place, journal: &Journal) {
    wait_for_recovery(journal);
    journal.close().unwrap();
    place.assert_mirrored();
    assert_eq!(place.said(FAULT).len(), 1);
    assert_eq!(place.said(&format!("over: {FAULT}")).len(), 1);
    assert_eq!(place.aside(), [""; 0]);
}

#[test]
fn what_a_crash_left_behind_the_cursor_is_written_once() {
    for rotation in [Rotation::Daily, Rotation::Size(500), Rotation::Never] {
        let place = Place::with(Mirror::new().rotation(rotation));
        let journal = place.open();
        (0..9).for_each(|number| log_every_name(&journal, number));
        journal.close().unwrap();
        let stored = fs::read(place.log(".cursor")).unwrap();
        let journal = place.open();
        (9..30).for_each(|number| log_every_name(&journal, number));
        journal.close().unwrap();
        // As if the second run had been killed before it stored how far it was.
        fs::write(place.log(".cursor"), stored).unwrap();

        let journal = place.open();
        (30..33).for_each(|number| log_every_name(&journal, number));
        journal.close().unwrap();
        assert_eq!(place.numbers(), up_to(33), "{rotation:?}");
        place.assert_mirrored();
    }
}

#[test]
fn half_a_line_behind_the_cursor_is_cut_off() {
    let place = Place::new();
    place.run(0..5);
    let mut text = fs::read(place.log(TODAY)).unwrap();
    text.extend(b"2025-07-25 14:34:39 | dqn_agent       | ETH/US");
    fs::write(place.log(TODAY), text).unwrap();
    place.run(5..8);
    assert_eq!(place.numbers(), up_to(8));
    place.assert_mirrored();
}

#[test]
fn a_kill_at_any_moment_leaves_each_line_once() {
    let place = Place::with(Mirror::new().rotation(Rotation::Size(2_000)));
    let journal = place.open();
    let mut number = 0;
    for _ in 0..15 {
        for _ in 0..40 {
            log_every_name(&journal, number);
            number += 1;
        }
        flush(&journal);
        let crashed = place.crashed();
        // Its entries are committed; the copy knows its missing ones as well.
        let after = crashed.open();
        log_every_name(&after, number);
        after.close().unwrap();
        crashed.assert_mirrored();
        assert_eq!(crashed.numbers(), up_to(number + 1));
    }
    journal.close().unwrap();
}

#[test]
fn files_without_a_usable_cursor_are_kept_aside_and_written_anew() {
    let damages: [fn(&Path); 5] = [
        |cursor| fs::remove_file(cursor).unwrap(),
        |cursor| fs::write(cursor, "").unwrap(),
        |cursor| fs::write(cursor, [0xff; 100]).unwrap(),
        |cursor| {
            let text = fs::read_to_string(cursor).unwrap();
            fs::write(cursor, text.replace("next ", "next 1")).unwrap();
        },
        |cursor| {
            let text = fs::read(cursor).unwrap();
            fs::write(cursor, &text[..text.len() - 4]).unwrap();
        },
    ];
    for damage in damages {
        let place = Place::new();
        place.run(0..5);
        let before = fs::read(place.log(TODAY)).unwrap();
        damage(&place.log(".cursor"));
        place.run(5..8);
        assert_eq!(place.numbers(), up_to(8));
        place.assert_mirrored();
        assert_eq!(place.aside(), [format!("{TODAY}.aside-0")]);
        let aside = fs::read(place.log(&place.aside()[0])).unwrap();
        assert_eq!(aside, before);
    }
}

#[test]
fn another_journals_files_are_kept_aside() {
    let (one, other) = (Place::new(), Place::new());
    one.run(0..3);
    other.run(10..12);
    let text = fs::read(one.log(TODAY)).unwrap();
    fs::remove_dir_all(other.logs()).unwrap();
    copy(&one.logs(), &other.logs());
    other.run(12..14);
    other.assert_mirrored();
    let aside = format!("{TODAY}.aside-0");
    assert_eq!(other.aside(), std::slice::from_ref(&aside));
    assert_eq!(fs::read(other.log(&aside)).unwrap(), text);
}

#[test]
fn a_deleted_file_is_begun_anew() {
    let place = Place::new();
    place.run(0..5);
    fs::remove_file(place.log(TODAY)).unwrap();
    place.run(5..8);
    assert_eq!(place.numbers(), [5, 6, 7]);
}

#[test]
fn a_deleted_directory_is_written_anew_from_the_beginning() {
    let place = Place::new();
    place.run(0..5);
    fs::remove_dir_all(place.logs()).unwrap();
    place.run(5..8);
    assert_eq!(place.numbers(), up_to(8));
    place.assert_mirrored();
}

#[test]
fn a_file_deleted_while_it_is_written_is_begun_anew() {
    let place = Place::new();
    let journal = place.open();
    log_numbers(&journal, 0..5);
    wait_for_lines(&journal, 5);
    for (gone, first) in (1..5).map(|round| (round, round * 5)) {
        fs::remove_file(place.log(TODAY)).unwrap();
        log_numbers(&journal, first..first + 5);
        wait_for_lines(&journal, first + 5);
        let expected: Vec<_> = (first..first + 5).collect();
        assert_eq!(place.numbers(), expected, "after {gone} deletions");
        assert_eq!(place.numbers_in("inference_records.txt"), expected);
    }
    journal.close().unwrap();
    place.run(25..27);
    assert_eq!(place.numbers(), (20..27).collect::<Vec<_>>());
}

#[test]
fn a_directory_deleted_while_it_is_written_comes_back_whole() {
    let place = Place::new();
    let journal = place.open();
    log_numbers(&journal, 0..5);
    wait_for_lines(&journal, 5);
    fs::remove_dir_all(place.logs()).unwrap();
    log_numbers(&journal, 5..10);
    wait_until("the directory is back", || {
        place.numbers_in(TODAY) == up_to(10)
    });
    journal.close().unwrap();
    place.assert_mirrored();
}

#[test]
fn a_file_emptied_while_it_is_written_is_gone_on_with() {
    let place = Place::new();
    let journal = place.open();
    log_numbers(&journal, 0..5);
    wait_for_lines(&journal, 5);
    // As log rotation by copying does.
    let emptied = File::options().write(true).open(place.log(TODAY)).unwrap();
    emptied.set_len(0).unwrap();
    log_numbers(&journal, 5..8);
    journal.close().unwrap();
    assert_eq!(place.numbers(), [5, 6, 7]);
    place.run(8..10);
    assert_eq!(place.numbers(), [5, 6, 7, 8, 9]);
}

#[test]
fn a_crash_after_a_file_was_deleted_or_emptied_leaves_each_line_once() {
    let losses: [fn(&Path); 2] = [
        |file| fs::remove_file(file).unwrap(),
        |file| fs::write(file, "").unwrap(),
    ];
    for lose in losses {
        let place = Place::new();
        let journal = place.open();
        log_numbers(&journal, 0..3);
        wait_for_cursor(&place);
        lose(&place.log(TODAY));
        log_numbers(&journal, 3..10);
        wait_for_lines(&journal, 10);
        let crashed = place.crashed();
        journal.close().unwrap();
        crashed.run(10..12);
        assert_eq!(crashed.numbers(), (3..12).collect::<Vec<_>>());
    }
}

#[test]
fn a_directory_in_the_place_of_a_file_is_said_and_waited_for() {
    for name in [TODAY, "inference_records.txt", ".lock", ".cursor"] {
        let place = Place::new();
        fs::create_dir_all(place.log(name)).unwrap();
        let journal = place.open();
        log_numbers(&journal, 0..5);
        wait_for_fault(&journal, "logs");
        log_numbers(&journal, 5..8);
        assert!(place.log(name).is_dir(), "{name} was not left alone");
        fs::remove_dir(place.log(name)).unwrap();
        assert_recovered(&place, &journal);
        assert_eq!(place.numbers(), up_to(8));
    }
}

#[test]
fn a_fault_of_one_file_leaves_no_copies_of_the_others() {
    let place = Place::new();
    fs::create_dir_all(place.log("system_events.txt")).unwrap();
    let journal = place.open();
    (0..5).for_each(|number| log_every_name(&journal, number));
    wait_for_fault(&journal, "system_events.txt");
    fs::remove_dir(place.log("system_events.txt")).unwrap();
    assert_recovered(&place, &journal);
    assert_eq!(place.numbers(), up_to(5));
}

#[test]
fn a_link_in_the_place_of_a_file_is_not_followed() {
    let place = Place::new();
    let target = place.directory.path().join("target");
    fs::write(&target, "untouched").unwrap();
    for run in 0..2 {
        // First while nothing is written yet, then in the middle.
        let journal = place.open();
        let kept = place.directory.path().join("kept");
        if run == 1 {
            log_numbers(&journal, 100..105);
            wait_for_lines(&journal, 5);
            fs::rename(place.log(TODAY), &kept).unwrap();
        } else {
            fs::create_dir_all(place.logs()).unwrap();
        }
        link(&target, &place.log(TODAY));
        log_numbers(&journal, 200..205);
        wait_for_fault(&journal, TODAY);
        assert_eq!(fs::read_to_string(&target).unwrap(), "untouched");
        match run {
            0 => fs::remove_file(place.log(TODAY)).unwrap(),
            _ => fs::rename(kept, place.log(TODAY)).unwrap(),
        }
        wait_for_recovery(&journal);
        journal.close().unwrap();
        place.assert_mirrored();
        assert_eq!(place.said(FAULT).len(), run + 1);
    }
    assert_eq!(fs::read_to_string(&target).unwrap(), "untouched");
}

#[test]
fn the_links_name_leads_to_the_file_wherever_it_led_before() {
    let place = Place::new();
    let target = place.directory.path().join("target");
    fs::write(&target, "untouched").unwrap();
    fs::create_dir_all(place.logs()).unwrap();
    link(&target, &place.log("inference_records.txt"));
    link("/nowhere/at/all", &place.log("system_events.txt"));
    let journal = place.open();
    log_every_name(&journal, 0);
    journal.close().unwrap();
    assert_eq!(fs::read_to_string(&target).unwrap(), "untouched");
    assert_eq!(place.numbers_in("inference_records.txt"), [0]);
    place.assert_mirrored();
}

#[test]
fn the_predecessors_file_is_moved_aside_and_kept() {
    let place = Place::new();
    fs::create_dir_all(place.logs()).unwrap();
    let old = ["the predecessor's first\n", "and its second\n"];
    let aside = [
        "inference_records.before-annals.txt",
        "inference_records.before-annals-1.txt",
    ];
    for (run, old) in (0..2).zip(old) {
        let link = place.log("inference_records.txt");
        if run > 0 {
            fs::remove_file(&link).unwrap();
        }
        fs::write(&link, old).unwrap();
        let journal = place.open();
        log_numbers(&journal, run * 5..run * 5 + 5);
        wait_for_lines(&journal, 5);
        wait_until("it is said", || {
            flush(&journal);
            place.said(MOVED).len() as u64 == run + 1
        });
        journal.close().unwrap();
    }
    for (old, name) in old.iter().zip(aside) {
        assert_eq!(fs::read_to_string(place.log(name)).unwrap(), *old);
    }
    assert_eq!(place.numbers_in("inference_records.txt"), up_to(10));
    place.assert_mirrored();
    for (event, name) in place.said(MOVED).iter().zip(aside) {
        assert_eq!(event.level, Level::Warn);
        assert!(event.fields[0].1.to_string().ends_with(name), "{event:?}");
    }
    // It is no whole line any more.
    let recent = recent_lines(place.logs(), LogKind::Inferences, 100).unwrap();
    assert_eq!(numbers(&recent), up_to(10));
}

/// A program that runs for less than a look at the journal writes its lines as it closes.
#[test]
fn what_is_moved_aside_by_a_closing_journal_is_recorded_too() {
    let place = Place::new();
    fs::create_dir_all(place.logs()).unwrap();
    fs::write(place.log("inference_records.txt"), "old\n").unwrap();
    let options = Journal::options().commit_interval(std::time::Duration::from_secs(3_600));
    let journal = options.clock(july()).open(place.dir()).unwrap();
    log_number(&journal, 0); // not committed before the journal closes
    journal.close().unwrap();
    assert_eq!(journal.health().dropped.total(), 0);
    place.run(1..2);
    assert_eq!(place.said(MOVED).len(), 1);
}

#[test]
fn a_file_in_the_place_of_the_directory_is_said_and_waited_for() {
    let place = Place::new();
    fs::create_dir_all(place.dir()).unwrap();
    fs::write(place.logs(), "in the way").unwrap();
    let journal = place.open();
    log_numbers(&journal, 0..5);
    wait_for_fault(&journal, "logs");
    assert!(!journal.health().mirror.unwrap().writing);
    assert_eq!(fs::read_to_string(place.logs()).unwrap(), "in the way");
    fs::remove_file(place.logs()).unwrap();
    assert_recovered(&place, &journal);
    assert_eq!(place.numbers(), up_to(5));
}

#[test]
fn a_journal_closes_in_good_order_while_the_files_cannot_be_written() {
    let place = Place::new();
    fs::create_dir_all(place.dir()).unwrap();
    fs::write(place.logs(), "in the way").unwrap();
    place.run(0..5);
    fs::remove_file(place.logs()).unwrap();
    place.run(5..8);
    assert_eq!(place.numbers(), up_to(8));
    place.assert_mirrored();
}

/// Waits until the stored cursor is ahead of the one that is stored now; a crash soon after it
/// finds that one.
fn wait_for_cursor(place: &Place) -> Vec<u8> {
    let read = || fs::read(place.log(".cursor")).unwrap_or_default();
    let before = read();
    wait_until("the cursor is stored", || read() != before);
    read()
}

/// A journal that has stored its cursor in the middle of a file, then written several more files,
/// and cleaned up; and what a crash in that moment leaves behind.
fn crashed_after_clean_up(mirror: Mirror) -> (Place, Place) {
    // The clean-up and the copy almost always fit between two stored cursors, unless the clean-up
    // stores one itself: then there is nothing to be repaired.
    let mut attempts = 0;
    loop {
        let place = Place::with(mirror.clone().rotation(Rotation::Size(500)));
        let journal = place.open();
        log_numbers(&journal, 0..7);
        let cursor = wait_for_cursor(&place);
        log_numbers(&journal, 7..40);
        journal.clean_up_logs(BOUND).unwrap();
        let crashed = place.crashed();
        journal.close().unwrap();
        attempts += 1;
        if attempts == 3 || fs::read(crashed.log(".cursor")).unwrap() == cursor {
            return (place, crashed);
        }
    }
}

#[test]
fn a_crash_after_a_compression_leaves_each_line_once() {
    let (place, crashed) = crashed_after_clean_up(Mirror::new().compress_old());
    assert_eq!(place.numbers(), up_to(40));
    let journal = crashed.open();
    log_numbers(&journal, 40..42);
    journal.clean_up_logs(BOUND).unwrap();
    journal.close().unwrap();
    assert_eq!(crashed.numbers(), up_to(42));
    crashed.assert_mirrored();
}

#[test]
fn a_crash_after_lines_were_cut_off_leaves_whole_lines() {
    // The lines that are cut off are of the file that the stored cursor is in.
    let (place, mut crashed) =
        crashed_after_clean_up(Mirror::new().retention(RetentionPolicy::new().max_count(34)));
    assert_eq!(place.numbers(), (6..40).collect::<Vec<_>>());
    // Nothing more is cut off: that could hide a line that is there twice.
    crashed.mirror = Mirror::new().rotation(Rotation::Size(500));
    let journal = crashed.open();
    log_numbers(&journal, 40..42);
    journal.close().unwrap();
    let found = crashed.numbers();
    assert_eq!(found, (found[0]..42).collect::<Vec<_>>());
    assert!(found.len() >= 34, "{found:?}");
}

#[test]
fn a_crash_amid_a_compression_shows_no_line_twice() {
    let mut place = Place::with(Mirror::new().rotation(Rotation::Size(500)));
    place.run(0..20);
    // The compressed file is complete, the plain one not yet removed.
    let name = "inference_records.part-0.txt";
    let plain = fs::read(place.log(name)).unwrap();
    place.mirror = place.mirror.compress_old();
    let journal = place.open();
    journal.clean_up_logs(BOUND).unwrap();
    journal.close().unwrap();
    fs::write(place.log(name), plain).unwrap();
    let recent = recent_lines(place.logs(), LogKind::Inferences, 100).unwrap();
    assert_eq!(numbers(&recent), up_to(20));
    let journal = place.open();
    journal.clean_up_logs(BOUND).unwrap();
    journal.close().unwrap();
    assert_eq!(place.numbers(), up_to(20));
}

const ROTATIONS: [Rotation; 3] = [
    Rotation::Daily,
    Rotation::Size(500),
    Rotation::DailyOrSize(500),
];

#[test]
fn the_rotation_may_change_between_runs() {
    for first in ROTATIONS {
        for second in ROTATIONS {
            let mut place = Place::new();
            for (run, rotation) in (0..).zip([first, second, first, second]) {
                place.mirror = Mirror::new().rotation(rotation);
                place.run(run * 10..run * 10 + 10);
            }
            let mut found = place.numbers();
            found.sort_unstable();
            assert_eq!(found, up_to(40), "{first:?} and {second:?}");
        }
    }
}

#[test]
fn the_newest_lines_stay_the_newest_when_the_rotation_changes() {
    for first in ROTATIONS {
        for second in ROTATIONS {
            let mut place = Place::new();
            for (run, rotation) in (0..).zip([first, second]) {
                place.mirror = Mirror::new().rotation(rotation);
                place.run(run * 10..run * 10 + 10);
            }
            let recent = recent_lines(place.logs(), LogKind::Inferences, 5).unwrap();
            let recent = numbers(&recent);
            assert_eq!(recent, [15, 16, 17, 18, 19], "{first:?}, {second:?}");
        }
    }
}

#[test]
fn the_current_file_is_current_when_the_rotation_changes() {
    for first in ROTATIONS {
        for second in ROTATIONS {
            let mut place = Place::new();
            for (run, rotation) in (0..).zip([first, second]) {
                place.mirror = Mirror::new().rotation(rotation).compress_old();
                let journal = place.open();
                for batch in 0..3 {
                    let number = run * 10 + batch * 3;
                    log_numbers(&journal, number..number + 3);
                    journal.clean_up_logs(BOUND).unwrap();
                }
                journal.close().unwrap();
            }
            let mut found = place.numbers();
            found.sort_unstable();
            let expected: Vec<_> = (0..9).chain(10..19).collect();
            assert_eq!(found, expected, "{first:?}, {second:?}");
        }
    }
}

/// Fills the disk under the text files, and frees it again.
fn fill_and_free(cursor_stored: bool) {
    let directory = tempfile::tempdir().unwrap();
    let logs = directory.path().join("tiny");
    let Some(_tiny) = Tiny::mount(&logs, 64) else {
        return;
    };
    let place = Place::with(Mirror::new().directory(&logs));
    let ballast = logs.join("ballast");
    fs::write(&ballast, vec![0; 40 << 10]).unwrap();
    let journal = place.open();
    if cursor_stored {
        log_numbers(&journal, 0..3);
        wait_until("the cursor is stored", || logs.join(".cursor").exists());
    }
    log_numbers(&journal, 3..403); // about 36 KiB of lines
    wait_for_fault(&journal, "space");
    assert!(journal.health().mirror.unwrap().lag > 0);
    fs::remove_file(&ballast).unwrap();
    wait_for_recovery(&journal);
    log_numbers(&journal, 403..410);
    journal.close().unwrap();
    assert_mirrored(&place.dir(), &logs);
    let aside = names(&logs).into_iter();
    let aside: Vec<_> = aside.filter(|name| name.contains("aside")).collect();
    assert_eq!(aside, [""; 0]);
    assert_eq!(place.said(FAULT).len(), 1);
    assert_eq!(place.said(&format!("over: {FAULT}")).len(), 1);
}

#[test]
fn a_full_disk_is_waited_for() {
    fill_and_free(true);
}

#[test]
fn a_disk_that_is_full_from_the_beginning_is_waited_for() {
    fill_and_free(false);
}

#[test]
fn a_read_only_directory_is_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let logs = directory.path().join("tiny");
    let Some(tiny) = Tiny::mount(&logs, 64) else {
        return;
    };
    let place = Place::with(Mirror::new().directory(&logs));
    tiny.read_only(true);
    let journal = place.open();
    log_numbers(&journal, 0..3);
    wait_for_fault(&journal, "ead-only");
    tiny.read_only(false);
    wait_for_recovery(&journal);
    journal.close().unwrap();
    assert_mirrored(&place.dir(), &logs);

    // Between two runs as well.
    tiny.read_only(true);
    let journal = place.open();
    log_numbers(&journal, 3..6);
    wait_for_fault(&journal, "ead-only");
    journal.close().unwrap();
    tiny.read_only(false);
    place.run(6..9);
    assert_mirrored(&place.dir(), &logs);
    assert_eq!(place.said(FAULT).len(), 2);
}

#[test]
fn a_clean_up_says_what_stood_in_its_way() {
    let place = Place::with(Mirror::new().rotation(Rotation::Size(500)).compress_old());
    let journal = place.open();
    // The clean-up that happens by itself, once a minute, is over.
    journal.clean_up_logs(BOUND).unwrap();
    log_numbers(&journal, 0..2);
    wait_for_lines(&journal, 2);
    fs::create_dir(place.log(".compressed.new")).unwrap();
    log_numbers(&journal, 2..20);
    let refused = journal.clean_up_logs(BOUND);
    assert!(matches!(refused, Err(Error::Io { .. })), "{refused:?}");
    log_numbers(&journal, 20..22);
    wait_for_lines(&journal, 22);
    fs::remove_dir(place.log(".compressed.new")).unwrap();
    let cleaned = journal.clean_up_logs(BOUND).unwrap();
    assert!(cleaned.compressed > 0);
    journal.close().unwrap();
    place.assert_mirrored();
}

/// An older journal is put back beside the newer text files.
#[test]
fn a_journal_older_than_its_files_is_mirrored_as_it_goes_on() {
    let place = Place::new();
    place.run(0..5);
    let older = place.crashed();
    place.run(5..20);
    fs::remove_dir_all(older.logs()).unwrap();
    copy(&place.logs(), &older.logs());
    older.run(100..103);
    let found = older.numbers();
    assert!(found.ends_with(&[100, 101, 102]), "{found:?}");
}

//! Cursors by name: stored in the journal, seen by every process, refused where they do not fit.

#![allow(clippy::unwrap_used)]

mod support;

use annals::{Error, Inference, Journal, Maintenance, Reader};
use support::flush;

#[test]
fn a_cursor_is_there_for_every_process_until_it_is_removed() {
    let directory = tempfile::tempdir().unwrap();
    let journal = Journal::options()
        .without_mirror()
        .open(directory.path())
        .unwrap();
    for _ in 0..10 {
        journal.log(Inference::new("m", "s", "BUY")).unwrap();
    }
    flush(&journal);
    let maintenance = journal.maintenance().unwrap();
    let reader = journal.reader().unwrap();
    let mut follow = reader.follow(reader.start()).unwrap();
    follow.by_ref().take(4).for_each(drop);
    maintenance.set_cursor("ü export", follow.cursor()).unwrap();
    maintenance.set_cursor("b", reader.start()).unwrap();
    journal.close().unwrap();

    let other = Maintenance::open(directory.path()).unwrap();
    let cursor = other.cursor("ü export").unwrap().unwrap();
    assert_eq!(cursor.next_sequence(), 5);
    let reader = Reader::open(directory.path()).unwrap();
    assert_eq!(reader.follow(cursor).unwrap().count(), 6);
    let names: Vec<String> = other
        .cursors()
        .unwrap()
        .into_iter()
        .map(|c| c.name)
        .collect();
    assert_eq!(names, ["b", "ü export"]);
    // A cursor may go back: an export that is to be made again.
    other.set_cursor("ü export", reader.start()).unwrap();
    assert_eq!(
        maintenance.cursor("ü export").unwrap(),
        Some(reader.start())
    );
    assert!(maintenance.remove_cursor("b").unwrap());
    assert!(!other.remove_cursor("b").unwrap());
    assert_eq!(other.cursor("b").unwrap(), None);
}

#[test]
fn what_does_not_fit_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let options = || Journal::options().without_mirror();
    let journal = options().open(directory.path().join("a")).unwrap();
    let other = options().open(directory.path().join("b")).unwrap();
    let maintenance = journal.maintenance().unwrap();
    let end = journal.reader().unwrap().end().unwrap();
    let foreign = other.reader().unwrap().start();
    let beyond = format!("annals:{}:{}", journal.id(), end.next_sequence() + 1);
    for cursor in [foreign, beyond.parse().unwrap()] {
        let refused = maintenance.set_cursor("export", cursor);
        assert!(matches!(refused, Err(Error::ForeignCursor { .. })));
    }
    for name in ["", "a\nb", &"n".repeat(256)] {
        let refused = maintenance.set_cursor(name, end);
        assert!(matches!(refused, Err(Error::InvalidName { .. })), "{name}");
        assert!(maintenance.cursor(name).is_err());
    }
    assert_eq!(maintenance.cursors().unwrap(), []);
    let memory = Journal::in_memory().unwrap();
    assert!(matches!(memory.maintenance(), Err(Error::NoDirectory)));
    let nothing = Maintenance::open(directory.path().join("none"));
    assert!(matches!(nothing, Err(Error::Missing { .. })));
}

//! Content of errors: their kind, their cause, and the true reason only.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use annals::{Error, ErrorKind, Journal, Options, Reader};

const BOUND: Duration = Duration::from_secs(60);

/// A request that a journal cannot fulfil is told from a journal that was closed.
#[test]
fn only_a_closed_journal_is_said_to_be_closed() {
    let bare = || Options::default().without_folding().without_mirror();
    let dir = tempfile::tempdir().unwrap();
    let memory = bare().in_memory().unwrap();
    let on_disk = bare().open(dir.path().join("data")).unwrap();
    let refused = [
        memory.seal(BOUND).map(drop).unwrap_err(),
        memory.fold(BOUND).map(drop).unwrap_err(),
        memory.clean_up_logs(BOUND).map(drop).unwrap_err(),
        on_disk.fold(BOUND).map(drop).unwrap_err(),
        on_disk.clean_up_logs(BOUND).map(drop).unwrap_err(),
    ];
    let advice = [
        "open one with Journal::open",
        "without Options::without_folding",
        "open one with Journal::open",
        "without Options::without_folding",
        "without Options::without_mirror",
    ];
    for (error, advice) in refused.iter().zip(advice) {
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(error.to_string().contains(advice), "{error}");
    }
    on_disk.close().unwrap();
    let closed = on_disk.seal(BOUND).unwrap_err();
    assert!(matches!(closed, Error::Closed), "{closed}");
    assert_eq!(closed.kind(), ErrorKind::Ended);
    // A statistic of nothing is no error.
    assert!(memory.stats("nobody").get().unwrap().is_empty());
}

#[test]
fn the_systems_own_error_is_the_source() {
    let dir = tempfile::tempdir().unwrap();
    let too_long = dir.path().join("x".repeat(300)).join("data");
    let error = Journal::open(too_long).unwrap_err();
    let source = error.source().and_then(|source| source.downcast_ref());
    let kind = source.map(io::Error::kind);
    assert_eq!(error.kind(), ErrorKind::System, "{error}");
    assert!(kind.is_some(), "{error:?}");
    assert_eq!(Some(io::Error::from(error).kind()), kind);
}

#[test]
fn a_kind_says_what_can_be_done() {
    let missing = Reader::open("/nowhere/data").unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    let small = Options::default().queue_capacity(0).in_memory();
    assert_eq!(small.unwrap_err().kind(), ErrorKind::InvalidInput);
}

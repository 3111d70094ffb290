//! Files of words: their rights, their pages, and what a child of `fork` finds.
#![cfg(all(target_os = "linux", target_pointer_width = "64", not(annals_portable)))]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::sync::atomic::Ordering;

use annals_mapping::{ForkWords, PAGE_BYTES, PAGE_WORDS, SharedWords, barrier, register_barrier};

#[test]
fn words_are_in_the_file_at_once_and_for_its_owner_only() {
    let folder = tempfile::tempdir().unwrap();
    let directory = File::open(folder.path()).unwrap();
    let mapping = SharedWords::create(&directory, "lane", 4).unwrap();
    let words = mapping.words();
    assert_eq!(words.len(), 4 * PAGE_WORDS);
    assert!(words.iter().all(|word| word.load(Ordering::Relaxed) == 0));
    words[0].store(1, Ordering::Relaxed);
    words[4 * PAGE_WORDS - 1].store(u64::MAX, Ordering::Release);

    let path = folder.path().join("lane");
    let bytes = fs::read(&path).unwrap();
    assert_eq!(bytes.len(), 4 * PAGE_BYTES);
    assert_eq!(bytes[..8], 1_u64.to_ne_bytes());
    assert_eq!(bytes[bytes.len() - 8..], u64::MAX.to_ne_bytes());
    let found = fs::metadata(&path).unwrap();
    assert_eq!(found.permissions().mode() & 0o7777, 0o600);
    // Reserved, not a hole.
    assert!(found.blocks() * 512 >= 4 * PAGE_BYTES as u64);

    drop(mapping);
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn a_name_that_is_taken_or_leads_elsewhere_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let directory = File::open(folder.path()).unwrap();
    let create = |name| SharedWords::create(&directory, name, 1).map(|_| ());
    create("lane").unwrap();
    assert_eq!(create("lane").unwrap_err().kind(), ErrorKind::AlreadyExists);
    symlink(folder.path().join("target"), folder.path().join("link")).unwrap();
    assert_eq!(create("link").unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert!(!folder.path().join("target").exists());
    for name in ["", ".", "..", "a/b", "/lane", "a\0b"] {
        let refused = create(name).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidInput, "{name:?}");
    }
    for pages in [0, usize::MAX] {
        let refused = SharedWords::create(&directory, "none", pages).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidInput, "{pages}");
    }
}

#[test]
fn what_finds_no_room_leaves_no_file() {
    let folder = tempfile::tempdir_in("/dev/shm");
    // Where there is none, there is nothing to fill.
    let Ok(folder) = folder else { return };
    let directory = File::open(folder.path()).unwrap();
    // More than any machine has, and less than a file may have.
    let refused = SharedWords::create(&directory, "lane", 1 << 34).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::StorageFull);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_forked_child_finds_zeros_and_its_parent_keeps_its_words() {
    let words = ForkWords::new().unwrap();
    words.words()[0].store(7, Ordering::Relaxed);
    words.words()[PAGE_WORDS - 1].store(8, Ordering::Relaxed);
    match fork::fork().unwrap() {
        fork::Fork::Child => {
            let wiped = words.words().iter();
            let wiped = wiped.map(|word| word.load(Ordering::Relaxed)).max() == Some(0);
            // Without the destructors and threads of a test.
            rustix::process::kill_process(
                rustix::process::getpid(),
                if wiped {
                    rustix::process::Signal::KILL
                } else {
                    rustix::process::Signal::TERM
                },
            )
            .unwrap();
            loop {
                std::thread::park();
            }
        }
        fork::Fork::Parent(child) => {
            let child = rustix::process::Pid::from_raw(child);
            let options = rustix::process::WaitOptions::empty();
            let (_, status) = rustix::process::waitpid(child, options).unwrap().unwrap();
            assert_eq!(status.terminating_signal(), Some(9), "the child saw words");
        }
    }
    assert_eq!(words.words()[0].load(Ordering::Relaxed), 7);
    assert_eq!(words.words()[PAGE_WORDS - 1].load(Ordering::Relaxed), 8);
}

#[test]
fn a_barrier_needs_to_be_registered() {
    register_barrier().unwrap();
    register_barrier().unwrap();
    barrier().unwrap();
}

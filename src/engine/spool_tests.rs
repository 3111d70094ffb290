#![allow(clippy::unwrap_used)]

use std::fs;

use super::*;
use crate::engine::format::block::BlockEncoder;
use crate::engine::format::row::{GapRow, Note};
use crate::entry::gap::GapReason;

const OWNER: SpoolOwner = SpoolOwner {
    journal: 7,
    run: RunId(3),
};

/// A block of one gap of `count` lost events.
fn blocks(count: u64) -> Vec<Block> {
    let mut encoder = BlockEncoder::default();
    let gap = GapRow {
        run: OWNER.run.get(),
        reason: GapReason::QueueFull,
        count: Some(count),
        after: None,
        recorded_range: None,
        event_range: None,
        refusal: None,
    };
    encoder
        .note(crate::Timestamp::from_micros(5), &Note::Gap(gap))
        .unwrap();
    encoder.take()
}

fn spooled(batch: u64, blocks: &[Block]) -> Spooled<'_> {
    Spooled {
        batch,
        blocks,
        pending: &[],
        panicked: false,
        is_one_frame: false,
    }
}

/// Payloads of all frames of `batch`, frame by frame.
fn read(directory: &Directory, owner: SpoolOwner, batch: u64) -> Vec<Vec<Vec<u8>>> {
    let path = directory.spool(OWNER.run, parity(batch));
    let Some(mut frames) = Frames::open(&path, owner, batch).unwrap() else {
        return Vec::new();
    };
    let mut found = Vec::new();
    while let Some(frame) = frames.next().unwrap() {
        let (_, payloads) = frame.payloads().unwrap();
        found.push(payloads.into_iter().map(<[u8]>::to_owned).collect());
    }
    found
}

fn scratch() -> (tempfile::TempDir, Directory) {
    let scratch = tempfile::tempdir().unwrap();
    let directory = Directory::create(&scratch.path().join("data")).unwrap();
    (scratch, directory)
}

#[test]
fn frames_come_back_and_those_of_earlier_batches_do_not() {
    let (_scratch, directory) = scratch();
    let mut spool = Spool::new(directory.clone(), OWNER);
    for batch in 1..=4 {
        // Fewer with each batch, so that older frames lie behind the newest.
        for count in batch..=6 {
            spool
                .append(&spooled(batch, &blocks(count)), |_| ())
                .unwrap();
        }
    }
    assert_eq!(read(&directory, OWNER, 1), Vec::<Vec<Vec<u8>>>::new());
    for batch in [3_u64, 4] {
        let expected: Vec<_> = (batch..=6)
            .map(|count| vec![blocks(count)[0].value[CHECKSUM_BYTES..].to_vec()])
            .collect();
        assert_eq!(read(&directory, OWNER, batch), expected);
    }
    let others = [
        SpoolOwner {
            journal: 8,
            ..OWNER
        },
        SpoolOwner {
            run: RunId(4),
            ..OWNER
        },
    ];
    for other in others {
        assert!(read(&directory, other, 4).is_empty(), "{other:?}");
    }
    spool.remove();
    assert!(read(&directory, OWNER, 4).is_empty());
}

#[test]
fn a_frame_says_how_many_came_in_the_batch_before() {
    let (_scratch, directory) = scratch();
    let mut spool = Spool::new(directory.clone(), OWNER);
    for batch in [1, 1, 2, 4] {
        spool.append(&spooled(batch, &blocks(1)), |_| ()).unwrap();
    }
    let before = |batch| {
        let path = directory.spool(OWNER.run, parity(batch));
        let mut frames = Frames::open(&path, OWNER, batch).unwrap().unwrap();
        frames.next().unwrap().unwrap().before
    };
    // No batch 0: all of its frames are there.
    assert_eq!(before(1), Some(0));
    // Batch 3 was never spooled.
    assert_eq!(before(4), None);
    let mut spool = Spool::new(directory.clone(), OWNER);
    for batch in [1, 1, 2] {
        spool.append(&spooled(batch, &blocks(1)), |_| ()).unwrap();
    }
    assert_eq!(before(2), Some(2));
}

#[test]
fn every_cut_and_every_changed_byte_ends_the_frames() {
    let (_scratch, directory) = scratch();
    let mut spool = Spool::new(directory.clone(), OWNER);
    for count in 1..=3 {
        spool.append(&spooled(1, &blocks(count)), |_| ()).unwrap();
    }
    let path = directory.spool(OWNER.run, parity(1));
    let length = usize::try_from(spool.offset).unwrap();
    let whole = fs::read(&path).unwrap()[..length].to_vec();
    let count = |bytes: &[u8]| {
        let mut frames = Frames::new(bytes, OWNER, 1);
        while frames.next().unwrap().is_some() {}
        frames.count()
    };
    assert_eq!(count(&whole), 3);
    for cut in 0..length {
        assert!(count(&whole[..cut]) < 3, "{cut}");
    }
    for place in 0..length {
        let mut changed = whole.clone();
        changed[place] ^= 1;
        assert!(count(&changed) < 3, "{place}");
    }
}

#[test]
#[cfg(unix)]
fn links_are_not_followed() {
    let (scratch, directory) = scratch();
    let victim = scratch.path().join("victim");
    fs::write(&victim, "v").unwrap();
    std::os::unix::fs::symlink(&victim, directory.spool(OWNER.run, 1)).unwrap();
    assert!(read(&directory, OWNER, 1).is_empty());
    let mut spool = Spool::new(directory, OWNER);
    spool.append(&spooled(1, &blocks(1)), |_| ()).unwrap();
    assert_eq!(fs::read(&victim).unwrap(), b"v");
}

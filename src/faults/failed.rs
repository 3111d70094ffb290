//! A journal that has failed, and those that are opened beside it and after it in the same process.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::ledger::{assert_balanced, options};
use super::scratch;
use crate::engine::directory::HOT_FILE;
use crate::entry::GapReason;
use crate::fs::failpoint::{Failpoint, IoCall, install};
use crate::health::State;
use crate::{BlackBox, Error, Inference, Journal, Reader, Registry};

/// Refuses to sync the hot file while it is broken.
#[derive(Default)]
struct Disk {
    broken: AtomicBool,
}

impl Failpoint for Disk {
    fn before(&self, path: &Path, call: IoCall<'_>) -> io::Result<()> {
        let hit = matches!(call, IoCall::Sync) && path.ends_with(HOT_FILE);
        if hit && self.broken.load(Ordering::SeqCst) {
            return Err(io::Error::from_raw_os_error(5));
        }
        Ok(())
    }
}

fn log(journal: &Journal, count: usize) {
    for _ in 0..count {
        let inference = Inference::new("m", "s", "BUY");
        assert!(journal.log(inference).is_some());
    }
}

fn flush(journal: &Journal) -> Result<(), Error> {
    journal.flush().wait(super::HANG)
}

fn count(dir: &Path) -> usize {
    Reader::open(dir).unwrap().inferences().iter().count()
}

#[test]
fn a_failed_journal_says_so_and_the_next_one_goes_on_in_the_same_process() {
    let directory = scratch();
    let dir = directory.path().join("data");
    let disk = Arc::new(Disk::default());
    let installed = install(directory.path(), disk.clone());
    // Without a spool, which would leave what is unknown to the next opener.
    let failed = options().black_box(BlackBox::Off).open(&dir).unwrap();
    let run = failed.health().run;
    log(&failed, 10);
    flush(&failed).unwrap();

    disk.broken.store(true, Ordering::SeqCst);
    log(&failed, 5);
    let said = flush(&failed).unwrap_err();
    assert!(matches!(said, Error::Failed { .. }), "{said:?}");
    assert!(said.to_string().contains("drop it and open it again"));
    let health = failed.health();
    assert_eq!((health.state, health.committed), (State::Failed, 10));
    assert_eq!((health.unknown, health.queued), (5, 0), "{health:?}");
    // A disk that is well again changes nothing for this handle.
    disk.broken.store(false, Ordering::SeqCst);
    log(&failed, 7);
    assert!(matches!(flush(&failed), Err(Error::Failed { .. })));
    let health = failed.health();
    assert_eq!(health.dropped.failed, 7);
    assert_balanced(&health, "failed");

    // Beside the failed one, and after it.
    let beside = options().open(&dir).unwrap();
    let kept = count(&dir);
    assert!([10, 15].contains(&kept), "half a batch: {kept}");
    log(&beside, 3);
    flush(&beside).unwrap();
    assert!(matches!(failed.close(), Err(Error::Failed { .. })));
    assert_eq!(failed.log(Inference::new("m", "s", "BUY")), None);
    assert_balanced(&failed.health(), "failed and closed");
    drop(failed);
    log(&beside, 3);
    flush(&beside).unwrap();
    beside.close().unwrap();
    let after = options().open(&dir).unwrap();
    log(&after, 1);
    after.close().unwrap();
    assert_eq!(count(&dir), kept + 7);
    let reader = Reader::open(&dir).unwrap();
    let gaps: Vec<_> = reader.gaps().map(Result::unwrap).collect();
    let deaths: Vec<_> = gaps.iter().map(|gap| (gap.run, gap.reason)).collect();
    assert_eq!(deaths, [(run, GapReason::Died)], "{gaps:?}");
    drop(installed);
}

/// The entry of a checkpoint is written last. If its sync fails, its fate is unknown.
#[test]
fn a_save_whose_commit_nobody_can_vouch_for_says_so_and_is_settled_later() {
    let directory = scratch();
    let dir = directory.path().join("data");
    let disk = Arc::new(Disk::default());
    let installed = install(directory.path(), disk.clone());
    options().open(&dir).unwrap().close().unwrap();
    let registry = Registry::open(&dir).unwrap();
    // Where the file grows, it is synced before the commit is tried, and a failure there is
    // certain. So it has grown just now, and has room.
    let length = || std::fs::metadata(dir.join(HOT_FILE)).unwrap().len();
    let mut sure = Vec::new();
    loop {
        let before = length();
        sure.push(registry.checkpoint("m").save([1]).unwrap());
        if length() > before {
            break;
        }
        assert!(sure.len() < 1_000, "the file does not grow");
    }

    disk.broken.store(true, Ordering::SeqCst);
    let unsure = registry.checkpoint("m").save([2]).unwrap_err();
    let Error::Unconfirmed { id, path, .. } = &unsure else {
        panic!("{unsure:?}");
    };
    assert!(unsure.to_string().contains("reconcile() settles it"));
    assert_eq!(std::fs::read(path).unwrap(), [2]);
    // The disk may work again; this handle does not use it.
    disk.broken.store(false, Ordering::SeqCst);
    let next = registry.checkpoint("m").save([3]);
    let listed = Registry::open(&dir).unwrap().list("m").get().unwrap();
    for sure in &sure {
        assert!(listed.iter().any(|known| known.id() == sure.id()));
    }
    drop(registry);

    let registry = Registry::open(&dir).unwrap();
    registry.reconcile().unwrap();
    let weights = registry.load(id).unwrap().into_bytes().unwrap();
    assert_eq!(weights, [2]);
    let after = registry.checkpoint("m").save([4]).unwrap();
    let mut wanted = vec![id.clone(), after.id().to_owned()];
    wanted.extend(sure.iter().map(|sure| sure.id().to_owned()));
    wanted.extend(next.ok().map(|next| next.id().to_owned()));
    let listed = registry.list("m").get().unwrap();
    let mut listed: Vec<_> = listed.iter().map(|known| known.id().to_owned()).collect();
    wanted.sort();
    listed.sort();
    assert_eq!(listed, wanted);
    drop(installed);
}

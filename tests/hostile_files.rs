//! Files that lie, one kind after the other: paths that lead elsewhere, pipes, links, numbers that
//! cannot be. An error or `verify` reports the effect of each, and nothing else happens.

#![cfg(all(unix, not(annals_portable)))]
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "hostile/craft.rs"]
mod craft;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use annals::logs::{LogKind, Mirror, recent_lines};
use annals::maintenance::DefectKind;
use annals::registry::Condition;
use annals::{Error, Inference, Journal, Maintenance, Reader, Registry};
use craft::{MODEL, Outside, extent_of, number, put, put_blocks, put_extent, rows, signed, text};
use tempfile::TempDir;

/// A longer wait counts as a hang.
const FOR_EVER: Duration = Duration::from_secs(60);

struct Place {
    _scratch: TempDir,
    dir: PathBuf,
    outside: Outside,
}

fn place() -> Place {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("data");
    craft::base(&dir);
    let outside = Outside::make(scratch.path().join("outside"));
    Place {
        _scratch: scratch,
        dir,
        outside,
    }
}

impl Place {
    fn hot(&self) -> PathBuf {
        self.dir.join("journal.redb")
    }

    fn defects(&self) -> Vec<DefectKind> {
        let verified = Maintenance::open(&self.dir).unwrap().verify();
        verified.defects.iter().map(|defect| defect.kind).collect()
    }
}

/// Runs `body`, which must end.
fn ends<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> T {
    let (send, done) = mpsc::channel();
    thread::spawn(move || send.send(body()));
    done.recv_timeout(FOR_EVER).expect("it hangs")
}

/// Puts `with` in the place of a text, with its length in front.
fn replaced(payload: &[u8], old: &str, with: &str) -> Vec<u8> {
    let (old, with) = (text(old), text(with));
    let at = payload.windows(old.len()).position(|part| part == old);
    let at = at.expect("the text is there");
    [&payload[..at], &with, &payload[at + old.len()..]].concat()
}

/// Does with the registry in `dir` whatever removes files.
fn remove_all(dir: &Path) {
    let Ok(registry) = Registry::open(dir) else {
        return;
    };
    let _ = registry.checkpoint(MODEL).save(b"new");
    let _ = registry.reconcile();
    let ids = registry.list(MODEL).get().map(|all| {
        let ids = all.iter().map(|found| found.id().to_owned());
        ids.collect::<Vec<_>>()
    });
    for id in ids.unwrap_or_default() {
        let _ = registry.load(&id);
        let _ = registry.delete(&id, "not wanted");
    }
}

#[test]
fn no_row_leads_to_a_file_elsewhere() {
    let place = place();
    let before = place.outside.listing();
    let victim = place.outside.victim.to_str().unwrap();
    let known = rows(&place.hot(), "checkpoints");
    let hot = fs::read(place.hot()).unwrap();
    for path in [
        victim,
        "../../outside/victim",
        "dqn/../../../outside/victim",
        "../journal.redb",
        "/",
        "",
        "dqn",
        "dqn/./x",
        "dqn//x",
    ] {
        // Files of a deleted checkpoint that are still to be removed.
        let leaving = [number(1), text(path)].concat();
        put(&place.hot(), "leaving", &[(b"dqn_1".to_vec(), leaving)]);
        remove_all(&place.dir);
        if path != "dqn" {
            assert!(
                place.defects().contains(&DefectKind::Undecodable),
                "{path:?}"
            );
        }
        fs::write(place.hot(), &hot).unwrap();

        // The file of a checkpoint that was saved.
        let mut changed = known.clone();
        for (key, payload) in &mut changed {
            let id = std::str::from_utf8(key).unwrap();
            *payload = replaced(payload, &format!("dqn/{id}.bin"), path);
        }
        put(&place.hot(), "checkpoints", &changed);
        remove_all(&place.dir);
        if path != "dqn" {
            assert!(
                place.defects().contains(&DefectKind::Undecodable),
                "{path:?}"
            );
        }
        fs::write(place.hot(), &hot).unwrap();
        assert_eq!(place.outside.listing(), before, "{path:?}");
        assert!(place.hot().exists() && place.dir.join("checkpoints/dqn").is_dir());
    }
}

#[test]
fn a_checkpoint_takes_no_other_ones_weights_with_it() {
    let place = place();
    let known = rows(&place.hot(), "checkpoints");
    let ids: Vec<String> = known
        .iter()
        .map(|(key, _)| String::from_utf8(key.clone()).unwrap())
        .collect();
    let (one, other) = (&ids[0], &ids[2]);
    let (key, payload) = known[0].clone();
    let file = |id: &str| format!("dqn/{id}.bin");
    let payload = replaced(&payload, &file(one), &file(other));
    put(&place.hot(), "checkpoints", &[(key, payload)]);
    let registry = Registry::open(&place.dir).unwrap();
    registry.delete(one, "not wanted").unwrap();
    assert!(registry.load(other).is_ok());
}

#[test]
fn links_lead_nobody_out_of_the_directory() {
    let place = place();
    let before = place.outside.listing();
    let folder = place.dir.join("checkpoints").join(MODEL);
    let registry = Registry::open(&place.dir).unwrap();
    let best = registry.best(MODEL).unwrap().unwrap();
    fs::remove_file(best.path()).unwrap();
    symlink(&place.outside.victim, best.path()).unwrap();
    let refused = registry.load(best.id());
    assert!(
        matches!(refused, Err(Error::WeightsCorrupt { .. })),
        "{refused:?}"
    );
    let found = registry.get(best.id()).unwrap().unwrap();
    assert!(matches!(found.condition(), Condition::Corrupt(_)));
    registry.reconcile_contents().unwrap();

    let moved = place.dir.join("checkpoints/moved");
    fs::rename(&folder, &moved).unwrap();
    symlink(place.outside.folder.join(MODEL), &folder).unwrap();
    remove_all(&place.dir);
    let refused = registry.checkpoint(MODEL).save(b"weights");
    assert!(
        matches!(refused, Err(Error::NotSaved { .. })),
        "{refused:?}"
    );
    assert_eq!(place.outside.listing(), before);

    // Locks and what a repair sets aside.
    let nothing = place.outside.folder.join("nothing");
    for name in [
        "runs/2.lock",
        "runs/3.lock",
        "runs/create.lock",
        "logs/.lock",
        "logs/.cursor",
    ] {
        let path = place.dir.join(name);
        let _ = fs::remove_file(&path);
        symlink(&nothing, &path).unwrap();
        if let Ok(journal) = craft::options().open(&place.dir) {
            let _ = journal.close();
        }
        fs::remove_file(&path).unwrap();
        assert_eq!(place.outside.listing(), before, "{name}");
    }
    // A lock that is another name of a foreign file is locked, and not written.
    for run in 2..5 {
        let path = place.dir.join(format!("runs/{run}.lock"));
        let _ = fs::remove_file(&path);
        fs::hard_link(&place.outside.victim, &path).unwrap();
    }
    let journal = craft::options().open(&place.dir).unwrap();
    journal.close().unwrap();
    assert_eq!(place.outside.listing(), before);
    fs::create_dir(place.dir.join("damaged")).unwrap();
    symlink(&nothing, place.dir.join("damaged/journal.redb")).unwrap();
    put_extent(&place.hot(), [1 << 50, 1, 1, 0, 0]);
    let _ = annals::maintenance::repair(&place.dir);
    assert_eq!(place.outside.listing(), before);
}

#[test]
fn a_weights_file_that_was_registered_elsewhere_is_read_and_never_removed() {
    let place = place();
    let before = place.outside.listing();
    let registry = Registry::open(&place.dir).unwrap();
    let link = place.dir.join("link");
    symlink(&place.outside.victim, &link).unwrap();
    for path in [&place.outside.victim, &link] {
        let saved = registry.checkpoint("elsewhere").register(path).unwrap();
        let read = registry.load(saved.id()).unwrap().into_bytes().unwrap();
        assert_eq!(read, b"precious");
        registry.checkpoint("elsewhere").save(b"another").unwrap();
        registry.delete(saved.id(), "not wanted").unwrap();
    }
    assert_eq!(place.outside.listing(), before);
}

#[test]
fn files_with_odd_names_are_left_alone_and_cost_nobody_anything() {
    let place = place();
    let folder = place.dir.join("checkpoints/odd");
    fs::create_dir(&folder).unwrap();
    for name in ["a.p\nt", "b\n.pt", "c.\u{1b}[2J", "d\\e.pt", "f.pt"] {
        fs::write(folder.join(name), "w").unwrap();
    }
    let registry = Registry::open(&place.dir).unwrap();
    let listed = registry.list("odd").get().unwrap();
    let ids: Vec<&str> = listed.iter().map(annals::Checkpoint::id).collect();
    assert!(ids.contains(&"f") && ids.len() == 2, "{ids:?}");
    for found in &listed {
        registry.load(found.id()).unwrap();
    }
    assert_eq!(place.defects(), []);
}

#[test]
fn an_alias_that_goes_back_to_itself_holds_nobody_up() {
    let place = place();
    let file = place.hot();
    let mut steps = rows(&file, "alias_history");
    for (key, payload) in &mut steps {
        let time = u64::from_be_bytes(*key.last_chunk().unwrap()) ^ (1 << 63);
        // It pointed nowhere, and before that, at the same time.
        *payload = [&[0, 1][..], &signed(time.cast_signed())].concat();
    }
    put(&file, "alias_history", &steps);
    assert!(place.defects().contains(&DefectKind::Undecodable));
    let dir = place.dir.clone();
    let refused = ends(move || Registry::open(dir).unwrap().rollback(MODEL, "champion"));
    assert!(
        matches!(refused, Err(Error::NothingBefore { .. })),
        "{refused:?}"
    );
    let registry = Registry::open(&place.dir).unwrap();
    let best = registry.best(MODEL).unwrap().unwrap();
    registry.set_alias("champion", best.id()).unwrap();
}

#[test]
fn a_repair_ends_whatever_the_extent_says_and_keeps_what_is_there() {
    for next in [
        u64::MAX,
        1 << 63,
        1 << 56,
        1_000_000_000_000_000,
        1 << 40,
        0,
    ] {
        let place = place();
        let honest = extent_of(&place.hot()).unwrap();
        let held = |dir: &Path| {
            let reader = Reader::open(dir).unwrap();
            reader.inferences().iter().map(Result::unwrap).count()
        };
        let before = held(&place.dir);
        let mut extent = honest;
        extent[0] = next;
        put_extent(&place.hot(), extent);
        let verified = Maintenance::open(&place.dir).map(|found| found.verify());
        assert!(verified.is_ok_and(|found| !found.is_whole()), "{next}");
        let dir = place.dir.clone();
        let repaired = ends(move || annals::maintenance::repair(dir)).unwrap();
        assert!(!repaired.is_untouched(), "{next}");
        assert_eq!(held(&place.dir), before, "{next}");
        assert_eq!(place.defects(), [], "{next}");
        let size = fs::metadata(place.hot()).unwrap().len();
        assert!(size < 16 << 20, "{next}: {size}");
        let journal = craft::options().open(&place.dir).unwrap();
        journal
            .log(Inference::new(MODEL, "ETH/USDT", "BUY"))
            .unwrap();
        journal.flush().wait(FOR_EVER).unwrap();
        journal.close().unwrap();
    }
}

#[test]
fn numbers_that_cannot_be_are_defects_and_a_repair_ends_them() {
    let place = place();
    let honest = place._scratch.path().join("honest");
    craft::copy(&place.dir, &honest);
    let run = [
        signed(0),
        number(1),
        vec![0; 3],
        number(u64::MAX),
        vec![0; 2],
    ]
    .concat();
    let of_another = [
        signed(0),
        number(1),
        vec![0; 3],
        number(5 << 40),
        vec![0; 2],
    ]
    .concat();
    let segment = rows(&place.hot(), "segments").remove(0);
    let backwards = [number(0), segment.1[1..].to_vec()].concat();
    let far = [&[3][..], &u64::MAX.to_be_bytes(), &[0; 12]].concat();
    let pair = vec![0; 16];
    let reach = [number(64), vec![1; 63], number(1 << 50), vec![1, 0, 0]].concat();
    let at = |next| [number(next), signed(0)].concat();
    let first = |number: u64| number.to_be_bytes().to_vec();
    let input = 1 << 40 | 1;
    let of_inputs = |next, length| [number(next), number(length), number(1), vec![1]].concat();
    let lies = [
        ("cursors", b"export".to_vec(), at(u64::MAX)),
        ("cursors", b"export".to_vec(), at(1 << 50)),
        ("runs", first(1), [run.clone(), vec![9]].concat()),
        ("runs", first(1), of_another),
        ("runs", first(u64::MAX), run),
        ("segments", segment.0, backwards),
        ("rollups", far, vec![0; 4]),
        ("rollups", vec![4; 21], vec![0; 4]),
        ("hour_details", first(1 << 63), vec![253; 9]),
        ("hour_details", vec![1; 9], vec![1, 1]),
        ("gap_sums", pair.clone(), vec![253; 9]),
        ("gap_sums", pair[1..].to_vec(), vec![1; 4]),
        ("unmatched_outcomes", vec![0; 7], vec![0]),
        ("unmatched_outcomes", first(1), Vec::new()),
        (
            "out_of_order_outcomes",
            pair,
            [number(1 << 50), vec![0; 3]].concat(),
        ),
        ("names", first(u64::MAX), [vec![1], text("x")].concat()),
        ("name_ids", b"\x01dqn".to_vec(), vec![1, 9, 3]),
        (
            "models",
            MODEL.into(),
            [vec![0], number(u64::MAX), vec![0; 4]].concat(),
        ),
        ("aliases", b"dqn\0x".to_vec(), vec![9; 40]),
        ("meta", b"registry".to_vec(), number(u64::MAX)),
        (
            "meta",
            b"retired".to_vec(),
            [number(u64::MAX), vec![0; 6]].concat(),
        ),
        ("meta", b"folded".to_vec(), reach),
        ("inputs", first(input), of_inputs(input + 9, 1 << 40)),
        ("inputs", first(input), of_inputs(input + 9, 1 << 20)),
        ("inputs", first(input), of_inputs(input - 1, 80)),
        ("inputs", first(9 << 40 | 1), of_inputs(9 << 40 | 5, 80)),
        ("inputs", vec![1; 9], of_inputs(u64::MAX, 80)),
    ];
    for (table, key, payload) in lies {
        let said = format!("{table} {key:?}");
        put(&place.hot(), table, &[(key, payload)]);
        assert_ne!(place.defects(), [], "{said}");
        let repaired = annals::maintenance::repair(&place.dir);
        assert!(repaired.is_ok(), "{said}: {repaired:?}");
        assert_eq!(place.defects(), [], "{said}");
        let reader = Reader::open(&place.dir).unwrap();
        let left = reader.inferences().iter().filter(Result::is_ok).count();
        assert!(left >= 119, "{said}: {left}");
        let registry = Registry::open(&place.dir).unwrap();
        assert_eq!(registry.list(MODEL).get().unwrap().len(), 3, "{said}");
        fs::remove_dir_all(&place.dir).unwrap();
        craft::copy(&honest, &place.dir);
    }
    assert_eq!(place.defects(), []);
}

#[test]
fn metadata_that_is_nested_without_an_end_is_none() {
    let place = place();
    let (key, payload) = rows(&place.hot(), "checkpoints").remove(0);
    let id = String::from_utf8(key.clone()).unwrap();
    // The metadata is bytes with their length in front.
    let nested = [&[1, 1, b'x'][..], &[5, 1].repeat(500_000), &[0]].concat();
    let end = payload
        .windows(9)
        .position(|part| part == b"optimiser")
        .expect("it has metadata");
    // Length of all of it, one entry, length of its name.
    let front = &payload[..end - 3];
    let length = usize::from(payload[end - 3]);
    assert!(length < 251, "a length of one byte");
    let behind = &payload[end - 2 + length..];
    let changed = [front, &number(nested.len() as u64), &nested, behind].concat();
    put(&place.hot(), "checkpoints", &[(key, changed)]);
    let registry = Registry::open(&place.dir).unwrap();
    let found = registry.get(&id).unwrap().unwrap();
    assert!(found.all_metadata().is_empty());
    assert!(place.defects().contains(&DefectKind::Undecodable));
}

#[test]
fn pipes_are_waited_for_by_nobody() {
    for name in [
        "runs/1.lock",
        "runs/2.lock",
        "runs/create.lock",
        "runs/fold.lock",
        "segments/.lock",
        "checkpoints/.lock",
        "checkpoints/dqn/x.bin.partial",
        "checkpoints/dqn/x.json",
        "checkpoints/dqn/x.json.partial",
        "checkpoints/new/x.safetensors",
        "logs/.lock",
        "logs/.cursor",
        "logs/.cursor.new",
        "logs/inference_records.txt",
        "logs/inference_records.2025-07-25.1.txt",
        "logs/inference_records.2025-07-24.txt.gz",
    ] {
        let place = place();
        // A run that has not ended: its lock is looked at.
        let (key, _) = rows(&place.hot(), "runs").remove(0);
        let open = [signed(0), number(7), vec![0; 6]].concat();
        put(&place.hot(), "runs", &[(key, open)]);
        let path = place.dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let _ = fs::remove_file(&path);
        craft::make_pipe(&path);
        let dir = place.dir.clone();
        ends(move || {
            if let Ok(reader) = Reader::open(&dir) {
                let _ = reader.runs().count();
                let _ = reader.mirror_lag(dir.join("logs"));
                let _ = recent_lines(dir.join("logs"), LogKind::Inferences, 500);
            }
            if let Ok(journal) = craft::options().mirror(Mirror::new()).open(&dir) {
                journal.log(Inference::new(MODEL, "ETH/USDT", "BUY"));
                let _ = journal.flush().wait(Duration::from_secs(5));
                let _ = journal.seal(Duration::from_secs(1));
                let _ = journal.clean_up_logs(Duration::from_secs(1));
                let _ = journal.close();
            }
            remove_all(&dir);
            let _ = Maintenance::open(&dir).map(|found| found.verify());
            let _ = annals::maintenance::repair(&dir);
        });
    }
}

#[test]
fn entries_that_take_no_bytes_are_read_in_pieces() {
    let place = place();
    put_blocks(&place.dir, 200, 16_384, 1, false);
    let reader = Reader::open(&place.dir).unwrap();
    for newest_first in [false, true] {
        let measured = allocation_counter::measure(|| {
            let mut query = reader.inferences().repeats(annals::Repeats::Include);
            if newest_first {
                query = query.newest_first();
            }
            assert_eq!(
                query.iter().take(1_000).filter(Result::is_ok).count(),
                1_000
            );
            let follow = reader.follow(reader.start()).unwrap();
            assert_eq!(follow.take(1_000).filter(Result::is_ok).count(), 1_000);
        });
        assert!(measured.bytes_max < 32 << 20, "{measured:?}");
    }
}

#[test]
fn a_compressed_file_is_not_unpacked_into_memory() {
    use std::io::Write;
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("inference_records.2025-07-24.txt.gz");
    let file = fs::File::create(path).unwrap();
    let mut packed = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    packed.write_all(b"first\n").unwrap();
    let zeros = vec![b'0'; 1 << 20];
    for _ in 0..100 {
        packed.write_all(&zeros).unwrap();
    }
    packed.write_all(b"\nlast\n").unwrap();
    packed.finish().unwrap();
    let measured = allocation_counter::measure(|| {
        let lines = recent_lines(scratch.path(), LogKind::Inferences, 5).unwrap();
        assert_eq!(lines, ["first", "last"]);
    });
    assert!(measured.bytes_max < 16 << 20, "{measured:?}");
}

#[test]
fn a_journal_without_lies_is_whole() {
    let place = place();
    assert_eq!(place.defects(), []);
    let journal = Journal::options().open(&place.dir).unwrap();
    journal.close().unwrap();
    assert_eq!(place.defects(), []);
}

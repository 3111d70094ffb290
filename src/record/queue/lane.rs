//! A lane of the black box: a ring in a file of shared memory, for the records of one thread.
//!
//! The first page says whose lane it is. The freed position has a line of its own, since only the
//! writer stores there. The ring follows. The file of a dead run is read as a copy, and none of its
//! words is believed.

use std::io;
use std::sync::Arc;

use annals_mapping::{PAGE_BYTES, PAGE_WORDS, SharedWords};

use super::message::Message;
use super::packing::unpack_any;
use super::ring::{Broken, Consumer, Words};
use crate::entry::ids::RunId;
use crate::fs::shared_memory::BlackBox;
use crate::threads::sync::atomic::{AtomicU64, Ordering};

/// Words of a usual ring: 2 MB.
pub(crate) const RING_WORDS: usize = 1 << 18;

/// The format of a lane, in its first word.
const MAGIC: u64 = u64::from_le_bytes(*b"annlane1");
/// The words that tell whose lane it is.
const IDENTITY: usize = 4;
const FREED: usize = 8;

fn identity(run: RunId, number: u32, ring_words: usize) -> [u64; IDENTITY] {
    [
        MAGIC,
        u64::from(run.get()),
        u64::from(number),
        ring_words as u64,
    ]
}

/// The name of a lane's file.
pub(crate) fn file_name(number: u32) -> String {
    format!("lane-{number}")
}

/// The words of a lane of this process.
#[derive(Clone, Debug)]
pub(crate) struct Lane(Arc<SharedWords>);

impl Lane {
    /// Creates the file of a lane in a run's black box; `ring_words` is a power of two, and at
    /// least a page.
    pub(crate) fn create(
        black_box: &BlackBox,
        run: RunId,
        number: u32,
        ring_words: usize,
    ) -> io::Result<Lane> {
        if !ring_words.is_power_of_two() || ring_words < PAGE_WORDS {
            let message = format!("{ring_words} words are no ring");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let pages = 1 + ring_words / PAGE_WORDS;
        let mapping = black_box.create_words(&file_name(number), pages)?;
        // A lane whose process was killed here has no records either.
        for (word, value) in mapping
            .words()
            .iter()
            .zip(identity(run, number, ring_words))
        {
            word.store(value, Ordering::Release);
        }
        Ok(Lane(Arc::new(mapping)))
    }
}

impl Words for Lane {
    type Word = AtomicU64;

    #[inline]
    fn freed(&self) -> &AtomicU64 {
        &self.0.words()[FREED]
    }

    #[inline]
    fn ring(&self) -> &[AtomicU64] {
        &self.0.words()[PAGE_WORDS..]
    }
}

/// The copy of a dead run's lane.
struct DeadLane {
    freed: AtomicU64,
    ring: Vec<AtomicU64>,
}

impl Words for &DeadLane {
    type Word = AtomicU64;

    fn freed(&self) -> &AtomicU64 {
        &self.freed
    }

    fn ring(&self) -> &[AtomicU64] {
        &self.ring
    }
}

/// How the reading of a dead run's lane ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Recovered {
    /// The position behind the last record that was read.
    pub(crate) position: u64,
    /// Records that are no messages: somebody else wrote there.
    pub(crate) unreadable: u64,
    /// A word that is no header. Nothing behind it can be found.
    pub(crate) broken: Option<Broken>,
}

/// The most bytes that the file of a lane may have.
pub(crate) const MOST_BYTES: u64 = ((1 + RING_WORDS / PAGE_WORDS) * PAGE_BYTES) as u64;

/// Reads the messages of a dead run's lane from `bytes`, in order, from the position `covered` on:
/// what lies before it is in the journal or in the spool.
///
/// An error says that `bytes` are not that lane; a lane that was cut short while it was created is
/// an empty one.
pub(crate) fn recover(
    bytes: &[u8],
    run: RunId,
    number: u32,
    covered: u64,
    mut each: impl FnMut(Message),
) -> Result<Recovered, String> {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut words = words.iter().map(|word| u64::from_ne_bytes(*word));
    let ring_words = (bytes.len() / 8).saturating_sub(PAGE_WORDS);
    let is_whole = rest.is_empty() && (PAGE_WORDS..=RING_WORDS).contains(&ring_words);
    if !is_whole || !ring_words.is_power_of_two() {
        return Err(format!("{} bytes are no lane", bytes.len()));
    }
    let first: Vec<u64> = words.by_ref().take(PAGE_WORDS).collect();
    let found = first.get(..IDENTITY).unwrap_or_default();
    let nothing = Recovered {
        position: covered,
        unreadable: 0,
        broken: None,
    };
    if found.contains(&0) && found.last() == Some(&0) {
        // Killed before the first record: the words are stored in order.
        return Ok(nothing);
    }
    if found != identity(run, number, ring_words) {
        return Err(format!("the file is not lane {number} of run {run}"));
    }
    let lane = DeadLane {
        freed: AtomicU64::new(first.get(FREED).copied().unwrap_or(0)),
        ring: words.map(AtomicU64::new).collect(),
    };
    // Room is freed after it is covered, so this is `covered`, unless a word lies.
    let begin = covered.max(lane.freed.load(Ordering::Relaxed));
    let mut reader = Consumer::at(&lane, begin);
    let (mut recovered, mut payload) = (nothing, Vec::new());
    loop {
        match reader.next(&mut payload) {
            Ok(Some(tag)) => match unpack_any(tag, &payload) {
                Some(message) => each(message),
                None => recovered.unreadable += 1,
            },
            Ok(None) => break,
            Err(broken) => {
                recovered.broken = Some(broken);
                break;
            }
        }
    }
    recovered.position = reader.position();
    Ok(recovered)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::env;
    use std::fs;
    use std::io::{Read, Write};
    use std::path::{Path, PathBuf};
    use std::process::{Command, Stdio};
    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::entry::floats::INLINE;
    use crate::entry::ids::JournalId;
    use crate::fs::shared_memory::{BlackBoxes, BoxName, ROOT, boot_id};
    use crate::record::queue::local_names::{LocalName, NO_NAME};
    use crate::record::queue::message::{NO_PROCESSING, Record};
    use crate::record::queue::packing::{PLAIN, pack};
    use crate::record::queue::ring::{Producer, Refused};

    const RUN: RunId = RunId(9);

    fn name() -> BoxName {
        BoxName {
            journal: JournalId(1),
            run: RUN,
            boot: boot_id().unwrap(),
        }
    }

    /// A decision whose every field follows from its id.
    fn record(id: u64) -> Record {
        let short = u32::try_from(id % 1_000_000_007).unwrap();
        let count = id % 9;
        let mut probabilities = [0.0; INLINE];
        for slot in probabilities
            .iter_mut()
            .take(usize::try_from(count).unwrap())
        {
            *slot = f32::from_bits(short);
        }
        Record {
            id,
            ticks: !id,
            event: if id.is_multiple_of(3) {
                id.cast_signed()
            } else {
                0
            },
            features: if id.is_multiple_of(2) { id << 1 } else { 0 },
            processing: if id.is_multiple_of(5) {
                NO_PROCESSING
            } else {
                id << 20
            },
            model: LocalName::new(short),
            symbol: LocalName::new(short + 1),
            action: LocalName::new(short + 2),
            checkpoint: NO_NAME,
            labels: LocalName::new(short + 3),
            confidence: 0.5,
            probabilities,
            probability_count: u8::try_from(count).unwrap(),
            has_event: id.is_multiple_of(3),
            has_features: id.is_multiple_of(2),
            has_confidence: true,
            is_deterministic: id.is_multiple_of(7),
        }
    }

    fn push(producer: &mut Producer<Lane>, record: &Record) -> Result<(), Refused> {
        let mut words = [0; PLAIN];
        let (tag, used) = pack(record, &mut words);
        producer.push(tag, &words[..used])
    }

    /// The id of a message that is whole.
    fn id_of(message: &Message) -> u64 {
        let Message::Inference(found) = message else {
            panic!("{message:?}");
        };
        assert_eq!(format!("{found:?}"), format!("{:?}", record(found.id)));
        found.id
    }

    /// What the writer has covered, in a file: for each sweep the position, a number of ids, and
    /// the ids. A sweep that was cut short does not count.
    fn covered(spool: &Path) -> (u64, Vec<u64>) {
        let bytes = fs::read(spool).unwrap_or_default();
        let mut words = bytes
            .as_chunks::<8>()
            .0
            .iter()
            .map(|w| u64::from_ne_bytes(*w));
        let (mut position, mut ids) = (0, Vec::new());
        while let (Some(at), Some(count)) = (words.next(), words.next()) {
            let sweep: Vec<u64> = words
                .by_ref()
                .take(usize::try_from(count).unwrap())
                .collect();
            if sweep.len() as u64 == count {
                position = at;
                ids.extend(sweep);
            }
        }
        (position, ids)
    }

    const DIES: &str = "ANNALS_TEST_LANE_DIES";

    /// Does nothing in the test run proper.
    #[test]
    fn what_the_killed_process_does() {
        let Ok(root) = env::var(DIES) else { return };
        let root = PathBuf::from(root);
        let boxes = BlackBoxes::open_or_create(&root).unwrap();
        let black_box = boxes.create(&name(), 1 << 20).unwrap();
        // Small, so that it goes around many times, and is often full.
        let lane = Lane::create(&black_box, RUN, 3, 1 << 12).unwrap();
        let sweeping = lane.clone();
        thread::spawn(move || {
            let mut consumer = Consumer::at(sweeping, 0);
            let mut spool = fs::File::create(root.join("spool")).unwrap();
            let mut payload = Vec::new();
            loop {
                let mut ids = Vec::new();
                while let Some(tag) = consumer.next(&mut payload).unwrap() {
                    ids.push(id_of(&unpack_any(tag, &payload).unwrap()));
                }
                let head = [consumer.position(), ids.len() as u64];
                let frame = head.into_iter().chain(ids).flat_map(u64::to_ne_bytes);
                spool.write_all(&frame.collect::<Vec<u8>>()).unwrap();
                consumer.release();
                thread::sleep(Duration::from_micros(300));
            }
        });
        let mut producer = Producer::new(lane);
        let mut told = std::io::stderr();
        for id in 1.. {
            while push(&mut producer, &record(id)).is_err() {
                thread::yield_now();
            }
            told.write_all(&id.to_ne_bytes()).unwrap();
        }
    }

    #[test]
    fn a_killed_process_leaves_each_record_that_it_was_told_of_once_and_in_order() {
        let is_thorough = env::var_os("ANNALS_THOROUGH").is_some_and(|value| value == "1");
        let rounds = if is_thorough { 200 } else { 8 };
        let mut total = 0;
        for round in 0..rounds {
            // On a machine without shared memory there is nothing to try.
            let Ok(root) = tempfile::tempdir_in(ROOT) else {
                return;
            };
            let mut command = Command::new(env::current_exe().unwrap());
            let child = "record::queue::lane::tests::what_the_killed_process_does";
            command.args(["--exact", child, "--nocapture"]);
            command.env(DIES, root.path()).stdout(Stdio::null());
            let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
            let mut stderr = child.stderr.take().unwrap();
            let mut first = [0; 8];
            stderr.read_exact(&mut first).unwrap();
            let reading = thread::spawn(move || {
                let mut told = Vec::new();
                stderr.read_to_end(&mut told).unwrap();
                told
            });
            thread::sleep(Duration::from_micros(round * 7_919 % 60_000));
            child.kill().unwrap();
            child.wait().unwrap();
            let told = 1 + reading.join().unwrap().len() as u64 / 8;

            let (position, mut ids) = covered(&root.path().join("spool"));
            let black_box = BlackBoxes::open(root.path()).unwrap();
            let black_box = black_box.find(&name()).unwrap();
            let bytes = black_box.read(&file_name(3), MOST_BYTES).unwrap();
            let recovered = recover(&bytes, RUN, 3, position, |message| {
                ids.push(id_of(&message))
            });
            let recovered = recovered.unwrap();
            assert_eq!((recovered.unreadable, recovered.broken), (0, None));
            let found = ids.len() as u64;
            assert!(ids.iter().copied().eq(1..=found), "round {round}");
            // The last one may have been published, and its teller killed.
            assert!(found == told || found == told + 1, "{found} of {told}");
            total += told;
        }
        assert!(total > rounds, "{total}");
    }

    #[test]
    fn a_file_that_is_another_lane_or_none_is_refused() {
        let Ok(root) = tempfile::tempdir_in(ROOT) else {
            return;
        };
        let boxes = BlackBoxes::open_or_create(root.path()).unwrap();
        let black_box = boxes.create(&name(), 1 << 20).unwrap();
        for wrong in [0, 1, 511, 513, 768] {
            assert!(Lane::create(&black_box, RUN, 0, wrong).is_err(), "{wrong}");
        }
        let lane = Lane::create(&black_box, RUN, 0, 1 << 10).unwrap();
        let mut producer = Producer::new(lane);
        for id in 1..=3 {
            push(&mut producer, &record(id)).unwrap();
        }
        let bytes = black_box.read(&file_name(0), MOST_BYTES).unwrap();
        let read = |bytes: &[u8], run, number, from| {
            let mut ids = Vec::new();
            let recovered = recover(bytes, run, number, from, |message| {
                ids.push(id_of(&message));
            });
            recovered.map(|recovered| (ids, recovered))
        };
        let (ids, recovered) = read(&bytes, RUN, 0, 0).unwrap();
        assert_eq!(ids, [1, 2, 3]);
        assert_eq!(recovered.position, producer.head());
        assert!(read(&bytes, RunId(8), 0, 0).is_err());
        assert!(read(&bytes, RUN, 1, 0).is_err());
        for cut in [0, 7, 4_096, 8_191, bytes.len() - 8] {
            assert!(read(&bytes[..cut], RUN, 0, 0).is_err(), "{cut}");
        }
        // Killed while it was created.
        let mut begun = bytes.clone();
        begun[16..32].fill(0);
        assert!(read(&begun, RUN, 0, 0).unwrap().0.is_empty());
        // A record that is no message is counted, and the next one is read.
        let mut foreign = bytes.clone();
        foreign[PAGE_BYTES + 2] ^= 0xf0;
        let (ids, recovered) = read(&foreign, RUN, 0, 0).unwrap();
        assert_eq!((ids, recovered.unreadable), (vec![2, 3], 1));
        // A freed position that is none.
        let mut lying = bytes;
        lying[FREED * 8] = 5;
        let (ids, recovered) = read(&lying, RUN, 0, 0).unwrap();
        assert_eq!((ids, recovered.position), (vec![], 5));
    }
}

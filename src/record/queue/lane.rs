//! A lane of the black box: a ring in a file of shared memory, for the records of one thread.
//!
//! The first page says whose lane it is. The freed position has a line of its own, since only the
//! writer stores there. The ring follows. The file of a dead run is read as a copy, and none of its
//! words is believed.

use std::io;
use std::sync::Arc;

use annals_mapping::{PAGE_BYTES, PAGE_WORDS, SharedWords};

use super::message::Message;
use super::packing::{Assembled, Assembler};
use super::ring::{Consumer, Words};
use crate::engine::spool::Covered;
use crate::fs::shared_memory::BlackBox;
use crate::threads::sync::atomic::{AtomicU64, Ordering};

/// Words of a usual ring: 2 MB.
pub(crate) const RING_WORDS: usize = 1 << 18;

/// The format of a lane, in its first word.
const MAGIC: u64 = u64::from_le_bytes(*b"annlane1");
/// The words that tell whose lane it is.
const IDENTITY: usize = 3;
const FREED: usize = 8;
/// Four marks of as many words, each in a line of its own: up to where a commit or a frame of the
/// spool has what the lane holds.
const MARKS: usize = 16;
const MARK_WORDS: usize = 8;
/// The first two are of frames, one after the other; the last two are of commits with an even
/// number and with an odd one.
const FRAME_MARKS: usize = 2;
const ALL_MARKS: usize = 4;

fn identity(number: u32, ring_words: usize) -> [u64; IDENTITY] {
    [MAGIC, u64::from(number), ring_words as u64]
}

/// The name of a lane's file.
pub(crate) fn file_name(number: u32) -> String {
    format!("lane-{number}")
}

/// The number of the lane whose file has this name.
pub(crate) fn number_of(name: &str) -> Option<u32> {
    let number = name.strip_prefix("lane-")?.parse().ok()?;
    // Only one spelling is a name.
    (file_name(number) == name).then_some(number)
}

/// The words of a mark, without the one that tells that they are whole.
fn mark_words(covered: Covered, position: u64) -> [u64; 3] {
    match covered {
        Covered::Commit { batch } => [batch, u64::MAX, position],
        Covered::Frame { batch, index } => [batch, u64::from(index), position],
    }
}

/// The words of a lane of this process.
#[derive(Clone, Debug)]
pub(crate) struct Lane(Arc<SharedWords>);

impl Lane {
    /// Creates the file of a lane in a run's black box; `ring_words` is a power of two, and at
    /// least a page.
    pub(crate) fn create(black_box: &BlackBox, number: u32, ring_words: usize) -> io::Result<Lane> {
        if !ring_words.is_power_of_two() || ring_words < PAGE_WORDS {
            let message = format!("{ring_words} words are no ring");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let pages = 1 + ring_words / PAGE_WORDS;
        let mapping = black_box.create_words(&file_name(number), pages)?;
        // A lane whose process was killed here has no records either.
        let first = mapping.words().iter();
        for (word, value) in first.zip(identity(number, ring_words)) {
            word.store(value, Ordering::Release);
        }
        Ok(Lane(Arc::new(mapping)))
    }

    /// Forgets all marks: the next run of the handle counts its commits from 0, and nothing before
    /// `position` is missing in the journal then.
    pub(crate) fn move_to_next_run(&self, position: u64) {
        for mark in 0..ALL_MARKS {
            self.0.words()[MARKS + mark * MARK_WORDS].store(0, Ordering::Release);
        }
        self.mark(Covered::Commit { batch: 0 }, false, position);
    }

    /// Notes up to where the lane is covered once a frame or commit that is not made yet is there.
    /// `turn` tells a frame from the one before: both are needed until the later one is there.
    pub(crate) fn mark(&self, covered: Covered, turn: bool, position: u64) {
        let mark = match covered {
            Covered::Frame { .. } => usize::from(turn),
            Covered::Commit { batch } => FRAME_MARKS + usize::from(!batch.is_multiple_of(2)),
        };
        let first = MARKS + mark * MARK_WORDS;
        let Some((whole, rest)) = self.0.words()[first..].split_first() else {
            return;
        };
        // In this order also for whoever reads after a death between two of the stores.
        whole.store(0, Ordering::Release);
        for (word, value) in rest.iter().zip(mark_words(covered, position)) {
            word.store(value, Ordering::Release);
        }
        whole.store(1, Ordering::Release);
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

/// The most bytes that the file of a lane may have.
pub(crate) const MOST_BYTES: u64 = ((1 + RING_WORDS / PAGE_WORDS) * PAGE_BYTES) as u64;

/// The words of a dead run's lane.
#[derive(Debug)]
struct DeadWords {
    freed: AtomicU64,
    ring: Vec<AtomicU64>,
}

impl Words for DeadWords {
    type Word = AtomicU64;

    fn freed(&self) -> &AtomicU64 {
        &self.freed
    }

    fn ring(&self) -> &[AtomicU64] {
        &self.ring
    }
}

/// The copy of a dead run's lane, of which no word is believed.
#[derive(Debug)]
pub(crate) struct DeadLane {
    first: Vec<u64>,
    words: DeadWords,
}

impl DeadLane {
    /// Takes the lane from the bytes of its file. An error says that they are not that lane;
    /// `None`, that it was killed before its first record.
    pub(crate) fn parse(bytes: &[u8], number: u32) -> Result<Option<DeadLane>, String> {
        if bytes.is_empty() {
            // Killed between the file's creation and the reservation of its pages.
            return Ok(None);
        }
        let (words, rest) = bytes.as_chunks::<8>();
        let mut words = words.iter().map(|word| u64::from_ne_bytes(*word));
        let ring_words = (bytes.len() / 8).saturating_sub(PAGE_WORDS);
        let is_whole = rest.is_empty() && (PAGE_WORDS..=RING_WORDS).contains(&ring_words);
        if !is_whole || !ring_words.is_power_of_two() {
            return Err(format!("{} bytes are no lane", bytes.len()));
        }
        let first: Vec<u64> = words.by_ref().take(PAGE_WORDS).collect();
        let found = first.get(..IDENTITY).unwrap_or_default();
        if found.contains(&0) && found.last() == Some(&0) {
            // The words are stored in order, and the lane is used after that.
            return Ok(None);
        }
        if found != identity(number, ring_words) {
            return Err(format!("the file is not lane {number}"));
        }
        let freed = AtomicU64::new(first.get(FREED).copied().unwrap_or(0));
        let ring = words.map(AtomicU64::new).collect();
        let words = DeadWords { freed, ring };
        Ok(Some(DeadLane { first, words }))
    }

    /// Up to where the journal and the spool have its records, if the lane says so.
    pub(crate) fn covered(&self, covered: Covered) -> Option<u64> {
        (0..ALL_MARKS).find_map(|mark| {
            let first = MARKS + mark * MARK_WORDS;
            let found = self.first.get(first..first + 4)?;
            let position = *found.last()?;
            let [batch, index, position] = mark_words(covered, position);
            (found == [1, batch, index, position]).then_some(position)
        })
    }

    /// The position that was freed last. Nothing before it is there any more.
    pub(crate) fn freed(&self) -> u64 {
        self.words.freed.load(Ordering::Relaxed)
    }

    /// Reads its messages from `position` on.
    pub(crate) fn read(self, position: u64) -> DeadMessages {
        DeadMessages {
            reader: Consumer::at(self.words, position),
            payload: Vec::new(),
            assembler: Assembler::default(),
            unreadable: 0,
            is_broken: false,
        }
    }
}

/// The messages of a dead run's lane, in order.
#[derive(Debug)]
pub(crate) struct DeadMessages {
    reader: Consumer<DeadWords>,
    payload: Vec<u64>,
    assembler: Assembler,
    /// Records that are no messages: somebody else wrote there.
    pub(crate) unreadable: u64,
    /// A word was no header. Nothing behind it can be found.
    pub(crate) is_broken: bool,
}

impl DeadMessages {
    #[cfg(test)]
    fn position(&self) -> u64 {
        self.reader.position()
    }
}

impl Iterator for DeadMessages {
    type Item = Message;

    fn next(&mut self) -> Option<Message> {
        loop {
            match self.reader.next(&mut self.payload) {
                Ok(Some(tag)) => match self.assembler.add(tag, &self.payload) {
                    Assembled::Whole(message) => return Some(message),
                    Assembled::Piece => {}
                    Assembled::Nothing => self.unreadable += 1,
                },
                Ok(None) => return None,
                Err(_) => {
                    self.is_broken = true;
                    return None;
                }
            }
        }
    }
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
    use crate::entry::ids::{JournalId, RunId};
    use crate::fs::machine_clock::boot_id;
    use crate::fs::shared_memory::{BlackBoxes, BoxName, ROOT};
    use crate::record::queue::local_names::{LocalName, NO_NAME};
    use crate::record::queue::message::{NO_PROCESSING, Record};
    use crate::record::queue::packing::{PLAIN, pack, unpack_any};
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
            is_input_given_up: false,
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
        let lane = Lane::create(&black_box, 3, 1 << 12).unwrap();
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
                consumer.release(consumer.position());
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
            let lane = DeadLane::parse(&bytes, 3).unwrap().unwrap();
            let mut messages = lane.read(position);
            ids.extend(messages.by_ref().map(|message| id_of(&message)));
            assert_eq!((messages.unreadable, messages.is_broken), (0, false));
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
            assert!(Lane::create(&black_box, 0, wrong).is_err(), "{wrong}");
        }
        let lane = Lane::create(&black_box, 0, 1 << 10).unwrap();
        let mut producer = Producer::new(lane);
        for id in 1..=3 {
            push(&mut producer, &record(id)).unwrap();
        }
        let bytes = black_box.read(&file_name(0), MOST_BYTES).unwrap();
        let read = |bytes: &[u8], number| {
            let Some(lane) = DeadLane::parse(bytes, number)? else {
                return Ok((Vec::new(), 0, 0));
            };
            let freed = lane.freed();
            let mut messages = lane.read(freed);
            let ids: Vec<u64> = messages.by_ref().map(|message| id_of(&message)).collect();
            Ok::<_, String>((ids, messages.unreadable, messages.position()))
        };
        let (ids, _, position) = read(&bytes, 0).unwrap();
        assert_eq!(ids, [1, 2, 3]);
        assert_eq!(position, producer.head());
        assert!(read(&bytes, 1).is_err());
        for cut in [7, 4_096, 8_191, bytes.len() - 8] {
            assert!(read(&bytes[..cut], 0).is_err(), "{cut}");
        }
        // Killed while it was created.
        let mut begun = bytes.clone();
        begun[8..24].fill(0);
        assert!(read(&begun, 0).unwrap().0.is_empty());
        assert!(read(&[], 0).unwrap().0.is_empty());
        // A record that is no message is counted, and the next one is read.
        let mut foreign = bytes.clone();
        foreign[PAGE_BYTES + 2] ^= 0xf0;
        let (ids, unreadable, _) = read(&foreign, 0).unwrap();
        assert_eq!((ids, unreadable), (vec![2, 3], 1));
        // A freed position that is none.
        let mut lying = bytes.clone();
        lying[FREED * 8] = 5;
        let (ids, _, position) = read(&lying, 0).unwrap();
        assert_eq!((ids, position), (vec![], 5));
    }

    #[test]
    fn a_mark_says_what_the_last_two_frames_and_commits_cover() {
        let Ok(root) = tempfile::tempdir_in(ROOT) else {
            return;
        };
        let boxes = BlackBoxes::open_or_create(root.path()).unwrap();
        let black_box = boxes.create(&name(), 1 << 20).unwrap();
        let lane = Lane::create(&black_box, 0, 1 << 10).unwrap();
        let frame = |batch, index| Covered::Frame { batch, index };
        let commit = |batch| Covered::Commit { batch };
        lane.mark(frame(7, 0), false, 10);
        lane.mark(frame(7, 1), true, 20);
        lane.mark(commit(7), false, 20);
        lane.mark(frame(8, 0), false, 30);
        lane.mark(commit(8), false, 40);
        let covered = |covered| {
            let bytes = black_box.read(&file_name(0), MOST_BYTES).unwrap();
            let lane = DeadLane::parse(&bytes, 0).unwrap().unwrap();
            lane.covered(covered)
        };
        assert_eq!(covered(frame(7, 0)), None);
        assert_eq!(covered(frame(7, 1)), Some(20));
        assert_eq!(covered(frame(8, 0)), Some(30));
        assert_eq!(covered(commit(7)), Some(20));
        assert_eq!(covered(commit(8)), Some(40));
        assert_eq!(covered(commit(9)), None);
        lane.mark(commit(9), false, 50);
        assert_eq!((covered(commit(7)), covered(commit(9))), (None, Some(50)));
        lane.move_to_next_run(60);
        assert_eq!((covered(commit(8)), covered(frame(8, 0))), (None, None));
        assert_eq!(covered(commit(0)), Some(60));
    }
}

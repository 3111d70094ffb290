//! A bounded run of the fuzz targets: every input of the kept corpus, then changes of these, for
//! one second each, or ten with `ANNALS_THOROUGH=1`. Two hours with `ANNALS_LONG=1`, or the
//! seconds in `ANNALS_LONG_SECONDS`.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{env, fs};

use super::TARGETS;
use crate::engine::format::CHECKSUM_BYTES;
use crate::engine::format::block::BlockEncoder;
use crate::entry::sequence::Sequence;
use crate::entry::{CheckpointAction, EpisodeId};
use crate::{Inference, InferenceId, Journal, Level, Options, Outcome, Timestamp, Value};

/// For each target.
fn time() -> Duration {
    let is_set = |name| env::var_os(name).is_some_and(|value| value == "1");
    if !is_set("ANNALS_LONG") {
        let is_thorough = is_set("ANNALS_THOROUGH");
        return Duration::from_secs(if is_thorough { 10 } else { 1 });
    }
    let wanted = env::var("ANNALS_LONG_SECONDS").ok();
    let seconds = wanted.and_then(|wanted| wanted.parse().ok());
    Duration::from_secs(seconds.unwrap_or(2 * 3_600))
}

struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end as u64).unwrap()
    }

    fn place(&mut self, bytes: &[u8]) -> usize {
        self.below(bytes.len() + 1)
    }

    /// A few changes to one of the inputs, or a crossing of two.
    fn change(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        const MAGIC: [u8; 12] = [
            0, 1, 2, 0x7f, 0x80, 0xfb, 0xfc, 0xfd, 0xfe, 0xff, b'/', b'.',
        ];
        let mut bytes = corpus[self.below(corpus.len())].clone();
        for _ in 0..1 + self.below(4) {
            let at = self.place(&bytes);
            match self.below(6) {
                0 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
                1 if at < bytes.len() => bytes[at] = MAGIC[self.below(MAGIC.len())],
                2 => bytes.insert(at, MAGIC[self.below(MAGIC.len())]),
                3 => bytes.truncate(at),
                4 => {
                    let end = at + self.below(bytes.len() - at + 1);
                    bytes.drain(at..end);
                }
                _ => {
                    let other = &corpus[self.below(corpus.len())];
                    let from = self.place(other);
                    bytes.truncate(at);
                    bytes.extend_from_slice(&other[from..]);
                }
            }
        }
        bytes.truncate(1 << 16);
        bytes
    }
}

#[test]
fn hostile_blocks_are_read_or_refused() {
    attack("block");
}

#[test]
fn hostile_sidecars_are_read_or_refused() {
    attack("sidecar");
}

#[cfg(feature = "safetensors")]
#[test]
fn hostile_safetensors_are_read_or_refused() {
    attack("safetensors");
}

#[test]
fn hostile_cursors_are_read_or_refused() {
    attack("cursor");
}

#[test]
fn hostile_names_are_read_or_refused() {
    attack("names");
}

#[test]
fn hostile_inputs_are_read_or_refused() {
    attack("inputs");
}

/// Gives the target of that name hostile bytes.
fn attack(name: &str) {
    let wanted = env::var("ANNALS_TEST_SEED").ok();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let seed = wanted.and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or(now.as_secs() ^ u64::from(now.subsec_nanos()) << 32);
    println!("seed {seed}");
    let (_, target) = TARGETS.iter().find(|(known, _)| *known == name).unwrap();
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let folder = folder.join(name);
    let mut corpus = vec![Vec::new()];
    // A published crate comes without its corpus.
    for entry in fs::read_dir(&folder).into_iter().flatten() {
        corpus.push(fs::read(entry.unwrap().path()).unwrap());
    }
    for (number, (of, input)) in written().into_iter().enumerate() {
        if of == name {
            keep(&folder, number, &input);
            corpus.push(input);
        }
    }
    corpus.iter().for_each(|input| target(input));
    let mut random = Random(seed.max(1));
    let (began, mut inputs) = (Instant::now(), corpus.len());
    while began.elapsed() < time() {
        let input = random.change(&corpus);
        let asked = Instant::now();
        target(&input);
        assert!(
            asked.elapsed() < Duration::from_secs(10),
            "{name}: {input:?}"
        );
        inputs += 1;
    }
    println!("{name}: {} kept, {inputs} inputs", corpus.len());
}

/// With `ANNALS_KEEP_CORPUS=1`, what this version writes goes into the corpus: after a change of
/// the format.
fn keep(folder: &Path, number: usize, input: &[u8]) {
    if env::var_os("ANNALS_KEEP_CORPUS").is_some_and(|value| value == "1") {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join(format!("written{number}")), input).unwrap();
    }
}

/// Blocks and sidecars as this version writes them.
fn written() -> Vec<(&'static str, Vec<u8>)> {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path().join("data");
    let options: Options = Journal::options().without_mirror();
    let journal = options.open(&dir).unwrap();
    let mut written = Vec::new();
    let mut from = Sequence::FIRST;
    for log in [log_plain, log_texts, log_notes, log_many, log_extras] {
        log(&journal);
        journal.flush().wait(Duration::from_secs(10)).unwrap();
        let mut encoder = BlockEncoder::default();
        let reader = journal.reader().unwrap();
        for located in reader.source.after(from, 1 << 20).unwrap() {
            from = located.first.saturating_add(located.rows.len() as u64);
            located
                .rows
                .iter()
                .for_each(|row| encoder.again(row).unwrap());
        }
        for block in encoder.take() {
            written.push(("block", block.value[CHECKSUM_BYTES..].to_vec()));
        }
    }
    let registry = journal.registry().unwrap();
    let checkpoint = registry.checkpoint("dqn").epoch(7).step(9).tag("x");
    let checkpoint = checkpoint
        .metric("loss", 0.5)
        .metric("nan", f64::NAN)
        .metadata("lr", 0.001);
    for number in 0..20_u8 {
        let features = [f32::from(number); 3];
        journal.log(Inference::new("dqn", "ETH", "BUY").keep_features(&features));
        journal.log(Inference::new("dqn", "ETH", "BUY").keep_bytes(&[number]));
    }
    journal.flush().wait(Duration::from_secs(10)).unwrap();
    let files = fs::read_dir(dir.join("inputs")).unwrap();
    for file in files {
        let mut frame = fs::read(file.unwrap().path()).unwrap();
        // The target knows the journal 0 alone.
        frame[16..32].fill(0);
        written.push(("inputs", frame));
    }
    let saved = checkpoint.save(b"w").unwrap();
    let sidecar = fs::read(saved.path().with_extension("json")).unwrap();
    written.push(("sidecar", sidecar));
    written
}

fn log_plain(journal: &Journal) {
    for number in 0..3_u8 {
        let inference = Inference::new("dqn", "ETH", "BUY")
            .probabilities(&[("BUY", 0.5), ("SELL", 0.25)])
            .features(&[f32::from(number / 2)])
            .checkpoint("c")
            .processing_time(Duration::from_micros(3));
        journal.log(inference);
    }
}

fn log_texts(journal: &Journal) {
    let long = "x".repeat(300);
    let attributes = [("a", Value::from(1.5)), ("b", Value::from("text"))];
    let inference = Inference::new(&long, "ETH", "BUY")
        .attributes(&attributes)
        .memory(77)
        .event_time(Timestamp::from_micros(-5));
    journal.log(inference);
}

fn log_notes(journal: &Journal) {
    let fields = vec![("x".to_owned(), Value::from("y"))];
    journal.event_with(Level::Warn, "exchange", "late", fields);
    journal.checkpoint_event(CheckpointAction::Saved, "dqn", "c", "loss=1");
    let id = journal.log(Inference::new("dqn", "ETH", "BUY")).unwrap();
    let outcome = Outcome::new().reward(1.5).correct(true).label("up");
    journal.attach_outcome(id, outcome.value("pnl", 2.0));
}

fn log_extras(journal: &Journal) {
    for number in 0..9_u8 {
        let vector = [f32::from(number); 3];
        let mut inference = Inference::new("arm", "robot", "move");
        if number % 2 == 0 {
            inference = inference.propensity(0.5).action_vector(&vector);
            inference = inference.episode(EpisodeId::from_u64(7), number.into());
        }
        if number % 3 == 0 {
            let cause = InferenceId::from_u64(number.into());
            inference = inference.caused_by(cause).correlation("é");
            inference = inference.predictions(&[("price", 101.5), ("volume", -7.0)]);
        }
        journal.log(inference);
    }
}

fn log_many(journal: &Journal) {
    let probabilities = [("l", 0.5); 20];
    for number in 0..40 {
        let inference = Inference::new("dqn", "ETH", "BUY")
            .probabilities(&probabilities)
            .confidence(f32::NAN)
            .event_time(Timestamp::from_micros(number * 4_000_000_000));
        journal.log(inference);
    }
}

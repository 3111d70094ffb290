//! A bounded run of the fuzz targets: every input of the kept corpus, then changes of these.

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{env, fs};

use super::TARGETS;

/// For each target.
fn time() -> Duration {
    let is_long = env::var_os("ANNALS_LONG").is_some_and(|value| value == "1");
    Duration::from_secs(if is_long { 120 } else { 2 })
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
fn hostile_bytes_are_read_or_refused() {
    let wanted = env::var("ANNALS_TEST_SEED").ok();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let seed = wanted.and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or(now.as_secs() ^ u64::from(now.subsec_nanos()) << 32);
    println!("seed {seed}");
    for (name, target) in TARGETS {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
        let mut corpus = vec![Vec::new()];
        // A published crate comes without its corpus.
        for entry in fs::read_dir(folder.join(name)).into_iter().flatten() {
            corpus.push(fs::read(entry.unwrap().path()).unwrap());
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
}

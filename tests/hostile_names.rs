//! For all names and messages: one record is one line, no file lies outside the directory, and only
//! the owner may look. 5,000 texts in every run, 100,000 with `ANNALS_LONG=1`.

#![cfg(all(unix, not(annals_portable)))]
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use annals::entry::CheckpointAction;
use annals::{Error, Inference, Journal, Level, Mode, Outcome, Reader, Registry, Value};

const BOUND: Duration = Duration::from_secs(60);

fn cases() -> usize {
    let is_long = std::env::var_os("ANNALS_LONG").is_some_and(|value| value == "1");
    if is_long { 100_000 } else { 5_000 }
}

struct Random(u64);

impl Random {
    fn new() -> Random {
        let wanted = std::env::var("ANNALS_TEST_SEED").ok();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let seed = wanted.and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or(now.as_secs() ^ u64::from(now.subsec_nanos()) << 32);
        println!("seed {seed}");
        Random(seed.max(1))
    }

    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end as u64).unwrap()
    }

    /// A text made of what breaks lines, terminals, columns and paths.
    fn text(&mut self) -> String {
        const PARTS: [&str; 44] = [
            "\n",
            "\r",
            "\t",
            "\0",
            "\x1b[31m",
            "\x1b]0;x\x07",
            "\u{7f}",
            "\u{85}",
            "\u{9b}",
            "\u{200b}",
            "\u{200f}",
            "\u{202e}",
            "\u{2028}",
            "\u{2029}",
            "\u{2066}",
            "\u{feff}",
            "\u{61c}",
            "\u{e0041}",
            "|",
            " | ",
            "\\",
            "\\n",
            "[",
            "]",
            "..",
            ".",
            "/",
            "../",
            "~",
            "C:",
            "con",
            "nul",
            "-",
            "A",
            "a",
            "dqn",
            " ",
            "'",
            "\"",
            "%s",
            "ü",
            "\u{1f600}",
            "_20250725_143500",
            ".json",
        ];
        let mut text = String::new();
        for _ in 0..self.below(6) {
            text.push_str(PARTS[self.below(PARTS.len())]);
        }
        if self.below(100) == 0 {
            text = text.repeat(60);
        }
        text
    }
}

/// Every file and directory below `root`.
fn walk(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            found.extend(walk(&path));
        }
        found.push(path);
    }
    found
}

fn assert_private(outer: &Path) {
    for path in walk(outer) {
        let found = fs::symlink_metadata(&path).unwrap();
        let mode = found.mode() & 0o7777;
        if found.is_symlink() {
            // Ours lead to a file beside them.
            let target = fs::read_link(&path).unwrap();
            assert_eq!(target.components().count(), 1, "{path:?} to {target:?}");
        } else if found.is_dir() {
            assert_eq!(mode, 0o700, "{path:?}");
        } else {
            assert_eq!(mode, 0o600, "{path:?}");
        }
    }
}

fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() {
        tempfile::tempdir_in(memory)
    } else {
        tempfile::tempdir()
    };
    made.unwrap()
}

/// Columns of a line: a `|` that no backslash escapes separates them.
fn columns(line: &str) -> usize {
    let mut characters = line.chars();
    let mut found = 1;
    while let Some(character) = characters.next() {
        match character {
            '\\' => drop(characters.next()),
            '|' => found += 1,
            _ => {}
        }
    }
    found
}

#[test]
fn one_record_is_one_line_and_stays_in_its_directory() {
    let mut random = Random::new();
    let outer = scratch();
    let dir = outer.path().join("data");
    let journal = Journal::open(&dir).unwrap();
    for case in 0..cases() {
        let [one, two, three, four] = [(); 4].map(|()| random.text());
        let inference = Inference::new(&one, &two, &three).checkpoint(&four);
        let id = journal.log(inference);
        if let Some(id) = id {
            let outcome = Outcome::new().reward(1.0).label(&two).value(&three, 2.0);
            assert!(journal.attach_outcome(id, outcome));
        }
        let fields = vec![(two.clone(), Value::from(three.as_str()))];
        assert!(journal.event_with(Level::Info, &four, one.clone(), fields));
        let saved = CheckpointAction::Saved;
        assert!(journal.checkpoint_event(saved, &one, &two, &three));
        if case % 500 == 499 {
            journal.flush().wait(BOUND).unwrap();
        }
    }
    journal.close().unwrap();
    let health = journal.health();
    let lost = health.dropped.total() + health.unknown;
    assert_eq!((health.committed + lost, lost), (health.offered, 0));
    let mut lines = 0;
    for path in walk(&dir.join("logs")) {
        let is_text = path.extension().is_some_and(|end| end == "txt");
        if !is_text || path.is_symlink() {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        lines += text.matches('\n').count();
        let invisible = |c: char| c.is_control() || "\u{202e}\u{2028}\u{2066}\u{feff}".contains(c);
        for line in text.lines() {
            assert!(!line.chars().any(invisible), "{path:?}: {line:?}");
            assert!(columns(line) >= 3, "{path:?}: {line:?}");
        }
    }
    let reader = Reader::open(&dir).unwrap();
    assert_eq!(lines, reader.follow(reader.start()).unwrap().count());
    assert!(lines > 3 * cases());
    assert_eq!(fs::read_dir(outer.path()).unwrap().count(), 1);
    assert_private(outer.path());
}

#[test]
fn no_model_leads_out_of_its_folder() {
    let mut random = Random::new();
    let outer = scratch();
    let dir = outer.path().join("data");
    Journal::options()
        .without_mirror()
        .open(&dir)
        .unwrap()
        .close()
        .unwrap();
    let registry = Registry::open(&dir).unwrap();
    let folder = dir.join("checkpoints");
    let (mut saved, mut refused) = (0, 0);
    for _ in 0..cases() {
        let [model, word, id] = [(); 3].map(|()| random.text());
        // Looking for what is not there is no harm, and finds nothing.
        let _ = registry.best(&model);
        assert!(registry.load(&id).is_err() && registry.delete(&id, &word).is_err());
        let _ = registry.set_monitor(&model, &word, Mode::Min);
        let checkpoint = registry.checkpoint(&model).metric("loss", 1.0).tag(&word);
        match checkpoint.save(model.as_bytes()) {
            Ok(checkpoint) => {
                saved += 1;
                let path = checkpoint.path();
                let below: Vec<_> = path.strip_prefix(&folder).unwrap().components().collect();
                let plain = |part: &std::path::Component<'_>| {
                    matches!(part, std::path::Component::Normal(_))
                };
                assert!(below.len() == 2 && below.iter().all(plain), "{path:?}");
                let weights = registry
                    .load(checkpoint.id())
                    .unwrap()
                    .into_bytes()
                    .unwrap();
                assert_eq!(weights, model.as_bytes());
                let _ = registry.set_alias(&word, checkpoint.id());
            }
            Err(Error::InvalidName { .. }) => refused += 1,
            Err(other) => panic!("{model:?}, {word:?}: {other:?}"),
        }
    }
    println!("{saved} saved, {refused} refused");
    assert!(saved > cases() / 50 && refused > cases() / 50);
    assert_eq!(fs::read_dir(outer.path()).unwrap().count(), 1);
    assert_private(outer.path());
}

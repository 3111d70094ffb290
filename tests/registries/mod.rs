//! Shared by the tests of the registry: a journal with a registry and a clock of its own, and files
//! beside them.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::fs;
use std::path::{Path, PathBuf};

use annals::{Journal, ManualClock, Registry, Sharing, Timestamp};
use tempfile::TempDir;

/// 2025-07-25 14:35:00 UTC.
pub const NOW: i64 = 1_753_454_100_000_000;

/// A journal and its registry, in `data` below a folder for anything else.
pub struct Place {
    pub journal: Journal,
    pub registry: Registry,
    pub clock: ManualClock,
    pub dir: TempDir,
}

pub fn place() -> Place {
    place_with(Sharing::Shared)
}

pub fn place_with(sharing: Sharing) -> Place {
    let dir = tempfile::tempdir().unwrap();
    let clock = ManualClock::at(Timestamp::from_micros(NOW));
    let options = Journal::options().without_mirror().sharing(sharing);
    let options = options.clock(clock.clone());
    let journal = options.open(dir.path().join("data")).unwrap();
    let registry = journal.registry().unwrap();
    Place {
        journal,
        registry,
        clock,
        dir,
    }
}

impl Place {
    /// A path beside the journal.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

/// Writes a file with the folders above it.
pub fn put(root: &Path, path: &str, contents: impl AsRef<[u8]>) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, contents).unwrap();
}

/// A safetensors file with one tensor of these bytes.
pub fn tensors(data: &[u8]) -> Vec<u8> {
    let header = format!(
        r#"{{"w":{{"dtype":"U8","shape":[{0}],"data_offsets":[0,{0}]}}}}"#,
        data.len()
    );
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend_from_slice(data);
    bytes
}

pub fn sorted(mut ids: Vec<String>) -> Vec<String> {
    ids.sort();
    ids
}

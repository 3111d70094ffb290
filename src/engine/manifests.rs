//! The manifest of each run, beside its row: the row is written with each commit, and stays small.

use std::path::Path;
use std::sync::Mutex;

use serde::{Deserialize, Serialize};

use super::format::codec::{self, Stored};
use super::keys;
use super::kv::{ReadTransaction, Table, WriteTransaction};
use super::meta::{damaged, sealed};
use crate::entry::error::Result;
use crate::entry::ids::RunId;
use crate::entry::manifest::RunManifest;
use crate::fs::executable;
use crate::threads::worker::lock;

/// Stored form of a manifest.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub(crate) struct ManifestRow {
    program: Option<String>,
    version: Option<String>,
    features: Vec<String>,
    executable: Option<[u8; 32]>,
    host: Option<String>,
    command_line: Vec<String>,
    seed: Option<u64>,
    pairs: Vec<(String, String)>,
}

impl Stored for ManifestRow {
    fn check(&self) -> std::result::Result<(), String> {
        let checked = RunManifest::from(self.clone()).check();
        checked.map_err(|(name, value, _)| format!("a {name} cannot have {value}"))
    }
}

impl From<RunManifest> for ManifestRow {
    fn from(manifest: RunManifest) -> Self {
        ManifestRow {
            program: manifest.program,
            version: manifest.version,
            features: manifest.features,
            executable: manifest.executable,
            host: manifest.host,
            command_line: manifest.command_line,
            seed: manifest.seed,
            pairs: manifest.pairs,
        }
    }
}

impl From<ManifestRow> for RunManifest {
    fn from(row: ManifestRow) -> Self {
        RunManifest {
            program: row.program,
            version: row.version,
            features: row.features,
            executable: row.executable,
            host: row.host,
            command_line: row.command_line,
            seed: row.seed,
            pairs: row.pairs,
        }
    }
}

pub(crate) fn put(
    transaction: &mut WriteTransaction<'_>,
    run: RunId,
    row: &ManifestRow,
) -> Result<()> {
    let key = keys::number(run);
    transaction.put(Table::Manifests, &key, &mut sealed(row))
}

pub(crate) fn remove(transaction: &mut WriteTransaction<'_>, run: RunId) -> Result<()> {
    transaction.remove(Table::Manifests, &keys::number(run))
}

/// The manifest of a run, if it has one.
pub(crate) fn get(
    snapshot: &ReadTransaction<'_>,
    path: &Path,
    run: RunId,
) -> Result<Option<ManifestRow>> {
    let key = keys::number(run);
    let row = snapshot.get(Table::Manifests, &key, |value| decode(path, &key, value))?;
    Ok(row.transpose()?.map(|(_, row)| row))
}

pub(crate) fn decode(path: &Path, key: &[u8], value: &[u8]) -> Result<(RunId, ManifestRow)> {
    let run: RunId = keys::first_number(key)
        .ok_or_else(|| damaged(path, "manifests", "a key is no run number"))?;
    let what = format!("manifest of run {run}");
    let row = codec::decode(value).map_err(|why| damaged(path, &what, &why))?;
    Ok((run, row))
}

/// The manifest of the runs of one handle. The executable's digest may become known after a run has
/// begun: then the next commit stores it.
pub(crate) struct OwnManifest {
    row: ManifestRow,
    /// The run whose stored manifest has no digest yet.
    without_digest: Mutex<Option<RunId>>,
}

impl OwnManifest {
    pub(crate) fn new(manifest: RunManifest) -> Self {
        OwnManifest {
            row: manifest.into(),
            without_digest: Mutex::new(None),
        }
    }

    /// What `run`, which begins, stores, and whether that is all.
    pub(crate) fn begin(&self) -> (ManifestRow, bool) {
        let known = executable::known();
        let row = ManifestRow {
            executable: known.flatten(),
            ..self.row.clone()
        };
        (row, known.is_some())
    }

    /// After the commit of what [`begin`](Self::begin) gave.
    pub(crate) fn begun(&self, run: RunId, is_whole: bool) {
        *lock(&self.without_digest) = (!is_whole).then_some(run);
    }

    /// The manifest with the digest, if that is known by now and not stored yet.
    pub(crate) fn completed(&self) -> Option<(RunId, ManifestRow)> {
        let run = (*lock(&self.without_digest))?;
        let executable = executable::known()?;
        let row = ManifestRow {
            executable,
            ..self.row.clone()
        };
        Some((run, row))
    }

    /// After the commit of what [`completed`](Self::completed) gave.
    pub(crate) fn store(&self, completed: Option<(RunId, ManifestRow)>) {
        if completed.is_some() {
            lock(&self.without_digest).take();
        }
    }
}

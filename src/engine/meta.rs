//! A journal's own facts: its format, its identity, its extent.

// Stored numbers are not trusted: an unbounded one must be checked or saturate.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use serde::{Deserialize, Serialize};

use super::directory::{Directory, HOT_FILE};
use super::format::CHECKSUM_BYTES;
use super::format::codec;
use super::format::codec::{Stored, bounded};
use super::kv;
use super::kv::{Kv, ReadTransaction, Table, WriteTransaction};
use crate::entry::error::{Error, Result};
use crate::entry::ids::JournalId;
use crate::entry::sequence::Sequence;
use crate::entry::timestamp::Timestamp;
use crate::options::Sharing;
use std::path::Path;

/// The format that this version reads and writes.
pub(crate) const FORMAT: u32 = 4;

const FORMAT_KEY: &[u8] = b"format";
const IDENTITY_KEY: &[u8] = b"identity";
const EXTENT_KEY: &[u8] = b"extent";
const LOST_KEY: &[u8] = b"lost";

/// Written once, when the journal is created.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) id: u128,
    pub(crate) label: Option<String>,
    pub(crate) created: Timestamp,
    /// Of a restored journal: its ancestors, and the first sequence that is not theirs. Earlier
    /// segments have their names.
    pub(crate) ancestors: Vec<(u128, Sequence)>,
}

impl Stored for Identity {}

impl Identity {
    /// A new one, drawn at random.
    pub(crate) fn draw(label: Option<String>, created: Timestamp) -> Result<Self> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|error| {
            let source = std::io::Error::other(error.to_string());
            Error::io("draw a random identity for", HOT_FILE, source)
        })?;
        Ok(Identity {
            id: u128::from_le_bytes(random),
            label,
            created,
            ancestors: Vec::new(),
        })
    }

    /// Whether a segment with the id `journal`, and the end `next`, is ours.
    pub(crate) fn owns(&self, journal: u128, next: Sequence) -> bool {
        let ancestor = |(id, until): &(u128, Sequence)| *id == journal && next <= *until;
        journal == self.id || self.ancestors.iter().any(ancestor)
    }

    /// The ids that files of inputs may have: numbers of runs are never given twice, also not after
    /// a restoring.
    pub(crate) fn journals(&self) -> impl Iterator<Item = u128> {
        let ancestors = self.ancestors.iter().map(|(id, _)| *id);
        std::iter::once(self.id).chain(ancestors)
    }

    pub(crate) fn journal(&self) -> JournalId {
        JournalId(self.id)
    }
}

/// A value in stored form: room for the checksum, then its encoding.
pub(crate) fn sealed(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = vec![0; CHECKSUM_BYTES];
    let encoded = codec::encode_into(value, &mut bytes);
    debug_assert!(encoded.is_ok(), "stored types have known lengths");
    bytes
}

pub(crate) fn damaged(path: &Path, what: &str, why: &str) -> Error {
    Error::Corrupt {
        path: path.to_owned(),
        detail: format!("{what}: {why}"),
    }
}

/// Stores the journal's identity.
pub(crate) fn set_identity(
    transaction: &mut WriteTransaction<'_>,
    identity: &Identity,
) -> Result<()> {
    transaction.put(Table::Meta, IDENTITY_KEY, &mut sealed(identity))
}

/// Writes format and identity into a new file; in an old one, checks the format.
pub(crate) fn ensure(
    transaction: &mut WriteTransaction<'_>,
    path: &Path,
    identity: &Identity,
) -> Result<()> {
    if !transaction.is_new()? {
        let format = transaction.get(Table::Meta, FORMAT_KEY, codec::decode::<u32>)?;
        return check_format(path, format);
    }
    transaction.create_tables()?;
    transaction.put(Table::Meta, FORMAT_KEY, &mut sealed(&FORMAT))?;
    transaction.put(Table::Meta, IDENTITY_KEY, &mut sealed(identity))?;
    set_extent(transaction, Extent::new())
}

fn check_format(path: &Path, format: Option<Result<u32, String>>) -> Result<()> {
    match format {
        Some(Ok(FORMAT)) => Ok(()),
        Some(Ok(found)) => Err(Error::UnknownFormat {
            path: path.to_owned(),
            found,
            supported: FORMAT,
        }),
        Some(Err(why)) => Err(damaged(path, "meta format", &why)),
        None => Err(kv::foreign(
            path,
            "it is a redb file without a journal in it",
        )),
    }
}

/// Checks the format and reads the identity.
pub(crate) fn identity(snapshot: &ReadTransaction<'_>, path: &Path) -> Result<Identity> {
    check_format(
        path,
        snapshot.get(Table::Meta, FORMAT_KEY, codec::decode::<u32>)?,
    )?;
    known_identity(snapshot, path)
}

/// The identity, in any format.
pub(crate) fn known_identity(snapshot: &ReadTransaction<'_>, path: &Path) -> Result<Identity> {
    match snapshot.get(Table::Meta, IDENTITY_KEY, codec::decode)? {
        Some(identity) => identity.map_err(|why| damaged(path, "meta identity", &why)),
        None => Err(damaged(path, "meta identity", "it is missing")),
    }
}

/// The identity of the journal in `root`. Changes nothing there, also if its last writer died.
#[cfg_attr(
    not(all(target_os = "linux", target_pointer_width = "64", not(annals_portable))),
    expect(dead_code, reason = "without shared memory nobody asks")
)]
pub(crate) fn identity_in(root: &Path) -> Result<JournalId> {
    /// One page is read.
    const CACHE_BYTES: usize = 1 << 20;
    let path = Directory::existing(root)?.hot_file();
    let kv = match Kv::try_open_read_only(&path, Sharing::native(), CACHE_BYTES)? {
        Some(kv) => kv,
        None => Kv::over(&path, CACHE_BYTES)?,
    };
    let identity = kv.read(|snapshot| known_identity(snapshot, &path))?;
    Ok(identity.journal())
}

/// The identity, within a write transaction.
pub(crate) fn identity_to_write(
    transaction: &mut WriteTransaction<'_>,
    path: &Path,
) -> Result<Identity> {
    match transaction.get(Table::Meta, IDENTITY_KEY, codec::decode)? {
        Some(identity) => identity.map_err(|why| damaged(path, "meta identity", &why)),
        None => Err(damaged(path, "meta identity", "it is missing")),
    }
}

/// Which sequences there are, and where.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    /// The sequence that the next entry will get.
    pub(crate) next: Sequence,
    /// The first one whose block is in the hot file. Earlier ones are in segments.
    pub(crate) hot: Sequence,
    /// The first one that is kept. Earlier ones are retired.
    pub(crate) kept: Sequence,
    /// Bytes of the blocks from `hot` on.
    pub(crate) hot_bytes: u64,
    /// Counts the changes to the table of segments.
    pub(crate) generation: u64,
}

impl Extent {
    pub(crate) fn new() -> Self {
        Extent {
            next: Sequence::FIRST,
            hot: Sequence::FIRST,
            kept: Sequence::FIRST,
            hot_bytes: 0,
            generation: 0,
        }
    }
}

impl Stored for Extent {
    fn check(&self) -> std::result::Result<(), String> {
        let Extent {
            next,
            hot,
            kept,
            hot_bytes,
            generation,
        } = *self;
        let in_order = Sequence::FIRST <= kept && kept <= hot && hot <= next;
        if !in_order {
            return Err(format!("it is out of order: {self:?}"));
        }
        bounded("an end", next.get())?;
        bounded("a size in bytes", hot_bytes)?;
        bounded("a generation", generation)
    }
}

pub(crate) fn extent(snapshot: &ReadTransaction<'_>, path: &Path) -> Result<Extent> {
    known_extent(path, snapshot.get(Table::Meta, EXTENT_KEY, codec::decode)?)
}

pub(crate) fn extent_to_write(
    transaction: &mut WriteTransaction<'_>,
    path: &Path,
) -> Result<Extent> {
    known_extent(
        path,
        transaction.get(Table::Meta, EXTENT_KEY, codec::decode)?,
    )
}

fn known_extent(path: &Path, stored: Option<Result<Extent, String>>) -> Result<Extent> {
    match stored {
        Some(extent) => extent.map_err(|why| damaged(path, "meta extent", &why)),
        None => Err(damaged(path, "meta extent", "it is missing")),
    }
}

/// Stores it. Values that a reader would refuse are not stored.
pub(crate) fn set_extent(transaction: &mut WriteTransaction<'_>, extent: Extent) -> Result<()> {
    let path = Path::new(HOT_FILE);
    extent
        .check()
        .map_err(|why| damaged(path, "meta extent", &why))?;
    transaction.put(Table::Meta, EXTENT_KEY, &mut sealed(&extent))
}

/// How many entries repairs have put lost ranges in the place of.
pub(crate) fn lost(snapshot: &ReadTransaction<'_>, path: &Path) -> Result<u64> {
    match snapshot.get(Table::Meta, LOST_KEY, codec::decode)? {
        Some(lost) => lost.map_err(|why| damaged(path, "meta lost", &why)),
        None => Ok(0),
    }
}

/// Stores how many entries repairs have put lost ranges in the place of.
pub(crate) fn set_lost(transaction: &mut WriteTransaction<'_>, lost: u64) -> Result<()> {
    transaction.put(Table::Meta, LOST_KEY, &mut sealed(&lost))
}

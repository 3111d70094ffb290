//! The reading side: one journal, whether its blocks are in the hot file or in segments. Each
//! question is answered in short snapshots, decoded before it is handed out.

// Stored numbers are not trusted: an unbounded one must be checked or saturate.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::cell::OnceCell;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use super::blocks::{Blocks, DecodedBlock, HourKey, HourPlaces, Projection, go_on};
use super::dictionary;
use super::directory::Directory;
use super::elapsed::{Elapsed, Meter};
use super::format::block::StoredEntry;
use super::format::block_index::EntryKind;
use super::format::codec;
use super::format::min_max::{ID_BUCKET_BITS, id_bucket};
use super::format::row::NameId;
use super::handle::{FileHandle, WriteHandle};
use super::hot::Hot;
use super::keys;
use super::kv::{Direction, Kv, ReadTransaction, Table};
use super::lost_ranges::LostRanges;
use super::manifests::{self, ManifestRow};
use super::meta;
use super::meta::{Extent, Identity, damaged};
use super::runs;
use super::runs::RunRow;
use super::segments;
use super::segments::{Registered, Segment, SegmentCache};
use crate::entry::error::{Error, Result};
use crate::entry::ids::{InferenceId, RunId};
use crate::entry::sequence::Sequence;
use crate::entry::timestamp::Timestamp;
use crate::options::Sharing;

/// A journal open for reading.
pub(crate) struct Source {
    handle: FileHandle,
    directory: Option<Directory>,
    path: PathBuf,
    sharing: Sharing,
    segments: SegmentCache,
    identity: OnceLock<Identity>,
    /// Counts elapsed time if a run of this process is open.
    meter: Option<Meter>,
    losses: Arc<LostRanges>,
}

/// Treatment of a segment that cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unopened {
    /// Its entries are passed over, as lost.
    PassedOver,
    /// An error, for what cannot be made good when the file comes back.
    Refused,
}

/// One snapshot of the journal: the tables of its hot file, and the places of all entries.
pub(crate) struct Snapshot<'s, 'k> {
    tables: &'s ReadTransaction<'k>,
    path: &'s Path,
    losses: &'s LostRanges,
    /// Read when it is asked for: the registry needs none.
    extent: OnceCell<Extent>,
}

impl<'s, 'k> Snapshot<'s, 'k> {
    pub(crate) fn new(
        tables: &'s ReadTransaction<'k>,
        path: &'s Path,
        losses: &'s LostRanges,
    ) -> Self {
        Snapshot {
            tables,
            path,
            losses,
            extent: OnceCell::new(),
        }
    }

    /// The path of the hot file, for messages.
    pub(crate) fn path(&self) -> &'s Path {
        self.path
    }

    /// Where unreadable stretches are remembered.
    pub(crate) fn losses(&self) -> &'s LostRanges {
        self.losses
    }

    /// Which sequences there are.
    pub(crate) fn extent(&self) -> Result<Extent> {
        if let Some(extent) = self.extent.get() {
            return Ok(*extent);
        }
        let extent = meta::extent(self.tables, self.path)?;
        Ok(*self.extent.get_or_init(|| extent))
    }

    /// The blocks of the hot file.
    pub(crate) fn hot(&self) -> Result<Blocks<'s, 'k>> {
        let Extent { hot, next, .. } = self.extent()?;
        Ok(Blocks::new(self.tables, self.path, hot..next, self.losses))
    }
}

impl<'k> Deref for Snapshot<'_, 'k> {
    type Target = ReadTransaction<'k>;

    fn deref(&self) -> &ReadTransaction<'k> {
        self.tables
    }
}

impl Source {
    /// Opens the journal in `directory` beside its writers.
    pub(crate) fn open(directory: Directory, sharing: Sharing, cache_bytes: usize) -> Result<Self> {
        let path = directory.hot_file();
        let kv = Kv::open_read_only(&path, sharing, cache_bytes)?;
        let handle = FileHandle::new(kv);
        Ok(Source::new(handle, Some(directory), path, sharing, None))
    }

    fn new(
        handle: FileHandle,
        directory: Option<Directory>,
        path: PathBuf,
        sharing: Sharing,
        meter: Option<Meter>,
    ) -> Self {
        let losses = Arc::default();
        Source {
            handle,
            directory,
            path,
            sharing,
            segments: SegmentCache::of(&losses),
            identity: OnceLock::new(),
            meter,
            losses,
        }
    }

    /// A source beside the writer `hot` of the same process. It has a handle of its own, so that a
    /// failed writer does not take readers down, except where only one handle may be open.
    pub(crate) fn beside(hot: &Hot, cache_bytes: usize) -> Result<Self> {
        match (hot.sharing(), hot.directory()) {
            (Sharing::Shared, Some(directory)) => Ok(Source {
                meter: Some(hot.meter()),
                ..Source::open(directory.clone(), Sharing::Shared, cache_bytes)?
            }),
            (_, directory) => {
                let (directory, path) = (directory.cloned(), hot.name().to_owned());
                let meter = Some(hot.meter());
                let sharing = Sharing::Exclusive;
                Ok(Source::new(hot.handle(), directory, path, sharing, meter))
            }
        }
    }

    /// A source that borrows the only handle that may be open on the journal in `directory`.
    pub(crate) fn of_only(only: FileHandle, directory: Directory) -> Self {
        let path = directory.hot_file();
        Source::new(only, Some(directory), path, Sharing::Exclusive, None)
    }

    /// Opens the journal in `directory` for reading and, where only one handle may be open, for
    /// writing through the same one.
    pub(crate) fn open_for_maintenance(
        directory: Directory,
        sharing: Sharing,
        cache_bytes: usize,
    ) -> Result<Self> {
        if sharing == Sharing::Shared {
            return Source::open(directory, sharing, cache_bytes);
        }
        let path = directory.hot_file();
        if !path.exists() {
            return Err(Error::Missing {
                path: directory.path().to_owned(),
            });
        }
        let handle = FileHandle::new(Kv::open(&path, sharing, cache_bytes)?);
        Ok(Source::new(handle, Some(directory), path, sharing, None))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn directory(&self) -> Option<&Directory> {
        self.directory.as_ref()
    }

    /// A handle for writing beside these readers.
    pub(crate) fn writer(&self, cache_bytes: usize) -> WriteHandle {
        let directory = self.directory.as_ref();
        WriteHandle::new(directory, self.sharing, &self.handle, cache_bytes)
    }

    /// Runs `body` on one snapshot.
    pub(crate) fn read<T>(&self, body: impl FnOnce(&Snapshot<'_, '_>) -> Result<T>) -> Result<T> {
        self.handle.read(|tables| body(&self.snapshot(tables)))
    }

    /// The snapshot that a transaction of the hot file shows.
    pub(crate) fn snapshot<'s, 'k>(&'s self, tables: &'s ReadTransaction<'k>) -> Snapshot<'s, 'k> {
        Snapshot::new(tables, &self.path, &self.losses)
    }

    /// Known elapsed time; `wall` is the wall clock now.
    pub(crate) fn elapsed(&self, wall: Timestamp) -> Result<Elapsed> {
        self.read(|snapshot| Elapsed::read(snapshot, &self.path, self.meter.as_ref(), wall))
    }

    /// The same for times of files. `None` if the journal has a clock of its own, which these do
    /// not go by.
    pub(crate) fn elapsed_by_system_clock(&self) -> Result<Option<Elapsed>> {
        if self
            .meter
            .as_ref()
            .is_some_and(|meter| !meter.is_of_system())
        {
            return Ok(None);
        }
        self.elapsed(Timestamp::now()).map(Some)
    }

    pub(crate) fn identity(&self) -> Result<Identity> {
        if let Some(identity) = self.identity.get() {
            return Ok(identity.clone());
        }
        let identity = self.read(|snapshot| meta::identity(snapshot, &self.path))?;
        Ok(self.identity.get_or_init(|| identity).clone())
    }

    /// Which sequences there are.
    pub(crate) fn extent(&self) -> Result<Extent> {
        self.read(|snapshot| snapshot.extent())
    }

    /// The sequence after the last committed entry.
    pub(crate) fn next_sequence(&self) -> Result<Sequence> {
        Ok(self.extent()?.next)
    }

    /// The name with this id. Where its row cannot be read, the table of ids is asked.
    pub(crate) fn name(&self, id: NameId) -> Result<Option<Arc<str>>> {
        let key = keys::number(id);
        self.read(|snapshot| {
            let name = snapshot.get(Table::Names, &key, |value| {
                codec::decode::<(u8, String)>(value)
                    .map_err(|why| damaged(&self.path, &format!("name {id}"), &why))
            });
            let name = match name.and_then(Option::transpose) {
                Ok(Some(name)) => Some(name),
                // The two tables of names hold the same pairs, and damage rarely meets both.
                Ok(None) => dictionary::text_beside(snapshot, id)?,
                Err(error @ Error::Corrupt { .. }) => {
                    let beside = dictionary::text_beside(snapshot, id)?;
                    Some(beside.ok_or(error)?)
                }
                Err(error) => return Err(error),
            };
            Ok(name.map(|(_, text)| text.into()))
        })
    }

    /// The same of an id that an entry uses: the name has to be there.
    pub(crate) fn used_name(&self, id: NameId) -> Result<Arc<str>> {
        self.name(id)?.ok_or_else(|| Error::Corrupt {
            path: self.path.clone(),
            detail: format!("names: {id} is used but not there"),
        })
    }

    pub(crate) fn name_id(&self, kind: u8, text: &str) -> Result<Option<NameId>> {
        self.read(|snapshot| dictionary::id_of(snapshot, &self.path, kind, text))
    }

    /// Blocks that hold `from` and later entries, oldest first, until `budget` bytes are read or
    /// their file ends. Empty at the journal's end.
    pub(crate) fn after(&self, from: Sequence, budget: usize) -> Result<Vec<DecodedBlock>> {
        self.projected_after(from, budget, Projection::All)
    }

    /// The same of what is asked for. A block that has nothing of it is there, without rows.
    pub(crate) fn projected_after(
        &self,
        from: Sequence,
        budget: usize,
        projection: Projection<'_>,
    ) -> Result<Vec<DecodedBlock>> {
        self.in_part_of(from, Unopened::PassedOver, |blocks| {
            blocks.after(from, budget, projection)
        })
        .map(Option::unwrap_or_default)
    }

    /// The bytes of blocks that hold `from` and later entries, oldest first, until `budget` bytes
    /// are read or their file ends. Empty at the journal's end. A segment that cannot be opened is
    /// an error: what is folded stays as it is, and the file may come back.
    pub(crate) fn payloads(
        &self,
        from: Sequence,
        budget: usize,
    ) -> Result<Vec<(Sequence, Vec<u8>)>> {
        let read = |blocks: &Blocks<'_, '_>| {
            let (mut found, mut bytes) = (Vec::new(), 0_usize);
            blocks.payloads(from, |visit| {
                found.push((visit.block.sequences().start, visit.payload.to_vec()));
                bytes = bytes.saturating_add(visit.payload.len());
                Ok(go_on(bytes < budget))
            })?;
            Ok(found)
        };
        self.in_part_of(from, Unopened::Refused, read)
            .map(Option::unwrap_or_default)
    }

    /// The bytes of the lost range that begins at `from`, whose block does not decode.
    pub(crate) fn lost_range_at(&self, from: Sequence) -> Result<Option<(Sequence, Vec<u8>)>> {
        let read = |blocks: &Blocks<'_, '_>| blocks.lost_range_at(from);
        self.in_part_of(from, Unopened::PassedOver, read)
            .map(Option::flatten)
    }

    /// Blocks passed over so far because they cannot be read.
    pub(crate) fn losses(&self) -> &LostRanges {
        &self.losses
    }

    /// Blocks that begin before `until`, newest first, until `budget` bytes are read or the file
    /// begins that they are in. Empty at the journal's beginning.
    pub(crate) fn before(
        &self,
        until: Sequence,
        budget: usize,
        projection: Projection<'_>,
    ) -> Result<Vec<DecodedBlock>> {
        let extent = self.extent()?;
        let until = until.min(extent.next);
        if until <= extent.kept {
            return Ok(Vec::new());
        }
        // The part is chosen by the last wanted entry; `until` may be the first sequence of the
        // next one.
        let last = until.saturating_sub(1);
        self.in_part_of(last, Unopened::PassedOver, |blocks| {
            blocks.before(until, budget, projection)
        })
        .map(Option::unwrap_or_default)
    }

    /// The block that holds `sequence`; `None` beyond the journal's end.
    pub(crate) fn block_with(
        &self,
        sequence: Sequence,
        projection: Projection<'_>,
    ) -> Result<Option<DecodedBlock>> {
        self.in_part_of(sequence, Unopened::PassedOver, |blocks| {
            blocks.block_with(sequence, projection)
        })
    }

    /// The entry with this sequence.
    pub(crate) fn at(&self, sequence: Sequence) -> Result<Option<StoredEntry>> {
        let found = self.in_part_of(sequence, Unopened::PassedOver, |blocks| blocks.at(sequence));
        match found {
            Err(Error::Retired { .. }) => Ok(None),
            found => Ok(found?.flatten()),
        }
    }

    /// Up to `most` places of the index of event times whose seconds touch `from..=until`
    /// in `direction`: ascending from `start` on, descending from before it.
    /// See [`Blocks::hours`] for what is beside them.
    pub(crate) fn hours(
        &self,
        from: Timestamp,
        until: Timestamp,
        start: Option<HourKey>,
        direction: Direction,
        most: usize,
    ) -> Result<HourPlaces> {
        if from > until {
            return Ok(HourPlaces::default());
        }
        let touches = |segment: &Registered| {
            let times = segment.row.event_times;
            times.is_some_and(|(first, last)| first <= until && last >= from)
        };
        let mut all = HourPlaces::default();
        self.in_parts(touches, Unopened::PassedOver, |blocks| {
            let places = blocks.hours(from, until, start, direction, most)?;
            all.found.extend(places.found);
            all.untimed.extend(places.untimed);
            Ok(true)
        })?;
        // Each part gave its first ones; the first of all are among them.
        all.found.sort_unstable();
        if direction == Direction::Descending {
            all.found.reverse();
        }
        all.found.truncate(most);
        Ok(all)
    }

    /// The inference or repeat with this id, if the block that holds it can be read.
    pub(crate) fn find_readable(&self, id: InferenceId) -> Result<Option<StoredEntry>> {
        self.find_beside(id, &mut Vec::new())
    }

    /// The inference or repeat with this id. An error if it is nowhere, and may be in a block that
    /// cannot be read.
    pub(crate) fn find(&self, id: InferenceId) -> Result<Option<StoredEntry>> {
        let mut unread = Vec::new();
        let found = self.find_beside(id, &mut unread)?;
        match unread.first() {
            Some(first) if found.is_none() => {
                let what = format!("block {first}");
                let why = "it cannot be read, and may hold the inference";
                Err(damaged(&self.path, &what, why))
            }
            _ => Ok(found),
        }
    }

    /// The inference or repeat with this id. Adds to `unread` the blocks that may hold it and
    /// cannot be read; what finds them has to be readable.
    fn find_beside(
        &self,
        id: InferenceId,
        unread: &mut Vec<Sequence>,
    ) -> Result<Option<StoredEntry>> {
        let holds = |segment: &Registered| {
            let ids = segment.row.ids;
            ids.is_some_and(|(lowest, highest)| (lowest..=highest).contains(&id))
        };
        // Newest part first, and the first hit ends it: an id is in one place only.
        let mut found = None;
        self.in_parts(holds, Unopened::PassedOver, |blocks| {
            found = blocks.find(id, unread)?;
            Ok(found.is_none())
        })?;
        Ok(found)
    }

    /// Up to `most` sequences of entries of one kind, from `from` on.
    pub(crate) fn of_kind(
        &self,
        kind: EntryKind,
        from: Sequence,
        most: usize,
    ) -> Result<Vec<Sequence>> {
        let mut found = Vec::new();
        self.in_parts(
            |segment| segment.row.next > from,
            Unopened::PassedOver,
            |blocks| {
                found.extend(blocks.of_kind(
                    kind,
                    from..Sequence::MAX,
                    Direction::Ascending,
                    most,
                )?);
                Ok(true)
            },
        )?;
        found.sort_unstable();
        found.truncate(most);
        Ok(found)
    }

    /// Up to `most` sequences of entries of one kind before `until`, newest first.
    pub(crate) fn of_kind_before(
        &self,
        kind: EntryKind,
        until: Sequence,
        most: usize,
    ) -> Result<Vec<Sequence>> {
        let mut found = Vec::new();
        self.in_parts(
            |segment| segment.first < until,
            Unopened::PassedOver,
            |blocks| {
                // Newest part first: the results are in order already.
                let left = most.saturating_sub(found.len());
                found.extend(blocks.of_kind(
                    kind,
                    Sequence::ZERO..until,
                    Direction::Descending,
                    left,
                )?);
                Ok(found.len() < most)
            },
        )?;
        Ok(found)
    }

    /// The ids of inferences and repeats among the [`ID_BUCKET_BITS`](super::format::min_max) bits'
    /// worth that `id` lies in.
    pub(crate) fn ids_near(&self, id: InferenceId) -> Result<Vec<InferenceId>> {
        let (bucket, _) = id_bucket(id);
        let (low, high) = (
            InferenceId::from_u64(bucket << ID_BUCKET_BITS),
            InferenceId::from_u64((bucket << ID_BUCKET_BITS) | ((1 << ID_BUCKET_BITS) - 1)),
        );
        let holds = |segment: &Registered| {
            let ids = segment.row.ids;
            ids.is_some_and(|(lowest, highest)| lowest <= high && highest >= low)
        };
        let mut found = Vec::new();
        // A question for all ids takes in those that are not among them.
        self.in_parts(holds, Unopened::Refused, |blocks| {
            found.extend(blocks.ids_of(bucket)?);
            Ok(true)
        })?;
        Ok(found)
    }

    /// Up to `most` runs from number `from` on.
    pub(crate) fn runs(&self, from: u32, most: usize) -> Result<Vec<(RunId, RunRow)>> {
        self.read(|snapshot| runs::page(snapshot, &self.path, from, most))
    }

    /// The manifest of a run, if it has one.
    pub(crate) fn manifest(&self, run: RunId, row: &RunRow) -> Result<Option<ManifestRow>> {
        if !row.has_manifest {
            return Ok(None);
        }
        self.read(|snapshot| {
            let found = manifests::get(snapshot, &self.path, run)?;
            // Retention may have removed both since the row was read.
            let is_there = || {
                let rows = runs::page(snapshot, &self.path, run.get(), 1)?;
                Ok(rows.first().is_some_and(|(known, _)| *known == run))
            };
            if found.is_none() && is_there()? {
                let what = format!("manifest of run {run}");
                return Err(damaged(&self.path, &what, "it is missing"));
            }
            Ok(found)
        })
    }

    /// Whether the process of an open run has gone. In memory, every run is alive.
    pub(crate) fn is_run_dead(&self, run: RunId) -> bool {
        self.directory
            .as_ref()
            .is_some_and(|directory| directory.is_run_dead(run))
    }

    /// The segments, oldest first.
    pub(crate) fn segments(&self) -> Result<Arc<[Registered]>> {
        self.read(|snapshot| self.list(snapshot))
    }

    /// Which sequences there are, and the segments, from one snapshot.
    pub(crate) fn extent_and_segments(&self) -> Result<(Extent, Arc<[Registered]>)> {
        self.read(|snapshot| Ok((snapshot.extent()?, self.list(snapshot)?)))
    }

    pub(crate) fn list(&self, snapshot: &Snapshot<'_, '_>) -> Result<Arc<[Registered]>> {
        let generation = snapshot.extent()?.generation;
        self.segments.list(snapshot, &self.path, generation)
    }

    /// Runs `body` on the file that holds `sequence`; `None` beyond the journal's end.
    fn in_part_of<T>(
        &self,
        sequence: Sequence,
        unopened: Unopened,
        body: impl Fn(&Blocks<'_, '_>) -> Result<T>,
    ) -> Result<Option<T>> {
        enum Where<T> {
            Answered(Option<T>),
            In(Registered),
        }
        let found = self.read(|snapshot| {
            let Extent {
                next, hot, kept, ..
            } = snapshot.extent()?;
            if sequence >= next {
                return Ok(Where::Answered(None));
            }
            if sequence >= hot {
                // Within the same snapshot as the hot file's first sequence. Between two snapshots
                // a sealer could move the entry into a segment and remove it here.
                return Ok(Where::Answered(Some(body(&snapshot.hot()?)?)));
            }
            let segments = self.list_with(snapshot, unopened)?;
            // They adjoin and are in order, so this is the only one that can hold it.
            let index = segments.partition_point(|segment| segment.row.next <= sequence);
            match segments.get(index) {
                Some(segment) if segment.first <= sequence => Ok(Where::In(segment.clone())),
                _ if sequence < kept => Err(self.retired(sequence, kept)),
                _ => Err(damaged(
                    &self.path,
                    "segments",
                    &format!("none holds sequence {sequence}"),
                )),
            }
        })?;
        match found {
            Where::Answered(answer) => Ok(answer),
            // Opened when the snapshot is closed: opening a file may be slow, and an old snapshot
            // keeps redb from reusing pages. A segment that is retired at the same time is told
            // apart below.
            Where::In(segment) => {
                let open = self.segment_with(&segment, unopened);
                let answer = open.and_then(|open| open.read(&body));
                self.unless_retired(&segment, answer).map(Some)
            }
        }
    }

    /// Runs `body` on the hot file and then on the segments that `wanted` likes, newest first,
    /// until it has enough.
    pub(crate) fn in_parts(
        &self,
        wanted: impl Fn(&Registered) -> bool,
        unopened: Unopened,
        mut body: impl FnMut(&Blocks<'_, '_>) -> Result<bool>,
    ) -> Result<()> {
        let segments = self.read(|snapshot| {
            // The list is from the same snapshot as the hot part, so no entry is in both and none
            // in neither.
            let more = body(&snapshot.hot()?)?;
            more.then(|| self.list_with(snapshot, unopened)).transpose()
        })?;
        let wanted = segments
            .iter()
            .flat_map(|segments| segments.iter().rev())
            .filter(|s| wanted(s));
        for segment in wanted {
            let open = self.segment_with(segment, unopened);
            let answer = open.and_then(|open| open.read(&mut body));
            match self.unless_retired(segment, answer) {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                // Entries retired since are gone.
                Err(Error::Retired { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    pub(crate) fn segment(&self, segment: &Registered) -> Result<Arc<Segment>> {
        let directory = self
            .directory
            .as_ref()
            .ok_or_else(|| damaged(&self.path, "segments", "a journal in memory has none"))?;
        self.segments.open(directory, &self.identity()?, segment)
    }

    /// The same, with what stands in the place of one that cannot be opened, if that is wanted.
    pub(crate) fn segment_with(
        &self,
        segment: &Registered,
        unopened: Unopened,
    ) -> Result<Arc<Segment>> {
        let opened = self.segment(segment);
        match (&opened, unopened, &self.directory) {
            (Err(_), Unopened::PassedOver, Some(directory))
                // A segment retired since is not lost.
                if segment.first >= self.extent()?.kept =>
            {
                let identity = self.identity()?;
                self.segments.open_or_lost(directory, &identity, segment)
            }
            _ => opened,
        }
    }

    /// The segments, in order. Where their table cannot be read and that is to be passed over,
    /// those that the names of files tell, and others in the place of what is between them.
    pub(crate) fn list_with(
        &self,
        snapshot: &Snapshot<'_, '_>,
        unopened: Unopened,
    ) -> Result<Arc<[Registered]>> {
        let Extent { kept, hot, .. } = snapshot.extent()?;
        let listed = self.list(snapshot);
        match (listed, &self.directory) {
            // Names of files hold the sequences for this case. The extent, in another table, says
            // what has to be covered.
            (Err(Error::Corrupt { .. }), Some(directory)) if unopened == Unopened::PassedOver => {
                Ok(segments::by_files(directory, kept..hot).into())
            }
            (listed, _) => listed,
        }
    }

    /// Turns the error of a segment that has been retired since into `Retired`.
    pub(crate) fn unless_retired<T>(&self, segment: &Registered, answer: Result<T>) -> Result<T> {
        let Err(error) = answer else { return answer };
        let kept = self.extent()?.kept;
        // Asked after the failure: the file vanishes after the commit that retires it, so whatever
        // is missing because of it is before the hot file's first sequence by now.
        if segment.first < kept {
            Err(self.retired(segment.first, kept))
        } else {
            Err(error)
        }
    }

    fn retired(&self, sequence: Sequence, kept: Sequence) -> Error {
        Error::Retired {
            path: self.path.clone(),
            sequence: sequence.get(),
            kept: kept.get(),
        }
    }
}

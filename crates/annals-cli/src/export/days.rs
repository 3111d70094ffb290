//! A file for each day of event time, in folders that DuckDB, Polars, Spark and pandas understand.
//!
//! Nothing has its name before all of it is whole. A bounded number of files is open at once. A day
//! whose file was closed to make room, and that comes back, is written in another pass over the
//! journal. So each export gives a day one file, in any order of the days.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use annals::JournalId;

use super::file::{FolderChange, Unpublished};
use super::lake::{Lake, Owned};
use super::{ExportRow, FilePacking, Sink, to_file};
use crate::failure::{Failure, Result};
use crate::filter::Filter;
use crate::zone::Zone;

/// Files that are open at once. A process may usually have 1,024 files open.
const OPEN: usize = 256;
/// The same where each has the memory of a compressor.
const OPEN_COMPRESSED: usize = 32;
/// Rows that all open files together hold back: some hundred megabytes at most.
const MOST_HELD: usize = 1 << 18;
/// Bytes that are held back for each file.
const BUFFER: usize = 1 << 15;

/// `day=2025-07-25/part-….parquet`.
pub struct DayFolders {
    packing: FilePacking,
    lake: Lake,
    journal: JournalId,
    /// The first entry.
    from: u64,
    /// Whose days they are.
    zone: Zone,
    /// The first and the last day that are asked for.
    first: Option<i64>,
    last: Option<i64>,
    /// The day used last stands last.
    open: Vec<(i64, Box<dyn Sink>)>,
    /// The files of all days that were begun, open or whole.
    files: BTreeMap<i64, Unpublished>,
    /// The days of this pass; none for the first, which begins with all.
    wanted: Option<Arc<BTreeSet<i64>>>,
    /// Those of later passes.
    later: BTreeSet<i64>,
    /// Rows that open files hold back.
    held: usize,
    most_open: usize,
}

impl DayFolders {
    pub fn new(
        packing: FilePacking,
        lake: Lake,
        journal: JournalId,
        from: u64,
        filter: &Filter,
    ) -> Self {
        DayFolders {
            packing,
            lake,
            journal,
            from,
            zone: filter.zone.clone(),
            first: filter.since.map(|since| filter.zone.day(since)),
            last: last_day(filter),
            open: Vec::new(),
            files: BTreeMap::new(),
            wanted: None,
            later: BTreeSet::new(),
            held: 0,
            most_open: if packing.is_packed_stream() {
                OPEN_COMPRESSED
            } else {
                OPEN
            },
        }
    }

    /// Whether the day is asked for. Only whole days are ([`whole_days`]).
    fn covers(&self, day: i64) -> bool {
        self.first.is_none_or(|first| day >= first) && self.last.is_none_or(|last| day <= last)
    }

    /// Whether this export takes the place of a file of the day: of one that begins where it does
    /// or later. With a cursor these are what an export left that was killed before its cursor was
    /// stored. Files with earlier entries stay: those entries may have been retired since.
    fn replaces(&self, day: i64, file: &Owned) -> bool {
        self.covers(day) && file.from >= self.from
    }

    /// The first entry that no file of the day covers that stays.
    fn begin_of(&self, day: i64) -> u64 {
        let files = self.lake.owned(day).iter();
        let kept = files.filter(|file| !self.replaces(day, file));
        let kept = kept.map(|file| file.until).max();
        kept.map_or(self.from, |until| until.max(self.from))
    }

    /// The file of a day; none if the day is left to a later pass.
    fn file_of(&mut self, day: i64) -> Result<Option<&mut Box<dyn Sink>>> {
        let known = self.open.iter().position(|(known, _)| *known == day);
        let open = match known {
            Some(index) => self.open.remove(index),
            None if self.files.remove(&day).is_some() => {
                self.later.insert(day);
                return Ok(None);
            }
            None => {
                if self.open.len() >= self.most_open {
                    let (_, sink) = self.open.remove(0);
                    self.close(sink)?;
                }
                let folder = self.lake.folder(day)?;
                let (unpublished, file) = Unpublished::create(&folder, BUFFER)?;
                self.files.insert(day, unpublished);
                (day, to_file(self.packing, file, self.journal)?)
            }
        };
        self.open.push(open);
        let last = self.open.last_mut().map(|(_, sink)| sink);
        last.map(Some)
            .ok_or_else(|| Failure::Usage("no file is open".into()))
    }

    fn close(&mut self, sink: Box<dyn Sink>) -> Result<()> {
        self.held = self.held.saturating_sub(sink.held());
        sink.finish(0)
    }

    /// Rows of one day.
    fn push_run(&mut self, day: i64, mut rows: Vec<ExportRow>) -> Result<()> {
        let is_wanted = self.wanted.as_ref().is_none_or(|days| days.contains(&day));
        if !is_wanted || self.later.contains(&day) {
            return Ok(());
        }
        // Rows that are filed under another day than the one that they were chosen by.
        let is_covered = self.covers(day);
        let begin = self.begin_of(day);
        rows.retain(|row| {
            row.sequence() >= begin && (is_covered || matches!(row, ExportRow::Late(..)))
        });
        if rows.is_empty() {
            return Ok(());
        }
        let Some(sink) = self.file_of(day)? else {
            return Ok(());
        };
        let before = sink.held();
        sink.push(rows)?;
        let after = sink.held();
        self.held = (self.held + after).saturating_sub(before);
        while self.held > MOST_HELD {
            let fullest = self.open.iter_mut().max_by_key(|(_, sink)| sink.held());
            let Some((_, sink)) = fullest.filter(|(_, sink)| sink.held() > 0) else {
                break;
            };
            self.held = self.held.saturating_sub(sink.held());
            sink.write_out()?;
        }
        Ok(())
    }
}

impl Sink for DayFolders {
    fn push(&mut self, rows: Vec<ExportRow>) -> Result<()> {
        let mut run: Vec<ExportRow> = Vec::new();
        let mut of = 0;
        for row in rows {
            let day = self.zone.day(row.time());
            if day != of && !run.is_empty() {
                self.push_run(of, std::mem::take(&mut run))?;
            }
            of = day;
            run.push(row);
        }
        self.push_run(of, run)
    }

    fn next_pass(&mut self) -> Result<Option<Arc<BTreeSet<i64>>>> {
        for (_, sink) in std::mem::take(&mut self.open) {
            self.close(sink)?;
        }
        let mut next = BTreeSet::new();
        while next.len() < self.most_open {
            let Some(day) = self.later.pop_first() else {
                break;
            };
            next.insert(day);
        }
        self.wanted = (!next.is_empty()).then(|| Arc::new(next));
        Ok(self.wanted.clone())
    }

    fn finish(mut self: Box<Self>, until: u64) -> Result<()> {
        if until <= self.from {
            return Ok(());
        }
        let mut days: BTreeSet<i64> = self.lake.days().collect();
        days.extend(self.files.keys());
        let mut changes = Vec::new();
        for day in days {
            let file = self.files.remove(&day);
            let begin = self.begin_of(day);
            let new = file.map(|file| (file, self.lake.file(day, begin, until)));
            let replaced = self.lake.owned(day).iter();
            let replaced = replaced.filter(|file| self.replaces(day, file));
            let obsolete: Vec<_> = replaced.map(|file| file.path.clone()).collect();
            if new.is_none() && obsolete.is_empty() {
                continue;
            }
            let folder = self.lake.folder(day)?;
            changes.push(FolderChange {
                folder,
                new,
                obsolete,
            });
        }
        self.lake.publish(&changes)
    }
}

/// The last day that is asked for; none if there is no end. Nothing is before the first moment.
fn last_day(filter: &Filter) -> Option<i64> {
    let until = filter.until?;
    let last = until.saturating_sub(std::time::Duration::from_micros(1));
    Some(filter.zone.day(last))
}

/// The filter with whole days: a day that is replaced by a part of it would lose the rest. Where
/// the clocks show a day again after the next has begun, the filter's times hold some of that, too.
pub fn whole_days(filter: Filter) -> Filter {
    let zone = &filter.zone;
    Filter {
        since: filter.since.map(|since| zone.begin(zone.day(since))),
        until: last_day(&filter).map(|last| zone.end(last)),
        ..filter
    }
}

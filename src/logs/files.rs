//! The files together: a line is written for all of them, or taken back.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::days::Days;
use super::entries::Renderer;
use super::file::{LogFile, begin, make_way};
use super::place;
use super::place::{FilePart, Position};
use super::state::MirrorState;
use super::write_back::WriteBack;
use crate::engine::blocks::DecodedBlock;
use crate::engine::format::block::StoredEntry;
use crate::engine::source::Source;
use crate::entry::error::{Error, Result};
use crate::entry::ids::JournalId;
use crate::entry::sequence::Sequence;
use crate::entry::timestamp::Timestamp;
use crate::fs::disk;
use crate::options::logs::{LogKind, Mirror};
use crate::options::retention::RetentionPolicy;
use crate::record::queue::Queue;

/// Bytes of lines that are held before they go to their file.
const BUFFER_BYTES: usize = 256 << 10;

pub(super) struct Files {
    directory: PathBuf,
    journal: JournalId,
    settings: Mirror,
    days: Days,
    renderer: Renderer,
    /// Positions of lines that are final.
    state: MirrorState,
    /// Where the round that is under way has come to; equal to the state's between rounds.
    reached: [Option<Position>; LogKind::COUNT],
    open: [Option<LogFile>; LogKind::COUNT],
    buffers: [Vec<u8>; LogKind::COUNT],
    write_back: WriteBack,
    /// Files were begun whose names may not be durable yet.
    has_new_names: bool,
    /// The last state that was stored.
    stored: MirrorState,
    /// Files that were moved aside for a link, where they are now.
    moved: Vec<PathBuf>,
    /// A round has ended before the first line of a new file, which is not there yet.
    turned: bool,
}

impl Files {
    /// Continues from the state in `directory`. Without one, or with one that is ahead of the
    /// journal's `end` (an older journal was put back), files of the mirror's names are moved
    /// aside. All lines are written anew.
    pub(super) fn resume(
        directory: &Path,
        journal: JournalId,
        end: Sequence,
        settings: Mirror,
    ) -> io::Result<Files> {
        let state = match MirrorState::load(directory, journal)? {
            Some(state) if state.next <= end => state,
            _ => {
                move_aside(directory)?;
                // Stored before the first line, so that a file is never taken for a foreign one.
                let start = MirrorState::start();
                start.save(directory, journal)?;
                start
            }
        };
        let mut moved = Vec::new();
        for kind in LogKind::ALL {
            if !settings.off.contains(&kind) {
                moved.extend(make_way(directory, kind)?);
            }
        }
        Ok(Files {
            directory: directory.to_owned(),
            journal,
            days: Days::new(settings.zone),
            renderer: Renderer::new(settings.zone, settings.micros),
            settings,
            state,
            reached: state.positions,
            open: [const { None }; LogKind::COUNT],
            buffers: [const { Vec::new() }; LogKind::COUNT],
            write_back: WriteBack::default(),
            has_new_names: false,
            stored: state,
            moved,
            turned: false,
        })
    }

    /// Keeps panics of a thread that these files start in `queue`.
    pub(super) fn keep_panics(&mut self, queue: Arc<Queue>) {
        self.write_back = WriteBack::new(Some(queue));
    }

    /// The sequence of the first entry whose line is not written.
    pub(super) fn next(&self) -> Sequence {
        self.state.next
    }

    /// Continues from `next`, if that is further: earlier entries have been retired.
    pub(super) fn skip_to(&mut self, next: Sequence) {
        self.state.next = self.state.next.max(next);
    }

    /// The files that have been moved aside since the last call.
    pub(super) fn take_moved(&mut self) -> Vec<PathBuf> {
        std::mem::take(&mut self.moved)
    }

    /// The name of each kind's current file, for the clean-up.
    pub(super) fn current(&self, kind: LogKind) -> Option<String> {
        let position = self.state.positions[kind as usize]?;
        Some(position.part.file_name(kind))
    }

    /// Whether a round has ended at the end of a file since the last call, so that room can be made
    /// for the next.
    pub(super) fn take_turned(&mut self) -> bool {
        std::mem::take(&mut self.turned)
    }

    /// Writes the lines of `blocks` or, after an error, none. Returns the number. If files are
    /// limited, it stops before each new file; [`next`](Self::next) is its position.
    pub(super) fn write(&mut self, source: &Source, blocks: &[DecodedBlock]) -> Result<u64> {
        let written = self.write_round(source, blocks);
        match written {
            Ok((lines, next)) => {
                self.state = MirrorState {
                    next,
                    positions: self.reached,
                };
                Ok(lines)
            }
            Err(error) => {
                // The files may hold a part of the round: opened again, they are cut.
                self.open = [const { None }; LogKind::COUNT];
                self.reached = self.state.positions;
                self.buffers.iter_mut().for_each(Vec::clear);
                Err(error)
            }
        }
    }

    fn write_round(&mut self, source: &Source, blocks: &[DecodedBlock]) -> Result<(u64, Sequence)> {
        let mut lines = 0;
        let mut next = self.state.next;
        for entry in blocks.iter().flat_map(|block| &block.rows) {
            // A block may begin with entries of the round before.
            if entry.sequence < next {
                continue;
            }
            let kind = Renderer::kind(&entry.row);
            if !self.settings.off.contains(&kind) {
                if self.push(kind, source, entry)? {
                    self.turned = true;
                    break;
                }
                lines += 1;
            }
            next = entry.next();
        }
        for kind in LogKind::ALL {
            self.flush(kind, usize::MAX)
                .map_err(|error| self.fault(error))?;
        }
        Ok((lines, next))
    }

    /// Returns whether the line was held back because it begins a file that there may be no room
    /// for.
    fn push(&mut self, kind: LogKind, source: &Source, entry: &StoredEntry) -> Result<bool> {
        let index = kind as usize;
        let before = self.buffers[index].len();
        self.renderer
            .push(&mut self.buffers[index], source, entry)?;
        let line = self.buffers[index].len().saturating_sub(before);
        let turned = self
            .turn_page(kind, entry.head.recorded, before, line)
            .map_err(|error| self.fault(error))?;
        let policy = self.settings.retention.as_ref();
        if turned && policy.is_some_and(RetentionPolicy::limits_files) {
            // Earlier lines have been flushed: the next round renders it again.
            self.buffers[index].clear();
            return Ok(true);
        }
        if self.buffers[index].len() >= BUFFER_BYTES {
            self.flush(kind, usize::MAX)
                .map_err(|error| self.fault(error))?;
        }
        Ok(false)
    }

    /// Begins a new file if the last rendered line (of `line` bytes, behind `before` bytes) belongs
    /// into one; returns whether it did.
    fn turn_page(
        &mut self,
        kind: LogKind,
        recorded: Timestamp,
        before: usize,
        line: usize,
    ) -> io::Result<bool> {
        let index = kind as usize;
        let rotation = self.settings.rotation;
        let day = rotation.is_daily().then(|| self.days.of(recorded));
        // The first line of this kind ever.
        let Some(current) = self.reached[index] else {
            self.reached[index] = Some(begin(FilePart { day, part: 0 }));
            return Ok(false);
        };
        let filled = current.length.saturating_add(before as u64);
        // A clock that goes back does not reopen yesterday's file.
        let next = if day > current.part.day {
            FilePart { day, part: 0 }
        } else if filled > 0 && filled.saturating_add(line as u64) > rotation.most_bytes() {
            FilePart {
                day: current.part.day,
                part: current.part.part.saturating_add(1),
            }
        } else {
            return Ok(false);
        };
        // Without the line that began the new page.
        self.flush(kind, before)?;
        if let Some(file) = self.open[index].take() {
            file.sync()?;
        }
        self.reached[index] = Some(begin(next));
        Ok(true)
    }

    /// Sends the first `most` buffered bytes of `kind` to its file.
    fn flush(&mut self, kind: LogKind, most: usize) -> io::Result<()> {
        let index = kind as usize;
        let length = self.buffers[index].len().min(most);
        let Some(position) = self.reached[index].filter(|_| length > 0) else {
            return Ok(());
        };
        let open = self.open[index].as_ref();
        if open.is_none_or(|file| !file.is_as_left(position.length)) {
            let opened = LogFile::open(&self.directory, kind, position)?;
            self.open[index] = Some(opened.file);
            self.has_new_names |= opened.is_new;
            self.reached[index] = Some(opened.position);
            self.moved.extend(opened.moved);
            if opened.position != position {
                self.note_loss(kind, opened.position)?;
            }
        }
        if let (Some(file), Some(position)) = (&mut self.open[index], &mut self.reached[index]) {
            file.append(&self.buffers[index][..length])?;
            self.write_back.appended(file.path(), length)?;
            position.length = position.length.saturating_add(length as u64);
        }
        self.buffers[index].drain(..length);
        Ok(())
    }

    /// Another program deleted or shortened the file. Stored before anything is appended: after a
    /// crash, new lines must not be taken for old ones.
    fn note_loss(&mut self, kind: LogKind, found: Position) -> io::Result<()> {
        let stored = &mut self.state.positions[kind as usize];
        match stored {
            Some(stored) if stored.part == found.part && stored.length > found.length => {
                *stored = found;
                self.try_save()
            }
            _ => Ok(()),
        }
    }

    /// Makes everything written so far durable and stores how far that is.
    pub(super) fn save(&mut self) -> Result<()> {
        // An idle journal costs no sync.
        if self.state == self.stored {
            return Ok(());
        }
        self.try_save().map_err(|error| self.fault(error))
    }

    fn try_save(&mut self) -> io::Result<()> {
        for file in self.open.iter().flatten() {
            file.sync()?;
        }
        // Before the state stores their lengths: files without a name would be written as lost.
        if self.has_new_names {
            disk::sync_directory(&self.directory)?;
            self.has_new_names = false;
        }
        self.state.save(&self.directory, self.journal)?;
        self.stored = self.state;
        Ok(())
    }

    /// Lets `change` change the current file of `kind`; it gets the path and returns the length
    /// afterwards.
    pub(super) fn rewrite(
        &mut self,
        kind: LogKind,
        change: impl FnOnce(&Path) -> io::Result<u64>,
    ) -> io::Result<()> {
        let index = kind as usize;
        let Some(position) = self.state.positions[index] else {
            return Ok(());
        };
        // Saved before and after: a crash in between finds a file that is shorter than stored,
        // with nothing in it that is not stored as written.
        self.try_save()?;
        self.open[index] = None;
        let name = position.part.file_name(kind);
        let length = change(&self.directory.join(name))?;
        self.state.positions[index] = Some(Position { length, ..position });
        self.reached = self.state.positions;
        self.try_save()
    }

    fn fault(&self, error: io::Error) -> Error {
        Error::io("write the text files in", &self.directory, error)
    }
}

/// Renames the mirror's files so that they are neither written nor cleaned up any more.
fn move_aside(directory: &Path) -> io::Result<()> {
    for kind in LogKind::ALL {
        for file in place::files(directory, kind)? {
            let mut number = 0_u32;
            loop {
                let aside = directory.join(format!("{}.aside-{number}", file.name));
                if fs::symlink_metadata(&aside).is_err() {
                    disk::rename(&directory.join(&file.name), &aside)?;
                    break;
                }
                number += 1;
            }
        }
    }
    Ok(())
}

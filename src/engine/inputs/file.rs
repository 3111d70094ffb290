//! A file of inputs, read frame by frame. Nothing in it is believed.

// Stored numbers are not trusted: an unbounded one must be checked or saturate.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;

use super::file_name;
use super::frame::{Frame, FrameHeader, HEADER_BYTES};
use super::rows::InputFileRow;
use crate::engine::directory::Directory;
use crate::engine::format::row::InputNumber;
use crate::engine::meta::{Identity, damaged};
use crate::entry::error::{Error, Result};
use crate::fs::disk::Below;

/// An open file, and an index of the frames that were passed so far.
pub(super) struct FrameFile {
    file: File,
    path: PathBuf,
    journals: Vec<u128>,
    /// The first number of each frame, where it begins, and how many bytes it has.
    frames: Vec<(InputNumber, u64, usize)>,
    /// Where the next frame begins, and with which number.
    end: u64,
    next: InputNumber,
}

impl FrameFile {
    /// Opens the file whose first input is `first`; `None` if it is not there.
    pub(super) fn open(
        directory: &Directory,
        identity: &Identity,
        first: InputNumber,
    ) -> Result<Option<FrameFile>> {
        let folder = directory.inputs();
        let name = file_name(first);
        let path = folder.join(&name);
        let opened = Below::new(&name)
            .map_err(io::Error::other)
            .and_then(|name| name.open(&folder));
        match opened {
            Ok(file) => Ok(Some(FrameFile {
                file,
                path,
                journals: identity.journals().collect(),
                frames: Vec::new(),
                end: 0,
                next: first,
            })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("open", path, error)),
        }
    }

    /// Where the frames that were read so far end.
    pub(super) fn end(&self) -> (u64, InputNumber) {
        (self.end, self.next)
    }

    /// Passes the next frame, of those that `row` counts; `None` at their end.
    pub(super) fn pass(&mut self, row: &InputFileRow) -> Result<Option<(u64, usize)>> {
        if self.end >= row.length {
            return if self.next == row.next {
                Ok(None)
            } else {
                let why = format!("its inputs end before {}, and not {}", self.next, row.next);
                Err(self.damaged(&why))
            };
        }
        let mut header = [0; HEADER_BYTES];
        self.read(self.end, &mut header)?;
        let header = FrameHeader::decode(&header, &self.journals);
        let header = header.map_err(|why| self.damaged(&why))?;
        let end = self.end.saturating_add(header.length.into());
        if header.first != self.next || end > row.length || header.next() > row.next {
            let why = format!("a frame has the inputs from {}", header.first);
            return Err(self.damaged(&why));
        }
        let place = (self.end, header.length as usize);
        self.frames.push((header.first, place.0, place.1));
        (self.end, self.next) = (end, header.next());
        Ok(Some(place))
    }

    /// The place of the frame with the input `number`, which `row` counts.
    pub(super) fn find(
        &mut self,
        row: &InputFileRow,
        number: InputNumber,
    ) -> Result<Option<(u64, usize)>> {
        while self.next <= number {
            if self.pass(row)?.is_none() {
                return Ok(None);
            }
        }
        let behind = self
            .frames
            .partition_point(|(first, _, _)| *first <= number);
        let frame = behind
            .checked_sub(1)
            .and_then(|place| self.frames.get(place));
        Ok(frame.map(|(_, begin, length)| (*begin, *length)))
    }

    /// The frame at a place.
    pub(super) fn frame(&self, (begin, length): (u64, usize)) -> Result<Frame> {
        // At most some megabyte, which its header was checked for.
        let mut bytes = vec![0; length];
        self.read(begin, &mut bytes)?;
        Frame::decode(&bytes, &self.journals).map_err(|why| {
            let what = format!("frame at {begin}");
            damaged(&self.path, &what, &why)
        })
    }

    fn read(&self, begin: u64, bytes: &mut [u8]) -> Result<()> {
        let mut file = &self.file;
        let read = file
            .seek(SeekFrom::Start(begin))
            .and_then(|_| file.read_exact(bytes));
        match read {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(self.damaged("the file is too short"))
            }
            read => read.map_err(|error| Error::io("read", &self.path, error)),
        }
    }

    pub(super) fn damaged(&self, why: &str) -> Error {
        damaged(&self.path, &format!("frame at {}", self.end), why)
    }
}

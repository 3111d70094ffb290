//! A frame: inputs with dense numbers, one behind the other, under one checksum.

// Stored numbers are not trusted: an unbounded one must be checked or saturate.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::ops::Range;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use crate::engine::format::row::InputNumber;
use crate::entry::input::{InputKind, InputValues, MOST_INPUT};
use crate::entry::shared_slice::SharedSlice;

/// First bytes of a frame behind its checksum and length.
const MAGIC: [u8; 4] = *b"ANI1";
/// Bytes of a frame before its inputs' heads.
pub(super) const HEADER_BYTES: usize = 64;
/// A frame with so many bytes of inputs takes no further one.
const FULL_BYTES: usize = 64 << 10;
/// The most inputs of a frame: empty ones take no bytes.
const MOST_COUNT: u32 = 16_384;
/// No frame is longer.
pub(super) const MOST_FRAME: usize =
    HEADER_BYTES + 4 * MOST_COUNT as usize + FULL_BYTES + MOST_INPUT;
/// Bits of an input's head that are its length.
const LENGTH_BITS: u32 = 28;

/// What a frame begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameHeader {
    checksum: u64,
    /// Of the whole frame.
    pub(super) length: u32,
    journal: u128,
    pub(super) first: InputNumber,
    pub(super) count: u32,
    /// One if all inputs have the same, or one for each.
    heads: u32,
}

impl FrameHeader {
    /// Reads the header of a frame of `journal`, and checks what can be checked of it.
    ///
    /// # Errors
    /// The reason why no writer can have made it.
    pub(super) fn decode(bytes: &[u8; HEADER_BYTES], journals: &[u128]) -> Result<Self, String> {
        let mut rest = Rest(bytes);
        let header = FrameHeader {
            checksum: u64::from_le_bytes(rest.take()),
            length: u32::from_le_bytes(rest.take()),
            journal: {
                if rest.take() != MAGIC {
                    return Err("no frame begins here".to_owned());
                }
                u128::from_le_bytes(rest.take())
            },
            first: InputNumber::new(u64::from_le_bytes(rest.take())),
            count: u32::from_le_bytes(rest.take()),
            heads: u32::from_le_bytes(rest.take()),
        };
        if !journals.contains(&header.journal) {
            return Err("the frame is of another journal".to_owned());
        }
        let length = header.length as usize;
        let counts = (1..=MOST_COUNT).contains(&header.count);
        let heads = header.heads == 1 || header.heads == header.count;
        if !(HEADER_BYTES..=MOST_FRAME).contains(&length) || !counts || !heads {
            return Err(format!("a frame cannot be so: {header:?}"));
        }
        Ok(header)
    }

    /// The number after that of the last input.
    pub(super) fn next(&self) -> InputNumber {
        self.first.saturating_add(self.count.into())
    }
}

/// Bytes that are read one after the other; zeros behind their end.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let Some((first, rest)) = self.0.split_first_chunk::<N>() else {
            return [0; N];
        };
        self.0 = rest;
        *first
    }
}

/// A whole frame whose checksum is right.
#[derive(Debug)]
pub(super) struct Frame {
    header: FrameHeader,
    /// The inputs of each kind, one behind the other. They are decoded once, and shared by all
    /// look-ups.
    f32s: Arc<[f32]>,
    f64s: Arc<[f64]>,
    bytes: Arc<[u8]>,
    /// Kind of each input, and its place among those of its kind.
    places: Vec<(InputKind, Range<usize>)>,
}

/// An input of a frame.
pub(super) enum FrameInput {
    Values(InputValues),
    /// Bytes in compressed form.
    Deflated(SharedSlice<u8>),
}

#[cfg(any(test, feature = "fuzzing"))]
impl FrameInput {
    /// What it is, and its bytes in stored order.
    pub(super) fn stored(&self) -> (InputKind, Vec<u8>) {
        match self {
            FrameInput::Values(values) => values.stored(),
            FrameInput::Deflated(bytes) => (InputKind::Deflated, bytes.to_vec()),
        }
    }
}

impl Frame {
    /// Reads a frame.
    ///
    /// # Errors
    /// The reason why no writer can have made it.
    pub(super) fn decode(bytes: &[u8], journals: &[u128]) -> Result<Frame, String> {
        let header = bytes.first_chunk().ok_or("it ends within a header")?;
        let header = FrameHeader::decode(header, journals)?;
        if bytes.len() != header.length as usize {
            return Err(format!("{} bytes of {}", bytes.len(), header.length));
        }
        if xxh3_64(bytes.get(8..).unwrap_or_default()) != header.checksum {
            return Err("its checksum is wrong".to_owned());
        }
        let mut rest = Rest(bytes.get(HEADER_BYTES..).unwrap_or_default());
        let heads: Vec<u32> = (0..header.heads)
            .map(|_| u32::from_le_bytes(rest.take()))
            .collect();
        let payload = rest.0;
        let mut begin = 0_usize;
        let (mut f32s, mut f64s, mut others) = (Vec::new(), Vec::new(), Vec::new());
        // At most 16,384, which the header was checked for.
        let mut places = Vec::with_capacity(header.count as usize);
        // Neighbours of one kind are decoded together.
        let mut pending = (InputKind::Bytes, 0..0);
        let mut decode = |(kind, range): (InputKind, Range<usize>)| {
            let bytes = payload.get(range).unwrap_or_default();
            match kind {
                InputKind::F32 => {
                    let words = bytes.as_chunks().0.iter();
                    f32s.extend(words.map(|word| f32::from_le_bytes(*word)));
                }
                InputKind::F64 => {
                    let words = bytes.as_chunks().0.iter();
                    f64s.extend(words.map(|word| f64::from_le_bytes(*word)));
                }
                InputKind::Bytes | InputKind::Deflated => others.extend_from_slice(bytes),
            }
        };
        let mut used = [0_usize; 3];
        for number in 0..header.count as usize {
            let head = heads.get(number).or(heads.first()).copied().unwrap_or(0);
            let length = (head & ((1 << LENGTH_BITS) - 1)) as usize;
            let kind = InputKind::of(head >> LENGTH_BITS).filter(|kind| kind.fits(length));
            let kind = kind.ok_or_else(|| format!("no input has the head {head}"))?;
            let end = begin.saturating_add(length);
            if end > payload.len() {
                break;
            }
            let [of_f32, of_f64, of_bytes] = &mut used;
            let used = match kind {
                InputKind::F32 => of_f32,
                InputKind::F64 => of_f64,
                InputKind::Bytes | InputKind::Deflated => of_bytes,
            };
            let first = *used;
            *used = first.saturating_add(kind.values(length));
            places.push((kind, first..*used));
            if kind == pending.0 {
                pending.1.end = end;
            } else {
                decode(std::mem::replace(&mut pending, (kind, begin..end)));
            }
            begin = end;
        }
        decode(pending);
        if begin != payload.len() || places.len() != header.count as usize {
            return Err("its inputs have other lengths".to_owned());
        }
        Ok(Frame {
            header,
            f32s: f32s.into(),
            f64s: f64s.into(),
            bytes: others.into(),
            places,
        })
    }

    /// An input, if the frame has it.
    #[inline]
    pub(super) fn get(&self, number: InputNumber) -> Option<FrameInput> {
        if number < self.header.first {
            return None;
        }
        let place = usize::try_from(number.since(self.header.first)).ok()?;
        let (kind, range) = self.places.get(place)?;
        let range = range.clone();
        Some(FrameInput::Values(match kind {
            InputKind::F32 => InputValues::F32(SharedSlice::of(&self.f32s, range)),
            InputKind::F64 => InputValues::F64(SharedSlice::of(&self.f64s, range)),
            InputKind::Bytes => InputValues::Bytes(SharedSlice::of(&self.bytes, range)),
            InputKind::Deflated => {
                return Some(FrameInput::Deflated(SharedSlice::of(&self.bytes, range)));
            }
        }))
    }
}

/// Reads any bytes as a frame whose checksum and length are right.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn attack(bytes: &[u8]) {
    let mut bytes = bytes.to_vec();
    bytes.resize(bytes.len().max(HEADER_BYTES), 0);
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    for (place, part) in [(8, length.to_le_bytes()), (12, MAGIC)] {
        if let Some(room) = bytes.get_mut(place..).and_then(|rest| rest.get_mut(..4)) {
            room.copy_from_slice(&part);
        }
    }
    let checksum = xxh3_64(bytes.get(8..).unwrap_or_default());
    if let Some(room) = bytes.first_chunk_mut() {
        *room = checksum.to_le_bytes();
    }
    if let Ok(frame) = Frame::decode(&bytes, &[0]) {
        let (first, next) = (frame.header.first, frame.header.next());
        let mut passed = HEADER_BYTES;
        for place in 0..next.since(first) {
            let found = frame.get(first.saturating_add(place));
            let found = found.map_or(0, |input| input.stored().1.len());
            passed = passed.saturating_add(found);
        }
        assert!(passed <= bytes.len(), "no byte is of two inputs");
    }
}

/// A frame that is being filled; empty again after it was taken. Allocates for the longest once.
#[derive(Default)]
pub(super) struct FrameEncoder {
    heads: Vec<u32>,
    payload: Vec<u8>,
    /// The finished frame.
    bytes: Vec<u8>,
}

impl FrameEncoder {
    /// Adds an input that [fits](InputKind::fits).
    pub(super) fn push(&mut self, kind: InputKind, bytes: &[u8]) {
        let length = u32::try_from(bytes.len()).unwrap_or(0);
        self.heads.push(((kind as u32) << LENGTH_BITS) | length);
        self.payload.extend_from_slice(bytes);
    }

    pub(super) fn is_full(&self) -> bool {
        self.payload.len() >= FULL_BYTES || self.heads.len() >= MOST_COUNT as usize
    }

    pub(super) fn count(&self) -> u64 {
        self.heads.len() as u64
    }

    pub(super) fn payload_bytes(&self) -> u64 {
        self.payload.len() as u64
    }

    pub(super) fn clear(&mut self) {
        self.heads.clear();
        self.payload.clear();
    }

    /// The frame of all inputs since it was last cleared, of which the first has the number
    /// `first`.
    pub(super) fn finish(&mut self, journal: u128, first: InputNumber) -> &[u8] {
        // Vectors of one recorder have one length.
        let is_even = self.heads.windows(2).all(|pair| pair[0] == pair[1]);
        let heads = if is_even {
            self.heads.get(..1).unwrap_or_default()
        } else {
            &self.heads
        };
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes();
        let length = HEADER_BYTES
            .saturating_add(heads.len().saturating_mul(4))
            .saturating_add(self.payload.len());
        let frame = &mut self.bytes;
        frame.clear();
        frame.extend([0; 8]);
        frame.extend(number(length));
        frame.extend(MAGIC);
        frame.extend(journal.to_le_bytes());
        frame.extend(first.get().to_le_bytes());
        frame.extend(number(self.heads.len()));
        frame.extend(number(heads.len()));
        frame.resize(HEADER_BYTES, 0);
        heads
            .iter()
            .for_each(|head| frame.extend(head.to_le_bytes()));
        frame.extend_from_slice(&self.payload);
        let checksum = xxh3_64(frame.get(8..).unwrap_or_default());
        if let Some(place) = frame.first_chunk_mut() {
            *place = checksum.to_le_bytes();
        }
        frame
    }
}

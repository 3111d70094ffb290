//! Everything that reads bytes from outside: the fuzz targets in `fuzz/` call it, and the ordinary
//! tests run it for a bounded time. Not part of the library.
//!
//! Each function takes any bytes, must not panic, hang or eat memory, and checks the result.

use std::path::{Component, Path};

use crate::engine::format::block::{BlockEncoder, StoredEntry};
use crate::engine::format::reader::BlockReader;
use crate::engine::format::row::{NameId, Row};
use crate::engine::format::scan::Scan;
use crate::engine::format::select::{Limit, Selection, Steps};
use crate::entry::sequence::Sequence;
use crate::entry::timestamp::Timestamp;
use crate::logs::line::escape::escape_into;
use crate::registry::tables::names;
use crate::registry::{parse_sidecar, write_sidecar};
use crate::{Cursor, InferenceId};

/// A function that takes any bytes.
pub type Target = fn(&[u8]);

/// All targets, by the names that they have in `fuzz/`.
pub const TARGETS: &[(&str, Target)] = &[
    ("block", block),
    ("sidecar", sidecar),
    #[cfg(feature = "safetensors")]
    ("safetensors", safetensors),
    ("cursor", cursor),
    ("names", names),
    ("inputs", inputs),
];

/// A block as it lies in the file, without its checksum.
///
/// # Panics
/// If two ways of reading it disagree.
pub fn block(bytes: &[u8]) {
    const FIRST: Sequence = Sequence::new(1_000);
    let Ok(view) = BlockReader::new(FIRST, bytes) else {
        return;
    };
    let _ = view.outcomes(|_| true);
    let _ = Scan::default().load(&view);
    let Ok(rows) = view.rows() else { return };
    selections(&view, &rows);
    let mut next = FIRST;
    for entry in &rows {
        assert_eq!(entry.sequence, next);
        next = entry.next();
    }
    assert!(next == view.sequences().end);
    for entry in rows.iter().step_by(1 + rows.len() / 16) {
        let at = view.at(entry.sequence);
        assert_eq!(format!("{at:?}"), format!("Ok(Some({entry:?}))"));
        let _ = view.find(entry.head.id);
    }
    // Sealing writes it anew.
    let mut encoder = BlockEncoder::default();
    let again = rows.iter().try_for_each(|entry| encoder.again(entry));
    assert_eq!(again, Ok(()));
    let mut first = FIRST;
    for block in encoder.take() {
        let payload = block.value.get(crate::engine::format::CHECKSUM_BYTES..);
        let again = BlockReader::new(first, payload.unwrap_or_default());
        first = first.saturating_add(block.count.into());
        let last = again.and_then(|block| block.rows());
        let last = last.map(|rows| rows.last().map(|entry| entry.next()));
        assert_eq!(last, Ok(Some(first)));
    }
    assert_eq!(first, next);
}

/// A selection in the columns of a block finds the same as one among its entries.
fn selections(block: &BlockReader<'_>, rows: &[StoredEntry]) {
    let Some(middle) = rows.get(rows.len() / 2) else {
        return;
    };
    let names = |entry: &StoredEntry| match &entry.row {
        Row::Inference(row) => Some((row.names, false)),
        Row::Repeat(row) => Some((row.names, true)),
        Row::Note(_) => None,
    };
    let model = names(middle).map_or(NameId::NONE, |(names, _)| names.model);
    let times = middle.head.event..=Timestamp::MAX;
    let sequences = middle.sequence.saturating_sub(5)..middle.sequence.saturating_add(5);
    for number in 0..16 {
        let is = |bit: u8| number & bit != 0;
        let selection = Selection {
            sequences: if is(1) {
                sequences.clone()
            } else {
                Sequence::ZERO..Sequence::MAX
            },
            times: is(2).then(|| times.clone()),
            repeats: is(4),
            model: is(8).then_some(model),
            symbol: None,
            action: None,
            checkpoint: None,
            correlation: None,
            cause: None,
            steps: Steps::default(),
            attributes: Vec::new(),
        };
        let meant = |entry: &&StoredEntry| {
            names(entry).is_some_and(|(names, is_repeat)| {
                selection.sequences.contains(&entry.sequence)
                    && selection
                        .times
                        .as_ref()
                        .is_none_or(|times| times.contains(&entry.head.event))
                    && (selection.repeats || !is_repeat)
                    && (!is(8) || names.model == model)
            })
        };
        let expected: Vec<&StoredEntry> = rows.iter().filter(meant).collect();
        let all = block.select(
            &selection,
            Sequence::ZERO..Sequence::MAX,
            Limit::First(usize::MAX),
        );
        assert_eq!(
            format!("{all:?}"),
            format!("{:?}", Ok::<_, String>(expected.clone()))
        );
        let last = expected.len().saturating_sub(2);
        let newest = block.select(&selection, Sequence::ZERO..Sequence::MAX, Limit::Last(2));
        let expected = expected.get(last..);
        assert_eq!(
            format!("{newest:?}"),
            format!("{:?}", Ok::<_, String>(expected.unwrap_or_default()))
        );
    }
}

/// A frame of a file of inputs behind its checksum.
///
/// # Panics
/// If two inputs share a byte.
pub fn inputs(bytes: &[u8]) {
    crate::engine::inputs::frame::attack(bytes);
}

/// The text of a sidecar.
///
/// # Panics
/// If a value that was read is written in a form that reads differently.
pub fn sidecar(bytes: &[u8]) {
    let Ok((id, row)) = parse_sidecar(bytes) else {
        return;
    };
    let again = parse_sidecar(write_sidecar(&id, &row).as_bytes());
    assert_eq!(
        format!("{again:?}"),
        format!("{:?}", Ok::<_, ()>((id, row)))
    );
}

/// A safetensors file.
///
/// # Panics
/// If a tensor reaches beyond the file.
#[cfg(feature = "safetensors")]
pub fn safetensors(bytes: &[u8]) {
    let length = bytes.len() as u64;
    let Ok(header) = crate::registry::parse_safetensors(&mut &*bytes, length) else {
        return;
    };
    for tensor in header.tensors {
        assert!(tensor.offsets.0 <= tensor.offsets.1 && tensor.offsets.1 <= length);
    }
}

/// A cursor or an id as text.
///
/// # Panics
/// If it prints as something else.
pub fn cursor(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(cursor) = text.parse::<Cursor>() {
        assert_eq!(cursor.to_string().parse::<Cursor>().ok(), Some(cursor));
    }
    if let Ok(id) = text.parse::<InferenceId>() {
        assert_eq!(id.to_string().parse::<InferenceId>().ok(), Some(id));
    }
}

/// Names of models and checkpoints, two of them, as paths and as text in lines.
///
/// # Panics
/// If a name leads out of its directory, two names lead to one place, or a line is broken.
pub fn names(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (one, other) = text.split_once('\n').unwrap_or((&text, "other"));
    for name in [one, other, &text] {
        let mut line = Vec::new();
        escape_into(&mut line, name);
        let line = String::from_utf8_lossy(&line);
        assert!(!line.chars().any(char::is_control), "{line:?}");
    }
    let usable = |name: &&str| names::check_model(name).is_ok();
    for name in [one, other].iter().filter(|name| usable(name)) {
        let root = Path::new("/root");
        let stem = names::stem(name, &format!("{name}_20250725_143500_2"));
        for path in [
            names::folder(root, name),
            names::folder(root, name).join(stem),
        ] {
            let below = path.strip_prefix(root).map(Path::components);
            let mut below = below.unwrap_or_else(|_| panic!("{path:?} of {name:?}"));
            assert!(
                below.all(|part| matches!(part, Component::Normal(_))),
                "{path:?}"
            );
        }
    }
    if one != other && usable(&one) && usable(&other) {
        let spelt = [one, other].map(|name| names::spelling(name).to_lowercase());
        assert_ne!(spelt[0], spelt[1], "{one:?} and {other:?}");
    }
}

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::engine::format::CHECKSUM_BYTES;
use crate::engine::format::block::{BlockEncoder, RowHead, StoredEntry};
use crate::engine::format::row::{
    GapRow, InferenceRow, InputRef, NameId, NameIds, OutcomeValue, RepeatRow, Row, StoredValue,
    flag,
};
use crate::engine::format::summary::*;
use crate::entry::floats::Floats;
use crate::entry::gap::GapReason;
use crate::entry::ids::InferenceId;
use crate::entry::sequence::Sequence;
use crate::entry::timestamp::Timestamp;
use crate::entry::typed::{TypedValue, ValueKind};

fn names(id: u64) -> NameIds {
    let number = u32::try_from(id % 3).unwrap();
    NameIds {
        model: NameId::new(1 + number),
        symbol: NameId::new(7),
        action: NameId::new(10 + number),
        checkpoint: NameId::new(number),
    }
}

fn row(kind: u8, id: u64) -> Row {
    match kind {
        0 => Row::Note(Note::Gap(GapRow {
            run: 9,
            reason: GapReason::QueueFull,
            count: Some(1),
            after: None,
            recorded_range: None,
            event_range: None,
            refusal: None,
        })),
        1 => Row::Note(Note::Outcome(OutcomeRow {
            run: 3,
            of: InferenceId(id),
            time: Timestamp(5),
            values: vec![OutcomeValue::Named(NameId::new(20), 0.5)],
            is_undated: false,
        })),
        2 => Row::Repeat(RepeatRow {
            names: names(id),
            original: InferenceId(id / 2),
            confidence: id.is_multiple_of(2).then_some(0.5),
            processing: 0,
            input: InputRef::NotKept,
        }),
        _ => Row::Inference(InferenceRow {
            names: names(id),
            labels: NameId::new(30),
            flags: flag::NO_CONFIDENCE,
            confidence: f32::NAN,
            probabilities: Floats::new(&[0.5, 0.5]),
            features: Some(id),
            input: InputRef::NotKept,
            processing: 7,
            attributes: Vec::new(),
            blobs: Vec::new(),
            extras: None,
            values: Box::new([StoredValue {
                kind: ValueKind::Prediction,
                name: NameId::new(40),
                value: TypedValue::F64(0.5),
            }]),
        }),
    }
}

fn entries() -> impl Strategy<Value = Vec<StoredEntry>> {
    let entry = (0_u8..8, any::<u64>(), -4_000_000_000..4_000_000_000_i64);
    prop::collection::vec((entry, any::<i32>()), 1..60).prop_map(|entries| {
        (0..)
            .zip(entries)
            .map(|(sequence, ((kind, id, event), later))| {
                let (recorded, event) = (Timestamp(1_000 + i64::from(later)), Timestamp(event));
                let row = row(kind, id);
                let head = match row {
                    Row::Note(_) => RowHead {
                        id: InferenceId::NONE,
                        recorded,
                        event: recorded,
                    },
                    _ => RowHead {
                        id: InferenceId(id),
                        recorded,
                        event,
                    },
                };
                StoredEntry {
                    sequence: Sequence::new(sequence),
                    head,
                    memory: 0,
                    row,
                }
            })
            .collect()
    })
}

fn span<T: Ord + Copy>(values: impl Iterator<Item = T>) -> Option<(T, T)> {
    let values: BTreeSet<T> = values.collect();
    Some((*values.first()?, *values.last()?))
}

proptest! {
    #[test]
    fn the_summary_of_a_block_is_what_its_rows_say(entries in entries()) {
        let mut encoder = BlockEncoder::default();
        entries.iter().for_each(|entry| encoder.again(entry).unwrap());
        let block = encoder.take().swap_remove(0);
        // Single entries, selections and blocks written anew are those of the rows, too.
        crate::fuzzing::block(&block.value[CHECKSUM_BYTES..]);
        let view = BlockReader::new(Sequence::ZERO, &block.value[CHECKSUM_BYTES..]).unwrap();
        let mut used = BTreeSet::new();
        let summary = Summary::of(&view, |name| {
            used.insert(name);
        })
        .unwrap();

        let mut needed = BTreeSet::new();
        entries.iter().for_each(|entry| {
            entry.row.each_name(|name| {
                needed.insert(name);
            });
        });
        used.remove(&NameId::NONE);
        needed.remove(&NameId::NONE);
        prop_assert_eq!(used, needed);
        let events = || entries.iter().filter(|entry| !matches!(entry.row, Row::Note(_)));
        prop_assert_eq!(summary.events as usize, events().count());
        prop_assert_eq!(summary.ids, span(events().map(|entry| entry.head.id)));
        prop_assert_eq!(summary.event_times, span(events().map(|entry| entry.head.event)));
        prop_assert_eq!(summary.recorded, span(entries.iter().map(|entry| entry.head.recorded)));
        let of = |entry: &StoredEntry| match &entry.row {
            Row::Note(Note::Outcome(row)) => Some(row.of),
            _ => None,
        };
        prop_assert_eq!(summary.outcomes, span(entries.iter().filter_map(of)));
        let runs: BTreeSet<u32> = summary.runs.iter().copied().collect();
        prop_assert_eq!(runs, entries.iter().map(StoredEntry::run).collect::<BTreeSet<u32>>());

        let (ours, theirs) = (&summary.index, &block.index);
        prop_assert!(ours.hours.iter().eq(theirs.hours.iter()));
        prop_assert!(ours.ids.iter().eq(theirs.ids.iter()));
        prop_assert!(ours.outcomes.iter().eq(theirs.outcomes.iter()));
        prop_assert_eq!(&ours.kinds, &theirs.kinds);
    }
}

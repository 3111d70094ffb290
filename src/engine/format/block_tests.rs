use proptest::prelude::*;

use crate::engine::format::block::*;
use crate::engine::format::block_index::EntryKind;
use crate::engine::format::reader::BlockReader;
use crate::engine::format::row::{
    GapRow, InputNumber, NameId, OutcomeRow, OutcomeValue, StoredValue, SystemEventRow,
};
use crate::entry::episode::EpisodeId;
use crate::entry::extras::{Extras, OwnedExtras};
use crate::entry::floats::Floats;
use crate::entry::gap::GapReason;
use crate::entry::ids::InferenceId;
use crate::entry::sequence::Sequence;
use crate::entry::timestamp::Timestamp;
use crate::entry::typed::{TypedValue, ValueKind};
use crate::entry::value::Value;

fn inference(confidence: f32, attributes: Vec<(String, Value)>) -> InferenceRow {
    InferenceRow {
        names: NameIds {
            model: NameId::new(1),
            symbol: NameId::new(2),
            action: NameId::new(3),
            checkpoint: NameId::NONE,
        },
        labels: NameId::new(4),
        flags: 0,
        confidence,
        probabilities: Floats::new(&[0.85, 0.1, 0.05]),
        features: Some(0x0807_0605_0403_0201),
        input: InputRef::NotKept,
        processing: 12_500_001,
        attributes,
        blobs: Vec::new(),
        extras: None,
        values: Box::default(),
    }
}

fn repeat(original: u64) -> RepeatRow {
    RepeatRow {
        names: inference(0.0, Vec::new()).names,
        original: InferenceId(original),
        confidence: Some(0.85),
        processing: 0,
        input: InputRef::NotKept,
    }
}

fn gap(count: u64) -> Note {
    Note::Gap(GapRow {
        run: 1,
        reason: GapReason::QueueFull,
        count: Some(count),
        after: None,
        recorded_range: Some((Timestamp(1), Timestamp(2))),
        event_range: None,
        refusal: None,
    })
}

/// One with a value of each kind.
fn outcome(of: u64) -> Note {
    Note::Outcome(OutcomeRow {
        run: 1,
        of: InferenceId(of),
        time: Timestamp(-2),
        values: vec![
            OutcomeValue::Reward(1.5),
            OutcomeValue::Correct(true),
            OutcomeValue::Label("won".to_owned()),
            OutcomeValue::Named(NameId::new(7), -0.25),
        ],
        is_undated: true,
    })
}

fn head(id: u64, recorded: i64) -> RowHead {
    RowHead {
        id: InferenceId(id),
        recorded: Timestamp(recorded),
        event: Timestamp(recorded),
    }
}

fn payload(block: &Block) -> &[u8] {
    &block.value[CHECKSUM_BYTES..]
}

fn rows(first: u64, payload: &[u8]) -> Result<Vec<StoredEntry>, String> {
    BlockReader::new(Sequence::new(first), payload)?.rows()
}

/// All of them.
fn extras() -> Extras<'static> {
    Extras {
        propensity: Some(0.125),
        vector: &[0.5, -2.0],
        cause: Some(InferenceId((1 << 40) | 3)),
        correlation: Some("é7"),
        step: Some((EpisodeId((1 << 40) | 2), 6)),
    }
}

/// One of each type, in the order in which they come back.
fn values() -> Box<[StoredValue]> {
    let stored = |kind, name, value| StoredValue {
        kind,
        name: NameId::new(name),
        value,
    };
    Box::new([
        stored(ValueKind::Prediction, 7, TypedValue::F64(101.5)),
        stored(ValueKind::Attribute, 8, TypedValue::F32(0.25)),
        stored(ValueKind::Attribute, 8, TypedValue::I64(-3)),
        stored(ValueKind::Attribute, 9, TypedValue::Bool(true)),
        stored(ValueKind::Attribute, 9, TypedValue::Text("é".into())),
    ])
}

/// An inference, its repeat, a gap, an inference with all that is rare, and an outcome.
fn small() -> Block {
    let mut encoder = BlockEncoder::default();
    let id = (1 << 40) | 7;
    let input = InputRef::Kept {
        number: InputNumber::new((1 << 40) | 3),
        names: NameId::new(5),
    };
    let first = InferenceRow {
        input,
        ..inference(0.85, Vec::new())
    };
    encoder
        .inference(head(id, 1_000_000), 2_049, &first)
        .unwrap();
    let same = RepeatRow {
        input,
        ..repeat(id)
    };
    encoder.repeat(head(id + 2, 1_000_250), &same).unwrap();
    encoder.note(Timestamp(1_000_300), &gap(5)).unwrap();
    let attributes = vec![("k".to_owned(), Value::Integer(-1))];
    let mut odd = inference(f32::NAN, attributes);
    odd.flags = flag::NO_CONFIDENCE | flag::DIVERGENT;
    odd.features = None;
    odd.blobs = vec![
        ("prompt".to_owned(), Some(InputNumber::new((1 << 40) | 4))),
        ("answer".to_owned(), None),
    ];
    odd.input = InputRef::GivenUp;
    odd.probabilities = Floats::new(&[]);
    odd.extras = extras().to_owned();
    odd.values = values();
    let early = RowHead {
        id: InferenceId(id + 1),
        recorded: Timestamp(1_000_200),
        event: Timestamp(-3_600_000_000),
    };
    encoder.inference(early, 0, &odd).unwrap();
    encoder
        .note(Timestamp(1_000_400), &outcome(id + 2))
        .unwrap();
    encoder.take().swap_remove(0)
}

/// The bytes are the format: if this test fails, existing journals can no longer be read.
#[test]
fn golden_bytes() {
    let block = small();
    let bytes = payload(&block).iter();
    let hex: String = bytes.map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, include_str!("../../../tests/golden/block.hex").trim());
}

#[test]
fn what_was_appended_is_read_back() {
    let block = small();
    let rows = rows(100, payload(&block)).unwrap();
    assert_eq!(block.count, 5);
    let places = rows.iter().map(|row| (row.sequence.get(), row.head));
    let places: Vec<_> = places.collect();
    let id = (1 << 40) | 7;
    let back_dated = RowHead {
        id: InferenceId(id + 1),
        recorded: Timestamp(1_000_200),
        event: Timestamp(-3_600_000_000),
    };
    let expected = [
        (100, head(id, 1_000_000)),
        (101, head(id + 2, 1_000_250)),
        (102, head(0, 1_000_300)),
        (103, back_dated),
        (104, head(0, 1_000_400)),
    ];
    assert_eq!(places, expected);
    assert_eq!((rows[0].memory, rows[3].memory), (2_049, 0));
    let (Row::Inference(first), Row::Repeat(second)) = (&rows[0].row, &rows[1].row) else {
        panic!("{rows:?}");
    };
    assert_eq!(first.confidence.to_bits(), 0.85_f32.to_bits());
    assert_eq!(first.probabilities.as_slice(), [0.85, 0.1, 0.05]);
    assert_eq!(first.features, Some(0x0807_0605_0403_0201));
    assert_eq!(
        (first.labels, first.processing),
        (NameId::new(4), 12_500_001)
    );
    assert_eq!(
        (second.original, second.names),
        (InferenceId(id), first.names)
    );
    assert_eq!(second.confidence, Some(0.85));
    let input = InputRef::Kept {
        number: InputNumber::new((1 << 40) | 3),
        names: NameId::new(5),
    };
    assert_eq!((first.input, second.input), (input, input));
    let (Row::Note(Note::Gap(gap)), Row::Inference(last)) = (&rows[2].row, &rows[3].row) else {
        panic!("{rows:?}");
    };
    assert_eq!(gap.count, Some(5));
    assert_eq!(last.flags, flag::NO_CONFIDENCE | flag::DIVERGENT);
    assert_eq!(
        (last.features, last.probabilities.as_slice()),
        (None, &[][..])
    );
    assert!(last.confidence.is_nan());
    assert_eq!(last.input, InputRef::GivenUp);
    assert_eq!(last.attributes, [("k".to_owned(), Value::Integer(-1))]);
    let of_last = last.extras.as_deref().map(OwnedExtras::as_extras);
    assert_eq!((of_last, &first.extras), (Some(extras()), &None));
    assert_eq!((&last.values, first.values.len()), (&values(), 0));
    assert_eq!(block.index.kinds, [(EntryKind::Gap, 2)]);
    let (Row::Note(Note::Outcome(found)), Note::Outcome(expected)) =
        (&rows[4].row, outcome(id + 2))
    else {
        panic!("{rows:?}");
    };
    assert_eq!(*found, expected);
    let outcomes: Vec<_> = block.index.outcomes.iter().copied().collect();
    assert_eq!(outcomes, [(1 << 32, 9, 9)]);
}

#[test]
fn outcomes_are_found_by_the_inference_that_they_belong_to() {
    let mut encoder = BlockEncoder::default();
    for number in 0_u32..10 {
        encoder
            .note(
                Timestamp(i64::from(number)),
                &outcome(u64::from(number % 3)),
            )
            .unwrap();
        encoder
            .inference(head(number.into(), 0), 0, &inference(0.5, Vec::new()))
            .unwrap();
    }
    let block = encoder.take().swap_remove(0);
    let view = BlockReader::new(Sequence::new(100), payload(&block)).unwrap();
    let found = view.outcomes(|id| id == InferenceId(2)).unwrap();
    let found: Vec<_> = found
        .into_iter()
        .map(|found| (found.sequence.get(), found.row.of.to_u64()))
        .collect();
    assert_eq!(found, [(104, 2), (110, 2), (116, 2)]);
    assert_eq!(view.outcomes(|_| false).unwrap(), []);
}

/// One entry is found among all.
#[test]
fn single_entries_are_found() {
    let block = small();
    let view = BlockReader::new(Sequence::new(100), payload(&block)).unwrap();
    assert_eq!(view.sequences(), Sequence::new(100)..Sequence::new(105));
    for entry in view.rows().unwrap() {
        let at = view.at(entry.sequence).unwrap().unwrap();
        assert_eq!(format!("{at:?}"), format!("{entry:?}"));
        if !matches!(entry.row, Row::Note(_)) {
            let found = view.find(entry.head.id).unwrap().unwrap();
            assert_eq!(format!("{found:?}"), format!("{entry:?}"));
        }
    }
    for sequence in [0, 99, 105, u64::MAX] {
        assert!(view.at(Sequence::new(sequence)).unwrap().is_none());
    }
    assert!(view.find(InferenceId::NONE).unwrap().is_none());
}

#[test]
fn blocks_stay_within_their_size_and_lose_nothing() {
    let mut encoder = BlockEncoder::default();
    for event in 0..5_000_u32 {
        let head = head(event.into(), i64::from(event) * 1_000);
        encoder
            .inference(head, 1, &inference(0.5, Vec::new()))
            .unwrap();
        if event % 100 == 0 {
            encoder
                .note(Timestamp(i64::from(event) * 1_000), &gap(1))
                .unwrap();
        }
    }
    assert!(encoder.pending_bytes() > 100_000);
    let blocks = encoder.take();
    assert!(blocks.len() > 1);
    let mut next = 1;
    let mut ids = Vec::new();
    for block in &blocks {
        assert!(block.value.len() <= VALUE_BYTES, "{}", block.value.len());
        for entry in rows(next, payload(block)).unwrap() {
            assert_eq!(entry.sequence.get(), next);
            next += 1;
            match entry.row {
                Row::Note(_) => {}
                _ => ids.push(entry.head.id.to_u64()),
            }
        }
    }
    assert_eq!(next, 1 + 5_000 + 50);
    assert_eq!(ids, (0..5_000).collect::<Vec<_>>());
    let full = &blocks[..blocks.len() - 1];
    assert!(full.iter().all(|block| block.value.len() > 60_000));
}

#[test]
fn what_takes_no_bytes_is_still_counted() {
    let mut encoder = BlockEncoder::default();
    let bare = RepeatRow {
        confidence: None,
        ..repeat(9)
    };
    for _ in 0..40_000 {
        encoder.repeat(head(9, 7), &bare).unwrap();
    }
    let counts: Vec<_> = encoder.take().iter().map(|block| block.count).collect();
    assert_eq!(counts, [16_384, 16_384, 7_232]);
}

#[test]
fn an_entry_larger_than_a_block_has_one_of_its_own() {
    let mut encoder = BlockEncoder::default();
    let large = vec![("k".to_owned(), Value::Text("x".repeat(VALUE_BYTES)))];
    encoder
        .inference(head(1, 1), 0, &inference(0.5, Vec::new()))
        .unwrap();
    encoder
        .inference(head(2, 2), 0, &inference(0.5, large))
        .unwrap();
    encoder.note(Timestamp(3), &gap(1)).unwrap();
    let blocks = encoder.take();
    let counts: Vec<_> = blocks.iter().map(|block| block.count).collect();
    assert_eq!(counts, [1, 1, 1]);
    assert!(blocks[1].value.len() > VALUE_BYTES);
    assert_eq!(
        rows(2, payload(&blocks[1])).unwrap()[0].head.id,
        InferenceId(2)
    );
}

#[test]
fn spans_cover_what_the_block_touches() {
    let mut encoder = BlockEncoder::default();
    for (id, event) in [(255, 3_599_999_999), (256, 3_600_000_000), (254, -1)] {
        let head = RowHead {
            id: InferenceId(id),
            recorded: Timestamp(0),
            event: Timestamp(event),
        };
        encoder
            .inference(head, 0, &inference(0.5, Vec::new()))
            .unwrap();
    }
    let blocks = encoder.take();
    let hours: Vec<_> = blocks[0].index.hours.iter().copied().collect();
    let ids: Vec<_> = blocks[0].index.ids.iter().copied().collect();
    assert_eq!(hours, [(0, 3_599, 3_599), (1, 0, 0), (-1, 3_599, 3_599)]);
    assert_eq!(ids, [(0, 254, 255), (1, 0, 0)]);
}

#[test]
fn a_lost_range_stands_for_many_sequences_in_a_block_of_its_own() {
    let lost_range = Note::Gap(GapRow {
        run: 0,
        reason: GapReason::Damaged,
        count: Some(1_000_000),
        after: None,
        recorded_range: None,
        event_range: None,
        refusal: None,
    });
    let mut encoder = BlockEncoder::default();
    let head = |id| RowHead {
        id: InferenceId(id),
        recorded: Timestamp(5),
        event: Timestamp(5),
    };
    encoder
        .inference(head(7), 0, &inference(0.5, Vec::new()))
        .unwrap();
    encoder.note(Timestamp(9), &lost_range).unwrap();
    encoder
        .inference(head(8), 0, &inference(0.5, Vec::new()))
        .unwrap();
    let blocks = encoder.take();
    let counts: Vec<_> = blocks.iter().map(|block| block.count).collect();
    assert_eq!(counts, [1, 1_000_000, 1]);
    let view = BlockReader::new(Sequence::new(2), payload(&blocks[1])).unwrap();
    assert_eq!(view.sequences(), Sequence::new(2)..Sequence::new(1_000_002));
    let rows = view.rows().unwrap();
    assert_eq!(
        (rows.len(), rows[0].sequence.get(), rows[0].next().get()),
        (1, 2, 1_000_002)
    );
    let within = view.at(Sequence::new(500_000)).unwrap().unwrap();
    assert_eq!(
        (within.sequence.get(), within.head.recorded.as_micros()),
        (2, 9)
    );
    assert!(view.at(Sequence::new(1_000_002)).unwrap().is_none());
    // Merged again, it is the same.
    let mut again = BlockEncoder::default();
    again.again(&rows[0]).unwrap();
    assert_eq!(payload(&again.take()[0]), payload(&blocks[1]));
}

#[test]
fn every_cut_and_every_flipped_bit_is_an_error_or_another_block() {
    let block = small();
    let good = payload(&block);
    for length in 0..good.len() {
        assert!(rows(1, &good[..length]).is_err(), "{length} bytes");
    }
    let longer = [good, &[0]].concat();
    assert!(rows(1, &longer).is_err());
    for bit in 0..good.len() * 8 {
        let mut bad = good.to_vec();
        bad[bit / 8] ^= 1 << (bit % 8);
        // Whether it is noticed is the checksum's business; here, that nothing else happens.
        let _ = rows(1, &bad);
    }
}

proptest! {
    #[test]
    fn hostile_bytes_are_an_error_never_a_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        if let Ok(view) = BlockReader::new(Sequence::FIRST, &bytes) {
            let _ = (view.rows(), view.find(InferenceId(7)));
            let _ = (view.at(Sequence::FIRST), view.outcomes(|_| true));
        }
    }

    #[test]
    fn hostile_changes_are_an_error_never_a_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = payload(&small()).to_vec();
        for (index, byte) in changes {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        if let Ok(view) = BlockReader::new(Sequence::MAX.saturating_sub(1), &bytes) {
            let _ = (view.rows(), view.find(InferenceId(7)));
            let _ = (view.at(Sequence::MAX), view.outcomes(|_| true));
        }
    }

    #[test]
    fn any_numbers_come_back(
        events in prop::collection::vec(
            (any::<u64>(), any::<i64>(), any::<i64>(), any::<u64>()),
            1..50,
        ),
    ) {
        let mut encoder = BlockEncoder::default();
        for (id, recorded, event, other) in &events {
            let head = RowHead { event: Timestamp(*event), ..head(*id, *recorded) };
            let mut row = inference(0.5, Vec::new());
            row.processing = *other;
            row.names.checkpoint = NameId::try_from(other >> 32).unwrap();
            encoder.inference(head, !other, &row).unwrap();
        }
        let block = encoder.take().swap_remove(0);
        let rows = rows(1, payload(&block)).unwrap();
        prop_assert_eq!(rows.len(), events.len());
        for (entry, (id, recorded, event, other)) in rows.iter().zip(&events) {
            let expected = RowHead { event: Timestamp(*event), ..head(*id, *recorded) };
            prop_assert_eq!(entry.head, expected);
            prop_assert_eq!(entry.memory, !other);
            let Row::Inference(row) = &entry.row else { panic!("{entry:?}") };
            prop_assert_eq!(row.processing, *other);
            prop_assert_eq!(u64::from(row.names.checkpoint), other >> 32);
        }
    }
}

/// How many fields [`sized`] knows, and which of them are lists of short things.
const FIELDS: usize = 6;
const LISTS: [usize; 3] = [1, 3, 5];

/// An entry of which one text or list has the given size.
fn sized(field: usize, size: usize) -> Row {
    let text = || "x".repeat(size);
    let many = || vec![(String::new(), Value::Flag(true)); size];
    let event = |message: String, fields: Vec<(String, Value)>| {
        Row::Note(Note::SystemEvent(SystemEventRow {
            run: 1,
            level: crate::Level::Info,
            component: NameId::NONE,
            message,
            fields,
        }))
    };
    let outcome = |values: Vec<OutcomeValue>| {
        Row::Note(Note::Outcome(OutcomeRow {
            run: 1,
            of: InferenceId(7),
            time: Timestamp(7),
            values,
            is_undated: false,
        }))
    };
    let attributes = match field {
        0 => vec![("k".to_owned(), Value::Text(text()))],
        1 => many(),
        2 => return event(text(), Vec::new()),
        3 => return event(String::new(), many()),
        4 => return outcome(vec![OutcomeValue::Label(text())]),
        _ => return outcome(vec![OutcomeValue::Correct(true); size]),
    };
    Row::Inference(inference(0.5, attributes))
}

/// Whether the encoder takes `row` between two others; its output must be readable either way.
fn is_taken(row: Row) -> bool {
    let mut encoder = BlockEncoder::default();
    let entry = StoredEntry {
        sequence: Sequence::new(2),
        head: head(9, 9),
        memory: 0,
        row,
    };
    encoder.note(Timestamp(1), &gap(1)).unwrap();
    let taken = encoder.again(&entry).is_ok();
    let last = inference(0.5, Vec::new());
    encoder.inference(head(10, 10), 0, &last).unwrap();
    let mut count = 0;
    for block in encoder.take() {
        count += rows(1, payload(&block)).unwrap().len();
    }
    assert_eq!(count, 2 + usize::from(taken));
    taken
}

#[test]
fn what_a_reader_refuses_is_never_written() {
    let is_long = std::env::var_os("ANNALS_LONG").is_some_and(|value| value == "1");
    for field in 0..FIELDS {
        let take = |size| is_taken(sized(field, size));
        // Each element is counted as at least four bytes.
        let most = match LISTS.contains(&field) {
            true => 4 << 20,
            false => 17 << 20,
        };
        let (mut taken, mut refused) = (1 << 10, most);
        assert!(take(taken) && !take(refused), "{field}");
        // The largest that is taken, by halving; in the ordinary run, one and the other.
        let steps = if is_long { 30 } else { 0 };
        for _step in 0..steps {
            let middle = usize::midpoint(taken, refused);
            if middle == taken {
                break;
            }
            if take(middle) {
                taken = middle;
            } else {
                refused = middle;
            }
        }
    }
}

#[test]
fn more_probabilities_than_a_reader_takes_are_refused() {
    let with = |count: usize| {
        Row::Inference(InferenceRow {
            probabilities: Floats::collect(count, (0..count).map(|_| 0.5)),
            ..inference(0.5, Vec::new())
        })
    };
    assert!(is_taken(with(MOST)));
    assert!(!is_taken(with(MOST + 1)));
}

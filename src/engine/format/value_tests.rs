//! Typed values of decisions, stored beside decisions without any.

use proptest::prelude::*;

use super::*;
use crate::engine::format::reader::BlockReader;
use crate::engine::format::row::StoredValue;
use crate::entry::floats::Floats;
use crate::entry::typed::{AttributeType, TypedRef, TypedValue, ValueKind};

fn row(values: &[StoredValue]) -> InferenceRow {
    InferenceRow {
        input: InputRef::NotKept,
        names: NameIds::default(),
        labels: NameId::NONE,
        flags: 0,
        confidence: 0.5,
        probabilities: Floats::new(&[]),
        features: None,
        processing: 0,
        attributes: Vec::new(),
        blobs: Vec::new(),
        extras: None,
        values: values.into(),
    }
}

fn head(id: u64) -> RowHead {
    RowHead {
        id: InferenceId(id),
        ..RowHead::default()
    }
}

fn stored(kind: ValueKind, name: u32, value: TypedValue) -> StoredValue {
    StoredValue {
        kind,
        name: NameId::new(name),
        value,
    }
}

fn value() -> impl Strategy<Value = StoredValue> {
    let attribute = prop_oneof![
        any::<u32>().prop_map(|bits| TypedValue::F32(f32::from_bits(bits))),
        any::<u64>().prop_map(|bits| TypedValue::F64(f64::from_bits(bits))),
        any::<i64>().prop_map(TypedValue::I64),
        any::<bool>().prop_map(TypedValue::Bool),
        "[aé]{0,3}".prop_map(|text| TypedValue::Text(text.into())),
    ];
    let prediction = any::<u64>().prop_map(|bits| TypedValue::F64(f64::from_bits(bits)));
    prop_oneof![
        (1..4_u32, attribute).prop_map(|(name, value)| stored(ValueKind::Attribute, name, value)),
        (1..3_u32, prediction).prop_map(|(name, value)| stored(ValueKind::Prediction, name, value)),
    ]
}

fn key(stored: &StoredValue) -> (ValueKind, NameId, AttributeType) {
    (
        stored.kind,
        stored.name,
        stored.value.as_typed().value_type(),
    )
}

/// As they come back: in the order of their keys, of two of one key the first.
fn in_order(values: &[StoredValue]) -> Vec<StoredValue> {
    let mut values = values.to_vec();
    values.sort_by_key(key);
    values.dedup_by(|one, other| key(one) == key(other));
    values
}

fn encoded(decisions: &[Vec<StoredValue>]) -> Vec<Block> {
    let mut encoder = BlockEncoder::default();
    for (id, values) in (0..).zip(decisions) {
        encoder.inference(head(id), 7, &row(values)).unwrap();
    }
    encoder.take()
}

fn payload(block: &Block) -> &[u8] {
    &block.value[CHECKSUM_BYTES..]
}

fn values_of(entry: &StoredEntry) -> &[StoredValue] {
    match &entry.row {
        Row::Inference(row) => &row.values,
        _ => &[],
    }
}

/// NaN is compared by its bits.
fn shown(values: &[StoredValue]) -> String {
    let one = |stored: &StoredValue| {
        let value = stored.value.as_typed();
        let text = match value {
            TypedRef::Text(text) => text,
            _ => "",
        };
        format!(
            "{:?} {} {:x} {text}",
            stored.kind,
            stored.name,
            value.to_bits()
        )
    };
    values.iter().map(one).collect::<Vec<_>>().join(", ")
}

proptest! {
    #[test]
    fn typed_values_come_back(
        decisions in prop::collection::vec(prop::collection::vec(value(), 0..5), 1..40),
    ) {
        let blocks = encoded(&decisions);
        prop_assert_eq!(blocks.len(), 1);
        let view = BlockReader::new(Sequence::FIRST, payload(&blocks[0])).unwrap();
        let rows = view.rows().unwrap();
        let mut predictions = view.predictions();
        for (index, entry) in rows.iter().enumerate() {
            let expected = in_order(&decisions[index]);
            prop_assert_eq!(shown(values_of(entry)), shown(&expected));
            let at = view.at(entry.sequence).unwrap().unwrap();
            prop_assert_eq!(shown(values_of(&at)), shown(&expected));
            if index % 3 != 1 {
                let found = predictions.of(index).into_iter();
                let found: Vec<_> = found
                    .map(|(name, value)| StoredValue {
                        kind: ValueKind::Prediction,
                        name,
                        value: TypedValue::F64(value),
                    })
                    .collect();
                let of_kind = |stored: &StoredValue| stored.kind == ValueKind::Prediction;
                let expected: Vec<_> = expected.into_iter().filter(of_kind).collect();
                prop_assert_eq!(shown(&found), shown(&expected));
            }
        }
        // Merged with others, they stay the same.
        let mut again = BlockEncoder::default();
        rows.iter().for_each(|entry| again.again(entry).unwrap());
        let again = again.take();
        prop_assert_eq!(payload(&again[0]), payload(&blocks[0]));
    }

    #[test]
    fn hostile_changes_are_an_error_never_a_panic(
        decisions in prop::collection::vec(prop::collection::vec(value(), 0..5), 1..20),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let blocks = encoded(&decisions);
        let mut bytes = payload(&blocks[0]).to_vec();
        for (index, byte) in changes {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        if let Ok(view) = BlockReader::new(Sequence::FIRST, &bytes) {
            let _ = view.rows();
            let mut predictions = view.predictions();
            let count: usize = (0..view.decisions() as usize)
                .map(|index| predictions.of(index).len())
                .sum();
            prop_assert!(count <= 1 << 18);
        }
    }
}

/// Four attributes and a prediction of each decision: next to nothing besides the values.
#[test]
fn columns_take_the_bytes_of_their_values() {
    let values = |number: u32| {
        vec![
            stored(ValueKind::Prediction, 1, TypedValue::F64(number.into())),
            stored(ValueKind::Attribute, 2, TypedValue::F32(0.5)),
            stored(
                ValueKind::Attribute,
                3,
                TypedValue::I64(i64::from(number % 200) - 7),
            ),
            stored(ValueKind::Attribute, 4, TypedValue::Bool(true)),
            stored(ValueKind::Attribute, 5, TypedValue::Text("venue".into())),
        ]
    };
    let decisions: Vec<_> = (0..1_000).map(values).collect();
    let plain = encoded(&vec![Vec::new(); 1_000]);
    let (plain, typed) = (
        payload(&plain[0]).len(),
        payload(&encoded(&decisions)[0]).len(),
    );
    assert!(
        typed <= plain + 1_000 * (8 + 4 + 1 + 5) + 5 * 20,
        "{typed}, {plain}"
    );
}

#[test]
fn blocks_with_many_values_stay_within_their_size() {
    let values = |number: u32| {
        let many = number * 37 % 1_000;
        let text = "x".repeat(many as usize);
        let mut values: Vec<_> = (0..many)
            .map(|name| {
                stored(
                    ValueKind::Prediction,
                    name + 1,
                    TypedValue::F64(name.into()),
                )
            })
            .collect();
        values.push(stored(
            ValueKind::Attribute,
            1,
            TypedValue::Text(text.into()),
        ));
        let wide = i64::from(number) << (number % 50);
        values.push(stored(ValueKind::Attribute, 2, TypedValue::I64(wide)));
        values
    };
    let decisions: Vec<_> = (0..300).map(values).collect();
    let blocks = encoded(&decisions);
    assert!(blocks.len() > 5);
    let mut read = Vec::new();
    for block in &blocks {
        assert!(block.value.len() <= VALUE_BYTES, "{}", block.value.len());
        let view = BlockReader::new(Sequence::FIRST, payload(block)).unwrap();
        read.extend(view.rows().unwrap());
    }
    assert_eq!(read.len(), decisions.len());
    for (entry, given) in read.iter().zip(&decisions) {
        assert_eq!(shown(values_of(entry)), shown(&in_order(given)));
    }
}

/// Equal values take no bytes: a block ends before it has more of them than readers take.
#[test]
fn a_block_has_no_more_values_than_readers_take() {
    let value = |name| stored(ValueKind::Attribute, name, TypedValue::I64(5));
    let values: Vec<_> = (1..=40).map(value).collect();
    let blocks = encoded(&vec![values; 10_000]);
    assert!(blocks.len() > 1);
    for block in &blocks {
        let view = BlockReader::new(Sequence::FIRST, payload(block)).unwrap();
        assert!(view.decisions() * 40 <= 1 << 18);
    }
    // Different names are columns, of which there are not any number either.
    let value = |name: u32| vec![stored(ValueKind::Attribute, name, TypedValue::Bool(true))];
    let blocks = encoded(&(1..6_000).map(value).collect::<Vec<_>>());
    assert!(blocks.len() > 1);
    for block in &blocks {
        assert!(BlockReader::new(Sequence::FIRST, payload(block)).is_ok());
    }
}

#[test]
fn a_text_that_is_cut_within_a_character_is_damage() {
    let text = || {
        vec![stored(
            ValueKind::Attribute,
            1,
            TypedValue::Text("é".into()),
        )]
    };
    let block = encoded(&[text(), text()]);
    let mut bytes = payload(&block[0]).to_vec();
    let place = bytes.windows(4).rposition(|four| four == "éé".as_bytes());
    bytes[place.unwrap() + 1] = b'a';
    let read = BlockReader::new(Sequence::FIRST, &bytes).err().unwrap();
    assert_eq!(read, "column 0 of values has no values of type Text");
}

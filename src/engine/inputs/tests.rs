#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::frame::{Frame, FrameEncoder, HEADER_BYTES};
use super::seen::Seen;
use super::{file_name, first_of};
use crate::engine::format::row::InputNumber;
use crate::entry::ids::{MAX_RUN, RunId};
use crate::entry::input::InputKind;

const JOURNAL: u128 = 7;

fn first() -> InputNumber {
    InputNumber::first_of(RunId(3))
}

fn inputs() -> impl Strategy<Value = Vec<(InputKind, Vec<u8>)>> {
    let kind = prop_oneof![
        Just(InputKind::F32),
        Just(InputKind::F64),
        Just(InputKind::Bytes),
        Just(InputKind::Deflated)
    ];
    let bytes = prop::collection::vec(any::<u8>(), 0..80);
    let input = (kind, bytes).prop_map(|(kind, mut bytes)| {
        bytes.truncate(match kind {
            InputKind::F32 => bytes.len() / 4 * 4,
            InputKind::F64 => bytes.len() / 8 * 8,
            InputKind::Bytes | InputKind::Deflated => bytes.len(),
        });
        (kind, bytes)
    });
    prop::collection::vec(input, 1..40)
}

fn frame(inputs: &[(InputKind, Vec<u8>)]) -> Vec<u8> {
    let mut encoder = FrameEncoder::default();
    for (kind, bytes) in inputs {
        encoder.push(*kind, bytes);
    }
    encoder.finish(JOURNAL, first()).to_vec()
}

proptest! {
    #[test]
    fn a_frame_comes_back_as_it_was(inputs in inputs()) {
        let frame = Frame::decode(&frame(&inputs), &[1, JOURNAL]).unwrap();
        for (place, (kind, bytes)) in inputs.iter().enumerate() {
            let number = first().saturating_add(place as u64);
            let found = frame.get(number).map(|values| values.stored());
            prop_assert_eq!(found, Some((*kind, bytes.clone())));
        }
        let behind = first().saturating_add(inputs.len() as u64);
        prop_assert!(frame.get(behind).is_none());
        prop_assert!(frame.get(InputNumber::new(first().get() - 1)).is_none());
    }

    #[test]
    fn a_frame_that_was_changed_is_refused(
        inputs in inputs(),
        place in any::<prop::sample::Index>(),
        bit in 0_u8..8,
    ) {
        let mut bytes = frame(&inputs);
        let place = place.index(bytes.len());
        bytes[place] ^= 1 << bit;
        prop_assert!(Frame::decode(&bytes, &[JOURNAL]).is_err());
        bytes.truncate(place);
        prop_assert!(Frame::decode(&bytes, &[JOURNAL]).is_err());
    }
}

#[test]
fn a_frame_of_another_journal_is_refused() {
    let bytes = frame(&[(InputKind::Bytes, b"x".to_vec())]);
    let refused = Frame::decode(&bytes, &[1, 2]).unwrap_err();
    assert!(refused.contains("another journal"), "{refused}");
}

/// The bytes are the format: if this test fails, existing files can no longer be read.
#[test]
fn golden_bytes() {
    let inputs = [
        (InputKind::F32, 1.5_f32.to_le_bytes().to_vec()),
        (InputKind::F32, 2.0_f32.to_le_bytes().to_vec()),
        (InputKind::Bytes, b"abc".to_vec()),
    ];
    let bytes = frame(&inputs);
    assert_eq!(bytes.len(), HEADER_BYTES + 12 + 11);
    assert_eq!(bytes[8..16], [87, 0, 0, 0, b'A', b'N', b'I', b'1']);
    assert_eq!(bytes[16..32], 7_u128.to_le_bytes());
    assert_eq!(bytes[32..40], ((3_u64 << 40) | 1).to_le_bytes());
    assert_eq!(bytes[40..48], [3, 0, 0, 0, 3, 0, 0, 0]);
    assert_eq!(bytes[48..64], [0; 16]);
    assert_eq!(bytes[64..76], [4, 0, 0, 0, 4, 0, 0, 0, 3, 0, 0, 0x20]);
    assert_eq!(
        bytes[76..],
        [0, 0, 0xc0, 0x3f, 0, 0, 0, 0x40, b'a', b'b', b'c']
    );
    // Vectors of one length have one head.
    let even = frame(&inputs[..2]);
    assert_eq!(even[40..48], [2, 0, 0, 0, 1, 0, 0, 0]);
    assert_eq!(even[64..], [4, 0, 0, 0, 0, 0, 0xc0, 0x3f, 0, 0, 0, 0x40]);
}

#[test]
fn names_of_files_lead_back_to_their_numbers() {
    for run in [1, 17, MAX_RUN] {
        let number = InputNumber::first_of(RunId(run)).saturating_add(41);
        assert_eq!(first_of(&file_name(number)), Some(number));
    }
    for name in [
        "1-1",
        "+1-1.inputs",
        "01-1.inputs",
        "1-+1.inputs",
        "99999999-1.inputs",
        ".inputs",
    ] {
        assert_eq!(first_of(name), None, "{name}");
    }
}

#[test]
fn contents_are_forgotten_in_generations() {
    let mut seen = Seen::new();
    let mut hash = |number: u64| seen_hash(&seen, number);
    let hashes: Vec<_> = (0..200_000).map(&mut hash).collect();
    for (number, content) in hashes.iter().enumerate() {
        seen.insert(*content, InputNumber::new(number as u64));
        // One that comes again and again is never forgotten.
        assert_eq!(seen.find(hashes[0]), Some(InputNumber::new(0)));
    }
    assert_eq!(seen.find(hashes[199_999]), Some(InputNumber::new(199_999)));
    assert_eq!(seen.find(hashes[1]), None);
    // The same bytes of another kind are another input.
    assert!(seen.hash(InputKind::F32, b"1234") != seen.hash(InputKind::Bytes, b"1234"));
}

fn seen_hash(seen: &Seen, number: u64) -> super::seen::ContentHash {
    seen.hash(InputKind::Bytes, &number.to_le_bytes())
}

#![allow(clippy::cast_possible_wrap, clippy::cast_possible_truncation)]

use super::*;
use crate::format::floats::Floats;
use crate::format::row::{GapReason, Texts};
use crate::value::Value;
use proptest::prelude::*;

fn inference(confidence: f32, texts: Option<Texts>) -> InferenceRow {
    InferenceRow {
        id: 0,
        recorded: 0,
        event: 0,
        model: 1,
        symbol: 2,
        action: 3,
        checkpoint: 0,
        labels: 4,
        flags: 0,
        confidence,
        probabilities: Floats::new(&[0.85, 0.1, 0.05]),
        features: Some([1, 2, 3, 4, 5, 6, 7, 8]),
        processing: 12_500_001,
        memory: 0,
        texts: texts.map(Box::new),
    }
}

fn place(id: u64, recorded: i64) -> Place {
    Place {
        id,
        recorded,
        event: recorded,
    }
}

fn payload(block: &Block) -> &[u8] {
    &block.value[CHECKSUM_BYTES..]
}

/// The bytes are the format: if this test fails, existing journals can no longer be read.
#[test]
fn golden_bytes() {
    let mut encoder = BlockEncoder::default();
    encoder.inference(
        place((1 << 40) | 7, 1_000_000),
        2049,
        &mut inference(0.85, None),
    );
    encoder.repeat(
        place((1 << 40) | 9, 1_000_250),
        (1 << 40) | 7,
        &mut RepeatRow {
            id: 0,
            recorded: 0,
            event: 0,
            original: 0,
            processing: 0,
            model: 1,
            symbol: 2,
            action: 3,
            checkpoint: 0,
            texts: None,
        },
    );
    encoder.gap(
        1_000_300,
        &mut GapRow {
            recorded: 0,
            run: 1,
            reason: GapReason::QueueFull,
            count: Some(5),
            after: None,
            recorded_range: Some((1, 2)),
            event_range: None,
        },
    );
    let blocks = encoder.take();
    assert_eq!(blocks.len(), 1);
    let hex: String = payload(&blocks[0])
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(hex, include_str!("../../tests/golden/block.hex").trim());
    assert_eq!(blocks[0].marks, vec![(Mark::Gap, 2)]);
}

#[test]
fn a_plain_inference_takes_less_than_60_bytes() {
    let mut encoder = BlockEncoder::default();
    for id in 0..1_000 {
        encoder.inference(
            place(id, 1_700_000_000_000_000 + id as i64),
            9,
            &mut inference(0.5, None),
        );
    }
    assert!(
        encoder.pending_bytes() < 60 * 1_000,
        "{}",
        encoder.pending_bytes()
    );
}

#[test]
fn a_row_larger_than_a_block_has_one_of_its_own() {
    let long = Texts {
        model: Some("m".repeat(200_000)),
        attributes: vec![("note".into(), Value::from("x"))],
        ..Texts::default()
    };
    let mut encoder = BlockEncoder::default();
    encoder.inference(place(1, 10), 0, &mut inference(0.1, None));
    encoder.inference(place(2, 11), 0, &mut inference(0.2, Some(long.clone())));
    encoder.inference(place(3, 12), 0, &mut inference(0.3, None));
    let blocks = encoder.take();
    assert_eq!(
        blocks.iter().map(|b| b.count).collect::<Vec<_>>(),
        [1, 1, 1]
    );
    let rows = decode(5, payload(&blocks[1])).unwrap();
    assert_eq!(rows[0].sequence, 5);
    let Row::Inference(row) = &rows[0].row else {
        panic!("not an inference")
    };
    assert_eq!(row.texts.as_deref(), Some(&long));
}

#[test]
fn full_blocks_fill_but_do_not_pass_the_page_run() {
    let mut encoder = BlockEncoder::default();
    for id in 0..5_000u64 {
        encoder.inference(place(id, id as i64), 0, &mut inference(0.5, None));
    }
    let blocks = encoder.take();
    assert!(blocks.len() >= 3);
    for block in &blocks[..blocks.len() - 1] {
        assert!(block.value.len() <= VALUE_BYTES);
        assert!(block.value.len() > VALUE_BYTES - 200);
    }
}

proptest! {
    #[test]
    fn what_goes_in_comes_out(
        rows in prop::collection::vec(
            (any::<u64>(), any::<i64>(), any::<i64>(), any::<u32>(), prop::collection::vec(any::<f32>(), 0..20), any::<u32>()),
            1..400,
        )
    ) {
        let mut encoder = BlockEncoder::default();
        for (id, recorded, event, confidence, probabilities, memory) in &rows {
            let mut row = inference(f32::from_bits(*confidence), None);
            row.probabilities = Floats::new(probabilities);
            let place = Place { id: *id, recorded: *recorded, event: *event };
            encoder.inference(place, u64::from(*memory), &mut row);
        }
        let mut first = 100;
        let mut decoded = Vec::new();
        for block in encoder.take() {
            let found = decode(first, payload(&block)).unwrap();
            prop_assert_eq!(found.len() as u32, block.count);
            prop_assert_eq!(count(payload(&block)).unwrap(), block.count);
            for placed in &found {
                let hour = placed.place.event.div_euclid(HOUR_MICROS);
                prop_assert!(block.hours.iter().any(|(h, _, _)| *h == hour));
                let bucket = placed.place.id >> ID_BUCKET_BITS;
                prop_assert!(block.ids.iter().any(|(b, low, high)| *b == bucket
                    && (*low..=*high).contains(&((placed.place.id & 255) as u16))));
            }
            first += u64::from(block.count);
            decoded.extend(found);
        }
        prop_assert_eq!(decoded.len(), rows.len());
        for (index, (placed, row)) in decoded.iter().zip(&rows).enumerate() {
            let (id, recorded, event, confidence, probabilities, memory) = row;
            prop_assert_eq!(placed.sequence, 100 + index as u64);
            prop_assert_eq!(placed.place, Place { id: *id, recorded: *recorded, event: *event });
            prop_assert_eq!(placed.memory, u64::from(*memory));
            let Row::Inference(found) = &placed.row else { panic!("not an inference") };
            prop_assert_eq!(found.confidence.to_bits(), *confidence);
            let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!(bits(found.probabilities.as_slice()), bits(probabilities));
        }
    }

    #[test]
    fn hostile_bytes_are_an_error_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode(1, &bytes);
    }
}

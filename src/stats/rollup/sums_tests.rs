use crate::entry::ids::InferenceId;
use crate::entry::sequence::Sequence;
use crate::entry::timestamp::Timestamp;
use crate::stats::rollup::sums::*;
use proptest::prelude::*;

fn decision() -> ScannedDecision {
    ScannedDecision {
        sequence: Sequence::ZERO,
        id: InferenceId::NONE,
        event: Timestamp::default(),
        model: NameId::NONE,
        symbol: NameId::NONE,
        action: NameId::NONE,
        checkpoint: NameId::NONE,
        flags: 0,
        confidence: 0.0,
        processing: 0,
        memory: 0,
    }
}

fn event() -> impl Strategy<Value = ScannedDecision> {
    let confidence = prop_oneof![0.0..=1.0_f32, Just(-0.0), Just(f32::NAN), Just(1.5_f32)];
    let flags = prop_oneof![
        4 => Just(flag::FEATURES),
        1 => Just(flag::DIVERGENT),
        1 => Just(flag::NO_CONFIDENCE),
        1 => Just(flag::REPEAT),
        1 => Just(flag::REPEAT | flag::NO_CONFIDENCE),
    ];
    let times = (0_i64..3_600_000_000, 0_u64..40_000_000, 0_u64..4_096);
    (times, (1_u32..5).prop_map(NameId::new), flags, confidence).prop_map(
        |((event, processing, memory), action, flags, confidence)| ScannedDecision {
            event: Timestamp::from_micros(event),
            action,
            flags,
            confidence,
            processing,
            memory,
            ..decision()
        },
    )
}

fn rollup(events: &[ScannedDecision]) -> Rollup {
    let mut rollup = Rollup::default();
    events.iter().for_each(|event| rollup.add(event));
    rollup
}

proptest! {
    #[test]
    fn parts_merge_into_the_whole(
        events in prop::collection::vec(event(), 0..60),
        at in 0_usize..60,
    ) {
        let (left, right) = events.split_at(at.min(events.len()));
        let mut merged = rollup(right);
        merged.merge(&rollup(left));
        prop_assert_eq!(merged, rollup(&events));
    }

    #[test]
    fn bytes_come_back(events in prop::collection::vec(event(), 1..60), base: i64) {
        let start = Timestamp::from_micros(base).moved_by(-4_000_000_000);
        let moved: Vec<ScannedDecision> = events
            .into_iter()
            .map(|event| ScannedDecision {
                event: start.at_distance(event.event.as_micros()),
                ..event
            })
            .collect();
        let written = rollup(&moved);
        let mut out = Vec::new();
        written.encode(start, &mut out);
        let mut read = rollup(&moved[..1]);
        prop_assert_eq!(read.decode(start, &out), Ok(()));
        prop_assert_eq!(read, written);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let mut read = Rollup::default();
        if read.decode(Timestamp::default(), &bytes).is_ok() {
            read.merge(&Rollup::default());
        }
    }

    #[test]
    fn what_is_cut_short_is_refused(events in prop::collection::vec(event(), 1..10)) {
        let mut out = Vec::new();
        rollup(&events).encode(Timestamp::default(), &mut out);
        for length in 0..out.len() {
            prop_assert!(Rollup::default().decode(Timestamp::default(), &out[..length]).is_err());
        }
    }
}

#[test]
fn one_decision_takes_few_bytes() {
    let one = ScannedDecision {
        event: Timestamp::from_micros(1_800_000_000),
        action: NameId::new(3),
        confidence: 0.85,
        processing: 12_500_001,
        memory: 65_536,
        ..decision()
    };
    let mut out = Vec::new();
    rollup(&[one]).encode(Timestamp::default(), &mut out);
    assert!(out.len() <= 56, "{}", out.len());
}

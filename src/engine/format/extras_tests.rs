//! Extras of decisions, stored beside decisions without any.

use proptest::prelude::*;

use super::*;
use crate::engine::format::reader::BlockReader;
use crate::engine::format::select::{Limit, Selection, Steps};
use crate::entry::episode::EpisodeId;
use crate::entry::floats::Floats;

fn row(extras: Option<Box<OwnedExtras>>) -> InferenceRow {
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
        extras,
        values: Box::default(),
    }
}

fn head(id: u64) -> RowHead {
    RowHead {
        id: InferenceId(id),
        ..RowHead::default()
    }
}

/// Extras of which each is there or not; few different ones, so that some are equal.
fn extras() -> impl Strategy<Value = OwnedExtras> {
    let propensity = prop::option::of(any::<u32>().prop_map(f32::from_bits));
    let vector = prop::collection::vec(any::<u32>().prop_map(f32::from_bits), 0..5);
    let cause = prop::option::of(prop_oneof![0..9_u64, any::<u64>()]);
    let step = prop::option::of((any::<u64>(), any::<u64>()));
    (
        propensity,
        vector,
        cause,
        prop::option::of("[aé]{0,2}"),
        step,
    )
        .prop_map(
            |(propensity, vector, cause, correlation, step)| OwnedExtras {
                propensity,
                vector: vector.into(),
                cause: cause.map(InferenceId),
                correlation: correlation.map(Into::into),
                step: step.map(|(episode, step)| (EpisodeId(episode), step)),
            },
        )
}

/// Decisions in blocks: `None` is a repeat.
fn encoded(decisions: &[Option<OwnedExtras>]) -> Vec<Block> {
    let mut encoder = BlockEncoder::default();
    for (id, extras) in (0..).zip(decisions) {
        let encoded = match extras {
            Some(extras) => encoder.inference(head(id), 7, &row(extras.as_extras().to_owned())),
            None => {
                let repeat = RepeatRow {
                    input: InputRef::NotKept,
                    names: NameIds::default(),
                    original: InferenceId(id / 2),
                    confidence: None,
                    processing: 0,
                };
                encoder.repeat(head(id), &repeat)
            }
        };
        encoded.unwrap();
    }
    encoder.take()
}

fn payload(block: &Block) -> &[u8] {
    &block.value[CHECKSUM_BYTES..]
}

fn extras_of(entry: &StoredEntry) -> Extras<'_> {
    match &entry.row {
        Row::Inference(row) => row
            .extras
            .as_deref()
            .map_or(Extras::NONE, |one| one.as_extras()),
        _ => Extras::NONE,
    }
}

/// NaN is compared by its bits.
fn shown(extras: &Extras<'_>) -> String {
    let bits: Vec<u32> = extras.vector.iter().map(|value| value.to_bits()).collect();
    let propensity = extras.propensity.map(f32::to_bits);
    let Extras {
        cause,
        correlation,
        step,
        ..
    } = extras;
    format!("{propensity:?} {bits:?} {cause:?} {correlation:?} {step:?}")
}

proptest! {
    #[test]
    fn extras_come_back(
        decisions in prop::collection::vec(prop::option::of(extras()), 1..40),
        plain_before in 0_usize..3,
    ) {
        // The columns of extras begin late.
        let mut all = vec![Some(OwnedExtras::default()); plain_before];
        all.extend(decisions);
        let blocks = encoded(&all);
        prop_assert_eq!(blocks.len(), 1);
        let view = BlockReader::new(Sequence::FIRST, payload(&blocks[0])).unwrap();
        let rows = view.rows().unwrap();
        let expected = |index: usize| {
            let extras = all[index].as_ref();
            extras.map_or(Extras::NONE, |one| one.as_extras())
        };
        for (index, entry) in rows.iter().enumerate() {
            prop_assert_eq!(shown(&extras_of(entry)), shown(&expected(index)));
            let at = view.at(entry.sequence).unwrap().unwrap();
            prop_assert_eq!(shown(&extras_of(&at)), shown(&expected(index)));
        }
        // Merged with others, they stay the same.
        let mut again = BlockEncoder::default();
        rows.iter().for_each(|entry| again.again(entry).unwrap());
        let again = again.take();
        prop_assert_eq!(payload(&again[0]), payload(&blocks[0]));
        // A query finds what a look at each finds.
        let cause = (0..all.len()).find_map(|index| expected(index).cause);
        let steps = (0..all.len()).find_map(|index| expected(index).step);
        let steps = steps.map_or(Steps::OfAnyEpisode, |(episode, _)| Steps::Of(episode));
        for (correlation, cause, steps) in [
            (Some("a"), None, Steps::AndOthers),
            (Some(""), None, Steps::AndOthers),
            (None, cause, Steps::AndOthers),
            (None, None, Steps::OfAnyEpisode),
            (None, None, steps),
        ] {
            let selection = Selection {
                sequences: Sequence::ZERO..Sequence::MAX,
                times: None,
                repeats: true,
                model: None,
                symbol: None,
                action: None,
                checkpoint: None,
                correlation: correlation.map(str::to_owned),
                cause,
                steps,
                attributes: Vec::new(),
            };
            let within = Sequence::ZERO..Sequence::MAX;
            let found = view.select(&selection, within, Limit::First(99)).unwrap();
            let found: Vec<u64> = found.iter().map(|entry| entry.head.id.to_u64()).collect();
            let is_meant = |index: &usize| {
                let extras = expected(*index);
                (correlation.is_none() || extras.correlation == correlation)
                    && (cause.is_none() || extras.cause == cause)
                    && match steps {
                        Steps::AndOthers => true,
                        Steps::OfAnyEpisode => extras.step.is_some(),
                        Steps::Of(id) => extras.step.is_some_and(|step| step.0 == id),
                    }
            };
            let meant = (0..all.len()).filter(is_meant).map(|index| index as u64);
            prop_assert_eq!(found, meant.collect::<Vec<_>>());
        }
    }

    #[test]
    fn hostile_changes_are_an_error_never_a_panic(
        decisions in prop::collection::vec(prop::option::of(extras()), 1..20),
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
            let mut indexes: Vec<usize> = (0..view.decisions() as usize).collect();
            view.retain_caused(InferenceId(3), &mut indexes);
            let mut indexes: Vec<usize> = (0..view.decisions() as usize).collect();
            view.retain_correlated("a", &mut indexes);
        }
    }
}

/// A block without extras takes no more bytes, apart from its header.
#[test]
fn what_is_not_there_takes_no_bytes() {
    let plain = encoded(&vec![Some(OwnedExtras::default()); 1_000]);
    // One number of a byte, and a width, for each column.
    let header = 2 * COLUMNS + 2 * NOTE_COLUMNS + 21;
    let (confidences, ids) = (4 * 1_000, 1_000);
    assert!(payload(&plain[0]).len() <= header + confidences + ids);
}

/// Steps of one episode: the id takes no bytes, a step one or two.
#[test]
fn steps_of_an_episode_are_short() {
    let step = |step| {
        Some(OwnedExtras {
            step: Some((EpisodeId((9 << 40) | 4), step)),
            ..OwnedExtras::default()
        })
    };
    let steps: Vec<_> = (0..1_000).map(step).collect();
    let plain = encoded(&vec![Some(OwnedExtras::default()); 1_000]);
    let (plain, steps) = (payload(&plain[0]).len(), payload(&encoded(&steps)[0]).len());
    assert!(steps <= plain + 2 * 1_000 + 16, "{steps}, {plain}");
}

#[test]
fn blocks_with_long_vectors_stay_within_their_size() {
    let vector = |length: usize| {
        Some(OwnedExtras {
            vector: vec![0.5; length].into(),
            correlation: Some("x".repeat(length).into()),
            ..OwnedExtras::default()
        })
    };
    // Lengths change from one to the next.
    let decisions: Vec<_> = (0..300)
        .map(|number| vector(number * 37 % (MOST + 1)))
        .collect();
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
        assert_eq!(extras_of(entry), given.as_ref().unwrap().as_extras());
    }
}

#[test]
fn what_no_reader_takes_is_refused() {
    let mut encoder = BlockEncoder::default();
    let with = |extras: Extras<'_>| row(extras.to_owned());
    let (vector, text) = (vec![0.0; MOST + 1], "x".repeat(LONGEST_CORRELATION + 1));
    for extras in [
        Extras {
            vector: &vector,
            ..Extras::NONE
        },
        Extras {
            correlation: Some(&text),
            ..Extras::NONE
        },
    ] {
        assert!(encoder.inference(head(1), 0, &with(extras)).is_err());
    }
    assert!(encoder.take().is_empty());
}

/// A correlation that is cut within a character is no text.
#[test]
fn a_correlation_that_is_no_text_is_damage() {
    let correlation = |text: &str| {
        Some(OwnedExtras {
            correlation: Some(text.into()),
            ..OwnedExtras::default()
        })
    };
    let block = encoded(&[correlation("é"), correlation("é")]);
    let mut bytes = payload(&block[0]).to_vec();
    let place = bytes.windows(4).rposition(|four| four == "éé".as_bytes());
    bytes[place.unwrap() + 1] = b'a';
    let read = BlockReader::new(Sequence::FIRST, &bytes).err();
    assert_eq!(read.as_deref(), Some("a correlation that is no UTF-8"));
}

//! Why calls were refused: counted by reason, model and field, without a lock.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use crate::entry::gap::{Refusal, shortened};
use crate::entry::typed::AttributeType;

/// Number of different refusals that are told apart in one handle.
const SLOTS: usize = 64;

/// Number of calls that were refused for one reason; part of [`Health`](crate::health::Health).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct RefusalCount {
    /// The reason, with model and field.
    #[serde(flatten)]
    pub refusal: Refusal,
    /// How many calls.
    pub count: u64,
}

/// The kinds of reasons. A kind stands for one text, except for the numbers in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RefusalKind {
    /// An action's index beyond the bound ones.
    NoSuchAction,
    /// More probabilities, or values, than are stored.
    TooMany,
    /// More text than one entry may carry.
    TooLong,
    /// Not as many values as names are bound.
    WrongNumber,
    /// An attribute of another type than its name is bound to: which is the number of its
    /// [`AttributeType`] in `most`.
    WrongType,
}

/// A refused call, in the terms of the caller of [`Refusals::add`].
#[derive(Clone, Copy)]
pub(crate) struct Why<'a> {
    pub(crate) kind: RefusalKind,
    pub(crate) model: Option<&'a str>,
    pub(crate) field: &'a str,
    /// The given value: an index, a count, a number of bytes.
    pub(crate) given: usize,
    pub(crate) most: usize,
}

impl Why<'_> {
    fn is(&self, known: &KnownRefusal) -> bool {
        known.kind == self.kind
            && known.most == self.most
            && known.refusal.model.as_deref() == self.model.map(shortened)
            && known.refusal.field == shortened(self.field)
    }

    fn known(&self) -> KnownRefusal {
        let Why { given, most, .. } = self;
        let plural = if *most == 1 { "" } else { "s" };
        let reason = match self.kind {
            RefusalKind::NoSuchAction => {
                format!("the index is beyond the recorder's {most} action{plural} (first: {given})")
            }
            RefusalKind::TooMany => format!("more than {most} cannot be stored (first: {given})"),
            RefusalKind::WrongNumber => {
                format!("the recorder has {most} bound name{plural} for them (first: {given})")
            }
            RefusalKind::WrongType => {
                let bound = u64::try_from(*most).ok().and_then(AttributeType::of);
                let bound = bound.map_or("another type", AttributeType::name);
                format!("the attribute is bound as {bound}, and the value is of another type")
            }
            RefusalKind::TooLong => {
                format!("the texts of one entry have at most {most} bytes (first: {given})")
            }
        };
        KnownRefusal {
            kind: self.kind,
            most: self.most,
            refusal: Refusal::new(self.model, self.field, &reason),
        }
    }
}

struct KnownRefusal {
    kind: RefusalKind,
    most: usize,
    refusal: Refusal,
}

#[derive(Default)]
struct RefusalSlot {
    known: OnceLock<KnownRefusal>,
    all: AtomicU64,
    /// Invariant R1: never more than `all`; the calls that the writer has taken are in gap entries.
    taken: AtomicU64,
}

/// The refusals of one open journal. Slots are filled in order and never emptied.
pub(crate) struct Refusals {
    slots: [RefusalSlot; SLOTS],
    /// For what finds no slot.
    others: RefusalSlot,
}

impl Default for Refusals {
    fn default() -> Self {
        Refusals {
            slots: std::array::from_fn(|_| RefusalSlot::default()),
            others: RefusalSlot::default(),
        }
    }
}

impl Refusals {
    /// Counts one refusal. Before the channel counts the lost event: a writer that sees the loss
    /// then knows the reason.
    pub(crate) fn add(&self, why: Why<'_>) {
        let mut slots = self.slots.iter();
        // Slots are filled from the first on and never emptied. So the search ends at its own slot,
        // or fills the first free one; a thread that loses that race looks on.
        let slot = slots.find(|slot| why.is(slot.known.get_or_init(|| why.known())));
        let slot = slot.unwrap_or_else(|| {
            self.others.known.get_or_init(|| KnownRefusal {
                kind: why.kind,
                most: 0,
                refusal: Refusal::new(None, "several", "more reasons than are told apart"),
            });
            &self.others
        });
        slot.all.fetch_add(1, Ordering::Release);
    }

    /// Number of each reason so far.
    pub(crate) fn counts(&self) -> Vec<RefusalCount> {
        let counts = self.known().map(|(slot, known)| RefusalCount {
            refusal: known.refusal.clone(),
            count: slot.all.load(Ordering::Acquire),
        });
        counts.filter(|counted| counted.count > 0).collect()
    }

    /// For the writer: the reasons of `count` lost events, each once in all calls together. They
    /// may be fewer than that only if a reason was never added.
    pub(crate) fn take(&self, count: u64) -> Vec<(Refusal, u64)> {
        let mut left = count;
        let mut taken = Vec::new();
        for (slot, known) in self.known() {
            // Only the writer takes, so its own count needs no order.
            let before = slot.taken.load(Ordering::Relaxed);
            let untaken = slot.all.load(Ordering::Acquire).saturating_sub(before);
            let share = untaken.min(left);
            if share > 0 {
                slot.taken.store(before + share, Ordering::Relaxed);
                taken.push((known.refusal.clone(), share));
                left -= share;
            }
        }
        taken
    }

    fn known(&self) -> impl Iterator<Item = (&RefusalSlot, &KnownRefusal)> {
        let slots = self.slots.iter().chain([&self.others]);
        slots.filter_map(|slot| Some((slot, slot.known.get()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why<'a>(kind: RefusalKind, model: &'a str, field: &'a str) -> Why<'a> {
        Why {
            kind,
            model: Some(model),
            field,
            given: 7,
            most: 1,
        }
    }

    #[test]
    fn each_reason_is_counted_on_its_own() {
        let refusals = Refusals::default();
        refusals.add(why(RefusalKind::NoSuchAction, "a", "action"));
        refusals.add(why(RefusalKind::TooMany, "a", "probabilities"));
        refusals.add(why(RefusalKind::NoSuchAction, "b", "action"));
        refusals.add(Why {
            given: 9,
            ..why(RefusalKind::NoSuchAction, "a", "action")
        });
        let counts: Vec<_> = refusals.counts().iter().map(|known| known.count).collect();
        assert_eq!(counts, [2, 1, 1]);
        let first = &refusals.counts()[0].refusal;
        assert_eq!(
            first.to_string(),
            "model a, action: the index is beyond the recorder's 1 action (first: 7)"
        );
        let taken: Vec<_> = refusals.take(3).into_iter().map(|(_, n)| n).collect();
        assert_eq!(taken, [2, 1]);
        assert_eq!(refusals.take(9).len(), 1);
        assert_eq!(refusals.take(9), []);
    }

    #[test]
    fn what_finds_no_slot_is_counted_with_the_others() {
        let refusals = Refusals::default();
        let long = "ä".repeat(1 << 16);
        for number in 0..SLOTS + 10 {
            let model = format!("{number}{long}");
            refusals.add(why(RefusalKind::TooLong, &model, "model"));
        }
        let counts = refusals.counts();
        assert_eq!(counts.len(), SLOTS + 1);
        assert_eq!(counts[SLOTS].count, 10);
        assert!(
            counts
                .iter()
                .all(|known| known.refusal.to_string().len() < 800)
        );
        let taken: u64 = refusals.take(u64::MAX).iter().map(|(_, count)| count).sum();
        assert_eq!(taken, (SLOTS + 10) as u64);
    }

    #[test]
    fn threads_and_a_taker_agree_on_the_sum() {
        let refusals = Refusals::default();
        let mut seen = 0;
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4_usize)
                .map(|n| {
                    let (refusals, model) = (&refusals, (n % 2).to_string());
                    let add =
                        move || refusals.add(why(RefusalKind::TooMany, &model, "probabilities"));
                    scope.spawn(move || (0..10_000).for_each(|_| add()))
                })
                .collect();
            while !threads.iter().all(|thread| thread.is_finished()) {
                seen += refusals.take(u64::MAX).iter().map(|(_, n)| n).sum::<u64>();
            }
        });
        seen += refusals.take(u64::MAX).iter().map(|(_, n)| n).sum::<u64>();
        assert_eq!(seen, 40_000);
        assert_eq!(refusals.counts().len(), 2);
    }
}

//! The end of a journal with lanes: threads store into lanes while the writer looks for the last
//! time and seals the channel.
//!
//! The ring and the channel are the shipped ones. The two sides of a lane are written down again:
//! `LaneEnd::send` of `lanes.rs`, and `is_drained` of `intake.rs`. The barrier that the writer lets
//! all threads pass, with the compiler's fence on their side, is a full fence on both sides here.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};

use loom::sync::atomic::{AtomicU64, Ordering, fence};

use crate::entry::ids::RunId;
use crate::options::Overflow;
use crate::record::queue::channel::Channel;
use crate::record::queue::ring::{Consumer, Producer, Words};

/// What the threads do.
#[derive(Clone, Copy, Debug)]
pub struct SealingScript {
    /// Threads, each with a lane of its own.
    pub threads: usize,
    /// Records that each of them stores.
    pub records: usize,
    /// Whether the barrier is there. Without it a record can be lost: the model must see that.
    pub has_barrier: bool,
}

#[derive(Debug)]
struct Memory {
    freed: AtomicU64,
    ring: Vec<AtomicU64>,
    /// Once the channel is sealed: the position up to which the writer took records.
    until: AtomicU64,
}

impl Words for Arc<Memory> {
    type Word = AtomicU64;

    fn freed(&self) -> &AtomicU64 {
        &self.freed
    }

    fn ring(&self) -> &[AtomicU64] {
        &self.ring
    }
}

/// A mutex of std: to loom, looking at it is no step.
type Ids = Arc<Mutex<Vec<u64>>>;

fn push(ids: &Ids, id: u64) {
    ids.lock().unwrap_or_else(PoisonError::into_inner).push(id);
}

fn sorted(ids: &Ids) -> Vec<u64> {
    let mut ids = ids.lock().unwrap_or_else(PoisonError::into_inner).clone();
    ids.sort_unstable();
    ids
}

/// Runs `script` in every order of its threads that takes at most `preemptions` switches, and says
/// in how many. Panics if an id is returned whose record nobody took, or the other way round.
pub fn explore_sealing(script: SealingScript, preemptions: usize) -> usize {
    let orders = Arc::new(AtomicUsize::new(0));
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.max_branches = 10_000;
    let counted = orders.clone();
    model.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        run(script);
    });
    orders.load(Ordering::Relaxed)
}

/// A thread's calls; the ids that they return.
fn log(script: SealingScript, channel: &Channel<u64>, memory: &Arc<Memory>, returned: &Ids) {
    let mut producer = Producer::new(memory.clone());
    for _ in 0..script.records {
        let id = channel.take_id();
        if channel.is_closed() {
            channel.count_closed(1);
            continue;
        }
        assert!(producer.push(0, &[id]).is_ok(), "the ring has room");
        if script.has_barrier {
            fence(Ordering::SeqCst);
        }
        let until = || memory.until.load(Ordering::Acquire) >= producer.head();
        if !channel.is_sealed() || channel.is_taken(until) {
            push(returned, id);
        }
    }
}

/// The writer's ends of all lanes.
struct Intake {
    lanes: Vec<(Arc<Memory>, Consumer<Arc<Memory>>)>,
    /// Of each lane, the record that was read and not taken.
    heads: Vec<Option<u64>>,
    taken: Ids,
}

impl Intake {
    fn refresh(&mut self) {
        let mut payload = Vec::new();
        for ((_, consumer), head) in self.lanes.iter_mut().zip(&mut self.heads) {
            if head.is_none() && matches!(consumer.next(&mut payload), Ok(Some(_))) {
                *head = payload.first().copied();
            }
        }
    }

    fn take_all(&mut self) {
        self.refresh();
        while self.heads.iter().any(Option::is_some) {
            for head in &mut self.heads {
                if let Some(id) = head.take() {
                    push(&self.taken, id);
                }
            }
            self.refresh();
        }
    }

    fn is_drained(&mut self, has_barrier: bool) -> bool {
        if has_barrier {
            fence(Ordering::SeqCst);
        }
        self.refresh();
        let is_drained = self.heads.iter().all(Option::is_none);
        if is_drained {
            for (memory, consumer) in &self.lanes {
                memory.until.store(consumer.position(), Ordering::Release);
            }
        }
        is_drained
    }
}

fn run(script: SealingScript) {
    let channel = Arc::new(Channel::<u64>::new(RunId, 4, Overflow::DropNewest));
    let (returned, taken) = (Ids::default(), Ids::default());
    let memories: Vec<_> = (0..script.threads)
        .map(|_| {
            let word = || AtomicU64::new(0);
            Arc::new(Memory {
                freed: word(),
                ring: (0..8).map(|_| word()).collect(),
                until: word(),
            })
        })
        .collect();
    let threads: Vec<_> = memories
        .iter()
        .map(|memory| {
            let (channel, memory, returned) = (channel.clone(), memory.clone(), returned.clone());
            loom::thread::spawn(move || log(script, &channel, &memory, &returned))
        })
        .collect();
    let mut intake = Intake {
        lanes: memories
            .iter()
            .map(|memory| (memory.clone(), Consumer::at(memory.clone(), 0)))
            .collect(),
        heads: vec![None; script.threads],
        taken: taken.clone(),
    };
    // This thread is the writer: it closes, takes what is there, and seals when it is quiet.
    channel.close();
    let mut rounds = 0;
    loop {
        intake.take_all();
        if channel.seal_if_quiet(|| intake.is_drained(script.has_barrier)) {
            break;
        }
        rounds += 1;
        assert!(
            rounds <= script.threads * script.records,
            "more than was stored"
        );
    }
    for thread in threads {
        assert!(thread.join().is_ok(), "a thread panicked");
    }
    let (returned, taken) = (sorted(&returned), sorted(&taken));
    assert_eq!(returned, taken, "returned, and taken");
    let closed = channel.dropped(true).total();
    assert_eq!(taken.len() as u64 + closed, channel.offered(), "the books");
}

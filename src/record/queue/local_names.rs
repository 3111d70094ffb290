//! Names become numbers once, so that a record can be copied without its strings.
//!
//! Ids of this table live in one process and one journal; the writer translates them to stored ids.
//! They are not the stored ids, because those take a transaction, for which no caller waits.
//! Each thread keeps a cache in front of the table. The cache knows its journal: two journals in
//! one process have different ids for the same name.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use ahash::AHashMap;

use crate::engine::format::name::{KINDS, LABEL_SEPARATOR, LABEL_SPECIAL, LONGEST_NAME, NameKind};
use crate::entry::name::is_same;

/// The id of a name in this process; 0 is "none".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub(crate) struct LocalName(u32);

impl LocalName {
    #[inline]
    pub(crate) const fn new(number: u32) -> Self {
        LocalName(number)
    }

    #[inline]
    pub(crate) const fn get(self) -> u32 {
        self.0
    }
}

pub(crate) const NO_NAME: LocalName = LocalName(0);

/// The names that this process has used in one journal.
pub(crate) struct LocalNames {
    /// Tells this table from every other of the process, for the threads' caches.
    instance: u64,
    most: usize,
    names: RwLock<NamesOfProcess>,
}

/// Keeps a name beyond this process, before its number is used; returns whether it could. After a
/// "no" it says no to all.
pub(crate) type NamesLog = Box<dyn FnMut(u32, NameKind, &str) -> bool + Send + Sync>;

#[derive(Default)]
struct NamesOfProcess {
    ids: [AHashMap<Arc<str>, LocalName>; KINDS],
    /// Kind and text of id `index + 1`.
    texts: Vec<(NameKind, Arc<str>)>,
    log: Option<NamesLog>,
}

impl LocalNames {
    pub(crate) fn new(most: usize) -> Self {
        static INSTANCES: AtomicU64 = AtomicU64::new(0);
        LocalNames {
            instance: INSTANCES.fetch_add(1, Ordering::Relaxed),
            most,
            names: RwLock::default(),
        }
    }

    /// Keeps all names that come from here on in `log` too.
    pub(crate) fn keep_in(&self, log: NamesLog) {
        let mut names = self.names.write().unwrap_or_else(PoisonError::into_inner);
        names.log = Some(log);
    }

    /// The id of `name`, or `None` if it is too long or the table is full.
    ///
    /// A thread's first use of a name takes a lock and may allocate; later uses do neither.
    pub(crate) fn id(&self, kind: NameKind, name: &str) -> Option<LocalName> {
        let cached = self.with_thread(|names| {
            names.find(kind, name).or_else(|| {
                let (id, text) = self.intern(kind, name)?;
                names.remember(kind, text, id);
                Some(id)
            })
        });
        // A thread that is being torn down has no cache any more.
        cached.unwrap_or_else(|| self.intern(kind, name).map(|(id, _)| id))
    }

    /// The id of the labels `parts` as one name, or `None` if they cannot be one.
    pub(crate) fn labels_id<'a>(
        &self,
        parts: impl Iterator<Item = &'a str> + Clone,
    ) -> Option<LocalName> {
        let mut joined = String::new();
        join(parts, &mut joined)?;
        self.id(NameKind::Labels, &joined)
    }

    /// Runs `body` on this thread's cache of this table; `None` where the thread has none.
    #[inline]
    pub(crate) fn with_thread<T>(&self, body: impl FnOnce(&mut CachedNames) -> T) -> Option<T> {
        let found = THREAD.try_with(|cache| {
            let mut cache = cache.try_borrow_mut().ok()?;
            Some(body(cache.of(self.instance)))
        });
        found.ok().flatten()
    }

    /// The same past the thread's cache.
    pub(crate) fn intern(&self, kind: NameKind, name: &str) -> Option<(LocalName, Arc<str>)> {
        // A recorder binds names of features once: a thread never looks for them.
        if name.len() > LONGEST_NAME && kind != NameKind::FeatureNames {
            return None;
        }
        let known = self.names.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((text, id)) = known.ids[kind as usize - 1].get_key_value(name) {
            return Some((*id, text.clone()));
        }
        // A read lock cannot be turned into a write lock without the risk of a deadlock.
        drop(known);
        let mut names = self.names.write().unwrap_or_else(PoisonError::into_inner);
        // Another thread may have been faster between the two locks.
        if let Some((text, id)) = names.ids[kind as usize - 1].get_key_value(name) {
            return Some((*id, text.clone()));
        }
        if names.texts.len() >= self.most {
            return None;
        }
        // Ids begin at 1: 0 is "none".
        let id = LocalName(u32::try_from(names.texts.len() + 1).ok()?);
        // A name that is not kept goes as text, as one that the table has no room for.
        let kept = names.log.as_mut().is_none_or(|log| log(id.0, kind, name));
        if !kept {
            return None;
        }
        let text: Arc<str> = name.into();
        names.texts.push((kind, text.clone()));
        names.ids[kind as usize - 1].insert(text.clone(), id);
        Some((id, text))
    }

    /// Kind and text of an id that this table gave.
    pub(crate) fn text(&self, id: LocalName) -> Option<(NameKind, Arc<str>)> {
        let names = self.names.read().unwrap_or_else(PoisonError::into_inner);
        let index = usize::try_from(id.0).ok()?.checked_sub(1)?;
        names.texts.get(index).cloned()
    }

    /// How many names the table holds.
    pub(crate) fn len(&self) -> usize {
        let names = self.names.read().unwrap_or_else(PoisonError::into_inner);
        names.texts.len()
    }
}

/// Writes `parts` as one name into `joined`; `None` if they cannot be one.
fn join<'a>(parts: impl Iterator<Item = &'a str>, joined: &mut String) -> Option<()> {
    joined.clear();
    for (index, part) in parts.enumerate() {
        if index > 0 {
            joined.push(LABEL_SEPARATOR);
        }
        if part.contains(LABEL_SPECIAL) || joined.len() + part.len() > LONGEST_NAME {
            return None;
        }
        joined.push_str(part);
    }
    Some(())
}

/// The names that one thread has used in one journal.
#[derive(Default)]
pub(crate) struct CachedNames {
    kinds: [CachedKind; KINDS],
    /// Where the labels found last are.
    last_labels: usize,
    /// Where labels are joined to be looked up; kept, so that this allocates once.
    joined: String,
}

#[derive(Default)]
struct CachedKind {
    names: Vec<CachedName>,
    places: AHashMap<Arc<str>, usize>,
    /// A guess at the place of a name, by the address that it is asked for at: a loop asks with the
    /// same few strings again and again. A found name is compared, so a wrong guess costs time
    /// only.
    guesses: [usize; GUESSES],
}

/// A power of two.
const GUESSES: usize = 16;

struct CachedName {
    text: Arc<str>,
    id: LocalName,
    /// How many labels the text joins, should it be labels.
    parts: usize,
}

impl CachedKind {
    #[inline]
    fn place(&mut self, name: &str) -> Option<usize> {
        // Literals lie side by side, allocations 16 bytes apart or more.
        let address = name.as_ptr().addr();
        let guess = &mut self.guesses[(address ^ (address >> 4)) % GUESSES];
        match self.names.get(*guess) {
            Some(found) if is_same(&found.text, name) => Some(*guess),
            _ => {
                *guess = *self.places.get(name)?;
                Some(*guess)
            }
        }
    }
}

impl CachedNames {
    /// The id of `name`, if this thread has used it.
    #[inline]
    pub(crate) fn find(&mut self, kind: NameKind, name: &str) -> Option<LocalName> {
        let cached = &mut self.kinds[kind as usize - 1];
        let place = cached.place(name)?;
        cached.names.get(place).map(|found| found.id)
    }

    /// The id of the labels `parts` as one name, if this thread has used it.
    #[inline]
    pub(crate) fn find_labels<'a>(
        &mut self,
        parts: impl Iterator<Item = &'a str> + Clone,
    ) -> Option<LocalName> {
        self.last_labels(parts.clone())
            .or_else(|| self.other_labels(parts))
    }

    /// The id of `parts`, if they are the labels found last; compared without joining them.
    #[inline]
    fn last_labels<'a>(&self, parts: impl Iterator<Item = &'a str>) -> Option<LocalName> {
        let cached = &self.kinds[NameKind::Labels as usize - 1];
        let last = cached.names.get(self.last_labels)?;
        let mut rest = &*last.text;
        let mut matched = 0;
        for part in parts {
            if matched > 0 {
                rest = rest.strip_prefix(LABEL_SEPARATOR)?;
            }
            let (head, tail) = rest.split_at_checked(part.len())?;
            if !is_same(head, part) {
                return None;
            }
            rest = tail;
            matched += 1;
        }
        // The count tells two labels from one that has the separator in it.
        (rest.is_empty() && matched == last.parts).then_some(last.id)
    }

    #[inline(never)]
    fn other_labels<'a>(&mut self, parts: impl Iterator<Item = &'a str>) -> Option<LocalName> {
        join(parts, &mut self.joined)?;
        let cached = &mut self.kinds[NameKind::Labels as usize - 1];
        let place = cached.place(&self.joined)?;
        self.last_labels = place;
        cached.names.get(place).map(|found| found.id)
    }

    fn remember(&mut self, kind: NameKind, text: Arc<str>, id: LocalName) {
        let cached = &mut self.kinds[kind as usize - 1];
        let place = cached.names.len();
        cached.places.insert(text.clone(), place);
        let parts = text.matches(LABEL_SEPARATOR).count() + 1;
        cached.names.push(CachedName { text, id, parts });
        if kind == NameKind::Labels {
            self.last_labels = place;
        }
    }
}

/// How many journals one thread's cache serves before the one used longest ago is forgotten.
const JOURNALS_PER_THREAD: usize = 4;

#[derive(Default)]
struct ThreadCache {
    /// Most recently used last.
    journals: Vec<(u64, CachedNames)>,
}

impl ThreadCache {
    #[inline]
    fn of(&mut self, instance: u64) -> &mut CachedNames {
        let newest = self.journals.len().wrapping_sub(1);
        match self.journals.get(newest) {
            Some((owner, _)) if *owner == instance => {}
            _ => self.bring_up(instance),
        }
        let newest = self.journals.len() - 1;
        &mut self.journals[newest].1
    }

    #[cold]
    fn bring_up(&mut self, instance: u64) {
        let known = self
            .journals
            .iter()
            .position(|(owner, _)| *owner == instance);
        let entry = match known {
            Some(index) => self.journals.remove(index),
            None => (instance, CachedNames::default()),
        };
        if self.journals.len() == JOURNALS_PER_THREAD {
            self.journals.remove(0);
        }
        self.journals.push(entry);
    }
}

thread_local! {
    static THREAD: RefCell<ThreadCache> = RefCell::default();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_do_not_share_ids_and_journals_do_not_share_tables() {
        let (one, other) = (LocalNames::new(10), LocalNames::new(10));
        assert_eq!(other.id(NameKind::Symbol, "filler"), Some(LocalName(1)));
        let model = one.id(NameKind::Model, "x");
        let symbol = one.id(NameKind::Symbol, "x");
        assert_eq!((model, symbol), (Some(LocalName(1)), Some(LocalName(2))));
        assert_eq!(other.id(NameKind::Model, "x"), Some(LocalName(2)));
        assert_eq!(one.id(NameKind::Model, "x"), model);
        assert_eq!(one.text(LocalName(2)), Some((NameKind::Symbol, "x".into())));
        assert_eq!(one.text(LocalName(0)), None);
        assert_eq!(one.text(LocalName(3)), None);
    }

    #[test]
    fn a_full_table_still_knows_what_it_has() {
        let table = LocalNames::new(1);
        assert_eq!(table.id(NameKind::Model, ""), Some(LocalName(1)));
        assert_eq!(table.id(NameKind::Model, "b"), None);
        assert_eq!(table.id(NameKind::Model, ""), Some(LocalName(1)));
        assert_eq!(
            table.id(NameKind::Symbol, &"x".repeat(LONGEST_NAME + 1)),
            None
        );
    }

    #[test]
    fn labels_are_one_name_unless_they_hold_the_separator() {
        let table = LocalNames::new(10);
        let id = table.labels_id(["BUY", "SELL"].into_iter());
        assert_eq!(id, table.id(NameKind::Labels, "BUY\u{1f}SELL"));
        assert_eq!(table.labels_id(["BUY\u{1f}SELL"].into_iter()), None);
        let found = |parts: &[&str]| {
            let parts = parts.iter().copied();
            table
                .with_thread(|names| names.find_labels(parts))
                .flatten()
        };
        assert_eq!(found(&["BUY", "SELL"]), id);
        assert_eq!(found(&["BUY"]), None);
        assert_eq!(found(&["BUY", "SELL", ""]), None);
        assert_eq!(found(&["BUYSELL"]), None);
        assert_eq!(found(&["BUY\u{1f}SELL"]), None);
        assert_eq!(found(&[]), None);
    }

    #[test]
    fn a_name_is_found_by_what_it_says_wherever_it_stands() {
        let table = LocalNames::new(1_000);
        // All in one place, one after the other.
        let mut buffer = String::new();
        for round in 0..3 {
            for number in 1..=100_u32 {
                buffer.clear();
                buffer.push_str(&"x".repeat(number as usize));
                let id = table.id(NameKind::Symbol, &buffer);
                assert_eq!(id, Some(LocalName(number)), "round {round}");
            }
        }
        assert_eq!(table.len(), 100);
    }

    #[test]
    fn five_journals_in_one_thread_keep_their_ids() {
        let tables: Vec<_> = (0..5).map(|_| LocalNames::new(10)).collect();
        for round in 0..3 {
            for (index, table) in tables.iter().enumerate() {
                let name = format!("own {index}");
                assert_eq!(
                    table.id(NameKind::Model, &name),
                    Some(LocalName(1)),
                    "round {round}"
                );
            }
        }
    }

    #[test]
    fn threads_agree_on_ids() {
        let table = LocalNames::new(1_000);
        let ids = |table: &LocalNames| -> Vec<_> {
            (0..100)
                .map(|n| table.id(NameKind::Symbol, &format!("s{n}")))
                .collect()
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| ids(&table))).collect();
            let first = ids(&table);
            for thread in threads {
                assert_eq!(thread.join().ok().as_ref(), Some(&first));
            }
        });
        assert_eq!(table.len(), 100);
    }
}

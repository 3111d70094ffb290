//! Names of this process, by the ids that they are stored under.

use ahash::AHashSet;

use crate::engine::format::row::NameId;
use crate::record::queue::names::LocalName;
use crate::record::queue::record::Message;

/// Names of this process → stored name ids; 0 where none is known yet.
#[derive(Default)]
pub(super) struct StoredNames {
    ids: Vec<NameId>,
    known: usize,
}

impl StoredNames {
    #[inline]
    pub(super) fn get(&self, name: LocalName) -> NameId {
        self.ids.get(name as usize).copied().unwrap_or(0)
    }

    pub(super) fn set(&mut self, name: LocalName, stored: NameId) {
        let index = name as usize;
        if self.ids.len() <= index {
            self.ids.resize(index + 1, 0);
        }
        self.known += usize::from(self.ids[index] == 0 && stored != 0);
        self.ids[index] = stored;
    }

    /// The names in `messages` that have no stored id yet, each once; of `all` that there are.
    pub(super) fn unknown(&self, messages: &[Message], all: usize) -> Vec<LocalName> {
        let mut unknown = AHashSet::new();
        if self.known == all {
            return Vec::new();
        }
        for message in messages {
            message.each_name(|name| {
                if self.get(name) == 0 {
                    unknown.insert(name);
                }
            });
        }
        unknown.into_iter().collect()
    }
}

//! Names of this process, by the ids that they are stored under.
//!
//! It is not the table of `record/queue/local_names.rs`: that gives numbers to texts without the
//! journal, on the threads that log. This one only adds the stored id to such a number, on the
//! writer's thread, without a lock. Names without a number are in the cache of
//! `engine/name_cache.rs`, as for an import.

use std::sync::Arc;

use ahash::AHashSet;

use crate::engine::format::name::NameKind;
use crate::engine::format::row::NameId;
use crate::engine::name_cache::NameCache;
use crate::record::queue::local_names::{LocalName, LocalNames, NO_NAME};
use crate::record::queue::message::Message;

/// Names of this process → stored name ids; none where none is known yet.
#[derive(Default)]
pub(crate) struct WriterDictionary {
    ids: Vec<NameId>,
    known: usize,
    /// Names that the process's table has no room for.
    overflow: NameCache,
    /// Of [`OWN`].
    own: NameId,
}

/// A name that has no stored id yet.
pub(crate) struct UnknownName {
    /// [`NO_NAME`] if the process's table has no room for it.
    local: LocalName,
    kind: NameKind,
    text: Arc<str>,
}

impl WriterDictionary {
    #[inline]
    pub(crate) fn get(&self, name: LocalName) -> NameId {
        let stored = self.ids.get(name.get() as usize);
        stored.copied().unwrap_or_default()
    }

    /// The stored id of a name, which the message has in words if `local` is none.
    #[inline]
    pub(crate) fn of(&self, kind: NameKind, local: LocalName, written: Option<&str>) -> NameId {
        match written {
            Some(text) => self.overflow.known(kind, text).unwrap_or_default(),
            None => self.get(local),
        }
    }

    /// Takes over the ids that `intern` gives to names, in their order.
    pub(crate) fn learn<E>(
        &mut self,
        unknown: Vec<UnknownName>,
        intern: impl FnOnce(&[(u8, Arc<str>)]) -> Result<Vec<NameId>, E>,
    ) -> Result<(), E> {
        let texts: Vec<_> = unknown
            .iter()
            .map(|name| (name.kind as u8, name.text.clone()))
            .collect();
        for (name, stored) in unknown.into_iter().zip(intern(&texts)?) {
            self.set(name, stored);
        }
        Ok(())
    }

    fn set(&mut self, unknown: UnknownName, stored: NameId) {
        if unknown.kind == NameKind::Component && &*unknown.text == OWN {
            self.own = stored;
        }
        if unknown.local == NO_NAME {
            return self.overflow.put(unknown.kind, unknown.text, stored);
        }
        let index = unknown.local.get() as usize;
        if self.ids.len() <= index {
            self.ids.resize(index + 1, NameId::NONE);
        }
        self.known += usize::from(self.ids[index] == NameId::NONE && stored != NameId::NONE);
        self.ids[index] = stored;
    }

    /// The names in `messages` that have no stored id yet, each once; of `all` that `table` has.
    /// Those that have one, and those that are set next, are known until this is called again.
    pub(crate) fn unknown(
        &mut self,
        messages: &[Message],
        table: &LocalNames,
        all: usize,
    ) -> Vec<UnknownName> {
        let mut unknown = Vec::new();
        // Usually every name of the process has its id, and no message is looked at.
        if self.known != all {
            let mut found = AHashSet::new();
            for message in messages {
                message.each_name(|name| {
                    if self.get(name) == NameId::NONE && found.insert(name) {
                        let named = table.text(name);
                        unknown.extend(named.map(|(kind, text)| UnknownName {
                            local: name,
                            kind,
                            text,
                        }));
                    }
                });
            }
        }
        // Before the search: what is forgotten here is asked for again below.
        self.overflow.make_room();
        let mut found: AHashSet<(u8, Arc<str>)> = AHashSet::new();
        for message in messages {
            message.each_written(|kind, text| {
                if self.overflow.find(kind, text).is_none() {
                    let text: Arc<str> = text.into();
                    if found.insert((kind as u8, text.clone())) {
                        unknown.push(UnknownName {
                            local: NO_NAME,
                            kind,
                            text,
                        });
                    }
                }
            });
        }
        // A divergence is reported right behind its decision, without another transaction.
        if self.own == NameId::NONE && messages.iter().any(Message::is_deterministic) {
            unknown.push(UnknownName {
                local: NO_NAME,
                kind: NameKind::Component,
                text: OWN.into(),
            });
        }
        unknown
    }

    /// The component that the journal's own events name, once a deterministic decision was met.
    pub(crate) fn own(&self) -> NameId {
        self.own
    }
}

/// The component of the journal's own events.
const OWN: &str = "annals";

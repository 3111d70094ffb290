//! Texts pass the program's redaction hook here, in the thread of their call, before anything of
//! them is queued.

use std::borrow::Cow;
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Queue;
use super::message::TypedField;
use crate::entry::redaction::{RedactedPlace, Redaction, RedactionHook};
use crate::entry::typed::TypedValue;
use crate::entry::value::Value;
use crate::threads::panics;

/// Stands for a text whose redaction panicked.
const DROPPED: &str = "[dropped: its redaction panicked]";

thread_local! {
    /// Whether this thread is in a hook.
    static IS_INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// The hook of a journal, and how often it panicked.
pub(crate) struct Redactor {
    hook: RedactionHook,
    panics: AtomicU64,
}

impl Redactor {
    pub(crate) fn new(hook: RedactionHook) -> Self {
        Redactor {
            hook,
            panics: AtomicU64::new(0),
        }
    }

    /// Contents that were dropped because the hook panicked.
    pub(crate) fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    /// What is left of a content; `None` if it is to be dropped.
    pub(super) fn content<'c>(
        &self,
        place: RedactedPlace,
        name: &'c str,
        content: &'c [u8],
    ) -> Option<Cow<'c, [u8]>> {
        // A call of the hook itself: it would be redacted for ever.
        let was_inside = IS_INSIDE.try_with(|inside| inside.replace(true));
        if !matches!(was_inside, Ok(false)) {
            self.panics.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        let mut redaction = Redaction::new(place, name, content);
        // Its message may have the text, so no hook of panics gets it.
        let done = panics::caught(|| self.hook.call(&mut redaction));
        let _ = IS_INSIDE.try_with(|inside| inside.set(false));
        match done {
            Ok(()) => Some(redaction.into_content()),
            Err(_) => {
                self.panics.fetch_add(1, Ordering::Relaxed);
                None
            }
        }
    }

    /// Replaces a text by what is left of it.
    pub(super) fn text(&self, place: RedactedPlace, name: &str, text: &mut String) {
        let left = match self.content(place, name, text.as_bytes()) {
            // Untouched.
            Some(Cow::Borrowed(_)) => return,
            Some(Cow::Owned(left)) => String::from_utf8(left)
                .unwrap_or_else(|wrong| String::from_utf8_lossy(wrong.as_bytes()).into_owned()),
            None => DROPPED.to_owned(),
        };
        *text = left;
    }

    /// Replaces the texts among the values of attributes or fields.
    pub(super) fn pairs(&self, place: RedactedPlace, pairs: &mut [(String, Value)]) {
        for (name, value) in pairs {
            if let Value::Text(text) = value {
                self.text(place, name, text);
            }
        }
    }
}

impl Queue {
    /// Replaces the texts among attributes that a recorder has bound.
    pub(super) fn redact_fields(&self, fields: &mut [TypedField]) {
        let Some(redactor) = &self.redactor else {
            return;
        };
        for field in fields {
            if let TypedValue::Text(text) = &mut field.value {
                let known = self.names.text(field.name);
                let known = known.as_ref().map(|(_, name)| &**name);
                let name = field.written.as_deref().or(known).unwrap_or_default();
                let mut left = std::mem::take(text).into_string();
                redactor.text(RedactedPlace::Attribute, name, &mut left);
                *text = left.into_boxed_str();
            }
        }
    }
}

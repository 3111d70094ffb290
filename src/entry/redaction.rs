//! A program's own hook, which sees texts before they are queued.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// One text, or bytes, that a call is about to record; for the hook of
/// [`Options::redact`](crate::Options::redact).
pub struct Redaction<'a> {
    place: RedactedPlace,
    name: &'a str,
    content: Cow<'a, [u8]>,
}

/// Where a [`Redaction`] belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RedactedPlace {
    /// The text of an attribute; the name is its key.
    Attribute,
    /// A blob; the name is its own.
    Blob,
    /// An input that was given as bytes. It has no name.
    Input,
    /// The message of a system event; the name is its component.
    Message,
    /// The text of a system event's field; the name is its key.
    Field,
    /// The detail of a checkpoint event; the name is the model.
    Detail,
    /// The label of an outcome. It has no name.
    Label,
}

impl<'a> Redaction<'a> {
    pub(crate) fn new(place: RedactedPlace, name: &'a str, content: &'a [u8]) -> Self {
        Redaction {
            place,
            name,
            content: Cow::Borrowed(content),
        }
    }

    /// Where it belongs.
    ///
    /// ```
    /// use annals::Journal;
    /// use annals::record::RedactedPlace;
    ///
    /// let options = Journal::options().redact(|text| {
    ///     if text.place() == RedactedPlace::Blob {
    ///         text.replace("");
    ///     }
    /// });
    /// # drop(options);
    /// ```
    #[must_use]
    pub fn place(&self) -> RedactedPlace {
        self.place
    }

    /// Its name, as [`RedactedPlace`] says.
    ///
    /// ```
    /// use annals::Journal;
    ///
    /// let options = Journal::options().redact(|text| {
    ///     if text.name() == "user_email" {
    ///         text.replace("somebody");
    ///     }
    /// });
    /// # drop(options);
    /// ```
    #[must_use]
    pub fn name(&self) -> &str {
        self.name
    }

    /// The text as it is now; `None` for bytes that are no UTF-8. Reads all of it.
    ///
    /// ```
    /// use annals::Journal;
    ///
    /// let options = Journal::options().redact(|text| {
    ///     let Some(given) = text.text().filter(|given| given.contains("secret")) else { return };
    ///     text.replace(given.replace("secret", "***"));
    /// });
    /// # drop(options);
    /// ```
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.content).ok()
    }

    /// The bytes as they are now.
    ///
    /// ```
    /// use annals::Journal;
    ///
    /// let options = Journal::options().redact(|text| {
    ///     let is_image = text.bytes().starts_with(&[0xff, 0xd8]);
    /// #   let _ = is_image;
    /// });
    /// # drop(options);
    /// ```
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.content
    }

    /// Records this instead. In a place of text, bytes that are no UTF-8 become `U+FFFD`.
    ///
    /// ```
    /// use annals::Journal;
    ///
    /// let options = Journal::options().redact(|text| text.replace("nothing is kept"));
    /// # drop(options);
    /// ```
    pub fn replace(&mut self, content: impl Into<Vec<u8>>) {
        self.content = Cow::Owned(content.into());
    }

    pub(crate) fn into_content(self) -> Cow<'a, [u8]> {
        self.content
    }
}

impl fmt::Debug for Redaction<'_> {
    /// Without the content, which may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redaction")
            .field("place", &self.place)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// The hook of a journal.
#[derive(Clone)]
pub(crate) struct RedactionHook(Arc<dyn Fn(&mut Redaction<'_>) + Send + Sync>);

impl RedactionHook {
    pub(crate) fn new(hook: impl Fn(&mut Redaction<'_>) + Send + Sync + 'static) -> Self {
        RedactionHook(Arc::new(hook))
    }

    pub(crate) fn call(&self, redaction: &mut Redaction<'_>) {
        (self.0)(redaction);
    }
}

impl fmt::Debug for RedactionHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RedactionHook")
    }
}

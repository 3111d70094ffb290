//! Texts and bytes that a decision keeps by name: a prompt, an answer.

/// Most blobs of one decision.
pub(crate) const MOST_BLOBS: usize = 16;
/// Most bytes of a blob's name.
pub(crate) const MOST_BLOB_NAME: usize = 64;

/// A text, or bytes, that a decision keeps under a name; for
/// [`Inference::blobs`](crate::Inference::blobs) and
/// [`Prepared::blobs`](crate::record::Prepared::blobs). It borrows both.
///
/// ```
/// use annals::record::Blob;
///
/// let (prompt, image) = (String::from("is this safe?"), vec![0xff, 0xd8]);
/// let blobs = [Blob::new("prompt", &prompt), Blob::new("image", &image)];
/// # assert_eq!(blobs.len(), 2);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Blob<'a> {
    pub(crate) name: &'a str,
    pub(crate) bytes: &'a [u8],
}

impl<'a> Blob<'a> {
    /// The content under a name of up to 64 bytes.
    ///
    /// ```
    /// use annals::record::Blob;
    ///
    /// let answer = Blob::new("answer", "yes");
    /// # let _ = answer;
    /// ```
    #[inline]
    pub fn new<B: AsRef<[u8]> + ?Sized>(name: &'a str, content: &'a B) -> Self {
        Blob {
            name,
            bytes: content.as_ref(),
        }
    }
}

/// A blob of a decision, or why there is none; from [`Reader::blob`](crate::Reader::blob).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeptBlob {
    /// Its bytes, as they were given, or as a redaction left them.
    Kept(Vec<u8>),
    /// The decision has none of this name, or the journal keeps no inputs.
    NotKept,
    /// It was given up: more than 1 MiB, no room in the queue, a file that could not be written, a
    /// redaction that panicked, or the death of its process before the commit. [`Health::inputs`]
    /// counts the reasons.
    ///
    /// [`Health::inputs`]: crate::health::Health::inputs
    GivenUp,
    /// Its file is gone: removed for the budget, or not in this copy.
    Removed,
}

impl KeptBlob {
    /// The bytes, if they are there.
    ///
    /// ```
    /// use annals::{Inference, Journal};
    ///
    /// let journal = Journal::in_memory()?; // which keeps none
    /// let id = journal.log(Inference::new("m", "s", "yes")).unwrap();
    /// journal.flush().wait(std::time::Duration::from_secs(5))?;
    /// assert_eq!(journal.reader()?.blob(id, "prompt")?.kept(), None);
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn kept(self) -> Option<Vec<u8>> {
        match self {
            KeptBlob::Kept(bytes) => Some(bytes),
            KeptBlob::NotKept | KeptBlob::GivenUp | KeptBlob::Removed => None,
        }
    }

    /// The text, if it is there and is one.
    ///
    /// ```
    /// use annals::entry::KeptBlob;
    ///
    /// assert_eq!(KeptBlob::Kept(b"yes".to_vec()).text().as_deref(), Some("yes"));
    /// assert_eq!(KeptBlob::Kept(vec![0xff]).text(), None);
    /// ```
    #[must_use]
    pub fn text(self) -> Option<String> {
        self.kept().and_then(|bytes| String::from_utf8(bytes).ok())
    }
}

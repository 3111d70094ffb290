//! What a run says about the program that decided.

/// Most bytes of a program's name, of its version, of a feature and of a key.
pub(crate) const MOST_WORD: usize = 256;
/// Most bytes of a value, and of an argument of the command line.
pub(crate) const MOST_VALUE: usize = 4 << 10;
/// Most features, and most pairs.
pub(crate) const MOST_ITEMS: usize = 256;
/// Most bytes of all texts of a manifest, those of the command line left out.
pub(crate) const MOST_MANIFEST: usize = 64 << 10;
/// Most arguments of a command line.
pub(crate) const MOST_ARGUMENTS: usize = 64;
/// Most bytes of a command line.
pub(crate) const MOST_COMMAND_LINE: usize = 8 << 10;

/// Which program decided in a run, and how it was started; part of a [`Run`](super::Run). What it
/// has is set by [`Options::manifest`](crate::Options::manifest).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunManifest {
    /// The program's name, as its author gave it.
    pub program: Option<String>,
    /// The program's version, as its author gave it.
    pub version: Option<String>,
    /// The features that the program was built with, as its author gave them.
    pub features: Vec<String>,
    /// BLAKE3 of the executable's file. `None` if the run ended before it was known, if the file
    /// cannot be read, or if it has more than 1 GiB.
    pub executable: Option<[u8; 32]>,
    /// The machine's name.
    pub host: Option<String>,
    /// The command line, the program's path first, without secrets. Empty if it was switched off.
    pub command_line: Vec<String>,
    /// The seed of the run's random numbers, as its author gave it.
    pub seed: Option<u64>,
    /// Everything else that its author gave, in the order given.
    pub pairs: Vec<(String, String)>,
}

impl RunManifest {
    /// The value of a pair.
    ///
    /// ```
    /// use annals::{Journal, Manifest};
    ///
    /// let manifest = Manifest::new().pairs([("commit", "1f0c2ab")]);
    /// let journal = Journal::options().manifest(manifest).in_memory()?;
    /// let run = journal.reader()?.runs().next().transpose()?.expect("this one");
    /// let manifest = run.manifest.expect("it was given");
    /// assert_eq!(manifest.get("commit"), Some("1f0c2ab"));
    /// assert_eq!(manifest.get("branch"), None);
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        let pair = self.pairs.iter().find(|(known, _)| known == key);
        pair.map(|(_, value)| value.as_str())
    }

    /// Refuses what no journal has room for: which part, its value, and what to do.
    pub(crate) fn check(&self) -> Result<(), (&'static str, String, &'static str)> {
        let words = [&self.program, &self.version];
        let words = words.into_iter().flatten().chain(&self.features);
        let keys = self.pairs.iter().map(|(key, _)| key);
        let is_long = |word: &&String| word.len() > MOST_WORD;
        // The host is no part of what the caller gives, and counts for no sum.
        let all = words.clone().chain(keys.clone()).chain(&self.host);
        if let Some(long) = all.into_iter().find(is_long) {
            let value = format!("a name of {} bytes", long.len());
            return Err(("manifest", value, "give at most 256 bytes"));
        }
        if self.features.len().max(self.pairs.len()) > MOST_ITEMS {
            let value = format!(
                "{} features, {} pairs",
                self.features.len(),
                self.pairs.len()
            );
            return Err(("manifest", value, "give at most 256 of each"));
        }
        for (place, (key, value)) in self.pairs.iter().enumerate() {
            if value.len() > MOST_VALUE {
                let value = format!("{key:?} with {} bytes", value.len());
                return Err(("manifest", value, "give a value of at most 4,096 bytes"));
            }
            let before = self.pairs.get(..place).unwrap_or_default();
            if key.is_empty() || before.iter().any(|(known, _)| known == key) {
                let advice = "give each pair a key, and each key once";
                return Err(("manifest", format!("the key {key:?}"), advice));
            }
        }
        let bytes = words.chain(keys).map(String::len);
        let values = self.pairs.iter().map(|(_, value)| value.len());
        let bytes: usize = bytes.chain(values).sum();
        if bytes > MOST_MANIFEST {
            let value = format!("{bytes} bytes");
            return Err(("manifest", value, "give at most 64 KiB in all"));
        }
        let of_line = self.command_line.iter().map(String::len);
        if self.command_line.len() > MOST_ARGUMENTS || of_line.sum::<usize>() > MOST_COMMAND_LINE {
            let value = format!("{} arguments", self.command_line.len());
            return Err(("command line", value, "give at most 64, of 8 KiB"));
        }
        Ok(())
    }
}

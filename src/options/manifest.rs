//! What a program says about itself, for the manifests of its runs.

use std::fmt::Display;

use super::command_line;
use crate::entry::error::{Error, Result};
use crate::entry::manifest::RunManifest;
use crate::fs::host;

/// What the runs of a journal say about the program that decides; for
/// [`Options::manifest`](crate::Options::manifest).
///
/// A run stores the machine's name, the command line without secrets and a digest of the executable
/// by itself. The rest is known to the program alone.
///
/// ```
/// use annals::{Journal, Manifest};
///
/// let manifest = Manifest::new()
///     .program(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
///     .features(cfg!(feature = "gpu").then_some("gpu"))
///     .seed(42)
///     .pairs([("commit", option_env!("GIT_COMMIT").unwrap_or("unknown")), ("stage", "paper")]);
/// let journal = Journal::options().manifest(manifest).in_memory()?;
///
/// let run = journal.reader()?.runs().next().transpose()?.expect("this one");
/// let manifest = run.manifest.expect("it was given");
/// assert_eq!(manifest.program.as_deref(), Some("annals"));
/// assert_eq!((manifest.seed, manifest.get("stage")), (Some(42), Some("paper")));
/// # Ok::<(), annals::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "a manifest is stored by the options that it is given to"]
pub struct Manifest {
    given: RunManifest,
    without_command_line: bool,
    without_host: bool,
}

impl Manifest {
    /// Nothing but what each run stores by itself.
    ///
    /// ```
    /// use annals::{Journal, Manifest};
    ///
    /// let journal = Journal::options().manifest(Manifest::new()).in_memory()?; // as by default
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn new() -> Self {
        Manifest::default()
    }

    /// Name and version of the program. Up to 256 bytes each.
    ///
    /// ```
    /// use annals::{Journal, Manifest};
    ///
    /// let manifest = Manifest::new().program(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    /// let journal = Journal::options().manifest(manifest).in_memory()?;
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn program(mut self, name: impl Into<String>, version: impl Into<String>) -> Self {
        self.given.program = Some(name.into());
        self.given.version = Some(version.into());
        self
    }

    /// The features that the program was built with. Up to 256 of up to 256 bytes; later calls add
    /// to those of earlier ones.
    ///
    /// ```
    /// use annals::{Journal, Manifest};
    ///
    /// let manifest = Manifest::new().features(["gpu", "half"]);
    /// let journal = Journal::options().manifest(manifest).in_memory()?;
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn features<F: AsRef<str>>(mut self, features: impl IntoIterator<Item = F>) -> Self {
        let features = features.into_iter();
        let features = features.map(|feature| feature.as_ref().to_owned());
        self.given.features.extend(features);
        self
    }

    /// The seed of the run's random numbers.
    ///
    /// ```
    /// use annals::{Journal, Manifest};
    ///
    /// let journal = Journal::options().manifest(Manifest::new().seed(42)).in_memory()?;
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn seed(mut self, seed: u64) -> Self {
        self.given.seed = Some(seed);
        self
    }

    /// Anything else, by name: the commit, the data's version, hyper-parameters. Values are stored
    /// as text, as given: nothing looks for secrets in them. Up to 256 pairs; a key has up to 256
    /// bytes, a value up to 4 KiB, all together up to 64 KiB. Each key once.
    ///
    /// ```
    /// use annals::{Journal, Manifest};
    ///
    /// let manifest = Manifest::new().pairs([("learning_rate", 0.001), ("discount", 0.99)]);
    /// let journal = Journal::options().manifest(manifest).in_memory()?;
    ///
    /// let twice = Manifest::new().pairs([("a", 1), ("a", 2)]);
    /// assert!(Journal::options().manifest(twice).in_memory().is_err());
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn pairs<K: Into<String>, V: Display>(
        mut self,
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let pairs = pairs.into_iter();
        let pairs = pairs.map(|(key, value)| (key.into(), value.to_string()));
        self.given.pairs.extend(pairs);
        self
    }

    /// Stores no command line. By default its first 64 arguments are stored, up to 8 KiB, and
    /// secrets in them as `***`:
    ///
    /// * An argument up to `=` or `:` has a name. If one of the name's words is `password`, `pass`,
    ///   `pwd`, `secret`, `token`, `key`, `credential`, `auth` or a word like them, everything
    ///   behind the `=` or `:` is masked. So are `API_KEY=x`, `--db-password=x`,
    ///   `Authorization: Bearer x` and `https://host/?token=x`.
    /// * Behind an option with such a name and without a value, as `--token`, the next argument is
    ///   masked.
    /// * Of a URL, everything between `://` and the last `@` is masked.
    ///
    /// A secret with a harmless name cannot be known, such as a password behind `-p`.
    ///
    /// ```
    /// use annals::{Journal, Manifest};
    ///
    /// let manifest = Manifest::new().without_command_line();
    /// let journal = Journal::options().manifest(manifest).in_memory()?;
    /// let run = journal.reader()?.runs().next().transpose()?.expect("this one");
    /// assert!(run.manifest.expect("of each run").command_line.is_empty());
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn without_command_line(mut self) -> Self {
        self.without_command_line = true;
        self
    }

    /// Stores no name of the machine.
    ///
    /// ```
    /// use annals::{Journal, Manifest};
    ///
    /// let manifest = Manifest::new().without_host();
    /// let journal = Journal::options().manifest(manifest).in_memory()?;
    /// let run = journal.reader()?.runs().next().transpose()?.expect("this one");
    /// assert_eq!(run.manifest.expect("of each run").host, None);
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn without_host(mut self) -> Self {
        self.without_host = true;
        self
    }

    /// Refuses what no journal has room for.
    pub(super) fn check(&self) -> Result<()> {
        self.given
            .check()
            .map_err(|(name, value, advice)| Error::InvalidOption {
                name,
                value,
                advice,
            })
    }

    /// The manifest of a run that begins now, without the digest of the executable.
    pub(crate) fn of_this_process(&self) -> RunManifest {
        let mut manifest = self.given.clone();
        if !self.without_host {
            manifest.host = host::name();
        }
        if !self.without_command_line {
            let arguments = std::env::args_os();
            let arguments = arguments.map(|one| one.to_string_lossy().into_owned());
            manifest.command_line = command_line::without_secrets(arguments);
        }
        manifest
    }
}

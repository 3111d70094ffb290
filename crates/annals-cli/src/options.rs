//! The configuration file of a journal, as its agent reads it.

use std::fs;
use std::path::{Path, PathBuf};

use annals::logs::Mirror;
use annals::{Options, RetentionPolicy};
use serde::Deserialize;

use crate::failure::{Failure, Result};

/// The parts that commands use.
#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Configured {
    /// Policy for entries.
    pub retention: Option<RetentionPolicy>,
    /// Settings of the text files.
    pub mirror: Option<Mirror>,
    #[serde(skip)]
    texts: TextFileOptions,
}

/// Parts of the settings of the text files.
#[derive(Deserialize, Default)]
#[serde(default)]
struct TextFileOptions {
    retention: Option<RetentionPolicy>,
    directory: Option<PathBuf>,
}

impl Configured {
    /// Reads the file, which has to be whole and right.
    pub fn read(path: &Path) -> Result<Self> {
        #[derive(Deserialize)]
        struct File {
            #[serde(default)]
            mirror: TextFileOptions,
        }
        let name = path.display();
        let text =
            fs::read_to_string(path).map_err(|cause| Failure::io(format!("read {name}"), cause))?;
        let wrong = |error: serde_json::Error| {
            Failure::Usage(format!("{name} is no file of options in JSON: {error}"))
        };
        // A misspelt name is an error here as it is in the agent.
        let _checked: Options = serde_json::from_str(&text).map_err(wrong)?;
        let mut read: Configured = serde_json::from_str(&text).map_err(wrong)?;
        read.texts = serde_json::from_str::<File>(&text).map_err(wrong)?.mirror;
        Ok(read)
    }

    /// Reads the file, if one was named.
    pub fn read_some(path: Option<&Path>) -> Result<Self> {
        path.map_or_else(|| Ok(Configured::default()), Configured::read)
    }

    /// Policy for text files.
    pub fn log_retention(&self) -> Option<RetentionPolicy> {
        self.texts.retention.clone()
    }

    /// The directory of the text files, if it is not in the journal's.
    pub fn logs(&self) -> Option<PathBuf> {
        self.texts.directory.clone()
    }
}

/// The policy of a file, or one without rules if the command line has all of them.
pub fn base(
    configured: Option<RetentionPolicy>,
    path: Option<&Path>,
    has_limit: bool,
    what: &str,
) -> Result<RetentionPolicy> {
    match (configured, path) {
        (None, Some(path)) if !has_limit => Err(Failure::Usage(format!(
            "{} has no retention of {what}: add one, or give a limit such as --max-age 30d",
            path.display()
        ))),
        (configured, _) => Ok(configured.unwrap_or_default()),
    }
}

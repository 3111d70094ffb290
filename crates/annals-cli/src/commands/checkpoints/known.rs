//! Names of models, checkpoints, aliases and metrics that have to exist. A misspelt one is an error
//! that lists near names, and never makes a new one.

use annals::{Checkpoint, Error, Registry};

use crate::failure::{Failure, Result};
use crate::near::unknown;

/// The command that lists models and checkpoints.
const LIST: &str = "`annals checkpoints list` shows the models";

/// Refuses a model that the registry does not know.
pub fn model(registry: &Registry, name: &str) -> Result<()> {
    let known = registry.models()?;
    if known.iter().any(|known| known == name) {
        return Ok(());
    }
    Err(unknown("model", name, &known, LIST))
}

/// Refuses a metric that no checkpoint of the model has.
pub fn metric(registry: &Registry, model: &str, name: &str) -> Result<()> {
    let known = registry.metrics(model)?;
    if known.iter().any(|known| known == name) {
        return Ok(());
    }
    let what = format!("checkpoint of {model:?} has the metric");
    let shows = format!("`annals checkpoints list {model}` shows its checkpoints");
    Err(unknown(&what, name, &known, &shows))
}

/// The checkpoint with this id.
pub fn checkpoint(registry: &Registry, id: &str) -> Result<Checkpoint> {
    match registry.find(id) {
        Err(Error::UnknownCheckpoint { .. }) => {
            let mut known = Vec::new();
            for model in registry.models()? {
                let listed = registry.list(model).get()?;
                known.extend(listed.iter().map(|one| one.id().to_owned()));
            }
            let shows = "`annals checkpoints list MODEL` shows which there are, `annals \
                         checkpoints reconcile` takes in files that are not known yet";
            Err(unknown("checkpoint", id, &known, shows))
        }
        found => Ok(found?),
    }
}

/// Refuses an alias that the model does not have, and never had if `history` is meant.
pub fn alias(registry: &Registry, of: &str, name: &str) -> Result<()> {
    model(registry, of)?;
    if !registry.alias_history(of, name)?.is_empty() {
        return Ok(());
    }
    let known = registry.aliases(of)?;
    let known: Vec<String> = known.into_iter().map(|(alias, _)| alias).collect();
    let shows = format!("`annals checkpoints list {of}` shows its aliases");
    Err(unknown(&format!("alias of {of:?}"), name, &known, &shows))
}

/// The next step for a name that is meant to be new.
pub fn or_new(error: Failure) -> Failure {
    match error {
        Failure::Usage(why) => Failure::Usage(format!("{why}; --new if it is to be new")),
        other => other,
    }
}

//! Failures, as one line on stderr and an exit code.

use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use annals::Error;

use crate::escape::sentence;
use crate::units;

/// The result of a command.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

/// How a command ended that did what it was asked to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Done {
    /// All is well: exit code 0.
    Well,
    /// It found problems, and has said them: exit code 1.
    WithProblems,
}

impl From<Done> for ExitCode {
    fn from(done: Done) -> Self {
        match done {
            Done::Well => ExitCode::SUCCESS,
            Done::WithProblems => ExitCode::from(1),
        }
    }
}

/// Why a command did not do what it was asked to.
#[derive(Debug)]
pub enum Failure {
    /// It was asked for something that makes no sense: exit code 2.
    Usage(String),
    /// There is no journal that could be opened: exit code 3; anything else of the library's: 4.
    Journal(Error),
    /// Reading or writing something that is no journal: exit code 4.
    Io(String, io::Error),
    /// Ctrl-C: exit code 130, as of a process that it ended.
    Interrupted,
}

impl Failure {
    /// An error with a file, said as the library says it.
    pub fn io(what: impl Into<String>, cause: io::Error) -> Self {
        Failure::Io(what.into(), cause)
    }

    /// Whether the reader of the output is gone.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Failure::Io(_, cause) if cause.kind() == io::ErrorKind::BrokenPipe)
    }

    /// Says it in one line on stderr.
    pub fn report(&self) -> ExitCode {
        let code = match self {
            Failure::Usage(_) => 2,
            Failure::Journal(error) => code_of(error),
            Failure::Io(..) => 4,
            Failure::Interrupted => 130,
        };
        anstream::eprintln!("annals: {}", sentence(&self.text()));
        ExitCode::from(code)
    }

    /// It in one line.
    pub fn text(&self) -> String {
        let text = match self {
            Failure::Usage(text) => text.clone(),
            Failure::Journal(error) => in_shell(error),
            Failure::Io(what, cause) => format!("cannot {what}: {}", in_words(cause)),
            Failure::Interrupted => "interrupted".to_owned(),
        };
        text.replace('\n', " ")
    }
}

/// Says in one line what was wrong with the arguments.
pub fn misunderstood(error: &clap::Error) -> ExitCode {
    let text = error.to_string();
    let lines = text.lines().map(str::trim);
    let lines =
        lines.take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"));
    let mut said = String::new();
    for line in lines.filter(|line| !line.is_empty()) {
        let between = match line {
            _ if said.is_empty() => "",
            tip if tip.starts_with("tip:") => "; ",
            _ => " ",
        };
        said.push_str(between);
        said.push_str(line);
    }
    let said = said.strip_prefix("error: ").unwrap_or(&said);
    // The standard library's words for numbers.
    let said = said
        .replace("invalid digit found in string", "not a whole number")
        .replace(
            "cannot parse integer from empty string",
            "not a whole number",
        )
        .replace("number too large to fit in target type", "too large");
    let hint = if said.is_empty() {
        "say what to do"
    } else {
        ""
    };
    Failure::Usage(format!("{said}{hint} (see --help)")).report()
}

/// The system's message, without the library's words for it.
fn in_words(cause: &io::Error) -> String {
    match cause.kind() {
        io::ErrorKind::AlreadyExists => "it is there already; give another name".to_owned(),
        _ => cause.to_string(),
    }
}

/// An error of the library, with what to do about it in a shell: the library names its own calls.
fn in_shell(error: &Error) -> String {
    match error {
        Error::Missing { path, .. } => format!(
            "no journal in {}: name its directory with -d DIR or in ANNALS_DIR; an agent or \
             `annals import` makes one",
            path.display()
        ),
        Error::NotADirectory { path, .. } => format!(
            "{} is a file, but a journal is a directory: name it with -d DIR or in ANNALS_DIR",
            path.display()
        ),
        Error::Corrupt { path, detail, .. } => damaged(path, detail),
        Error::InUse { path, reason, .. } => format!(
            "{} is held by another process ({reason}): stop that process, or try again later",
            path.display()
        ),
        Error::NeedsRecovery { path, reason, .. } => needs_recovery(path, reason),
        Error::Io {
            operation,
            path,
            cause,
            ..
        } => refused(operation, path, cause),
        Error::NoRoom { path, reason, .. } => no_room(path, reason),
        Error::Failed { path, reason, .. } => failed(path, reason),
        Error::TimedOut {
            operation, waited, ..
        } => timed_out(operation, *waited),
        Error::InvalidOption {
            name,
            value,
            advice,
            ..
        } => {
            // Rules of retention have the names of options.
            let is_rule = name.starts_with("max_") || name.starts_with("keep_");
            let name = match is_rule {
                true => format!("--{}", name.replace('_', "-")),
                false => (*name).to_owned(),
            };
            format!("{name} cannot be {value}: {advice}")
        }
        Error::ForeignCursor { cursor, reason, .. } => format!(
            "the cursor {cursor} does not fit this journal: {reason}; `annals cursors` lists \
             those that are stored, `annals cursors --remove NAME` forgets one"
        ),
        Error::Retired {
            path,
            sequence,
            kept,
            ..
        } => retired(path, *sequence, *kept),
        Error::UnknownCheckpoint { id, .. } => format!(
            "no checkpoint {id:?}: `annals checkpoints list MODEL` shows which there are, \
             `annals checkpoints reconcile` takes in files that are not known yet"
        ),
        Error::Deleted { id, at, why, .. } => format!(
            "checkpoint {id} was deleted at {at}: {why}; `annals checkpoints list MODEL` shows \
             which there are"
        ),
        Error::NoMonitor { model, known, .. } => match known.first() {
            Some(metric) => format!(
                "{model} has no monitor: set one with `annals checkpoints monitor {} {metric} \
                 min` (or max), or give --by METRIC --mode min; known are {}",
                quoted(model),
                known.join(", ")
            ),
            None => format!(
                "{model} has no monitor and no metrics: `annals checkpoints list {}` shows its \
                 checkpoints",
                quoted(model)
            ),
        },
        Error::NothingBefore { model, alias, .. } => format!(
            "the alias {alias:?} of {model} has nothing to roll back to: `annals checkpoints \
             alias {} ID` points it at a checkpoint",
            quoted(alias)
        ),
        Error::Unconfirmed {
            id, path, reason, ..
        } => unconfirmed(id, path, reason),
        Error::WeightsMissing { id, path, .. } => format!(
            "the weights of checkpoint {id} are missing from {}: restore the file and run \
             `annals checkpoints reconcile`",
            path.display()
        ),
        Error::WeightsCorrupt {
            id, path, detail, ..
        } => format!(
            "the weights of checkpoint {id} in {} are damaged ({detail}): restore the file and \
             run `annals checkpoints reconcile`",
            path.display()
        ),
        Error::Protected { id, by, .. } => format!(
            "checkpoint {id} is protected ({by}): `annals checkpoints pin --remove` or \
             `annals checkpoints alias --remove` releases it"
        ),
        Error::PlanOutdated {
            changes, deleted, ..
        } => format!(
            "the plan is out of date, {deleted} were deleted before that showed: {}; run the \
             command again",
            changes
                .iter()
                .take(20)
                .cloned()
                .collect::<Vec<_>>()
                .join(", ")
        ),
        Error::NoDirectory => "this needs a directory: name it with -d DIR".to_owned(),
        // These say what to do without naming a call.
        other => other.to_string(),
    }
}

fn damaged(path: &Path, detail: &str) -> String {
    format!(
        "{} is damaged: {detail}; `annals verify` lists the damage, `annals repair --yes` \
             keeps what can be read, and a whole backup is better",
        path.display()
    )
}

fn needs_recovery(path: &Path, reason: &str) -> String {
    format!(
        "{} needs recovery after its writer died, and cannot be opened for writing \
             ({reason}): run `annals status` as a user who may write there, or copy the \
             directory to where you may write",
        path.display()
    )
}

fn refused(operation: &str, path: &Path, cause: &io::Error) -> String {
    format!("cannot {operation} {}: {}", path.display(), in_words(cause))
}

fn no_room(path: &Path, reason: &str) -> String {
    format!(
        "no room to write {} ({reason}): free some space and run the command again; what \
             was committed before is there",
        path.display()
    )
}

fn failed(path: &Path, reason: &str) -> String {
    format!(
        "the journal {} has failed ({reason}): its last batch may or may not be on disk; \
             look at `annals status`, then run the command again",
        path.display()
    )
}

fn timed_out(operation: &str, waited: Duration) -> String {
    format!(
        "{operation} was not done after {}: a stopped process or a slow disk may hold it \
             up; look at `annals status`, or try again later",
        units::duration(waited)
    )
}

fn retired(path: &Path, sequence: u64, kept: u64) -> String {
    format!(
        "entry {sequence} of {} has been retired, the first one kept is {kept}: \
             `annals cursors --remove NAME` forgets the cursor, and the next export begins there",
        path.display()
    )
}

fn unconfirmed(id: &str, path: &Path, reason: &str) -> String {
    format!(
        "checkpoint {id} is whole in {}, but it is not certain that the registry has it \
             ({reason}): `annals checkpoints reconcile` settles it",
        path.display()
    )
}

/// A name as it can be typed.
fn quoted(name: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "._-/@+:".contains(c);
    match !name.is_empty() && name.chars().all(is_plain) {
        true => name.to_owned(),
        false => format!("'{}'", name.replace('\'', "'\\''")),
    }
}

/// The exit code: what was asked for that is not there is told from what went wrong.
fn code_of(error: &Error) -> u8 {
    match error {
        Error::UnknownCheckpoint { .. }
        | Error::Deleted { .. }
        | Error::UnknownMetric { .. }
        | Error::UnknownTag { .. }
        | Error::UnknownAlias { .. }
        | Error::NoMonitor { .. }
        | Error::NothingBefore { .. }
        | Error::InvalidName { .. }
        | Error::InvalidOption { .. }
        | Error::Parse { .. } => 2,
        Error::Missing { .. }
        | Error::NotADirectory { .. }
        | Error::Foreign { .. }
        | Error::UnknownFormat { .. }
        | Error::NeedsRecovery { .. }
        | Error::InUse { .. }
        | Error::Locked { .. } => 3,
        Error::Io { cause, .. } if cause.kind() == io::ErrorKind::PermissionDenied => 3,
        _ => 4,
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Journal(error)
    }
}

impl From<io::Error> for Failure {
    fn from(cause: io::Error) -> Self {
        Failure::Io("write the output".to_owned(), cause)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use annals::{Journal, Options, Reader, RetentionPolicy, Sharing};

    use super::*;

    /// Words of the library that no shell understands.
    const CALLS: [&str; 12] = [
        "()",
        "set_monitor",
        "best_by",
        "best_loadable",
        "set_alias",
        "Journal::",
        "Reader::",
        "Maintenance",
        "open it for writing once",
        "open both in",
        "read what is readable",
        "entity already exists",
    ];

    fn assert_for_a_shell(said: &str, command: &str) {
        assert!(said.contains(command), "{said}");
        let call = CALLS.into_iter().find(|call| said.contains(call));
        assert_eq!(call, None, "{said}");
    }

    fn assert_told(error: annals::Error, code: u8, command: &str) {
        let said = in_shell(&error);
        assert_for_a_shell(&said, command);
        assert_eq!(code_of(&error), code, "{said}");
    }

    /// Errors of the library, which alone can make them.
    #[test]
    fn a_shell_is_told_of_commands() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("data");
        assert_told(Journal::open("/dev/null").unwrap_err(), 3, "-d DIR");
        assert_told(Reader::open(&dir).unwrap_err(), 3, "ANNALS_DIR");
        let short =
            Options::default().retention(RetentionPolicy::new().max_age(Duration::from_secs(1)));
        assert_told(short.in_memory().unwrap_err(), 2, "--max-age");
        let memory = Journal::in_memory().unwrap();
        assert_told(memory.seal(Duration::ZERO).unwrap_err(), 4, "-d DIR");

        let alone = Options::default().sharing(Sharing::Exclusive);
        let journal = alone.clone().open(&dir).unwrap();
        assert_told(alone.open(&dir).unwrap_err(), 3, "stop that process");
        journal.close().unwrap();
        drop(journal);

        let journal = Journal::open(&dir).unwrap();
        let reader = journal.reader().unwrap();
        let foreign = memory.reader().unwrap().start();
        let error = reader.follow(foreign).map(drop).unwrap_err();
        assert_told(error, 4, "annals cursors");

        let registry = journal.registry().unwrap();
        let error = registry.load("x").map(drop).unwrap_err();
        assert_told(error, 2, "annals checkpoints list");
        registry.checkpoint("bare").save(b"weights").unwrap();
        let error = registry.best("bare").unwrap_err();
        assert_told(error, 2, "annals checkpoints list bare");
        let saving = registry.checkpoint("my model").metric("accuracy", 0.5);
        let saved = saving.save(b"weights").unwrap();
        let error = registry.best("my model").unwrap_err();
        let command = "annals checkpoints monitor 'my model' accuracy min";
        assert_told(error, 2, command);
        registry.set_alias("live", saved.id()).unwrap();
        let error = registry.rollback("my model", "live").unwrap_err();
        assert_told(error, 2, "annals checkpoints alias live ID");
        let error = registry.delete(saved.id(), "it is old").unwrap_err();
        assert_told(error, 4, "pin --remove");
        let old = registry.checkpoint("bare").save(b"newer").unwrap();
        registry.checkpoint("bare").save(b"newest").unwrap();
        let plan = registry
            .retention(RetentionPolicy::new().max_count(1))
            .plan()
            .unwrap();
        registry.pin(old.id()).unwrap();
        assert_told(plan.apply().unwrap_err(), 4, "run the command again");
        let weights = saved.path();
        std::fs::write(&weights, b"changed").unwrap();
        let error = registry.load(saved.id()).map(drop).unwrap_err();
        assert_told(error, 4, "annals checkpoints reconcile");
        std::fs::remove_file(weights).unwrap();
        let error = registry.load(saved.id()).map(drop).unwrap_err();
        assert_told(error, 4, "annals checkpoints reconcile");
    }

    /// Errors that a test cannot easily bring about.
    #[test]
    fn a_shell_is_told_of_commands_in_rare_cases() {
        let path = Path::new("data");
        let exists = io::Error::from(io::ErrorKind::AlreadyExists);
        let waited = Duration::from_millis(1_500);
        for (said, command) in [
            (damaged(path, "x"), "annals repair"),
            (needs_recovery(path, "x"), "annals status"),
            (refused("create", path, &exists), "there already"),
            (no_room(path, "x"), "run the command again"),
            (failed(path, "x"), "annals status"),
            (timed_out("the flush", waited), "1.50 s"),
            (retired(path, 1, 2), "annals cursors --remove"),
            (unconfirmed("1", path, "x"), "annals checkpoints reconcile"),
        ] {
            assert_for_a_shell(&said, command);
        }
    }

    #[test]
    fn names_can_be_typed() {
        assert_eq!(quoted("dqn_agent"), "dqn_agent");
        assert_eq!(quoted("it's"), "'it'\\''s'");
        assert_eq!(quoted(""), "''");
    }
}

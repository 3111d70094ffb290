//! What goes wrong, as one line on stderr and an exit code.

use std::io;
use std::process::ExitCode;

use annals::Error;

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
}

impl Failure {
    /// An error with a file, said as the library says it.
    pub fn io(what: impl Into<String>, cause: io::Error) -> Self {
        Failure::Io(what.into(), cause)
    }

    /// Whether nobody reads what is written.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Failure::Io(_, cause) if cause.kind() == io::ErrorKind::BrokenPipe)
    }

    /// Says it in one line on stderr.
    pub fn report(&self) -> ExitCode {
        let (text, code) = match self {
            Failure::Usage(text) => (text.clone(), 2),
            Failure::Journal(error) => (error.to_string(), code_of(error)),
            Failure::Io(what, cause) => (format!("cannot {what}: {cause}"), 4),
        };
        anstream::eprintln!("annals: {}", text.replace('\n', " "));
        ExitCode::from(code)
    }
}

/// Says in one line what was wrong with the arguments.
pub fn misunderstood(error: &clap::Error) -> ExitCode {
    let text = error.to_string();
    let lines = text.lines().map(str::trim);
    let said =
        lines.take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"));
    let said: Vec<&str> = said.filter(|line| !line.is_empty()).collect();
    let said = said.join(" ");
    let said = said.strip_prefix("error: ").unwrap_or(&said).to_owned();
    let hint = if said.is_empty() {
        "say what to do"
    } else {
        ""
    };
    Failure::Usage(format!("{said}{hint} (see --help)")).report()
}

fn code_of(error: &Error) -> u8 {
    match error {
        Error::Missing { .. }
        | Error::NotADirectory { .. }
        | Error::Foreign { .. }
        | Error::UnknownFormat { .. }
        | Error::NeedsRecovery { .. }
        | Error::InUse { .. } => 3,
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

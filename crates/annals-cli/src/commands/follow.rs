//! Inferences as they are committed: through restarts of the agent, and from where it was left.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use annals::{Content, Cursor, Entry, Error, Follow, InferenceRecord, Maintenance, Reader};

use crate::entries::{self, EntryColumn};
use crate::failure::{Done, Failure, Result};
use crate::filter::{Filter, FilterArgs};
use crate::line::line;
use crate::missing;
use crate::output::Out;

/// Options of `follow`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  annals follow
  annals follow --model dqn_agent --min-confidence 0.9
  annals follow --cursor alerts --json | ./notify     # goes on where it was left
  annals follow --from-start --events --exit-at-end

With --cursor the cursor is stored in the journal about once a second: after a kill, entries of \
the last second may be printed again, and none is left out.")]
pub struct FollowArgs {
    /// Stores a cursor of this name, and continues from it next time.
    #[arg(long, value_name = "NAME")]
    cursor: Option<String>,
    /// Begins at the journal's first entry instead of its end.
    #[arg(long)]
    from_start: bool,
    /// System events, checkpoint events, outcomes and gaps too.
    #[arg(long)]
    events: bool,
    /// Ends where the journal ends, instead of waiting for more.
    #[arg(long)]
    exit_at_end: bool,
    /// Ends after so many entries.
    #[arg(short = 'n', long, value_name = "N")]
    lines: Option<u64>,
    /// Which columns, in which order, instead of the line of the text files.
    #[arg(long, value_enum, value_delimiter = ',')]
    columns: Vec<EntryColumn>,
    #[command(flatten)]
    filter: FilterArgs,
}

/// Length of one wait for an entry.
const WAIT: Duration = Duration::from_millis(100);
/// Interval of storing the place, and of looking at the directory.
const EVERY: Duration = Duration::from_secs(1);
/// Interval of looking for a directory that is absent.
const RETRY: Duration = Duration::from_millis(200);

/// Prints entries until it is stopped.
pub fn run(dir: &Path, args: FollowArgs, out: &mut Out) -> Result<Done> {
    let mut left = args.lines.unwrap_or(u64::MAX);
    let mut place = None;
    let mut said = false;
    while left > 0 {
        let filter = args.filter.on(&out.zone);
        let session = Session::open(dir, &args, filter, place, said);
        match session.and_then(|session| session.run(&args, out, &mut left)) {
            Ok((_, done)) if args.exit_at_end || left == 0 => return Ok(done),
            Ok((reached, _)) => place = Some(reached),
            Err(failure) if !args.exit_at_end && is_passing(&failure) => {
                if !said {
                    anstream::eprintln!("annals: waiting for a journal in {}", dir.display());
                    said = true;
                }
                std::thread::sleep(RETRY);
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(Done::Well)
}

/// Whether it may be over by itself: a directory that is not there yet, or is being replaced.
fn is_passing(failure: &Failure) -> bool {
    matches!(
        failure,
        Failure::Journal(Error::Missing { .. } | Error::NeedsRecovery { .. } | Error::InUse { .. })
    )
}

/// One journal, while it is that journal.
struct Session {
    reader: Reader,
    filter: Filter,
    follow: Follow,
    dir: PathBuf,
    file: Option<(u64, u64)>,
    stored: Instant,
    /// Unreadable ranges that have been reported.
    said: Vec<Range<u64>>,
}

impl Session {
    fn open(
        dir: &Path,
        args: &FollowArgs,
        filter: Filter,
        place: Option<Cursor>,
        waited: bool,
    ) -> Result<Session> {
        let reader = Reader::open(dir)?;
        let stored = match &args.cursor {
            Some(name) if place.is_none() => Maintenance::open(dir)?.cursor(name)?,
            _ => None,
        };
        // Another journal stands in its place: everything in it is new.
        let place = place.map(|place| match place.journal() == reader.id() {
            true => place,
            false => reader.start(),
        });
        let from = match place.or(stored) {
            Some(place) => place,
            // A journal that was waited for is new as a whole.
            None if waited || args.from_start || args.exit_at_end || filter.since.is_some() => {
                reader.start()
            }
            None => reader.end()?,
        };
        let follow = match reader.follow(from) {
            Ok(follow) => follow,
            Err(Error::Retired { .. }) => reader.follow(reader.start())?,
            Err(error) => return Err(error.into()),
        };
        Ok(Session {
            filter,
            follow,
            reader,
            file: identity(dir),
            dir: dir.to_owned(),
            stored: Instant::now(),
            said: Vec::new(),
        })
    }

    /// Prints what comes, until the journal is another one, and says how far it came.
    fn run(mut self, args: &FollowArgs, out: &mut Out, left: &mut u64) -> Result<(Cursor, Done)> {
        let mut looked = Instant::now();
        let mut moved = false;
        loop {
            while *left > 0
                && let Some(entry) = self.follow.next()
            {
                let entry = match entry {
                    Ok(entry) => entry,
                    Err(Error::Retired { .. }) => {
                        anstream::eprintln!(
                            "annals: what came next was retired; going on behind it"
                        );
                        self.follow = self.reader.follow(self.reader.start())?;
                        continue;
                    }
                    Err(error) => return Err(error.into()),
                };
                moved = true;
                if self.print(&entry, args, out)? {
                    *left -= 1;
                }
                if self.stored.elapsed() >= EVERY {
                    self.store(args, out, &mut moved)?;
                }
            }
            out.flush()?;
            let ends = args.exit_at_end || *left == 0;
            if moved && (ends || self.stored.elapsed() >= EVERY) {
                self.store(args, out, &mut moved)?;
            }
            if ends {
                return Ok((self.follow.cursor(), self.done()));
            }
            if looked.elapsed() >= EVERY {
                looked = Instant::now();
                if identity(&self.dir) != self.file {
                    return Ok((self.follow.cursor(), self.done()));
                }
            }
            self.follow.wait(WAIT)?;
        }
    }

    fn done(&self) -> Done {
        match self.said.is_empty() {
            true => Done::Well,
            false => Done::WithProblems,
        }
    }

    fn store(&mut self, args: &FollowArgs, out: &mut Out, moved: &mut bool) -> Result<()> {
        // Output must be flushed before it is stored as printed.
        out.flush()?;
        if let Some(name) = &args.cursor {
            Maintenance::open(&self.dir)?.set_cursor(name, self.follow.cursor())?;
        }
        self.stored = Instant::now();
        *moved = false;
        Ok(())
    }

    /// Prints an entry if it is wanted; says whether it was. Unreadable entries are reported on
    /// stderr.
    fn print(&mut self, entry: &Entry, args: &FollowArgs, out: &mut Out) -> Result<bool> {
        let missing = self.reader.missing();
        if missing != self.said {
            missing::say(&missing);
            self.said = missing;
        }
        let record = match &entry.content {
            Content::Inference(record) => Some(record.clone()),
            Content::Repeat(repeat) if !self.filter.no_repeats() => self.reader.get(repeat.id)?,
            Content::Repeat(_) => None,
            _ if args.events => {
                if out.json {
                    out.json(&entries::entry(entry))?;
                } else {
                    out.line(entries::line(entry, out))?;
                }
                return Ok(true);
            }
            _ => None,
        };
        let Some(record) = record else {
            return Ok(false);
        };
        self.print_record(&record, args, out)
    }

    fn print_record(
        &self,
        record: &InferenceRecord,
        args: &FollowArgs,
        out: &mut Out,
    ) -> Result<bool> {
        let asked = self.filter.asks_for_outcomes() || entries::ask_for_outcomes(&args.columns);
        let outcomes = if asked {
            self.reader.outcome(record.id)?
        } else {
            None
        };
        if !self.filter.keeps_all(record, outcomes.as_ref()) {
            return Ok(false);
        }
        if out.json {
            out.json(&entries::record(record, outcomes.as_ref()))?;
        } else if args.columns.is_empty() {
            out.line(line(out, record, outcomes.as_ref()))?;
        } else {
            let cells = args.columns.iter();
            let cells =
                cells.map(|column| entries::cell(record, outcomes.as_ref(), *column, &out.zone));
            out.line(cells.collect::<Vec<_>>().join("  "))?;
        }
        Ok(true)
    }
}

/// Which file the journal is, where the system can say.
fn identity(dir: &Path) -> Option<(u64, u64)> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let found = std::fs::metadata(dir.join("journal.redb")).ok()?;
        Some((found.dev(), found.ino()))
    }
    #[cfg(not(unix))]
    {
        let _ = dir;
        None
    }
}

//! Episodes: their length, return and end.

use std::path::Path;

use annals::entry::EpisodeRecord;
use annals::{Query, Reader, Timestamp};

use crate::entries;
use crate::failure::{Done, Result};
use crate::missing;
use crate::output::{Out, style};
use crate::table::{Rows, escaped};
use crate::units;
use crate::when::{self, When};
use crate::which::say_unknown;

/// Options of `episodes`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  annals episodes --model dqn_agent --since 24h
  annals episodes -n 100 --json | jq .total_reward

A return is the sum of the rewards of the steps, and the reward of the whole episode. An episode \
without an end is abandoned if no run that recorded it is alive. With --since or --until, only the \
steps within count.")]
pub struct EpisodesArgs {
    /// How many episodes, the newest ones.
    #[arg(short = 'n', long, default_value_t = 20)]
    lines: usize,
    /// Only steps of this model.
    #[arg(long, short)]
    model: Option<String>,
    /// Only steps about this symbol.
    #[arg(long, short)]
    symbol: Option<String>,
    /// Only event times from here on (24h, yesterday, 2025-07-25, ...).
    #[arg(long, value_parser = when::read, value_name = "TIME")]
    since: Option<When>,
    /// Only event times before this.
    #[arg(long, value_parser = when::read, value_name = "TIME")]
    until: Option<When>,
}

/// Lists the episodes.
pub fn run(dir: &Path, args: EpisodesArgs, out: &mut Out) -> Result<Done> {
    let reader = Reader::open(dir)?;
    let since = args.since.map(|since| since.on(&out.zone));
    let until = args.until.map(|until| until.on(&out.zone));
    let found = query(&reader, &args, since, until).episodes()?;
    if found.is_empty() {
        say_unknown(&reader, args.model.as_deref(), args.symbol.as_deref(), None)?;
    }
    let shown = found.get(found.len().saturating_sub(args.lines)..);
    let shown = shown.unwrap_or_default();
    if out.json {
        for episode in shown {
            out.json(&entries::episode(episode))?;
        }
        return Ok(missing::done(&reader));
    }
    if found.is_empty() {
        out.line("no episodes that fit")?;
        return Ok(missing::done(&reader));
    }
    let mut rows = Rows::new([
        "begun", "episode", "model", "symbol", ">length", ">return", "end",
    ]);
    for episode in shown {
        rows.push_escaped([
            out.zone.millisecond(episode.first_time),
            episode.id.to_string(),
            escaped(&episode.model),
            escaped(&episode.symbol),
            units::count(episode.decisions),
            units::real(episode.total_reward),
            end(episode),
        ]);
    }
    rows.print(out)?;
    let all = units::counted(found.len() as u64, "episode");
    out.line(out.paint(style::HEAD, all))?;
    say_losses(shown, out)?;
    Ok(missing::done(&reader))
}

fn query(
    reader: &Reader,
    args: &EpisodesArgs,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
) -> Query {
    let mut query = reader.inferences();
    if let Some(model) = &args.model {
        query = query.model(model);
    }
    if let Some(symbol) = &args.symbol {
        query = query.symbol(symbol);
    }
    if let Some(since) = since {
        query = query.since(since);
    }
    if let Some(until) = until {
        query = query.until(until);
    }
    query
}

fn end(episode: &EpisodeRecord) -> String {
    let end = episode.end.map(|end| end.as_str());
    end.unwrap_or("goes on").to_owned()
}

/// Says what a length and a return do not have.
fn say_losses(shown: &[EpisodeRecord], out: &mut Out) -> Result<()> {
    let has_holes = |one: &&EpisodeRecord| one.decisions <= one.last_step;
    let holes = shown.iter().filter(has_holes).count() as u64;
    if holes > 0 {
        let episodes = units::counted(holes, "episode");
        out.line(format!("numbers of steps are missing in {episodes}"))?;
    }
    let invalid: u64 = shown.iter().map(|one| one.invalid_rewards).sum();
    if invalid > 0 {
        let rewards = units::counted(invalid, "reward");
        out.line(format!("left out, because not finite: {rewards}"))?;
    }
    Ok(())
}

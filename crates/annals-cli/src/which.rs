//! Which decisions a statistic is about.

use annals::{Group, Reader, StatsQuery};
use clap::Args;

use crate::escape::sentence;
use crate::failure::Result;
use crate::near;
use crate::progress;
use crate::when::{self, When};
use crate::zone::Zone;

/// Whose decisions are meant.
#[derive(Args, Clone, Debug, Default)]
pub struct Which {
    /// Only this model's.
    #[arg(long, short)]
    pub model: Option<String>,
    /// Only about this symbol.
    #[arg(long, short)]
    pub symbol: Option<String>,
    /// Only decided by this checkpoint.
    #[arg(long, short)]
    pub checkpoint: Option<String>,
}

/// From when on, and until when.
#[derive(Args, Clone, Debug, Default)]
pub struct Within {
    /// Only event times from here on (24h, yesterday, 2025-07-25, ...).
    #[arg(long, value_parser = when::read, value_name = "TIME")]
    pub since: Option<When>,
    /// Only event times before this.
    #[arg(long, value_parser = when::read, value_name = "TIME")]
    pub until: Option<When>,
}

impl Which {
    /// The question to the library.
    pub fn query(&self, reader: &Reader) -> StatsQuery {
        let mut query = match &self.model {
            Some(model) => reader.stats(model),
            None => reader.stats_of_all(),
        };
        if let Some(symbol) = &self.symbol {
            query = query.symbol(symbol);
        }
        if let Some(checkpoint) = &self.checkpoint {
            query = query.checkpoint(checkpoint);
        }
        query
    }
}

/// Says which of the names that were asked for no decision of the whole journal has. For answers
/// that are empty: it costs a statistic of everything.
pub fn say_unknown(
    reader: &Reader,
    model: Option<&str>,
    symbol: Option<&str>,
    checkpoint: Option<&str>,
) -> Result<()> {
    let asked = [
        (Group::Model, "model", model),
        (Group::Symbol, "symbol", symbol),
        (Group::Checkpoint, "checkpoint", checkpoint),
    ];
    for (group, what, name) in asked {
        let Some(name) = name else { continue };
        let rows = reader.stats_of_all().by(group)?;
        let names = rows.into_iter().filter_map(|row| match group {
            Group::Model => row.model,
            Group::Symbol => row.symbol,
            _ => row.checkpoint,
        });
        let known: Vec<String> = names.map(|name| name.to_string()).collect();
        if !known.iter().any(|known| known == name) {
            let of = format!("decision has the {what}");
            let shows = format!("`annals stats --by {what}` shows which there are");
            let said = near::sentence(&of, name, &known, &shows);
            progress::say(&format!("annals: {}", sentence(&said)));
        }
    }
    Ok(())
}

impl Which {
    /// Says which of the names no decision has.
    pub fn say_unknown(&self, reader: &Reader) -> Result<()> {
        let (model, symbol) = (self.model.as_deref(), self.symbol.as_deref());
        say_unknown(reader, model, symbol, self.checkpoint.as_deref())
    }
}

impl Within {
    /// The question, about these times on the clocks of `zone`.
    pub fn of(&self, mut query: StatsQuery, zone: &Zone) -> StatsQuery {
        if let Some(since) = self.since {
            query = query.since(since.on(zone));
        }
        if let Some(until) = self.until {
            query = query.until(until.on(zone));
        }
        query
    }
}

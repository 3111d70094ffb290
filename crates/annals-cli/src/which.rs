//! Which decisions a statistic is about.

use annals::{Reader, StatsQuery, Timestamp};
use clap::Args;

use crate::when;

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
    #[arg(long, value_parser = when::from_now, value_name = "TIME")]
    pub since: Option<Timestamp>,
    /// Only event times before this.
    #[arg(long, value_parser = when::from_now, value_name = "TIME")]
    pub until: Option<Timestamp>,
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

impl Within {
    /// The question, about these times.
    pub fn of(&self, mut query: StatsQuery) -> StatsQuery {
        if let Some(since) = self.since {
            query = query.since(since);
        }
        if let Some(until) = self.until {
            query = query.until(until);
        }
        query
    }
}

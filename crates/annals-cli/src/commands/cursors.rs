//! Cursors that are stored by name.

use std::path::Path;

use annals::{Maintenance, Reader, Timestamp};
use serde_json::json;

use crate::failure::{Done, Failure, Result};
use crate::output::Out;
use crate::table::Rows;
use crate::units;

/// Options of `cursors`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  annals cursors
  annals cursors --remove alerts")]
pub struct CursorsArgs {
    /// Forgets this cursor.
    #[arg(long, value_name = "NAME")]
    remove: Option<String>,
}

/// Lists the cursors, or forgets one.
pub fn run(dir: &Path, args: CursorsArgs, out: &mut Out) -> Result<Done> {
    let maintenance = Maintenance::open(dir)?;
    if let Some(name) = args.remove {
        if !maintenance.remove_cursor(&name)? {
            return Err(Failure::Usage(format!("there is no cursor {name:?}")));
        }
        return Ok(Done::Well);
    }
    let end = Reader::open(dir)?.end()?.next_sequence();
    let cursors = maintenance.cursors()?;
    if out.json {
        let cursors: Vec<_> = cursors
            .iter()
            .map(|named| {
                json!({
                    "name": named.name,
                    "cursor": named.cursor.to_string(),
                    "behind": end.saturating_sub(named.cursor.next_sequence()),
                    "stored": named.stored.to_string(),
                })
            })
            .collect();
        out.json(&cursors)?;
    } else if cursors.is_empty() {
        out.line("no cursors")?;
    } else {
        let mut rows = Rows::new(["name", ">next sequence", ">entries behind", "stored"]);
        for named in cursors {
            let next = named.cursor.next_sequence();
            rows.push([
                named.name.to_string(),
                units::count(next),
                units::count(end.saturating_sub(next)),
                units::ago(named.stored, Timestamp::now()),
            ]);
        }
        rows.print(out)?;
    }
    Ok(Done::Well)
}

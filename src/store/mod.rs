//! The journal's directory and the redb file in it: who may write, what is on disk, how it is found.

mod backup;
mod blocks;
mod check;
mod checkpoints;
mod cursors;
mod defect;
mod directory;
mod early;
mod elapsed;
mod fold;
mod folded;
mod gaps;
mod hot;
mod index;
mod joined;
mod keys;
mod kv;
mod losses;
mod merge;
mod meta;
mod name_table;
mod orphans;
mod outcomes;
mod repair;
mod retire;
mod retired;
mod rollups;
mod runs;
mod seal;
mod segments;
mod source;
mod survey;
mod unused;
mod upkeep;
mod uses;

pub(crate) use backup::{Segments, restore};
pub(crate) use blocks::{HourPlace, Located};
pub(crate) use checkpoints::{
    Access, Ages, Change, ChangeFailure, CheckpointRow, Checkpoints, DEEPEST_PART, DeletedRow,
    Details, MOST_PARTS, ModelRow, Part, View, names, unknown,
};
pub use checkpoints::{Condition, Mode, Origin};
pub(crate) use cursors::CursorRow;
pub use defect::{Defect, DefectKind};
pub(crate) use directory::{Directory, HOT_FILE};
pub(crate) use elapsed::{Elapsed, LONGEST_PAUSE};
pub(crate) use fold::Folder;
pub(crate) use folded::Folded;
pub(crate) use gaps::{GapSums, GapTimes};
pub(crate) use hot::{Commit, Commits, Hot};
pub(crate) use joined::Between;
pub(crate) use kv::{Direction, Table, WriteFailure};
pub(crate) use meta::Extent;
pub(crate) use repair::{Withdrawal, repair};
pub(crate) use retire::Standing;
pub(crate) use runs::{RunEnd, RunRow};
pub(crate) use seal::Sealer;
pub(crate) use segments::Registered;
pub(crate) use source::Source;
pub(crate) use survey::Survey;
pub(crate) use upkeep::Upkeep;

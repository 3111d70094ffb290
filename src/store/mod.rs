//! The journal's directory and the redb file in it: who may write, what is on disk, how it is found.

mod directory;
mod hot;
mod keys;
mod kv;
mod meta;
mod runs;
mod source;

pub(crate) use directory::Directory;
pub(crate) use hot::{Commit, Hot};
pub(crate) use kv::{Direction, WriteFailure};
pub(crate) use runs::{RunEnd, RunRow};
pub(crate) use source::{HourPlace, Located, Source};

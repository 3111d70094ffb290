//! The journal's directory and the redb file in it: who may write, what is on disk, how it is found.

mod blocks;
mod directory;
mod hot;
mod index;
mod keys;
mod kv;
mod meta;
mod runs;
mod seal;
mod segments;
mod source;

pub(crate) use blocks::{HourPlace, Located};
pub(crate) use directory::Directory;
pub(crate) use hot::{Commit, Hot};
pub(crate) use kv::{Direction, WriteFailure};
pub(crate) use meta::Extent;
pub(crate) use runs::{RunEnd, RunRow};
pub(crate) use seal::Sealer;
pub(crate) use source::Source;

//! The journal's directory and the redb file in it: rights, content, and indexes.

pub(crate) mod blocks;
pub(crate) mod cursors;
pub(crate) mod directory;
pub(crate) mod elapsed;
pub(crate) mod format;
pub(crate) mod handle;
pub(crate) mod hot;
pub(crate) mod index;
pub(crate) mod keys;
pub(crate) mod kv;
pub(crate) mod losses;
pub(crate) mod meta;
pub(crate) mod name_cache;
pub(crate) mod name_table;
mod rebuilding;
pub(crate) mod rebuilt;
pub(crate) mod retired;
pub(crate) mod runs;
pub(crate) mod segment_row;
pub(crate) mod segments;
pub(crate) mod source;
pub(crate) mod upkeep;
pub(crate) mod uses;

//! The journal's directory and the redb file in it: rights, content, and indexes.

mod append;
pub(crate) mod blocks;
pub(crate) mod cursors;
pub(crate) mod dictionary;
pub(crate) mod directory;
pub(crate) mod elapsed;
pub(crate) mod format;
pub(crate) mod handle;
pub(crate) mod hot;
pub(crate) mod index;
mod index_reader;
pub(crate) mod inputs;
pub(crate) mod keys;
pub(crate) mod kv;
pub(crate) mod lost_ranges;
pub(crate) mod maintenance_handle;
pub(crate) mod meta;
pub(crate) mod name_cache;
pub(crate) mod rebuilt_index;
pub(crate) mod replay;
pub(crate) mod retired;
pub(crate) mod runs;
pub(crate) mod segment_row;
pub(crate) mod segments;
pub(crate) mod source;
pub(crate) mod spool;
pub(crate) mod uses;

//! The bytes of the journal, described in FORMAT.md: rows, and blocks of rows.

pub(crate) mod attribute_filter;
pub(crate) mod block;
pub(crate) mod block_index;
pub(crate) mod by_name_id;
pub(crate) mod codec;
pub(crate) mod column;
pub(crate) mod merge;
pub(crate) mod min_max;
pub(crate) mod name;
pub(crate) mod notes;
pub(crate) mod reader;
pub(crate) mod row;
pub(crate) mod scan;
pub(crate) mod select;
pub(crate) mod spooled;
pub(crate) mod summary;
pub(crate) mod value_columns;

/// Length of the checksum in front of every stored value.
pub(crate) const CHECKSUM_BYTES: usize = 8;

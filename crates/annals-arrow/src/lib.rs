//! Decisions of a journal as columns.
//!
//! [`DecisionColumns`] has the one list of columns. Parquet is written from them as they are, and
//! [`DecisionBatches`] makes record batches of Arrow of them, in bounded memory. No file is written
//! here.
//!
//! | columns | type in Arrow |
//! |---|---|
//! | names, such as model, symbol, action and checkpoint | dictionary of text with 32-bit keys |
//! | ids, and values with parts of their own as JSON | text |
//! | times | microseconds since 1970, UTC |
//! | `probabilities`, `action_vector` | list of 32-bit numbers |
//! | `predictions`, and their names | list of 64-bit numbers, and of text |
//! | `input_f32`, `input_f64`, `input_bytes`, by what was kept | list of numbers, or bytes |
//! | `input_state` | `kept`, `not_kept`, `given_up` or `removed` |

mod arrays;
mod batches;
mod column;
mod columns;
mod error;
mod inputs;
mod names;
mod schema;
pub mod texts;

pub use batches::{BatchBuilder, Decision, DecisionBatches, Decisions};
pub use column::{ColumnValues, ListColumn, Optional};
pub use columns::{DecisionColumns, DecisionRow};
pub use error::UnknownColumn;
pub use names::{ColumnText, Names};
pub use schema::{Parts, column_names};

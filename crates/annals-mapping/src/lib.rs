//! Files of shared memory as slices of atomic words.
//!
//! A word that another process changes is a wrong number, never undefined behaviour: every access
//! is atomic, and every bit pattern is a valid word. The pages of a file are reserved before they
//! are mapped, so a store cannot fail for want of memory.
//!
//! ```
//! # use std::sync::atomic::Ordering;
//! # let folder = tempfile::tempdir()?;
//! let directory = std::fs::File::open(folder.path())?;
//! match annals_mapping::SharedWords::create(&directory, "lane", 16) {
//!     Ok(mapping) => mapping.words()[0].store(7, Ordering::Release),
//!     Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::Unsupported),
//! }
//! # Ok::<(), std::io::Error>(())
//! ```

#[cfg_attr(
    not(all(target_os = "linux", target_pointer_width = "64", not(annals_portable))),
    path = "unsupported.rs"
)]
mod linux;

pub use linux::{ForkWords, SharedWords, barrier, register_barrier};

/// The unit of a file's length, in bytes.
pub const PAGE_BYTES: usize = 4_096;
/// Number of words in a page.
pub const PAGE_WORDS: usize = PAGE_BYTES / 8;

//! The substitute on other systems.

use std::convert::Infallible;
use std::fs::File;
use std::io;
use std::sync::atomic::AtomicU64;

use crate::PAGE_WORDS;

/// Does not exist on this system.
#[derive(Debug)]
pub struct SharedWords(Infallible);

impl SharedWords {
    /// Fails.
    ///
    /// # Errors
    ///
    /// `Unsupported`.
    pub fn create(_directory: &File, _name: &str, _pages: usize) -> io::Result<SharedWords> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Is never called.
    #[must_use]
    pub fn words(&self) -> &[AtomicU64] {
        match self.0 {}
    }
}

/// Does not exist on this system.
#[derive(Debug)]
pub struct ForkWords(Infallible);

impl ForkWords {
    /// Fails.
    ///
    /// # Errors
    ///
    /// `Unsupported`.
    pub fn new() -> io::Result<ForkWords> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Is never called.
    #[must_use]
    pub fn words(&self) -> &[AtomicU64; PAGE_WORDS] {
        match self.0 {}
    }
}

/// Fails.
///
/// # Errors
///
/// `Unsupported`.
pub fn register_barrier() -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Fails.
///
/// # Errors
///
/// `Unsupported`.
pub fn barrier() -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

//! Files, directories, the owners of locks, and the place where tests make a call to the disk fail.

pub(crate) mod disk;
pub(crate) mod failpoint;
pub(crate) mod lock;
pub(crate) mod owner;

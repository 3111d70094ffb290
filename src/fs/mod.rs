//! Files, directories, shared memory, the owners of locks, the machine's clock, and the place where
//! tests make a call to the disk fail.

pub(crate) mod disk;
pub(crate) mod executable;
pub(crate) mod failpoint;
pub(crate) mod host;
pub(crate) mod lock;
pub(crate) mod machine_clock;
pub(crate) mod owner;
#[cfg(all(target_os = "linux", target_pointer_width = "64", not(annals_portable)))]
pub(crate) mod shared_memory;

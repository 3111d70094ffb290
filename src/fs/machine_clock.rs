//! Time since the machine was started. All its processes share this clock, whatever the wall clock
//! shows, and it counts while the machine sleeps.

use serde::{Deserialize, Serialize};

/// A moment of the machine's clock.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MachineTime {
    /// Tells one start of a machine from all others. Processes whose clock has an offset of its own
    /// (a time namespace) count as another start.
    pub(crate) start: u64,
    /// Microseconds since then.
    pub(crate) micros: u64,
}

impl MachineTime {
    /// Microseconds since `earlier`; `None` if that is a moment of another start.
    pub(crate) fn micros_since(self, earlier: MachineTime) -> Option<u64> {
        (self.start == earlier.start).then(|| self.micros.saturating_sub(earlier.micros))
    }
}

/// The clock, for one process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MachineClock {
    start: u64,
}

impl MachineClock {
    /// The clock of this process; `None` where the system has none that processes share. Reads two
    /// small files.
    pub(crate) fn of_this_process() -> Option<Self> {
        system::start().map(|start| MachineClock { start })
    }

    /// The time now. Costs one call to the system, without entering it on usual machines.
    pub(crate) fn now(self) -> Option<MachineTime> {
        let start = self.start;
        system::micros().map(|micros| MachineTime { start, micros })
    }
}

/// The identity of the machine's start, where the system has one.
pub(crate) fn boot_id() -> std::io::Result<String> {
    let said = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    Ok(said.trim().to_owned())
}

#[cfg(all(target_os = "linux", not(annals_portable)))]
mod system {
    use rustix::time::{ClockId, clock_gettime};
    use xxhash_rust::xxh3::xxh3_64;

    pub(super) fn start() -> Option<u64> {
        let boot = super::boot_id().ok()?;
        // Kernels before 5.6 have no such namespaces: then there is no offset either.
        let namespace = std::fs::read_link("/proc/self/ns/time").unwrap_or_default();
        let both = format!("{boot}/{}", namespace.display());
        Some(xxh3_64(both.as_bytes()))
    }

    pub(super) fn micros() -> Option<u64> {
        let time = clock_gettime(ClockId::Boottime);
        let seconds = u64::try_from(time.tv_sec).ok()?;
        let micros = u64::try_from(time.tv_nsec).ok()? / 1_000;
        seconds.checked_mul(1_000_000)?.checked_add(micros)
    }
}

#[cfg(not(all(target_os = "linux", not(annals_portable))))]
mod system {
    pub(super) fn start() -> Option<u64> {
        None
    }

    pub(super) fn micros() -> Option<u64> {
        None
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn moments_of_one_start_have_a_distance() {
        let at = |start, micros| MachineTime { start, micros };
        assert_eq!(at(1, 9).micros_since(at(1, 2)), Some(7));
        assert_eq!(at(1, 2).micros_since(at(1, 9)), Some(0));
        assert_eq!(at(2, 9).micros_since(at(1, 2)), None);
    }

    #[test]
    fn the_clock_runs() {
        let Some(clock) = MachineClock::of_this_process() else {
            return;
        };
        let (first, second) = (clock.now().unwrap(), clock.now().unwrap());
        assert!(second.micros_since(first).is_some() && second.micros >= first.micros);
    }
}

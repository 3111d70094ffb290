//! The process of a lock, written into the locked file. A child that was forked without exec
//! inherits the lock and keeps it when its parent has been killed. Then the file names its owner.

use std::fs;

use super::machine_clock::boot_id;

/// A process, told from all others since the machine was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProcessId {
    pid: u32,
    /// When it was started, in the system's ticks.
    started: u64,
    /// Scope of process numbers: the start of the machine and the namespace.
    world: String,
}

const HEADER: &str = "annals lock 1";

impl ProcessId {
    /// This process; `None` where the system does not report it.
    pub(crate) fn this() -> Option<ProcessId> {
        let pid = std::process::id();
        let (started, _) = look(pid)?;
        Some(ProcessId {
            pid,
            started,
            world: world()?,
        })
    }

    pub(crate) fn print(&self) -> String {
        let ProcessId {
            pid,
            started,
            world,
        } = self;
        format!("{HEADER}\n{pid} {started} {world}\n")
    }

    pub(crate) fn parse(text: &str) -> Option<ProcessId> {
        let line = text.strip_prefix(HEADER)?.strip_prefix('\n')?;
        let mut words = line.strip_suffix('\n')?.split(' ');
        let owner = ProcessId {
            pid: words.next()?.parse().ok()?,
            started: words.next()?.parse().ok()?,
            world: words.next()?.to_owned(),
        };
        words.next().is_none().then_some(owner)
    }

    /// Whether it is certain that the process is gone. A process of another container, where
    /// numbers mean other processes, is not certain to be the same.
    pub(crate) fn is_gone(&self) -> bool {
        if world().is_none_or(|world| world != self.world) {
            return false;
        }
        match look(self.pid) {
            // Numbers of processes come again; with the time of the start they do not. A zombie
            // runs no code any more.
            Some((started, state)) => started != self.started || matches!(state, 'Z' | 'X'),
            // Where this process is unknown too, nothing is known.
            None => look(std::process::id()).is_some(),
        }
    }
}

/// When the process was started, and its state.
fn look(pid: u32) -> Option<(u64, char)> {
    let said = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold spaces and brackets; the other fields come after the last one.
    let (_, after) = said.rsplit_once(')')?;
    let mut words = after.split_whitespace();
    let state = words.next()?.chars().next()?;
    // Field 22, where the state is field 3.
    let started = words.nth(18)?.parse().ok()?;
    Some((started, state))
}

fn world() -> Option<String> {
    let boot = boot_id().ok()?;
    let namespace = fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{boot}/{}", namespace.display()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn this_process_lives_and_others_that_had_its_number_do_not() {
        let Some(this) = ProcessId::this() else {
            return;
        };
        assert_eq!(ProcessId::parse(&this.print()), Some(this.clone()));
        assert!(!this.is_gone());
        let started = this.started - 1;
        assert!(
            ProcessId {
                started,
                ..this.clone()
            }
            .is_gone()
        );
        let pid = u32::MAX;
        assert!(
            ProcessId {
                pid,
                ..this.clone()
            }
            .is_gone()
        );
        let world = "elsewhere".to_owned();
        assert!(
            !ProcessId {
                pid,
                world,
                ..this.clone()
            }
            .is_gone()
        );
        for text in [
            "",
            "annals lock 1\n",
            "annals lock 1\n1 2\n",
            "annals lock 1\n1 2 3 4\n",
        ] {
            assert_eq!(ProcessId::parse(text), None, "{text:?}");
        }
    }
}

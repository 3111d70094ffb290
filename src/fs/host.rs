//! The name of this machine.

use std::fs::File;
use std::io::Read as _;

/// A longer name is none.
const MOST: u64 = 256;

/// The machine's name, if it has one that can be asked for.
pub(crate) fn name() -> Option<String> {
    let mut name = String::new();
    let asked = File::open("/proc/sys/kernel/hostname");
    let read = asked.and_then(|file| file.take(MOST + 1).read_to_string(&mut name));
    if read.is_err() {
        let given = ["HOSTNAME", "COMPUTERNAME"].into_iter();
        name = given.filter_map(|name| std::env::var(name).ok()).next()?;
    }
    let name = name.trim();
    let fits = !name.is_empty() && name.len() as u64 <= MOST;
    fits.then(|| name.to_owned())
}

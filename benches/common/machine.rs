//! Facts from the system: the machine, the file system of a folder, and the resources of the
//! process. Where `/proc` is missing, the answers are "unknown".

use std::fmt;
use std::fs::read_to_string;
use std::path::Path;
use std::time::Duration;

use super::Failure;

/// Where and when something was measured.
pub struct Machine {
    pub cpu: String,
    pub cores: usize,
    pub system: String,
    pub file_system: String,
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}, {} cores, {}, {}",
            self.cpu, self.cores, self.system, self.file_system
        )
    }
}

/// A new folder on a real disk, and the machine that it is on.
///
/// # Errors
/// If the file system is in memory: what is "durable" there measures nothing.
pub fn place(parent: &Path) -> Result<(tempfile::TempDir, Machine), Failure> {
    let folder = tempfile::tempdir_in(parent)?;
    let file_system = file_system(folder.path()).unwrap_or_else(unknown);
    if ["tmpfs", "ramfs", "devtmpfs"].contains(&file_system.as_str()) {
        return Err(format!(
            "{} is on {file_system}, which is memory: nothing durable can be measured there",
            parent.display()
        )
        .into());
    }
    let machine = Machine {
        cpu: field("/proc/cpuinfo", "model name").unwrap_or_else(unknown),
        cores: std::thread::available_parallelism().map_or(1, Into::into),
        system: system(),
        file_system,
    };
    Ok((folder, machine))
}

fn unknown() -> String {
    "unknown".to_owned()
}

fn system() -> String {
    let release = read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{} {}", std::env::consts::OS, release.trim())
        .trim()
        .to_owned()
}

/// The type of the file system that holds `path`: of the mounts above it, the deepest.
fn file_system(path: &Path) -> Option<String> {
    let path = path.canonicalize().ok()?;
    let mounts = read_to_string("/proc/self/mounts").ok()?;
    let mut deepest = None;
    for line in mounts.lines() {
        let mut words = line.split(' ').skip(1);
        let (Some(point), Some(kind)) = (words.next(), words.next()) else {
            continue;
        };
        let depth = Path::new(point).components().count();
        // A later mount covers an earlier one at the same point.
        if path.starts_with(point) && deepest.as_ref().is_none_or(|(most, _)| depth >= *most) {
            deepest = Some((depth, kind.to_owned()));
        }
    }
    deepest.map(|(_, kind)| kind)
}

/// The text after `name` and a colon in a file of such lines.
fn field(file: &str, name: &str) -> Option<String> {
    let text = read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// Processor time that the process has used, in steps of 10 ms.
pub fn cpu_time() -> Option<Duration> {
    let stat = read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name in parentheses, and may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis((user + system) * 10))
}

/// Processor time that the threads alive have used, to the nanosecond.
pub fn threads_time() -> Option<Duration> {
    let mut nanos = 0;
    for thread in std::fs::read_dir("/proc/self/task").ok()? {
        let stat = read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        nanos += stat.split(' ').next()?.parse::<u64>().ok()?;
    }
    Some(Duration::from_nanos(nanos))
}

/// Bytes that the process has handed to the system to be written.
pub fn bytes_written() -> Option<u64> {
    field("/proc/self/io", "wchar")?.parse().ok()
}

/// The most memory that the process has used at once since [`forget_peak`], in bytes.
pub fn peak_memory() -> Option<u64> {
    let text = field("/proc/self/status", "VmHWM")?;
    let kilobytes: u64 = text.strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kilobytes * 1_024)
}

/// Begins a new peak at what is used now, where the system can do that.
pub fn forget_peak() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// Bytes of all files below `folder`.
pub fn size(folder: &Path) -> Result<u64, Failure> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        // A link is not followed: it says its own length, which is next to nothing.
        let found = entry.metadata()?;
        bytes += if found.is_dir() {
            size(&entry.path())?
        } else {
            found.len()
        };
    }
    Ok(bytes)
}

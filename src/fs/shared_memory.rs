//! Directories of black boxes in shared memory: `<root>/annals-<uid>/<journal>-<run>-<boot>/`.
//!
//! The root, `/dev/shm`, can be written by everybody. So nothing there is believed: each directory
//! is opened without following a link, and then its owner and its rights are looked at, of the open
//! descriptor. All that follows goes through that descriptor.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use annals_mapping::SharedWords;
use rustix::fs::unlinkat;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::fs::{fstat, fstatfs, fstatvfs, major, minor, mkdirat, openat, renameat, statat};
use rustix::io::Errno;
use rustix::process::geteuid;

use crate::entry::ids::{JournalId, RunId};

/// Where Linux keeps shared memory.
pub(crate) const ROOT: &str = "/dev/shm";
/// The unit of `st_blocks`.
const BLOCK_BYTES: u64 = 512;
/// The type of a file system that lies in memory.
const TMPFS: i64 = 0x0102_1994;

/// Why a run has no black box.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoBlackBox {
    #[error("{path} is missing", path = .0.display())]
    Missing(PathBuf),
    /// Stores into files of a disk wait while their pages are written back.
    #[error("{path} is not in memory", path = .0.display())]
    OnDisk(PathBuf),
    #[error("{path} has {free} bytes left, and {wanted} are wanted", path = .path.display())]
    TooSmall {
        path: PathBuf,
        free: u64,
        wanted: u64,
    },
    /// Process 1 takes its container with it, and the shared memory with that.
    #[error("the shared memory of process 1 ends with it")]
    DiesWithProcess,
    /// A mount of its own, which goes with the last process of its namespace.
    #[error("{path} is mounted for this process alone, and ends with it", path = .0.display())]
    OwnMount(PathBuf),
    /// Somebody else's, or of other rights.
    #[error("{path} cannot be trusted: {why}", path = .path.display())]
    Untrusted { path: PathBuf, why: String },
    #[error("{path}: {why}", path = .path.display())]
    System { path: PathBuf, why: String },
}

/// The name of a black box. A box of an earlier start of the machine cannot exist.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BoxName {
    pub(crate) journal: JournalId,
    pub(crate) run: RunId,
    /// The identity of the machine's start, as the system prints it.
    pub(crate) boot: String,
}

impl BoxName {
    fn parse(text: &str) -> Option<BoxName> {
        let (journal, rest) = text.split_once('-')?;
        let (run, boot) = rest.split_once('-')?;
        let name = BoxName {
            journal: journal.parse().ok()?,
            run: run.parse().ok()?,
            boot: boot.to_owned(),
        };
        let is_plain = |byte: u8| byte.is_ascii_hexdigit() || byte == b'-';
        let is_boot = boot.len() == 36 && boot.bytes().all(is_plain);
        // Only one spelling is a name.
        (is_boot && name.to_string() == text).then_some(name)
    }
}

impl fmt::Display for BoxName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.journal, self.run, self.boot)
    }
}

/// An open directory that belongs to this user alone.
#[derive(Debug)]
struct Private {
    directory: File,
    path: PathBuf,
}

impl Private {
    /// Opens `name` in `above`, and looks whose it is.
    fn open(above: &File, name: &str, path: PathBuf) -> Result<Private, NoBlackBox> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = match openat(above, name, flags, Mode::empty()) {
            Ok(opened) => File::from(opened),
            Err(Errno::NOENT) => return Err(NoBlackBox::Missing(path)),
            // A link, or no directory.
            Err(error @ (Errno::LOOP | Errno::NOTDIR)) => return Err(untrusted(&path, error)),
            Err(error) => return Err(system(&path, error)),
        };
        let found = fstat(&directory).map_err(|error| system(&path, error))?;
        is_private(&found, FileType::Directory, 0o700).map_err(|why| untrusted(&path, why))?;
        Ok(Private { directory, path })
    }

    fn open_or_create(above: &File, name: &str, path: PathBuf) -> Result<Private, NoBlackBox> {
        match mkdirat(above, name, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => Private::open(above, name, path),
            Err(error) => Err(system(&path, error)),
        }
    }

    /// The names in it.
    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.directory)? {
            // A name that is no text is none of ours.
            if let Ok(name) = entry?.file_name().to_str()
                && !matches!(name, "." | "..")
            {
                names.push(name.to_owned());
            }
        }
        names.sort();
        Ok(names)
    }
}

/// Whether a file or directory belongs to this user, has these rights, and no second name.
fn is_private(found: &Stat, kind: FileType, rights: u32) -> Result<(), String> {
    let (mode, user) = (found.st_mode & 0o7777, geteuid().as_raw());
    if FileType::from_raw_mode(found.st_mode) != kind {
        return Err("it is something else".to_owned());
    }
    if found.st_uid != user {
        return Err(format!("user {} owns it, and this is {user}", found.st_uid));
    }
    if mode != rights {
        return Err(format!("its mode is {mode:o} instead of {rights:o}"));
    }
    if kind == FileType::RegularFile && found.st_nlink != 1 {
        return Err("it has a second name".to_owned());
    }
    Ok(())
}

/// Whether a directory lies in memory.
fn is_memory(directory: &File) -> Result<bool, Errno> {
    let kind = fstatfs(directory)?.f_type;
    #[allow(
        clippy::useless_conversion,
        reason = "the field's type differs by processor"
    )]
    let is_memory = i64::try_from(kind) == Ok(TMPFS);
    Ok(is_memory)
}

/// When a file was last written.
#[allow(
    clippy::useless_conversion,
    reason = "the field's type differs by processor"
)]
fn micros(found: &Stat) -> i64 {
    let seconds = i64::try_from(found.st_mtime).unwrap_or(i64::MAX);
    let rest = i64::try_from(found.st_mtime_nsec / 1_000).unwrap_or(0);
    seconds.saturating_mul(1_000_000).saturating_add(rest)
}

/// Whether process 1 sees the file system of this directory. If it does not, a private namespace
/// has mounted it, and the next opener may find nothing. `true` where the system does not tell.
fn is_of_first_process(directory: &File) -> Result<bool, Errno> {
    /// A longer list is no help.
    const MOST: u64 = 4 << 20;
    let device = fstat(directory)?.st_dev;
    let mut mounts = String::new();
    let read = File::open("/proc/1/mountinfo").and_then(|file| {
        let mut file = file.take(MOST);
        file.read_to_string(&mut mounts)
    });
    let is_told = read.is_ok_and(|bytes| bytes > 0 && (bytes as u64) < MOST);
    Ok(!is_told || has_device(&mounts, major(device), minor(device)))
}

/// Whether a file system of this device is among the mounts of `mountinfo`.
fn has_device(mounts: &str, major: u32, minor: u32) -> bool {
    let device = format!("{major}:{minor}");
    let mut devices = mounts.lines().filter_map(|line| line.split(' ').nth(2));
    devices.any(|found| found == device)
}

fn untrusted(path: &Path, why: impl fmt::Display) -> NoBlackBox {
    NoBlackBox::Untrusted {
        path: path.to_owned(),
        why: why.to_string(),
    }
}

fn system(path: &Path, why: impl fmt::Display) -> NoBlackBox {
    NoBlackBox::System {
        path: path.to_owned(),
        why: why.to_string(),
    }
}

/// The black boxes of this user.
#[derive(Debug)]
pub(crate) struct BlackBoxes(Private);

impl BlackBoxes {
    /// Opens the user's directory in `root`, and creates it if it is missing.
    pub(crate) fn open_or_create(root: &Path) -> Result<BlackBoxes, NoBlackBox> {
        let (root, name, path) = Self::place(root)?;
        Private::open_or_create(&root, &name, path).map(BlackBoxes)
    }

    /// The same; `Missing` if this user has no directory.
    pub(crate) fn open(root: &Path) -> Result<BlackBoxes, NoBlackBox> {
        let (root, name, path) = Self::place(root)?;
        Private::open(&root, &name, path).map(BlackBoxes)
    }

    fn place(root: &Path) -> Result<(File, String, PathBuf), NoBlackBox> {
        let directory = File::open(root).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => NoBlackBox::Missing(root.to_owned()),
            _ => system(root, error),
        })?;
        let name = format!("annals-{}", geteuid().as_raw());
        let path = root.join(&name);
        Ok((directory, name, path))
    }

    /// Creates the black box of a run, for which `wanted` bytes must be free.
    pub(crate) fn create(&self, name: &BoxName, wanted: u64) -> Result<BlackBox, NoBlackBox> {
        if std::process::id() == 1 {
            return Err(NoBlackBox::DiesWithProcess);
        }
        let path = &self.0.path;
        if !is_memory(&self.0.directory).map_err(|error| system(path, error))? {
            return Err(NoBlackBox::OnDisk(path.clone()));
        }
        if !is_of_first_process(&self.0.directory).map_err(|error| system(path, error))? {
            return Err(NoBlackBox::OwnMount(path.clone()));
        }
        let free = self.free_bytes()?;
        if free < wanted {
            return Err(NoBlackBox::TooSmall {
                path: path.clone(),
                free,
                wanted,
            });
        }
        let (text, path) = (name.to_string(), path.join(name.to_string()));
        // New: a run's number is given once.
        mkdirat(&self.0.directory, &text, Mode::RWXU).map_err(|error| system(&path, error))?;
        Private::open(&self.0.directory, &text, path).map(BlackBox)
    }

    /// Bytes of the file system that nobody has.
    pub(crate) fn free_bytes(&self) -> Result<u64, NoBlackBox> {
        let room = fstatvfs(&self.0.directory).map_err(|error| system(&self.0.path, error))?;
        Ok(room.f_bavail.saturating_mul(room.f_frsize))
    }

    /// Where the black box of this name lies, if it is there.
    pub(crate) fn path_of(&self, name: &BoxName) -> PathBuf {
        self.0.path.join(name.to_string())
    }

    /// Opens the black box of a run.
    pub(crate) fn find(&self, name: &BoxName) -> Result<BlackBox, NoBlackBox> {
        let text = name.to_string();
        let path = self.0.path.join(&text);
        Private::open(&self.0.directory, &text, path).map(BlackBox)
    }

    /// The names of all black boxes, in order. Other names in the directory are passed over.
    pub(crate) fn list(&self) -> io::Result<Vec<BoxName>> {
        let names = self.0.names()?;
        let mut boxes: Vec<BoxName> = names
            .iter()
            .filter_map(|name| BoxName::parse(name))
            .collect();
        boxes.sort();
        Ok(boxes)
    }

    /// Gives a black box the name of another run, which has none.
    pub(crate) fn rename(&self, from: &BoxName, to: &BoxName) -> Result<(), NoBlackBox> {
        let (from, to) = (from.to_string(), to.to_string());
        renameat(&self.0.directory, &from, &self.0.directory, &to)
            .map_err(|error| system(&self.0.path.join(&from), error))
    }

    /// Removes a black box with its files. Whoever asks knows that its run is dead.
    pub(crate) fn remove(&self, name: &BoxName) -> Result<(), NoBlackBox> {
        let found = self.find(name)?;
        let path = &found.0.path;
        for file in found.files().map_err(|error| system(path, error))? {
            // A directory in it is not ours: then this fails, and so does the last step.
            unlinkat(&found.0.directory, &file, AtFlags::empty())
                .map_err(|error| system(&path.join(&file), error))?;
        }
        unlinkat(&self.0.directory, name.to_string(), AtFlags::REMOVEDIR)
            .map_err(|error| system(path, error))
    }
}

/// The open directory of one black box.
#[derive(Debug)]
pub(crate) struct BlackBox(Private);

impl BlackBox {
    pub(crate) fn path(&self) -> &Path {
        &self.0.path
    }

    /// The names of its files, in order.
    pub(crate) fn files(&self) -> io::Result<Vec<String>> {
        self.0.names()
    }

    /// Bytes that its files take, and when the oldest of them was last written (µs since 1970).
    pub(crate) fn usage(&self) -> io::Result<(u64, i64)> {
        let of_directory = fstat(&self.0.directory)?;
        let (mut bytes, mut oldest) = (0_u64, None::<i64>);
        for name in self.files()? {
            let found = statat(&self.0.directory, &name, AtFlags::SYMLINK_NOFOLLOW);
            // Others may remove it at the same time.
            let Ok(found) = found else { continue };
            let taken = u64::try_from(found.st_blocks).unwrap_or(0);
            bytes = bytes.saturating_add(taken.saturating_mul(BLOCK_BYTES));
            let written = micros(&found);
            oldest = Some(oldest.map_or(written, |oldest| oldest.min(written)));
        }
        Ok((bytes, oldest.unwrap_or_else(|| micros(&of_directory))))
    }

    /// Creates a file of `pages` pages that are reserved, and maps it.
    pub(crate) fn create_words(&self, name: &str, pages: usize) -> io::Result<SharedWords> {
        SharedWords::create(&self.0.directory, name, pages)
    }

    /// Creates a file that grows at its end.
    pub(crate) fn create_log(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::APPEND;
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let rights = Mode::RUSR | Mode::WUSR;
        Ok(File::from(openat(&self.0.directory, name, flags, rights)?))
    }

    /// Reads a file of at most `most` bytes. A copy cannot change while it is looked at, and its
    /// reader does not end when the file is cut off.
    pub(crate) fn read(&self, name: &str, most: u64) -> Result<Vec<u8>, NoBlackBox> {
        let path = self.0.path.join(name);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = match openat(
            &self.0.directory,
            name,
            flags | OFlags::CLOEXEC,
            Mode::empty(),
        ) {
            Ok(opened) => File::from(opened),
            Err(Errno::NOENT) => return Err(NoBlackBox::Missing(path)),
            Err(error @ Errno::LOOP) => return Err(untrusted(&path, error)),
            Err(error) => return Err(system(&path, error)),
        };
        let found = fstat(&file).map_err(|error| system(&path, error))?;
        is_private(&found, FileType::RegularFile, 0o600).map_err(|why| untrusted(&path, why))?;
        let mut bytes = Vec::new();
        let mut limited = file.take(most.saturating_add(1));
        limited
            .read_to_end(&mut bytes)
            .map_err(|error| system(&path, error))?;
        if bytes.len() as u64 > most {
            return Err(untrusted(&path, format!("it has more than {most} bytes")));
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::fs::machine_clock::boot_id;

    fn name(run: u32) -> BoxName {
        BoxName {
            journal: JournalId(0xabc),
            run: RunId(run),
            boot: boot_id().unwrap(),
        }
    }

    /// A root in shared memory; `None` on a machine without.
    fn root() -> Option<tempfile::TempDir> {
        tempfile::tempdir_in(ROOT).ok()
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    fn user_directory(root: &Path) -> PathBuf {
        root.join(format!("annals-{}", geteuid().as_raw()))
    }

    #[test]
    fn a_black_box_is_its_user_s_alone_and_is_found_again() {
        let Some(root) = root() else { return };
        let missing = BlackBoxes::open(root.path()).unwrap_err();
        assert_eq!(missing, NoBlackBox::Missing(user_directory(root.path())));
        let boxes = BlackBoxes::open_or_create(root.path()).unwrap();
        let made = boxes.create(&name(7), 1 << 20).unwrap();
        assert_eq!(mode(&user_directory(root.path())), 0o700);
        assert_eq!(mode(made.path()), 0o700);
        let words = made.create_words("lane-0", 2).unwrap();
        words.words()[1].store(5, Ordering::Relaxed);
        io::Write::write_all(&mut made.create_log("names").unwrap(), b"text").unwrap();

        let found = BlackBoxes::open(root.path()).unwrap();
        let found = found.find(&name(7)).unwrap();
        assert_eq!(found.files().unwrap(), ["lane-0", "names"]);
        let bytes = found.read("lane-0", 1 << 20).unwrap();
        assert_eq!((bytes.len(), bytes[8]), (2 * 4_096, 5));
        assert_eq!(found.read("names", 4).unwrap(), b"text");
        let long = found.read("names", 3).unwrap_err();
        assert!(matches!(long, NoBlackBox::Untrusted { .. }), "{long}");
        assert!(matches!(found.read("none", 1), Err(NoBlackBox::Missing(_))));
        assert!(matches!(
            boxes.create(&name(7), 1),
            Err(NoBlackBox::System { .. })
        ));
    }

    #[test]
    fn boxes_are_listed_and_removed_and_nothing_else_is() {
        let Some(root) = root() else { return };
        let boxes = BlackBoxes::open_or_create(root.path()).unwrap();
        for run in [3, 1, 2] {
            let made = boxes.create(&name(run), 1).unwrap();
            made.create_words("lane-0", 1).unwrap();
        }
        let other = user_directory(root.path()).join("abc-1-something");
        fs::create_dir(&other).unwrap();
        assert_eq!(boxes.list().unwrap(), [name(1), name(2), name(3)]);
        boxes.remove(&name(2)).unwrap();
        assert_eq!(boxes.list().unwrap(), [name(1), name(3)]);
        assert!(other.exists());
        assert!(matches!(
            boxes.remove(&name(2)),
            Err(NoBlackBox::Missing(_))
        ));
        // A box with a directory in it stays.
        let inner = user_directory(root.path()).join(name(1).to_string());
        fs::create_dir(inner.join("x")).unwrap();
        assert!(boxes.remove(&name(1)).is_err());
        assert!(inner.join("x").exists());
    }

    #[test]
    fn links_and_foreign_rights_are_refused() {
        let Some(root) = root() else { return };
        let own = user_directory(root.path());
        let elsewhere = root.path().join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        symlink(&elsewhere, &own).unwrap();
        let is_untrusted = |refused: NoBlackBox| matches!(refused, NoBlackBox::Untrusted { .. });
        assert!(is_untrusted(BlackBoxes::open(root.path()).unwrap_err()));
        let refused = BlackBoxes::open_or_create(root.path()).unwrap_err();
        assert!(is_untrusted(refused));
        fs::remove_file(&own).unwrap();
        fs::write(&own, "").unwrap();
        assert!(is_untrusted(BlackBoxes::open(root.path()).unwrap_err()));
        fs::remove_file(&own).unwrap();

        let boxes = BlackBoxes::open_or_create(root.path()).unwrap();
        for rights in [0o750, 0o1700, 0o500] {
            fs::set_permissions(&own, Permissions::from_mode(rights)).unwrap();
            let refused = BlackBoxes::open(root.path()).unwrap_err();
            assert!(is_untrusted(refused), "{rights:o}");
        }
        fs::set_permissions(&own, Permissions::from_mode(0o700)).unwrap();

        let made = boxes.create(&name(1), 1).unwrap();
        fs::write(elsewhere.join("secret"), "x").unwrap();
        symlink(elsewhere.join("secret"), made.path().join("link")).unwrap();
        fs::hard_link(elsewhere.join("secret"), made.path().join("second")).unwrap();
        fs::write(made.path().join("open"), "x").unwrap();
        fs::set_permissions(made.path().join("open"), Permissions::from_mode(0o644)).unwrap();
        fs::create_dir(made.path().join("folder")).unwrap();
        for file in ["link", "second", "open", "folder"] {
            let refused = made.read(file, 10).unwrap_err();
            assert!(is_untrusted(refused), "{file}");
        }
        assert!(made.create_log("link").is_err());
        assert!(made.create_words("link", 1).is_err());
    }

    #[test]
    fn a_root_that_has_no_room_or_is_no_memory_gives_no_box() {
        let nowhere = Path::new("/dev/shm/annals-nowhere/at-all");
        assert_eq!(
            BlackBoxes::open_or_create(nowhere).unwrap_err(),
            NoBlackBox::Missing(nowhere.to_owned())
        );
        let Some(root) = root() else { return };
        let boxes = BlackBoxes::open_or_create(root.path()).unwrap();
        let refused = boxes.create(&name(1), u64::MAX).unwrap_err();
        let is_small = matches!(
            refused,
            NoBlackBox::TooSmall {
                wanted: u64::MAX,
                ..
            }
        );
        assert!(is_small, "{refused}");
        // Only where the checkout lies on a disk.
        let disk = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let refused = BlackBoxes::open_or_create(disk.path()).unwrap();
        if !is_memory(&File::open(disk.path()).unwrap()).unwrap() {
            let refused = refused.create(&name(1), 1).unwrap_err();
            assert!(matches!(refused, NoBlackBox::OnDisk(_)), "{refused}");
        }
    }

    #[test]
    fn a_mount_that_process_1_does_not_see_is_found_by_its_device() {
        let mounts = "25 24 0:23 / /dev/shm rw,relatime - tmpfs tmpfs rw\n\
                      30 25 0:270 / /data rw 0:24 - ext4 /dev/vda rw\n";
        assert!(has_device(mounts, 0, 23) && has_device(mounts, 0, 270));
        for (major, minor) in [(0, 24), (0, 2), (0, 27), (23, 0)] {
            assert!(!has_device(mounts, major, minor), "{major}:{minor}");
        }
        assert!(!has_device("", 0, 0) && !has_device("1 2\n\n", 0, 2));
    }

    #[test]
    fn only_one_spelling_is_a_name() {
        let good = name(7).to_string();
        assert_eq!(BoxName::parse(&good), Some(name(7)));
        for bad in [
            good.to_uppercase(),
            good.replacen("-7-", "-07-", 1),
            good.replacen("-7-", "-+7-", 1),
            good.replacen("-7-", "-16777216-", 1),
            format!("{good}0"),
            good[1..].to_owned(),
            good[..good.len() - 1].to_owned(),
            String::new(),
        ] {
            assert_eq!(BoxName::parse(&bad), None, "{bad}");
        }
    }
}

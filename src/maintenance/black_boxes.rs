//! Black boxes that wait for an opening which will not come: their journal is not at its path.

use std::path::PathBuf;

use crate::entry::error::Result;
use crate::entry::ids::{JournalId, RunId};
use crate::entry::timestamp::Timestamp;

/// A black box in shared memory that no process has, and whose journal is not where it was; from
/// [`left_black_boxes`].
///
/// It may hold the last decisions of its run. If the journal was moved, opening it at its new place
/// takes them in and removes the box. If the journal was deleted, the box stays until the machine
/// restarts, or until [`remove`](Self::remove).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeftBlackBox {
    /// The journal that it belongs to.
    pub journal: JournalId,
    /// The run that it belongs to.
    pub run: RunId,
    /// Its directory in shared memory.
    pub path: PathBuf,
    /// The journal's directory when the run began; `None` if the box does not say it.
    pub journal_path: Option<PathBuf>,
    /// When it was created.
    pub created: Timestamp,
    /// Bytes of shared memory that it takes.
    pub bytes: u64,
    /// Why no opening has taken it in.
    pub why: WhyLeft,
    /// The boot of the machine in its name.
    boot: String,
}

/// Why a black box is left; from [`LeftBlackBox::why`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhyLeft {
    /// No journal is at the path: it was deleted or moved, or its file system is not mounted.
    JournalGone,
    /// Another journal is at the path.
    OtherJournal(JournalId),
    /// It cannot be told whether the journal is there, for this reason. Such a box is never
    /// removed.
    Unknown(String),
}

impl std::fmt::Display for WhyLeft {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            WhyLeft::JournalGone => f.write_str("no journal there"),
            WhyLeft::OtherJournal(other) => write!(f, "another journal there: {other}"),
            WhyLeft::Unknown(why) => write!(f, "unknown: {why}"),
        }
    }
}

/// The black boxes of this user that no process has, and whose journal is not at its path, by
/// journal and run. Changes nothing.
///
/// The boxes of a journal that is at its path are not listed: its next opening takes them in. Empty
/// on systems other than Linux. Reads the identity of the journals at the paths, which takes
/// milliseconds each.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) if the user's directory in shared memory cannot be read or
/// trusted.
///
/// ```
/// for left in annals::maintenance::left_black_boxes()? {
///     println!("{} bytes of run {}: {}", left.bytes, left.run, left.why);
/// }
/// # Ok::<(), annals::Error>(())
/// ```
pub fn left_black_boxes() -> Result<Vec<LeftBlackBox>> {
    system::left()
}

impl LeftBlackBox {
    /// Removes the black box, **and the decisions in it that no commit has**. Does nothing if it is
    /// gone already.
    ///
    /// # Errors
    /// [`Error::InUse`](crate::Error::InUse) if a process has the box, if its journal is at its
    /// path again, or if that cannot be told. [`Error::Io`](crate::Error::Io) if the system
    /// refuses.
    ///
    /// ```
    /// use annals::maintenance::{WhyLeft, left_black_boxes};
    ///
    /// # let mut all = left_black_boxes()?;
    /// # all.retain(|left| left.path.starts_with("/nowhere"));
    /// # let left_black_boxes = || Ok::<_, annals::Error>(all);
    /// for left in left_black_boxes()? {
    ///     if left.why == WhyLeft::JournalGone {
    ///         left.remove()?;
    ///     }
    /// }
    /// # Ok::<(), annals::Error>(())
    /// ```
    pub fn remove(&self) -> Result<()> {
        system::remove(self)
    }
}

#[cfg(all(target_os = "linux", target_pointer_width = "64", not(annals_portable)))]
mod system {
    use std::io;
    use std::path::Path;

    use super::{LeftBlackBox, WhyLeft};
    use crate::engine::directory::Directory;
    use crate::engine::meta;
    use crate::entry::error::{Error, Result};
    use crate::entry::ids::JournalId;
    use crate::fs::shared_memory::{BoxName, NoBlackBox, ROOT};
    use crate::record::queue::black_box::{LeftBox, all_left, remove_left};

    pub(super) fn left() -> Result<Vec<LeftBlackBox>> {
        left_below(Path::new(ROOT))
    }

    pub(super) fn remove(left: &LeftBlackBox) -> Result<()> {
        remove_below(Path::new(ROOT), left)
    }

    pub(super) fn left_below(root: &Path) -> Result<Vec<LeftBlackBox>> {
        let left = all_left(root).map_err(|refused| io_error("look at", root, &refused))?;
        Ok(left.into_iter().filter_map(without_journal).collect())
    }

    /// The box, if its journal is not at its path.
    fn without_journal(left: LeftBox) -> Option<LeftBlackBox> {
        let why = match &left.place {
            Ok(place) => why_left(place, left.name.journal)?,
            Err(why) => WhyLeft::Unknown(why.clone()),
        };
        Some(LeftBlackBox {
            journal: left.name.journal,
            run: left.name.run,
            path: left.path,
            journal_path: left.place.ok(),
            created: left.created,
            bytes: left.bytes,
            why,
            boot: left.name.boot,
        })
    }

    /// Why the journal is not in `place`; `None` if it is there.
    fn why_left(place: &Path, journal: JournalId) -> Option<WhyLeft> {
        match meta::identity_in(place) {
            Ok(found) if found == journal => None,
            Ok(other) => Some(WhyLeft::OtherJournal(other)),
            Err(Error::Missing { .. } | Error::NotADirectory { .. }) => {
                let parts = Directory::missing(place).parts_without_hot_file();
                // Its file system may not be mounted here, or be another container's.
                let is_seen = place.parent().is_some_and(Path::exists);
                Some(match parts {
                    None if !is_seen => {
                        WhyLeft::Unknown("the directory above is missing too".to_owned())
                    }
                    None => WhyLeft::JournalGone,
                    // A repair may be under way.
                    Some(part) => {
                        WhyLeft::Unknown(format!("journal.redb is missing beside {part}"))
                    }
                })
            }
            Err(error) => Some(WhyLeft::Unknown(error.to_string())),
        }
    }

    pub(super) fn remove_below(root: &Path, left: &LeftBlackBox) -> Result<()> {
        let in_use = |reason: &str| Error::InUse {
            path: left.path.clone(),
            reason: reason.to_owned(),
        };
        let Some(place) = &left.journal_path else {
            return Err(in_use("nothing says where its journal is"));
        };
        let name = BoxName {
            journal: left.journal,
            run: left.run,
            boot: left.boot.clone(),
        };
        // Looked at with the box's lock held.
        let is_left = || {
            let why = why_left(place, left.journal);
            matches!(why, Some(WhyLeft::JournalGone | WhyLeft::OtherJournal(_)))
        };
        match remove_left(root, &name, is_left) {
            Ok(true) => Ok(()),
            Ok(false) => Err(in_use(
                "a process has it, or its journal may be at its path",
            )),
            Err(refused) => Err(io_error("remove", &left.path, &refused)),
        }
    }

    fn io_error(operation: &'static str, path: &Path, refused: &NoBlackBox) -> Error {
        Error::io(operation, path, io::Error::other(refused.to_string()))
    }
}

#[cfg(not(all(target_os = "linux", target_pointer_width = "64", not(annals_portable))))]
mod system {
    use super::LeftBlackBox;
    use crate::entry::error::Result;

    pub(super) fn left() -> Result<Vec<LeftBlackBox>> {
        Ok(Vec::new())
    }

    pub(super) fn remove(_left: &LeftBlackBox) -> Result<()> {
        Ok(())
    }
}

#[cfg(all(
    test,
    target_os = "linux",
    target_pointer_width = "64",
    not(annals_portable)
))]
mod tests {
    #![allow(clippy::unwrap_used, clippy::print_stdout)]

    use std::ffi::OsStr;
    use std::fs::{self, Permissions};
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::{Path, PathBuf};

    use rustix::fs::{CWD, FileType, Mode, mknodat};
    use rustix::process::geteuid;
    use tempfile::TempDir;
    use xxhash_rust::xxh3::xxh3_64;

    use super::system::{left_below, remove_below};
    use super::*;
    use crate::fs::lock::FileLock;
    use crate::fs::machine_clock::boot_id;
    use crate::fs::shared_memory::ROOT;
    use crate::{BlackBox, Journal};

    /// A root of black boxes, and a folder for journals.
    struct Place {
        root: TempDir,
        folder: TempDir,
        runs: u32,
    }

    impl Place {
        fn new() -> Option<Place> {
            let Ok(root) = tempfile::tempdir_in(ROOT) else {
                println!("skipped: there is no shared memory");
                return None;
            };
            let folder = tempfile::tempdir().unwrap();
            let user = root.path().join(format!("annals-{}", geteuid().as_raw()));
            private(&user);
            Some(Place {
                root,
                folder,
                runs: 0,
            })
        }

        /// Puts a box there, with `record` as the file that says where its journal is.
        fn put(&mut self, journal: JournalId, record: &[u8]) -> PathBuf {
            self.runs += 1;
            let user = format!("annals-{}", geteuid().as_raw());
            let name = format!("{journal}-{}-{}", self.runs, boot_id().unwrap());
            let path = self.root.path().join(user).join(name);
            private(&path);
            file(&path.join("journal"), record);
            file(&path.join("lock"), b"");
            file(&path.join("head"), &[0; 4_096]);
            path
        }

        /// Creates a journal of this name.
        fn journal(&self, name: &str) -> (PathBuf, JournalId) {
            let dir = self.folder.path().join(name);
            let journal = Journal::options().black_box(BlackBox::Off).without_mirror();
            let journal = journal.open(&dir).unwrap();
            let id = journal.id();
            journal.close().unwrap();
            (dir, id)
        }

        fn left(&self) -> Vec<LeftBlackBox> {
            left_below(self.root.path()).unwrap()
        }

        fn whys(&self) -> Vec<WhyLeft> {
            let mut left = self.left();
            left.sort_by_key(|left| left.run);
            left.into_iter().map(|left| left.why).collect()
        }

        fn remove(&self, left: &LeftBlackBox) -> Result<()> {
            remove_below(self.root.path(), left)
        }
    }

    fn private(path: &Path) {
        fs::create_dir(path).unwrap();
        fs::set_permissions(path, Permissions::from_mode(0o700)).unwrap();
    }

    fn file(path: &Path, bytes: &[u8]) {
        fs::write(path, bytes).unwrap();
        fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
    }

    fn record(path: &[u8]) -> Vec<u8> {
        [&xxh3_64(path).to_le_bytes(), path].concat()
    }

    fn record_of(path: &Path) -> Vec<u8> {
        record(path.as_os_str().as_bytes())
    }

    fn is_unknown(why: &WhyLeft) -> bool {
        matches!(why, WhyLeft::Unknown(_))
    }

    #[test]
    fn boxes_of_journals_that_are_gone_are_listed_and_removed() {
        let Some(mut place) = Place::new() else {
            return;
        };
        assert_eq!(place.left(), []);
        let (here, id) = place.journal("here");
        let there = place.put(id, &record_of(&here));
        let nowhere = place.folder.path().join("nowhere");
        let gone = place.put(JournalId(7), &record_of(&nowhere));
        let [left] = <[LeftBlackBox; 1]>::try_from(place.left()).unwrap();
        assert_eq!((&left.path, left.journal), (&gone, JournalId(7)));
        assert_eq!((left.run.get(), &left.why), (2, &WhyLeft::JournalGone));
        assert_eq!(left.journal_path, Some(nowhere));
        assert!(left.bytes >= 4_096, "{}", left.bytes);
        let age = Timestamp::now().as_micros() - left.created.as_micros();
        assert!((0..600_000_000).contains(&age), "{age}");
        place.remove(&left).unwrap();
        assert!(!gone.exists() && there.exists());
        // Somebody else was faster.
        place.remove(&left).unwrap();
        assert_eq!(place.left(), []);
    }

    #[test]
    fn a_path_that_has_no_journal_or_another_one_is_told_apart() {
        let Some(mut place) = Place::new() else {
            return;
        };
        let (other, other_id) = place.journal("other");
        let (moved, id) = place.journal("moved");
        place.put(JournalId(1), &record_of(&other));
        place.put(id, &record_of(&moved));
        let empty = place.folder.path().join("empty");
        fs::create_dir(&empty).unwrap();
        place.put(JournalId(3), &record_of(&empty));
        let plain = place.folder.path().join("plain");
        fs::write(&plain, "").unwrap();
        place.put(JournalId(4), &record_of(&plain));
        place.put(JournalId(5), &record_of(&plain.join("below")));
        fs::rename(&moved, place.folder.path().join("new")).unwrap();
        let mut expected = vec![WhyLeft::JournalGone; 5];
        expected[0] = WhyLeft::OtherJournal(other_id);
        assert_eq!(place.whys(), expected);
        // A repair may be under way there.
        fs::create_dir(empty.join("damaged")).unwrap();
        let why = &place.whys()[2];
        assert!(is_unknown(why), "{why}");
        // One that cannot be opened.
        fs::write(empty.join("journal.redb"), "what is this?").unwrap();
        let why = &place.whys()[2];
        assert!(is_unknown(why), "{why}");
    }

    #[test]
    fn nothing_is_removed_whose_process_lives_or_whose_journal_is_back() {
        let Some(mut place) = Place::new() else {
            return;
        };
        let (dir, id) = place.journal("data");
        let path = place.put(id, &record_of(&dir));
        let elsewhere = place.folder.path().join("elsewhere");
        fs::rename(&dir, &elsewhere).unwrap();
        let [left] = <[LeftBlackBox; 1]>::try_from(place.left()).unwrap();
        let held = FileLock::hold(&path.join("lock")).unwrap().unwrap();
        assert_eq!(place.left(), []);
        let refused = place.remove(&left).unwrap_err();
        assert!(matches!(refused, crate::Error::InUse { .. }), "{refused}");
        drop(held);
        assert_eq!(place.left().len(), 1);
        fs::rename(&elsewhere, &dir).unwrap();
        let refused = place.remove(&left).unwrap_err();
        assert!(matches!(refused, crate::Error::InUse { .. }), "{refused}");
        assert!(path.join("head").exists());
        fs::remove_dir_all(&dir).unwrap();
        place.remove(&left).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn a_box_that_lies_is_listed_and_stays() {
        let Some(mut place) = Place::new() else {
            return;
        };
        let gone = record(b"/nowhere/at/all");
        let long = record(&[b"/", [b'x'; 5_000].as_slice()].concat());
        let mut torn = gone.clone();
        torn.pop();
        let relative = record(b"nowhere/at/all");
        let mut paths = Vec::new();
        for bytes in [&long, &torn, &relative, &Vec::new(), &vec![0; 8]] {
            paths.push(place.put(JournalId(1), bytes));
        }
        let secret = place.folder.path().join("secret");
        file(&secret, &gone);
        for _ in 0..5 {
            paths.push(place.put(JournalId(2), &gone));
        }
        let [.., link, second, pipe, open, wide] = &paths[..] else {
            unreachable!()
        };
        for path in [link, second, pipe] {
            fs::remove_file(path.join("journal")).unwrap();
        }
        symlink(&secret, link.join("journal")).unwrap();
        let twin = place.root.path().join("twin");
        file(&twin, &gone);
        fs::hard_link(&twin, second.join("journal")).unwrap();
        // A reader must not wait for a writer of it.
        let mode = Mode::RUSR | Mode::WUSR;
        mknodat(CWD, pipe.join("journal"), FileType::Fifo, mode, 0).unwrap();
        fs::set_permissions(open.join("journal"), Permissions::from_mode(0o644)).unwrap();
        fs::set_permissions(wide, Permissions::from_mode(0o755)).unwrap();
        // A link in the place of a box.
        let linked = wide.with_file_name(format!("{}-99-{}", JournalId(3), boot_id().unwrap()));
        symlink(wide, &linked).unwrap();
        let left = place.left();
        assert_eq!(left.len(), paths.len() + 1);
        for left in &left {
            assert!(is_unknown(&left.why), "{left:?}");
            assert_eq!(left.journal_path, None);
            assert!(place.remove(left).is_err());
            assert!(left.path.symlink_metadata().is_ok());
        }
        // No text, and a path all the same.
        let odd = place.put(JournalId(9), &record(b"/\xff\xfe"));
        let left = place.left();
        let left = left.iter().find(|left| left.path == odd).unwrap();
        assert_eq!(left.why, WhyLeft::JournalGone);
        let expected = Path::new(OsStr::from_bytes(b"/\xff\xfe"));
        assert_eq!(left.journal_path.as_deref(), Some(expected));
        place.remove(left).unwrap();
        assert!(!odd.exists());
    }

    #[test]
    fn a_user_s_directory_that_is_not_private_is_an_error() {
        let Some(place) = Place::new() else { return };
        let user = fs::read_dir(place.root.path()).unwrap().next().unwrap();
        let user = user.unwrap().path();
        fs::set_permissions(&user, Permissions::from_mode(0o755)).unwrap();
        let refused = left_below(place.root.path()).unwrap_err();
        assert!(refused.to_string().contains("mode is 755"), "{refused}");
        fs::remove_dir(&user).unwrap();
        assert_eq!(place.left(), []);
    }
}

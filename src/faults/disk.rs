//! A recorder of all calls to the disk below a directory, and the states that a power cut may
//! leave of them.
//!
//! The guarantees of a disk are few. A write may have arrived in any sector of 512 bytes, or in
//! none, until the file was synced; names may be there or not until their directory was synced.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Random;
use crate::fs::failpoint::{Failpoint, IoCall};

const SECTOR: usize = 512;

/// A file, whatever its name.
type File = usize;

/// One call that changes something, or a promise made to the user.
#[derive(Clone, Debug)]
enum Deed {
    Write(File, usize, Arc<[u8]>),
    Resize(File, usize),
    /// All deeds to the file before number `usize` are durable.
    Synced(File, usize),
    /// The file as it was when it was synced, where its writes were not seen.
    Contents(File, Arc<[u8]>),
    Named(PathBuf, File),
    Renamed(PathBuf, PathBuf, File),
    Removed(PathBuf),
    Directory(PathBuf),
    /// All deeds to the directory's names before number `usize` are durable.
    SyncedDirectory(PathBuf, usize),
    /// The promise with this number was made.
    Promise(usize),
}

impl Deed {
    /// The file whose contents change.
    fn file(&self) -> Option<File> {
        match self {
            Deed::Write(file, ..) | Deed::Resize(file, _) | Deed::Contents(file, _) => Some(*file),
            _ => None,
        }
    }

    /// The name that changes.
    fn name(&self) -> Option<&Path> {
        match self {
            Deed::Named(path, _)
            | Deed::Renamed(_, path, _)
            | Deed::Removed(path)
            | Deed::Directory(path) => Some(path),
            _ => None,
        }
    }
}

/// Everything that was done, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    deeds: Vec<Deed>,
    /// The durable files when the recording began.
    names: BTreeMap<PathBuf, File>,
    directories: BTreeSet<PathBuf>,
    contents: BTreeMap<File, Vec<u8>>,
    files: usize,
}

/// Records all calls below a directory.
pub(super) struct Recorder {
    root: PathBuf,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    log: Log,
    /// Which file has which name now.
    now: BTreeMap<PathBuf, File>,
    /// Files whose writes are seen.
    seen: BTreeSet<File>,
    /// Length of the log when a sync began, by thread.
    begun: BTreeMap<String, usize>,
}

impl Recorder {
    /// Begins with what lies in `root` now.
    pub(super) fn new(root: &Path) -> Arc<Recorder> {
        let mut inner = Inner::default();
        take_in(root, root, &mut inner.log);
        inner.now = inner.log.names.clone();
        Arc::new(Recorder {
            root: root.to_owned(),
            inner: Mutex::new(inner),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn promise(&self, number: usize) {
        self.lock().log.deeds.push(Deed::Promise(number));
    }

    pub(super) fn log(&self) -> Log {
        self.lock().log.clone()
    }

    fn relative(&self, path: &Path) -> PathBuf {
        path.strip_prefix(&self.root).unwrap().to_owned()
    }
}

fn take_in(root: &Path, directory: &Path, log: &mut Log) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(root).unwrap().to_owned();
        if path.is_dir() {
            log.directories.insert(name);
            take_in(root, &path, log);
        } else {
            log.contents.insert(log.files, fs::read(&path).unwrap());
            log.names.insert(name, log.files);
            log.files += 1;
        }
    }
}

fn thread() -> String {
    format!("{:?}", std::thread::current().id())
}

impl Failpoint for Recorder {
    fn before(&self, path: &Path, call: IoCall<'_>) -> io::Result<()> {
        let name = self.relative(path);
        let mut inner = self.lock();
        match call {
            // It may arrive from the moment in which it is asked for.
            IoCall::Write { offset, data } => {
                let file = inner.now[&name];
                inner.seen.insert(file);
                let offset = usize::try_from(offset).unwrap();
                inner.log.deeds.push(Deed::Write(file, offset, data.into()));
            }
            IoCall::Resize(length) => {
                let file = inner.now[&name];
                inner.seen.insert(file);
                let length = usize::try_from(length).unwrap();
                inner.log.deeds.push(Deed::Resize(file, length));
            }
            IoCall::Sync | IoCall::SyncDirectory => {
                let length = inner.log.deeds.len();
                inner.begun.insert(thread(), length);
            }
            _ => {}
        }
        Ok(())
    }

    fn after(&self, path: &Path, call: IoCall<'_>) {
        let name = self.relative(path);
        let mut inner = self.lock();
        let begun = inner.begun.get(&thread()).copied().unwrap_or_default();
        let deed = match call {
            IoCall::Create => {
                let file = inner.log.files;
                inner.log.files += 1;
                inner.now.insert(name.clone(), file);
                Deed::Named(name, file)
            }
            IoCall::CreateDirectory => Deed::Directory(name),
            IoCall::Link(to) => {
                let to = self.relative(to);
                let file = inner.now[&name];
                inner.now.insert(to.clone(), file);
                Deed::Named(to, file)
            }
            IoCall::Rename(to) => {
                let to = self.relative(to);
                let Some(file) = inner.now.remove(&name) else {
                    return;
                };
                inner.now.insert(to.clone(), file);
                Deed::Renamed(name, to, file)
            }
            IoCall::Remove => {
                inner.now.remove(&name);
                Deed::Removed(name)
            }
            IoCall::Sync => {
                let file = inner.now[&name];
                if inner.seen.contains(&file) {
                    Deed::Synced(file, begun)
                } else {
                    let contents = fs::read(path).unwrap();
                    inner.log.deeds.push(Deed::Contents(file, contents.into()));
                    Deed::Synced(file, inner.log.deeds.len())
                }
            }
            IoCall::SyncDirectory => Deed::SyncedDirectory(name, begun),
            // Links are made anew when a text file is opened.
            IoCall::Symlink(_)
            | IoCall::Length
            | IoCall::Read
            | IoCall::Write { .. }
            | IoCall::Resize(_) => {
                return;
            }
        };
        inner.log.deeds.push(deed);
    }
}

/// Treatment of unsynced writes, and of synced ones, by a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Honesty {
    Honest,
    /// From some moment on its syncs mean nothing.
    Liar,
}

/// A state of the disk after a power cut, and the last promise that was made before it.
pub(super) struct Image {
    names: BTreeMap<PathBuf, Vec<u8>>,
    directories: BTreeSet<PathBuf>,
    pub(super) promise: Option<usize>,
    pub(super) what: String,
}

impl Log {
    pub(super) fn len(&self) -> usize {
        self.deeds.len()
    }

    /// The moments before and after each change of a name: where the steps of sealing, creating
    /// and saving meet.
    pub(super) fn steps(&self) -> Vec<usize> {
        let steps = self.deeds.iter().enumerate();
        let steps = steps
            .filter(|(_, deed)| deed.name().is_some() || matches!(deed, Deed::SyncedDirectory(..)));
        steps.flat_map(|(at, _)| [at, at + 1]).collect()
    }

    /// An image that a power cut before deed number `cut` may leave.
    pub(super) fn cut(&self, cut: usize, honesty: Honesty, random: &mut Random) -> Image {
        let done = &self.deeds[..cut];
        let believed = match honesty {
            Honesty::Honest => cut,
            Honesty::Liar => random.below(cut + 1),
        };
        let mut durable: BTreeMap<File, usize> = BTreeMap::new();
        let mut durable_names: BTreeMap<&Path, usize> = BTreeMap::new();
        for deed in &done[..believed] {
            match deed {
                Deed::Synced(file, until) => {
                    durable.insert(*file, *until);
                }
                Deed::SyncedDirectory(directory, until) => {
                    durable_names.insert(directory, *until);
                }
                _ => {}
            }
        }
        let promises = done.iter().rev();
        let promise = promises.clone().find_map(|deed| match deed {
            Deed::Promise(number) => Some(*number),
            _ => None,
        });
        // Share of undurable data that arrives, in per cent.
        let arrives = [0, 10, 50, 90, 100][random.below(5)];
        let (names, directories) = self.names_at(done, &durable_names, arrives, random);
        let mut contents = self.contents_at(done, &durable, arrives, random);
        let names = names
            .into_iter()
            .map(|(name, file)| (name, contents.entry(file).or_default().clone()))
            .collect();
        Image {
            names,
            directories,
            promise,
            what: format!(
                "cut before {cut} of {}, {honesty:?} until {believed}, {arrives} % arrive",
                self.len()
            ),
        }
    }

    fn names_at(
        &self,
        done: &[Deed],
        durable: &BTreeMap<&Path, usize>,
        arrives: usize,
        random: &mut Random,
    ) -> (BTreeMap<PathBuf, File>, BTreeSet<PathBuf>) {
        let mut names = self.names.clone();
        let mut directories = self.directories.clone();
        // Most file systems keep the order of names; none needs to.
        let in_order = random.chance(50);
        let mut stopped = false;
        for (at, deed) in done.iter().enumerate() {
            let Some(name) = deed.name() else { continue };
            let above = name.parent().unwrap_or(Path::new(""));
            let is_durable = durable.get(above).is_some_and(|until| at < *until);
            if !is_durable {
                let arrived = random.chance(arrives) && !(in_order && stopped);
                if !arrived {
                    stopped = true;
                    continue;
                }
            }
            match deed {
                Deed::Named(path, file) => {
                    names.insert(path.clone(), *file);
                }
                Deed::Renamed(from, to, file) => {
                    if names.get(from) == Some(file) {
                        names.remove(from);
                    }
                    names.insert(to.clone(), *file);
                }
                Deed::Removed(path) => {
                    names.remove(path);
                }
                Deed::Directory(path) => {
                    directories.insert(path.clone());
                }
                _ => {}
            }
        }
        (names, directories)
    }

    fn contents_at(
        &self,
        done: &[Deed],
        durable: &BTreeMap<File, usize>,
        arrives: usize,
        random: &mut Random,
    ) -> BTreeMap<File, Vec<u8>> {
        let mut contents = self.contents.clone();
        for (at, deed) in done.iter().enumerate() {
            let Some(file) = deed.file() else { continue };
            let is_durable = durable.get(&file).is_some_and(|until| at < *until);
            let bytes = contents.entry(file).or_default();
            match deed {
                Deed::Write(_, offset, data) if is_durable => put(bytes, *offset, data),
                Deed::Write(_, offset, data) => {
                    let mut from = 0;
                    while from < data.len() {
                        // Sectors begin where the file's do.
                        let until = (from + SECTOR - (offset + from) % SECTOR).min(data.len());
                        if random.chance(arrives) {
                            put(bytes, offset + from, &data[from..until]);
                        }
                        from = until;
                    }
                }
                Deed::Resize(_, length) if is_durable || random.chance(arrives) => {
                    bytes.resize(*length, 0);
                }
                Deed::Contents(_, data) if is_durable || random.chance(arrives) => {
                    *bytes = data.to_vec();
                }
                _ => {}
            }
        }
        contents
    }
}

fn put(bytes: &mut Vec<u8>, offset: usize, data: &[u8]) {
    let end = offset + data.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[offset..end].copy_from_slice(data);
}

impl Image {
    /// Makes the directory `root` look like this.
    pub(super) fn write(&self, root: &Path) {
        fs::create_dir_all(root).unwrap();
        for directory in &self.directories {
            fs::create_dir_all(root.join(directory)).unwrap();
        }
        for (name, contents) in &self.names {
            let path = root.join(name);
            // A file whose directory has not arrived has not either.
            if path.parent().is_some_and(Path::is_dir) {
                fs::write(path, contents).unwrap();
            }
        }
    }
}

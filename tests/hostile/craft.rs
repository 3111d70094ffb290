//! Makes a journal lie: impossible values with correct checksums, at random places of all its
//! tables, sidecars, cursors and segments. Also pipes, and links that lead out of it.
//!
//! Knows the format from FORMAT.md, and nothing of the library's own code. Shared by
//! `hostile_values.rs`, `hostile_files.rs` and the fuzz target `values`.

#![allow(dead_code, reason = "each program uses its own part")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use annals::registry::Metadata;
use annals::{
    Inference, Journal, Level, ManualClock, Mode, Options, Outcome, RetentionPolicy, Timestamp,
    Value,
};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use xxhash_rust::xxh3::xxh3_64;

pub const MODEL: &str = "dqn";
const WAIT: Duration = Duration::from_secs(60);

/// Where choices come from: the bytes of a fuzzer, and then, or from the start, a seed.
pub struct Choices<'b> {
    bytes: &'b [u8],
    state: u64,
}

impl<'b> Choices<'b> {
    pub fn seeded(seed: u64) -> Self {
        let bytes = &[];
        Choices { bytes, state: seed }
    }

    #[allow(dead_code, reason = "for the fuzz target")]
    pub fn of(bytes: &'b [u8]) -> Self {
        let state = xxh3_64(bytes);
        Choices { bytes, state }
    }

    fn next(&mut self) -> u64 {
        if let Some((chosen, rest)) = self.bytes.split_first_chunk() {
            self.bytes = rest;
            return u64::from_le_bytes(*chosen);
        }
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).unwrap()
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// A number near an end of something.
    fn extreme(&mut self) -> u64 {
        let near = [
            0,
            1,
            1 << 8,
            1 << 16,
            1 << 24,
            1 << 31,
            1 << 32,
            1 << 40,
            1 << 42,
            1 << 44,
            1 << 56,
            1 << 62,
            1 << 63,
            u64::MAX,
        ];
        let number = self.pick(&near);
        number.wrapping_add(self.next() % 5).wrapping_sub(2)
    }
}

pub fn options() -> Options {
    Journal::options()
        .commit_interval(Duration::from_millis(1))
        .cache_bytes(1 << 20)
        .close_timeout(Duration::from_millis(300))
        .queue_capacity(1_024)
}

/// A journal that has something of everything, in `dir`.
pub fn base(dir: &Path) {
    let clock = ManualClock::at(Timestamp::from_micros(1_753_454_100_000_000));
    let journal = options().clock(clock.clone()).open(dir).unwrap();
    let registry = journal.registry().unwrap();
    registry.set_monitor(MODEL, "loss", Mode::Min).unwrap();
    let mut saved = Vec::new();
    for step in 0..4_u32 {
        clock.advance(Duration::from_secs(60));
        let deep = Metadata::map([("lr", Metadata::from(0.1)), ("by", vec![1_i64, 2].into())]);
        let mut new = registry
            .checkpoint(MODEL)
            .metric("loss", f64::from(step))
            .step(step.into())
            .tag("nightly")
            .metadata("optimiser", deep);
        if let Some(parent) = saved.last() {
            new = new.parent(annals::Checkpoint::id(parent));
        }
        saved.push(new.save(b"weights").unwrap());
    }
    for checkpoint in &saved {
        registry.set_alias("champion", checkpoint.id()).unwrap();
    }
    registry.remove_alias(MODEL, "champion").unwrap();
    registry.delete(saved[0].id(), "old").unwrap();
    registry.activate(saved[2].id()).unwrap();
    for round in 0..4_u32 {
        clock.advance(Duration::from_secs(40 * 60));
        for number in 0..60_u16 {
            let action = ["BUY", "SELL", "HOLD"][usize::from(number % 3)];
            let attributes = [("fold", Value::from(i64::from(number)))];
            let hold = f32::from(number) / 100.0;
            let features = [hold; 40];
            let probabilities = [("BUY", 0.2), ("SELL", 0.3), ("HOLD", hold)];
            let inference = Inference::new(MODEL, "ETH/USDT", action)
                .probabilities(&probabilities)
                .checkpoint(saved[1].id())
                .keep_features(&features)
                .attributes(&attributes);
            let id = journal.log(inference).unwrap();
            let outcome = Outcome::new().reward(1.5).correct(true).value("slip", 0.1);
            journal.attach_outcome(id, outcome);
        }
        journal.event(Level::Warn, "exchange", "feed is late");
        journal.flush().wait(WAIT).unwrap();
        if round < 2 {
            journal.fold(WAIT).unwrap();
            journal.seal(WAIT).unwrap();
        }
    }
    let maintenance = journal.maintenance().unwrap();
    let start = journal.reader().unwrap().start();
    maintenance.set_cursor("export", start).unwrap();
    maintenance.remove_cursor("export").unwrap();
    let end = journal.reader().unwrap().end().unwrap();
    maintenance.set_cursor("export", end).unwrap();
    let keep = RetentionPolicy::new().max_age(Duration::from_secs(50 * 60 * 2));
    maintenance.retention(keep).plan().unwrap().apply().unwrap();
    journal.clean_up_logs(WAIT).unwrap();
    journal.close().unwrap();
}

/// Files outside of the journal, which must stay as they are.
pub struct Outside {
    pub folder: PathBuf,
    pub victim: PathBuf,
}

impl Outside {
    pub fn make(folder: PathBuf) -> Self {
        fs::create_dir_all(folder.join(MODEL)).unwrap();
        let victim = folder.join("victim");
        fs::write(&victim, "precious").unwrap();
        fs::write(folder.join(MODEL).join("model.bin"), "weights of somebody").unwrap();
        Outside { folder, victim }
    }

    /// Everything in there: names, contents, times.
    pub fn listing(&self) -> Vec<String> {
        let mut found = Vec::new();
        list(&self.folder, &mut found);
        found.sort();
        found
    }
}

fn list(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let known = fs::symlink_metadata(&path).unwrap();
        if known.is_dir() {
            list(&path, found);
        }
        let held = if known.is_file() {
            fs::read(&path).unwrap()
        } else {
            Vec::new()
        };
        let changed = known.is_file().then(|| known.modified().unwrap());
        found.push(format!("{path:?} {changed:?} {held:?}"));
    }
}

/// Kinds of lies.
const KINDS: usize = 17;

/// Makes the journal in `dir`, a copy of [`base`]'s, lie in one to four ways. The first has this
/// number, if there is one. Says how.
pub fn lie(
    dir: &Path,
    outside: &Outside,
    first: Option<usize>,
    choices: &mut Choices<'_>,
) -> Vec<String> {
    let mut told = Vec::new();
    let first = first.filter(|kind| *kind < KINDS);
    for number in 0..1 + choices.below(4) {
        let kind = first.filter(|_| number == 0);
        told.push(match kind.unwrap_or_else(|| choices.below(KINDS)) {
            0..=3 => row(&dir.join("journal.redb"), &TABLES, outside, choices),
            4 => row(&dir.join("journal.redb"), &FOLDED, outside, choices),
            5 => segment(dir, outside, choices),
            6 => extent(dir, choices),
            7 => alias(dir, choices),
            8 => blocks(dir, choices),
            9 => leaving(dir, outside, choices),
            10 => names(dir, choices),
            11 => runs(dir, choices),
            12 => sidecar(dir, outside, choices),
            13 => cursor(dir, choices),
            14 => pipe(dir, choices),
            15 => inputs(dir, choices),
            _ => link(dir, outside, choices),
        });
    }
    told
}

/// The tables that folding writes.
const FOLDED: [&str; 5] = [
    "rollups",
    "hour_details",
    "gap_sums",
    "unmatched_outcomes",
    "out_of_order_outcomes",
];

const TABLES: [&str; 28] = [
    "meta",
    "names",
    "name_ids",
    "runs",
    "blocks",
    "hours",
    "ids",
    "outcomes",
    "marks",
    "segments",
    "rollups",
    "hour_details",
    "gap_sums",
    "unmatched_outcomes",
    "out_of_order_outcomes",
    "checkpoints",
    "models",
    "bests",
    "newest",
    "ranking",
    "tags",
    "aliases",
    "alias_history",
    "deleted",
    "leaving",
    "cursors",
    "inputs",
    "manifests",
];

fn definition(table: &'static str) -> TableDefinition<'static, &'static [u8], &'static [u8]> {
    TableDefinition::new(table)
}

/// A value under its checksum.
fn sealed(table: &str, key: &[u8], payload: &[u8]) -> Vec<u8> {
    let length = (key.len() as u64).to_le_bytes();
    let whole = [table.as_bytes(), &length, key, payload].concat();
    [&xxh3_64(&whole).to_le_bytes()[..], payload].concat()
}

/// The rows of a table, without their checksums.
pub fn rows(file: &Path, table: &'static str) -> Vec<(Vec<u8>, Vec<u8>)> {
    let Ok(database) = Database::open(file) else {
        return Vec::new();
    };
    let read = database.begin_read().unwrap();
    let Ok(table) = read.open_table(definition(table)) else {
        return Vec::new();
    };
    let rows = table.iter().unwrap().map(|row| {
        let (key, value) = row.unwrap();
        let payload = value.value().get(8..).unwrap_or_default().to_vec();
        (key.value().to_vec(), payload)
    });
    rows.collect()
}

pub fn put(file: &Path, table: &'static str, rows: &[(Vec<u8>, Vec<u8>)]) {
    let Ok(database) = Database::open(file) else {
        return;
    };
    let write = database.begin_write().unwrap();
    {
        let mut opened = write.open_table(definition(table)).unwrap();
        for (key, payload) in rows {
            let value = sealed(table, key, payload);
            opened.insert(&key[..], &value[..]).unwrap();
        }
    }
    write.commit().unwrap();
}

fn remove(file: &Path, table: &'static str, key: &[u8]) {
    let Ok(database) = Database::open(file) else {
        return;
    };
    let write = database.begin_write().unwrap();
    {
        let mut opened = write.open_table(definition(table)).unwrap();
        opened.remove(key).unwrap();
    }
    write.commit().unwrap();
}

/// A number as bincode's standard configuration has it.
pub fn number(value: u64) -> Vec<u8> {
    match value {
        0..=250 => vec![u8::try_from(value).unwrap()],
        251..=0xFFFF => [&[251][..], &u16::try_from(value).unwrap().to_le_bytes()].concat(),
        0x1_0000..=0xFFFF_FFFF => {
            [&[252][..], &u32::try_from(value).unwrap().to_le_bytes()].concat()
        }
        _ => [&[253][..], &value.to_le_bytes()].concat(),
    }
}

pub fn signed(value: i64) -> Vec<u8> {
    number(((value << 1) ^ (value >> 63)).cast_unsigned())
}

/// A number as rollups have it: seven bits in each byte.
fn seven_bits(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(0x80 | u8::try_from(value & 0x7F).unwrap());
        value >>= 7;
    }
    bytes.push(u8::try_from(value).unwrap());
    bytes
}

pub fn text(text: &str) -> Vec<u8> {
    [&number(text.len() as u64)[..], text.as_bytes()].concat()
}

/// A path that leads elsewhere, or a name that is none.
fn elsewhere(outside: &Outside, choices: &mut Choices<'_>) -> String {
    let victim = outside.victim.to_str().unwrap().to_owned();
    match choices.below(9) {
        0 | 1 => victim,
        2 => "../../outside/victim".to_owned(),
        3 => "../outside/victim".to_owned(),
        4 => "dqn/../../../outside/victim".to_owned(),
        5 => "dqn".to_owned(),
        6 => "../journal.redb".to_owned(),
        7 => "dqn/\0\n".to_owned(),
        _ => "x".repeat(70_000),
    }
}

/// Changes one row of a random table.
fn row(
    file: &Path,
    tables: &[&'static str],
    outside: &Outside,
    choices: &mut Choices<'_>,
) -> String {
    let table = choices.pick(tables);
    let mut all = rows(file, table);
    let (key, payload) = if all.is_empty() {
        // Tables that are usually empty get rows of another's form.
        (b"dqn_20250725_143500".to_vec(), [1, 2].repeat(9))
    } else {
        let index = choices.below(all.len());
        all.swap_remove(index)
    };
    let mut changed = (key.clone(), payload);
    for _ in 0..1 + choices.below(3) {
        match choices.below(10) {
            0 | 1 => splice(&mut changed.1, 1, &number(choices.extreme()), choices),
            2 => {
                let near = signed(choices.extreme().cast_signed());
                splice(&mut changed.1, 1, &near, choices);
            }
            3 => {
                let byte = u8::try_from(choices.below(256)).unwrap();
                splice(&mut changed.1, 1, &[byte], choices);
            }
            4 => {
                let end = choices.below(changed.1.len() + 1);
                changed.1.truncate(end);
            }
            5 => {
                let nested = [5, 1].repeat(choices.below(40_000));
                splice(&mut changed.1, 0, &nested, choices);
            }
            6 => replace_text(&mut changed.1, &elsewhere(outside, choices), choices),
            7 => {
                let at = choices.pick(&[0, 1, 8]);
                let near = choices.extreme().to_be_bytes();
                if let Some(place) = changed.0.get_mut(at..at + 8) {
                    place.copy_from_slice(&near);
                }
            }
            8 => splice(&mut changed.1, 1, &seven_bits(choices.extreme()), choices),
            _ => {
                let end = choices.below(changed.0.len() + 1);
                changed.0.truncate(end);
            }
        }
    }
    if changed.0 != key && choices.below(2) == 0 {
        remove(file, table, &key);
    }
    let said = format!("{table} {:?}: {} bytes", changed.0, changed.1.len());
    put(file, table, &[changed]);
    said
}

fn splice(payload: &mut Vec<u8>, length: usize, with: &[u8], choices: &mut Choices<'_>) {
    let at = choices.below(payload.len() + 1);
    let end = (at + length).min(payload.len());
    payload.splice(at..end, with.iter().copied());
}

/// Puts another text in the place of one that is there.
fn replace_text(payload: &mut Vec<u8>, with: &str, choices: &mut Choices<'_>) {
    let is_text = |at: &usize| {
        let length = usize::from(payload[*at]);
        let text = payload.get(at + 1..at + 1 + length).unwrap_or_default();
        length > 2 && text.len() == length && text.iter().all(|byte| (32..127).contains(byte))
    };
    let places: Vec<usize> = (0..payload.len()).filter(is_text).collect();
    if places.is_empty() {
        return;
    }
    let at = choices.pick(&places);
    let end = at + 1 + usize::from(payload[at]);
    payload.splice(at..end, text(with));
}

fn segment(dir: &Path, outside: &Outside, choices: &mut Choices<'_>) -> String {
    let folder = dir.join("segments");
    let Ok(entries) = fs::read_dir(&folder) else {
        return "no segments".to_owned();
    };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|end| end == "redb") && path.is_file());
    files.sort();
    let Some(file) = files.first() else {
        return "no segments".to_owned();
    };
    if choices.below(4) == 0 {
        let (first, last) = (choices.extreme(), choices.extreme());
        let name = format!("{first:020}-{last:020}.redb");
        fs::copy(file, folder.join(&name)).unwrap();
        return format!("segment {name}");
    }
    let tables = ["meta", "blocks", "hours", "ids", "outcomes", "marks"];
    format!("segment: {}", row(file, &tables, outside, choices))
}

/// Next, first in the hot file, first kept, bytes, changes.
pub fn extent_of(file: &Path) -> Option<[u64; 5]> {
    let meta = rows(file, "meta");
    let (_, payload) = meta.into_iter().find(|(key, _)| key == b"extent")?;
    let mut rest = &payload[..];
    let mut next = || {
        let (first, after) = rest.split_first()?;
        let width = match first {
            251 => 2,
            252 => 4,
            253 => 8,
            _ => {
                rest = after;
                return Some(u64::from(*first));
            }
        };
        let mut bytes = [0; 8];
        bytes[..width].copy_from_slice(after.get(..width)?);
        rest = &after[width..];
        Some(u64::from_le_bytes(bytes))
    };
    Some([next()?, next()?, next()?, next()?, next()?])
}

pub fn put_extent(file: &Path, extent: [u64; 5]) {
    let payload = extent.map(number).concat();
    put(file, "meta", &[(b"extent".to_vec(), payload)]);
}

fn extent(dir: &Path, choices: &mut Choices<'_>) -> String {
    let file = dir.join("journal.redb");
    let Some(mut extent) = extent_of(&file) else {
        return "no extent".to_owned();
    };
    let place = choices.below(5);
    extent[place] = choices.extreme();
    if choices.below(3) == 0 {
        extent[0] = choices.extreme();
    }
    put_extent(&file, extent);
    format!("extent {extent:?}")
}

fn alias(dir: &Path, choices: &mut Choices<'_>) -> String {
    let file = dir.join("journal.redb");
    let mut steps = rows(&file, "alias_history");
    let mut times = Vec::new();
    for (key, _) in &steps {
        if let Some(time) = key.last_chunk() {
            times.push((u64::from_be_bytes(*time) ^ (1 << 63)).cast_signed());
        }
    }
    if times.is_empty() {
        return "no aliases".to_owned();
    }
    for (_, payload) in &mut steps {
        // To itself, around, or to somewhere else.
        let back = choices.pick(&times);
        let target: &[u8] = &[0];
        *payload = [target, &[1], &signed(back)].concat();
    }
    put(&file, "alias_history", &steps);
    "aliases that go round".to_owned()
}

/// Blocks of entries that take no bytes, and holes.
fn blocks(dir: &Path, choices: &mut Choices<'_>) -> String {
    let count = choices.pick(&[16_384, 16_384, 16_383, 16_385, u64::from(u32::MAX)]);
    // Two hundred bytes an entry in memory: these come to more than is allowed.
    let many = choices.pick(&[1, 24, 24]);
    let hole = choices.below(4) == 0;
    let name = choices.pick(&[1, 1, 2, u64::from(u32::MAX)]);
    put_blocks(dir, many, count, name, hole);
    format!("{many} blocks of {count} entries, name {name}, holes: {hole}")
}

/// Appends `many` blocks of `count` equal repeats of the name `name`, of some sixty bytes each, or
/// holes.
pub fn put_blocks(dir: &Path, many: u64, count: u64, name: u64, hole: bool) {
    let file = dir.join("journal.redb");
    let Some(mut extent) = extent_of(&file) else {
        return;
    };
    let mut header = [
        number(count),
        number(if hole { 0 } else { count }),
        number(0),
        number(0),
    ]
    .concat();
    header.extend(number(if hole { 1 } else { 1 << 40 }));
    header.extend(signed(1_753_454_100_000_000));
    for column in 0..20 {
        let least = match column {
            0 => 1,
            4..=7 => i64::try_from(name).unwrap(),
            9 => 2,
            _ => 0,
        };
        header.extend(signed(least));
        header.push(0);
    }
    header.extend(signed(1_753_454_100_000_000));
    header.extend(number(0));
    let note = [&[0, 0, 3, 1][..], &number(count), &[0, 0, 0]].concat();
    for column in 0..5 {
        let length = i64::try_from(note.len()).unwrap();
        header.extend(signed(if hole && column == 4 { length } else { 0 }));
        header.push(0);
    }
    if hole {
        header.extend(note);
    }
    let mut rows = Vec::new();
    for _ in 0..many {
        rows.push((extent[0].to_be_bytes().to_vec(), header.clone()));
        extent[0] = extent[0].wrapping_add(count);
        extent[3] = extent[3].wrapping_add(8 + header.len() as u64);
    }
    put(&file, "blocks", &rows);
    put_extent(&file, extent);
}

fn leaving(dir: &Path, outside: &Outside, choices: &mut Choices<'_>) -> String {
    let file = dir.join("journal.redb");
    let many = 1 + choices.below(3);
    let mut payload = number(many as u64);
    let mut told = Vec::new();
    for _ in 0..many {
        let path = elsewhere(outside, choices);
        payload.extend(text(&path));
        told.push(path.chars().take(60).collect::<String>());
    }
    put(&file, "leaving", &[(b"dqn_1".to_vec(), payload)]);
    format!("leaving {told:?}")
}

fn names(dir: &Path, choices: &mut Choices<'_>) -> String {
    let file = dir.join("journal.redb");
    let id = choices.pick(&[0, 1 << 20, 1 << 28, u64::from(u32::MAX), 1 << 33]);
    let name = match choices.below(3) {
        0 => "dqn2".to_owned(),
        1 => "\u{1f}".repeat(choices.below(60_000)),
        _ => "x".repeat(choices.below(60_000)),
    };
    let kind = choices.pick(&[1_u8, 2, 3, 5, 7, 200]);
    let payload = [&[kind][..], &text(&name)].concat();
    put(&file, "names", &[(id.to_be_bytes().to_vec(), payload)]);
    put(
        &file,
        "name_ids",
        &[(
            [&[kind][..], &name.as_bytes()[..name.len().min(200)]].concat(),
            [
                number(id & 0xFFFF_FFFF),
                number(choices.extreme() & 0xFFFF_FFFF),
                number(choices.extreme() & 0xFFFF_FFFF),
            ]
            .concat(),
        )],
    );
    let next = number(choices.extreme() & 0xFFFF_FFFF);
    put(&file, "meta", &[(b"next_name".to_vec(), next)]);
    format!("name {id} of {} bytes", name.len())
}

fn runs(dir: &Path, choices: &mut Choices<'_>) -> String {
    let file = dir.join("journal.redb");
    let run = choices.pick(&[
        0,
        1,
        2,
        3,
        (1 << 24) - 1,
        1 << 24,
        u64::from(u32::MAX),
        1 << 40,
    ]);
    let mut payload = signed(choices.extreme().cast_signed());
    payload.extend(number(7));
    for _ in 0..4 {
        payload.extend(number(choices.extreme()));
    }
    // Not ended, and of the journal's own.
    payload.extend([0, 0]);
    put(&file, "runs", &[(run.to_be_bytes().to_vec(), payload)]);
    format!("run {run}")
}

fn sidecar(dir: &Path, outside: &Outside, choices: &mut Choices<'_>) -> String {
    use serde_json::{Value, json};
    let model = choices.pick(&[MODEL, "other"]);
    let id = format!("{model}_20250725_14350{}", choices.below(9));
    let folder = dir.join("checkpoints").join(model);
    if fs::symlink_metadata(&folder).is_ok_and(|found| !found.is_dir()) {
        return "no folder".to_owned();
    }
    fs::create_dir_all(&folder).unwrap();
    let mut body = json!({
        "annals_checkpoint": 1,
        "id": id,
        "model": model,
        "model_type": "",
        "created_us": choices.extreme().cast_signed(),
        "origin": choices.pick(&["saved", "registered", "found"]),
        "file": format!("{model}/{id}.bin"),
        "bytes": choices.extreme(),
        "blake3": null,
        "metrics": {"loss": {"$real": "NaN"}},
        "step": choices.extreme(),
        "epoch": null,
        "parent": id,
        "tags": ["a"],
        "metadata": {},
    });
    match choices.below(4) {
        0 => {}
        1 => body["metadata"] = json!({"x": vec![0; choices.below(600_000)]}),
        _ => body["file"] = Value::String(elsewhere(outside, choices)),
    }
    let digest = blake3::hash(body.to_string().as_bytes()).to_hex();
    body["seal"] = Value::String(digest[..32].to_owned());
    let path = folder.join(format!("{id}.json"));
    let _ = fs::remove_file(&path);
    fs::write(&path, format!("{body:#}\n")).unwrap();
    if choices.below(2) == 0 {
        let weights = folder.join(format!("{id}.bin"));
        if fs::symlink_metadata(&weights).is_err() {
            fs::write(weights, "w").unwrap();
        }
    }
    let file: String = body["file"].to_string().chars().take(60).collect();
    format!("sidecar {id}, {}, {file}", body["origin"])
}

fn cursor(dir: &Path, choices: &mut Choices<'_>) -> String {
    let path = dir.join("logs/.cursor");
    let Ok(found) = fs::symlink_metadata(&path) else {
        return "no cursor".to_owned();
    };
    if !found.is_file() {
        return "no cursor".to_owned();
    }
    let known = fs::read_to_string(&path).unwrap();
    let head: Vec<&str> = known.lines().take(2).collect();
    let small = choices.below(2) == 0;
    let next = if small { 100 } else { choices.extreme() };
    let mut body = format!("{}\nnext {next}\n", head.join("\n"));
    for kind in ["inference_records", "system_events", "outcome_records"] {
        let day = match choices.below(3) {
            0 => "-".to_owned(),
            1 => "20294".to_owned(),
            _ => choices.extreme().cast_signed().to_string(),
        };
        let part = choices.extreme() & 0xFFFF_FFFF;
        body.push_str(&format!("{kind} {day} {part} {}\n", choices.extreme()));
    }
    let sum = xxh3_64(body.as_bytes());
    fs::write(&path, format!("{body}sum {sum:016x}\n")).unwrap();
    format!("cursor {body:?}")
}

/// A file of the journal, there or not, by its path.
fn any_file(dir: &Path, choices: &mut Choices<'_>) -> PathBuf {
    let mut known = Vec::new();
    for folder in ["checkpoints/dqn", "segments", "logs", "runs"] {
        for entry in fs::read_dir(dir.join(folder)).into_iter().flatten() {
            known.push(entry.unwrap().path());
        }
    }
    known.sort();
    let names = [
        "runs/1.lock",
        "runs/2.lock",
        "runs/3.lock",
        "runs/create.lock",
        "runs/fold.lock",
        "segments/.lock",
        "checkpoints/.lock",
        "checkpoints/dqn/x.bin.partial",
        "checkpoints/dqn/x.json",
        "checkpoints/dqn/x.json.partial",
        "checkpoints/dqn/x.safetensors",
        "checkpoints/new/x.pt",
        "checkpoints/new",
        "logs/.lock",
        "logs/.cursor",
        "logs/.cursor.new",
        "logs/.cut.new",
        "logs/inference_records.txt",
        "logs/inference_records.2025-07-25.txt",
        "logs/system_events.2025-07-25.1.txt.gz",
        "damaged",
        "damaged/journal.redb",
        "journal.redb.new-0000000000000000",
    ];
    if !known.is_empty() && choices.below(2) == 0 {
        let index = choices.below(known.len());
        return known.swap_remove(index);
    }
    dir.join(choices.pick(&names))
}

/// Takes what is there away, and makes room for something else.
fn clear(path: &Path) {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path).unwrap(),
        Ok(_) => fs::remove_file(path).unwrap(),
        Err(_) => {
            if let Some(above) = path.parent() {
                let _ = fs::create_dir_all(above);
            }
        }
    }
}

/// A file of inputs whose frames have right checksums, and other numbers in their headers or heads.
fn inputs(dir: &Path, choices: &mut Choices<'_>) -> String {
    let path = dir.join("inputs/1-1.inputs");
    let is_file = fs::symlink_metadata(&path).is_ok_and(|found| found.is_file());
    let mut bytes = if is_file {
        fs::read(&path).unwrap()
    } else {
        Vec::new()
    };
    if bytes.len() < 80 {
        return "no inputs".to_owned();
    }
    let place = choices.pick(&[8, 16, 32, 40, 44, 48, 64]);
    let number = choices.extreme().to_le_bytes();
    bytes[place..place + 4].copy_from_slice(&number[..4]);
    let stated = u32::from_le_bytes(bytes[8..12].try_into().unwrap());
    let end = usize::try_from(stated).unwrap().clamp(8, bytes.len());
    let sum = xxh3_64(&bytes[8..end]);
    bytes[..8].copy_from_slice(&sum.to_le_bytes());
    fs::write(&path, bytes).unwrap();
    format!("inputs with {number:?} at {place}")
}

fn pipe(dir: &Path, choices: &mut Choices<'_>) -> String {
    let path = any_file(dir, choices);
    clear(&path);
    make_pipe(&path);
    if path.starts_with(dir.join("runs")) {
        // A run that has not ended, so that its lock is looked at.
        let _ = runs(dir, choices);
    }
    format!("pipe {path:?}")
}

pub fn make_pipe(path: &Path) {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    // Where something is there after all, that does as well.
    let _ = mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o600), 0);
}

fn link(dir: &Path, outside: &Outside, choices: &mut Choices<'_>) -> String {
    // Folders of a journal may be links that its owner made; what lies in them may not.
    let path = match choices.below(4) {
        0 => dir.join("checkpoints/dqn"),
        _ => any_file(dir, choices),
    };
    clear(&path);
    let target = match choices.below(4) {
        0 => outside.victim.clone(),
        1 => outside.folder.join("nothing"),
        2 => outside.folder.join(MODEL),
        _ => outside.folder.join(MODEL).join("model.bin"),
    };
    let _ = symlink(&target, &path);
    format!("link {path:?} to {target:?}")
}

/// Copies a journal's directory.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (path, copy) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            self::copy(&path, &copy);
        } else if kind.is_symlink() {
            symlink(fs::read_link(&path).unwrap(), &copy).unwrap();
        } else if kind.is_file() {
            fs::copy(&path, &copy).unwrap();
        } else {
            make_pipe(&copy);
        }
    }
}

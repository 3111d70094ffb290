//! `export | import` gives the same journal, whatever the first one holds.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test that cannot go on fails"
)]

mod common;

use std::path::Path;
use std::time::Duration;

use annals::entry::{CheckpointAction, EpisodeId, GapReason};
use annals::import::{Answer, Importer, Loss, PastOutcome};
use annals::record::KeepInputs;
use annals::{Inference, InferenceId, Journal, Level, Outcome, Timestamp, Value};
use common::{Place, annals, run};

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn is(&mut self, one_in: u64) -> bool {
        self.below(one_in) == 0
    }

    /// All magnitudes, both signs and the ends.
    fn time(&mut self) -> Timestamp {
        const YEAR_10000: i64 = 253_402_300_800_000_000;
        let micros = match self.below(12) {
            0 => i64::MIN,
            1 => i64::MAX,
            2 => YEAR_10000 - 1,
            3 => YEAR_10000,
            4 => -62_167_219_200_000_001,
            _ => self.next().cast_signed() >> self.below(63),
        };
        Timestamp::from_micros(micros)
    }

    fn text(&mut self) -> String {
        let odd = [
            "",
            "NaN",
            "null",
            "=1+1",
            "a\"b\\",
            "line\nbreak",
            "\u{0}",
            "Ω\u{202e}",
            "{}",
            "us",
        ];
        match self.below(3) {
            0 => odd[self.below(odd.len() as u64) as usize].to_owned(),
            _ => format!("name {}", self.below(5)),
        }
    }

    fn real(&mut self) -> f64 {
        match self.below(6) {
            0 => f64::NAN,
            1 => f64::INFINITY,
            2 => f64::NEG_INFINITY,
            3 => -0.0,
            4 => f64::MIN_POSITIVE / 3.0,
            _ => loop {
                let value = f64::from_bits(self.next());
                if value.is_finite() {
                    break value;
                }
            },
        }
    }

    fn real32(&mut self) -> f32 {
        match self.below(4) {
            0 => self.real() as f32,
            1 => 0.85,
            _ => loop {
                let value = f32::from_bits(self.next() as u32);
                if value.is_finite() {
                    break value;
                }
            },
        }
    }

    fn value(&mut self) -> Value {
        match self.below(4) {
            0 => Value::Text(self.text()),
            1 => Value::Real(self.real()),
            2 => Value::Integer(self.next().cast_signed() >> self.below(64)),
            _ => Value::Flag(self.is(2)),
        }
    }

    fn pairs(&mut self) -> Vec<(String, Value)> {
        (0..self.below(5))
            .map(|_| (self.text(), self.value()))
            .collect()
    }
}

fn outcome(random: &mut Random, names: &[String]) -> Outcome<'static> {
    let mut outcome = Outcome::new().reward(random.real());
    if random.is(2) {
        outcome = Outcome::new().correct(random.is(2));
    }
    if random.is(2) {
        outcome = outcome.label(names[0].clone().leak());
    }
    if random.is(2) {
        outcome = outcome.value(names[1].clone().leak(), random.real());
    }
    outcome
}

/// Inputs of each kind: any bits, and some that cannot be kept.
fn kept(random: &mut Random) -> (Vec<f32>, Vec<f64>, Vec<u8>) {
    let long = if random.is(40) { 1 << 18 } else { 5 };
    let many = random.below(long + 1) as usize;
    let single = (0..many).map(|_| match random.below(3) {
        0 => f32::from_bits(random.next() as u32),
        1 => f32::NAN,
        _ => random.real32(),
    });
    let single = single.collect();
    let double = (0..random.below(5)).map(|_| match random.below(3) {
        0 => f64::from_bits(random.next()),
        _ => random.real(),
    });
    let double = double.collect();
    let bytes = (0..random.below(30)).map(|_| random.next() as u8);
    let mut bytes: Vec<u8> = bytes.collect();
    if random.is(40) {
        bytes.resize((1 << 20) + 1, 7);
    }
    (single, double, bytes)
}

/// Decisions of a recorder whose inputs have names. Some are repeats.
fn with_names(journal: &Journal, random: &mut Random) {
    let recorder = journal.recorder("named", "s").actions(["BUY", "SELL"]);
    let names = [random.text(), random.text(), "a\u{1f}b".to_owned()];
    let recorder = recorder
        .feature_names(names)
        .keep_inputs(KeepInputs::Always)
        .build()
        .unwrap();
    for number in 0..random.below(6) {
        let features = [number as f32 / 2.0, random.real32()];
        for _twice in 0..=random.below(2) {
            recorder.log(
                recorder.start(),
                0,
                &[0.5],
                &features[..random.below(3) as usize],
            );
        }
    }
}

/// Takes the oldest file of kept inputs away.
fn lose_inputs(dir: &Path) {
    let folder = dir.join("inputs");
    let entries = std::fs::read_dir(&folder).into_iter().flatten();
    let oldest = entries.map(|entry| entry.unwrap().path()).min();
    if let Some(oldest) = oldest {
        std::fs::remove_file(oldest).unwrap();
    }
}

/// A journal with everything that one can hold.
fn history(dir: &Path, random: &mut Random) {
    let mut ids: Vec<InferenceId> = Vec::new();
    for _run in 0..=random.below(2) {
        let journal = Journal::options().without_mirror().open(dir).unwrap();
        for _ in 0..random.below(40) {
            let texts: [String; 6] = std::array::from_fn(|_| random.text());
            match random.below(8) {
                0 => {
                    journal.event(Level::Debug, &texts[0], texts[1].clone());
                }
                1 | 2 if !ids.is_empty() => {
                    let of = ids[random.below(ids.len() as u64) as usize];
                    journal.attach_outcome(of, outcome(random, &texts).at(random.time()));
                }
                3 => {
                    // Of an inference that is not there.
                    let of = journal.health().run.inference(1 << 30).unwrap();
                    journal.attach_outcome(of, outcome(random, &texts).at(random.time()));
                }
                _ => {
                    let labels = ["BUY", "", "SELL"];
                    let probabilities: Vec<(&str, f32)> = (0..random.below(4) as usize)
                        .map(|index| (labels[index], random.real32()))
                        .collect();
                    let attributes = random.pairs();
                    let attributes: Vec<(&str, Value)> = attributes
                        .iter()
                        .map(|(name, value)| (name.as_str(), value.clone()))
                        .collect();
                    let mut inference = Inference::new(&texts[0], &texts[1], &texts[2])
                        .probabilities(&probabilities)
                        .attributes(&attributes)
                        .event_time(random.time());
                    if random.is(2) {
                        inference = inference.confidence(random.real32());
                    }
                    if random.is(2) {
                        inference = inference.features_hashed(random.below(3));
                    }
                    let (kept, double, bytes) = kept(random);
                    inference = match random.below(8) {
                        0 => inference.keep_features(&kept),
                        1 => inference.keep_features(&double),
                        2 => inference.keep_bytes(&bytes),
                        _ => inference,
                    };
                    if random.is(6) {
                        inference = inference.features_hashed(random.below(3));
                    }
                    if random.is(2) {
                        let nanos = random.next() >> random.below(63);
                        inference = inference.processing_time(Duration::from_nanos(nanos >> 1));
                    }
                    if random.is(2) {
                        inference = inference.memory(random.next() >> 20);
                    }
                    if random.is(2) {
                        inference = inference.checkpoint(&texts[3]);
                    }
                    let vector: Vec<f32> = (0..random.below(3)).map(|_| random.real32()).collect();
                    let run = journal.health().run;
                    if random.is(4) {
                        inference = inference.propensity(random.real32()).action_vector(&vector);
                    }
                    if random.is(4) {
                        // Some never arrive.
                        let known = ids.last().copied();
                        let cause = known.unwrap_or_else(|| run.inference(1 << 31).unwrap());
                        inference = inference.caused_by(cause).correlation(&texts[4]);
                    }
                    if random.is(4) {
                        let first = run.inference(random.below(3)).unwrap();
                        let episode = EpisodeId::from_u64(first.to_u64());
                        let step = random.next() >> random.below(64);
                        inference = inference.episode(episode, step);
                    }
                    let names: [String; 2] = std::array::from_fn(|_| random.text());
                    let predictions: Vec<(&str, f64)> = names
                        .iter()
                        .map(|name| (name.as_str(), random.real()))
                        .collect();
                    if random.is(4) {
                        inference = inference.predictions(&predictions);
                    }
                    ids.extend(journal.log(inference));
                }
            }
        }
        with_names(&journal, random);
        journal.close().unwrap();
    }
    let mut importer = Importer::open(dir).unwrap();
    let run = importer.source("elsewhere").unwrap();
    let id = run.inference(1 << 39).unwrap();
    importer.recorded_at(Some(random.time()));
    let inference = Inference::new("m", "s", "BUY").event_time(random.time());
    importer.add(id, &inference, Answer::Divergent).unwrap();
    // On a clock that stands, values that come and go.
    let (time, still) = (random.time(), random.time());
    let past: Vec<PastOutcome<'_>> = (0..random.below(6))
        .map(|_| PastOutcome {
            outcome: Outcome::new()
                .reward([1.0, f64::NAN][random.below(2) as usize])
                .at(time),
            recorded_time: Some(still),
            recorded_by: run,
        })
        .collect();
    importer.add_outcome_history(id, &past).unwrap();
    for _ in 0..random.below(12) {
        importer.recorded_at(Some(random.time()));
        let reasons = [
            GapReason::QueueFull,
            GapReason::Refused,
            GapReason::Died,
            GapReason::Damaged,
        ];
        let loss = Loss {
            run,
            reason: reasons[random.below(4) as usize],
            count: (!random.is(3)).then(|| 1 + random.below(1 << 20)),
            after: random.is(2).then_some(id),
            recorded_range: random.is(2).then(|| (random.time(), random.time())),
            event_range: random.is(2).then(|| (random.time(), random.time())),
            refusal: None,
        };
        // A row that a source has twice is there twice.
        for _ in 0..=random.below(2) {
            assert!(importer.add_gap(&loss).unwrap());
        }
        let (component, message) = (random.text(), random.text());
        let level = [Level::Trace, Level::Warn, Level::Error][random.below(3) as usize];
        importer
            .add_event(run, level, &component, &message, &random.pairs())
            .unwrap();
        let action = [
            CheckpointAction::Saved,
            CheckpointAction::Loaded,
            CheckpointAction::Failed,
        ][random.below(3) as usize];
        importer
            .add_checkpoint_event(run, action, &component, &message, &random.text())
            .unwrap();
    }
    importer.close().unwrap();
}

/// The lines of an export; runs by the order in which they are met.
fn lines(dir: &Path) -> Vec<String> {
    let text = run(dir, &["export", "-", "--format", "jsonl", "--inputs"], 0);
    let mut runs: Vec<u64> = Vec::new();
    let mut number = |run: u64| {
        let known = runs.iter().position(|known| *known == run);
        known.unwrap_or_else(|| {
            runs.push(run);
            runs.len() - 1
        })
    };
    let lines = text.lines().map(|line| {
        let mut json: serde_json::Value = serde_json::from_str(line).unwrap();
        let fields = json.as_object_mut().unwrap();
        // Outcomes stand with their decisions: what follows has another sequence.
        fields.remove("journal");
        fields.remove("sequence");
        if let Some(own) = fields.get("run").and_then(serde_json::Value::as_u64) {
            fields.insert("run".to_owned(), number(own).into());
        }
        if let Some(by) = fields
            .get("recorded_by")
            .and_then(serde_json::Value::as_u64)
        {
            fields.insert("recorded_by".to_owned(), number(by).into());
        }
        for name in ["id", "repeat_of", "after", "caused_by", "episode"] {
            if let Some(id) = fields.get(name).and_then(|id| id.as_str()) {
                let id: InferenceId = id.parse().unwrap();
                let own = number(id.run().get().into());
                fields.insert(name.to_owned(), format!("{own}-{}", id.counter()).into());
            }
        }
        let history = fields
            .get_mut("outcomes")
            .and_then(|all| all.as_array_mut());
        for past in history.into_iter().flatten() {
            let past = past.as_object_mut().unwrap();
            // As the line's own id.
            past.remove("id");
            past.remove("sequence");
            let by = number(past["recorded_by"].as_u64().unwrap());
            past.insert("recorded_by".to_owned(), by.into());
        }
        // The order of attributes is only in the text.
        let order = line
            .find("\"attributes\":{")
            .or(line.find("\"fields\":{\""));
        let pairs = order.map(|at| line.split_at(at).1.to_owned());
        format!("{json} {}", pairs.unwrap_or_default())
    });
    lines.collect()
}

/// Both are the same, line by line.
fn same(found: &[String], whole: &[String], seed: u64) {
    for (found, wanted) in found.iter().zip(whole) {
        assert_eq!(found, wanted, "seed {seed}");
    }
    assert_eq!(found.len(), whole.len(), "seed {seed}");
}

fn statistics(dir: &Path) -> Vec<serde_json::Value> {
    let questions: [&[&str]; 3] = [
        &["stats", "--by", "model,symbol,checkpoint,hour"],
        &["stats", "--by", "model,action,day"],
        &["calibration"],
    ];
    let answers = questions.iter().flat_map(|question| {
        // A journal with damaged entries reports it, and ends with another code.
        let output = annals(dir, question).arg("--json").output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        lines.collect::<Vec<_>>()
    });
    answers.collect()
}

#[test]
fn export_and_import_give_the_same_journal() {
    let rounds = if std::env::var_os("ANNALS_LONG").is_some() {
        500
    } else {
        3
    };
    for seed in 0..rounds {
        let dir = tempfile::tempdir().unwrap();
        let [data, copy, again] = ["data", "copy", "again"].map(|name| dir.path().join(name));
        history(&data, &mut Random(seed));
        if seed % 3 == 1 {
            lose_inputs(&data);
        }
        let to = dir.path().join("all.jsonl");
        let path = to.to_str().unwrap();
        run(&data, &["export", path, "--inputs"], 0);
        let whole = lines(&data);
        for _twice in 0..2 {
            run(&copy, &["import", path], 0);
            same(&lines(&copy), &whole, seed);
            assert_eq!(statistics(&copy), statistics(&data), "seed {seed}");
        }
        // And once more: what was imported is a journal as well.
        run(&copy, &["export", path, "--inputs"], 0);
        let text = std::fs::read_to_string(&to).unwrap();
        std::fs::write(&to, format!("{text}{text}")).unwrap();
        run(&again, &["import", path], 0);
        same(&lines(&again), &whole, seed);
    }
}

/// A journal that grows, exported in pieces: what turned out later comes as lines of its own.
#[test]
fn pieces_give_the_same_journal() {
    let rounds = if std::env::var_os("ANNALS_LONG").is_some() {
        200
    } else {
        1
    };
    for seed in 0..rounds {
        let place = Place::new();
        let (data, copy) = (&place.data, place.path("copy"));
        let mut random = Random(1_000_000 + seed);
        let mut pieces = Vec::new();
        for piece in 0..3 {
            history(data, &mut random);
            let name = format!("{piece}.jsonl");
            place.export(&name, &["--cursor", "pieces", "--inputs"]);
            pieces.push(place.arg(&name));
        }
        place.export("rest.jsonl", &["--cursor", "pieces", "--inputs"]);
        pieces.push(place.arg("rest.jsonl"));
        let whole = lines(data);
        for _twice in 0..2 {
            for piece in &pieces {
                run(&copy, &["import", piece], 0);
            }
            let mut found = lines(&copy);
            let mut whole = whole.clone();
            // Between pieces another run may be met first.
            found.sort();
            whole.sort();
            same(&found, &whole, seed);
            let found = statistics(&copy);
            for (found, whole) in found.iter().zip(statistics(data)) {
                let whole = whole.as_object().unwrap();
                for (name, value) in found.as_object().unwrap() {
                    assert_eq!(value, &whole[name], "seed {seed}: {name}");
                }
            }
        }
    }
}

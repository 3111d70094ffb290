//! Lightning: `epoch=1-step=100.ckpt`, with `hparams.yaml` and `metrics.csv` beside it or above.

use std::path::Path;

use super::super::metadata::Metadata;
use super::FoundCheckpoint;
use super::words::{MOST_FIELDS, number, read_text, set, whole};

/// A logger's files beside a folder of checkpoints, or above it.
#[derive(Default)]
pub(super) struct LoggerFiles {
    hparams: Vec<(String, Metadata)>,
    /// Rows of `metrics.csv` that have an epoch or a step.
    rows: Vec<MetricsRow>,
}

/// Epoch, step, and the metrics of both.
type MetricsRow = (Option<u64>, Option<u64>, Vec<(String, f64)>);

impl LoggerFiles {
    pub(super) fn read(root: &Path, folder: &Path) -> LoggerFiles {
        let mut beside = LoggerFiles::default();
        let above = folder.parent().filter(|_| folder != root);
        for place in [Some(folder), above].into_iter().flatten() {
            if beside.hparams.is_empty()
                && let Some(text) = read_text(&place.join("hparams.yaml"))
            {
                beside.hparams = hparams(&text);
            }
            if beside.rows.is_empty()
                && let Some(text) = read_text(&place.join("metrics.csv"))
            {
                beside.rows = table(&text);
            }
        }
        beside
    }

    /// Adds the facts in the name of a file and in the files beside it.
    pub(super) fn describe(&self, file: &str, stem: &str, found: &mut FoundCheckpoint) {
        let mut named = Vec::new();
        for part in pairs(stem) {
            match part {
                ("epoch", value) => found.epoch = value.parse().ok().or(found.epoch),
                ("step" | "global_step", value) => found.step = value.parse().ok().or(found.step),
                (name, value) => named.extend(number(value).map(|value| (name, value))),
            }
        }
        if !file.ends_with(".ckpt") {
            return named
                .into_iter()
                .for_each(|(name, value)| set(&mut found.metrics, name, value));
        }
        found.metadata.extend(self.hparams.iter().cloned());
        if found.epoch.is_some() || found.step.is_some() {
            for (epoch, step, values) in &self.rows {
                let fits = match (found.epoch, epoch) {
                    (Some(this), Some(epoch)) => *epoch == this,
                    _ => true,
                };
                // The logger counts steps from zero, the name counts those that were made.
                let is_later =
                    matches!((found.step, step), (Some(this), Some(step)) if *step > this);
                if fits && !is_later {
                    values
                        .iter()
                        .for_each(|(name, value)| set(&mut found.metrics, name, *value));
                }
            }
        }
        named
            .into_iter()
            .for_each(|(name, value)| set(&mut found.metrics, name, value));
    }
}

/// `name=value` in a file's name, with `-` between them. A value may begin with a minus.
fn pairs(stem: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = stem;
    std::iter::from_fn(move || {
        loop {
            let (name, value) = rest.split_once('=')?;
            let name = name.rsplit(['-', ' ', ',']).next().unwrap_or(name);
            let end = value
                .char_indices()
                .skip(1)
                .find(|(at, c)| {
                    let exponent = value[..*at].ends_with(['e', 'E']);
                    [' ', ','].contains(c) || (*c == '-' && !exponent)
                })
                .map_or(value.len(), |(at, _)| at);
            let (value, more) = value.split_at(end);
            rest = more;
            if !name.is_empty() && !value.is_empty() {
                return Some((name, value));
            }
        }
    })
}

/// The keys of a YAML file's first level that have plain values. Unknown values are kept as text,
/// so nothing is lost.
fn hparams(text: &str) -> Vec<(String, Metadata)> {
    let mut found = Vec::new();
    let mut is_plain = true;
    for line in text.lines() {
        let line = line.trim_end();
        if line.is_empty() || line.starts_with('#') || line == "---" {
            continue;
        }
        let pair = line
            .split_once(':')
            .filter(|_| !line.starts_with([' ', '-', '?', '!']));
        match pair {
            Some((name, value)) if found.len() < MOST_FIELDS && !value.trim().is_empty() => {
                let value = value.trim();
                if value.starts_with(['!', '&', '*', '|', '>', '[', '{']) {
                    is_plain = false;
                    continue;
                }
                found.push((name.trim().to_owned(), scalar(value)));
            }
            _ => is_plain = false,
        }
    }
    if !is_plain && text.len() <= 64 << 10 {
        found.push(("hparams.yaml".to_owned(), Metadata::from(text)));
    }
    found
}

fn scalar(value: &str) -> Metadata {
    let quoted = |mark: char| {
        value
            .strip_prefix(mark)
            .and_then(|rest| rest.strip_suffix(mark))
    };
    if let Some(text) = quoted('\'').or_else(|| quoted('"')) {
        return Metadata::from(text);
    }
    match value {
        "true" | "True" => Metadata::Flag(true),
        "false" | "False" => Metadata::Flag(false),
        "null" | "~" | "None" => Metadata::Null,
        _ => match (value.parse::<i64>(), value.parse::<f64>()) {
            (Ok(number), _) => Metadata::Integer(number),
            (_, Ok(number)) => Metadata::Real(number),
            _ => Metadata::from(value),
        },
    }
}

/// Rows of a logger's table: epoch, step, and the numbers that are there.
fn table(text: &str) -> Vec<MetricsRow> {
    let mut lines = text.lines();
    let header: Vec<&str> = lines
        .next()
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
        .collect();
    if header.len() > MOST_FIELDS {
        return Vec::new();
    }
    let row = |line: &str| {
        let (mut epoch, mut step, mut values) = (None, None, Vec::new());
        for (name, cell) in header.iter().zip(line.split(',')) {
            match (*name, number(cell.trim())) {
                (_, None) | ("", _) => {}
                ("epoch", Some(number)) => epoch = whole(number),
                ("step", Some(number)) => step = whole(number),
                (name, Some(number)) => values.push((name.to_owned(), number)),
            }
        }
        (epoch, step, values)
    };
    lines.map(row).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_of_files_say_epoch_step_and_metrics() {
        let said: Vec<_> = pairs("dqn-epoch=1-step=100-val_loss=-0.25-lr=1e-05").collect();
        let expected = [
            ("epoch", "1"),
            ("step", "100"),
            ("val_loss", "-0.25"),
            ("lr", "1e-05"),
        ];
        assert_eq!(said, expected);
        assert_eq!(
            pairs("a=").count() + pairs("=b").count() + pairs("").count(),
            0
        );
    }

    #[test]
    fn a_logger_s_table_is_read_up_to_the_checkpoint() {
        let rows =
            table("epoch,step,train_loss,val_loss\n0,49,0.9,\n0,49,,0.8\n1,99,,0.4\n2,149,,0.2\n");
        let beside = LoggerFiles {
            rows,
            ..LoggerFiles::default()
        };
        let mut found = FoundCheckpoint::default();
        beside.describe("epoch=1-step=100.ckpt", "epoch=1-step=100", &mut found);
        assert_eq!((found.epoch, found.step), (Some(1), Some(100)));
        assert_eq!(found.metrics, [("val_loss".to_owned(), 0.4)]);
    }

    #[test]
    fn hyperparameters_keep_their_types() {
        let read = hparams("lr: 0.001\nlayers: 3\nname: 'x'\ndebug: false\nnone: null\n");
        assert_eq!(read.len(), 5);
        assert_eq!(read[0], ("lr".to_owned(), Metadata::Real(0.001)));
        assert_eq!(read[1], ("layers".to_owned(), Metadata::Integer(3)));
        // Nested values are kept as they were written.
        let nested = hparams("lr: 1\nnet:\n  width: 3\n");
        assert_eq!(nested.last().unwrap().0, "hparams.yaml");
    }
}

//! The agent as a person meets it: what it prints, and how it refuses.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A fresh directory for one test.
fn scratch(name: &str) -> io::Result<PathBuf> {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if path.exists() {
        fs::remove_dir_all(&path)?;
    }
    fs::create_dir_all(&path)?;
    Ok(path)
}

/// Runs the agent in a directory of its own.
fn agent(directory: &Path, arguments: &[&str]) -> io::Result<Output> {
    Command::new(env!("CARGO_BIN_EXE_trading-agent"))
        .current_dir(directory)
        .args(arguments)
        .output()
}

/// The words of the first line that starts with some text, or of the line below it.
fn words(output: &Output, start: &str, below: usize) -> Vec<String> {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text
        .lines()
        .skip_while(|line| !line.trim_start().starts_with(start))
        .nth(below);
    line.unwrap_or_default()
        .split_whitespace()
        .map(str::to_owned)
        .collect()
}

/// Bars of a price that swings, one a day.
fn bars(count: usize) -> String {
    let mut text = String::from("timestamp,open,high,low,close,volume\n");
    for index in 0..count {
        let close = 100.0 + 10.0 * (index as f64 / 3.0).sin() + (index % 5) as f64;
        let time = 1_000_000_000 + 86_400 * index;
        let (open, high, low) = (close - 0.5, close + 1.0, close - 1.0);
        text.push_str(&format!(
            "{time},{open},{high},{low},{close},{}\n",
            1000 + index % 7
        ));
    }
    text
}

#[test]
fn the_sample_is_journalled_and_read_back_run_after_run() -> io::Result<()> {
    let directory = scratch("sample")?;
    let first = agent(&directory, &["--epochs", "1"])?;
    assert!(first.status.success(), "{first:?}");
    assert_eq!(
        words(&first, "all", 0).get(1).map(String::as_str),
        Some("5,333")
    );
    assert_eq!(words(&first, "offered", 2)[..3], ["10,665", "10,665", "0"]);
    let newest = words(&first, "sequence", 2);
    assert_eq!(newest[1..4], ["2013-03-01T00:00:00Z", "mlp", "MSFT"]);
    assert!(directory.join("target/trading-agent").exists());

    let second = agent(&directory, &["--epochs", "1", "--quiet"])?;
    assert!(second.status.success(), "{second:?}");
    assert!(words(&second, "epoch", 0).is_empty());
    assert_eq!(words(&second, "offered", 2)[..3], ["10,665", "10,665", "0"]);
    let sequence = |words: &[String]| words.first().and_then(|word| word.parse::<u64>().ok());
    let later = words(&second, "sequence", 2);
    assert_eq!(
        sequence(&later),
        sequence(&newest).map(|sequence| sequence + 10_665)
    );
    Ok(())
}

#[test]
fn any_file_of_bars_will_do() -> io::Result<()> {
    let directory = scratch("file")?;
    fs::write(directory.join("SWING.csv"), bars(400))?;
    let output = agent(
        &directory,
        &["--csv", "SWING.csv", "--dir", "journal", "--epochs", "2"],
    )?;
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        words(&output, "SWING", 0).get(1).map(String::as_str),
        Some("159")
    );
    assert!(directory.join("journal").exists());
    Ok(())
}

#[test]
fn bad_input_is_one_clear_line_and_leaves_no_journal() -> io::Result<()> {
    let directory = scratch("refused")?;
    let broken = bars(400).replace(",1003\n", ",lots\n");
    let columns = bars(400).replace("volume", "size");
    for (name, text, expected) in [
        ("none.csv", None, "error: none.csv: cannot be read"),
        (
            "short.csv",
            Some(bars(90)),
            "error: short.csv: too few bars: the 90 bars",
        ),
        (
            "broken.csv",
            Some(broken),
            "error: broken.csv, line 5, column Volume: \"lots\"",
        ),
        (
            "columns.csv",
            Some(columns),
            "error: columns.csv, line 1, column Volume: the header",
        ),
    ] {
        if let Some(text) = text {
            fs::write(directory.join(name), text)?;
        }
        let output = agent(&directory, &["--csv", name])?;
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{name}: {error}");
        assert!(error.starts_with(expected), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        assert!(output.stdout.is_empty());
    }
    assert!(!directory.join("target").exists());
    Ok(())
}

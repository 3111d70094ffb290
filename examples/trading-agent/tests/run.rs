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

/// The text that a run printed.
fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_run_fits_one_screen_and_tells_a_story() -> io::Result<()> {
    let directory = scratch("story")?;
    let output = agent(&directory, &["--epochs", "1"])?;
    assert!(output.status.success(), "{output:?}");
    let text = text(&output);
    // The prompt below it wants a line too.
    assert!(text.lines().count() < 24, "{text}");
    let widest = text.lines().map(|line| line.chars().count()).max();
    assert!(widest.is_some_and(|widest| widest <= 100), "{text}");
    for part in [
        "12,154 daily bars of AAPL",
        "10,627 parameters",
        "5,333 bars, 2008-01-02 to 2013-03-01",
        "all on disk, 0 dropped",
        "Its costliest decision",
        "it turned out wrong, and earned -",
        "killed in mid-loop",
        "all of them are there",
        "died, and this run went on",
        "annals -d target/trading-agent explain ",
    ] {
        assert!(text.contains(part), "no {part:?} in:\n{text}");
    }
    Ok(())
}

#[test]
fn the_sample_is_journalled_and_read_back_run_after_run() -> io::Result<()> {
    let directory = scratch("sample")?;
    let first = agent(&directory, &["--epochs", "1", "--details"])?;
    assert!(first.status.success(), "{first:?}");
    assert_eq!(
        words(&first, "all", 0).get(1).map(String::as_str),
        Some("5,333")
    );
    assert_eq!(words(&first, "offered", 2)[..3], ["10,665", "10,665", "0"]);
    let newest = words(&first, "sequence", 2);
    assert_eq!(newest[1..4], ["2013-03-01T00:00:00Z", "mlp", "MSFT"]);
    assert!(directory.join("target/trading-agent").exists());

    let second = agent(&directory, &["--epochs", "1", "--details"])?;
    assert!(second.status.success(), "{second:?}");
    assert_eq!(words(&second, "offered", 2)[..3], ["10,665", "10,665", "0"]);
    let sequence = |words: &[String]| words.first().and_then(|word| word.parse::<u64>().ok());
    let later = words(&second, "sequence", 2);
    assert!(sequence(&later) >= sequence(&newest).map(|sequence| sequence + 10_665));

    let quiet = agent(&directory, &["--epochs", "1", "--quiet"])?;
    assert!(quiet.status.success(), "{quiet:?}");
    assert!(text(&quiet).lines().count() < 8, "{quiet:?}");
    Ok(())
}

#[test]
fn hourly_bars_with_the_index_of_pandas_are_decided_on() -> io::Result<()> {
    let directory = scratch("hourly")?;
    let mut text_of_bars = String::from(",Open,High,Low,Close,Volume\n");
    for index in 0..600 {
        let close = 1.1 + 0.001 * (f64::from(index) / 3.0).sin() + f64::from(index % 7) * 1e-4;
        let (day, hour) = (1 + index / 24, index % 24);
        let (high, low) = (close + 1e-4, close - 1e-4);
        text_of_bars.push_str(&format!(
            "2017-04-{day:02} {hour:02}:00:00,{close},{high},{low},{close},{}\n",
            100 + index % 11
        ));
    }
    fs::write(directory.join("EURUSD.csv"), text_of_bars)?;
    let run = agent(
        &directory,
        &["--csv", "EURUSD.csv", "--epochs", "2", "--details"],
    )?;
    assert!(run.status.success(), "{run:?}");
    let said = text(&run);
    assert!(
        said.contains("600 hourly bars of EURUSD; a move of less than 0.0"),
        "{said}"
    );
    // Each action is right for the next hour of some of the bars.
    let decided = words(&run, "EURUSD", 0);
    assert_ne!(decided.get(5).map(String::as_str), Some("100.0%"), "{said}");
    Ok(())
}

/// A Ctrl-C ends the run with what was kept, whenever it comes.
#[cfg(unix)]
#[test]
fn an_interrupted_run_finishes_and_says_what_it_kept() -> io::Result<()> {
    use std::io::BufRead;
    let directory = scratch("interrupted")?;
    let mut child = Command::new(env!("CARGO_BIN_EXE_trading-agent"))
        .current_dir(&directory)
        .args(["--epochs", "10000", "--details"])
        .stdout(std::process::Stdio::piped())
        .spawn()?;
    let said = child.stdout.take().map(io::BufReader::new);
    let mut lines = said.into_iter().flat_map(BufRead::lines);
    // The first epoch is through.
    assert!(lines.any(|line| line.is_ok_and(|line| line.ends_with("best so far"))));
    let killed = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()?;
    assert!(killed.success());
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    assert_eq!(child.wait()?.code(), Some(130), "{rest:?}");
    let rest = rest.join("\n");
    assert!(
        rest.contains("Interrupted; the journal is closed"),
        "{rest}"
    );
    assert!(
        rest.contains("checkpoints of mlp") && rest.contains("annals -d"),
        "{rest}"
    );
    // The journal knows of a run that closed.
    let reader = annals::Reader::open(directory.join("target/trading-agent"));
    let runs = reader.and_then(|reader| reader.runs().collect::<annals::Result<Vec<_>>>());
    let runs = runs.map_err(io::Error::other)?;
    assert!(
        matches!(runs[0].state, annals::entry::RunState::Closed(_)),
        "{runs:?}"
    );
    Ok(())
}

#[test]
fn any_file_of_bars_will_do() -> io::Result<()> {
    let directory = scratch("file")?;
    fs::write(directory.join("SWING.csv"), bars(400))?;
    let output = agent(
        &directory,
        &[
            "--csv",
            "SWING.csv",
            "--dir",
            "journal",
            "--epochs",
            "2",
            "--details",
        ],
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

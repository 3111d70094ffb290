//! Options from a configuration file: the same names as those of the methods.

#![allow(clippy::print_stdout)]

use std::fs;

use annals::{Inference, Options};

/// Any format that serde knows will do. The command line reads JSON: `annals retain --options`.
const CONFIGURATION: &str = r#"{
    "commit_interval": "50ms",
    "overflow": {"block": "2ms"},
    "retention": {"max_age": "30d", "max_bytes": "50GB"},
    "mirror": {"rotation": {"daily_or_size": "64MiB"}, "retention": {"max_files": 30}}
}"#;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::temp_dir().join("annals-configured");
    fs::create_dir_all(&dir)?;
    let file = dir.join("agent.json");
    fs::write(&file, CONFIGURATION)?;

    let options: Options = serde_json::from_str(&fs::read_to_string(&file)?)?;
    let journal = options.open(dir.join("data"))?;
    journal.log(Inference::new("dqn_agent", "ETH/USDT", "BUY").confidence(0.85));
    journal.close()?;
    println!("recorded with the options of {}", file.display());

    // A misspelt name is an error that says it, and so is a value that cannot work.
    let wrong = CONFIGURATION.replace("commit_interval", "commit_intervall");
    if let Err(error) = serde_json::from_str::<Options>(&wrong) {
        println!("{error}");
    }
    Ok(())
}

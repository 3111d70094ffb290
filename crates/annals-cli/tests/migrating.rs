//! Every shell command in the page on moving over works as it stands there.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![cfg(unix)]

mod common;

use std::path::Path;
use std::process::Command;

#[test]
fn the_commands_of_the_page_work() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/migrating.md");
    let page = std::fs::read_to_string(page).unwrap();
    let dir = tempfile::tempdir().unwrap();
    common::database(&dir.path().join("trading_system.db"), 10);
    let program = Path::new(env!("CARGO_BIN_EXE_annals"));
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{path}", program.parent().unwrap().display());
    let mut blocks = 0;
    for block in page.split("```sh\n").skip(1) {
        let script = block.split("```").next().unwrap();
        let output = Command::new("sh")
            .args(["-e", "-c", script])
            .current_dir(dir.path())
            .env("PATH", &path)
            .env_remove("ANNALS_DIR")
            .env_remove("ANNALS_ZONE")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script}: {said}");
        blocks += 1;
    }
    assert_eq!(blocks, 2);
    for call in [
        "log_model_inference",
        "save_checkpoint",
        "load_best_checkpoint",
        "get_best_checkpoint_metadata",
        "get_checkpoint_metadata_fast",
        "list_checkpoints",
        "get_model_stats",
        "cleanup_old_logs",
        "get_recent_inferences",
    ] {
        assert!(page.contains(call), "{call}");
    }
}

//! The program works, and annals keeps its promises in a few deaths of each kind.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::process::Command;

fn run(arguments: &[&str]) -> String {
    let mut program = Command::new(env!("CARGO_BIN_EXE_kill-table"));
    let output = program.args(arguments).output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    String::from_utf8(output.stdout).unwrap()
}

fn rows(page: &str) -> usize {
    let lines = page.lines().filter(|line| line.starts_with("| "));
    lines.filter(|line| !line.starts_with("| what ")).count()
}

#[test]
fn every_subject_is_killed_and_counted() {
    let page = run(&["--rounds", "1"]);
    assert_eq!(rows(&page), 15, "{page}");
}

#[test]
fn annals_keeps_its_promises_under_every_load() {
    let shapes = "paced-20,bursts,threads,outcomes";
    let only = "annals,annals-spool,annals-sync";
    let page = run(&["--rounds", "1", "--only", only, "--shapes", shapes]);
    assert_eq!(rows(&page), 12, "{page}");
}

#[test]
#[cfg(unix)]
fn annals_keeps_its_promises_in_every_death() {
    let page = run(&["--deaths", "--rounds", "1"]);
    let kinds = if cfg!(target_os = "linux") { 3 } else { 2 };
    // Where no group of processes with little memory can be made, that is said.
    let skipped = page.lines().find(|line| line.starts_with("skipped: "));
    println!("{}", skipped.unwrap_or_default());
    let deaths = if skipped.is_some() { 4 } else { 5 };
    assert_eq!(rows(&page), deaths * kinds, "{page}");
}

#[test]
fn two_processes_in_one_journal_lose_nothing_when_one_or_both_die() {
    // Each course of a round once.
    let page = run(&["--rounds", "3", "--processes", "2"]);
    assert_eq!(rows(&page), 5, "{page}");
}

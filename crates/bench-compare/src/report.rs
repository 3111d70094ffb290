//! The figures of a comparison: said as they come, printed as tables, written as JSON.

use std::path::Path;

use anyhow::Result;
use serde::Serialize;

use crate::common::machine::Machine;
use crate::measure::{Growth, Latency, Throughput};
use crate::subjects::Kind;

#[derive(Serialize)]
pub struct Report {
    machine: String,
    /// Seconds since 1970.
    at: u64,
    pub subjects: Vec<Figures>,
}

/// What was measured of one subject.
#[derive(Serialize)]
pub struct Figures {
    pub name: &'static str,
    pub promise: &'static str,
    pub latency: Vec<Latency>,
    pub throughput: Vec<Throughput>,
    pub growth: Option<Growth>,
}

impl Report {
    #[allow(clippy::needless_pass_by_value, reason = "nobody else needs it")]
    pub fn new(machine: Machine) -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Report {
            machine: machine.to_string(),
            at: since.map_or(0, |since| since.as_secs()),
            subjects: Vec::new(),
        }
    }

    pub fn head(&self) {
        println!("{}", self.machine);
    }

    fn of(&mut self, kind: Kind) -> &mut Figures {
        let known = self
            .subjects
            .iter()
            .position(|known| known.name == kind.name());
        let index = known.unwrap_or_else(|| {
            self.subjects.push(Figures {
                name: kind.name(),
                promise: kind.promise(),
                latency: Vec::new(),
                throughput: Vec::new(),
                growth: None,
            });
            self.subjects.len() - 1
        });
        &mut self.subjects[index]
    }

    pub fn latency(&mut self, kind: Kind, latency: Latency) {
        self.of(kind).latency.push(latency);
    }

    pub fn throughput(&mut self, kind: Kind, throughput: Throughput) {
        self.of(kind).throughput.push(throughput);
    }

    pub fn growth(&mut self, kind: Kind, growth: Growth) {
        self.of(kind).growth = Some(growth);
    }

    pub fn print(&self) {
        println!("\none call, nanoseconds (the harness around nothing: see \"empty\")");
        println!(
            "{:<17} {:>7} {:>8} {:>9} {:>10} {:>6}",
            "subject", "pace", "p50", "p99", "p99.9", "empty"
        );
        for figures in &self.subjects {
            for latency in &figures.latency {
                println!(
                    "{:<17} {:>4} µs {:>8} {:>9} {:>10} {:>6}",
                    figures.name,
                    latency.pace_us,
                    latency.p50,
                    latency.p99,
                    latency.p999,
                    latency.empty_p50
                );
            }
        }
        println!("\none producer at full speed, until what is promised holds");
        println!(
            "{:<17} {:>7} {:>11} {:>8} {:>10} {:>8}   promise",
            "subject", "repeats", "events/s", "B/event", "CPU ns/ev", "peak MB"
        );
        for figures in &self.subjects {
            for throughput in &figures.throughput {
                println!(
                    "{:<17} {:>6}% {:>11.0} {:>8.1} {:>10} {:>8}   {}",
                    figures.name,
                    throughput.repeats,
                    throughput.per_second,
                    throughput.bytes_per_event,
                    throughput
                        .cpu_ns_per_event
                        .map_or("-".to_owned(), |nanos| format!("{nanos:.0}")),
                    throughput
                        .peak_bytes
                        .map_or("-".to_owned(), |bytes| (bytes >> 20).to_string()),
                    figures.promise
                );
            }
        }
        println!("\none event recorded durably, in a file that holds so many");
        for figures in &self.subjects {
            for (events, micros) in figures.growth.iter().flat_map(|growth| &growth.points) {
                println!("{:<17} {events:>10} {micros:>9.0} µs", figures.name);
            }
        }
    }

    pub fn write(&self, file: &Path) -> Result<()> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        std::fs::write(file, text)?;
        Ok(())
    }
}

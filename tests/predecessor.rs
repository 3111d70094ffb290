//! The calls that `docs/migrating.md` names do what it says of them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use annals::logs::Mirror;
use annals::registry::Watched;
use annals::stats::{Calendar, Periods};
use annals::{Inference, Journal, Mode, Reader, Repeats, RetentionPolicy, Timestamp};
use chrono::{Local, Offset, TimeZone};

#[test]
fn each_call_of_the_predecessor_has_its_counterpart() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mirror = Mirror::new().retention(RetentionPolicy::new().max_age_days(30).max_count(10_000));
    let journal = Journal::options().mirror(mirror).open(&data).unwrap();
    // The second is a repeat.
    for _ in 0..2 {
        journal.log(
            Inference::new("dqn_agent", "ETH/USDT", "BUY")
                .confidence(0.85)
                .probabilities(&[("BUY", 0.85), ("SELL", 0.10), ("HOLD", 0.05)])
                .features(&[0.1_f32, 0.2])
                .processing_time(Duration::from_micros(12_500))
                .checkpoint("dqn_agent_20250725_143500"),
        );
    }

    let registry = journal.registry().unwrap();
    registry
        .set_monitor("dqn_agent", "loss", Mode::Min)
        .unwrap();
    assert!(registry.best("dqn_agent").unwrap().is_none());
    registry
        .checkpoint("dqn_agent")
        .model_type("rl")
        .metric("loss", 0.0234)
        .metric("accuracy", 0.87)
        .metadata("epochs", 100)
        .metadata("lr", 0.001)
        .save(b"weights")
        .unwrap();
    let best = registry.best("dqn_agent").unwrap().unwrap();
    assert_eq!(best.metric("loss"), Some(0.0234));
    let weights = registry.load(best.id()).unwrap().into_bytes().unwrap();
    assert_eq!(weights, b"weights");
    let mut watch = registry.watch("dqn_agent", Watched::Best).unwrap();
    assert_eq!(watch.current().map(|best| best.id()), Some(best.id()));
    let newest = registry.list("dqn_agent").limit(20).get().unwrap();
    assert_eq!(newest.len(), 1);

    journal.close().unwrap();
    let reader = Reader::open(&data).unwrap();
    let day = reader
        .stats("dqn_agent")
        .last(Duration::from_secs(86_400))
        .get()
        .unwrap();
    assert_eq!((day.count, day.recorded, day.repeats), (2, 1, 1));
    let ahead = |time: Timestamp| {
        let utc = time.to_datetime().unwrap_or_default().naive_utc();
        Local.offset_from_utc_datetime(&utc).fix().local_minus_utc()
    };
    let now = Timestamp::now().saturating_add(Duration::from_secs(60));
    let since = now.saturating_sub(Duration::from_secs(86_400));
    let days = Periods::local(Calendar::Day, since..now, ahead).unwrap();
    let rows = reader.stats("dqn_agent").by_periods(&days, []).unwrap();
    // The second one may come after midnight.
    let count: u64 = rows.iter().map(|row| row.stats.count).sum();
    assert_eq!(count, 2);
    let lines: Vec<String> = reader
        .newest(50)
        .map(|record| record.unwrap().to_string())
        .collect();
    assert_eq!(lines.len(), 2);
    let whole = reader.inferences().repeats(Repeats::Exclude);
    assert_eq!(whole.iter().count(), 1);
    assert!(lines[0].contains("| dqn_agent       | ETH/USDT   | BUY "));
}

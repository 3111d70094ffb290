//! Attributes: what `tail` finds by them, and what `stats` adds up.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use annals::Journal;
use annals::entry::AttributeType;
use common::{Place, complaint, json, run};

fn decisions(place: &Place) {
    let journal = Journal::open(&place.data).unwrap();
    let builder = journal.recorder("dqn", "ETH").actions(["BUY", "SELL"]);
    let types = [
        ("spread", AttributeType::F32),
        ("venue", AttributeType::Text),
    ];
    let recorder = builder.attributes(types).build().unwrap();
    for (spread, venue) in [(0.25, "paper"), (0.5, "live"), (0.75, "live")] {
        let values = [spread.into(), venue.into()];
        recorder
            .inference(0)
            .attribute_values(&values)
            .log()
            .unwrap();
    }
    journal.close().unwrap();
}

#[test]
fn tail_and_export_filter_by_attributes() {
    let place = Place::new();
    decisions(&place);
    for (condition, count) in [
        ("spread>0.25", 2),
        ("spread >= 0.25", 3),
        ("spread<0.25", 0),
        ("spread<=0.5", 2),
        ("spread=0.50", 1),
        ("venue=live", 2),
        ("venue=", 0),
        ("nobody=1", 0),
    ] {
        let found = json(&place.data, &["tail", "--attribute", condition]);
        assert_eq!(found.len(), count, "{condition}");
        let args = ["export", "-", "--format", "jsonl", "--attribute", condition];
        let lines = run(&place.data, &args, 0);
        assert_eq!(lines.lines().count(), count, "{condition}: {lines}");
    }
    let both = [
        "tail",
        "--attribute",
        "venue=live",
        "--attribute",
        "spread>0.5",
    ];
    let found = json(&place.data, &both);
    assert_eq!(found.len(), 1);
    assert_eq!(
        found[0]["attributes"],
        serde_json::json!({"spread": 0.75, "venue": "live"})
    );
    for wrong in ["spread", "=1", "spread>wide", "spread<NaN"] {
        let said = complaint(&place.data, &["tail", "--attribute", wrong], 2);
        assert!(said.contains("such as 'spread>0.5'"), "{wrong}: {said}");
    }
}

#[test]
fn stats_adds_the_numbers_of_an_attribute_up() {
    let place = Place::new();
    decisions(&place);
    let known = &json(&place.data, &["stats", "--attribute", "spread"])[0];
    let row = &known["rows"][0];
    assert_eq!((&row["model"], &row["max"]), (&"dqn".into(), &0.75.into()));
    assert_eq!(
        (&row["values"]["count"], &row["values"]["mean"]),
        (&3.into(), &0.5.into())
    );
    let text = run(
        &place.data,
        &["stats", "--attribute", "spread", "--by", "symbol,day"],
        0,
    );
    let row = text.lines().find(|line| line.starts_with("ETH")).unwrap();
    assert!(text.contains("mean") && row.contains("1.50"), "{text}");
    let text = run(&place.data, &["stats", "--attribute", "nobody"], 0);
    assert!(
        text.contains("no decision in this range has this attribute"),
        "{text}"
    );
    let week = ["stats", "--attribute", "spread", "--by", "week"];
    assert!(complaint(&place.data, &week, 2).contains("by hour or day of UTC"));
}

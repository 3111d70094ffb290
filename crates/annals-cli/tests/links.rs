//! Causes and correlations: what `explain`, `tail` and `follow` say of them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use annals::import::{Answer, Importer};
use annals::{Inference, InferenceId, Journal};
use common::{Place, complaint, json, run};

/// Decisions of one order, each caused by the one before.
fn chain(place: &Place, length: usize) -> Vec<String> {
    let journal = Journal::open(&place.data).unwrap();
    let mut ids: Vec<InferenceId> = Vec::new();
    for number in 0..length {
        let model = format!("m{number}");
        let mut inference = Inference::new(&model, "s", "go").correlation("order-7");
        if let Some(cause) = ids.last() {
            inference = inference.caused_by(*cause).propensity(0.25);
        }
        ids.push(journal.log(inference).unwrap());
    }
    journal.close().unwrap();
    ids.iter().map(ToString::to_string).collect()
}

#[test]
fn a_chain_is_shown_up_to_its_first_cause_and_down_by_one() {
    let place = Place::new();
    let ids = chain(&place, 4);
    let known = &json(&place.data, &["explain", &ids[2]])[0];
    let causes = known["causes"]["chain"].as_array().unwrap();
    let causes: Vec<&str> = causes
        .iter()
        .map(|one| one["id"].as_str().unwrap())
        .collect();
    assert_eq!(causes, [&ids[1], &ids[0]]);
    assert_eq!(known["causes"]["end"], "first");
    assert_eq!(known["caused"]["found"][0]["id"], ids[3].as_str());
    assert_eq!(known["caused"]["has_more"], false);
    let text = run(&place.data, &["explain", &ids[2]], 0);
    for said in [
        "caused by",
        "has caused",
        "propensity     0.25",
        "correlation    order-7",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
    // What it has not is not shown.
    assert!(
        !text.contains("action vector") && !text.contains("episode"),
        "{text}"
    );
    let text = run(&place.data, &["explain", &ids[0]], 0);
    assert!(!text.contains("caused by"), "{text}");
    let text = run(&place.data, &["explain", &ids[3]], 0);
    assert!(text.contains("within the next hour names it"), "{text}");
}

#[test]
fn a_long_chain_is_followed_for_a_while() {
    let place = Place::new();
    let ids = chain(&place, 40);
    let known = &json(&place.data, &["explain", &ids[39]])[0];
    assert_eq!(known["causes"]["chain"].as_array().unwrap().len(), 32);
    assert_eq!(known["causes"]["end"], "too_deep");
    let text = run(&place.data, &["explain", &ids[39]], 0);
    assert!(text.contains("32 causes are followed"), "{text}");
}

#[test]
fn a_cause_that_never_arrives_is_named() {
    let place = Place::new();
    let journal = Journal::open(&place.data).unwrap();
    let cause: InferenceId = "9-9".parse().unwrap();
    let id = journal
        .log(Inference::new("m", "s", "go").caused_by(cause))
        .unwrap();
    journal.close().unwrap();
    let id = id.to_string();
    let known = &json(&place.data, &["explain", &id])[0];
    assert_eq!(known["causes"]["end"], "missing");
    assert_eq!(known["causes"]["id"], "9-9");
    let text = run(&place.data, &["explain", &id], 0);
    assert!(text.contains("9-9            not there"), "{text}");
}

/// An import can say that two caused each other, and that one caused itself.
#[test]
fn circles_end() {
    let place = Place::new();
    let mut importer = Importer::open(&place.data).unwrap();
    let source = importer.source("elsewhere").unwrap();
    let id = |number| source.inference(number).unwrap();
    for (number, cause) in [(1, 2), (2, 3), (3, 2), (4, 4)] {
        let inference = Inference::new("m", "s", "go").caused_by(id(cause));
        importer.add(id(number), &inference, Answer::Full).unwrap();
    }
    importer.close().unwrap();
    for (number, followed, again) in [(1, 2, 2), (4, 0, 4)] {
        let known = &json(&place.data, &["explain", &id(number).to_string()])[0];
        assert_eq!(known["causes"]["chain"].as_array().unwrap().len(), followed);
        assert_eq!(known["causes"]["end"], "circle");
        assert_eq!(known["causes"]["id"], id(again).to_string());
    }
    let text = run(&place.data, &["explain", &id(4).to_string()], 0);
    assert!(text.contains("a circle"), "{text}");
}

#[test]
fn correlations_and_causes_are_filters() {
    let place = Place::with(5);
    let ids = chain(&place, 3);
    let tail = |more: &[&str]| json(&place.data, &[&["tail"], more].concat());
    assert_eq!(tail(&["--correlation", "order-7"]).len(), 3);
    assert_eq!(tail(&["--correlation", "order-8"]).len(), 0);
    let caused = tail(&["--caused-by", &ids[1]]);
    assert_eq!(
        (caused.len(), &caused[0]["id"]),
        (1, &ids[2].as_str().into())
    );
    let text = run(
        &place.data,
        &[
            "tail",
            "--columns",
            "cause,correlation,propensity",
            "--caused-by",
            &ids[0],
        ],
        0,
    );
    assert!(text.contains(&ids[0]) && text.contains("0.25"), "{text}");
    let path = place.export("of_order.csv", &["--correlation", "order-7"]);
    assert_eq!(std::fs::read_to_string(path).unwrap().lines().count(), 4);
}

/// A folder of days has the rows of one order: those of another would mix with them.
#[test]
fn a_folder_of_days_is_of_one_correlation() {
    let place = Place::new();
    chain(&place, 2);
    let lake = place.arg("lake");
    let of = |text: &'static str| {
        [
            "export",
            &lake,
            "--by-day",
            "--format",
            "csv",
            "--correlation",
            text,
        ]
        .map(str::to_owned)
    };
    let (first, other) = (of("order-7"), of("order-8"));
    let first: Vec<&str> = first.iter().map(String::as_str).collect();
    let other: Vec<&str> = other.iter().map(String::as_str).collect();
    for _twice in 0..2 {
        run(&place.data, &first, 0);
    }
    let said = complaint(&place.data, &other, 2);
    assert!(said.contains("filters"), "{said}");
}

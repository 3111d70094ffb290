//! `annals episodes`: length, return and end.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use annals::entry::EpisodeEnd;
use annals::{Journal, Outcome};
use common::{Place, json, run};

#[test]
fn episodes_are_listed_with_length_return_and_end() {
    let place = Place::with(3);
    let said = run(&place.data, &["episodes"], 0);
    assert_eq!(said, "no episodes that fit\n");
    let journal = Journal::open(&place.data).unwrap();
    let builder = journal.recorder("dqn", "pong").actions(["up", "down"]);
    let recorder = builder.build().unwrap();
    for (length, end) in [(3, EpisodeEnd::Terminated), (1, EpisodeEnd::Truncated)] {
        let episode = recorder.episode();
        for _ in 0..length {
            let id = episode.inference(0).log().unwrap();
            episode.attach_outcome(id, Outcome::new().reward(1.5));
        }
        // Its number is missing afterwards.
        assert!(episode.inference(9).log().is_none());
        episode.inference(1).log().unwrap();
        episode.end_with_reward(end, -0.25);
    }
    let open = recorder.episode();
    let id = open.inference(0).log().unwrap();
    journal.attach_outcome(id, Outcome::new().reward(f64::NAN));
    journal
        .flush()
        .wait(std::time::Duration::from_secs(60))
        .unwrap();
    let known = json(&place.data, &["episodes"]);
    let figures: Vec<_> = known
        .iter()
        .map(|one| {
            let of = |name: &str| one[name].to_string();
            [of("decisions"), of("total_reward"), of("end")].join(" ")
        })
        .collect();
    assert_eq!(
        figures,
        [
            "4 4.25 \"terminated\"",
            "2 1.25 \"truncated\"",
            "1 0.0 null"
        ]
    );
    let text = run(&place.data, &["episodes", "--model", "dqn"], 0);
    for said in [
        "terminated",
        "truncated",
        "goes on",
        "3 episodes",
        "missing in 2",
        "1 reward",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
    assert_eq!(json(&place.data, &["episodes", "-n", "1"]).len(), 1);
    assert_eq!(
        json(&place.data, &["episodes", "--symbol", "other"]).len(),
        0
    );
    // Nobody goes on with it when its run is over.
    drop(open);
    journal.close().unwrap();
    let known = json(&place.data, &["episodes"]);
    assert_eq!(known[2]["end"], "abandoned");
    // The same after an export and an import.
    place.export("all.jsonl", &[]);
    let copy = place.path("copy");
    run(&copy, &["import", &place.arg("all.jsonl")], 0);
    let again = json(&copy, &["episodes"]);
    for (one, other) in known.iter().zip(&again) {
        for name in [
            "decisions",
            "last_step",
            "total_reward",
            "end",
            "model",
            "first_time",
        ] {
            assert_eq!(one[name], other[name], "{name}");
        }
    }
    assert_eq!(again.len(), 3);
}

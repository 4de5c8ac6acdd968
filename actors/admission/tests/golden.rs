//! Runs the recorded exchanges about admission against the pure machinery: requests, the chain, objects in a map.
//!
//! The corpus lies beside the repository (`../shared/golden/dev`); without it the test says so and passes. The number
//! of exact cases may not fall below [`LEAST_EXACT`]. Cases that need webhooks, or subresources with machinery of
//! their own, are counted as skipped with the reason.

mod golden_support;

use std::fs;
use std::path::Path;

use golden_support::{Outcome, Tally, run_case};

/// Cases of the area `admission` that are exact.
const LEAST_EXACT: u32 = 104;
/// Cases in which v1.35 differs from the recorded v1.28 on purpose.
const CHANGED_SINCE: [(&str, &str); 2] = [
    ("sa-mountable-secrets", "secrets in envFrom escaped the check before v1.28.9 (CVE-2024-3177)"),
    ("podsecurity-procmount", "procMount was dropped before its feature was on by default in v1.33"),
];

#[test]
fn recorded_exchanges() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/golden/dev/admission.jsonl");
    let Ok(text) = fs::read_to_string(&file) else {
        println!("SKIPPED: the recorded exchanges are not at {}", file.display());
        return;
    };
    let mut tally = Tally::default();
    let mut differing = Vec::new();
    for line in text.lines() {
        let case: serde_json::Value = serde_json::from_str(line).expect("a case is one JSON document");
        let name = case["name"].as_str().unwrap_or("").to_owned();
        match run_case(&case, &mut tally) {
            Outcome::Exact => tally.exact += 1,
            Outcome::Skipped(why) => {
                tally.skipped += 1;
                println!("SKIPPED {name}: {why}");
            }
            Outcome::Differs(why) => {
                if let Some((_, reason)) = CHANGED_SINCE.iter().find(|(changed, _)| *changed == name) {
                    tally.skipped += 1;
                    println!("SKIPPED {name}: {reason}: {why}");
                    continue;
                }
                tally.differs += 1;
                differing.push(format!("{name}: {why}"));
            }
        }
    }
    println!(
        "admission: {} exact, {} differ, {} skipped; messages {} of {}",
        tally.exact, tally.differs, tally.skipped, tally.messages_same, tally.messages
    );
    for note in differing.iter().chain(&tally.notes) {
        println!("{note}");
    }
    assert!(tally.exact >= LEAST_EXACT, "{} exact cases, the ratchet stands at {LEAST_EXACT}", tally.exact);
    assert!(differing.is_empty(), "{} cases differ, the first: {}", differing.len(), differing[0]);
}

//! Runs the create, update, patch and apply steps of the recorded exchanges against the pure machinery alone.
//!
//! The corpus lies beside the repository (`../shared/golden/dev`); without it the test says so and passes. The number
//! of exact cases per area may not fall below `tests/golden_ratchet.tsv`. What admission and allocators add upstream
//! is imitated in `golden_support/world.rs`; cases that need more than this crate are counted as skipped.

mod golden_support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use golden_support::{Outcome, Tally, run_case};

const AREAS: [&str; 7] =
    ["crud-defaulting", "validation", "patch", "apply", "subresources", "protocol-errors", "crd"];

#[test]
fn recorded_exchanges() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/golden/dev");
    if !root.is_dir() {
        println!("skipped: the recorded exchanges are not at {}", root.display());
        return;
    }
    let show = std::env::var("GOLDEN_SHOW").unwrap_or_default();
    let mut reached = BTreeMap::new();
    for area in AREAS {
        let text = fs::read_to_string(root.join(format!("{area}.jsonl"))).expect("an area of the corpus");
        let mut tally = Tally::default();
        for line in text.lines() {
            let case: serde_json::Value = serde_json::from_str(line).expect("a case is one JSON document");
            let name = case["name"].as_str().unwrap_or("").to_owned();
            match run_case(&case, &mut tally) {
                Outcome::Exact => tally.exact += 1,
                Outcome::Skipped(why) => {
                    tally.skipped += 1;
                    if show == "skipped" {
                        println!("SKIP {area} {name}: {why}");
                    }
                }
                Outcome::Differs(why) => {
                    tally.differs += 1;
                    if !show.is_empty() && (show == area || name.contains(&show)) {
                        println!("DIFF {name}: {why}");
                    }
                }
            }
        }
        let evaluated = tally.exact + tally.differs;
        println!(
            "{area}: {} of {evaluated} exact ({:.1} %), {} skipped; messages {} of {}",
            tally.exact,
            100.0 * f64::from(tally.exact) / f64::from(evaluated.max(1)),
            tally.skipped,
            tally.messages_same,
            tally.messages
        );
        for note in &tally.notes {
            println!("{note}");
        }
        reached.insert(area.to_owned(), tally.exact);
    }
    let ratchet = include_str!("golden_ratchet.tsv");
    for line in ratchet.lines().filter(|l| !l.starts_with('#')) {
        let (area, least) = line.split_once('\t').expect("area and number");
        let least: u32 = least.parse().expect("a number of cases");
        assert!(
            reached[area] >= least,
            "{area}: {} exact cases, the ratchet stands at {least}",
            reached[area]
        );
    }
}

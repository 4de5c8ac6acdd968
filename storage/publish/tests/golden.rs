//! Compares discovery, OpenAPI and Tables with the recorded exchanges, without a server.
//!
//! The corpus lies beside the repository (`../shared/golden/dev`); without it the test says so and passes. The number
//! of exact steps may not fall below `tests/golden_ratchet.tsv`. `GOLDEN_SHOW=1` prints what differs.

mod golden_support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use golden_support::{Outcome, World};
use serde_json::Value;
use trireme_publish::table::Release;

const AREAS: [&str; 4] = ["discovery", "list-watch", "crd", "delete"];

#[test]
fn recorded_exchanges() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/golden/dev");
    if !root.is_dir() {
        println!("SKIPPED: the recorded exchanges are not at {}", root.display());
        return;
    }
    let show = std::env::var("GOLDEN_SHOW").is_ok();
    let world = World::new(Release::V1_28);
    let mut reached = BTreeMap::new();
    for area in AREAS {
        let text = fs::read_to_string(root.join(format!("{area}.jsonl"))).expect("an area of the corpus");
        let (mut exact, mut differs, mut skipped) = (0_u32, 0_u32, 0_u32);
        for line in text.lines() {
            let case: Value = serde_json::from_str(line).expect("a case is one JSON document");
            for outcome in world.run(&case) {
                match outcome {
                    Outcome::Exact => exact += 1,
                    Outcome::Skipped => skipped += 1,
                    Outcome::Differs(why) => {
                        differs += 1;
                        if show {
                            println!("DIFF {area} {}: {why}", case["name"]);
                        }
                    }
                }
            }
        }
        println!("{area}: {exact} of {} steps exact, {skipped} of another crate's", exact + differs);
        reached.insert(area, exact);
    }
    for line in include_str!("golden_ratchet.tsv").lines().filter(|l| !l.starts_with('#')) {
        let (area, least) = line.split_once('\t').expect("area and number");
        let least: u32 = least.parse().expect("a number of steps");
        assert!(
            reached[area] >= least,
            "{area}: {} exact steps, the ratchet stands at {least}",
            reached[area]
        );
    }
}

//! Runs the recorded exchanges about identity and permission against this crate alone, by a pipeline of a few lines:
//! authenticate, impersonate, authorize, then reviews and writes of RBAC objects. Cases that need more (admission, other
//! kinds' bodies) are counted as skipped.
//!
//! The corpus lies beside the repository (`../shared/golden`) or where `TRIREME_GOLDEN` says; without it the test says
//! so and passes. The number of exact cases may not fall below [`RATCHET`].

mod golden_support;

use std::path::PathBuf;

use golden_support::bootstrap::compare_bootstrap;
use golden_support::world::{Outcome, World};
use serde_json::Value;

/// Fewest exact cases of each area.
const RATCHET: [(&str, usize); 3] = [("auth", 84), ("bootstrap", 98), ("subresources", 10)];

fn corpus() -> Option<PathBuf> {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/golden");
    let root = std::env::var_os("TRIREME_GOLDEN").map_or(here, PathBuf::from).join("dev");
    root.is_dir().then_some(root)
}

#[test]
fn recorded_exchanges() {
    let Some(root) = corpus() else {
        println!("SKIPPED: the recorded exchanges are neither beside the repository nor at $TRIREME_GOLDEN");
        return;
    };
    let show = std::env::var("GOLDEN_SHOW").unwrap_or_default();
    for (area, least) in RATCHET {
        let text =
            std::fs::read_to_string(root.join(format!("{area}.jsonl"))).expect("an area of the corpus");
        let (mut exact, mut differs, mut skipped) = (0, Vec::new(), 0);
        for line in text.lines() {
            let case: Value = serde_json::from_str(line).expect("a case is one JSON document");
            let name = case["name"].as_str().unwrap_or("").to_owned();
            if area == "subresources" && !name.starts_with("token-") {
                continue;
            }
            let outcome =
                if area == "bootstrap" { compare_bootstrap(&case) } else { World::new().run(&case) };
            match outcome {
                Outcome::Exact => exact += 1,
                Outcome::Skipped(why) => {
                    skipped += 1;
                    if show == "skipped" {
                        println!("SKIP {area} {name}: {why}");
                    }
                }
                Outcome::Differs(why) => differs.push(format!("DIFF {area} {name}: {why}")),
            }
        }
        for line in &differs {
            println!("{line}");
        }
        println!("{area}: {exact} of {} exact, {skipped} skipped", exact + differs.len());
        assert!(exact >= least, "{area}: {exact} exact cases, the ratchet stands at {least}");
    }
}

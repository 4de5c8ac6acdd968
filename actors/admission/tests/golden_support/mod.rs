//! Replays one recorded case.

// The comparer is the one of the request machinery's own replay.
#[path = "../../../../storage/schema/tests/golden_support/compare.rs"]
mod compare;
mod world;

use serde_json::Value;
use world::World;

/// Sums over an area.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) exact: u32,
    pub(crate) differs: u32,
    pub(crate) skipped: u32,
    pub(crate) messages: u32,
    pub(crate) messages_same: u32,
    /// Differences of messages, when asked for.
    pub(crate) notes: Vec<String>,
}

/// How a case went.
pub(crate) enum Outcome {
    Exact,
    Differs(String),
    Skipped(String),
}

/// Runs a case.
pub(crate) fn run_case(case: &Value, tally: &mut Tally) -> Outcome {
    if case["name"].as_str().is_some_and(|name| name.starts_with("webhook-")) {
        return Outcome::Skipped("webhooks are not built".to_owned());
    }
    let text = case.to_string().replace("$ns", world::NAMESPACE);
    let case: Value = serde_json::from_str(&text).expect("replacing a name keeps JSON");
    let mut world = World::new(&case);
    for (i, step) in case["steps"].as_array().map_or(&[][..], Vec::as_slice).iter().enumerate() {
        if step["method"].is_null() {
            continue;
        }
        let answer = match world.step(step) {
            Ok(answer) => answer,
            Err(why) => return Outcome::Skipped(why),
        };
        let mut result = compare::check(&answer, step, tally);
        let wanted: Vec<&str> = texts(&step["expect"]["warnings"]);
        if result.is_ok() && wanted != answer.warnings {
            result = Err(format!("warnings {:?} instead of {wanted:?}", answer.warnings));
        }
        if let Err(why) = result {
            return Outcome::Differs(format!("step {i}: {why}"));
        }
    }
    Outcome::Exact
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().map_or(&[][..], Vec::as_slice).iter().filter_map(Value::as_str).collect()
}

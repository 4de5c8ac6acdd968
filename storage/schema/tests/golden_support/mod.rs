//! Replays one recorded case against an object store in a map.

mod admit;
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
    let text = case.to_string().replace("$ns", world::NAMESPACE);
    let case: Value = serde_json::from_str(&text).expect("replacing a name keeps JSON");
    let mut world = World::default();
    let mut evaluated = 0;
    for (i, step) in case["steps"].as_array().map_or(&[][..], Vec::as_slice).iter().enumerate() {
        let answer = match world.step(step) {
            Ok(Some(answer)) => answer,
            Ok(None) => continue,
            Err(why) => return Outcome::Skipped(why),
        };
        evaluated += 1;
        if let Err(why) = compare::check(&answer, step, tally) {
            return Outcome::Differs(format!("step {i}: {why}"));
        }
    }
    if evaluated == 0 { Outcome::Skipped("nothing to evaluate".to_owned()) } else { Outcome::Exact }
}

//! Whole lives by seed: objects come and go, views are late, bindings fail, the scheduler is killed. What it decides is
//! checked by a plain reading of the rules, and what can be placed is placed in the end.
//!
//! `TRIREME_SEEDS` says how many lives (default 2,000); `TRIREME_SEED` replays one.

#![allow(clippy::unwrap_used, reason = "a test that meets what it did not make may panic")]

mod life;
mod make;
mod rules;

#[test]
fn every_decision_keeps_the_rules_and_nothing_is_forgotten() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = number("TRIREME_SEED") {
        return life::live(seed);
    }
    for seed in 0..number("TRIREME_SEEDS").unwrap_or(2_000) {
        if let Err(panic) = std::panic::catch_unwind(|| life::live(seed)) {
            eprintln!("TRIREME_SEED={seed} replays it");
            std::panic::resume_unwind(panic);
        }
    }
}

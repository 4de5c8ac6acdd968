//! A small cluster on virtual time: the API as controllers see it, pods that come and go, views that lag, controllers
//! that are killed; all drawn from a seed.

mod cluster;
mod runner;

pub(crate) use cluster::Cluster;
pub(crate) use runner::Runner;

/// Runs a story for each seed. `TRIREME_SEEDS` asks for another number, `TRIREME_SEED` for one seed alone.
pub(crate) fn seeds(default: u64, story: impl Fn(u64)) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = number("TRIREME_SEED") {
        return story(seed);
    }
    for seed in 0..number("TRIREME_SEEDS").unwrap_or(default) {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| story(seed)));
        assert!(outcome.is_ok(), "seed {seed} failed, see above; run it alone with TRIREME_SEED={seed}");
    }
}

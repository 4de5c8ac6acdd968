//! The state machine against a naive model: outcomes, reads at every kept revision, pages, counts, hashes.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test may panic; its numbers are small"
)]

mod support;

use support::{FILTERS, Run, same};
use trireme_mvcc::*;

const SEQUENCES: u64 = 10_000;
const ENTRIES: u64 = 40;

#[test]
fn outcomes_and_reads_equal_the_models() {
    for seed in 0..SEQUENCES {
        let mut run = Run::new(seed);
        for _ in 0..ENTRIES {
            run.advance(&mut Delta::new());
        }
        check_reads(&mut run, seed);
        assert_eq!(run.state.hash(), run.state.recompute_hash(), "running hash, seed {seed}");
    }
}

/// At a few kept revisions: every key, and one filter in pages.
fn check_reads(run: &mut Run, seed: u64) {
    let (compacted, current) = (run.state.compacted().get(), run.state.revision().get());
    let live_bytes: u64 = run.model.live.len() as u64;
    assert_eq!(run.state.sizes().objects, live_bytes, "seed {seed}");
    for probe in 0..3 {
        let at = if probe == 0 { current } else { compacted + run.rng.below(current - compacted + 1) };
        let wanted = run.model.at(at);
        for key in run.model.keys() {
            let found = run.state.get_at(&key, Revision::new(at)).expect("kept");
            match (&found, wanted.get(&key)) {
                (Some(object), Some(model)) => assert!(same(object, model), "{key} at {at}, seed {seed}"),
                (found, wanted) => {
                    assert!(
                        found.is_none() && wanted.is_none(),
                        "{key} at {at}, seed {seed}: {found:?} {wanted:?}"
                    );
                }
            }
        }
        let prefix = FILTERS[run.rng.below(FILTERS.len() as u64) as usize];
        let page_limit = 1 + run.rng.below(4) as usize;
        check_pages(run, prefix, at, page_limit, seed);
    }
    if compacted > 0 {
        let error = run.state.get_at(b"/x", Revision::new(compacted - 1)).unwrap_err();
        assert!(matches!(error, ReadError::Compacted { .. }), "seed {seed}");
    }
    let error = run.state.get_at(b"/x", Revision::new(current + 1)).unwrap_err();
    assert!(matches!(error, ReadError::Future { .. }), "seed {seed}");
}

fn check_pages(run: &Run, prefix: &str, at: u64, page_limit: usize, seed: u64) {
    let range = KeyRange::prefix(prefix);
    let wanted: Vec<_> =
        run.model.at(at).into_iter().filter(|(key, _)| key.starts_with(prefix.as_bytes())).collect();
    let count = run.state.count(&range, At::Exact(Revision::new(at)));
    assert_eq!(count, Ok(wanted.len() as u64), "count of {prefix} at {at}, seed {seed}");
    let mut given = Vec::new();
    let mut after: Option<Key> = None;
    for _ in 0..=wanted.len() {
        let request = ListRequest {
            range: &range,
            at: At::Exact(Revision::new(at)),
            after: after.as_ref(),
            limit_objects: page_limit,
            limit_bytes: 200,
        };
        let page = run.state.list(&request).expect("kept");
        given.extend(page.objects.iter().cloned());
        assert_eq!(page.remaining, (wanted.len() - given.len()) as u64, "{prefix} at {at}, seed {seed}");
        after = page.next_after().cloned();
        if after.is_none() {
            break;
        }
    }
    assert_eq!(given.len(), wanted.len(), "{prefix} at {at}, seed {seed}");
    for (object, (key, model)) in given.iter().zip(&wanted) {
        assert!(object.key() == key && same(object, model), "{prefix} at {at}, seed {seed}");
    }
}

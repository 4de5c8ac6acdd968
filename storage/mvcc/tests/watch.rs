//! The six watch guarantees (ordered, unique, reliable, atomic, resumable, bookmarkable) on cursors with random
//! filters, lag, limits and compaction, against the model's full log.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test may panic; its numbers are small"
)]

mod support;

use std::collections::BTreeMap;

use bytes::Bytes;
use support::{FILTERS, Log, Rng, Run, key, same};
use trireme_mvcc::*;

const SEQUENCES: u64 = 3000;
const ENTRIES: u64 = 60;

/// One watcher as its client sees it.
struct Watcher {
    id: CursorId,
    filter: Filter,
    previous: bool,
    /// Everything that matches up to here must have been received.
    through: u64,
    last_bookmark: u64,
    due: bool,
    lazy: u64,
}

fn draw_filter(rng: &mut Rng, keys: u64) -> Filter {
    match rng.below(10) {
        0..3 => Filter::Key(key(rng.below(keys))),
        3 => {
            let (low, high) = (key(rng.below(keys)), key(rng.below(keys)));
            Filter::Range(KeyRange::new(low.clone().min(high.clone()), Some(low.max(high))))
        }
        _ => Filter::Prefix(FILTERS[rng.below(FILTERS.len() as u64) as usize].into()),
    }
}

fn open(run: &mut Run, watches: &mut Watches) -> Watcher {
    let (compacted, current) = (run.state.compacted().get(), run.state.revision().get());
    let after = compacted + run.rng.below(current - compacted + 1);
    let filter = draw_filter(&mut run.rng, run.keys);
    let previous = run.rng.chance(50);
    let request =
        WatchRequest { filter: filter.clone(), after: Revision::new(after), previous, bookmarks: true };
    let id = watches.open(&run.state, request).expect("within the history");
    let lazy = run.rng.below(100);
    Watcher { id, filter, previous, through: after, last_bookmark: after, due: true, lazy }
}

/// What the model says came for the filter between two revisions, with the last revision of its transaction.
fn wanted(log: &Log, filter: &Filter, after: u64, through: u64) -> Vec<usize> {
    let within = |at: &usize| log[*at].0 > after && log[*at].0 <= through && filter.matches(&log[*at].2);
    (0..log.len()).filter(within).collect()
}

/// Takes one batch and checks it: exactly the model's changes between the last place and the new one (ordered,
/// unique, reliable), ending between transactions (atomic).
fn check_batch(run: &Run, watcher: &mut Watcher, batch: &Batch, seed: u64) {
    let through = batch.through.get();
    assert!(through >= watcher.through, "place went back, seed {seed}");
    let wanted = wanted(&run.model.log, &watcher.filter, watcher.through, through);
    assert_eq!(batch.events.len(), wanted.len(), "{:?} to {through}, seed {seed}", watcher.filter);
    for (event, at) in batch.events.iter().zip(wanted) {
        let (revision, end, key, object) = &run.model.log[at];
        assert_eq!((event.revision().get(), event.key()), (*revision, key), "seed {seed}");
        assert!(*end <= through, "a transaction to {end} was cut at {through}, seed {seed}");
        match (event.object(), object) {
            (Some(event), Some(model)) => assert!(same(event, model), "seed {seed}"),
            (event, model) => assert!(event.is_none() && model.is_none(), "seed {seed}"),
        }
        let old = run.model.at(revision - 1).remove(key);
        match (event.previous(), old) {
            (Some(event), Some(model)) => assert!(same(event, &model), "previous, seed {seed}"),
            (event, model) => {
                let asked = watcher.previous || object.is_none();
                assert!(event.is_none() && (model.is_none() || !asked), "previous, seed {seed}");
            }
        }
    }
    watcher.through = through;
}

/// Reads a watcher once; `false` when it has to start over.
fn read(run: &mut Run, watches: &mut Watches, watcher: &mut Watcher, batch: &mut Batch, seed: u64) -> bool {
    let limits = ReadLimits { events: 1 + run.rng.below(5) as usize, bytes: 1 + run.rng.below(200) as usize };
    let before = watcher.through;
    match watches.read(&run.state, watcher.id, limits, batch) {
        Ok(()) => {
            check_batch(run, watcher, batch, seed);
            watcher.due = batch.more;
            true
        }
        Err(WatchError::Compacted { position, compacted }) => {
            assert!(batch.events.is_empty(), "seed {seed}");
            assert_eq!(compacted, run.state.compacted(), "seed {seed}");
            // Told so only when something was, or may have been, missed: while it had not read everything.
            assert!(position.get() >= before && position < compacted, "seed {seed}");
            assert!(watcher.due, "a watcher that had seen everything was thrown out, seed {seed}");
            false
        }
        Err(error) => panic!("seed {seed}: {error}"),
    }
}

#[test]
fn watchers_get_every_change_once_in_order_and_whole() {
    let mut thrown_out = 0;
    for seed in 0..SEQUENCES {
        let mut run = Run::new(seed);
        let mut watches = Watches::new();
        let mut watchers: Vec<Watcher> = Vec::new();
        let (mut batch, mut due) = (Batch::default(), Vec::new());
        for _ in 0..ENTRIES {
            run.advance(&mut Delta::new());
            if watchers.len() < 6 && run.rng.chance(25) {
                watchers.push(open(&mut run, &mut watches));
            }
            if run.rng.chance(60) {
                watches.wake(&run.state, &mut due);
                for id in due.drain(..) {
                    let woken = watchers.iter_mut().find(|watcher| watcher.id == id).expect("open");
                    assert!(!woken.due, "woken twice, seed {seed}");
                    woken.due = true;
                }
            }
            watchers.retain_mut(|watcher| {
                if !watcher.due || run.rng.chance(watcher.lazy) {
                    check_bookmark(&run, &mut watches, watcher, seed);
                    return true;
                }
                let goes_on = read(&mut run, &mut watches, watcher, &mut batch, seed);
                if !goes_on {
                    assert!(watches.close(watcher.id));
                    thrown_out += 1;
                }
                goes_on
            });
        }
        drain(&mut run, &mut watches, &mut watchers, seed);
    }
    assert!(thrown_out > SEQUENCES / 20, "compaction was too rare to test anything: {thrown_out}");
}

/// A bookmark speaks the truth: nothing that matches lies between what came and the bookmark.
fn check_bookmark(run: &Run, watches: &mut Watches, watcher: &mut Watcher, seed: u64) {
    let Ok(Some(bookmark)) = watches.bookmark(&run.state, watcher.id) else { return };
    assert!(bookmark.get() > watcher.last_bookmark, "a bookmark without news, seed {seed}");
    let missing = wanted(&run.model.log, &watcher.filter, watcher.through, bookmark.get());
    assert!(missing.is_empty(), "bookmark {bookmark} hides {missing:?}, seed {seed}");
    watcher.last_bookmark = bookmark.get();
    watcher.through = bookmark.get();
}

/// At the end only woken watchers read, and all must come to know everything.
fn drain(run: &mut Run, watches: &mut Watches, watchers: &mut Vec<Watcher>, seed: u64) {
    let mut due = Vec::new();
    watches.wake(&run.state, &mut due);
    for watcher in watchers.iter_mut() {
        watcher.due |= due.contains(&watcher.id);
    }
    let mut batch = Batch::default();
    watchers.retain_mut(|watcher| {
        while watcher.due {
            if !read(run, watches, watcher, &mut batch, seed) {
                return false;
            }
        }
        true
    });
    let current = run.state.revision().get();
    for watcher in watchers {
        let missing = wanted(&run.model.log, &watcher.filter, watcher.through, current);
        assert!(missing.is_empty(), "{:?} was not woken for {missing:?}, seed {seed}", watcher.filter);
    }
}

/// A client that loses its connection after any batch goes on elsewhere from what it has.
#[test]
fn a_watch_resumes_anywhere_on_any_member() {
    for seed in 0..1000 {
        let mut run = Run::new(seed);
        (0..ENTRIES).for_each(|_| run.advance(&mut Delta::new()));
        let snapshot = std::sync::Arc::new(run.state.snapshot());
        let mut restore = Restore::new();
        snapshot.chunks(4096).for_each(|chunk| restore.chunk(&chunk).unwrap());
        let other = restore.finish().unwrap();
        let filter = draw_filter(&mut run.rng, run.keys);
        let start = run.state.compacted();
        let (mut after, mut received, mut batch) = (start, Vec::new(), Batch::default());
        for turn in 0.. {
            let state = if turn % 2 == 0 { &run.state } else { &other };
            let request = WatchRequest { filter: filter.clone(), after, previous: false, bookmarks: false };
            let mut cursor = Cursor::new(state, request).unwrap();
            cursor.read(state, ReadLimits { events: 2, bytes: 500 }, &mut batch).unwrap();
            received.extend(batch.events.iter().map(|event| event.revision().get()));
            after = batch.through;
            if !batch.more {
                break;
            }
        }
        let log = &run.model.log;
        let wanted = wanted(log, &filter, start.get(), run.state.revision().get());
        let wanted: Vec<u64> = wanted.into_iter().map(|at| log[at].0).collect();
        assert_eq!(received, wanted, "{filter:?}, seed {seed}");
    }
}

fn put(path: &str) -> Proposal {
    let operation = Operation::Put { key: path.into(), value: Bytes::from_static(b"v"), lease: None };
    Proposal::transaction(vec![], vec![operation])
}

fn apply(state: &mut State, proposal: &Proposal) {
    state.apply(state.applied_index() + 1, 1, proposal, &mut Delta::new()).unwrap().unwrap();
}

fn watch(prefix: &str, after: u64) -> WatchRequest {
    let filter = Filter::Prefix(prefix.into());
    WatchRequest { filter, after: Revision::new(after), previous: false, bookmarks: true }
}

#[test]
fn a_quiet_watch_outlives_the_history_that_busy_ones_fill() {
    let mut state = State::new();
    let limits = Limits { history_changes: 10, ..Limits::default() };
    apply(&mut state, &Proposal::new(Entry::Configure(limits)));
    let mut watches = Watches::new();
    let id = watches.open(&state, watch("/registry/quiet/", 0)).unwrap();
    let (mut batch, mut due) = (Batch::default(), Vec::new());
    watches.read(&state, id, ReadLimits::default(), &mut batch).unwrap();
    for _ in 0..1000 {
        apply(&mut state, &put("/registry/busy/a"));
        watches.wake(&state, &mut due);
    }
    assert!(due.is_empty());
    assert_eq!(watches.bookmark(&state, id), Ok(Some(Revision::new(1000))));
    assert_eq!(watches.bookmark(&state, id), Ok(None), "no news, no bookmark");
    apply(&mut state, &put("/registry/quiet/a"));
    watches.wake(&state, &mut due);
    assert_eq!(due, [id]);
    watches.read(&state, id, ReadLimits::default(), &mut batch).unwrap();
    assert_eq!(batch.events.len(), 1);
}

#[test]
fn a_cursor_behind_or_ahead_of_the_history_is_told_so() {
    let mut state = State::new();
    (0..20).for_each(|_| apply(&mut state, &put("/a/b")));
    apply(&mut state, &Proposal::new(Entry::Compact { revision: Revision::new(10) }));
    let mut watches = Watches::new();
    let (position, compacted) = (Revision::new(9), Revision::new(10));
    assert_eq!(watches.open(&state, watch("/a/", 9)), Err(WatchError::Compacted { position, compacted }));
    let (position, current) = (Revision::new(21), Revision::new(20));
    assert_eq!(watches.open(&state, watch("/a/", 21)), Err(WatchError::Future { position, current }));
    let id = watches.open(&state, watch("/a/", 10)).unwrap();
    // A restore from a backup throws everybody out, also who had seen everything.
    let mut batch = Batch::default();
    watches.read(&state, id, ReadLimits::default(), &mut batch).unwrap();
    assert_eq!(batch.events.len(), 10);
    let mut due = Vec::new();
    watches.wake(&state, &mut due);
    apply(&mut state, &Proposal::new(Entry::Bump { floor: Revision::new(1000) }));
    watches.wake(&state, &mut due);
    assert_eq!(due, [id]);
    let error = watches.read(&state, id, ReadLimits::default(), &mut batch);
    assert!(matches!(error, Err(WatchError::Compacted { .. })), "{error:?}");
    assert!(watches.close(id) && !watches.close(id));
    assert_eq!(watches.read(&state, id, ReadLimits::default(), &mut batch), Err(WatchError::Closed));
    assert!(watches.is_empty());
}

#[test]
fn a_long_history_of_one_key_and_a_long_scan_come_in_bounded_reads() {
    let mut state = State::new();
    (0..20_000).for_each(|_| apply(&mut state, &put("hot")));
    apply(&mut state, &put("cold"));
    let mut batch = Batch::default();
    for (filter, count) in [(Filter::Key("hot".into()), 20_000), (Filter::Key("cold".into()), 1)] {
        let request = WatchRequest { filter, after: Revision::ZERO, previous: true, bookmarks: false };
        let mut cursor = Cursor::new(&state, request).unwrap();
        let (mut reads, mut events) = (0, 0);
        loop {
            cursor.read(&state, ReadLimits { events: 5000, bytes: usize::MAX }, &mut batch).unwrap();
            events += batch.events.len();
            reads += 1;
            if !batch.more {
                break;
            }
        }
        assert_eq!(events, count);
        assert!(reads <= 5, "{reads} reads");
    }
    // A prefix that no directory covers is scanned in bounded steps.
    let mut cursor = Cursor::new(&state, watch("co", 0)).unwrap();
    cursor.read(&state, ReadLimits::default(), &mut batch).unwrap();
    assert!(batch.more && batch.events.is_empty() && cursor.position().get() < 20_000);
    cursor.read(&state, ReadLimits::default(), &mut batch).unwrap();
    assert!(!batch.more && batch.events.len() == 1);
}

#[test]
fn every_concerned_watcher_is_woken_once_and_no_other() {
    let mut state = State::new();
    let mut watches = Watches::new();
    let mut expected: BTreeMap<CursorId, &str> = BTreeMap::new();
    let (mut batch, mut due) = (Batch::default(), Vec::new());
    for prefix in ["", "/r/", "/r/pods/", "/r/pods/a/", "/r/pods/b/", "/r/podsx/", "/r/pods/a/x", "/s/"] {
        for _ in 0..3 {
            let id = watches.open(&state, watch(prefix, 0)).unwrap();
            watches.read(&state, id, ReadLimits::default(), &mut batch).unwrap();
            assert!(!batch.more);
            expected.insert(id, prefix);
        }
    }
    apply(&mut state, &put("/r/pods/a/xy"));
    apply(&mut state, &put("/r/pods/a/xz"));
    watches.wake(&state, &mut due);
    due.sort_unstable();
    let concerned = expected.iter().filter(|(_, prefix)| "/r/pods/a/xy".starts_with(**prefix));
    assert_eq!(due, concerned.map(|(id, _)| *id).collect::<Vec<_>>());
    let first = due[0];
    assert!(watches.close(first));
    due.clear();
    apply(&mut state, &put("/r/pods/a/xy"));
    watches.wake(&state, &mut due);
    assert!(due.is_empty(), "woken once until they have read");
}

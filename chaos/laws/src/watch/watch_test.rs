//! Each guarantee passes correct histories, catches its own planted bug, and the six together leave no gap.

use super::*;
use crate::generate;
use crate::{History, Record};

type Check = fn(&[WatchRecord], &[LoggedWrite]) -> Verdict;

const ALL: [(Law, Check); 6] = [
    (Law::WatchOrdered, ordered::check),
    (Law::WatchUnique, unique::check),
    (Law::WatchAtomic, atomic::check),
    (Law::WatchReliable, reliable::check),
    (Law::WatchResumable, resumable::check),
    (Law::WatchBookmarkable, bookmarkable::check),
];

fn write(revision: u64, transaction: u64) -> LoggedWrite {
    LoggedWrite { revision, transaction, key: "a/1".to_owned(), change: Change::Put(revision) }
}

fn log() -> Vec<LoggedWrite> {
    vec![write(1, 1), write(2, 2), write(3, 2), write(4, 3), write(5, 4)]
}

fn opened(stream: u64, start: Start) -> WatchRecord {
    WatchRecord::Opened { watcher: 1, stream, at: stream * 100, prefix: "a/".to_owned(), start }
}

fn got(stream: u64, revisions: &[u64]) -> WatchRecord {
    let event = |revision: &u64| WatchEvent {
        revision: *revision,
        key: "a/1".to_owned(),
        change: Change::Put(*revision),
    };
    WatchRecord::Delivered { stream, at: 0, events: revisions.iter().map(event).collect() }
}

fn bookmark(stream: u64, revision: u64) -> WatchRecord {
    WatchRecord::Bookmark { stream, at: 0, revision }
}

fn from_zero() -> WatchRecord {
    opened(1, Start::Fresh { after: 0 })
}

/// The laws that a history breaks; each failing part must break the same law on its own.
fn broken(records: &[WatchRecord], log: &[LoggedWrite]) -> Vec<Law> {
    let mut laws = Vec::new();
    for (law, check) in ALL {
        let verdict = check(records, log);
        assert!(!matches!(verdict, Verdict::Undecided { .. }), "{verdict:?}");
        if let Some(violation) = verdict.violation() {
            assert_eq!(violation.law, law);
            let part: History = violation.history.iter().cloned().collect::<History>();
            let again = check(&part.watches, &part.log);
            assert!(again.violation().is_some(), "the failing part does not fail: {violation}");
            assert!(violation.history.len() <= 10, "{violation}");
            laws.push(law);
        }
    }
    laws
}

#[test]
fn a_complete_stream_passes() {
    let settled = WatchRecord::Settled { stream: 1, at: 9, revision: 5 };
    let records = [from_zero(), got(1, &[1]), got(1, &[2, 3, 4]), bookmark(1, 4), got(1, &[5]), settled];
    assert_eq!(broken(&records, &log()), []);
}

#[test]
fn each_guarantee_has_its_own_bug() {
    let cases: Vec<(Law, Vec<WatchRecord>)> = vec![
        (Law::WatchOrdered, vec![from_zero(), got(1, &[1]), got(1, &[4, 2, 3])]),
        (Law::WatchUnique, vec![from_zero(), got(1, &[1]), got(1, &[1]), got(1, &[2, 3])]),
        (Law::WatchAtomic, vec![from_zero(), got(1, &[1]), got(1, &[2]), got(1, &[3])]),
        (Law::WatchReliable, vec![from_zero(), got(1, &[1]), got(1, &[4])]),
        (
            Law::WatchResumable,
            vec![from_zero(), got(1, &[1]), opened(2, Start::Resumed { after: 1 }), got(2, &[4])],
        ),
        (Law::WatchBookmarkable, vec![from_zero(), got(1, &[1]), bookmark(1, 3)]),
    ];
    for (law, records) in cases {
        let laws = broken(&records, &log());
        assert!(laws.contains(&law), "{law}: broken are {laws:?}");
    }
}

#[test]
fn only_the_guarantee_concerned_is_blamed() {
    assert_eq!(broken(&[from_zero(), got(1, &[1]), got(1, &[2]), got(1, &[3])], &log()), [Law::WatchAtomic]);
    assert_eq!(broken(&[from_zero(), got(1, &[1]), got(1, &[1])], &log()), [Law::WatchUnique]);
    assert_eq!(broken(&[from_zero(), got(1, &[1]), got(1, &[4])], &log()), [Law::WatchReliable]);
    assert_eq!(broken(&[from_zero(), bookmark(1, 1)], &log()), [Law::WatchBookmarkable]);
    let skipped = [from_zero(), got(1, &[1]), opened(2, Start::Resumed { after: 1 }), got(2, &[4])];
    assert_eq!(broken(&skipped, &log()), [Law::WatchResumable]);
}

#[test]
fn a_repeated_event_after_resuming_is_found() {
    let records =
        [from_zero(), got(1, &[1]), opened(2, Start::Resumed { after: 1 }), got(2, &[1]), got(2, &[2, 3])];
    assert!(broken(&records, &log()).contains(&Law::WatchResumable));
}

#[test]
fn a_missing_end_is_found_once_there_was_time() {
    let waiting = [from_zero(), got(1, &[1])];
    assert_eq!(broken(&waiting, &log()), []);
    let settled = WatchRecord::Settled { stream: 1, at: 9, revision: 5 };
    assert_eq!(broken(&[from_zero(), got(1, &[1]), settled], &log()), [Law::WatchReliable]);
}

#[test]
fn altered_and_invented_events_are_found() {
    let mut altered = got(1, &[1]);
    if let WatchRecord::Delivered { events, .. } = &mut altered {
        events[0].change = Change::Delete;
    }
    assert_eq!(broken(&[from_zero(), altered], &log()), [Law::WatchReliable]);
    assert!(broken(&[from_zero(), got(1, &[1, 2, 3, 4, 5, 6])], &log()).contains(&Law::WatchReliable));
}

#[test]
fn a_gap_is_allowed_only_if_it_was_announced() {
    let expired = |compacted| WatchRecord::Expired { stream: 2, at: 0, compacted };
    let start = |end| [from_zero(), got(1, &[1]), opened(2, Start::Resumed { after: 1 }), end];
    assert_eq!(broken(&start(expired(3)), &log()), []);
    assert_eq!(broken(&start(expired(1)), &log()), [Law::WatchResumable]);
}

#[test]
fn bookmarks_keep_their_promise() {
    let late = [from_zero(), bookmark(1, 0), got(1, &[1]), bookmark(1, 1), got(1, &[1])];
    assert!(broken(&late, &log()).contains(&Law::WatchBookmarkable));
    let back = [from_zero(), got(1, &[1, 2, 3]), bookmark(1, 3), bookmark(1, 2)];
    assert_eq!(broken(&back, &log()), [Law::WatchBookmarkable]);
    let ahead = [from_zero(), got(1, &[1, 2, 3, 4, 5]), bookmark(1, 9)];
    assert_eq!(broken(&ahead, &log()), [Law::WatchBookmarkable]);
}

#[test]
fn an_incomplete_history_is_undecided() {
    assert!(matches!(ordered::check(&[got(7, &[1])], &log()), Verdict::Undecided { .. }));
    let wrong = [from_zero(), got(1, &[1]), opened(2, Start::Resumed { after: 3 }), got(2, &[4])];
    assert!(matches!(resumable::check(&wrong, &log()), Verdict::Undecided { .. }));
}

/// Drops one event from one delivery, somewhere before the end.
fn drop_event(records: &mut Vec<WatchRecord>, roll: u64) -> bool {
    let deliveries: Vec<usize> =
        (0..records.len()).filter(|at| matches!(records[*at], WatchRecord::Delivered { .. })).collect();
    if deliveries.is_empty() {
        return false;
    }
    let at = deliveries[usize::try_from(roll % deliveries.len() as u64).expect("an index")];
    let WatchRecord::Delivered { events, .. } = &mut records[at] else { return false };
    events.remove(0);
    if events.is_empty() {
        records.remove(at);
    }
    true
}

/// Lets the last event of a delivery come once more with the next.
fn repeat_event(records: &mut [WatchRecord], roll: u64) -> bool {
    let pairs: Vec<usize> = (1..records.len())
        .filter(|at| {
            matches!((&records[at - 1], &records[*at]),
                (WatchRecord::Delivered { stream: one, .. }, WatchRecord::Delivered { stream: two, .. }) if one == two)
        })
        .collect();
    if pairs.is_empty() {
        return false;
    }
    let at = pairs[usize::try_from(roll % pairs.len() as u64).expect("an index")];
    let WatchRecord::Delivered { events, .. } = &records[at - 1] else { return false };
    let Some(last) = events.last().cloned() else { return false };
    let WatchRecord::Delivered { events, .. } = &mut records[at] else { return false };
    events.insert(0, last);
    true
}

#[test]
fn correct_histories_pass_and_each_planted_change_is_caught() {
    let mut planted = [0, 0];
    for seed in 0..600 {
        let (records, log) = generate::watch(seed, 30);
        assert_eq!(broken(&records, &log), [], "seed {seed}");
        let roll = generate::mix(seed);
        let (mut dropped, mut repeated) = (records.clone(), records);
        let mutations =
            [(drop_event(&mut dropped, roll), dropped), (repeat_event(&mut repeated, roll), repeated)];
        for (kind, (changed, records)) in mutations.iter().enumerate().filter(|(_, (changed, _))| *changed) {
            planted[kind] += u32::from(*changed);
            // If what was dropped is what the watcher resumed from, the history contradicts itself: undecided.
            let caught = ALL.iter().any(|(_, check)| !check(records, &log).is_ok());
            assert!(caught, "seed {seed}, kind {kind}: not caught");
        }
    }
    assert!(planted.iter().all(|count| *count > 500), "{planted:?}");
}

#[test]
fn the_failing_part_survives_its_lines() {
    let verdict = reliable::check(&[from_zero(), got(1, &[1]), got(1, &[4])], &log());
    let violation = verdict.violation().expect("violation");
    let lines: Vec<String> = violation.history.iter().map(Record::to_json_line).collect();
    let part = History::from_json_lines(&lines.join("\n")).expect("own lines");
    assert!(reliable::check(&part.watches, &part.log).violation().is_some());
}

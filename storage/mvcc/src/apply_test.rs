//! What each kind of entry does, one behaviour per test.

use bytes::Bytes;

use crate::limits::*;
use crate::*;

fn lease(number: u64) -> LeaseId {
    LeaseId::new(number).unwrap()
}

fn put(key: &str, value: &'static str) -> Operation {
    Operation::Put { key: key.into(), value: Bytes::from_static(value.as_bytes()), lease: None }
}

fn put_on(key: &str, id: u64) -> Operation {
    Operation::Put { key: key.into(), value: Bytes::new(), lease: Some(lease(id)) }
}

fn delete(key: &str) -> Operation {
    Operation::Delete { key: key.into() }
}

struct Log {
    state: State,
    term: u64,
}

impl Log {
    fn new() -> Self {
        Self { state: State::new(), term: 1 }
    }

    fn apply(&mut self, proposal: Proposal) -> Outcome {
        let index = self.state.applied_index() + 1;
        let outcome = self.state.apply(index, self.term, &proposal, &mut Delta::new()).unwrap();
        assert_eq!(self.state.hash(), self.state.recompute_hash(), "after {proposal:?}");
        outcome
    }

    fn entry(&mut self, entry: Entry) -> Outcome {
        self.apply(Proposal::new(entry))
    }

    fn write(&mut self, operations: Vec<Operation>) -> Outcome {
        self.apply(Proposal::transaction(vec![], operations))
    }

    fn guarded(&mut self, guard: Guard, operation: Operation) -> Outcome {
        self.apply(Proposal::transaction(vec![guard], vec![operation]))
    }
}

#[test]
fn every_write_has_its_own_revision() {
    let mut log = Log::new();
    let outcome = log.write(vec![put("/a", "1"), delete("/none"), put("/b", "2")]).unwrap();
    let revisions = vec![Some(Revision::new(1)), None, Some(Revision::new(2))];
    assert_eq!(outcome, Answer::Committed { revisions, revision: Revision::new(2) });
    log.write(vec![put("/a", "3")]).unwrap();
    let object = log.state.get(b"/a").unwrap();
    let numbers = (object.create_revision().get(), object.mod_revision().get(), object.version());
    assert_eq!(numbers, (1, 3, 2));
    log.write(vec![delete("/a")]).unwrap();
    log.write(vec![put("/a", "4")]).unwrap();
    let object = log.state.get(b"/a").unwrap();
    assert_eq!((object.create_revision().get(), object.version()), (5, 1), "a delete ends the key's life");
}

#[test]
fn guards_decide_for_the_whole_transaction() {
    let mut log = Log::new();
    log.write(vec![put("/a", "1")]).unwrap();
    let failed = log.guarded(Guard::Absent("/a".into()), put("/b", ""));
    let current = Some(Revision::new(1));
    assert_eq!(failed, Err(Refusal::GuardFailed { guard: 0, key: "/a".into(), current }));
    assert_eq!(failed.unwrap_err().retry(), Retry::Reload);
    let stale = log.guarded(Guard::AtRevision("/a".into(), Revision::new(2)), put("/a", ""));
    assert_eq!(stale, Err(Refusal::GuardFailed { guard: 0, key: "/a".into(), current }));
    let missing = log.guarded(Guard::Present("/b".into()), put("/a", ""));
    assert_eq!(missing, Err(Refusal::GuardFailed { guard: 0, key: "/b".into(), current: None }));
    // A key that does not exist is at no revision, not at zero.
    let zero = log.guarded(Guard::AtRevision("/b".into(), Revision::ZERO), put("/b", ""));
    assert!(zero.is_err());
    assert_eq!(log.state.revision().get(), 1, "nothing was written");
    assert!(log.guarded(Guard::AtRevision("/a".into(), Revision::new(1)), put("/a", "2")).is_ok());
    assert!(log.guarded(Guard::Absent("/b".into()), put("/b", "2")).is_ok());
    let both = vec![Guard::Present("/a".into()), Guard::Absent("/b".into())];
    let second = log.apply(Proposal::transaction(both, vec![delete("/a")]));
    assert!(matches!(second, Err(Refusal::GuardFailed { guard: 1, .. })));
}

#[test]
fn a_write_from_an_old_term_is_refused() {
    let mut log = Log::new();
    log.apply(Proposal::transaction(vec![], vec![put("/a", "1")]).with_fence(1)).unwrap();
    // The next leader's first entry ends the first one's writing, though it is no fenced write itself.
    log.term = 2;
    log.entry(Entry::Noop).unwrap();
    let late = log.apply(Proposal::transaction(vec![], vec![put("/a", "late")]).with_fence(1));
    assert_eq!(late, Err(Refusal::FencedOldTerm { fence: 1, current: 2 }));
    assert_eq!(log.state.get(b"/a").unwrap().value(), "1");
    // A fence raises the bar for others even before an entry of its term is here.
    log.apply(Proposal::new(Entry::Noop).with_fence(5)).unwrap();
    let late = log.apply(Proposal::new(Entry::Tick { log_time_ms: 5 }).with_fence(4));
    assert_eq!(late, Err(Refusal::FencedOldTerm { fence: 4, current: 5 }));
    assert!(log.write(vec![put("/a", "user")]).is_ok(), "writes without a fence are nobody's term");
}

#[test]
fn only_the_next_entry_of_the_same_log_is_applied() {
    let mut log = Log::new();
    log.term = 3;
    log.write(vec![put("/a", "1")]).unwrap();
    let before = log.state.hash();
    let again = Proposal::transaction(vec![], vec![put("/a", "2")]);
    let mut delta = Delta::new();
    let mut apply = |index, term| log.state.apply(index, term, &again, &mut delta);
    assert_eq!(apply(1, 3), Err(ApplyError::AlreadyApplied { index: 1, applied: 1 }));
    assert_eq!(apply(3, 3), Err(ApplyError::Gap { index: 3, applied: 1 }));
    assert_eq!(apply(2, 2), Err(ApplyError::TermWentBack { index: 2, term: 2, applied: 3 }));
    assert!(delta.is_empty());
    assert_eq!(log.state.hash(), before);
}

#[test]
fn leases_end_by_log_time_and_take_their_keys_along() {
    let mut log = Log::new();
    assert_eq!(
        log.write(vec![put("/z", ""), put_on("/a", 1)]),
        Err(Refusal::LeaseNotFound { lease: lease(1) }),
        "and nothing of the transaction is written"
    );
    assert!(log.state.get(b"/z").is_none());
    log.entry(Entry::Tick { log_time_ms: 1000 }).unwrap();
    let granted = log.entry(Entry::LeaseGrant { lease: lease(1), ttl_ms: 50 });
    assert_eq!(granted, Ok(Answer::LeaseGranted { expires_ms: 1050 }));
    assert_eq!(
        log.entry(Entry::LeaseGrant { lease: lease(1), ttl_ms: 50 }),
        Err(Refusal::LeaseExists { lease: lease(1) })
    );
    log.entry(Entry::LeaseGrant { lease: lease(2), ttl_ms: 60 }).unwrap();
    log.write(vec![put_on("/a", 1), put_on("/b", 1), put_on("/c", 2), put_on("/d", 1)]).unwrap();
    log.write(vec![put("/d", "kept: detached by a put without lease")]).unwrap();
    assert_eq!(log.state.next_lease_end_ms(), Some(1050));
    let early = log.entry(Entry::Tick { log_time_ms: 1049 }).unwrap();
    assert!(matches!(early, Answer::Ticked { expired: 0, .. }));
    log.entry(Entry::LeaseRefresh { lease: lease(2) }).unwrap();
    let due = log.entry(Entry::Tick { log_time_ms: 1060 }).unwrap();
    let revision = Revision::new(7);
    assert_eq!(due, Answer::Ticked { expired: 1, deleted: 2, more: false, revision });
    assert!(log.state.get(b"/a").is_none() && log.state.get(b"/b").is_none());
    assert!(log.state.get(b"/c").is_some() && log.state.get(b"/d").is_some());
    log.entry(Entry::Tick { log_time_ms: 1 }).unwrap();
    assert_eq!(log.state.log_time_ms(), 1060, "log time never goes back");
    let revoked = log.entry(Entry::LeaseRevoke { lease: lease(2) }).unwrap();
    assert_eq!(revoked, Answer::LeaseRevoked { deleted: 1, revision: Revision::new(8) });
    assert!(log.entry(Entry::LeaseRevoke { lease: lease(2) }).is_err());
    assert!(log.entry(Entry::LeaseRefresh { lease: lease(1) }).is_err());
}

#[test]
fn one_tick_deletes_a_bounded_number_of_keys() {
    let mut log = Log::new();
    let per_lease = 1000;
    for id in 1..=10 {
        log.entry(Entry::LeaseGrant { lease: lease(id), ttl_ms: 5 }).unwrap();
        let keys = (0..per_lease).map(|number| put_on(&format!("/{id}/{number}"), id));
        log.write(keys.collect()).unwrap();
    }
    let answer = log.entry(Entry::Tick { log_time_ms: 100 }).unwrap();
    assert!(matches!(answer, Answer::Ticked { expired: 5, deleted: 5000, more: true, .. }), "{answer:?}");
    let answer = log.entry(Entry::Tick { log_time_ms: 100 }).unwrap();
    assert!(matches!(answer, Answer::Ticked { expired: 5, deleted: 5000, more: false, .. }), "{answer:?}");
    assert_eq!(log.state.sizes().objects, 0);
}

#[test]
fn a_lease_holds_a_bounded_number_of_keys() {
    let mut log = Log::new();
    log.entry(Entry::LeaseGrant { lease: lease(1), ttl_ms: 5 }).unwrap();
    for batch in 0..4 {
        log.write((0..1024).map(|number| put_on(&format!("/{batch}/{number}"), 1)).collect()).unwrap();
    }
    assert_eq!(log.state.lease_key_count(lease(1)), LEASE_KEYS_MAX);
    let full = log.write(vec![put_on("/one-more", 1)]);
    assert_eq!(full, Err(Refusal::LeaseFull { lease: lease(1), keys: 4097 }));
    assert!(log.write(vec![put_on("/0/0", 1)]).is_ok(), "a key that it holds already");
}

#[test]
fn a_full_store_refuses_growth_but_never_deletes() {
    let mut log = Log::new();
    let one = OBJECT_OVERHEAD_BYTES + 2 + 10;
    let limits = Limits { space_bytes: 3 * one, reserve_bytes: one, ..Limits::default() };
    log.entry(Entry::Configure(limits)).unwrap();
    for key in ["/a", "/b", "/c"] {
        log.write(vec![put(key, "0123456789")]).unwrap();
    }
    let refused = log.write(vec![put("/d", "0123456789")]);
    let growth_bytes = one;
    let no_space = Refusal::NoSpace { live_bytes: 3 * one, growth_bytes, limit_bytes: 3 * one };
    assert_eq!(refused, Err(no_space));
    assert_eq!(refused.unwrap_err().retry(), Retry::Later);
    assert!(log.write(vec![put("/a", "0123456789a")]).is_err(), "growing an object grows the store");
    assert!(log.write(vec![put("/a", "9876543210")]).is_ok(), "an equal size does not");
    // Marks for deletion may use the reserve.
    let mark = Transaction { operations: vec![put("/a", "0123456789 deleting")], ..Transaction::default() };
    let reserved = Transaction { room: Room::Reserved, ..mark.clone() };
    assert!(log.entry(Entry::Transaction(mark)).is_err());
    assert!(log.entry(Entry::Transaction(reserved)).is_ok());
    assert!(log.state.sizes().live_bytes > 3 * one);
    assert!(log.write(vec![delete("/a"), put("/e", "0123456789")]).is_ok(), "it frees more than it takes");
    assert!(log.entry(Entry::Compact { revision: log.state.revision() }).is_ok());
    for key in ["/b", "/c", "/e"] {
        assert!(log.write(vec![delete(key)]).is_ok());
    }
    assert_eq!(log.state.sizes().live_bytes, 0);
}

#[test]
fn history_is_bounded_by_count_and_bytes_and_its_size_is_true() {
    let mut log = Log::new();
    let limits = Limits { history_changes: 10, history_bytes: 5000, ..Limits::default() };
    log.entry(Entry::Configure(limits)).unwrap();
    for _ in 0..100 {
        log.write(vec![put("/a", "0123456789")]).unwrap();
    }
    assert_eq!(log.state.sizes().history_changes, 10);
    assert_eq!(log.state.compacted().get(), 90);
    let kilobyte: &'static str = Box::leak("x".repeat(1000).into_boxed_str());
    for _ in 0..20 {
        log.write(vec![put("/a", kilobyte)]).unwrap();
    }
    let change = CHANGE_OVERHEAD_BYTES + OBJECT_OVERHEAD_BYTES + 2 + 1000;
    assert_eq!(log.state.sizes().history_changes, 3);
    assert_eq!(log.state.sizes().history_bytes, 3 * change);
    log.entry(Entry::Compact { revision: log.state.revision() }).unwrap();
    assert_eq!((log.state.sizes().history_changes, log.state.sizes().history_bytes), (0, 0));
    assert_eq!(log.state.get(b"/a").unwrap().mod_revision().get(), 120, "compaction keeps what is live");
}

#[test]
fn compaction_and_bump_say_where_they_stand() {
    let mut log = Log::new();
    (0..5).for_each(|_| drop(log.write(vec![put("/a", "1")])));
    let revision = Revision::new;
    let future = log.entry(Entry::Compact { revision: revision(6) });
    assert_eq!(future, Err(Refusal::CompactFuture { revision: revision(6), current: revision(5) }));
    log.entry(Entry::Compact { revision: revision(3) }).unwrap();
    let again = log.entry(Entry::Compact { revision: revision(3) });
    assert_eq!(again, Err(Refusal::AlreadyCompacted { compacted: revision(3) }));
    let bumped = log.entry(Entry::Bump { floor: revision(1000) });
    assert_eq!(bumped, Ok(Answer::Bumped { revision: revision(1000) }));
    for old in [5, 999] {
        let fooled = log.state.get_at(b"/a", revision(old));
        assert!(matches!(fooled, Err(ReadError::Compacted { .. })), "revision {old} is of the lost timeline");
    }
    assert_eq!(log.state.get_at(b"/a", revision(1000)).unwrap().unwrap().mod_revision(), revision(5));
    log.write(vec![put("/a", "2")]).unwrap();
    assert_eq!(log.state.revision(), revision(1001));
    assert_eq!(
        log.entry(Entry::Bump { floor: revision(7) }),
        Ok(Answer::Bumped { revision: revision(1001) })
    );
    let too_far = log.entry(Entry::Bump { floor: revision(u64::MAX) });
    assert!(matches!(too_far, Err(Refusal::BumpTooFar { .. })));
}

#[test]
fn hostile_sizes_are_refused_by_name() {
    let mut log = Log::new();
    let refused = |log: &mut Log, operations| log.write(operations).unwrap_err();
    assert_eq!(refused(&mut log, vec![put("", "")]), Refusal::EmptyKey);
    let long = "k".repeat(KEY_BYTES_MAX + 1);
    assert_eq!(refused(&mut log, vec![delete(&long)]), Refusal::KeyTooLong { key_bytes: KEY_BYTES_MAX + 1 });
    let huge = Bytes::from(vec![0; VALUE_BYTES_MAX + 1]);
    let operation = Operation::Put { key: "/a".into(), value: huge.clone(), lease: None };
    let value_bytes = VALUE_BYTES_MAX + 1;
    assert_eq!(refused(&mut log, vec![operation]), Refusal::ValueTooLarge { key: "/a".into(), value_bytes });
    let large = huge.slice(..VALUE_BYTES_MAX);
    let three =
        ["/a", "/b", "/c"].map(|key| Operation::Put { key: key.into(), value: large.clone(), lease: None });
    assert!(matches!(refused(&mut log, three.to_vec()), Refusal::TransactionTooLarge { .. }));
    let many = |count: usize| (0..count).map(|number| put(&format!("/{number}"), "")).collect::<Vec<_>>();
    let operations = OPERATIONS_MAX + 1;
    assert_eq!(refused(&mut log, many(operations)), Refusal::TooManyOperations { operations });
    assert_eq!(
        refused(&mut log, vec![put("/a", ""), delete("/a")]),
        Refusal::DuplicateKey { key: "/a".into() }
    );
    let guards = vec![Guard::Absent("/a".into()); GUARDS_MAX + 1];
    let too_many = log.apply(Proposal::transaction(guards, vec![])).unwrap_err();
    assert_eq!(too_many, Refusal::TooManyGuards { guards: GUARDS_MAX + 1 });
    let ttl = log.entry(Entry::LeaseGrant { lease: lease(1), ttl_ms: 0 });
    assert_eq!(ttl, Err(Refusal::LeaseTtl { ttl_ms: 0 }));
    assert_eq!(log.state.revision(), Revision::ZERO);
    assert!(log.write(many(OPERATIONS_MAX)).is_ok(), "the limit itself passes");
    let key = "k".repeat(KEY_BYTES_MAX);
    let operation = Operation::Put { key: key.as_str().into(), value: large, lease: None };
    assert!(log.write(vec![operation]).is_ok(), "the limit itself passes");
}

#[test]
fn a_stored_value_pins_no_larger_buffer() {
    let mut log = Log::new();
    let frame = Bytes::from(vec![7; 1 << 20]);
    let operation = Operation::Put { key: "/a".into(), value: frame.slice(10..20), lease: None };
    log.write(vec![operation]).unwrap();
    assert_ne!(log.state.get(b"/a").unwrap().value().as_ptr(), frame.slice(10..20).as_ptr());
    assert!(frame.try_into_mut().is_ok(), "nobody else holds the frame");
}

#[test]
fn the_hash_tells_a_lost_an_extra_and_a_changed_object() {
    let mut log = Log::new();
    log.write(vec![put("/a", "1"), put("/b", "2")]).unwrap();
    let whole = log.state.hash();
    let removed = log.state.keyspace.remove(b"/a").unwrap();
    assert_eq!(log.state.recompute_hash().difference(&whole), Some("live objects"));
    log.state.keyspace.insert(removed.clone());
    assert_eq!(log.state.recompute_hash(), whole);
    let (create, modified) = (removed.create_revision(), removed.mod_revision());
    for (value, version, lease) in [("1", 2, None), ("x", 1, None), ("1", 1, Some(lease(1)))] {
        let changed = Object::new("/a".into(), value.as_bytes(), create, modified, version, lease);
        log.state.keyspace.insert(changed.into());
        assert_eq!(log.state.recompute_hash().difference(&whole), Some("live objects"), "{value} {version}");
    }
    log.state.keyspace.insert(removed);
    log.state.keyspace.insert(Object::new("/c".into(), b"", create, modified, 1, None).into());
    assert_eq!(log.state.recompute_hash().difference(&whole), Some("live objects"));
}

#[test]
fn hashes_of_past_indexes_are_known_and_a_planted_divergence_shows() {
    let mut log = Log::new();
    let mut other = Log::new();
    let mut hashes = vec![log.state.hash()];
    for number in 1..=3 * CHECKPOINT_ENTRIES + 5 {
        let write = Proposal::transaction(vec![], vec![put(&format!("/{}", number % 7), "x")]);
        log.apply(write.clone()).unwrap();
        other.apply(write).unwrap();
        hashes.push(log.state.hash());
    }
    for (index, hash) in (0..).zip(&hashes) {
        let known = index == log.state.applied_index() || (index > 0 && index % CHECKPOINT_ENTRIES == 0);
        assert_eq!(log.state.hash_at(index), known.then_some(*hash), "{index}");
    }
    assert_eq!(log.state.last_checkpoint().map(|hash| hash.index), Some(3 * CHECKPOINT_ENTRIES));
    assert!(other.state.plant_divergence());
    assert_eq!(log.state.hash().difference(&other.state.hash()), Some("live objects"));
    assert_eq!(other.state.hash(), other.state.recompute_hash(), "the sums follow the content");
    assert!(!State::new().plant_divergence(), "nothing to change");
}

#[test]
fn limits_under_which_nothing_works_are_named() {
    assert_eq!(Limits::default().check(), Ok(()));
    let refused = Limits { history_changes: 0, ..Limits::default() }.check().unwrap_err();
    assert!(refused.to_string().contains("history_changes cannot be 0"), "{refused}");
    assert_eq!(refused.retry(), Retry::Never);
}

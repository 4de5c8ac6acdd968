//! Repeated proposals: carried out once, whatever arrives when.

use bytes::Bytes;

use crate::sessions::Bounds;
use crate::*;

fn put(key: &str) -> Proposal {
    let operation = Operation::Put { key: key.into(), value: Bytes::from_static(b"v"), lease: None };
    Proposal::transaction(vec![], vec![operation])
}

fn request(client: u128, born: u64, sequence: u64, acknowledged: u64) -> RequestId {
    RequestId { client: ClientId(client), born, sequence, acknowledged }
}

struct Log {
    state: State,
    delta: Delta,
}

impl Log {
    fn new(bounds: Bounds) -> Self {
        let mut state = State::new();
        state.sessions.set_bounds(bounds);
        Self { state, delta: Delta::new() }
    }

    fn apply(&mut self, proposal: Proposal) -> Outcome {
        let outcome =
            self.state.apply(self.state.applied_index() + 1, 1, &proposal, &mut self.delta).unwrap();
        assert_eq!(self.state.hash(), self.state.recompute_hash());
        outcome
    }
}

#[test]
fn a_repeated_request_gets_the_recorded_outcome_and_changes_nothing() {
    let mut log = Log::new(Bounds::default());
    let first = log.apply(put("/a").with_request(request(1, 0, 1, 0)));
    assert!(first.is_ok());
    let before = (log.state.revision(), log.state.meta().objects_hash);
    // Also when its fence is over by now.
    log.apply(Proposal::new(Entry::Noop).with_fence(9)).unwrap();
    assert_eq!(log.apply(put("/a").with_request(request(1, 0, 1, 0)).with_fence(1)), first);
    assert_eq!((log.state.revision(), log.state.meta().objects_hash), before);
}

#[test]
fn a_delayed_copy_of_a_refused_request_is_still_refused() {
    let mut log = Log::new(Bounds::default());
    let guarded = Proposal::transaction(
        vec![Guard::Present("/a".into())],
        vec![Operation::Put { key: "/b".into(), value: Bytes::new(), lease: None }],
    )
    .with_request(request(1, 0, 1, 0));
    let refused = log.apply(guarded.clone());
    assert!(matches!(refused, Err(Refusal::GuardFailed { .. })));
    log.apply(put("/a")).unwrap();
    assert_eq!(log.apply(guarded), refused, "its client was told that it failed");
    assert!(log.state.get(b"/b").is_none());
}

#[test]
fn requests_may_arrive_out_of_order() {
    let mut log = Log::new(Bounds::default());
    for sequence in [5, 3, 4] {
        assert!(log.apply(put("/a").with_request(request(1, 0, sequence, 2))).is_ok());
    }
    assert_eq!(log.state.revision().get(), 3);
    let forgotten = log.apply(put("/a").with_request(request(1, 0, 2, 0)));
    assert_eq!(forgotten, Err(Refusal::OutcomeForgotten { sequence: 2, floor: 2 }));
}

#[test]
fn a_full_window_forgets_the_oldest_sequences_by_name() {
    let mut log = Log::new(Bounds { outcomes: 100, window: 4 });
    for sequence in 1..=6 {
        log.apply(put("/a").with_request(request(1, 0, sequence, 0))).unwrap();
    }
    assert_eq!(log.state.sizes().outcomes, 4);
    let forgotten = log.apply(put("/a").with_request(request(1, 0, 2, 0)));
    assert_eq!(forgotten, Err(Refusal::OutcomeForgotten { sequence: 2, floor: 2 }));
    assert_eq!(log.state.revision().get(), 6);
}

#[test]
fn an_evicted_client_is_told_and_a_new_one_is_not_mistaken_for_it() {
    let mut log = Log::new(Bounds { outcomes: 3, window: 3 });
    log.apply(put("/a").with_request(request(1, 0, 1, 0))).unwrap();
    for client in 2..=4 {
        let born = log.state.applied_index();
        log.apply(put("/a").with_request(request(client, born, 1, 0))).unwrap();
    }
    assert_eq!(log.state.sizes().outcomes, 3);
    let revision = log.state.revision();
    let expired = log.apply(put("/a").with_request(request(1, 0, 1, 0)));
    assert_eq!(expired, Err(Refusal::SessionExpired { born: 0, horizon: 1 }));
    assert_eq!(expired.unwrap_err().retry(), Retry::Unknown);
    assert_eq!(log.state.revision(), revision);
    assert!(log.apply(put("/a").with_request(request(9, 1, 1, 0))).is_ok());
    let future = log.apply(put("/a").with_request(request(10, 99, 1, 0)));
    assert!(matches!(future, Err(Refusal::RequestFromFuture { born: 99, .. })));
}

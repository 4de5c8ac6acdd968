//! [`RequestIds`]: names for proposals, so that each applies once however often it is sent.

use std::collections::BTreeSet;

use parking_lot::Mutex;
use trireme_mvcc::{ClientId, RequestId};

/// The ids of one process. Its window of outstanding proposals is bounded by the state machine.
#[derive(Debug)]
pub struct RequestIds {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    client: ClientId,
    born: u64,
    last: u64,
    outstanding: BTreeSet<u64>,
}

impl RequestIds {
    /// A new client, born at an applied log index; `client` is random.
    pub fn new(client: u128, born: u64) -> Self {
        let inner = Inner { client: ClientId(client), born, last: 0, outstanding: BTreeSet::new() };
        Self { inner: Mutex::new(inner) }
    }

    /// The id of the next proposal; outstanding until [`RequestIds::done`].
    pub fn next(&self) -> RequestId {
        let mut inner = self.inner.lock();
        inner.last += 1;
        let sequence = inner.last;
        inner.outstanding.insert(sequence);
        let oldest = inner.outstanding.first().copied().unwrap_or(sequence);
        RequestId { client: inner.client, born: inner.born, sequence, acknowledged: oldest - 1 }
    }

    /// The proposal was answered, or is never sent again.
    pub fn done(&self, id: &RequestId) {
        let mut inner = self.inner.lock();
        if inner.client == id.client {
            inner.outstanding.remove(&id.sequence);
        }
    }

    /// Begins as another client: the state machine has forgotten this one.
    pub fn renew(&self, client: u128, born: u64) {
        let mut inner = self.inner.lock();
        *inner = Inner { client: ClientId(client), born, last: 0, outstanding: BTreeSet::new() };
    }
}

/// A proposal on its way. Dropped once it is answered, or when its client leaves: it is never sent again then.
#[derive(Debug)]
pub(super) struct OpenRequest<'a> {
    /// Its name.
    pub(super) id: RequestId,
    ids: &'a RequestIds,
}

impl<'a> OpenRequest<'a> {
    /// The next proposal of `ids`.
    pub(super) fn new(ids: &'a RequestIds) -> Self {
        Self { id: ids.next(), ids }
    }
}

impl Drop for OpenRequest<'_> {
    fn drop(&mut self) {
        self.ids.done(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client that left in the middle of its write kept every later outcome in the state machine for ever.
    #[test]
    fn a_write_that_is_given_up_is_acknowledged() {
        let ids = RequestIds::new(1, 5);
        {
            let _given_up = OpenRequest::new(&ids);
        }
        let next = OpenRequest::new(&ids);
        assert_eq!((next.id.sequence, next.id.acknowledged), (2, 1));
    }

    #[test]
    fn only_what_nobody_waits_for_is_acknowledged() {
        let ids = RequestIds::new(1, 5);
        let (first, second) = (ids.next(), ids.next());
        assert_eq!((first.sequence, first.acknowledged), (1, 0));
        assert_eq!((second.sequence, second.acknowledged), (2, 0));
        ids.done(&second);
        assert_eq!(ids.next().acknowledged, 0, "the first is outstanding");
        ids.done(&first);
        assert_eq!(ids.next().acknowledged, 2, "the third is outstanding");
    }
}

//! Leases: granted, kept alive or let go, with keys that go with them. A key whose lease was acknowledged to be
//! revoked must not be read again; that no key outlives its lease is looked at in every member's state.

use trireme_mvcc::{Entry, Key, LeaseId, Operation, Proposal};

use super::outcome::Told;
use super::{Client, value};

/// Time to live, in milliseconds of log time.
const TTL_MS: u64 = 1_000;

/// Works until the bell rings.
pub(crate) async fn run(mut client: Client) {
    while !client.bell.rang() {
        round(&mut client).await;
        client.pace().await;
    }
}

async fn round(client: &mut Client) {
    let number = client.recorder.value();
    let lease = LeaseId::new(number).expect("values count from 1");
    let grant = Proposal::new(Entry::LeaseGrant { lease, ttl_ms: TTL_MS });
    if !matches!(client.propose(grant).await.1, Told::Done(_)) {
        return;
    }
    let key = Key::from(format!("e/{}", client.rng.below(4)).as_str());
    let put = Operation::Put { key: key.clone(), value: value::encode(number), lease: Some(lease) };
    let (_, told) = client.propose(Proposal::transaction(vec![], vec![put])).await;
    if !matches!(told, Told::Done(_)) {
        return;
    }
    client.pace().await;
    match client.rng.below(3) {
        // It ends by itself.
        0 => {}
        1 => drop(client.propose(Proposal::new(Entry::LeaseRefresh { lease })).await),
        _ => {
            let (_, told) = client.propose(Proposal::new(Entry::LeaseRevoke { lease })).await;
            if !matches!(told, Told::Done(_)) {
                return;
            }
            let alive = client.read(move |state| {
                let held = state.get(&key).and_then(|object| object.lease());
                held == Some(lease) || state.lease(lease).is_some()
            });
            if alive.await == Some(true) {
                client
                    .recorder
                    .wrong(format!("lease {lease} lives on after its revocation was acknowledged"));
            }
        }
    }
}

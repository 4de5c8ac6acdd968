//! Machines coming and going, as a complete account: what a slow listener missed is made up for.

use std::collections::BTreeSet;
use std::future::Future;

use tokio::sync::broadcast::error::RecvError;
use trireme_bus::{Bus, Liveness, PeerIdentity};
use trireme_pki::IdentityName;

/// A change in which machines there is a connection to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PeerChange {
    /// Connected, at first or again.
    Up(IdentityName),
    /// No longer connected.
    Down(IdentityName),
}

/// Tells `to` of every machine that is connected now, and of every change from now on. Ends with the bus.
pub(crate) async fn follow<F>(bus: Bus, to: impl Fn(PeerChange) -> F)
where
    F: Future<Output = ()>,
{
    let mut events = bus.events();
    let mut up = BTreeSet::new();
    catch_up(&bus, &mut up, &to).await;
    loop {
        match events.recv().await {
            Ok(event) => match (machine_name(&event.peer), event.liveness) {
                (Some(name), Liveness::Up) => {
                    up.insert(name.clone());
                    to(PeerChange::Up(name)).await;
                }
                // One session of several may have ended; whether the machine is gone is for the table to say.
                (Some(_), Liveness::Down) => catch_up(&bus, &mut up, &to).await,
                _ => {}
            },
            Err(RecvError::Lagged(_)) => catch_up(&bus, &mut up, &to).await,
            Err(RecvError::Closed) => return,
        }
    }
}

async fn catch_up<F>(bus: &Bus, up: &mut BTreeSet<IdentityName>, to: &impl Fn(PeerChange) -> F)
where
    F: Future<Output = ()>,
{
    let now: BTreeSet<IdentityName> =
        bus.peers().iter().filter_map(|report| machine_name(&report.peer)).collect();
    for name in up.difference(&now) {
        to(PeerChange::Down(name.clone())).await;
    }
    for name in now.difference(up) {
        to(PeerChange::Up(name.clone())).await;
    }
    *up = now;
}

fn machine_name(peer: &PeerIdentity) -> Option<IdentityName> {
    peer.is_machine().then(|| IdentityName::new(peer.kind, &peer.name).ok()).flatten()
}

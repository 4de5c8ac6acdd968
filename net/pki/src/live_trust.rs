//! The ledger as handshakes see it: shared, swapped whole, read without waiting for writers' work.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

use crate::peer_certificate::PeerCertificate;
use crate::peer_refused::PeerRefused;
use crate::trust_ledger::{LedgerError, Revocation, TrustLedger};

/// A cheap handle on the current [`TrustLedger`]. Verifiers read it at every handshake, so a withdrawal counts for
/// the next one; connections that stand are rechecked by their owner when [`LiveTrust::generation`] has moved.
#[derive(Clone, Debug, Default)]
pub struct LiveTrust(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    ledger: RwLock<Arc<TrustLedger>>,
    generation: AtomicU64,
}

impl LiveTrust {
    /// Starts from a stored ledger.
    pub fn new(ledger: TrustLedger) -> Self {
        let live = Self::default();
        live.replace(ledger);
        live
    }

    /// The current ledger.
    pub fn ledger(&self) -> Arc<TrustLedger> {
        self.0.ledger.read().clone()
    }

    /// Counts changes. Monotonic.
    pub fn generation(&self) -> u64 {
        self.0.generation.load(Ordering::Acquire)
    }

    /// Sets the ledger to what the cluster's state says.
    pub fn replace(&self, ledger: TrustLedger) {
        let mut slot = self.0.ledger.write();
        if **slot != ledger {
            *slot = Arc::new(ledger);
            self.0.generation.fetch_add(1, Ordering::Release);
        }
    }

    /// Takes in another copy. `Ok(true)` when something changed.
    pub fn merge(&self, other: &TrustLedger) -> Result<bool, LedgerError> {
        let mut slot = self.0.ledger.write();
        let mut next = TrustLedger::clone(&slot);
        let changed = next.merge(other)?;
        if changed {
            *slot = Arc::new(next);
            self.0.generation.fetch_add(1, Ordering::Release);
        }
        Ok(changed)
    }

    /// Changes the ledger under the lock; a refused change leaves it as it was.
    pub fn update<T, E>(&self, edit: impl FnOnce(&mut TrustLedger) -> Result<T, E>) -> Result<T, E> {
        let mut slot = self.0.ledger.write();
        let mut next = TrustLedger::clone(&slot);
        let outcome = edit(&mut next)?;
        if next != **slot {
            *slot = Arc::new(next);
            self.0.generation.fetch_add(1, Ordering::Release);
        }
        Ok(outcome)
    }

    /// Refuses a certificate that was withdrawn. For standing connections after a change of generation; handshakes
    /// run it by themselves.
    pub fn recheck(&self, peer: &PeerCertificate) -> Result<(), PeerRefused> {
        let ledger = self.ledger();
        match ledger.is_revoked(&peer.identity, &peer.serial, peer.not_before) {
            None => Ok(()),
            Some(Revocation::Certificate { serial }) => {
                Err(PeerRefused::CertificateRevoked { identity: peer.identity.clone(), serial })
            }
            Some(Revocation::Identity { issued_before, .. }) => Err(PeerRefused::IdentityRevoked {
                identity: peer.identity.clone(),
                serial: peer.serial.clone(),
                issued_before,
            }),
        }
    }
}

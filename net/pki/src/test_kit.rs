//! Shared by this crate's tests: a cluster on a shelf, a settable clock, a deterministic generator.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustls::time_provider::TimeProvider;
use rustls_pki_types::UnixTime;

use crate::{
    ClusterAuthority, ClusterId, Credentials, Identity, IssuedCertificate, KeyRequest, SigningOrder, WallTime,
};

pub(crate) const NOW: WallTime = WallTime::from_unix_seconds(1_800_000_000);
pub(crate) const DAY: Duration = Duration::from_secs(86_400);

pub(crate) fn cluster() -> ClusterId {
    ClusterId::new("c1").unwrap()
}

pub(crate) fn authority() -> ClusterAuthority {
    ClusterAuthority::create(&cluster(), NOW).unwrap()
}

pub(crate) fn order<'a>(key: &'a KeyRequest, identity: &'a Identity, now: WallTime) -> SigningOrder<'a> {
    SigningOrder {
        request_der: key.request_der(),
        identity,
        alt_names: &[],
        lifetime: DAY,
        now,
        not_before_floor: None,
    }
}

pub(crate) fn issue(
    authority: &ClusterAuthority,
    identity: &Identity,
    now: WallTime,
) -> (KeyRequest, IssuedCertificate) {
    let key = KeyRequest::generate().unwrap();
    let issued = authority.sign_request(&order(&key, identity, now)).unwrap();
    (key, issued)
}

pub(crate) fn credentials(
    authority: &ClusterAuthority,
    identity: &Identity,
    now: WallTime,
) -> Arc<Credentials> {
    let (key, issued) = issue(authority, identity, now);
    Arc::new(Credentials::new(&key, &issued.chain).unwrap())
}

/// A clock that a test sets.
#[derive(Debug)]
pub(crate) struct TestClock(AtomicU64);

impl TestClock {
    pub(crate) fn at(now: WallTime) -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(now.unix_seconds())))
    }

    pub(crate) fn set(&self, now: WallTime) {
        self.0.store(now.unix_seconds(), Ordering::SeqCst);
    }
}

impl TimeProvider for TestClock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(self.0.load(Ordering::SeqCst))))
    }
}

/// SplitMix64: small, seeded, the same everywhere.
pub(crate) struct Seeded(u64);

impl Seeded {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(limit).unwrap()).unwrap()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    /// Changes 1 to 8 places: flips, overwrites, cuts, doubled pieces.
    pub(crate) fn mutate(&mut self, original: &[u8]) -> Vec<u8> {
        let mut bytes = original.to_vec();
        for _ in 0..=self.below(8) {
            if bytes.is_empty() {
                break;
            }
            let at = self.below(bytes.len());
            match self.below(6) {
                0 => bytes[at] ^= 1 << self.below(8),
                1 | 2 => bytes[at] = self.byte(),
                3 => bytes.truncate(at),
                4 => bytes.insert(at, self.byte()),
                _ => {
                    let end = (at + self.below(32)).min(bytes.len());
                    let piece = bytes[at..end].to_vec();
                    bytes.splice(at..at, piece);
                }
            }
        }
        bytes
    }
}

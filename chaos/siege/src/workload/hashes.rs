//! The state hashes of all members, taken as often as it is cheap; equal indexes meet by number.

use std::time::Duration;

use trireme_laws::Record;
use trireme_laws::state_hash::HashSample;
use trireme_mvcc::StateHash;
use trireme_store::calls::GetStateHash;

use super::Bell;
use crate::link::Link;
use crate::recorder::Recorder;

/// Pause between two rounds.
const PACE: Duration = Duration::from_millis(25);
/// How long one member may take; a round waits for the slowest.
const DEADLINE: Duration = Duration::from_millis(300);

/// Works until the bell rings.
pub(crate) async fn run(recorder: Recorder, bell: Bell, link: Link, member: u64) {
    while !bell.rang() {
        if let Ok(hash) = link.call("store", &GetStateHash { at_least: 0 }, DEADLINE).await {
            push(&recorder, member, &hash);
        }
        tokio::time::sleep(PACE).await;
    }
}

/// Records one sample.
pub(crate) fn push(recorder: &Recorder, member: u64, hash: &StateHash) {
    let at = recorder.clock.now();
    recorder.push(Record::Hash(HashSample { member, at, index: hash.index, hash: fold(hash) }));
}

/// All parts in 64 bits. Rotations keep equal changes in two parts from cancelling out.
pub(crate) fn fold(hash: &StateHash) -> u64 {
    let parts = [hash.objects, hash.history, hash.leases, hash.sessions, hash.counters];
    let all = parts.iter().fold(0_u128, |sum, part| sum.rotate_left(29) ^ part);
    let bytes = all.to_be_bytes();
    let (high, low) = bytes.split_at(8);
    let half = |half: &[u8]| u64::from_be_bytes(half.try_into().expect("half of 16 bytes"));
    half(high).rotate_left(7) ^ half(low)
}

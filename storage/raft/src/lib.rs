//! trireme-raft

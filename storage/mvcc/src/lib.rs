//! trireme-mvcc

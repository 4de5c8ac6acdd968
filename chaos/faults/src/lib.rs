//! trireme-faults

//! trireme-kernel

//! trireme-pki

//! trireme-laws

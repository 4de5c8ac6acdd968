//! The bus over real loopback sockets, with a certificate authority made by the test.
// Test modules share freely, and panic where a test fails.
#![allow(unreachable_pub, clippy::unwrap_used, clippy::cast_possible_truncation)]

mod board;
mod calls;
mod faults;
mod hostile;
mod joins;
mod kit;
mod links;
mod raw;
mod streams;
mod subscriptions;

//! Benchmarks of the state machine.
fn main() {}

//! Benchmarks of the hot paths; filled in `main` below.
fn main() {}

//! Prints the resident memory of 100,000 objects of 1 KiB, right after loading and after as many updates as fill
//! the bounded history. The bound to keep: well below 300 MiB.
#![allow(clippy::print_stdout, reason = "prints its measurement")]

use std::sync::Arc;

use bytes::Bytes;
use trireme_mvcc::*;

const OBJECTS: u64 = 100_000;

fn main() {
    let start = resident_bytes();
    let mut state = State::new();
    println!("{:<44} {:>8}", "", "MiB");
    let report = |what: &str, state: &State| {
        let mib = (resident_bytes() - start) as f64 / f64::from(1 << 20);
        let sizes = state.sizes();
        println!("{what:<44} {mib:>8.1}   {sizes:?}");
    };
    write_all(&mut state, 0);
    report("100,000 objects of 1 KiB, created", &state);
    (1..6).for_each(|round| write_all(&mut state, round));
    report("after 500,000 updates, history full", &state);
    let snapshot = Arc::new(state.snapshot());
    let streamed: usize = snapshot.chunks(256 * 1024).map(|chunk| chunk.len()).sum();
    report("with a frozen snapshot, streamed once", &state);
    write_all(&mut state, 7);
    report("frozen snapshot held during 100,000 updates", &state);
    drop(snapshot);
    println!("snapshot stream: {:.1} MiB, hash {}", streamed as f64 / f64::from(1 << 20), state.hash());
}

fn write_all(state: &mut State, round: u64) {
    for number in 0..OBJECTS {
        let key = Key::new(format!("/registry/pods/namespace-{}/pod-{number:06}-7d4b9c6f5d", number % 100));
        // A slice of a larger frame, as it comes from the log.
        let frame = Bytes::from(vec![(round % 251).try_into().expect("small"); 1100]);
        let operation = Operation::Put { key, value: frame.slice(..1024), lease: None };
        let index = state.applied_index() + 1;
        let proposal = Proposal::transaction(vec![], vec![operation]);
        state.apply(index, 1, &proposal, &mut Delta::new()).expect("next entry").expect("committed");
    }
}

/// Resident set size from the kernel's account of this process.
fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux tells it");
    let pages = statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.expect("the second number counts resident pages") * 4096
}

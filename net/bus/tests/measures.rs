//! Prints what the benchmark measures, in short. Figures do not gate: machines differ.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss
)]

#[path = "bus/board.rs"]
mod board;
#[path = "bus/kit.rs"]
mod kit;
#[path = "../benches/measure/mod.rs"]
mod measure;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prints_the_figures() {
    for line in measure::promises(20_000, 300, 100).await {
        println!("{line}");
    }
}

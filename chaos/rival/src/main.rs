//! `rival`: the replicated store beside etcd's, on the same machine, the same disk, under the same load.
//!
//! Real processes only: `trireme server`s of the release build behind the bus client that every caller uses, and
//! Debian's `etcd` behind its gRPC interface. One process makes the load for both, with as many connections and
//! tasks for one as for the other; rounds alternate, and the median of the rounds counts.
//!
//! - `compare`: the table of ratios.
//! - `capacity`: 100,000 objects of 1 KiB: memory, restart, a new member.
//! - `rest`: what a cluster costs that nobody asks for anything.
//! - `stall`: writes while one member's disk hangs.
//!
//! etcd runs without TLS, our bus always with mutual TLS: that favours etcd, and is how each comes.

mod capacity;
mod command;
mod compare;
mod etcd;
mod figures;
mod load;
mod ours;
mod program;
mod rest;
mod stall;
mod system;
mod table;
mod watching;

use std::process::ExitCode;

use clap::Parser;

use crate::command::Command;

fn main() -> ExitCode {
    let command = Command::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let result = runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(command.run()));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "a command says why it failed")]
            {
                eprintln!("rival: {error:#}");
            }
            ExitCode::FAILURE
        }
    }
}

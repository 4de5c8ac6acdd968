//! The binary: command line and composition root. Business rules live in the crates below it.

mod actors;
mod api;
mod api_args;
mod chaos;
mod cli;
mod connect;
mod data_dir;
mod durations;
mod explain;
mod hollow;
mod launcher;
mod log;
mod machine;
mod membership;
mod permissions;
mod progress;
mod raft;
mod revoke;
mod siege;
mod signals;
mod token;
mod up;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};

/// Exit codes: 0 done, 1 failed, 2 wrong usage (clap's own).
fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            progress::say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> anyhow::Result<()> {
    match &cli.command {
        Command::Up(args) => up::run(args, &cli.log, cli.log_format),
        Command::Server(args) => {
            log::start(&cli.log, cli.log_format)?;
            machine::run_server(args)
        }
        Command::Agent(args) => {
            log::start(&cli.log, cli.log_format)?;
            machine::run_agent(args)
        }
        Command::Token(command) => token::run(command),
        Command::Actors(args) => actors::run(args),
        Command::Explain(command) => explain::run(command),
        Command::Kubeconfig(args) => api::print_kubeconfig(args),
        Command::Hollow(args) => {
            log::start(&cli.log, cli.log_format)?;
            hollow::run(args)
        }
        Command::Revoke(args) => revoke::run(args),
        Command::Chaos(command) => chaos::run(command),
        Command::Raft(command) => raft::run(command),
        Command::Kv(command) => raft::run_kv(command),
    }
}

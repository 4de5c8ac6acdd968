//! The binary: command line and composition root. Business rules live in the crates below it.

mod actors;
mod agent_args;
mod api;
mod api_args;
mod chaos;
mod cli;
mod config_file;
mod connect;
mod data_dir;
mod demo;
mod durations;
mod errand;
mod explain;
mod hello;
mod hollow;
mod image;
mod launcher;
mod leading;
mod log;
mod machine;
mod membership;
mod node;
mod permissions;
mod progress;
mod raft;
mod revoke;
mod shim;
mod siege;
mod signals;
mod spaces;
mod token;
mod up;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};

/// Exit codes: 0 done, 1 failed, 2 wrong usage (clap's own).
fn main() -> ExitCode {
    let arguments = match config_file::expand(std::env::args_os().collect()) {
        Ok(arguments) => arguments,
        Err(error) => {
            progress::say(&format!("error: {error:#}"));
            return ExitCode::from(2);
        }
    };
    let cli = Cli::parse_from(arguments);
    match run(&cli) {
        Ok(code) => code,
        Err(error) => {
            progress::say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> anyhow::Result<ExitCode> {
    match &cli.command {
        Command::Kubectl { words } => return kubectl(words),
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
        Command::Image(command) => image::run(command),
        Command::Shim(args) => shim::run(args),
        Command::Hello(args) => hello::run(args),
    }?;
    Ok(ExitCode::SUCCESS)
}

fn kubectl(words: &[String]) -> anyhow::Result<ExitCode> {
    trireme_pki::install_crypto_provider();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let code = runtime.block_on(trireme_kubectl::run(words.to_vec()));
    // A read of the terminal that nobody waits for any more must not hold the command back.
    runtime.shutdown_background();
    Ok(code)
}

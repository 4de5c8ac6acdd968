//! `trireme kubectl`: everyday commands against a cluster, so that nothing else is needed on a machine.
//!
//! Flags, output and exit codes are upstream kubectl's; what is not built is refused by name. Each command is a file of
//! `commands`; what it prints comes from `output`; requests go through [`trireme_client::Rest`].

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command prints")]

mod arguments;
mod catalogue;
mod commands;
mod error;
mod files;
mod kubeconfig;
mod output;
mod parse;
mod session;
mod target;
mod terminal;

use std::process::ExitCode;

pub use error::KubectlError;

/// Runs one command; `arguments` begins with the first word after `kubectl`. Gives the exit code upstream gives.
pub async fn run(arguments: Vec<String>) -> ExitCode {
    let parsed = match parse::parse(arguments) {
        Ok(parsed) => parsed,
        Err(parse::Refused::Help(text)) => {
            print!("{text}");
            return ExitCode::SUCCESS;
        }
        Err(parse::Refused::Wrong(text)) => {
            eprintln!("{text}");
            return ExitCode::FAILURE;
        }
    };
    match Box::pin(commands::run(parsed)).await {
        Ok(code) => code,
        Err(KubectlError::Closed) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

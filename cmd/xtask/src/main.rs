//! The workspace's own tool: `cargo xtask verify | fix | test | mutants`.
//!
//! It only reads the repository and runs cargo; no product crate is linked in. Each check of `verify` is a file in
//! `verify/` with a pure judgement over plain data and a thin reader around it. What the checks enforce is data in
//! dotfiles at the root; `docs/checklists/checks.md` explains each.

#![allow(clippy::print_stdout, reason = "this is a command: printing is its job")]

mod command;
mod fix;
mod golden;
mod mutants;
mod report;
mod source;
mod suite;
mod verify;
mod workspace;

use anyhow::Result;
use clap::builder::styling::{AnsiColor, Styles};
use clap::{Parser, Subcommand};
use std::process::ExitCode;
use workspace::Workspace;

/// Exit code for "the work was done, and what it looked at is not good".
const EXIT_FAILED: u8 = 1;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Yellow.on_default().bold())
    .usage(AnsiColor::Yellow.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Green.on_default());

/// Looks after the workspace: checks it, repairs it, tests it, and tests the tests.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", styles = STYLES, max_term_width = 100)]
#[command(
    after_help = "A change is ready when `cargo xtask fix`, `cargo xtask verify` and `cargo xtask test` \
                        pass.\nThe rules are dotfiles at the root: .layers.toml (crates, arrows, bans), .deny.toml \
                        (licences, advisories), .ratchet.toml (recorded sizes).\n\
                        Exit codes: 0 good, 1 something failed, 2 wrong usage."
)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Check everything that can be checked without running the product; changes nothing
    ///
    /// Every check prints one line and all of them run, even when one fails. A finding names the file, what is
    /// wrong and what to do. SKIPPED means the check could not run here, and says why; it does not fail.
    #[command(after_long_help = verify::list_checks())]
    Verify {
        /// Run only these checks (may be repeated or separated by commas)
        #[arg(long, value_name = "CHECK", value_delimiter = ',', value_parser = verify::names())]
        only: Vec<String>,
    },
    /// Repair what a tool can repair: formatting, clippy's suggestions, ratchet values that got better
    ///
    /// Works on a dirty tree. Recorded sizes only ever go down; raising one is an edit of .ratchet.toml by hand,
    /// so that it shows in review.
    Fix {
        /// Make only these repairs (may be repeated or separated by commas)
        #[arg(long, value_name = "REPAIR", value_delimiter = ',', value_parser = fix::names())]
        only: Vec<String>,
    },
    /// Run the whole test suite: unit, integration and documentation tests, then the planted bugs
    ///
    /// Uses `cargo nextest` where it is installed and plain `cargo test` elsewhere; both run the same tests.
    Test {
        /// Leave out the planted bugs (see `cargo xtask mutants`)
        #[arg(long)]
        no_mutants: bool,
    },
    /// Replay recorded exchanges with a real Kubernetes API server against this one
    ///
    /// Builds the product, starts it, replays the corpus and compares each area with its floor in
    /// .golden-floors.toml. Needs python3. Without a corpus the run is SKIPPED, which does not fail.
    Golden {
        /// Folder of the corpus (also from TRIREME_GOLDEN; usually ../shared/golden)
        #[arg(long, env = "TRIREME_GOLDEN", value_name = "DIR")]
        corpus: Option<std::path::PathBuf>,
        /// Replay only these areas (may be repeated or separated by commas)
        #[arg(long, value_name = "AREA", value_delimiter = ',')]
        area: Vec<String>,
        /// Cases at a time
        #[arg(long, default_value_t = 4, value_name = "N")]
        jobs: u32,
        /// Raise the recorded floors to what was reached
        #[arg(long)]
        record: bool,
    },
    /// Plant known bugs, one at a time, and demand that the tests catch each
    ///
    /// Works on a copy of the tree under target/mutants, never on the tree itself. A bug that the named tests do
    /// not notice SURVIVED, and the command fails: either the test lost its teeth or the code moved.
    Mutants {
        /// Only the entries whose name contains this text (may be repeated)
        #[arg(long, value_name = "NAME")]
        only: Vec<String>,
        /// Print the entries of the list and stop
        #[arg(long)]
        list: bool,
        /// Plant the bugs of cmd/xtask/mutants-siege.toml instead, each of which a siege of real processes must catch
        #[arg(long)]
        siege: bool,
    },
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let workspace = Workspace::locate()?;
    let good = match arguments.task {
        Task::Verify { only } => verify::run(&workspace, &only),
        Task::Fix { only } => fix::run(&workspace, &only)?,
        Task::Golden { corpus, area, jobs, record } => {
            golden::run(&workspace, &golden::Options { corpus, areas: area, jobs, record })?
        }
        Task::Test { no_mutants } => suite::run(&workspace, !no_mutants)?,
        Task::Mutants { only, list, siege } => {
            let file = if siege { mutants::SIEGE_FILE } else { mutants::SPEC_FILE };
            match list {
                true => mutants::list(&workspace, file, &only)?,
                false => mutants::run(&workspace, file, &only, None)?,
            }
        }
    };
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::from(EXIT_FAILED) })
}

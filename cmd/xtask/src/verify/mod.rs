//! `verify`: the checks, in the order they run.

mod advisories;
mod cargo_tools;
mod clippy_bans;
mod duplicates;
mod layers;
mod licences;
mod policy;
mod purity;
mod rooms;
mod size;
mod words;

pub(crate) use clippy_bans::write as write_clippy_bans;
pub(crate) use size::tighten as tighten_ratchet;

use crate::report::{self, Outcome};
use crate::workspace::Workspace;
use anyhow::Result;
use clap::builder::PossibleValuesParser;
use std::fmt::Write as _;
use std::time::Instant;

/// One check.
struct Check {
    name: &'static str,
    about: &'static str,
    run: fn(&Workspace) -> Result<Outcome>,
}

const CHECKS: [Check; 11] = [
    Check { name: "format", about: "every file is as rustfmt writes it", run: cargo_tools::format },
    Check { name: "clippy", about: "no warning from rustc or clippy", run: cargo_tools::clippy },
    Check { name: "layers", about: "crates depend only along the arrows of .layers.toml", run: layers::run },
    Check {
        name: "purity",
        about: "pure crates name no clock, thread, I/O or unordered map",
        run: purity::run,
    },
    Check {
        name: "clippy-bans",
        about: "each pure crate's .clippy.toml has the bans of .layers.toml",
        run: clippy_bans::run,
    },
    Check {
        name: "licences",
        about: "licences and sources of the whole dependency graph",
        run: licences::run,
    },
    Check { name: "duplicates", about: "no new crate in two incompatible versions", run: duplicates::run },
    Check {
        name: "advisories",
        about: "no undecided security advisory (needs cargo-deny)",
        run: advisories::run,
    },
    Check {
        name: "size",
        about: "files and functions within budget, or not longer than recorded",
        run: size::run,
    },
    Check {
        name: "words",
        about: "no machine paths, private hosts or unfinished-work markers",
        run: words::run,
    },
    Check { name: "rooms", about: "the top level holds the fixed rooms only", run: rooms::run },
];

/// Names that `--only` takes.
pub(crate) fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(CHECKS.map(|check| check.name))
}

/// The checks with a line each, for the long help.
pub(crate) fn list_checks() -> String {
    let mut text = String::from("Checks:\n");
    for check in CHECKS {
        let _ = writeln!(text, "  {:<12} {}", check.name, check.about);
    }
    text.push_str("\nExample: cargo xtask verify --only layers,purity");
    text
}

/// Runs the named checks, or all of them; whether none failed.
pub(crate) fn run(workspace: &Workspace, only: &[String]) -> bool {
    let chosen = CHECKS.iter().filter(|check| only.is_empty() || only.iter().any(|name| name == check.name));
    let mut failed = Vec::new();
    for check in chosen {
        let start = Instant::now();
        let outcome =
            (check.run)(workspace).unwrap_or_else(|error| Outcome::Fail(vec![format!("{error:#}")]));
        report::print(check.name, &outcome, start.elapsed());
        if matches!(outcome, Outcome::Fail(_)) {
            failed.push(check.name);
        }
    }
    if !failed.is_empty() {
        println!("failed: {}; `cargo xtask fix` repairs what a tool can repair", failed.join(", "));
    }
    failed.is_empty()
}

//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

use crate::{capacity, compare, rest, stall};

/// Measures the replicated store beside etcd.
#[derive(Debug, Parser)]
#[command(name = "rival", version)]
pub(crate) struct Command {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Puts, linearizable reads and watches, ours and etcd's, with ratios.
    Compare(compare::Settings),
    /// 100,000 objects of 1 KiB: memory, restart to serving, a new member.
    Capacity(capacity::Settings),
    /// Processor time and memory of a cluster at rest.
    Rest(rest::Settings),
    /// Writes while the disk of one member stalls.
    Stall(stall::Settings),
}

/// Where the servers come from and where their data goes.
#[derive(Debug, Clone, Args)]
pub(crate) struct Place {
    /// The trireme program; by default the release build beside this program, which is brought up to date first
    /// when this runs under cargo.
    #[arg(long)]
    pub(crate) program: Option<PathBuf>,
    /// Folder on a real disk, in which a folder for this run is made and removed.
    #[arg(long, default_value = "target/rival")]
    pub(crate) dir: PathBuf,
    /// Prints JSON instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
}

impl Command {
    pub(crate) async fn run(self) -> Result<()> {
        match self.what {
            What::Compare(settings) => compare::run(settings).await,
            What::Capacity(settings) => capacity::run(settings).await,
            What::Rest(settings) => rest::run(settings).await,
            What::Stall(settings) => stall::run(settings).await,
        }
    }
}

/// Seconds with a fraction, as the options take them.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("{text} is no number of seconds"))?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Command::command().debug_assert();
        assert_eq!(seconds("1.5"), Ok(Duration::from_millis(1500)));
        assert!(seconds("-1").is_err() && seconds("x").is_err());
    }
}

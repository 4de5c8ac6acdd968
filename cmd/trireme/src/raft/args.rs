//! The flags of `trireme raft` and `trireme kv`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::cli::{ClientArgs, Output};

/// Members and content of the store.
#[derive(Debug, Subcommand)]
pub(crate) enum RaftCommand {
    /// Show every member: its role, term, log and state.
    Status {
        #[command(flatten)]
        client: ClientArgs,
        #[arg(long, short, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
    /// Take a running server in as a learner; it asks to vote once it has caught up. Servers do this by themselves.
    Add(RaftMemberArgs),
    /// Make a learner a voter.
    Promote(RaftMemberArgs),
    /// Remove a server, dead or alive, from the members.
    Remove(RaftMemberArgs),
    /// Hand leadership to a server.
    Transfer(RaftMemberArgs),
    /// Save the store's content into a file, or replace the content by a saved one.
    #[command(subcommand)]
    Snapshot(SnapshotCommand),
}

#[derive(Args, Clone, Debug)]
pub(crate) struct RaftMemberArgs {
    #[command(flatten)]
    pub(crate) client: ClientArgs,
    /// The server's name, e.g. `s2`.
    pub(crate) server: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SnapshotCommand {
    /// Save a consistent copy while the cluster runs.
    Save {
        #[command(flatten)]
        client: ClientArgs,
        /// Where to; must not exist.
        file: PathBuf,
    },
    /// Replace the content of the running cluster. Every watcher has to list again. Stop other writers first.
    Restore {
        #[command(flatten)]
        client: ClientArgs,
        /// What `trireme raft snapshot save` wrote.
        file: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum KvCommand {
    /// Print a key's value.
    Get {
        #[command(flatten)]
        client: ClientArgs,
        key: String,
        /// What the asked member has applied, without asking the others.
        #[arg(long)]
        local: bool,
        #[arg(long, short, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
    /// Write a key; prints its revision.
    Put {
        #[command(flatten)]
        client: ClientArgs,
        key: String,
        value: String,
    },
    /// Delete a key; prints the revision, or that there was none.
    Delete {
        #[command(flatten)]
        client: ClientArgs,
        key: String,
    },
    /// Print changes of the keys that begin with a prefix, one JSON object per line.
    Watch {
        #[command(flatten)]
        client: ClientArgs,
        prefix: String,
        /// Changes after this revision; without it after now.
        #[arg(long, value_name = "REVISION")]
        after: Option<u64>,
        /// Stop after this many changes.
        #[arg(long, value_name = "N")]
        count: Option<u64>,
    },
}

//! Rollouts, waits, nodes and questions.

use clap::{Args, Subcommand};

use super::Selection;

#[derive(Debug, Subcommand)]
pub(crate) enum Rollout {
    /// Show the status of the rollout
    Status {
        #[command(flatten)]
        selection: Selection,
        /// The length of time to wait before ending watch, zero means never
        #[arg(long, default_value = "0s")]
        timeout: String,
        /// Watch the status of the rollout until it's done
        #[arg(short, long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
        watch: bool,
    },
    /// View rollout history
    History {
        #[command(flatten)]
        selection: Selection,
        /// See the details, including podTemplate of the revision specified
        #[arg(long, default_value_t = 0)]
        revision: i64,
    },
    /// Undo a previous rollout
    Undo {
        #[command(flatten)]
        selection: Selection,
        /// The revision to rollback to; 0 is the last one
        #[arg(long, default_value_t = 0)]
        to_revision: i64,
    },
    /// Restart a resource
    Restart(Selection),
    /// Mark the provided resource as paused
    Pause(Selection),
    /// Resume a paused resource
    Resume(Selection),
}

#[derive(Args, Debug)]
pub(crate) struct Wait {
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// delete, create, condition=NAME[=VALUE], jsonpath='{...}'[=VALUE]
    #[arg(long = "for")]
    pub(crate) what: String,
    /// The length of time to wait before giving up
    #[arg(long, default_value = "30s")]
    pub(crate) timeout: String,
    /// Select all resources in the namespace of the specified resource types
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Node {
    /// Node names
    pub(crate) nodes: Vec<String>,
}

#[derive(Args, Debug)]
pub(crate) struct Drain {
    /// Node names
    pub(crate) nodes: Vec<String>,
    /// Ignore DaemonSet-managed pods
    #[arg(long)]
    pub(crate) ignore_daemonsets: bool,
    /// Continue even if there are pods using emptyDir
    #[arg(long)]
    pub(crate) delete_emptydir_data: bool,
    /// Continue even if there are pods that do not declare a controller
    #[arg(long)]
    pub(crate) force: bool,
    /// Period of time in seconds given to each pod to terminate gracefully
    #[arg(long, default_value_t = -1, allow_negative_numbers = true)]
    pub(crate) grace_period: i64,
    /// The length of time to wait before giving up, zero means infinite
    #[arg(long, default_value = "0s")]
    pub(crate) timeout: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Auth {
    /// Check whether an action is allowed
    CanI {
        /// VERB [TYPE | TYPE/NAME | NONRESOURCEURL]
        words: Vec<String>,
        /// Print all allowed actions
        #[arg(long)]
        list: bool,
        /// Suppress output and just return the exit code
        #[arg(short, long)]
        quiet: bool,
        /// SubResource such as pod/log or deployment/scale
        #[arg(long, default_value = "")]
        subresource: String,
        /// Check the specified action in all namespaces
        #[arg(short = 'A', long)]
        all_namespaces: bool,
    },
    /// Check self subject attributes
    Whoami,
}

#[derive(Args, Debug)]
pub(crate) struct ApiResources {
    /// Limit to resources in the specified API group
    #[arg(long)]
    pub(crate) api_group: Option<String>,
    /// If false, non-namespaced resources will be returned
    #[arg(long)]
    pub(crate) namespaced: Option<bool>,
    /// Limit to resources that support the specified verbs
    #[arg(long, value_delimiter = ',')]
    pub(crate) verbs: Vec<String>,
    /// Output format: wide or name
    #[arg(short, long)]
    pub(crate) output: Option<String>,
    /// Don't print headers
    #[arg(long)]
    pub(crate) no_headers: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Version {
    /// Client version only
    #[arg(long)]
    pub(crate) client: bool,
}

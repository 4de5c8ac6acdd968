//! Rollouts, waits, nodes and questions.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::common::{Dry, Files, Printing, duration};

/// The objects of a rollout command.
#[derive(Args, Clone, Debug)]
pub(crate) struct RolloutObjects {
    /// TYPE NAME, TYPE/NAME...
    #[arg(value_name = "TYPE[/NAME] [NAME]")]
    pub(crate) words: Vec<String>,
    #[command(flatten)]
    pub(crate) files: Files,
    /// Selector (label query) to filter on
    #[arg(short = 'l', long)]
    pub(crate) selector: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Rollout {
    /// Show the status of the rollout
    Status {
        #[command(flatten)]
        objects: RolloutObjects,
        /// The length of time to wait before ending watch, zero means never
        #[arg(long, default_value = "0s", value_parser = duration)]
        timeout: Duration,
        /// Pin to a specific revision for showing its status
        #[arg(long, default_value_t = 0)]
        revision: i64,
        /// Watch the status of the rollout until it's done
        #[arg(short, long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
        watch: bool,
    },
    /// View rollout history
    History {
        #[command(flatten)]
        objects: RolloutObjects,
        /// See the details, including podTemplate of the revision specified
        #[arg(long, default_value_t = 0)]
        revision: i64,
    },
    /// Undo a previous rollout
    Undo {
        #[command(flatten)]
        objects: RolloutObjects,
        /// The revision to rollback to; 0 is the last one
        #[arg(long, default_value_t = 0)]
        to_revision: i64,
        #[command(flatten)]
        dry: Dry,
        #[command(flatten)]
        printing: Printing,
    },
    /// Restart a resource
    Restart {
        #[command(flatten)]
        objects: RolloutObjects,
        #[command(flatten)]
        printing: Printing,
    },
    /// Mark the provided resource as paused
    Pause {
        #[command(flatten)]
        objects: RolloutObjects,
        #[command(flatten)]
        printing: Printing,
    },
    /// Resume a paused resource
    Resume {
        #[command(flatten)]
        objects: RolloutObjects,
        #[command(flatten)]
        printing: Printing,
    },
}

#[derive(Args, Debug)]
pub(crate) struct Wait {
    /// TYPE NAME, TYPE/NAME...
    #[arg(value_name = "TYPE[/NAME] [NAME]")]
    pub(crate) words: Vec<String>,
    #[command(flatten)]
    pub(crate) files: Files,
    /// Selector (label query) to filter on
    #[arg(short = 'l', long)]
    pub(crate) selector: Option<String>,
    /// Selector (field query) to filter on
    #[arg(long)]
    pub(crate) field_selector: Option<String>,
    /// Across all namespaces
    #[arg(short = 'A', long)]
    pub(crate) all_namespaces: bool,
    /// delete, create, condition=NAME[=VALUE], jsonpath='{...}'[=VALUE]
    #[arg(long = "for", default_value = "")]
    pub(crate) what: String,
    /// The length of time to wait before giving up
    #[arg(long, default_value = "30s", value_parser = duration, allow_hyphen_values = true)]
    pub(crate) timeout: Duration,
    /// Select all resources in the namespace of the specified resource types
    #[arg(long)]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) printing: Printing,
}

#[derive(Args, Debug)]
pub(crate) struct Node {
    /// Node names
    pub(crate) nodes: Vec<String>,
    /// Selector (label query) to filter on
    #[arg(short = 'l', long)]
    pub(crate) selector: Option<String>,
    #[command(flatten)]
    pub(crate) dry: Dry,
}

#[derive(Args, Debug)]
pub(crate) struct Drain {
    #[command(flatten)]
    pub(crate) node: Node,
    /// Ignore DaemonSet-managed pods
    #[arg(long)]
    pub(crate) ignore_daemonsets: bool,
    /// Continue even if there are pods using emptyDir
    #[arg(long)]
    pub(crate) delete_emptydir_data: bool,
    /// Continue even if there are pods that do not declare a controller
    #[arg(long)]
    pub(crate) force: bool,
    /// Label selector to filter pods on the node
    #[arg(long)]
    pub(crate) pod_selector: Option<String>,
    /// Force drain to use delete, even if eviction is supported
    #[arg(long)]
    pub(crate) disable_eviction: bool,
    /// Period of time in seconds given to each pod to terminate gracefully
    #[arg(long, default_value_t = -1, allow_negative_numbers = true)]
    pub(crate) grace_period: i64,
    /// The length of time to wait before giving up, zero means infinite
    #[arg(long, default_value = "0s", value_parser = duration)]
    pub(crate) timeout: Duration,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Auth {
    /// Check whether an action is allowed
    CanI(CanI),
    /// Check self subject attributes
    Whoami(Printing),
}

#[derive(Args, Debug)]
pub(crate) struct CanI {
    /// VERB [TYPE | TYPE/NAME | NONRESOURCEURL]
    pub(crate) words: Vec<String>,
    /// Print all allowed actions
    #[arg(long)]
    pub(crate) list: bool,
    /// Prints allowed actions without headers
    #[arg(long)]
    pub(crate) no_headers: bool,
    /// Suppress output and just return the exit code
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// SubResource such as pod/log or deployment/scale
    #[arg(long, default_value = "")]
    pub(crate) subresource: String,
    /// Check the specified action in all namespaces
    #[arg(short = 'A', long)]
    pub(crate) all_namespaces: bool,
}

#[derive(Args, Debug)]
pub(crate) struct ApiResources {
    /// Limit to resources in the specified API group
    #[arg(long)]
    pub(crate) api_group: Option<String>,
    /// If false, non-namespaced resources will be returned
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) namespaced: Option<bool>,
    /// Limit to resources that support the specified verbs
    #[arg(long, value_delimiter = ',')]
    pub(crate) verbs: Vec<String>,
    /// Limit to resources that belong to the specified categories
    #[arg(long, value_delimiter = ',')]
    pub(crate) categories: Vec<String>,
    /// Sort by name or kind
    #[arg(long, default_value = "")]
    pub(crate) sort_by: String,
    /// Output format: wide or name
    #[arg(short, long, default_value = "")]
    pub(crate) output: String,
    /// Don't print headers
    #[arg(long)]
    pub(crate) no_headers: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Version {
    /// Client version only
    #[arg(long)]
    pub(crate) client: bool,
    /// One of 'yaml' or 'json'
    #[arg(short, long, default_value = "")]
    pub(crate) output: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Display merged kubeconfig settings or a specified kubeconfig file
    View {
        /// Display raw byte data and sensitive data
        #[arg(long)]
        raw: bool,
        /// Remove all information not used by current-context from the output
        #[arg(long)]
        minify: bool,
        /// Output format: json, yaml, jsonpath=...
        #[arg(short, long, default_value = "yaml")]
        output: String,
    },
    /// Display the current-context
    #[command(name = "current-context")]
    CurrentContext,
    /// Describe one or many contexts
    #[command(name = "get-contexts")]
    GetContexts {
        names: Vec<String>,
        /// Output format: name
        #[arg(short, long)]
        output: Option<String>,
        /// Don't print headers
        #[arg(long)]
        no_headers: bool,
    },
    /// Set the current-context in a kubeconfig file
    #[command(name = "use-context", alias = "use")]
    UseContext { name: String },
    /// Set a context entry in kubeconfig: its --cluster, --user and --namespace
    #[command(name = "set-context")]
    SetContext {
        name: Option<String>,
        /// Modify the current context
        #[arg(long)]
        current: bool,
    },
    /// Delete the specified context from the kubeconfig
    #[command(name = "delete-context")]
    DeleteContext { name: String },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Certificate {
    /// Approve a certificate signing request
    Approve(Requests),
    /// Deny a certificate signing request
    Deny(Requests),
}

/// Certificate signing requests to judge.
#[derive(Args, Debug)]
pub(crate) struct Requests {
    /// Names
    pub(crate) names: Vec<String>,
    /// Update the CSR even if it is already approved or denied
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) printing: Printing,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Top {
    /// Display resource (CPU/memory) usage of nodes
    #[command(alias = "nodes", alias = "no")]
    Node(TopWanted),
    /// Display resource (CPU/memory) usage of pods
    #[command(alias = "pods", alias = "po")]
    Pod {
        #[command(flatten)]
        wanted: TopWanted,
        /// Across all namespaces
        #[arg(short = 'A', long)]
        all_namespaces: bool,
        /// Print usage of containers within a pod
        #[arg(long)]
        containers: bool,
    },
}

/// What `top` shows.
#[derive(Args, Debug)]
pub(crate) struct TopWanted {
    /// NAME
    pub(crate) name: Option<String>,
    /// Selector (label query) to filter on
    #[arg(short = 'l', long)]
    pub(crate) selector: Option<String>,
    /// Sort by cpu or memory
    #[arg(long, default_value = "")]
    pub(crate) sort_by: String,
    /// Print output without headers
    #[arg(long)]
    pub(crate) no_headers: bool,
}

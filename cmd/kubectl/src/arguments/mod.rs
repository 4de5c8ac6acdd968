//! The command line.

mod create;
mod operations;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub(crate) use self::create::{CreateKind, CreateSecret};
pub(crate) use self::operations::{ApiResources, Auth, Drain, Node, Rollout, Version, Wait};

/// Controls the cluster. Commands, flags and output are those of upstream's kubectl.
#[derive(Debug, Parser)]
#[command(name = "kubectl", disable_version_flag = true, max_term_width = 100)]
pub(crate) struct Kubectl {
    #[command(flatten)]
    pub(crate) connection: Connection,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// How the cluster is reached.
#[derive(Args, Clone, Debug)]
pub(crate) struct Connection {
    /// Path to the kubeconfig file
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// The kubeconfig context to use
    #[arg(long, global = true)]
    pub(crate) context: Option<String>,
    /// The namespace scope of this request
    #[arg(short, long, global = true)]
    pub(crate) namespace: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Display one or many resources
    Get(Get),
    /// Show details of a specific resource or group of resources
    Describe(Describe),
    /// Apply a configuration to a resource by file name or stdin
    Apply(Apply),
    /// Create a resource from a file or from stdin
    Create(Create),
    /// Replace a resource by file name or stdin
    Replace(FromFiles),
    /// Delete resources by file names, stdin, resources and names, or by resources and label selector
    Delete(Delete),
    /// Update fields of a resource
    Patch(Patch),
    /// Update the labels on a resource
    Label(Marks),
    /// Update the annotations on a resource
    Annotate(Marks),
    /// Set a new size for a deployment, replica set, or replication controller
    Scale(Scale),
    /// Print the logs for a container in a pod
    Logs(Logs),
    /// Execute a command in a container
    Exec(Exec),
    /// Manage the rollout of a resource
    #[command(subcommand)]
    Rollout(Rollout),
    /// Wait for a specific condition on one or many resources
    Wait(Wait),
    /// Mark node as unschedulable
    Cordon(Node),
    /// Mark node as schedulable
    Uncordon(Node),
    /// Drain node in preparation for maintenance
    Drain(Drain),
    /// Inspect authorization
    #[command(subcommand)]
    Auth(Auth),
    /// Print the supported API resources on the server
    #[command(name = "api-resources")]
    ApiResources(ApiResources),
    /// Print the supported API versions on the server
    #[command(name = "api-versions")]
    ApiVersions,
    /// Print the client and server version information
    Version(Version),
}

/// Which objects, by type and name, selector or file.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Selection {
    /// TYPE, TYPE NAME..., TYPE/NAME...
    #[arg(value_name = "TYPE[/NAME] [NAME]")]
    pub(crate) words: Vec<String>,
    /// Files, folders, or - for standard input
    #[arg(short, long, value_name = "FILE")]
    pub(crate) filename: Vec<String>,
    /// Process the folders used in -f recursively
    #[arg(short = 'R', long)]
    pub(crate) recursive: bool,
    /// Selector (label query) to filter on
    #[arg(short = 'l', long)]
    pub(crate) selector: Option<String>,
    /// Selector (field query) to filter on
    #[arg(long)]
    pub(crate) field_selector: Option<String>,
    /// Across all namespaces
    #[arg(short = 'A', long)]
    pub(crate) all_namespaces: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Get {
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// Output format: json, yaml, name, wide, jsonpath=..., custom-columns=...
    #[arg(short, long)]
    pub(crate) output: Option<String>,
    /// After listing, watch for changes
    #[arg(short, long)]
    pub(crate) watch: bool,
    /// Watch for changes without listing first
    #[arg(long)]
    pub(crate) watch_only: bool,
    /// Don't print headers
    #[arg(long)]
    pub(crate) no_headers: bool,
    /// Show all labels as the last column
    #[arg(long)]
    pub(crate) show_labels: bool,
    /// Show the kind of the objects
    #[arg(long)]
    pub(crate) show_kind: bool,
    /// Sort list types using this field specification (a JSONPath expression)
    #[arg(long, value_name = "JSONPATH")]
    pub(crate) sort_by: Option<String>,
    /// Treat "resource not found" as a successful retrieval
    #[arg(long)]
    pub(crate) ignore_not_found: bool,
    /// Keep the managedFields when printing objects in JSON or YAML format
    #[arg(long)]
    pub(crate) show_managed_fields: bool,
    /// Raw URI to request from the server
    #[arg(long, value_name = "PATH")]
    pub(crate) raw: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct Describe {
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// Display events related to the described object
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) show_events: bool,
}

/// Objects from files.
#[derive(Args, Clone, Debug)]
pub(crate) struct FromFiles {
    /// Files, folders, or - for standard input
    #[arg(short, long, value_name = "FILE")]
    pub(crate) filename: Vec<String>,
    /// Process the folders used in -f recursively
    #[arg(short = 'R', long)]
    pub(crate) recursive: bool,
    /// none, client or server
    #[arg(long, default_value = "none", num_args = 0..=1, require_equals = true, default_missing_value = "client")]
    pub(crate) dry_run: String,
    /// Name that owns the fields
    #[arg(long)]
    pub(crate) field_manager: Option<String>,
    /// strict, warn or ignore
    #[arg(long, default_value = "strict")]
    pub(crate) validate: String,
    /// Output format
    #[arg(short, long)]
    pub(crate) output: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct Apply {
    #[command(flatten)]
    pub(crate) from: FromFiles,
    /// Apply runs in the server instead of the client
    #[arg(long)]
    pub(crate) server_side: bool,
    /// Server-side apply forces the changes against conflicts
    #[arg(long)]
    pub(crate) force_conflicts: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Create {
    #[command(flatten)]
    pub(crate) from: FromFiles,
    #[command(subcommand)]
    pub(crate) kind: Option<CreateKind>,
}

#[derive(Args, Debug)]
pub(crate) struct Delete {
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// Delete all resources, in the namespace of the specified resource types
    #[arg(long)]
    pub(crate) all: bool,
    /// background, orphan or foreground
    #[arg(long, default_value = "background", num_args = 0..=1, require_equals = true, default_missing_value = "background")]
    pub(crate) cascade: String,
    /// Period of time in seconds given to the resource to terminate gracefully
    #[arg(long, default_value_t = -1, allow_negative_numbers = true)]
    pub(crate) grace_period: i64,
    /// Signal for immediate shutdown (same as --grace-period=1)
    #[arg(long)]
    pub(crate) now: bool,
    /// Immediately remove resources from API and bypass graceful deletion
    #[arg(long)]
    pub(crate) force: bool,
    /// Treat "resource not found" as a successful delete
    #[arg(long)]
    pub(crate) ignore_not_found: bool,
    /// Delete resource only when user confirms
    #[arg(short, long)]
    pub(crate) interactive: bool,
    /// Wait for resources to be gone before returning
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) wait: bool,
    /// The length of time to wait before giving up on a delete, such as 30s; zero means determine a timeout
    #[arg(long, default_value = "0s")]
    pub(crate) timeout: String,
    /// Output mode: name
    #[arg(short, long)]
    pub(crate) output: Option<String>,
    /// none, client or server
    #[arg(long, default_value = "none", num_args = 0..=1, require_equals = true, default_missing_value = "client")]
    pub(crate) dry_run: String,
}

#[derive(Args, Debug)]
pub(crate) struct Patch {
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// The patch, JSON or YAML
    #[arg(short, long)]
    pub(crate) patch: String,
    /// json, merge or strategic
    #[arg(long = "type", default_value = "strategic")]
    pub(crate) patch_type: String,
    /// The subresource to patch
    #[arg(long)]
    pub(crate) subresource: Option<String>,
    /// Output format
    #[arg(short, long)]
    pub(crate) output: Option<String>,
}

/// Labels or annotations to set (`k=v`) or take away (`k-`).
#[derive(Args, Debug)]
pub(crate) struct Marks {
    /// TYPE NAME KEY=VALUE... or TYPE/NAME KEY-...
    #[arg(required = true)]
    pub(crate) words: Vec<String>,
    /// Allow existing values to be overwritten
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Select all resources, in the namespace of the specified resource types
    #[arg(long)]
    pub(crate) all: bool,
    /// Selector (label query) to filter on
    #[arg(short = 'l', long)]
    pub(crate) selector: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct Scale {
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// The new desired number of replicas
    #[arg(long)]
    pub(crate) replicas: u32,
    /// Precondition for current size
    #[arg(long)]
    pub(crate) current_replicas: Option<u32>,
}

#[derive(Args, Debug)]
pub(crate) struct Logs {
    /// POD, or TYPE/NAME
    pub(crate) target: Option<String>,
    /// Container, also by -c
    pub(crate) second: Option<String>,
    /// Print the logs of this container
    #[arg(short, long)]
    pub(crate) container: Option<String>,
    /// Get all containers' logs in the pod(s)
    #[arg(long)]
    pub(crate) all_containers: bool,
    /// Specify if the logs should be streamed
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Print the logs for the previous instance of the container in a pod
    #[arg(short, long)]
    pub(crate) previous: bool,
    /// Lines of recent log file to display
    #[arg(long, allow_negative_numbers = true)]
    pub(crate) tail: Option<i64>,
    /// Only return logs newer than a relative duration like 5s, 2m, or 3h
    #[arg(long)]
    pub(crate) since: Option<String>,
    /// Only return logs after a specific date (RFC3339)
    #[arg(long)]
    pub(crate) since_time: Option<String>,
    /// Include timestamps on each line in the log output
    #[arg(long)]
    pub(crate) timestamps: bool,
    /// Prefix each log line with the log source
    #[arg(long)]
    pub(crate) prefix: bool,
    /// Maximum bytes of logs to return
    #[arg(long)]
    pub(crate) limit_bytes: Option<u64>,
    /// Selector (label query) to filter on
    #[arg(short = 'l', long)]
    pub(crate) selector: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct Exec {
    /// POD, or TYPE/NAME
    pub(crate) target: String,
    /// Container name
    #[arg(short, long)]
    pub(crate) container: Option<String>,
    /// Pass stdin to the container
    #[arg(short = 'i', long)]
    pub(crate) stdin: bool,
    /// Stdin is a TTY
    #[arg(short, long)]
    pub(crate) tty: bool,
    /// The command
    #[arg(last = true, required = true)]
    pub(crate) command: Vec<String>,
}

//! Commands that write objects.

use std::time::Duration;

use clap::Args;

use super::common::{Dry, Files, Printing, Validate, Writing, duration};
use super::create::CreateKind;

/// Objects from files, written.
#[derive(Args, Clone, Debug)]
pub(crate) struct FromFiles {
    #[command(flatten)]
    pub(crate) files: Files,
    #[command(flatten)]
    pub(crate) writing: Writing,
    #[command(flatten)]
    pub(crate) validate: Validate,
}

impl FromFiles {
    /// Parameters of a write.
    pub(crate) fn query<'a>(&'a self, manager: &'a str) -> Vec<(&'a str, &'a str)> {
        let mut query = self.writing.query(manager);
        query.push(("fieldValidation", self.validate.validate.parameter()));
        query
    }
}

#[derive(Args, Debug)]
pub(crate) struct Apply {
    #[command(flatten)]
    pub(crate) from: FromFiles,
    /// Selector (label query) to filter on
    #[arg(short = 'l', long)]
    pub(crate) selector: Option<String>,
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
    /// TYPE, TYPE NAME..., TYPE/NAME...
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
    #[arg(long, default_value = "0s", value_parser = duration, allow_hyphen_values = true)]
    pub(crate) timeout: Duration,
    /// Output mode: name
    #[arg(short, long)]
    pub(crate) output: Option<String>,
    #[command(flatten)]
    pub(crate) dry: Dry,
}

#[derive(Args, Debug)]
pub(crate) struct Patch {
    /// TYPE NAME, TYPE/NAME
    #[arg(value_name = "TYPE[/NAME] [NAME]")]
    pub(crate) words: Vec<String>,
    #[command(flatten)]
    pub(crate) files: Files,
    /// The patch, JSON or YAML
    #[arg(short, long)]
    pub(crate) patch: Option<String>,
    /// A file containing a patch
    #[arg(long, value_name = "FILE")]
    pub(crate) patch_file: Option<String>,
    /// json, merge or strategic
    #[arg(long = "type", default_value = "strategic")]
    pub(crate) patch_type: String,
    /// The subresource to patch
    #[arg(long)]
    pub(crate) subresource: Option<String>,
    #[command(flatten)]
    pub(crate) writing: Writing,
}

/// Labels or annotations to set (`k=v`) or take away (`k-`).
#[derive(Args, Debug)]
pub(crate) struct Marks {
    /// TYPE NAME KEY=VALUE... or TYPE/NAME KEY-...
    pub(crate) words: Vec<String>,
    #[command(flatten)]
    pub(crate) files: Files,
    /// Allow existing values to be overwritten
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Display the labels or annotations for a given resource
    #[arg(long)]
    pub(crate) list: bool,
    /// Select all resources, in the namespace of the specified resource types
    #[arg(long)]
    pub(crate) all: bool,
    /// Across all namespaces
    #[arg(short = 'A', long)]
    pub(crate) all_namespaces: bool,
    /// Selector (label query) to filter on
    #[arg(short = 'l', long)]
    pub(crate) selector: Option<String>,
    /// Selector (field query) to filter on
    #[arg(long)]
    pub(crate) field_selector: Option<String>,
    /// Only if this is the version of the object
    #[arg(long)]
    pub(crate) resource_version: Option<String>,
    #[command(flatten)]
    pub(crate) writing: Writing,
}

#[derive(Args, Debug)]
pub(crate) struct Scale {
    /// TYPE NAME, TYPE/NAME...
    #[arg(value_name = "TYPE[/NAME] [NAME]")]
    pub(crate) words: Vec<String>,
    #[command(flatten)]
    pub(crate) files: Files,
    /// Selector (label query) to filter on
    #[arg(short = 'l', long)]
    pub(crate) selector: Option<String>,
    /// Select all resources in the namespace of the specified resource types
    #[arg(long)]
    pub(crate) all: bool,
    /// The new desired number of replicas
    #[arg(long)]
    pub(crate) replicas: u32,
    /// Precondition for current size
    #[arg(long)]
    pub(crate) current_replicas: Option<u32>,
    /// Precondition for resource version
    #[arg(long)]
    pub(crate) resource_version: Option<String>,
    /// The length of time to wait before giving up on a scale operation, zero means don't wait
    #[arg(long, default_value = "0s", value_parser = duration)]
    pub(crate) timeout: Duration,
    #[command(flatten)]
    pub(crate) dry: Dry,
    #[command(flatten)]
    pub(crate) printing: Printing,
}

#[derive(Args, Debug)]
pub(crate) struct Edit {
    /// TYPE NAME, TYPE/NAME...
    #[arg(value_name = "TYPE[/NAME] [NAME]")]
    pub(crate) words: Vec<String>,
    #[command(flatten)]
    pub(crate) files: Files,
    /// Output format of the edited text: yaml or json
    #[arg(short, long)]
    pub(crate) output: Option<String>,
    /// Name that owns the fields
    #[arg(long, default_value = "kubectl-edit")]
    pub(crate) field_manager: String,
    /// Edit the subresource of the object
    #[arg(long)]
    pub(crate) subresource: Option<String>,
    /// Output the patch if the resource is edited
    #[arg(long)]
    pub(crate) output_patch: bool,
    /// Keep the managedFields in what is edited
    #[arg(long)]
    pub(crate) show_managed_fields: bool,
    #[command(flatten)]
    pub(crate) validate: Validate,
}

#[derive(Args, Debug)]
pub(crate) struct Taint {
    /// NODE NAME KEY=VALUE:EFFECT... KEY[:EFFECT]-...
    pub(crate) words: Vec<String>,
    /// Selector (label query) to filter on
    #[arg(short = 'l', long)]
    pub(crate) selector: Option<String>,
    /// Select all nodes in the cluster
    #[arg(long)]
    pub(crate) all: bool,
    /// Allow taints to be overwritten
    #[arg(long)]
    pub(crate) overwrite: bool,
    #[command(flatten)]
    pub(crate) writing: Writing,
    #[command(flatten)]
    pub(crate) validate: Validate,
}

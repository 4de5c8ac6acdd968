//! Commands that read.

use clap::Args;

use super::common::Files;

#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Get {
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
    /// Output format: json, yaml, name, wide, jsonpath=..., custom-columns=...
    #[arg(short, long)]
    pub(crate) output: Option<String>,
    /// After listing, watch for changes
    #[arg(short, long)]
    pub(crate) watch: bool,
    /// Watch for changes without listing first
    #[arg(long)]
    pub(crate) watch_only: bool,
    /// Output watch event objects when --watch or --watch-only is used
    #[arg(long)]
    pub(crate) output_watch_events: bool,
    /// Don't print headers
    #[arg(long)]
    pub(crate) no_headers: bool,
    /// Show all labels as the last column
    #[arg(long)]
    pub(crate) show_labels: bool,
    /// Labels that are going to be presented as columns
    #[arg(short = 'L', long, value_delimiter = ',')]
    pub(crate) label_columns: Vec<String>,
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
    /// Gets the subresource of the requested object
    #[arg(long)]
    pub(crate) subresource: Option<String>,
    /// Return large lists in chunks rather than all at once; 0 means all at once
    #[arg(long, default_value_t = 500)]
    pub(crate) chunk_size: u32,
    /// Raw URI to request from the server
    #[arg(long, value_name = "PATH")]
    pub(crate) raw: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct Describe {
    /// TYPE, TYPE NAME..., TYPE/NAME..., TYPE NAME_PREFIX
    #[arg(value_name = "TYPE[/NAME] [NAME]")]
    pub(crate) words: Vec<String>,
    #[command(flatten)]
    pub(crate) files: Files,
    /// Selector (label query) to filter on
    #[arg(short = 'l', long)]
    pub(crate) selector: Option<String>,
    /// Across all namespaces
    #[arg(short = 'A', long)]
    pub(crate) all_namespaces: bool,
    /// Display events related to the described object
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) show_events: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Explain {
    /// TYPE[.FIELD...]
    pub(crate) words: Vec<String>,
    /// Print all the fields of all levels
    #[arg(long)]
    pub(crate) recursive: bool,
    /// Use given api-version (group/version) of the resource
    #[arg(long)]
    pub(crate) api_version: Option<String>,
    /// Format in which to render the schema: plaintext
    #[arg(short, long, default_value = "plaintext")]
    pub(crate) output: String,
}

//! `set`

use clap::{Args, Subcommand};

use super::common::{Files, Writing};

#[derive(Debug, Subcommand)]
pub(crate) enum Set {
    /// Update environment variables on a pod template
    Env(Box<SetEnv>),
    /// Update the image of a pod template
    Image {
        #[command(flatten)]
        objects: SetObjects,
    },
    /// Update resource requests/limits on objects with pod templates
    Resources {
        #[command(flatten)]
        objects: SetObjects,
        /// The names of containers in the selected pod templates to change; may use * at an end
        #[arg(short, long, default_value = "*")]
        containers: String,
        /// The resource requirement limits for this container, such as 'cpu=100m,memory=256Mi'
        #[arg(long, default_value = "")]
        limits: String,
        /// The resource requirement requests for this container, such as 'cpu=100m,memory=256Mi'
        #[arg(long, default_value = "")]
        requests: String,
    },
    /// Set the selector on a resource
    Selector {
        #[command(flatten)]
        objects: SetObjects,
        /// Only if this is the version of the object
        #[arg(long)]
        resource_version: Option<String>,
    },
    /// Update the service account of a resource
    #[command(alias = "sa")]
    Serviceaccount {
        #[command(flatten)]
        objects: SetObjects,
    },
}

/// What is changed, and how it is told.
#[derive(Args, Debug)]
pub(crate) struct SetObjects {
    /// TYPE NAME, TYPE/NAME..., then the changes
    pub(crate) words: Vec<String>,
    #[command(flatten)]
    pub(crate) files: Files,
    /// Selector (label query) to filter on
    #[arg(short = 'l', long = "selector")]
    pub(crate) selector: Option<String>,
    /// Select all resources, in the namespace of the specified resource types
    #[arg(long)]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) writing: Writing,
}

#[derive(Args, Debug)]
pub(crate) struct SetEnv {
    #[command(flatten)]
    pub(crate) objects: SetObjects,
    /// The names of containers in the selected pod templates to change; may use * at an end
    #[arg(short, long, default_value = "*")]
    pub(crate) containers: String,
    /// The name of a resource from which to inject environment variables: configmap/NAME or secret/NAME
    #[arg(long)]
    pub(crate) from: Option<String>,
    /// Prefix to append to variable names
    #[arg(long, default_value = "")]
    pub(crate) prefix: String,
    /// Keys to import from the specified resource
    #[arg(long, value_delimiter = ',')]
    pub(crate) keys: Vec<String>,
    /// A key value pair for an environment variable to set into each container
    #[arg(short, long)]
    pub(crate) env: Vec<String>,
    /// Display the environment and any changes in the standard format
    #[arg(long)]
    pub(crate) list: bool,
    /// Allow environment to be overwritten, otherwise reject updates that overwrite existing environment
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) overwrite: bool,
}

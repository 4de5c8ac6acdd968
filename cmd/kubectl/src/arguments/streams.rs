//! Commands that speak with containers.

use std::time::Duration;

use clap::Args;

use super::common::{Writing, duration};

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
    /// Get logs from all pod(s)
    #[arg(long)]
    pub(crate) all_pods: bool,
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
    #[arg(long, value_parser = duration)]
    pub(crate) since: Option<Duration>,
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
    /// Maximum number of concurrent logs to follow when using by a selector
    #[arg(long, default_value_t = 5)]
    pub(crate) max_log_requests: usize,
    /// If watching / following pod logs, allow for any errors that occur to be non-fatal
    #[arg(long)]
    pub(crate) ignore_errors: bool,
    /// Selector (label query) to filter on
    #[arg(short = 'l', long)]
    pub(crate) selector: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct Exec {
    /// POD, or TYPE/NAME
    pub(crate) words: Vec<String>,
    /// Container name
    #[arg(short, long)]
    pub(crate) container: Option<String>,
    /// Pass stdin to the container
    #[arg(short = 'i', long)]
    pub(crate) stdin: bool,
    /// Stdin is a TTY
    #[arg(short, long)]
    pub(crate) tty: bool,
    /// Only print output from the remote session
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// The command
    #[arg(last = true)]
    pub(crate) command: Vec<String>,
}

#[derive(Args, Debug)]
pub(crate) struct Run {
    /// NAME, then arguments
    pub(crate) words: Vec<String>,
    /// The image for the container to run
    #[arg(long)]
    pub(crate) image: String,
    /// Environment variables to set in the container, KEY=VALUE; not split at commas
    #[arg(long)]
    pub(crate) env: Vec<String>,
    /// The port that this container exposes
    #[arg(long)]
    pub(crate) port: Option<u16>,
    /// Labels to apply to the pod, apart by commas
    #[arg(short, long)]
    pub(crate) labels: Option<String>,
    /// Annotations to apply to the pod
    #[arg(long)]
    pub(crate) annotations: Vec<String>,
    /// Use the arguments after -- as the container's command instead of its arguments
    #[arg(long)]
    pub(crate) command: bool,
    /// Delete the pod after it exits; only with --attach or -i
    #[arg(long)]
    pub(crate) rm: bool,
    /// Wait for the pod to start running, and then attach to it
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) attach: Option<bool>,
    /// Keep stdin open on the container in the pod, even if nothing is attached
    #[arg(short = 'i', long)]
    pub(crate) stdin: bool,
    /// Allocate a TTY for the container in the pod
    #[arg(short, long)]
    pub(crate) tty: bool,
    /// If the pod is started in interactive mode, leave stdin open after the first attach completes
    #[arg(long)]
    pub(crate) leave_stdin_open: bool,
    /// Always, OnFailure or Never
    #[arg(long, default_value = "Always")]
    pub(crate) restart: String,
    /// The image pull policy for the container
    #[arg(long, default_value = "")]
    pub(crate) image_pull_policy: String,
    /// Run the container in privileged mode
    #[arg(long)]
    pub(crate) privileged: bool,
    /// Suppress prompt messages
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// An inline JSON override for the generated object (merge)
    #[arg(long)]
    pub(crate) overrides: Option<String>,
    /// The length of time to wait until at least one pod is running
    #[arg(long, default_value = "1m0s", value_parser = duration)]
    pub(crate) pod_running_timeout: Duration,
    #[command(flatten)]
    pub(crate) writing: Writing,
    /// Arguments of the container
    #[arg(last = true)]
    pub(crate) arguments: Vec<String>,
}

//! Commands that speak with containers.

use std::time::Duration;

use clap::Args;

use super::common::duration;

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

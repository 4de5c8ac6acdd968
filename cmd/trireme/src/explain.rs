//! `trireme explain`: why something is as it is, asked of the actor that decided it.

use anyhow::{Context, bail};
use clap::{Args, Subcommand, ValueEnum};
use trireme_kernel::ActorPath;
use trireme_process::cluster::ListMembers;
use trireme_process::{Admin, Client};
use trireme_scheduler_host::{ExplainPod, PodExplained};

use crate::cli::ClientArgs;
use crate::connect::block_on;
use crate::data_dir;
use crate::progress::print;

/// The actor that decides where pods run.
const SCHEDULER: &str = "/cluster/scheduler";

#[derive(Debug, Subcommand)]
pub(crate) enum ExplainCommand {
    /// Where a pod was put and why, or why no node takes it and what would have to change.
    Pod(ExplainPodArgs),
}

#[derive(Args, Debug)]
pub(crate) struct ExplainPodArgs {
    #[command(flatten)]
    client: ClientArgs,

    /// The pod, as NAMESPACE/NAME; without a namespace it is looked for in `default`.
    pod: String,

    /// `text` for people, `json` for programs.
    #[arg(long, short, value_enum, default_value_t = ExplainOutput::Text)]
    output: ExplainOutput,
}

/// How an explanation is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ExplainOutput {
    /// Lines of text.
    Text,
    /// A JSON object.
    Json,
}

/// Explains.
pub(crate) fn run(command: &ExplainCommand) -> anyhow::Result<()> {
    let ExplainCommand::Pod(args) = command;
    let (namespace, name) = args.pod.split_once('/').unwrap_or(("default", &args.pod));
    let asked = ExplainPod { namespace: namespace.to_owned(), name: name.to_owned() };
    let explained = block_on(ask(&args.client, &asked))?;
    let wanted = match args.output {
        ExplainOutput::Text => explained.text,
        ExplainOutput::Json => explained.json,
    };
    match wanted {
        Some(text) => print(text.trim_end()),
        None => bail!(
            "the scheduler has decided nothing about pod {namespace}/{name} since it leads: there is no such pod, it is \
             another scheduler's, or it was placed before"
        ),
    }
    Ok(())
}

/// Asks the server that leads, wherever it is.
async fn ask(args: &ClientArgs, asked: &ExplainPod) -> anyhow::Result<PodExplained> {
    let path: ActorPath = SCHEDULER.parse().expect("a path that is a literal");
    let admin = Admin::load(&data_dir::admin_folder(&args.data.data_dir))?;
    let timeout = std::time::Duration::from_millis(args.timeout_ms);
    let first = Client::connect(&admin, timeout).await?;
    let mut failure = match first.call_at(&path, asked.clone()).await {
        Ok(explained) => return Ok(explained),
        Err(failure) => failure,
    };
    for (_, member) in first.call("cluster", ListMembers {}).await? {
        let Some(address) = member.address else { continue };
        let Ok(other) = Client::connect_to(&admin, &[address], timeout).await else { continue };
        match other.call_at(&path, asked.clone()).await {
            Ok(explained) => return Ok(explained),
            Err(error) => failure = error,
        }
    }
    Err(failure).context("no server runs the scheduler: see --components")
}

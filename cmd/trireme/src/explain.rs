//! `trireme explain`: why something is as it is, asked of the actor that decided it.

use anyhow::{Context, bail};
use clap::{Args, Subcommand, ValueEnum};
use trireme_kernel::{ActorPath, Call};
use trireme_manager::{ExplainKeys, QueueReport};
use trireme_process::cluster::ListMembers;
use trireme_process::{Admin, Client};
use trireme_scheduler_host::ExplainPod;

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
    /// Why a controller has not settled an object, or which ones it has not settled.
    Key(ExplainKeyArgs),
}

#[derive(Args, Debug)]
pub(crate) struct ExplainKeyArgs {
    #[command(flatten)]
    client: ClientArgs,

    /// The controller, such as `deployment-controller`; `trireme actors /cluster/controllers` lists them.
    controller: String,

    /// The object, as NAMESPACE/NAME, or NAME where it is in no namespace; without it all that has not settled.
    key: Option<String>,
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
    let args = match command {
        ExplainCommand::Pod(args) => args,
        ExplainCommand::Key(args) => return run_key(args),
    };
    let (namespace, name) = args.pod.split_once('/').unwrap_or(("default", &args.pod));
    let asked = ExplainPod { namespace: namespace.to_owned(), name: name.to_owned() };
    let explained = block_on(ask(&args.client, SCHEDULER, &asked))?;
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

fn run_key(args: &ExplainKeyArgs) -> anyhow::Result<()> {
    let path = format!("/cluster/controllers/{}", args.controller);
    let report = block_on(ask(&args.client, &path, &ExplainKeys { key: args.key.clone() }))?;
    let QueueReport { state, unsettled, keys } = report;
    print(&format!("{} is {state}; {unsettled} objects have not settled", args.controller));
    if keys.is_empty()
        && let Some(key) = &args.key
    {
        print(&format!("{key} has settled, or is none of its objects"));
    }
    for key in keys {
        let due = key.due_ms.map_or(String::new(), |due| format!(", looked at again in {due} ms"));
        print(&format!("{}: {} for {} ms{due}; {} failures", key.key, key.state, key.for_ms, key.failures));
        if let Some(error) = key.last_error {
            print(&format!("  {error}"));
        }
    }
    Ok(())
}

/// Asks the server that leads, wherever it is.
async fn ask<C: Call + Clone>(args: &ClientArgs, path: &str, asked: &C) -> anyhow::Result<C::Answer> {
    let path: ActorPath = path.parse().context("the name of an actor")?;
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
    Err(failure).with_context(|| format!("no server runs {path}: see --components"))
}

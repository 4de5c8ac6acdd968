//! The command line: every flag, with help that teaches.
//!
//! Only what is built is listed here, so an option that does not exist yet is refused by name with exit code 2.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::agent_args::AgentArgs;
use crate::api_args::{ApiArgs, KubeconfigArgs};
use crate::durations::{SigningArgs, history_duration};
use crate::explain::ExplainCommand;
use crate::hello::HelloArgs;
use crate::hollow::HollowArgs;
use crate::image::ImageCommand;
use crate::node::NodeArgs;
use crate::raft::args::{KvCommand, RaftCommand};
use crate::shim::ShimArgs;

/// Kubernetes-compatible cluster in one binary.
#[derive(Debug, Parser)]
#[command(
    name = "trireme",
    version,
    about,
    long_about = "Trireme is a Kubernetes-compatible cluster in one binary.\n\n\
        A process is a visible tree of supervised actors; machines talk over one QUIC bus with mutual TLS.\n\n\
        Try it:\n  \
        trireme up --servers 3          start three servers on loopback, joined by token\n  \
        trireme actors                  look at the merged live tree of actors\n  \
        trireme chaos arm --kill '**'   kill actors at random and watch them come back",
    disable_help_subcommand = true
)]
pub(crate) struct Cli {
    /// What to log: a level, or a level per component, e.g. `info,trireme_bus=debug` (also from TRIREME_LOG).
    #[arg(
        long,
        global = true,
        env = "TRIREME_LOG",
        default_value = "info,openraft=warn",
        value_name = "FILTER"
    )]
    pub(crate) log: String,

    /// How to write logs: text suits people, JSON suits programs; `auto` is text on a terminal.
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Auto)]
    pub(crate) log_format: LogFormat,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    Auto,
    /// One readable line per event.
    Text,
    /// One JSON object per line.
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Bring up a whole cluster in the foreground.
    Up(UpArgs),
    /// Run one server; without --join it founds a new cluster.
    Server(ServerArgs),
    /// Control the cluster as upstream's kubectl does: get, apply, logs, exec, rollout ...
    #[command(disable_help_flag = true)]
    Kubectl {
        /// A kubectl command and its flags; `kubectl --help` lists them.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
    /// Run one agent: a machine that joins a cluster and runs pods. As root.
    Agent(AgentArgs),
    /// Make, list and revoke the tokens with which machines join.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Show the live tree of actors, merged over all machines.
    Actors(ActorsArgs),
    /// Say why something is as it is.
    #[command(subcommand)]
    Explain(ExplainCommand),
    /// Run nodes without containers, whose pods only pretend to run: for tests and for runs at scale.
    Hollow(HollowArgs),
    /// Refuse a machine's certificates from now on and close its connections.
    Revoke(RevokeArgs),
    /// Arm, list and heal faults in a running cluster.
    #[command(subcommand)]
    Chaos(ChaosCommand),
    /// Print the administrator's kubeconfig of a running cluster.
    Kubeconfig(KubeconfigArgs),
    /// Look at and change the members of the replicated store; save and restore its content.
    #[command(subcommand)]
    Raft(RaftCommand),
    /// Read and write single keys of the store, for tests.
    #[command(subcommand, hide = true)]
    Kv(KvCommand),
    /// Fetch, import, build, list and remove images of this machine.
    #[command(subcommand)]
    Image(Box<ImageCommand>),
    /// One pod's processes; started by the node, not by people.
    #[command(hide = true)]
    Shim(ShimArgs),
    /// A small web server that says who answers whom; what `up --demo` runs.
    #[command(hide = true)]
    Hello(HelloArgs),
}

/// Where a process keeps its state.
#[derive(Args, Clone, Debug)]
pub(crate) struct DataDirArg {
    /// Where state is kept: keys, certificates, the cluster's records.
    #[arg(long, env = "TRIREME_DATA_DIR", default_value_os_t = crate::data_dir::default_root(), value_name = "DIR")]
    pub(crate) data_dir: PathBuf,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct UpArgs {
    /// A YAML file whose entries stand for flags, by their names without the dashes; flags on the command line win.
    #[arg(long, value_name = "FILE")]
    #[allow(dead_code, reason = "the file is read before the flags are")]
    pub(crate) config: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) data: DataDirArg,

    #[command(flatten)]
    pub(crate) signing: SigningArgs,

    #[command(flatten)]
    pub(crate) api: ApiArgs,

    #[command(flatten)]
    pub(crate) node: NodeArgs,

    /// First address of the bus (UDP) and the API (TCP); further machines take the ports above it. Port 0 picks free ports.
    /// Where machines have network namespaces of their own, they have addresses of --machine-cidr, and this port.
    #[arg(long, default_value = "127.0.0.1:6443", value_name = "ADDR:PORT")]
    pub(crate) listen: SocketAddr,

    /// How many servers to start; more than one runs each in a process of its own.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=9))]
    pub(crate) servers: u8,

    /// How many agents to start besides the servers. They run the pods: as root, unless --components leaves node out.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=64))]
    pub(crate) agents: u8,

    /// With --agents that run pods, each machine has a network namespace of its own: the range of their addresses. This
    /// computer gets the first one.
    #[arg(long, default_value = "10.86.0.0/24", value_name = "CIDR")]
    pub(crate) machine_cidr: ipnet::IpNet,

    /// The machine's name, when there is only one (default s1; several are called s1, s2, ... and a1, a2, ...).
    #[arg(long, value_name = "NAME")]
    pub(crate) node_name: Option<String>,

    /// Write this file when every machine is up and sees every other one.
    #[arg(long, value_name = "FILE")]
    pub(crate) ready_file: Option<PathBuf>,
}

/// What servers and agents have in common.
#[derive(Args, Clone, Debug)]
pub(crate) struct MachineArgs {
    /// A YAML file whose entries stand for flags, by their names without the dashes; flags on the command line win.
    #[arg(long, value_name = "FILE")]
    #[allow(dead_code, reason = "the file is read before the flags are")]
    pub(crate) config: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) data: DataDirArg,

    /// This machine's name in the cluster: letters, digits, '-', '.', at most 63 characters.
    #[arg(long, value_name = "NAME")]
    pub(crate) node_name: Option<String>,

    /// Write this file when this machine is up.
    #[arg(long, value_name = "FILE")]
    pub(crate) ready_file: Option<PathBuf>,

    /// Stop when standard input is closed, so that a process never outlives the one that started it.
    #[arg(long, hide = true)]
    pub(crate) stop_on_stdin_eof: bool,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct ServerArgs {
    #[command(flatten)]
    pub(crate) machine: MachineArgs,

    #[command(flatten)]
    pub(crate) signing: SigningArgs,

    #[command(flatten)]
    pub(crate) api: ApiArgs,

    #[command(flatten)]
    pub(crate) node: NodeArgs,

    /// Address of the bus (UDP) and the API (TCP). Port 0 picks a free port once and keeps it over restarts.
    #[arg(long, default_value = "127.0.0.1:6443", value_name = "ADDR:PORT")]
    pub(crate) listen: SocketAddr,

    /// How long the store keeps the history of changes, as `5m`; a watcher that stands before it has to list again. Its
    /// size is bounded as well. The leader's setting counts.
    #[arg(long, default_value = "5m", value_parser = history_duration, value_name = "DURATION")]
    pub(crate) store_history: Duration,

    /// Join the cluster of the server at this address instead of founding one.
    #[arg(long, value_name = "ADDR:PORT", requires = "token")]
    pub(crate) join: Option<SocketAddr>,

    /// The join token, as `trireme token create --role server` prints it (also from TRIREME_TOKEN).
    #[arg(long, env = "TRIREME_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub(crate) token: Option<String>,
}

/// How a command prints its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// A table for people.
    Table,
    /// JSON for programs.
    Json,
}

/// How a command reaches a running cluster.
#[derive(Args, Clone, Debug)]
pub(crate) struct ClientArgs {
    #[command(flatten)]
    pub(crate) data: DataDirArg,

    /// Give up after this many milliseconds.
    #[arg(long, default_value_t = 5_000, value_name = "MS")]
    pub(crate) timeout_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum JoinRole {
    /// The machine becomes a server and receives the cluster's signing key.
    Server,
    /// The machine becomes an agent.
    Agent,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token and print it; it is shown this once.
    Create {
        #[command(flatten)]
        client: ClientArgs,
        /// What the machine that shows the token becomes.
        #[arg(long, value_enum, default_value_t = JoinRole::Agent)]
        role: JoinRole,
        /// How long the token can be used, in minutes.
        #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=525_600), value_name = "MINUTES")]
        ttl_minutes: u32,
    },
    /// List the tokens that can still be used; secrets are not shown.
    List {
        #[command(flatten)]
        client: ClientArgs,
        #[arg(long, short, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
    /// Revoke a token by its id (the part before the dot).
    Revoke {
        #[command(flatten)]
        client: ClientArgs,
        /// The id, e.g. `a1b2c3`.
        id: String,
    },
}

#[derive(Args, Clone, Debug)]
pub(crate) struct ActorsArgs {
    #[command(flatten)]
    pub(crate) client: ClientArgs,

    /// Only this part of the tree, e.g. `/server/s1/bus`.
    pub(crate) path: Option<String>,

    /// `table` for people, `json` for programs, `prometheus` for the same as metrics.
    #[arg(long, short, value_enum, default_value_t = ActorsOutput::Table)]
    pub(crate) output: ActorsOutput,
}

/// How `trireme actors` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ActorsOutput {
    /// The tree, drawn.
    Table,
    /// The reports as JSON.
    Json,
    /// Metrics in Prometheus' text format, of the machine that answers.
    Prometheus,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct RevokeArgs {
    #[command(flatten)]
    pub(crate) client: ClientArgs,
    /// The machine, as `server/NAME` or `node/NAME`.
    pub(crate) machine: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ChaosCommand {
    /// Arm one fault; it heals by itself after --dead-man-ms.
    Arm(Box<ArmArgs>),
    /// List the armed faults of every server.
    List {
        #[command(flatten)]
        client: ClientArgs,
        #[arg(long, short, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
    /// Heal every armed fault on every server.
    Heal {
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Besiege servers of its own: real processes, faults by seed, histories, a verdict per law.
    Run {
        #[command(flatten)]
        siege: Box<crate::siege::SiegeArgs>,
        /// Decides faults and operations; drawn at random and printed when left out.
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Run the same faults again.
    Replay {
        #[command(flatten)]
        siege: Box<crate::siege::SiegeArgs>,
        /// The seed of the run to repeat; give its other flags as well.
        #[arg(long)]
        seed: u64,
    },
    /// Judge a recorded history again.
    Check {
        /// A file of JSON lines, as a siege leaves it.
        file: PathBuf,
        #[arg(long, short, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
}

#[derive(Args, Clone, Debug)]
#[command(group = clap::ArgGroup::new("fault").required(true).multiple(false))]
pub(crate) struct ArmArgs {
    #[command(flatten)]
    pub(crate) client: ClientArgs,

    /// Only on this server; without it on every server.
    #[arg(long, value_name = "NAME")]
    pub(crate) on: Option<String>,

    /// Kill the actors whose path matches, at their next input.
    #[arg(long, group = "fault", value_name = "PATH-GLOB")]
    pub(crate) kill: Option<String>,
    /// Make the matching actors panic at their next input.
    #[arg(long, group = "fault", value_name = "PATH-GLOB")]
    pub(crate) panic: Option<String>,
    /// Stall the matching actors in an input for --for-ms.
    #[arg(long, group = "fault", value_name = "PATH-GLOB", requires = "for_ms")]
    pub(crate) stall: Option<String>,
    /// Lose inputs of the matching actors; callers get a typed answer.
    #[arg(long, group = "fault", value_name = "PATH-GLOB")]
    pub(crate) lose: Option<String>,
    /// Drop bus frames from and to the matching peers.
    #[arg(long, group = "fault", value_name = "PEER-GLOB")]
    pub(crate) drop: Option<String>,
    /// Delay bus frames of the matching peers by --for-ms.
    #[arg(long, group = "fault", value_name = "PEER-GLOB", requires = "for_ms")]
    pub(crate) delay: Option<String>,
    /// Send bus frames to the matching peers twice.
    #[arg(long, group = "fault", value_name = "PEER-GLOB")]
    pub(crate) duplicate: Option<String>,
    /// Swap neighbouring bus frames of the matching peers.
    #[arg(long, group = "fault", value_name = "PEER-GLOB")]
    pub(crate) reorder: Option<String>,
    /// Cut the matching peers off, heartbeats included.
    #[arg(long, group = "fault", value_name = "PEER-GLOB")]
    pub(crate) partition: Option<String>,

    /// Only this priority class of the bus: raft, control, watch or bulk.
    #[arg(long, value_name = "CLASS")]
    pub(crate) class: Option<String>,
    /// Length of a stall or delay, in milliseconds.
    #[arg(long, value_name = "MS")]
    pub(crate) for_ms: Option<u64>,
    /// How many of a thousand matching events are hit.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u16).range(1..=1_000), value_name = "N")]
    pub(crate) per_mille: u16,
    /// Stop after this many hits.
    #[arg(long, value_name = "N")]
    pub(crate) max_hits: Option<u64>,
    /// The seed that decides which events are hit.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Heal by itself after this long, whatever happens to whoever armed it, in milliseconds.
    #[arg(long, default_value_t = 30_000, value_parser = clap::value_parser!(u64).range(1..=600_000), value_name = "MS")]
    pub(crate) dead_man_ms: u64,
}

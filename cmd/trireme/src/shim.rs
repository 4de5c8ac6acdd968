//! `trireme shim`: one pod's processes, apart from the node's own process. Started by the runtime, never by people.

use std::path::PathBuf;

use clap::Args;

#[derive(Args, Clone, Debug)]
pub(crate) struct ShimArgs {
    /// What the runtime wrote down for it.
    spec: PathBuf,
}

/// Runs one; no thread may have been started yet.
pub(crate) fn run(args: &ShimArgs) -> anyhow::Result<()> {
    trireme_runtime::run_shim(&args.spec).map_err(Into::into)
}

//! How a command reaches the cluster.

use std::time::Duration;

use anyhow::Context;
use trireme_process::{Admin, Client};

use crate::cli::ClientArgs;
use crate::data_dir;

/// Connects as the arguments say.
pub(crate) async fn connect(args: &ClientArgs) -> anyhow::Result<Client> {
    let admin = Admin::load(&data_dir::admin_folder(&args.data.data_dir))?;
    Ok(Client::connect(&admin, Duration::from_millis(args.timeout_ms)).await?)
}

/// Runs a command that talks to a cluster.
pub(crate) fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    runtime.block_on(work)
}

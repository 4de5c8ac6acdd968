//! `trireme revoke`: a machine is refused from now on.

use anyhow::Context;
use trireme_pki::IdentityName;
use trireme_process::cluster::RevokeMachine;

use crate::cli::RevokeArgs;
use crate::connect::{block_on, connect};
use crate::progress::print;

/// Revokes one machine.
pub(crate) fn run(args: &RevokeArgs) -> anyhow::Result<()> {
    let name: IdentityName = args.machine.parse().context("name the machine as server/NAME or node/NAME")?;
    block_on(async {
        let client = connect(&args.client).await?;
        client.call("cluster", RevokeMachine { name: name.clone() }).await?;
        print(&format!("{name} revoked"));
        Ok(())
    })
}

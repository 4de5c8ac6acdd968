//! `trireme token`: the tokens with which machines join.

use std::time::Duration;

use comfy_table::Table;
use comfy_table::presets::NOTHING;
use trireme_pki::JoinRole as Role;
use trireme_process::cluster::{CreateToken, ListTokens, RevokeToken};

use crate::cli::{JoinRole, Output, TokenCommand};
use crate::connect::{block_on, connect};
use crate::progress::{print, say};

/// Runs one of the subcommands.
pub(crate) fn run(command: &TokenCommand) -> anyhow::Result<()> {
    block_on(async {
        match command {
            TokenCommand::Create { client, role, ttl_minutes } => {
                let client = connect(client).await?;
                let role = match role {
                    JoinRole::Server => Role::Server,
                    JoinRole::Agent => Role::Agent,
                };
                let lifetime = Duration::from_secs(u64::from(*ttl_minutes) * 60);
                print(&client.call("cluster", CreateToken { role, lifetime }).await?);
            }
            TokenCommand::List { client, output } => {
                let tokens = connect(client).await?.call("cluster", ListTokens {}).await?;
                match output {
                    Output::Json => print(&serde_json::to_string_pretty(&tokens)?),
                    Output::Table if tokens.is_empty() => {
                        say("no token can be used; make one with `trireme token create`")
                    }
                    Output::Table => {
                        let mut table = Table::new();
                        table.load_preset(NOTHING).set_header(["ID", "ROLE", "CREATED", "EXPIRES"]);
                        for token in tokens {
                            let (created, expires) = (token.created.to_string(), token.expires.to_string());
                            table.add_row([token.id, token.role.to_string(), created, expires]);
                        }
                        print(&table.to_string());
                    }
                }
            }
            TokenCommand::Revoke { client, id } => {
                connect(client).await?.call("cluster", RevokeToken { id: id.clone() }).await?;
                print(&format!("token {id} revoked"));
            }
        }
        Ok(())
    })
}

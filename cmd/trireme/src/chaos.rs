//! `trireme chaos`: faults in a running cluster, armed by an administrator, each with a dead-man limit.

use anyhow::{Context, bail};
use comfy_table::Table;
use comfy_table::presets::NOTHING;
use serde::Serialize;
use trireme_faults::{
    ArmedFault, BusAction, BusRule, Direction, FaultId, FaultPoint, FaultRule, MailboxAction, MailboxRule,
};
use trireme_pki::{IdentityKind, IdentityName};
use trireme_process::cluster::ListMembers;
use trireme_process::{Admin, ArmFault, Client, HealFaults, ListFaults, random_u64};

use crate::cli::{ArmArgs, ChaosCommand, ClientArgs, Output};
use crate::connect::{block_on, connect};
use crate::data_dir;
use crate::progress::{print, say};
use crate::siege;

/// Runs one of the subcommands.
pub(crate) fn run(command: &ChaosCommand) -> anyhow::Result<()> {
    match command {
        ChaosCommand::Arm(args) => block_on(arm(args)),
        ChaosCommand::List { client, output } => block_on(list(client, *output)),
        ChaosCommand::Heal { client } => block_on(heal(client)),
        ChaosCommand::Run { siege: args, seed } => {
            siege::run(args, seed.unwrap_or_else(|| random_u64() >> 32))
        }
        ChaosCommand::Replay { siege: args, seed } => siege::run(args, *seed),
        ChaosCommand::Check { file, output } => siege::check(file, *output),
    }
}

async fn arm(args: &ArmArgs) -> anyhow::Result<()> {
    let rule = rule(args)?;
    for server in servers(&args.client, args.on.as_deref()).await? {
        let id = server.call("faults", ArmFault { rule: rule.clone() }).await?;
        print(&format!("{}: armed {id} for {} ms", server.server(), args.dead_man_ms));
    }
    Ok(())
}

#[derive(Serialize)]
struct Listed {
    server: IdentityName,
    faults: Vec<ArmedFault>,
}

async fn list(client: &ClientArgs, output: Output) -> anyhow::Result<()> {
    let mut all = Vec::new();
    for server in servers(client, None).await? {
        all.push(Listed {
            server: server.server().clone(),
            faults: server.call("faults", ListFaults {}).await?,
        });
    }
    if output == Output::Json {
        print(&serde_json::to_string_pretty(&all)?);
        return Ok(());
    }
    let mut table = Table::new();
    table.load_preset(NOTHING).set_header(["SERVER", "FAULT", "HITS", "LEFT", "WHERE AND WHAT"]);
    for Listed { server, faults } in all {
        for fault in faults {
            let what = serde_json::to_string(&fault.rule.point)?;
            let (hits, left) = (fault.hits.to_string(), format!("{}ms", fault.remaining_ms));
            table.add_row([server.to_string(), fault.rule.id.to_string(), hits, left, what]);
        }
    }
    print(&table.to_string());
    Ok(())
}

async fn heal(client: &ClientArgs) -> anyhow::Result<()> {
    for server in servers(client, None).await? {
        let healed = server.call("faults", HealFaults {}).await?;
        print(&format!("{}: healed {healed}", server.server()));
    }
    Ok(())
}

/// A session with each server, or with the one named. Faults may cut servers off from each other, so every one is
/// asked directly.
async fn servers(args: &ClientArgs, on: Option<&str>) -> anyhow::Result<Vec<Client>> {
    let first = connect(args).await?;
    let members = first.call("cluster", ListMembers {}).await?;
    let admin = Admin::load(&data_dir::admin_folder(&args.data.data_dir))?;
    let mut sessions = Vec::new();
    for (name, member) in members {
        let Some(address) = member.address.filter(|_| name.kind() == IdentityKind::Server) else { continue };
        if on.is_some_and(|on| on != name.name()) {
            continue;
        }
        let one = Admin { credentials: admin.credentials.clone(), servers: vec![address] };
        match Client::connect(&one, std::time::Duration::from_millis(args.timeout_ms)).await {
            Ok(client) => sessions.push(client),
            Err(error) if on.is_none() => say(&format!("{name}: {error:#}")),
            Err(error) => return Err(anyhow::Error::from(error).context(format!("{name}"))),
        }
    }
    if sessions.is_empty() {
        bail!("no server {} can be reached", on.unwrap_or("of the cluster"));
    }
    Ok(sessions)
}

fn rule(args: &ArmArgs) -> anyhow::Result<FaultRule> {
    let rule = FaultRule {
        id: FaultId(format!("cli-{:08x}", random_u64() >> 32)),
        point: point(args)?,
        probability_per_mille: args.per_mille,
        seed: args.seed,
        max_hits: args.max_hits,
        dead_man_ms: args.dead_man_ms,
    };
    rule.validate().context("the fault cannot work as written")?;
    Ok(rule)
}

fn point(args: &ArmArgs) -> anyhow::Result<FaultPoint> {
    let ms = args.for_ms.unwrap_or_default();
    let mailbox = [
        (&args.kill, MailboxAction::Kill),
        (&args.panic, MailboxAction::Panic),
        (&args.stall, MailboxAction::Stall { ms }),
        (&args.lose, MailboxAction::Drop),
    ];
    for (glob, action) in mailbox {
        if let Some(glob) = glob {
            if args.class.is_some() {
                bail!("--class is for faults on the bus, not for mailboxes");
            }
            return Ok(FaultPoint::Mailbox(MailboxRule { path_glob: glob.clone(), action }));
        }
    }
    let bus = [
        (&args.drop, BusAction::Drop),
        (&args.delay, BusAction::Delay { ms }),
        (&args.duplicate, BusAction::Duplicate),
        (&args.reorder, BusAction::Reorder),
        (&args.partition, BusAction::Partition),
    ];
    for (glob, action) in bus {
        if let Some(glob) = glob {
            let (peer_glob, class) = (glob.clone(), args.class.clone());
            return Ok(FaultPoint::Bus(BusRule { peer_glob, class, direction: Direction::Both, action }));
        }
    }
    bail!(
        "name a fault: --kill, --panic, --stall, --lose, --drop, --delay, --duplicate, --reorder or --partition"
    )
}

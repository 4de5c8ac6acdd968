//! `trireme actors`: the merged live tree.

use anyhow::Context;
use comfy_table::presets::NOTHING;
use comfy_table::{Attribute, Cell, CellAlignment, Color, ContentArrangement, Table};
use trireme_kernel::{ActorKind, ActorPath, ActorReport};
use trireme_process::{Inspect, MachineTree, Metrics};

use crate::cli::{ActorsArgs, ActorsOutput};
use crate::connect::{block_on, connect};
use crate::progress::{print, say};

/// Longest last error shown in the table; the whole one is in the JSON.
const ERROR_LIMIT: usize = 60;

/// Shows the tree.
pub(crate) fn run(args: &ActorsArgs) -> anyhow::Result<()> {
    let prefix = args.path.as_deref().map(str::parse::<ActorPath>).transpose().context("the path")?;
    block_on(async {
        let client = connect(&args.client).await?;
        if args.output == ActorsOutput::Prometheus {
            print(client.call("inspect", Metrics {}).await?.trim_end());
            return Ok(());
        }
        let trees = client.call("inspect", Inspect { prefix, everywhere: true }).await?;
        match args.output {
            ActorsOutput::Json => print(&serde_json::to_string_pretty(&trees)?),
            _ => print(&draw(&trees).to_string()),
        }
        for tree in &trees {
            if let Some(error) = &tree.error {
                say(&format!("{} cannot be asked: {error}", tree.machine));
            }
        }
        Ok(())
    })
}

fn draw(trees: &[MachineTree]) -> Table {
    let mut table = Table::new();
    table.load_preset(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["ACTOR", "STATE", "FOR", "MAILBOX", "HIGH", "HANDLED", "RESTARTS", "LAST ERROR"]);
    for tree in trees {
        // What runs on the leader only follows what every machine has.
        // A server's process may run a node as well.
        let mut roots = vec![format!("/{}", tree.machine), "/cluster".to_owned()];
        let node = format!("/node/{}", tree.machine.name());
        if !roots.contains(&node) {
            roots.push(node);
        }
        for root in roots {
            let below = format!("{root}/");
            let inside =
                |actor: &&ActorReport| actor.path.as_str() == root || actor.path.as_str().starts_with(&below);
            for actor in tree.actors.iter().filter(inside) {
                table.add_row(row(&root, actor));
            }
        }
    }
    for column in 2..7 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn row(root: &str, actor: &ActorReport) -> Vec<Cell> {
    let below = actor.path.as_str().strip_prefix(root).unwrap_or_default();
    let name = match below.rsplit_once('/') {
        None => Cell::new(root).add_attribute(Attribute::Bold),
        Some((above, last)) => {
            let depth = above.matches('/').count() + 1;
            let name = Cell::new(format!("{}{last}", "  ".repeat(depth)));
            if actor.kind == ActorKind::Supervisor { name.add_attribute(Attribute::Bold) } else { name }
        }
    };
    let state = Cell::new(&actor.state).fg(if actor.alive { Color::Green } else { Color::Red });
    let restarts = Cell::new(actor.restarts);
    let restarts = if actor.restarts > 0 { restarts.fg(Color::Yellow) } else { restarts };
    let error: String = actor.last_error.as_deref().unwrap_or_default().chars().take(ERROR_LIMIT).collect();
    vec![
        name,
        state,
        Cell::new(for_how_long(actor.since_ms)),
        Cell::new(format!("{}/{}", actor.mailbox_depth, actor.mailbox_capacity)),
        Cell::new(actor.mailbox_high_water),
        Cell::new(actor.handled),
        restarts,
        Cell::new(error),
    ]
}

/// A span as kubectl writes ages.
fn for_how_long(millis: u64) -> String {
    let seconds = millis / 1_000;
    match seconds {
        0 => format!("{millis}ms"),
        1..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_like_ages() {
        assert_eq!(for_how_long(12), "12ms");
        assert_eq!(for_how_long(119_999), "119s");
        assert_eq!(for_how_long(120_000), "2m");
        assert_eq!(for_how_long(7_200_000), "2h");
        assert_eq!(for_how_long(172_800_000), "2d");
    }
}

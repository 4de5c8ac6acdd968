//! `trireme raft` and `trireme kv`: the replicated store's members and content.

pub(crate) mod args;

use std::io::{BufReader, BufWriter, ErrorKind, Read, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use comfy_table::Table;
use comfy_table::presets::NOTHING;
use serde_json::{Value, json};
use trireme_kernel::Class;
use trireme_mvcc::{Answer, Key, Operation, Proposal, Revision};
use trireme_process::Admin;
use trireme_raft::store::Role;
use trireme_store::calls::{
    ChangeMember, CommitRestore, Consistency, Get, GetClusterStatus, GetStatus, MemberChange, OpenRestore,
    OpenSnapshot, Propose, ReadSnapshot, Standing, StoreStatus, TransferLeadership, WriteRestore,
};
use trireme_store::{StoreClient, WatchEvent, WatchFilter, WatchMessage, WatchTopic};

use self::args::{KvCommand, RaftCommand, RaftMemberArgs, SnapshotCommand};
use crate::cli::{ClientArgs, Output};
use crate::connect::block_on;
use crate::data_dir;
use crate::progress::{print, say};

/// First bytes of a saved snapshot; then each chunk behind its length (32 bits, little endian).
const FILE_MAGIC: &[u8] = b"trireme snapshot 1\n";
/// Largest chunk accepted from a file, in bytes.
const CHUNK_LIMIT_BYTES: u32 = 8 * 1024 * 1024;
/// Longest wait for a restore to go through the log.
const RESTORE_LIMIT: Duration = Duration::from_secs(600);
/// Part of a command's time that is left for the answer's way back, in milliseconds.
const ANSWER_MARGIN_MS: u64 = 200;

/// Runs one of `trireme raft`.
pub(crate) fn run(command: &RaftCommand) -> anyhow::Result<()> {
    block_on(async {
        match command {
            RaftCommand::Status { client, output } => status(client, *output).await,
            RaftCommand::Add(args) => change(args, MemberChange::Add, "added as a learner").await,
            RaftCommand::Promote(args) => change(args, MemberChange::Promote, "votes").await,
            RaftCommand::Remove(args) => change(args, MemberChange::Remove, "removed").await,
            RaftCommand::Transfer(args) => {
                let client = connect(&args.client).await?;
                let transfer =
                    TransferLeadership { machine: args.server.clone(), timeout_ms: within(&args.client) };
                client.call(transfer).await??;
                print(&format!("{} leads", args.server));
                Ok(())
            }
            RaftCommand::Snapshot(SnapshotCommand::Save { client, file }) => save(client, file).await,
            RaftCommand::Snapshot(SnapshotCommand::Restore { client, file }) => restore(client, file).await,
        }
    })
}

/// Runs one of `trireme kv`.
pub(crate) fn run_kv(command: &KvCommand) -> anyhow::Result<()> {
    block_on(async {
        match command {
            KvCommand::Get { client, key, local, output } => get(client, key, *local, *output).await,
            KvCommand::Put { client, key, value } => {
                let put = Operation::Put {
                    key: key.as_str().into(),
                    value: Bytes::from(value.clone()),
                    lease: None,
                };
                write(client, put).await
            }
            KvCommand::Delete { client, key } => {
                write(client, Operation::Delete { key: key.as_str().into() }).await
            }
            KvCommand::Watch { client, prefix, after, count } => watch(client, prefix, *after, *count).await,
        }
    })
}

async fn connect(args: &ClientArgs) -> anyhow::Result<StoreClient> {
    let admin = Admin::load(&data_dir::admin_folder(&args.data.data_dir))?;
    Ok(StoreClient::connect(&admin, Duration::from_millis(args.timeout_ms)).await?)
}

fn within(args: &ClientArgs) -> u64 {
    args.timeout_ms.saturating_sub(ANSWER_MARGIN_MS).max(1)
}

async fn change(args: &RaftMemberArgs, change: MemberChange, done: &str) -> anyhow::Result<()> {
    let client = connect(&args.client).await?;
    let machine = args.server.clone();
    client.call(ChangeMember { change, machine, timeout_ms: within(&args.client) }).await??;
    print(&format!("{} {done}", args.server));
    Ok(())
}

async fn status(args: &ClientArgs, output: Output) -> anyhow::Result<()> {
    let client = connect(args).await?;
    let all = client.call(GetClusterStatus {}).await?;
    if output == Output::Json {
        let members: Vec<Value> = all.iter().map(|(machine, answer)| member_json(machine, answer)).collect();
        print(&serde_json::to_string_pretty(&members)?);
        return Ok(());
    }
    let mut table = Table::new();
    let head = ["SERVER", "MEMBER", "ROLE", "TERM", "APPLIED", "COMMITTED", "REVISION", "OBJECTS", "STATE"];
    table.load_preset(NOTHING).set_header(head);
    for (machine, answer) in &all {
        match answer {
            Ok(status) => {
                let raft = &status.raft;
                table.add_row([
                    machine.clone(),
                    format!("{:x}", raft.member),
                    role(status).to_owned(),
                    raft.term.to_string(),
                    raft.applied.to_string(),
                    raft.committed.to_string(),
                    status.revision.to_string(),
                    status.objects.to_string(),
                    state(status),
                ]);
            }
            Err(error) => {
                let mut row = vec![machine.clone()];
                row.extend(std::iter::repeat_n("-".to_owned(), 7));
                row.push(error.clone());
                table.add_row(row);
            }
        }
    }
    print(&table.to_string());
    Ok(())
}

fn role(status: &StoreStatus) -> &'static str {
    let raft = &status.raft;
    match raft.members.get(&raft.member).map(|me| me.role) {
        _ if raft.leader == Some(raft.member) => "leader",
        Some(Role::Voter) => "voter",
        Some(Role::Learner) => "learner",
        None => "none",
    }
}

fn state(status: &StoreStatus) -> String {
    if let Some(stopped) = &status.raft.stopped {
        return format!("stopped: {stopped}");
    }
    match &status.standing {
        Standing::Joining { why: None } => "joining".to_owned(),
        Standing::Joining { why: Some(why) } => format!("joining: {why}"),
        Standing::Learning => "catching up".to_owned(),
        Standing::Voter if status.raft.leader.is_none() => "no leader".to_owned(),
        Standing::Voter => "ok".to_owned(),
        Standing::Refused { why } => why.clone(),
    }
}

fn member_json(machine: &str, answer: &Result<StoreStatus, String>) -> Value {
    let status = match answer {
        Ok(status) => status,
        Err(error) => return json!({ "server": machine, "error": error }),
    };
    let raft = &status.raft;
    let name = |id: u64| raft.members.get(&id).map(|member| member.peer.address.clone());
    json!({
        "server": machine,
        "member": format!("{:x}", raft.member),
        "database": status.database,
        "role": role(status),
        "state": state(status),
        "leader": raft.leader.and_then(name),
        "term": raft.term,
        "lastIndex": raft.last_index,
        "committed": raft.committed,
        "applied": raft.applied,
        "snapshot": raft.snapshot,
        "purged": raft.purged,
        "leaderScopeTerm": status.leader_scope_term,
        "revision": status.revision,
        "compacted": status.compacted,
        "objects": status.objects,
        "liveBytes": status.live_bytes,
        "historyChanges": status.history_changes,
        "leases": status.leases,
        "stateHash": status.hash.to_string(),
        "members": raft.members.values().map(|member| member.peer.address.clone()).collect::<Vec<_>>(),
    })
}

async fn save(args: &ClientArgs, path: &Path) -> anyhow::Result<()> {
    let client = connect(args).await?;
    let deadline = Duration::from_millis(args.timeout_ms);
    let create = || format!("cannot write {}", path.display());
    let file = std::fs::OpenOptions::new().write(true).create_new(true).open(path).with_context(create)?;
    let mut out = BufWriter::new(file);
    out.write_all(FILE_MAGIC).with_context(create)?;
    let opened = client.call(OpenSnapshot {}).await??;
    let mut index = 0;
    while let Some(chunk) =
        client.call_within(ReadSnapshot { session: opened.session, index }, deadline, Class::Bulk).await?
    {
        out.write_all(&u32::try_from(chunk.len())?.to_le_bytes()).with_context(create)?;
        out.write_all(&chunk).with_context(create)?;
        index += 1;
    }
    out.into_inner().context("cannot write to the end")?.sync_all().with_context(create)?;
    print(&format!("saved {} objects at revision {} to {}", opened.objects, opened.revision, path.display()));
    Ok(())
}

async fn restore(args: &ClientArgs, path: &Path) -> anyhow::Result<()> {
    let open = || format!("cannot read {}", path.display());
    let mut file = BufReader::new(std::fs::File::open(path).with_context(open)?);
    let mut magic = [0; FILE_MAGIC.len()];
    if file.read_exact(&mut magic).is_err() || magic != *FILE_MAGIC {
        bail!("{} was not written by `trireme raft snapshot save` (of this version)", path.display());
    }
    let client = connect(args).await?;
    let deadline = Duration::from_millis(args.timeout_ms);
    let session = client.call(OpenRestore {}).await?;
    loop {
        let mut length = [0; 4];
        match file.read_exact(&mut length) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => break,
            read => read.with_context(open)?,
        }
        let length = u32::from_le_bytes(length);
        if length > CHUNK_LIMIT_BYTES {
            bail!("{} is damaged: a chunk of {length} bytes", path.display());
        }
        let mut chunk = vec![0; usize::try_from(length)?];
        file.read_exact(&mut chunk).with_context(|| format!("{} ends early", path.display()))?;
        client.call_within(WriteRestore { session, chunk: chunk.into() }, deadline, Class::Bulk).await?;
    }
    say("replacing the cluster's content");
    let restored = client.call_within(CommitRestore { session }, RESTORE_LIMIT, Class::Control).await??;
    print(&format!(
        "restored {} objects, deleted {} others; the store is at revision {}",
        restored.objects, restored.deleted, restored.revision
    ));
    Ok(())
}

async fn get(args: &ClientArgs, key: &str, local: bool, output: Output) -> anyhow::Result<()> {
    let consistency = if local { Consistency::Local } else { Consistency::Linearizable };
    let got = connect(args).await?.call(Get { key: key.into(), consistency }).await??;
    match (output, got.item) {
        (Output::Json, item) => print(&serde_json::to_string(&json!({
            "revision": got.revision,
            "applied": got.applied,
            "item": item.map(|item| json!({
                "key": key,
                "value": String::from_utf8_lossy(&item.value),
                "createRevision": item.create_revision,
                "modRevision": item.mod_revision,
                "version": item.version,
            })),
        }))?),
        (Output::Table, Some(item)) => print(&String::from_utf8_lossy(&item.value)),
        (Output::Table, None) => bail!("{key} does not exist"),
    }
    Ok(())
}

async fn write(args: &ClientArgs, operation: Operation) -> anyhow::Result<()> {
    let client = connect(args).await?;
    let proposal = Proposal::transaction(Vec::new(), vec![operation]);
    let committed = client.call(Propose { proposal, timeout_ms: within(args) }).await??;
    match committed.outcome? {
        Answer::Committed { revisions, .. } => match revisions.first() {
            Some(Some(revision)) => print(&format!("revision {revision}")),
            _ => print("nothing to delete"),
        },
        other => bail!("an answer to another question: {other:?}"),
    }
    Ok(())
}

async fn watch(
    args: &ClientArgs,
    prefix: &str,
    after: Option<u64>,
    count: Option<u64>,
) -> anyhow::Result<()> {
    let client = connect(args).await?;
    let after = match after {
        Some(after) => Revision::new(after),
        None => client.call(GetStatus {}).await?.revision,
    };
    let filter = WatchFilter::Prefix(Key::from(prefix));
    let topic = WatchTopic { filter, after, previous: false, bookmark_ms: 0 };
    let mut stream = client.watch(&topic)?;
    let mut left = count.unwrap_or(u64::MAX);
    while left > 0 {
        match stream.next().await? {
            WatchMessage::Events { events, .. } => {
                for event in &events {
                    print(&event_json(event).to_string());
                    left = left.saturating_sub(1);
                }
            }
            WatchMessage::Previous(_) | WatchMessage::Bookmark(_) => {}
            WatchMessage::End(end) => bail!(end),
        }
    }
    Ok(())
}

fn event_json(event: &WatchEvent) -> Value {
    let item = event.item.as_ref().or(event.previous.as_ref());
    json!({
        "revision": event.revision,
        "type": if event.item.is_some() { "put" } else { "delete" },
        "key": item.map(|item| item.key.to_string()),
        "value": event.item.as_ref().map(|item| String::from_utf8_lossy(&item.value)),
    })
}

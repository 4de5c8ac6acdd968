//! Closed-loop load: so many tasks, each with one operation under way, over so many connections.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use tokio::task::JoinSet;

use crate::figures::Figures;
use crate::system::{Session, System};

/// Keys that each task goes through again and again.
const KEYS_PER_CLIENT: u64 = 500;

/// What each task does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// Writes values of so many bytes.
    Put { bytes: usize },
    /// Reads, linearizably, what [`Work::Put`] wrote before with as many clients.
    Get,
}

/// How much of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) clients: usize,
    pub(crate) connections: usize,
    pub(crate) window: Duration,
}

/// One round.
pub(crate) async fn run(system: &dyn System, work: Work, shape: Shape) -> Result<Figures> {
    let mut sessions: Vec<Arc<dyn Session>> = Vec::new();
    for _ in 0..shape.connections.min(shape.clients) {
        sessions
            .push(system.connect().await.with_context(|| format!("connecting to {}", system.name()))?.into());
    }
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for client in 0..shape.clients {
        let session = Arc::clone(&sessions[client % sessions.len()]);
        tasks.spawn(async move { client_loop(session.as_ref(), client, work, started, shape.window).await });
    }
    let mut taken = Vec::new();
    while let Some(task) = tasks.join_next().await {
        taken.extend(task.context("a client of the load panicked")??);
    }
    Ok(Figures::of(taken, started.elapsed()))
}

async fn client_loop(
    session: &dyn Session,
    client: usize,
    work: Work,
    started: Instant,
    window: Duration,
) -> Result<Vec<Duration>> {
    let value = match work {
        Work::Put { bytes } => Bytes::from(vec![b'x'; bytes]),
        Work::Get => Bytes::new(),
    };
    let mut taken = Vec::new();
    for number in 0.. {
        let key = key(client, number % KEYS_PER_CLIENT);
        let at = Instant::now();
        match work {
            Work::Put { .. } => session.put(&key, value.clone()).await?,
            Work::Get => {
                if session.get(&key).await?.is_none() && number == 0 {
                    bail!("{key} does not exist: the round of puts did not write it");
                }
            }
        }
        taken.push(at.elapsed());
        if started.elapsed() >= window {
            break;
        }
    }
    Ok(taken)
}

fn key(client: usize, number: u64) -> String {
    format!("/registry/bench/{client:03}/{number:06}")
}

//! [`Hollow`]: the shell of a fleet: registers nodes, follows pods, carries out what the fleet wants.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use kube::core::WatchEvent;
use serde_json::json;
use thiserror::Error;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;
use trireme_core::{Core, Tick};
use trireme_schema::time::Moment;

use crate::behaviour::Rules;
use crate::client::Api;
use crate::fleet::{Fleet, FleetEffect, FleetInput};
use crate::nodes::{NODES_MAX, NodePlan};

/// Writes of pods on their way at once.
const WRITES: usize = 64;
/// Nodes registered at once.
const REGISTRATIONS: usize = 16;
/// Pause before pods are listed again.
const PAUSE: Duration = Duration::from_millis(500);
/// How long a lease lasts, in seconds, as a kubelet's.
const LEASE_SECONDS: u32 = 40;
/// Inputs on their way to the fleet.
const INPUTS: usize = 4096;

/// What a fleet is made of.
#[derive(Clone, Debug)]
pub struct HollowConfig {
    /// Its nodes.
    pub nodes: NodePlan,
    /// What its pods do.
    pub rules: Rules,
    /// Time between two renewals of a node's lease (a kubelet: 10 s).
    pub lease_every: Duration,
    /// Decides delays and failures.
    pub seed: u64,
}

/// Why a fleet cannot run.
#[derive(Debug, Error)]
pub enum HollowError {
    /// More nodes than there are addresses for. Not retryable.
    #[error("{0} nodes: at most {NODES_MAX} have addresses")]
    TooMany(u32),
    /// The kubeconfig cannot be used. Not retryable.
    #[error("the kubeconfig cannot be used: {0}")]
    Kubeconfig(String),
    /// The API refused, or is not there. Retryable.
    #[error("{what}: {error}")]
    Api {
        /// What was tried.
        what: String,
        /// Why not.
        error: Box<kube::Error>,
    },
}

/// A fleet whose nodes are registered.
pub struct Hollow {
    api: Api,
    config: Arc<HollowConfig>,
    /// UIDs of the nodes, by number.
    uids: Vec<String>,
}

/// The client that a kubeconfig (YAML) leads to.
///
/// # Errors
/// [`HollowError::Kubeconfig`].
pub async fn connect(kubeconfig: &str) -> Result<kube::Client, HollowError> {
    let unusable = |error: &dyn std::fmt::Display| HollowError::Kubeconfig(error.to_string());
    let file = kube::config::Kubeconfig::from_yaml(kubeconfig).map_err(|error| unusable(&error))?;
    let options = kube::config::KubeConfigOptions::default();
    let mut config =
        kube::Config::from_custom_kubeconfig(file, &options).await.map_err(|error| unusable(&error))?;
    // A watch of pods that do not change is silent for long.
    config.read_timeout = None;
    kube::Client::try_from(config).map_err(|error| unusable(&error))
}

fn wall_now() -> Moment {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Moment::from_unix(i64::try_from(since.as_secs()).unwrap_or(i64::MAX), since.subsec_nanos())
}

fn lease_path(name: &str) -> String {
    format!("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{name}")
}

impl Hollow {
    /// Registers the nodes and their leases. Those that are registered already are taken over.
    ///
    /// # Errors
    /// See [`HollowError`].
    pub async fn register(client: kube::Client, config: HollowConfig) -> Result<Self, HollowError> {
        if config.nodes.count > NODES_MAX {
            return Err(HollowError::TooMany(config.nodes.count));
        }
        let (api, config) = (Api(client), Arc::new(config));
        let registering = (0..config.nodes.count).map(|number| {
            let (api, config) = (api.clone(), config.clone());
            async move { register(&api, &config, number).await }
        });
        let uids: Vec<Result<String, HollowError>> =
            stream::iter(registering).buffered(REGISTRATIONS).collect().await;
        let uids = uids.into_iter().collect::<Result<_, _>>()?;
        Ok(Self { api, config, uids })
    }

    /// Runs until dropped: follows pods, walks them through their phases, renews leases.
    pub async fn run(self) {
        let (inputs, received) = mpsc::channel(INPUTS);
        let follow = follow(self.api.clone(), inputs);
        let renew = renew(self.api.clone(), self.config.clone(), self.uids);
        let drive = drive(self.api, self.config, received);
        tokio::join!(follow, renew, drive);
    }
}

async fn register(api: &Api, config: &HollowConfig, number: u32) -> Result<String, HollowError> {
    let name = config.nodes.name(number);
    let failed = |what: &str| {
        let what = format!("{what} {name}");
        move |error| HollowError::Api { what, error: Box::new(error) }
    };
    let node = config.nodes.node(number, &wall_now().to_time());
    let there = api.ensure("/api/v1/nodes", &node).await.map_err(failed("registering node"))?;
    let uid = there["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
    // One that was there before may tell of another life.
    let status = json!({"status": node["status"]});
    api.merge(&format!("/api/v1/nodes/{name}/status"), &status).await.map_err(failed("status of node"))?;
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {
            "name": name, "namespace": "kube-node-lease",
            "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": name, "uid": uid}],
        },
        "spec": {
            "holderIdentity": name, "leaseDurationSeconds": LEASE_SECONDS, "renewTime": wall_now().to_micro_time(),
        },
    });
    let leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
    api.ensure(leases, &lease).await.map_err(failed("lease of node"))?;
    Ok(uid)
}

/// Renews the leases one after the other, evenly spread.
async fn renew(api: Api, config: Arc<HollowConfig>, uids: Vec<String>) {
    let Ok(count) = u32::try_from(uids.len()) else { return };
    if count == 0 {
        return;
    }
    let mut every = tokio::time::interval(config.lease_every / count);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let room = Arc::new(Semaphore::new(REGISTRATIONS));
    for number in (0..count).cycle() {
        every.tick().await;
        let Ok(permit) = room.clone().acquire_owned().await else { return };
        let (api, path) = (api.clone(), lease_path(&config.nodes.name(number)));
        tokio::spawn(async move {
            let patch = json!({"spec": {"renewTime": wall_now().to_micro_time()}});
            if let Err(error) = api.merge(&path, &patch).await {
                tracing::debug!(%error, path, "a lease is not renewed");
            }
            drop(permit);
        });
    }
}

/// Lists and watches, for ever.
async fn follow(api: Api, inputs: mpsc::Sender<FleetInput>) {
    loop {
        if let Err(error) = follow_once(&api, &inputs).await {
            tracing::info!(%error, "pods are listed again");
        }
        if inputs.is_closed() {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn follow_once(api: &Api, inputs: &mpsc::Sender<FleetInput>) -> Result<(), kube::Error> {
    let listed = api.list().await?;
    let there = listed.pods.into_iter().map(|pod| FleetInput::Pod(Box::new(pod)));
    for input in there.chain([FleetInput::Listed(listed.there)]) {
        if inputs.send(input).await.is_err() {
            return Ok(());
        }
    }
    let mut version = listed.version;
    loop {
        let mut events = std::pin::pin!(api.watch(&version).await?);
        while let Some(event) = events.next().await {
            let input = match event? {
                WatchEvent::Added(pod) | WatchEvent::Modified(pod) => {
                    version.clone_from(&pod.metadata.resource_version);
                    FleetInput::Pod(Box::new(pod))
                }
                WatchEvent::Deleted(pod) => {
                    version.clone_from(&pod.metadata.resource_version);
                    FleetInput::Gone(pod.key())
                }
                WatchEvent::Bookmark(bookmark) => {
                    version = bookmark.metadata.resource_version;
                    continue;
                }
                WatchEvent::Error(status) => return Err(kube::Error::Api(status)),
            };
            if inputs.send(input).await.is_err() {
                return Ok(());
            }
        }
    }
}

/// Hosts the fleet.
async fn drive(api: Api, config: Arc<HollowConfig>, mut received: mpsc::Receiver<FleetInput>) {
    let begun = Instant::now();
    let mut fleet = Fleet::new(config.nodes.clone(), config.rules.clone(), wall_now(), config.seed);
    let room = Arc::new(Semaphore::new(WRITES));
    // One for each pod at most: the fleet asks for one write of a pod at a time.
    let mut writes = tokio::task::JoinSet::new();
    let mut out = Vec::new();
    loop {
        let due = fleet.deadline().map(|due| begun + Duration::from_nanos(due.as_nanos()));
        let idle = due.is_none();
        let input = tokio::select! {
            input = received.recv() => match input {
                Some(input) => Some(input),
                None => return,
            },
            Some(written) = writes.join_next() => match written {
                Ok(outcome) => Some(outcome),
                Err(error) => {
                    tracing::error!(%error, "a write of a pod ended without an outcome");
                    continue;
                }
            },
            () = tokio::time::sleep_until(due.unwrap_or(begun)), if !idle => None,
        };
        let now = Tick::from_nanos(u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX));
        match input {
            Some(input) => fleet.step(now, input, &mut out),
            None => fleet.expire(now, &mut out),
        }
        for effect in out.drain(..) {
            let (api, room) = (api.clone(), room.clone());
            writes.spawn(async move {
                let _permit = room.acquire_owned().await;
                carry_out(&api, effect).await
            });
        }
    }
}

async fn carry_out(api: &Api, effect: FleetEffect) -> FleetInput {
    let (key, outcome) = match effect {
        FleetEffect::Status(key, patch) => {
            let outcome = api.patch_status(&key, &patch).await;
            (key, outcome)
        }
        FleetEffect::Delete(key, uid) => {
            let outcome = api.delete(&key, &uid).await;
            (key, outcome)
        }
    };
    let done = match outcome {
        Ok(()) => true,
        // Gone, or another one of the same name: the watch tells.
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => true,
        Err(error) => {
            tracing::info!(%error, pod = ?key, "a pod is not written; trying again");
            false
        }
    };
    FleetInput::Written(key, done)
}

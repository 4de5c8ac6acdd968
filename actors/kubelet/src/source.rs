//! [`SourceActor`]: which pods this node is to run. It watches the pods bound to the node, reads static pods from files,
//! judges admission, keeps one worker for each pod, and passes on what the runtime tells.
//!
//! Below the kubelet's supervisor as `source`; permanent. Everything it knows comes again with the next list.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;
use trireme_kernel::{ActorSpec, Behaviour, Context, StartError};
use trireme_kubelet_core::admit::{AdmitNode, Rejection, admit};
use trireme_kubelet_core::pod;
use trireme_schema::view::View;

use crate::api::{Place, Resource, WatchEvent};
use crate::pod_actor::{self, PodMessage};
use crate::shared::{PodEntry, Shared};
use crate::static_pods;

/// Watch and runtime events that may wait.
const MAILBOX: usize = 4_096;
/// How long a full mailbox holds a feeder back before it tries again.
const FEED_WAIT: Duration = Duration::from_secs(30);
/// Pause before a watch that ended is begun again.
const WATCH_AGAIN: Duration = Duration::from_millis(200);
/// How often static pods' files are read.
const STATIC_PODS_EVERY: Duration = Duration::from_secs(5);

/// What the source is told.
#[derive(Debug)]
pub(crate) enum SourceMessage {
    /// From the watch of pods.
    Watch(WatchEvent),
    /// The files' pods: all of them.
    Static(Vec<Value>),
    /// A pod changed in the runtime.
    Runtime(String),
    /// Events of the runtime were lost.
    RuntimeLost,
    /// Uids that the runtime holds: those nobody knows must go.
    Found(Vec<(String, String, String)>),
    /// Nothing of a pod is left.
    Finished(String),
}

/// Which pods this node is to run.
pub(crate) struct SourceActor {
    shared: Arc<Shared>,
    listed: bool,
    found: Option<Vec<(String, String, String)>>,
}

pub(crate) fn spec(shared: &Arc<Shared>) -> ActorSpec<SourceActor> {
    let shared = Arc::clone(shared);
    ActorSpec::new("source", move |_| SourceActor { shared: Arc::clone(&shared), listed: false, found: None })
        .mailbox(MAILBOX)
}

impl Behaviour for SourceActor {
    type Input = SourceMessage;

    fn started(&mut self, cx: &mut Context<Self>) -> Result<(), StartError> {
        // Workers of earlier incarnations have lost their supervisor's registration only if it restarted: make sure.
        let known: Vec<String> = self.shared.pods.lock().keys().cloned().collect();
        known.iter().for_each(|uid| self.ensure_worker(uid, cx));
        self.feed(cx).map_err(|error| StartError(error.to_string()))
    }

    fn handle(&mut self, input: SourceMessage, cx: &mut Context<Self>) {
        match input {
            SourceMessage::Watch(event) => self.watched(event, cx),
            SourceMessage::Static(pods) => self.static_pods(pods, cx),
            SourceMessage::Runtime(uid) => self.shared.poke(&uid, PodMessage::Changed),
            SourceMessage::RuntimeLost => {
                let uids: Vec<String> = self.shared.pods.lock().keys().cloned().collect();
                uids.iter().for_each(|uid| self.shared.poke(uid, PodMessage::Changed));
            }
            SourceMessage::Found(pods) => {
                self.found = Some(pods);
                self.adopt_orphans(cx);
            }
            SourceMessage::Finished(uid) => self.finished(&uid, cx),
        }
    }
}

impl SourceActor {
    fn feed(&self, cx: &mut Context<Self>) -> Result<(), trireme_kernel::IoLimit> {
        let (shared, to) = (Arc::clone(&self.shared), cx.address());
        cx.spawn_task(async move {
            let mut node = shared.node.subscribe();
            if node.wait_for(Option::is_some).await.is_err() {
                return;
            }
            let selector = format!("spec.nodeName={}", shared.config.node_name);
            loop {
                let mut events = shared.api.watch(Resource::PODS, &selector);
                while let Some(event) = events.next().await {
                    if to.send_wait(SourceMessage::Watch(event), FEED_WAIT).await.is_err() {
                        tracing::warn!("pods are listed again: the source did not take an event in time");
                        break;
                    }
                }
                tokio::time::sleep(WATCH_AGAIN).await;
            }
        })?;
        let (shared, to) = (Arc::clone(&self.shared), cx.address());
        cx.spawn_task(async move {
            let mut events = shared.runtime.events();
            loop {
                let message = match events.recv().await {
                    Ok(event) => SourceMessage::Runtime(event.pod_uid),
                    Err(RecvError::Lagged(_)) => SourceMessage::RuntimeLost,
                    Err(RecvError::Closed) => return,
                };
                if to.send_wait(message, FEED_WAIT).await.is_err() {
                    return;
                }
            }
        })?;
        let (shared, to) = (Arc::clone(&self.shared), cx.address());
        cx.spawn_task(async move {
            let snapshot = loop {
                match shared.lister.snapshot().await {
                    Ok(snapshot) => break snapshot,
                    Err(error) => tracing::warn!(%error, "the runtime's sandboxes are not listed yet"),
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            };
            let owners = snapshot.sandboxes.iter().map(|own| &own.config);
            let found =
                owners.map(|own| (own.uid.clone(), own.namespace.clone(), own.name.clone())).collect();
            drop(to.send_wait(SourceMessage::Found(found), FEED_WAIT).await);
        })?;
        let shared = Arc::clone(&self.shared);
        cx.spawn_task(async move { watch_services(&shared).await })?;
        if let Some(folder) = self.shared.config.static_pods_dir.clone() {
            let (node, to) = (self.shared.config.node_name.clone(), cx.address());
            cx.spawn_task(async move {
                loop {
                    let pods = static_pods::read(&folder, &node).await;
                    if to.send_wait(SourceMessage::Static(pods), FEED_WAIT).await.is_err() {
                        return;
                    }
                    tokio::time::sleep(STATIC_PODS_EVERY).await;
                }
            })?;
        }
        Ok(())
    }

    fn watched(&mut self, event: WatchEvent, cx: &mut Context<Self>) {
        match event {
            WatchEvent::Resync(pods) => {
                let present: BTreeSet<String> = pods.iter().map(|pod| pod::uid(pod).to_owned()).collect();
                let gone: Vec<String> = {
                    let known = self.shared.pods.lock();
                    let of_api = known.iter().filter(|(_, entry)| !pod::is_static(&entry.pod));
                    of_api.filter(|(uid, _)| !present.contains(*uid)).map(|(uid, _)| uid.clone()).collect()
                };
                gone.iter().for_each(|uid| self.remove(uid, None));
                let mut pods = pods;
                // Pods that run already come before those that must be admitted beside them.
                pods.sort_by_key(|pod| (pod.at("status").text("phase") == "Pending", created(pod)));
                pods.into_iter().for_each(|pod| self.wanted(pod, cx));
                self.listed = true;
                self.adopt_orphans(cx);
            }
            WatchEvent::Added(pod) | WatchEvent::Modified(pod) => self.wanted(pod, cx),
            WatchEvent::Deleted(pod) => {
                if let Some(owner) = mirrored(&pod) {
                    if let Some(entry) = self.shared.pods.lock().get_mut(&owner) {
                        entry.mirror_uid = None;
                    }
                    return self.shared.poke(&owner, PodMessage::StatusLost);
                }
                let uid = pod::uid(&pod).to_owned();
                self.remove(&uid, Some(pod));
            }
            WatchEvent::Bookmark => {}
        }
    }

    fn wanted(&mut self, pod: Arc<Value>, cx: &mut Context<Self>) {
        if let Some(owner) = mirrored(&pod) {
            return self.mirror(&owner, &pod, cx);
        }
        let uid = pod::uid(&pod).to_owned();
        let before = self
            .shared
            .pods
            .lock()
            .get_mut(&uid)
            .map(|entry| std::mem::replace(&mut entry.pod, Arc::clone(&pod)));
        if let Some(before) = &before {
            let metadata = |pod: &Value, name: &str| pod.at("metadata").at(name).clone();
            if ["labels", "annotations"].iter().any(|name| metadata(before, name) != metadata(&pod, name)) {
                // Files of the downward API show them.
                self.shared.poke(&uid, PodMessage::Refresh);
            }
        } else {
            let rejection = self.judge(&pod);
            if let Some(rejection) = &rejection {
                self.shared.events.pod(&pod, None, true, &rejection.reason, rejection.message.clone());
            }
            let entry = PodEntry { pod, rejection, ..PodEntry::default() };
            self.shared.pods.lock().insert(uid.clone(), entry);
        }
        self.ensure_worker(&uid, cx);
        self.shared.poke(&uid, PodMessage::Sync);
    }

    /// Only a pod that never ran here is judged.
    fn judge(&self, pod: &Arc<Value>) -> Option<Rejection> {
        let status = pod.at("status");
        let began = status.has("startTime") && !status.list("containerStatuses").is_empty();
        if began || pod::is_terminal_phase(status.text("phase")) || pod::is_deleted(pod) {
            return None;
        }
        if *self.shared.shutting_down.borrow() {
            let message = "Pod was rejected as the node is shutting down.".to_owned();
            return Some(Rejection { reason: "NodeShutdown".to_owned(), message });
        }
        let node = self.shared.node.borrow().clone()?;
        let others: Vec<Arc<Value>> = self
            .shared
            .pods
            .lock()
            .values()
            .filter(|own| own.is_active())
            .map(|own| Arc::clone(&own.pod))
            .collect();
        let others: Vec<&Value> = others.iter().map(Arc::as_ref).collect();
        let pressure = self.shared.pressure.lock().clone();
        let offer = AdmitNode {
            node: &node,
            unsafe_sysctls: &self.shared.config.unsafe_sysctls,
            pressure: &pressure,
        };
        admit(pod, &others, offer).err()
    }

    fn remove(&self, uid: &str, last: Option<Arc<Value>>) {
        if let Some(entry) = self.shared.pods.lock().get_mut(uid) {
            entry.removed = true;
            if let Some(last) = last {
                entry.pod = last;
            }
        }
        self.shared.poke(uid, PodMessage::Sync);
    }

    fn static_pods(&mut self, pods: Vec<Value>, cx: &mut Context<Self>) {
        let present: BTreeSet<String> = pods.iter().map(|pod| pod::uid(pod).to_owned()).collect();
        let gone: Vec<String> = {
            let known = self.shared.pods.lock();
            let of_files = known.iter().filter(|(_, entry)| pod::is_static(&entry.pod) && !entry.removed);
            of_files.filter(|(uid, _)| !present.contains(*uid)).map(|(uid, _)| uid.clone()).collect()
        };
        gone.iter().for_each(|uid| self.remove(uid, None));
        for pod in pods {
            self.wanted(Arc::new(pod), cx);
        }
    }

    fn mirror(&self, owner: &str, mirror: &Value, cx: &mut Context<Self>) {
        if pod::is_deleted(mirror) {
            // Only the file decides; a mirror that was deleted goes, and comes again with the next status.
            let (shared, mirror) = (Arc::clone(&self.shared), mirror.clone());
            let removal = cx.spawn_task(async move {
                let place = Place {
                    resource: Resource::PODS,
                    namespace: pod::namespace(&mirror),
                    name: pod::name(&mirror),
                    subresource: "",
                };
                let options = json!({"gracePeriodSeconds": 0, "preconditions": {"uid": pod::uid(&mirror)}});
                if let Err(error) = shared.api.delete(place, options).await {
                    tracing::debug!(%error, "a mirror was not removed");
                }
            });
            if let Err(error) = removal {
                tracing::debug!(%error, "a mirror was not removed");
            }
        }
        if let Some(entry) = self.shared.pods.lock().get_mut(owner) {
            entry.mirror_uid = Some(pod::uid(mirror).to_owned());
        }
    }

    /// What the runtime holds and nobody wants is ended like a deleted pod.
    fn adopt_orphans(&mut self, cx: &mut Context<Self>) {
        if !self.listed {
            return;
        }
        for (uid, namespace, name) in self.found.take().unwrap_or_default() {
            if uid.is_empty() || self.shared.pods.lock().contains_key(&uid) {
                continue;
            }
            let pod = json!({"metadata": {"name": name, "namespace": namespace, "uid": uid},
                "spec": {"containers": []}, "status": {"phase": "Running"}});
            let entry = PodEntry { pod: Arc::new(pod), removed: true, ..PodEntry::default() };
            self.shared.pods.lock().insert(uid.clone(), entry);
            self.ensure_worker(&uid, cx);
        }
    }

    fn ensure_worker(&self, uid: &str, cx: &mut Context<Self>) {
        let has_one = self
            .shared
            .pods
            .lock()
            .get(uid)
            .is_some_and(|entry| entry.address.as_ref().is_some_and(|address| !address.is_closed()));
        if has_one {
            return;
        }
        let Some(parent) = cx.parent() else { return };
        match parent.add(pod_actor::spec(&self.shared, uid, cx.address())) {
            Ok(address) => {
                if let Some(entry) = self.shared.pods.lock().get_mut(uid) {
                    entry.address = Some(address);
                }
            }
            Err(error) => tracing::error!(%error, uid, "the pod has no worker"),
        }
    }

    fn finished(&self, uid: &str, cx: &mut Context<Self>) {
        let again = self.shared.pods.lock().get(uid).is_some_and(|entry| !entry.removed);
        self.shared.pods.lock().remove(uid);
        self.shared.tokens.forget_pod(uid);
        if let Some(parent) = cx.parent()
            && let Err(error) = parent.remove(&format!("pod/{uid}"))
        {
            tracing::debug!(%error, uid, "the pod's worker is gone already");
        }
        if again {
            tracing::debug!(uid, "the pod came back while it ended; the next list brings it");
        }
    }
}

fn created(pod: &Value) -> String {
    pod.at("metadata").text("creationTimestamp").to_owned()
}

/// The static pod that an API object mirrors.
fn mirrored(pod: &Value) -> Option<String> {
    let hash = pod.below(&["metadata", "annotations"]).text("kubernetes.io/config.mirror");
    (!hash.is_empty()).then(|| hash.to_owned())
}

async fn watch_services(shared: &Shared) {
    let key = |service: &Value| (pod::namespace(service).to_owned(), pod::name(service).to_owned());
    loop {
        let mut events = shared.api.watch(Resource::SERVICES, "");
        while let Some(event) = events.next().await {
            shared.services.send_modify(|known| match event {
                WatchEvent::Resync(all) => {
                    *known = Some(all.into_iter().map(|service| (key(&service), service)).collect());
                }
                WatchEvent::Added(service) | WatchEvent::Modified(service) => {
                    known.get_or_insert_default().insert(key(&service), service);
                }
                WatchEvent::Deleted(service) => drop(known.get_or_insert_default().remove(&key(&service))),
                WatchEvent::Bookmark => {}
            });
        }
        tokio::time::sleep(WATCH_AGAIN).await;
    }
}

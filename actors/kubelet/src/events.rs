//! [`Events`]: tells about pods and the node as Kubernetes Events, gathered like upstream's recorder does: the same event
//! again is a count, not another object.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use trireme_kubelet_core::pod;
use trireme_schema::time::Moment;
use trireme_schema::view::View;

use crate::api::{NodeApi, PatchKind, Place, Resource};
use crate::clock::{moment_now, nanos_now};

/// Events waiting to be written; beyond it new ones are dropped, as upstream's broadcaster drops them.
const QUEUE_EVENTS: usize = 1_000;
/// Events whose repetition is remembered.
const REMEMBERED_EVENTS: usize = 4_096;

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) object: Value,
    pub(crate) warning: bool,
    pub(crate) reason: String,
    pub(crate) message: String,
}

/// The way to tell about something. Never waits.
#[derive(Clone, Debug)]
pub(crate) struct Events {
    queue: mpsc::Sender<Event>,
}

impl Events {
    pub(crate) fn channel() -> (Self, mpsc::Receiver<Event>) {
        let (queue, receiver) = mpsc::channel(QUEUE_EVENTS);
        (Self { queue }, receiver)
    }

    pub(crate) fn pod(
        &self,
        pod: &Value,
        field_path: Option<&str>,
        warning: bool,
        reason: &str,
        message: String,
    ) {
        let mut object = json!({"apiVersion": "v1", "kind": "Pod", "name": pod::name(pod),
            "namespace": pod::namespace(pod), "uid": pod::uid(pod),
            "resourceVersion": pod.at("metadata").text("resourceVersion")});
        if let Some(path) = field_path {
            object["fieldPath"] = path.into();
        }
        self.tell(Event { object, warning, reason: reason.to_owned(), message });
    }

    pub(crate) fn node(&self, name: &str, warning: bool, reason: &str, message: String) {
        let object = json!({"kind": "Node", "name": name, "uid": name});
        self.tell(Event { object, warning, reason: reason.to_owned(), message });
    }

    fn tell(&self, event: Event) {
        if let Err(error) = self.queue.try_send(event) {
            tracing::warn!(%error, "an event is dropped");
        }
    }
}

/// What is remembered of events that were written: key to (namespace, name, count).
type Written = BTreeMap<String, (String, String, i64)>;

/// Writes events until all senders are gone.
pub(crate) async fn write_events(
    api: Arc<dyn NodeApi>,
    node_name: String,
    receiver: Arc<tokio::sync::Mutex<mpsc::Receiver<Event>>>,
) {
    let written: Mutex<Written> = Mutex::new(BTreeMap::new());
    let mut receiver = receiver.lock().await;
    while let Some(event) = receiver.recv().await {
        write(&*api, &node_name, &written, event).await;
    }
}

async fn write(api: &dyn NodeApi, node_name: &str, written: &Mutex<Written>, event: Event) {
    let namespace = match event.object.text("namespace") {
        "" => "default",
        namespace => namespace,
    };
    let key = format!("{} {} {} {}", event.object, event.warning, event.reason, event.message);
    let now: Moment = moment_now();
    let known = written.lock().get(&key).cloned();
    if let Some((namespace, name, count)) = known {
        let patch = json!({"count": count + 1, "lastTimestamp": now.to_time()});
        let place = Place { resource: Resource::EVENTS, namespace: &namespace, name: &name, subresource: "" };
        if api.patch(place, PatchKind::Strategic, patch).await.is_ok() {
            written.lock().insert(key, (namespace, name, count + 1));
            return;
        }
    }
    let name = format!("{}.{:x}", event.object.text("name"), nanos_now());
    let object = json!({
        "apiVersion": "v1", "kind": "Event",
        "metadata": {"name": name, "namespace": namespace},
        "involvedObject": event.object,
        "type": if event.warning { "Warning" } else { "Normal" },
        "reason": event.reason, "message": event.message,
        "source": {"component": "kubelet", "host": node_name},
        "reportingComponent": "kubelet", "reportingInstance": node_name,
        "firstTimestamp": now.to_time(), "lastTimestamp": now.to_time(), "count": 1,
    });
    let place = Place { resource: Resource::EVENTS, namespace, name: "", subresource: "" };
    match api.create(place, object).await {
        Ok(_) => {
            let mut written = written.lock();
            if written.len() >= REMEMBERED_EVENTS {
                written.clear();
            }
            written.insert(key, (namespace.to_owned(), name, 1));
        }
        Err(error) => tracing::debug!(%error, reason = event.reason, "an event was not written"),
    }
}

//! [`Relations`]: whether an object is needed by a pod on a node.
//!
//! Keeps per namespace which pods name which objects. A yes is checked against the pod as it is now, so that it is never
//! stale; only a no makes a namespace be read again, where unchanged pods (the same `Arc`) cost one comparison.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;
use trireme_schema::objects::Objects;
use trireme_schema::view::View;

use super::references::{Needed, of_pod, secrets_of_volume};

#[derive(Default)]
struct Namespace {
    revision: Option<u64>,
    pods: BTreeMap<String, Arc<Value>>,
    needed_by: HashMap<(Needed, String), BTreeSet<String>>,
}

impl Namespace {
    fn refresh(&mut self, revision: u64, pods: Vec<Arc<Value>>) {
        let mut gone = std::mem::take(&mut self.pods);
        for pod in pods {
            let name = pod.at("metadata").text("name").to_owned();
            match gone.remove(&name) {
                Some(old) if Arc::ptr_eq(&old, &pod) => {}
                old => {
                    if let Some(old) = old {
                        self.forget(&name, &old);
                    }
                    self.learn(&name, &pod);
                }
            }
            self.pods.insert(name, pod);
        }
        for (name, pod) in gone {
            self.forget(&name, &pod);
        }
        self.revision = Some(revision);
    }

    fn learn(&mut self, name: &str, pod: &Value) {
        if pod.at("spec").text("nodeName").is_empty() {
            return;
        }
        of_pod(pod, &mut |needed, object| {
            self.needed_by.entry((needed, object.to_owned())).or_default().insert(name.to_owned());
        });
    }

    fn forget(&mut self, name: &str, pod: &Value) {
        of_pod(pod, &mut |needed, object| {
            let key = (needed, object.to_owned());
            if let Some(pods) = self.needed_by.get_mut(&key) {
                pods.remove(name);
                if pods.is_empty() {
                    self.needed_by.remove(&key);
                }
            }
        });
    }

    fn witnesses(&self, needed: Needed, object: &str) -> Vec<String> {
        let pods = self.needed_by.get(&(needed, object.to_owned()));
        pods.map(|pods| pods.iter().cloned().collect()).unwrap_or_default()
    }
}

/// Which volumes use a secret, as of a revision of the volumes.
#[derive(Default)]
struct VolumeSecrets {
    revision: Option<u64>,
    volumes: HashMap<(String, String), Vec<String>>,
}

/// Relations between nodes and objects through pods.
pub(super) struct Relations {
    objects: Arc<dyn Objects>,
    namespaces: Mutex<HashMap<String, Namespace>>,
    volume_secrets: Mutex<VolumeSecrets>,
}

impl Relations {
    pub(super) fn new(objects: Arc<dyn Objects>) -> Self {
        Self { objects, namespaces: Mutex::default(), volume_secrets: Mutex::default() }
    }

    /// Whether the pod as it is now runs on the node and names the object.
    fn confirmed(&self, node: &str, namespace: &str, pod: &str, needed: Needed, object: &str) -> bool {
        let Some(pod) = self.objects.get("", "pods", namespace, pod) else { return false };
        if pod.at("spec").text("nodeName") != node {
            return false;
        }
        let mut found = false;
        of_pod(&pod, &mut |kind, name| found |= kind == needed && name == object);
        found
    }

    /// Whether a pod on the node names the object.
    pub(super) fn pod_needs(&self, node: &str, needed: Needed, namespace: &str, object: &str) -> bool {
        let witnesses = |namespaces: &HashMap<String, Namespace>| {
            namespaces.get(namespace).map(|known| known.witnesses(needed, object)).unwrap_or_default()
        };
        let confirm =
            |pods: Vec<String>| pods.iter().any(|pod| self.confirmed(node, namespace, pod, needed, object));
        if confirm(witnesses(&self.namespaces.lock())) {
            return true;
        }
        let revision = self.objects.revision("", "pods");
        let mut namespaces = self.namespaces.lock();
        let known = namespaces.entry(namespace.to_owned()).or_default();
        if known.revision == Some(revision) {
            return false;
        }
        known.refresh(revision, self.objects.list("", "pods", Some(namespace)));
        let found = known.witnesses(needed, object);
        if known.pods.is_empty() {
            // Nothing is kept of a namespace without pods, so that namespaces come and go without a trace.
            namespaces.remove(namespace);
        }
        drop(namespaces);
        confirm(found)
    }

    /// Whether a pod on the node uses the claim that a PersistentVolume is bound to.
    pub(super) fn volume_needed(&self, node: &str, volume: &str) -> bool {
        let Some(volume) = self.objects.get("", "persistentvolumes", "", volume) else { return false };
        let claim = volume.below(&["spec", "claimRef"]);
        let (namespace, name) = (claim.text("namespace"), claim.text("name"));
        !name.is_empty() && self.pod_needs(node, Needed::Claim, namespace, name)
    }

    /// Whether a pod on the node needs a secret, itself or through a volume it uses.
    pub(super) fn secret_needed(&self, node: &str, namespace: &str, name: &str) -> bool {
        if self.pod_needs(node, Needed::Secret, namespace, name) {
            return true;
        }
        let volumes = self.volumes_with(namespace, name);
        volumes.iter().any(|volume| self.volume_needed(node, volume))
    }

    fn volumes_with(&self, namespace: &str, secret: &str) -> Vec<String> {
        let revision = self.objects.revision("", "persistentvolumes");
        let mut known = self.volume_secrets.lock();
        if known.revision != Some(revision) {
            known.volumes.clear();
            for volume in self.objects.list("", "persistentvolumes", None) {
                let name = volume.at("metadata").text("name");
                secrets_of_volume(&volume, &mut |namespace, secret| {
                    let key = (namespace.to_owned(), secret.to_owned());
                    known.volumes.entry(key).or_default().push(name.to_owned());
                });
            }
            known.revision = Some(revision);
        }
        known.volumes.get(&(namespace.to_owned(), secret.to_owned())).cloned().unwrap_or_default()
    }

    /// Whether an object says by one of its own fields that it belongs to the node.
    pub(super) fn names_node(
        &self,
        node: &str,
        group: &str,
        resource: &str,
        namespace: &str,
        name: &str,
    ) -> bool {
        let object = self.objects.get(group, resource, namespace, name);
        object.is_some_and(|object| object.at("spec").text("nodeName") == node)
    }
}

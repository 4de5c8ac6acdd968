//! What is told about objects other than pods.

use std::sync::Arc;

use serde_json::Value;
use trireme_core::Tick;
use trireme_schema::view::View;

use super::Scheduler;
use crate::budget::Budget;
use crate::input::Watched;
use crate::labels::Labels;
use crate::plugins::ClusterEvent;
use crate::volumes::Volumes;

impl Scheduler {
    /// An object is so now.
    pub(super) fn put(&mut self, now: Tick, resource: Watched, object: &Arc<Value>) {
        let metadata = object.at("metadata");
        let (namespace, name) = (metadata.text("namespace"), metadata.text("name"));
        match resource {
            Watched::Pods => return self.put_pod(now, object),
            Watched::Nodes => {
                if self.setup.extenders.iter().any(|extender| !extender.node_cache_capable) {
                    let name = self.ledger.names.of(name);
                    self.node_objects.insert(name, object.clone());
                }
                if let Some(change) = self.ledger.put_node(object) {
                    self.happened(now, &ClusterEvent::Node(change));
                }
                return;
            }
            _ => {}
        }
        self.put_other(now, resource, namespace, name, Some(object));
    }

    /// An object is gone.
    pub(super) fn gone(&mut self, now: Tick, resource: Watched, namespace: &str, name: &str) {
        match resource {
            Watched::Pods => {
                if let Some(pod) = self.ledger.find_pod(namespace, name) {
                    self.pod_gone(now, pod);
                }
            }
            Watched::Nodes => {
                if let Some(name) = self.ledger.names.find(name) {
                    self.node_objects.remove(&name);
                }
                if self.ledger.remove_node(name).is_some() {
                    self.happened(now, &ClusterEvent::NodeGone);
                }
            }
            _ => self.put_other(now, resource, namespace, name, None),
        }
    }

    fn put_other(
        &mut self,
        now: Tick,
        resource: Watched,
        namespace: &str,
        name: &str,
        object: Option<&Value>,
    ) {
        let ledger = &mut self.ledger;
        let names = &mut ledger.names;
        match resource {
            Watched::Pods | Watched::Nodes => {}
            Watched::Namespaces => {
                let labels = object.map(|object| Labels::read(names, object.below(&["metadata", "labels"])));
                let namespace = names.of(name);
                ledger.census.put_namespace(&ledger.names, namespace, labels);
            }
            Watched::Services => ledger.workloads.put_service(names, namespace, name, object),
            Watched::ReplicationControllers => {
                ledger.workloads.put_owner(names, "ReplicationController", namespace, name, object);
            }
            Watched::ReplicaSets => ledger.workloads.put_owner(names, "ReplicaSet", namespace, name, object),
            Watched::StatefulSets => {
                ledger.workloads.put_owner(names, "StatefulSet", namespace, name, object)
            }
            Watched::PodDisruptionBudgets => {
                let key = (names.of(namespace), names.of(name));
                match object {
                    Some(object) => ledger.budgets.insert(key, Budget::read(names, object)),
                    None => ledger.budgets.remove(&key),
                };
            }
            _ => self.put_storage(now, resource, namespace, name, object),
        }
    }

    fn put_storage(
        &mut self,
        now: Tick,
        resource: Watched,
        namespace: &str,
        name: &str,
        object: Option<&Value>,
    ) {
        let ledger = &mut self.ledger;
        let (names, volumes) = (&mut ledger.names, &mut ledger.volumes);
        let event = match resource {
            Watched::PersistentVolumeClaims => {
                let key = names.of(&format!("{namespace}/{name}"));
                let claim = object.map(|object| Volumes::read_claim(names, object));
                match claim {
                    Some(claim) => volumes.claims.insert(key, claim).map(drop),
                    None => volumes.claims.remove(&key).map(drop),
                };
                ClusterEvent::Claim(key)
            }
            Watched::PersistentVolumes => {
                let key = names.of(name);
                match object.map(|object| Volumes::read_volume(names, object)) {
                    Some(volume) => volumes.volumes.insert(key, volume).map(drop),
                    None => volumes.volumes.remove(&key).map(drop),
                };
                ClusterEvent::Storage
            }
            Watched::StorageClasses => {
                let key = names.of(name);
                match object {
                    Some(object) => {
                        let delayed = object.text("volumeBindingMode") == "WaitForFirstConsumer";
                        volumes.classes.insert(key, delayed)
                    }
                    None => volumes.classes.remove(&key),
                };
                ClusterEvent::Storage
            }
            Watched::CsiNodes => {
                let key = names.of(name);
                let limits = object.map(|object| Volumes::read_limits(names, object)).unwrap_or_default();
                volumes.limits.insert(key, limits.clone());
                if object.is_none() {
                    volumes.limits.remove(&key);
                }
                if let Some(node) = ledger.find_node(key) {
                    ledger.nodes[node.at()].volume_limits = limits;
                }
                ClusterEvent::VolumeLimits
            }
            _ => return,
        };
        self.happened(now, &event);
    }
}

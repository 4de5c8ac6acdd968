//! [`NodeAuthorizer`]: mode `Node`.

use std::sync::Arc;

use trireme_schema::objects::Objects;

use super::identity::{NodeIdentity, node_of};
use super::references::Needed;
use super::relations::Relations;
use crate::attributes::{Attributes, Authorizer, Decision, Rules};
use crate::bootstrap::node_rules;
use crate::known::NODES;
use crate::quote::quote;
use crate::rbac::PolicyRule;
use crate::user::User;

/// Which pods and nodes a node may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeReads {
    /// Its own Node, and pods by a field selector on its name or bound to it (feature AuthorizeNodeWithSelectors, on
    /// since v1.32).
    Own,
    /// All of them, as before v1.32.
    All,
}

/// Lets node agents do what the pods bound to their node need.
pub struct NodeAuthorizer {
    relations: Relations,
    rules: Vec<PolicyRule>,
    reads: NodeReads,
}

/// `Ok` allows; `Err` is the reason of having no opinion.
type Answer = Result<(), String>;

fn no(reason: &str) -> Answer {
    Err(reason.to_owned())
}

fn allow_if(yes: bool, reason: impl FnOnce() -> String) -> Answer {
    if yes { Ok(()) } else { Err(reason()) }
}

fn unrelated(node: &str) -> String {
    format!("no relationship found between node '{node}' and this object")
}

const READS: [&str; 3] = ["get", "list", "watch"];
const OWN_OBJECT_VERBS: [&str; 5] = ["get", "create", "update", "patch", "delete"];
/// Namespace of the nodes' leases.
const LEASES: &str = "kube-node-lease";

impl NodeAuthorizer {
    /// An authorizer over the cluster's pods and volumes.
    pub fn new(objects: Arc<dyn Objects>, reads: NodeReads) -> Self {
        Self { relations: Relations::new(objects), rules: node_rules(), reads }
    }

    fn decide(&self, node: &str, ask: &Attributes) -> Answer {
        if !ask.resource_request {
            return self.by_rules(ask);
        }
        let own = self.reads == NodeReads::Own;
        match (ask.group.as_str(), ask.resource.as_str()) {
            ("", "secrets") => {
                self.read(node, ask, |name| self.relations.secret_needed(node, &ask.namespace, name))
            }
            ("", "configmaps") => self.read(node, ask, |name| {
                self.relations.pod_needs(node, Needed::ConfigMap, &ask.namespace, name)
            }),
            ("", "persistentvolumeclaims") if ask.subresource == "status" => self.update_claim(node, ask),
            ("", "persistentvolumeclaims") => self
                .get(node, ask, |name| self.relations.pod_needs(node, Needed::Claim, &ask.namespace, name)),
            ("", "persistentvolumes") => self.get(node, ask, |name| self.relations.volume_needed(node, name)),
            ("resource.k8s.io", "resourceclaims") => self.get(node, ask, |name| {
                self.relations.pod_needs(node, Needed::ResourceClaim, &ask.namespace, name)
            }),
            ("storage.k8s.io", "volumeattachments") => {
                self.get(node, ask, |name| self.names_node(node, ask, name))
            }
            ("", "serviceaccounts") => self.create_token(node, ask),
            ("coordination.k8s.io", "leases") => lease(node, ask),
            ("storage.k8s.io", "csinodes") => csi_node(node, ask),
            ("resource.k8s.io", "resourceslices") => self.slice(node, ask),
            ("", "nodes") if own => own_node(node, ask),
            ("", "pods") if own => self.own_pods(node, ask),
            _ => self.by_rules(ask),
        }
    }

    fn by_rules(&self, ask: &Attributes) -> Answer {
        allow_if(self.rules.iter().any(|rule| rule.allows(ask)), String::new)
    }

    fn names_node(&self, node: &str, ask: &Attributes, name: &str) -> bool {
        self.relations.names_node(node, &ask.group, &ask.resource, &ask.namespace, name)
    }

    fn related(&self, node: &str, ask: &Attributes, needed: impl FnOnce(&str) -> bool) -> Answer {
        if ask.name.is_empty() {
            return no("No Object name found");
        }
        allow_if(needed(&ask.name), || unrelated(node))
    }

    fn read(&self, node: &str, ask: &Attributes, needed: impl FnOnce(&str) -> bool) -> Answer {
        if !READS.contains(&ask.verb.as_str()) {
            return no("can only read resources of this type");
        }
        if !ask.subresource.is_empty() {
            return no("cannot read subresource");
        }
        if ask.namespace.is_empty() {
            return no("can only read namespaced object of this type");
        }
        self.related(node, ask, needed)
    }

    fn get(&self, node: &str, ask: &Attributes, needed: impl FnOnce(&str) -> bool) -> Answer {
        if ask.verb != "get" {
            return no("can only get individual resources of this type");
        }
        if !ask.subresource.is_empty() {
            return no("cannot get subresource");
        }
        self.related(node, ask, needed)
    }

    fn update_claim(&self, node: &str, ask: &Attributes) -> Answer {
        if !["update", "patch"].contains(&ask.verb.as_str()) {
            return no("can only get/update/patch this type");
        }
        self.related(node, ask, |name| self.relations.pod_needs(node, Needed::Claim, &ask.namespace, name))
    }

    fn create_token(&self, node: &str, ask: &Attributes) -> Answer {
        if ask.verb != "create" || ask.name.is_empty() {
            return no("can only create tokens for individual service accounts");
        }
        if ask.subresource != "token" {
            return no("can only create token subresource of serviceaccount");
        }
        self.related(node, ask, |name| {
            self.relations.pod_needs(node, Needed::ServiceAccount, &ask.namespace, name)
        })
    }

    fn slice(&self, node: &str, ask: &Attributes) -> Answer {
        if !ask.subresource.is_empty() {
            return no("cannot authorize ResourceSlice subresources");
        }
        match ask.verb.as_str() {
            // Admission sees the new object and holds it to the node's name.
            "create" => Ok(()),
            "get" | "update" | "patch" | "delete" => {
                self.related(node, ask, |name| self.names_node(node, ask, name))
            }
            "watch" | "list" | "deletecollection" => {
                let scoped = ask.field_selector.required("nodeName") == Some(node);
                allow_if(scoped || self.reads == NodeReads::All, || {
                    "can only list/watch/deletecollection resourceslices with nodeName field selector"
                        .to_owned()
                })
            }
            _ => no(
                "only the following verbs are allowed for a ResourceSlice: get, watch, list, create, update, \
                     patch, delete, deletecollection",
            ),
        }
    }

    fn own_pods(&self, node: &str, ask: &Attributes) -> Answer {
        match (ask.subresource.as_str(), ask.verb.as_str()) {
            ("", "get") => self.get(node, ask, |name| self.names_node(node, ask, name)),
            ("", "list" | "watch") => {
                if ask.field_selector.required("spec.nodeName") == Some(node) {
                    return Ok(());
                }
                if !ask.name.is_empty() {
                    return self.related(node, ask, |name| self.names_node(node, ask, name));
                }
                no("can only list/watch pods with spec.nodeName field selector")
            }
            // NodeRestriction holds these to the node's own pods.
            ("", "create" | "delete") | ("status", "update" | "patch") | ("eviction", "create") => Ok(()),
            _ => no(""),
        }
    }
}

fn own_node(node: &str, ask: &Attributes) -> Answer {
    match (ask.subresource.as_str(), ask.verb.as_str()) {
        // NodeRestriction holds these to the node's own object.
        ("", "create" | "update" | "patch") | ("status", "update" | "patch") => Ok(()),
        ("", "get" | "list" | "watch") if ask.name == node => Ok(()),
        ("", "get" | "list" | "watch") if ask.name.is_empty() => {
            Err(format!("node '{node}' cannot read all nodes, only its own Node object"))
        }
        ("", "get" | "list" | "watch") => {
            Err(format!("node '{node}' cannot read '{}', only its own Node object", ask.name))
        }
        _ => no(""),
    }
}

fn lease(node: &str, ask: &Attributes) -> Answer {
    if !OWN_OBJECT_VERBS.contains(&ask.verb.as_str()) {
        return no("can only get, create, update, patch, or delete a node lease");
    }
    if ask.namespace != LEASES {
        return Err(format!("can only access leases in the {} system namespace", quote(LEASES)));
    }
    // The name of a new object is not known here; NodeRestriction checks it.
    allow_if(ask.verb == "create" || ask.name == node, || {
        "can only access node lease with the same name as the requesting node".to_owned()
    })
}

fn csi_node(node: &str, ask: &Attributes) -> Answer {
    if !OWN_OBJECT_VERBS.contains(&ask.verb.as_str()) {
        return no("can only get, create, update, patch, or delete a CSINode");
    }
    if !ask.subresource.is_empty() {
        return no("cannot authorize CSINode subresources");
    }
    allow_if(ask.verb == "create" || ask.name == node, || {
        "can only access CSINode with the same name as the requesting node".to_owned()
    })
}

impl Authorizer for NodeAuthorizer {
    fn authorize(&self, attributes: &Attributes) -> Decision {
        let answer = match node_of(&attributes.user) {
            NodeIdentity::None => no(""),
            NodeIdentity::Nameless => Err(format!("unknown node for user {}", quote(&attributes.user.name))),
            NodeIdentity::Node(node) => self.decide(node, attributes),
        };
        match answer {
            Ok(()) => Decision::Allow { reason: String::new() },
            Err(reason) => Decision::NoOpinion { reason },
        }
    }

    fn rules_for(&self, user: &User, _: &str) -> Rules {
        if user.is_in(NODES) && node_of(user) != NodeIdentity::None {
            let evaluation_error = "node authorizer does not support user rule resolution".to_owned();
            return Rules { incomplete: true, evaluation_error, ..Rules::default() };
        }
        Rules::default()
    }
}

#[cfg(test)]
#[path = "authorizer_test.rs"]
mod tests;

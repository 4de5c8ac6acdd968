//! [`NodeRestriction`]: a node writes its own objects and those of its pods, and gives itself no other role.
//!
//! Who is a node: a user `system:node:NAME` in the group `system:nodes`.

mod labels;
#[cfg(test)]
mod node_restriction_test;
mod pods;
mod tokens;

use serde_json::Value;
use trireme_schema::status::Failure;
use trireme_schema::view::{Edit, View, same};

use super::certificates::CertificateRequest;
use crate::config::ChainConfig;
use crate::plugin::{Plugin, World};
use crate::refuse::forbidden;
use crate::request::{Operation, Request, Verdict};

/// Where nodes keep their leases.
const LEASE_NAMESPACE: &str = "kube-node-lease";
const KUBELET_SIGNERS: [&str; 2] =
    ["kubernetes.io/kubelet-serving", "kubernetes.io/kube-apiserver-client-kubelet"];

/// The plugin.
pub(crate) struct NodeRestriction {
    api_audiences: Vec<String>,
}

impl NodeRestriction {
    pub(crate) fn new(config: &ChainConfig) -> Self {
        Self { api_audiences: config.api_audiences.clone() }
    }
}

impl Plugin for NodeRestriction {
    fn name(&self) -> &'static str {
        "NodeRestriction"
    }

    fn handles(&self, operation: Operation) -> bool {
        operation != Operation::Connect
    }

    fn admit(&self, request: &mut Request<'_>, world: &World<'_>) -> Result<(), Failure> {
        self.judge(request, world)
    }

    /// Upstream judges in the first phase alone. Here a request that has only the second one, as a token's has no
    /// object to change, is held to the same rules.
    fn validate(&self, request: &Request<'_>, world: &World<'_>, _: &mut Verdict) -> Result<(), Failure> {
        self.judge(request, world)
    }
}

impl NodeRestriction {
    fn judge(&self, request: &Request<'_>, world: &World<'_>) -> Result<(), Failure> {
        let user = &request.user.name;
        let Some(node) = user.strip_prefix("system:node:").filter(|_| request.user.is_in("system:nodes"))
        else {
            return Ok(());
        };
        if node.is_empty() {
            return Err(forbidden(request, format!("could not determine node from user {user:?}")));
        }
        match (request.group, request.resource, request.subresource) {
            ("", "pods", "") => pods::whole(request, world, node),
            ("", "pods", "status") => pods::status(request, node),
            ("", "pods", "eviction") => pods::eviction(request, world, node),
            ("", "pods", other) => {
                let why =
                    format!("unexpected pod subresource {other:?}, only 'status' and 'eviction' are allowed");
                Err(forbidden(request, why))
            }
            ("", "nodes", _) => own_node(request, node),
            ("", "persistentvolumeclaims", "status") => claim_status(request, node),
            ("", "persistentvolumeclaims", _) => Err(forbidden(request, "may only update PVC status")),
            ("", "serviceaccounts", "token") => tokens::request(request, world, node, &self.api_audiences),
            ("coordination.k8s.io", "leases", _) => lease(request, node),
            ("storage.k8s.io", "csinodes", _) => named_as(request, node, "CSINode"),
            ("resource.k8s.io", "resourceslices", _) => slice(request, node),
            ("certificates.k8s.io", "certificatesigningrequests", "") => certificate(request, node),
            _ => Ok(()),
        }
    }
}

fn own_node(request: &Request<'_>, node: &str) -> Result<(), Failure> {
    // A create has no name in its path.
    let requested = request.object_name();
    if requested != node {
        return Err(forbidden(request, format!("node {node:?} is not allowed to modify node {requested:?}")));
    }
    let (old, new) = (request.old_object(), request.new_object());
    let source = new.at("spec").at("configSource");
    match request.operation {
        Operation::Create => {
            if !source.is_null() {
                let why = format!("node {node:?} is not allowed to create pods with a non-nil configSource");
                return Err(forbidden(request, why));
            }
            let names = labels::forbidden(&Value::Null, new);
            if !names.is_empty() {
                let names = names.join(", ");
                let why = format!("node {node:?} is not allowed to set the following labels: {names}");
                return Err(forbidden(request, why));
            }
        }
        Operation::Update => {
            let refused = if !source.is_null() && !same(source, old.at("spec").at("configSource")) {
                "update configSource to a new non-nil configSource"
            } else if !same(new.at("spec").at("taints"), old.at("spec").at("taints")) {
                "modify taints"
            } else if !same(
                new.at("metadata").at("ownerReferences"),
                old.at("metadata").at("ownerReferences"),
            ) {
                "modify ownerReferences"
            } else {
                ""
            };
            if !refused.is_empty() {
                return Err(forbidden(request, format!("node {node:?} is not allowed to {refused}")));
            }
            let names = labels::forbidden(old, new);
            if !names.is_empty() {
                let why = format!("is not allowed to modify labels: {}", names.join(", "));
                return Err(forbidden(request, why));
            }
        }
        Operation::Delete | Operation::Connect => {}
    }
    Ok(())
}

/// A node reports how a claim grew, and nothing else.
fn claim_status(request: &Request<'_>, node: &str) -> Result<(), Failure> {
    if request.operation != Operation::Update {
        return Err(unexpected(request));
    }
    let rest = |claim: &Value| {
        let mut claim = claim.clone();
        if let Some(metadata) = claim.get_some("metadata") {
            metadata.remove("resourceVersion");
            metadata.remove("managedFields");
        }
        if let Some(status) = claim.get_some("status") {
            for field in ["capacity", "conditions", "allocatedResourceStatuses", "allocatedResources"] {
                status.remove(field);
            }
        }
        claim
    };
    if same(&rest(request.old_object()), &rest(request.new_object())) {
        return Ok(());
    }
    let why = format!(
        "node {node:?} is not allowed to update fields other than status.capacity and status.conditions"
    );
    Err(forbidden(request, why))
}

fn lease(request: &Request<'_>, node: &str) -> Result<(), Failure> {
    if request.namespace != LEASE_NAMESPACE {
        let why = format!("can only access leases in the {LEASE_NAMESPACE:?} system namespace");
        return Err(forbidden(request, why));
    }
    named_as(request, node, "node lease")
}

fn named_as(request: &Request<'_>, node: &str, what: &str) -> Result<(), Failure> {
    let name = match request.operation {
        Operation::Create => request.new_object().at("metadata").text("name"),
        _ => request.name,
    };
    if name == node {
        return Ok(());
    }
    Err(forbidden(request, format!("can only access {what} with the same name as the requesting node")))
}

/// Other operations are the authorizer's to judge: it sees which slice they are about.
fn slice(request: &Request<'_>, node: &str) -> Result<(), Failure> {
    let (object, verb) = match request.operation {
        Operation::Create => (request.new_object(), "create"),
        Operation::Delete => (request.old_object(), "delete"),
        Operation::Update | Operation::Connect => return Ok(()),
    };
    if object.at("spec").text("nodeName") == node {
        return Ok(());
    }
    let why = format!("can only {verb} ResourceSlice with the same NodeName as the requesting node");
    Err(forbidden(request, why))
}

fn certificate(request: &Request<'_>, node: &str) -> Result<(), Failure> {
    let spec = request.new_object().at("spec");
    if request.operation != Operation::Create || !KUBELET_SIGNERS.contains(&spec.text("signerName")) {
        return Ok(());
    }
    let parsed = CertificateRequest::read(spec.text("request"));
    let parsed = parsed.map_err(|why| forbidden(request, format!("unable to parse csr: {why}")))?;
    if parsed.common_name == format!("system:node:{node}") {
        return Ok(());
    }
    Err(forbidden(request, format!("can only create a node CSR with CN=system:node:{node}")))
}

fn unexpected(request: &Request<'_>) -> Failure {
    forbidden(request, format!("unexpected operation {:?}", request.operation.text()))
}

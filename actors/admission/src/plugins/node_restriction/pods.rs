//! What a node does with pods: it mirrors its own, reports about those bound to it, deletes and evicts them.

use std::sync::Arc;

use serde_json::Value;
use trireme_schema::status::{Failure, Status};
use trireme_schema::view::{View, same};

use super::unexpected;
use crate::plugin::World;
use crate::pod::{MIRROR_ANNOTATION, is_mirror, names_config_map, names_secret};
use crate::refuse::forbidden;
use crate::request::{Operation, Request};

pub(super) fn whole(request: &Request<'_>, world: &World<'_>, node: &str) -> Result<(), Failure> {
    match request.operation {
        Operation::Create => create(request, world, node),
        Operation::Delete => {
            let pod = existing(request, world, request.name)?;
            own(request, &pod, node, || {
                format!("node {node:?} can only delete pods with spec.nodeName set to itself")
            })
        }
        Operation::Update | Operation::Connect => {
            let operation = request.operation.text();
            let why = format!(
                "unexpected operation {operation:?}, node {node:?} can only create and delete mirror pods"
            );
            Err(forbidden(request, why))
        }
    }
}

pub(super) fn status(request: &Request<'_>, node: &str) -> Result<(), Failure> {
    if request.operation != Operation::Update {
        return Err(unexpected(request));
    }
    let (old, new) = (request.old_object(), request.new_object());
    own(request, old, node, || {
        format!("node {node:?} can only update pod status for pods with spec.nodeName set to itself")
    })?;
    if !same(old.at("metadata").at("labels"), new.at("metadata").at("labels")) {
        return Err(forbidden(request, format!("node {node:?} cannot update labels through pod status")));
    }
    for (field, what) in [
        ("resourceClaimStatuses", "resource claim statues"),
        ("extendedResourceClaimStatus", "extended resource claim status"),
    ] {
        if !same(old.at("status").at(field), new.at("status").at(field)) {
            return Err(forbidden(request, format!("node {node:?} cannot update {what}")));
        }
    }
    Ok(())
}

pub(super) fn eviction(request: &Request<'_>, world: &World<'_>, node: &str) -> Result<(), Failure> {
    if request.operation != Operation::Create {
        return Err(forbidden(request, format!("unexpected operation {}", request.operation.text())));
    }
    let name = request.object_name();
    if name.is_empty() {
        return Err(forbidden(request, "could not determine pod from request data"));
    }
    let pod = existing(request, world, name)?;
    own(request, &pod, node, || format!("node {node} can only evict pods with spec.nodeName set to itself"))
}

/// The pod as stored; 404 when there is none.
pub(super) fn existing(request: &Request<'_>, world: &World<'_>, name: &str) -> Result<Arc<Value>, Failure> {
    let pod = world.objects.get("", "pods", request.namespace, name);
    pod.ok_or_else(|| Status::not_found("", "pod", name))
}

fn own(request: &Request<'_>, pod: &Value, node: &str, why: impl Fn() -> String) -> Result<(), Failure> {
    if pod.at("spec").text("nodeName") == node { Ok(()) } else { Err(forbidden(request, why())) }
}

fn create(request: &Request<'_>, world: &World<'_>, node: &str) -> Result<(), Failure> {
    let pod = request.new_object();
    if !is_mirror(pod) {
        let why = format!(
            "pod does not have {MIRROR_ANNOTATION:?} annotation, node {node:?} can only create mirror pods"
        );
        return Err(forbidden(request, why));
    }
    own(request, pod, node, || {
        format!("node {node:?} can only create pods with spec.nodeName set to itself")
    })?;
    owner(request, world, node)?;
    let spec = pod.at("spec");
    let volumes = spec.list("volumes");
    let projects = |field: &str| {
        volumes.iter().any(|volume| volume.at("projected").list("sources").iter().any(|s| s.has(field)))
    };
    let referred = if !spec.text("serviceAccountName").is_empty() {
        "a service account"
    } else if names_secret(spec) {
        "secrets"
    } else if names_config_map(spec) {
        "configmaps"
    } else if projects("clusterTrustBundle") {
        "clustertrustbundles"
    } else if volumes.iter().any(|volume| volume.has("persistentVolumeClaim")) {
        "persistentvolumeclaims"
    } else if !spec.list("resourceClaims").is_empty() {
        "resourceclaims"
    } else {
        return Ok(());
    };
    Err(forbidden(request, format!("node {node:?} can not create pods that reference {referred}")))
}

/// A mirror pod belongs to its node, as a controller that does not hold up deletion.
fn owner(request: &Request<'_>, world: &World<'_>, node: &str) -> Result<(), Failure> {
    let refuse = |rest: &str| Err(forbidden(request, format!("node {node:?} {rest}")));
    let owner = match request.new_object().at("metadata").list("ownerReferences") {
        [] => return refuse("can only create pods with an owner reference set to itself"),
        [owner] => owner,
        _ => return refuse("can only create pods with a single owner reference set to itself"),
    };
    if (owner.text("apiVersion"), owner.text("kind"), owner.text("name")) != ("v1", "Node", node) {
        return refuse("can only create pods with an owner reference set to itself");
    }
    if !owner.is_true("controller") {
        return refuse("can only create pods with a controller owner reference set to itself");
    }
    if owner.is_true("blockOwnerDeletion") {
        return refuse("must not set blockOwnerDeletion on an owner reference");
    }
    let stored = world.objects.get("", "nodes", "", node);
    let stored = stored.ok_or_else(|| Status::not_found("", "node", node))?;
    let (given, uid) = (owner.text("uid"), stored.at("metadata").text("uid"));
    if given != uid {
        let why = format!("node {node} UID mismatch: expected {given} got {uid}");
        return Err(forbidden(request, why));
    }
    Ok(())
}

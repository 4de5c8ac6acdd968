//! Tokens that a node asks for: of the accounts of its own pods, bound to the pod, for audiences the pod uses.

use std::sync::Arc;

use serde_json::Value;
use trireme_access::Attributes;
use trireme_schema::status::Failure;
use trireme_schema::view::View;

use super::pods::existing;
use crate::plugin::World;
use crate::refuse::forbidden;
use crate::request::{Operation, Request};

pub(super) fn request(
    request: &Request<'_>,
    world: &World<'_>,
    node: &str,
    api_audiences: &[String],
) -> Result<(), Failure> {
    if request.operation != Operation::Create {
        return Ok(());
    }
    let spec = request.new_object().at("spec");
    let bound = spec.at("boundObjectRef");
    if (bound.text("apiVersion"), bound.text("kind")) != ("v1", "Pod") || bound.text("name").is_empty() {
        return Err(forbidden(request, "node requested token not bound to a pod"));
    }
    let uid = bound.text("uid");
    if uid.is_empty() {
        return Err(forbidden(request, "node requested token with a pod binding without a uid"));
    }
    let pod = existing(request, world, bound.text("name"))?;
    if uid != pod.at("metadata").text("uid") {
        let why = format!(
            "the UID in the bound object reference ({uid}) does not match the UID in record. The object might \
             have been deleted and then recreated"
        );
        return Err(forbidden(request, why));
    }
    if pod.at("spec").text("nodeName") != node {
        return Err(forbidden(request, "node requested token bound to a pod scheduled on a different node"));
    }
    audience(request, world, &pod, api_audiences)
}

/// The audience must be one that a volume of the pod asks for, unless the node is allowed it by name.
fn audience(
    request: &Request<'_>,
    world: &World<'_>,
    pod: &Value,
    api_audiences: &[String],
) -> Result<(), Failure> {
    let wanted: Vec<&str> =
        request.new_object().at("spec").list("audiences").iter().filter_map(Value::as_str).collect();
    let wanted = match wanted.as_slice() {
        [] => "",
        [one] => one,
        // The API server's own audiences are filled in where a request names none.
        several if several.iter().all(|name| api_audiences.iter().any(|own| own == name)) => "",
        _ => return Err(forbidden(request, "node may only request 0 or 1 audiences")),
    };
    let is_own = |name: &str| name.is_empty() || api_audiences.iter().any(|own| own == name);
    let used = used_audiences(request.namespace, world, pod);
    if used.iter().any(|used| used == wanted || (is_own(used) && is_own(wanted))) {
        return Ok(());
    }
    let user = Arc::new(request.user.clone());
    let attributes = Attributes::resource(&user, "request-serviceaccounts-token-audience", "", "v1", wanted)
        .within(request.namespace)
        .named(request.name);
    if world.authorizer.authorize(&attributes).allowed() {
        return Ok(());
    }
    let name = &request.user.name;
    let why = format!(
        "audience {wanted:?} not found in pod spec volume, {name} is not authorized to request tokens for this \
         audience"
    );
    Err(forbidden(request, why))
}

/// The audiences of a pod's volumes: projected tokens, and what the drivers of its CSI volumes ask for.
fn used_audiences(namespace: &str, world: &World<'_>, pod: &Value) -> Vec<String> {
    let mut used = Vec::new();
    for volume in pod.at("spec").list("volumes") {
        for source in volume.at("projected").list("sources") {
            if source.has("serviceAccountToken") {
                used.push(source.at("serviceAccountToken").text("audience").to_owned());
            }
        }
        let driver = match volume.at("csi").text("driver") {
            "" => claim_driver(namespace, world, pod, volume),
            inline => Some(inline.to_owned()),
        };
        let driver = driver.and_then(|name| world.objects.get("storage.k8s.io", "csidrivers", "", &name));
        for request in driver.iter().flat_map(|driver| driver.at("spec").list("tokenRequests")) {
            used.push(request.text("audience").to_owned());
        }
    }
    used
}

/// The driver behind a claim of the pod; an ephemeral volume has a claim named after pod and volume.
fn claim_driver(namespace: &str, world: &World<'_>, pod: &Value, volume: &Value) -> Option<String> {
    let claim = match volume.at("persistentVolumeClaim").text("claimName") {
        "" if volume.has("ephemeral") => {
            format!("{}-{}", pod.at("metadata").text("name"), volume.text("name"))
        }
        "" => return None,
        name => name.to_owned(),
    };
    let claim = world.objects.get("", "persistentvolumeclaims", namespace, &claim)?;
    let bound = world.objects.get("", "persistentvolumes", "", claim.at("spec").text("volumeName"))?;
    let driver = bound.at("spec").at("csi").text("driver");
    (!driver.is_empty()).then(|| driver.to_owned())
}

//! exec, attach, portforward: an upgraded connection between client and kubelet.

use std::sync::Arc;

use serde_json::json;
use trireme_http::proxy::wants_upgrade;
use trireme_http::{Reply, Request};
use trireme_schema::status::{Failure, Status};
use trireme_schema::view::View;

use super::{admit, container, dial_failure, host_value, kubelet, object, pass_on};
use crate::features::Feature;
use crate::query::{Query, encode_component};
use crate::scope::Scope;
use crate::server::Server;

pub(super) async fn serve(server: &Arc<Server>, scope: &Scope, request: Request) -> Result<Reply, Failure> {
    // A GET with an upgrade can do what a POST can (upstream since 1.35).
    let asks = server.config.features.is_on(Feature::AuthorizePodWebsocketUpgradeCreatePermission);
    if asks && scope.info.verb != "create" {
        server.check_access(scope, "create")?;
    }
    let pod = object(server, scope, &scope.info.name).await?;
    let query = &scope.query;
    let (kind, verb) = match scope.info.subresource.as_str() {
        "exec" => ("PodExecOptions", "exec"),
        "attach" => ("PodAttachOptions", "attach"),
        _ => ("PodPortForwardOptions", "portForward"),
    };
    admit(server, scope, options(kind, query))?;
    let metadata = pod.at("metadata");
    let mut path = format!("/{verb}/{}/{}", metadata.text("namespace"), metadata.text("name"));
    if verb != "portForward" {
        path.push('/');
        path.push_str(&container::choose(&pod, query.text("container"))?);
    }
    let node = pod.at("spec").text("nodeName");
    if node.is_empty() {
        return Err(Status::bad_request(format!("pod {} does not have a host assigned", scope.info.name)));
    }
    let backend = kubelet(server, scope, node)?;
    if !wants_upgrade(&request.head.headers) {
        return Err(Status::bad_request("Upgrade request required"));
    }
    let pairs = parameters(verb, query);
    if !pairs.is_empty() {
        path.push('?');
        path.push_str(&pairs);
    }
    let prefix = scope.info.path.clone();
    pass_on(request, &backend, &path, host_value(node), prefix).await.map_err(|error| dial_failure(&error))
}

/// The kubelet's parameters.
fn parameters(verb: &str, query: &Query) -> String {
    let mut pairs = Vec::new();
    if verb == "portForward" {
        let ports = query.all("ports").join(",");
        return if ports.is_empty() { ports } else { format!("port={}", encode_component(&ports)) };
    }
    if verb == "exec" {
        pairs.extend(
            query.all("command").into_iter().map(|word| format!("command={}", encode_component(word))),
        );
    }
    let streams = [("stderr", "error"), ("stdin", "input"), ("stdout", "output"), ("tty", "tty")];
    pairs.extend(
        streams.iter().filter(|(asked, _)| query.is_true(asked)).map(|(_, name)| format!("{name}=1")),
    );
    pairs.join("&")
}

/// The options object that admission sees.
fn options(kind: &str, query: &Query) -> serde_json::Value {
    let mut out = json!({"kind": kind, "apiVersion": "v1"});
    if kind == "PodPortForwardOptions" {
        let ports: Vec<i32> = query
            .all("ports")
            .iter()
            .flat_map(|list| list.split(','))
            .filter_map(|p| p.parse().ok())
            .collect();
        if !ports.is_empty() {
            out["ports"] = json!(ports);
        }
        return out;
    }
    for name in ["stdin", "stdout", "stderr", "tty"] {
        if query.is_true(name) {
            out[name] = true.into();
        }
    }
    if !query.text("container").is_empty() {
        out["container"] = query.text("container").into();
    }
    if kind == "PodExecOptions" {
        out["command"] = json!(query.all("command"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kubelet_is_asked_in_its_own_words() {
        let query =
            Query::parse("command=sh&command=-c&command=echo+a%26b&stdin=true&stdout=1&stderr=false&tty");
        assert_eq!(
            parameters("exec", &query),
            "command=sh&command=-c&command=echo%20a%26b&input=1&output=1&tty=1"
        );
        assert_eq!(parameters("attach", &query), "input=1&output=1&tty=1");
        assert_eq!(parameters("portForward", &Query::parse("ports=80&ports=443")), "port=80%2C443");
    }
}

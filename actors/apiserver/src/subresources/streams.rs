//! log, exec, attach, portforward, proxy: everything up to the node that would serve them.
//!
//! No node serves them yet: a request that is otherwise right is refused by name.

use std::sync::Arc;

use serde_json::Value;
use trireme_schema::status::{Failure, Status};
use trireme_schema::view::View;

use super::options::check_log;
use crate::outcome::Outcome;
use crate::scope::Scope;
use crate::server::Server;

/// Checks the request as upstream does, and refuses it where a node would be asked.
pub(super) async fn refuse(server: &Arc<Server>, scope: &Scope) -> Result<Outcome, Failure> {
    let name = scope.info.subresource.as_str();
    let object = object(server, scope).await?;
    if name == "proxy" {
        let metadata = object.at("metadata");
        let endpoints = server.view.get("", "endpoints", metadata.text("namespace"), metadata.text("name"));
        return Err(proxy(scope, &object, endpoints.is_some()));
    }
    if name == "log" {
        check_log(&scope.query, &scope.info.name)?;
    }
    container(scope, &object)?;
    if object.at("spec").text("nodeName").is_empty() {
        return match name {
            "log" => Ok(Outcome::nothing(204)),
            _ => Err(Status::bad_request(format!("pod {} does not have a host assigned", scope.info.name))),
        };
    }
    Err(not_served(name))
}

fn not_served(name: &str) -> Failure {
    Status::unavailable(format!("{name} is not built yet: no node of this cluster serves it"))
}

/// The pod, service or node; a port may follow its name for proxies.
async fn object(server: &Arc<Server>, scope: &Scope) -> Result<Arc<Value>, Failure> {
    let mut plain = scope.clone();
    if scope.info.subresource == "proxy" {
        let name = &scope.info.name;
        let parts: Vec<&str> = name.split(':').collect();
        plain.info.name = match parts.as_slice() {
            [_, name, _] => (*name).to_owned(),
            [name, _] => (*name).to_owned(),
            _ => name.clone(),
        };
    }
    let record = crate::verbs::read(server, &plain, "").await?;
    server.records.decode(&record).map_err(|error| Status::internal(&error.to_string()))
}

fn container(scope: &Scope, pod: &Value) -> Result<(), Failure> {
    let (name, spec) = (scope.info.subresource.as_str(), pod.at("spec"));
    if name == "portforward" {
        return Ok(());
    }
    let of = |list: &str| -> Vec<String> {
        spec.list(list).iter().map(|container| container.text("name").to_owned()).collect()
    };
    let (main, init, ephemeral) = (of("containers"), of("initContainers"), of("ephemeralContainers"));
    let pod_name = &scope.info.name;
    let asked = scope.query.text("container");
    if asked.is_empty() {
        if main.len() <= 1 || name != "log" {
            return Ok(());
        }
        let mut why = format!(
            "a container name must be specified for pod {pod_name}, choose one of: [{}]",
            main.join(" ")
        );
        if !init.is_empty() {
            why.push_str(&format!(" or one of the init containers: [{}]", init.join(" ")));
        }
        return Err(Status::bad_request(why));
    }
    if main.iter().chain(&init).chain(&ephemeral).any(|known| known == asked) {
        return Ok(());
    }
    Err(Status::bad_request(format!("container {asked} is not valid for pod {pod_name}")))
}

fn proxy(scope: &Scope, object: &Value, has_endpoints: bool) -> Failure {
    match scope.kind.plural.as_str() {
        "pods" if object.at("status").text("podIP").is_empty() => Status::bad_request("address not allowed"),
        "services" => {
            let parts: Vec<&str> = scope.info.name.split(':').collect();
            let (name, port) = match parts.as_slice() {
                [_, name, port] | [name, port] => (*name, *port),
                _ => (scope.info.name.as_str(), ""),
            };
            let ports = object.at("spec").list("ports");
            let known = port.is_empty()
                || ports.iter().any(|own| {
                    own.text("name") == port
                        || own.int("port").is_some_and(|number| number.to_string() == port)
                });
            match known {
                false => Status::unavailable(format!("no service port {port} found for service {name:?}")),
                true if !has_endpoints => Status::not_found("", "services", name),
                true => Status::unavailable(format!("no endpoints available for service {name:?}")),
            }
        }
        _ => not_served("proxy"),
    }
}

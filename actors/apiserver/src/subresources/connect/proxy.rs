//! proxy: requests to pods, services and kubelets.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::header::{HOST, LOCATION};
use http::{HeaderValue, Response};
use serde_json::{Value, json};
use trireme_http::{Reply, ReplyBody, Request};
use trireme_schema::status::{Failure, Status};
use trireme_schema::view::View;

use super::location::{Hosts, rewrite};
use super::split_name::SplitName;
use super::{admit, host_value, kubelet, object, pass_on, what};
use crate::nodes::NodeBackend;
use crate::query::encode_path;
use crate::scope::Scope;
use crate::server::Server;

/// Where `http` goes without a port.
const HTTP_PORT: u16 = 80;

pub(super) async fn serve(server: &Arc<Server>, scope: &Scope, request: Request) -> Result<Reply, Failure> {
    let path = sub_path(scope);
    let options_kind = match scope.kind.plural.as_str() {
        "pods" => "PodProxyOptions",
        "nodes" => "NodeProxyOptions",
        _ => "ServiceProxyOptions",
    };
    admit(server, scope, json!({"kind": options_kind, "apiVersion": "v1", "path": path}))?;
    let (backend, host) = match scope.kind.plural.as_str() {
        "pods" => pod(server, scope).await?,
        "nodes" => node(server, scope).await?,
        _ => service(server, scope).await?,
    };
    let query = request.head.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let own = scope.info.path.strip_suffix(&path).unwrap_or(&scope.info.path).to_owned();
    let reads = matches!(request.head.method, http::Method::GET | http::Method::HEAD);
    if path.is_empty() && reads && !trireme_http::proxy::wants_upgrade(&request.head.headers) {
        return Ok(moved(&format!("{}/{query}", encode_path(&scope.info.path))));
    }
    let target = format!("{}{query}", if path.is_empty() { "/".to_owned() } else { encode_path(&path) });
    let client = client_host(&request);
    let prefix = encode_path(&own);
    let passed = host_value(if client.is_empty() { &host } else { &client });
    let uri = format!("{prefix}{}", encode_path(&path));
    let reply = pass_on(request, &backend, &target, passed, uri).await;
    let mut reply =
        reply.map_err(|error| Status::unavailable(format!("error trying to reach service: {error}")))?;
    if let Reply::Answer(response) = &mut reply {
        rewrite(response, &Hosts { backend: &host, client: &client, prefix: &prefix });
    }
    Ok(reply)
}

/// The path behind `/proxy`, with its slash; empty when there is none.
fn sub_path(scope: &Scope) -> String {
    let rest = scope.info.parts.get(3..).unwrap_or_default().join("/");
    let mut path = if rest.is_empty() { rest } else { format!("/{rest}") };
    if scope.info.path.ends_with('/') && !path.ends_with('/') {
        path.push('/');
    }
    path
}

/// The client's own name for this server.
fn client_host(request: &Request) -> String {
    let named = request.head.headers.get(HOST).and_then(|host| host.to_str().ok()).map(str::to_owned);
    named.or_else(|| request.head.uri.authority().map(ToString::to_string)).unwrap_or_default()
}

fn moved(location: &str) -> Reply {
    let mut response = Response::new(ReplyBody::empty());
    if let Ok(location) = HeaderValue::from_str(location) {
        response.headers_mut().insert(LOCATION, location);
    }
    crate::render::finish(response, 301, &[])
}

async fn pod(server: &Arc<Server>, scope: &Scope) -> Result<(NodeBackend, String), Failure> {
    let split = split(scope, "pod")?;
    let pod = object(server, scope, split.name).await?;
    let containers = pod.at("spec").list("containers");
    let first = containers.iter().find_map(|container| container.list("ports").first()?.int("containerPort"));
    let port = match (split.port, first) {
        ("", Some(port)) => u16::try_from(port).unwrap_or(HTTP_PORT),
        ("", None) => HTTP_PORT,
        (text, _) => number(text)?,
    };
    let address = pod.at("status").text("podIP");
    let address = proxyable(address).ok_or_else(|| Status::bad_request("address not allowed"))?;
    let address = SocketAddr::new(address, port);
    plain_only(&split)?;
    behind(server, scope, pod.at("spec").text("nodeName"), address)
}

async fn node(server: &Arc<Server>, scope: &Scope) -> Result<(NodeBackend, String), Failure> {
    let split = split(scope, "node")?;
    let node = object(server, scope, split.name).await?;
    let status = node.at("status");
    let own = status.at("daemonEndpoints").at("kubeletEndpoint").int("Port").unwrap_or(10_250);
    if split.port.is_empty() || split.port == own.to_string() {
        return Ok((kubelet(server, scope, split.name)?, split.name.to_owned()));
    }
    let port = number(split.port)?;
    let internal = status.list("addresses").iter().find(|address| address.text("type") == "InternalIP");
    let address = internal.and_then(|address| proxyable(address.text("address")));
    let address = address.ok_or_else(|| Status::bad_request("address not allowed"))?;
    plain_only(&split)?;
    behind(server, scope, split.name, SocketAddr::new(address, port))
}

async fn service(server: &Arc<Server>, scope: &Scope) -> Result<(NodeBackend, String), Failure> {
    let split = split(scope, "service")?;
    let service = object(server, scope, split.name).await?;
    let mut port = split.port.to_owned();
    if let Ok(wanted) = split.port.parse::<i64>() {
        let ports = service.at("spec").list("ports");
        let Some(found) = ports.iter().find(|own| own.int("port") == Some(wanted)) else {
            let why = format!("no service port {wanted} found for service {:?}", split.name);
            return Err(Status::unavailable(why));
        };
        port = found.text("name").to_owned();
    }
    let Some(endpoints) = server.view.get("", "endpoints", scope.namespace(), split.name) else {
        return Err(Status::not_found("", "services", split.name));
    };
    let subsets = endpoints.list("subsets");
    if subsets.is_empty() {
        return Err(Status::unavailable(format!("no endpoints available for service {:?}", split.name)));
    }
    plain_only(&split)?;
    let random = usize::try_from((server.config.random)() >> 1).unwrap_or(0);
    match target(server, subsets, &port, random) {
        Some((node, address)) => behind(server, scope, &node, address),
        None => {
            let why = format!("no endpoints available for service {:?}", scope.info.name);
            Err(Status::unavailable(why))
        }
    }
}

/// One of the pods behind a port, and its node. Only addresses that really are those of pods are taken.
fn target(server: &Server, subsets: &[Value], port: &str, random: usize) -> Option<(String, SocketAddr)> {
    for at in 0..subsets.len() {
        let subset = &subsets[(random % subsets.len() + at) % subsets.len()];
        let Some(own) = subset.list("ports").iter().find(|own| own.text("name") == port) else { continue };
        let Some(number) = own.int("port").and_then(|port| u16::try_from(port).ok()) else { continue };
        let addresses = subset.list("addresses");
        for at in 0..addresses.len() {
            let address = &addresses[(random % addresses.len() + at) % addresses.len()];
            let reference = address.at("targetRef");
            if reference.text("kind") != "Pod" {
                continue;
            }
            let pod = server.view.get("", "pods", reference.text("namespace"), reference.text("name"));
            let Some(pod) = pod else { continue };
            let ip = address.text("ip");
            let status = pod.at("status");
            let owns =
                status.text("podIP") == ip || status.list("podIPs").iter().any(|own| own.text("ip") == ip);
            if let Some(parsed) = proxyable(ip).filter(|_| owns) {
                return Some((pod.at("spec").text("nodeName").to_owned(), SocketAddr::new(parsed, number)));
            }
        }
    }
    None
}

fn split<'a>(scope: &'a Scope, what: &str) -> Result<SplitName<'a>, Failure> {
    SplitName::parse(&scope.info.name)
        .ok_or_else(|| Status::bad_request(format!("invalid {what} request {:?}", scope.info.name)))
}

fn number(text: &str) -> Result<u16, Failure> {
    text.parse().map_err(|_| {
        Status::unavailable(format!("error trying to reach service: {text:?} is no port number"))
    })
}

fn plain_only(split: &SplitName<'_>) -> Result<(), Failure> {
    match split.scheme {
        "https" => Err(Status::plain(
            501,
            "proxying with TLS (https:name:port) is not built into this server; use http:name:port",
        )),
        _ => Ok(()),
    }
}

fn behind(
    server: &Server,
    scope: &Scope,
    node: &str,
    address: SocketAddr,
) -> Result<(NodeBackend, String), Failure> {
    let dialer = server.nodes.dialer(&what(scope))?;
    let backend = NodeBackend { dialer, node: node.to_owned(), address: Some(address) };
    Ok((backend, address.to_string()))
}

/// Addresses that a client may be led to: not this machine itself, nor its links.
fn proxyable(text: &str) -> Option<IpAddr> {
    let address: IpAddr = text.parse().ok()?;
    let link_local = match address {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_unicast_link_local() || v6.to_ipv4_mapped().is_some(),
    };
    (!address.is_loopback() && !address.is_unspecified() && !address.is_multicast() && !link_local)
        .then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_led_to_the_server_itself() {
        for no in [
            "127.0.0.1",
            "::1",
            "0.0.0.0",
            "169.254.169.254",
            "fe80::1",
            "224.0.0.1",
            "::ffff:127.0.0.1",
            "x",
        ] {
            assert_eq!(proxyable(no), None, "{no}");
        }
        for yes in ["10.0.0.5", "192.168.1.1", "fd00::5"] {
            assert!(proxyable(yes).is_some(), "{yes}");
        }
    }
}

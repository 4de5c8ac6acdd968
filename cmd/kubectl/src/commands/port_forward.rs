//! `port-forward`: local ports whose connections go to a pod.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use serde_json::Value;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::pods;
use crate::arguments::PortForward;
use crate::error::KubectlError;
use crate::output::write;
use crate::session::Session;
use crate::target;

/// A local port (0 is any) and the container's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pair {
    local: u16,
    remote: u16,
}

pub(super) async fn run(session: &Session, forward: &PortForward) -> Result<(), KubectlError> {
    let [word, ports @ ..] = forward.words.as_slice() else { return Err(missing()) };
    if ports.is_empty() {
        return Err(missing());
    }
    let addresses = addresses(&forward.address)?;
    let found = pods::find(session, Some(word), None).await?;
    let pod = pods::best(&found).ok_or_else(|| KubectlError::usage("no pod was found"))?;
    let pairs = match service(session, word).await? {
        Some(service) => ports.iter().map(|port| of_service(port, &service, pod)).collect(),
        None => ports.iter().map(|port| of_pod(port, pod)).collect::<Result<Vec<_>, _>>(),
    }?;
    let phase = pod["status"]["phase"].as_str().unwrap_or_default();
    if phase != "Running" {
        return Err(KubectlError::usage(format!(
            "unable to forward port because pod is not running. Current status={phase}"
        )));
    }
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    serve(session, name, &addresses, &pairs).await
}

fn missing() -> KubectlError {
    KubectlError::see_help("TYPE/NAME and list of ports are required for port-forward", "port-forward")
}

/// The service that a word names, if it names one.
async fn service(session: &Session, word: &str) -> Result<Option<Value>, KubectlError> {
    let (kind, name) = target::one(&[word.to_owned()], Some("pods"), session.catalogue().await?)?;
    match kind.full().as_str() {
        "services" => Ok(Some(session.get(&kind, &session.namespace, &name).await?)),
        _ => Ok(None),
    }
}

/// Where to listen; localhost has two addresses.
fn addresses(given: &[String]) -> Result<Vec<IpAddr>, KubectlError> {
    let mut addresses = Vec::new();
    for address in given {
        if address == "localhost" {
            addresses.extend([IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]);
            continue;
        }
        let address =
            address.parse().map_err(|_| KubectlError::usage(format!("{address} is not a valid IP")))?;
        addresses.push(address);
    }
    addresses.dedup();
    Ok(addresses)
}

/// `80` is `80:80`; `:80` takes any local port.
fn split(port: &str) -> Result<(&str, &str), KubectlError> {
    match port.split(':').collect::<Vec<_>>().as_slice() {
        [both] => Ok((both, both)),
        [local, remote] => Ok((local, remote)),
        _ => Err(KubectlError::usage(format!("invalid port format '{port}'"))),
    }
}

fn pair(local: &str, remote: u16) -> Result<Pair, KubectlError> {
    if remote == 0 {
        return Err(KubectlError::usage("remote port must be > 0"));
    }
    let number = if local.is_empty() { Ok(0) } else { local.parse() };
    let local = number
        .map_err(|error| KubectlError::usage(format!("error parsing local port '{local}': {error}")))?;
    Ok(Pair { local, remote })
}

fn of_pod(port: &str, pod: &Value) -> Result<Pair, KubectlError> {
    let (local, remote) = split(port)?;
    if let Ok(number) = remote.parse() {
        return pair(local, number);
    }
    let number = container_port(pod, remote)?;
    let text = number.to_string();
    pair(if local == remote { &text } else { local }, number)
}

/// A service's port leads to its target; one of a headless service is the pod's own.
fn of_service(port: &str, service: &Value, pod: &Value) -> Result<Pair, KubectlError> {
    let (local, remote) = split(port)?;
    let name = service["metadata"]["name"].as_str().unwrap_or_default();
    let ports = service["spec"]["ports"].as_array().map(Vec::as_slice).unwrap_or_default();
    let (wanted, local) = match remote.parse::<u16>() {
        Ok(number) => (number, local.to_owned()),
        Err(_) => {
            let named = ports.iter().find(|port| port["name"] == *remote).and_then(number_of);
            let number = named.ok_or_else(|| {
                KubectlError::usage(format!("Service '{name}' does not have a named port '{remote}'"))
            })?;
            (number, if local == remote { number.to_string() } else { local.to_owned() })
        }
    };
    let found = ports.iter().find(|port| number_of(port) == Some(wanted)).ok_or_else(|| {
        KubectlError::usage(format!("Service {name} does not have a service port {wanted}"))
    })?;
    let remote = match &found["targetPort"] {
        _ if service["spec"]["clusterIP"] == "None" => wanted,
        Value::String(name) => container_port(pod, name)?,
        target => {
            target.as_u64().and_then(|target| u16::try_from(target).ok()).filter(|t| *t > 0).unwrap_or(wanted)
        }
    };
    pair(&local, remote)
}

fn number_of(port: &Value) -> Option<u16> {
    u16::try_from(port["port"].as_u64()?).ok()
}

fn container_port(pod: &Value, name: &str) -> Result<u16, KubectlError> {
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    let mut ports = containers.flat_map(|container| container["ports"].as_array().into_iter().flatten());
    let found = ports.find(|port| port["name"] == *name).and_then(|port| port["containerPort"].as_u64());
    found.and_then(|port| u16::try_from(port).ok()).ok_or_else(|| {
        let pod = pod["metadata"]["name"].as_str().unwrap_or_default();
        KubectlError::usage(format!("Pod '{pod}' does not have a named port '{name}'"))
    })
}

/// Listens and carries connections until the pod is lost.
async fn serve(
    session: &Session,
    name: &str,
    addresses: &[IpAddr],
    pairs: &[Pair],
) -> Result<(), KubectlError> {
    let (lost, mut losses) = mpsc::channel(1);
    let mut listening = 0;
    for pair in pairs {
        // Any port means one port, the same on all addresses.
        let mut wanted = pair.local;
        for address in addresses {
            let listener = match TcpListener::bind((*address, wanted)).await {
                Ok(listener) => listener,
                Err(error) => {
                    // One of the two of localhost, as a machine without IPv6 has it, is enough.
                    eprintln!("Unable to listen on port {wanted}: {error}");
                    continue;
                }
            };
            let local = listener.local_addr().map_err(|error| KubectlError::Io(error.to_string()))?;
            write(&format!("Forwarding from {local} -> {}\n", pair.remote))?;
            wanted = local.port();
            listening += 1;
            let api: Api<Pod> = Api::namespaced(session.rest.client().clone(), &session.namespace);
            let (name, lost, remote) = (name.to_owned(), lost.clone(), pair.remote);
            tokio::spawn(async move {
                while let Ok((connection, _)) = listener.accept().await {
                    let (api, name, lost) = (api.clone(), name.clone(), lost.clone());
                    tokio::spawn(carry(api, name, connection, Pair { local: local.port(), remote }, lost));
                }
            });
        }
    }
    if listening == 0 {
        let listed: Vec<String> =
            pairs.iter().map(|pair| format!("{{{} {}}}", pair.local, pair.remote)).collect();
        return Err(KubectlError::usage(format!(
            "unable to listen on any of the requested ports: [{}]",
            listed.join(" ")
        )));
    }
    drop(lost);
    losses.recv().await;
    Err(KubectlError::usage("lost connection to pod"))
}

/// Carries one connection; the pod is lost when no stream to it can be had.
async fn carry(api: Api<Pod>, name: String, mut connection: TcpStream, pair: Pair, lost: mpsc::Sender<()>) {
    let Pair { local, remote } = pair;
    let failed = |why: &dyn std::fmt::Display| {
        eprintln!("error: an error occurred forwarding {local} -> {remote}: {why}");
    };
    if write(&format!("Handling connection for {local}\n")).is_err() {
        return;
    }
    let mut forwarder = match api.portforward(&name, &[remote]).await {
        Ok(forwarder) => forwarder,
        Err(error) => {
            failed(&super::exec::refused(&error));
            let _ = lost.try_send(());
            return;
        }
    };
    let refused = forwarder.take_error(remote);
    if let Some(mut stream) = forwarder.take_stream(remote) {
        // A side that breaks off ends the connection; why is told by the server, below.
        let _ = copy_bidirectional(&mut connection, &mut stream).await;
    }
    let told = async {
        match refused {
            Some(refused) => refused.await,
            None => None,
        }
    };
    // The message loop ends with its streams, and with it the channel of errors.
    let (why, _) = tokio::join!(told, forwarder.join());
    if let Some(why) = why {
        failed(&why);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod() -> Value {
        json!({"metadata": {"name": "p"}, "spec": {"containers": [
            {"name": "a"}, {"name": "b", "ports": [{"name": "web", "containerPort": 8080}]}]}})
    }

    #[test]
    fn ports_of_pods() {
        let read = |port: &str| of_pod(port, &pod()).map(|pair| (pair.local, pair.remote));
        assert_eq!(read("80").unwrap(), (80, 80));
        assert_eq!(read("8000:80").unwrap(), (8000, 80));
        assert_eq!(read(":80").unwrap(), (0, 80));
        assert_eq!(read("web").unwrap(), (8080, 8080));
        assert_eq!(read("1:web").unwrap(), (1, 8080));
        assert_eq!(read("nope").unwrap_err().to_string(), "error: Pod 'p' does not have a named port 'nope'");
        assert_eq!(read("1:2:3").unwrap_err().to_string(), "error: invalid port format '1:2:3'");
        assert_eq!(read("0").unwrap_err().to_string(), "error: remote port must be > 0");
        assert!(read("x:80").unwrap_err().to_string().starts_with("error: error parsing local port 'x'"));
    }

    #[test]
    fn ports_of_services() {
        let mut service = json!({"metadata": {"name": "s"}, "spec": {"clusterIP": "10.0.0.1", "ports": [
            {"name": "http", "port": 80, "targetPort": "web"}, {"name": "raw", "port": 81, "targetPort": 9}]}});
        let read = |port: &str, service: &Value| {
            of_service(port, service, &pod()).map(|pair| (pair.local, pair.remote))
        };
        assert_eq!(read("80", &service).unwrap(), (80, 8080));
        assert_eq!(read("http", &service).unwrap(), (80, 8080));
        assert_eq!(read("5:81", &service).unwrap(), (5, 9));
        assert_eq!(
            read("82", &service).unwrap_err().to_string(),
            "error: Service s does not have a service port 82"
        );
        service["spec"]["clusterIP"] = "None".into();
        assert_eq!(read("81", &service).unwrap(), (81, 81));
    }

    #[test]
    fn addresses_to_listen_on() {
        let read = |text: &str| addresses(&[text.to_owned()]);
        assert_eq!(read("localhost").unwrap().len(), 2);
        assert_eq!(read("0.0.0.0").unwrap().len(), 1);
        assert_eq!(read("web").unwrap_err().to_string(), "error: web is not a valid IP");
    }
}

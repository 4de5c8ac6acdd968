//! `api-resources`, `api-versions` and `version`

use clap::CommandFactory as _;
use serde_json::{Value, json};
use trireme_client::Ask;

use crate::arguments::{ApiResources, Kubectl, Version};
use crate::error::KubectlError;
use crate::output::{Grid, indented, write};
use crate::session::Session;

pub(super) async fn api_resources(session: &Session, wanted: &ApiResources) -> Result<(), KubectlError> {
    if !["", "wide", "name"].contains(&wanted.output.as_str()) {
        return Err(KubectlError::usage(format!("--output {} is not available", wanted.output)));
    }
    if !["", "name", "kind"].contains(&wanted.sort_by.as_str()) {
        return Err(KubectlError::usage("--sort-by accepts only name or kind"));
    }
    let catalogue = session.catalogue().await?;
    let mut kinds: Vec<_> = catalogue.kinds.iter().collect();
    kinds.retain(|kind| {
        wanted.api_group.as_ref().is_none_or(|group| &kind.group == group)
            && wanted.namespaced.is_none_or(|namespaced| kind.namespaced == namespaced)
            && wanted.categories.iter().all(|category| kind.categories.contains(category))
            && wanted.verbs.iter().all(|verb| kind.verbs.contains(verb))
    });
    kinds.sort_by(|a, b| (&a.group, &a.plural).cmp(&(&b.group, &b.plural)));
    // The preferred version comes first in discovery, and one line stands for a resource.
    kinds.dedup_by(|next, first| next.group == first.group && next.plural == first.plural);
    match wanted.sort_by.as_str() {
        "name" => kinds.sort_by(|a, b| a.plural.cmp(&b.plural)),
        "kind" => kinds.sort_by(|a, b| a.kind.cmp(&b.kind)),
        _ => {}
    }
    if wanted.output == "name" {
        return write(&kinds.iter().map(|kind| format!("{}\n", kind.full())).collect::<String>());
    }
    let wide = wanted.output == "wide";
    let mut grid = Grid::new(&["NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND"]);
    grid.headers.extend(wide.then(|| ["VERBS", "CATEGORIES"].map(str::to_owned)).into_iter().flatten());
    for kind in kinds {
        let mut row = vec![
            kind.plural.clone(),
            kind.short.join(","),
            kind.api_version(),
            kind.namespaced.to_string(),
            kind.kind.clone(),
        ];
        row.extend(wide.then(|| [kind.verbs.join(","), kind.categories.join(",")]).into_iter().flatten());
        grid.rows.push(row);
    }
    write(&grid.text(!wanted.no_headers))
}

pub(super) async fn api_versions(session: &Session) -> Result<(), KubectlError> {
    let mut versions: Vec<String> =
        session.catalogue().await?.kinds.iter().map(crate::catalogue::Kind::api_version).collect();
    versions.sort();
    versions.dedup();
    write(&versions.iter().map(|version| format!("{version}\n")).collect::<String>())
}

/// `options`
pub(super) fn options() -> Result<(), KubectlError> {
    write(&inherited(&Kubectl::command()))
}

/// The flags that any command takes, each with what it is for.
fn inherited(command: &clap::Command) -> String {
    let mut out = "The following options can be passed to any command:\n\n".to_owned();
    for flag in command.get_arguments().filter(|flag| flag.is_global_set()) {
        let Some(long) = flag.get_long() else { continue };
        let lead = flag.get_short().map_or_else(|| "    ".to_owned(), |short| format!("-{short}, "));
        let help = flag.get_help().map(ToString::to_string).unwrap_or_default();
        out.push_str(&format!("    {lead}--{long}:\n\t{help}\n\n"));
    }
    out
}

/// `cluster-info`
pub(super) async fn cluster_info(session: &Session) -> Result<(), KubectlError> {
    let kind = session.catalogue().await?.find("services")?;
    let selector = [("labelSelector", "kubernetes.io/cluster-service=true")];
    let services = session.list(kind, Some("kube-system"), &selector).await?;
    write(&whereabouts(session.rest.server(), &services))
}

/// Where the control plane and the cluster's own services are.
fn whereabouts(server: &str, services: &[Value]) -> String {
    let server = server.trim_end_matches('/');
    let mut out = format!("Kubernetes control plane is running at {server}\n");
    for service in services {
        let metadata = &service["metadata"];
        let name = metadata["name"].as_str().unwrap_or_default();
        let shown = metadata["labels"]["kubernetes.io/name"].as_str().unwrap_or(name);
        let namespace = metadata["namespace"].as_str().unwrap_or_default();
        let port = &service["spec"]["ports"][0];
        let mut link = name.to_owned();
        if let Some(port) = port["name"].as_str().filter(|name| !name.is_empty()) {
            link = format!("{link}:{port}");
        }
        if port["port"] == 443 || port["name"] == "https" {
            link = format!("https:{link}{}", if link.contains(':') { "" } else { ":" });
        }
        out.push_str(&format!(
            "{shown} is running at {server}/api/v1/namespaces/{namespace}/services/{link}/proxy\n"
        ));
    }
    out
}

/// `version`; without a session only the client's.
pub(super) async fn version(session: Option<&Session>, wanted: &Version) -> Result<(), KubectlError> {
    let client = json!({"gitVersion": format!("v{}", env!("CARGO_PKG_VERSION")), "platform": platform(),
        "major": env!("CARGO_PKG_VERSION_MAJOR"), "minor": env!("CARGO_PKG_VERSION_MINOR")});
    let mut whole = json!({"clientVersion": client});
    // The client is told even when no server answers.
    let server = match session {
        Some(session) => Some(session.rest.json(&Ask::get("/version")).await),
        None => None,
    };
    if let Some(Ok(server)) = &server {
        whole["serverVersion"] = server.clone();
    }
    write(&match wanted.output.as_str() {
        "" => plain(&whole),
        "json" => format!("{}\n", indented(&whole).replace("    ", "  ")),
        "yaml" => trireme_schema::yaml::print(&whole),
        _ => return Err(KubectlError::usage("--output must be 'yaml' or 'json'")),
    })?;
    server.transpose().map(drop).map_err(KubectlError::from)
}

fn plain(whole: &Value) -> String {
    let text = |side: &str| whole[side]["gitVersion"].as_str().unwrap_or_default().to_owned();
    let mut out = format!("Client Version: {} (trireme)\n", text("clientVersion"));
    if whole["serverVersion"].is_object() {
        out.push_str(&format!("Server Version: {}\n", text("serverVersion")));
    }
    out
}

fn platform() -> String {
    let machine = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    format!("{}/{machine}", std::env::consts::OS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_of_any_command_are_listed() {
        let text = inherited(&Kubectl::command());
        assert!(text.contains("    -n, --namespace:\n\tThe namespace scope of this request\n"), "{text}");
        assert!(text.contains("        --context:\n"), "{text}");
    }

    #[test]
    fn services_of_the_cluster_are_reached_through_the_server() {
        let services = [json!({"metadata": {"name": "kube-dns", "namespace": "kube-system",
            "labels": {"kubernetes.io/name": "CoreDNS"}}, "spec": {"ports": [{"name": "dns", "port": 53}]}})];
        assert_eq!(
            whereabouts("https://h:6443/", &services),
            "Kubernetes control plane is running at https://h:6443\n\
             CoreDNS is running at https://h:6443/api/v1/namespaces/kube-system/services/kube-dns:dns/proxy\n"
        );
    }
}

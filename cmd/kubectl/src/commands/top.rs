//! `top`: what nodes and pods use, as the metrics API tells it.

use serde_json::Value;
use trireme_client::{Ask, ClientError};
use trireme_schema::Quantity;

use crate::arguments::{Top, TopWanted};
use crate::error::KubectlError;
use crate::output::{Grid, write};
use crate::session::Session;

const API: &str = "/apis/metrics.k8s.io/v1beta1";
const MEBIBYTE: i64 = 1024 * 1024;

/// Use of a node, a pod or a container: thousandths of a core, and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Usage {
    cpu_milli: i64,
    memory_bytes: i64,
}

impl Usage {
    fn of(resources: &Value) -> Self {
        let quantity = |name: &str| resources[name].as_str().and_then(|text| text.parse::<Quantity>().ok());
        Self {
            cpu_milli: quantity("cpu").map_or(0, |amount| amount.milli_value()),
            memory_bytes: quantity("memory").map_or(0, |amount| amount.value()),
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            cpu_milli: self.cpu_milli.saturating_add(other.cpu_milli),
            memory_bytes: self.memory_bytes.saturating_add(other.memory_bytes),
        }
    }

    fn cells(self) -> [String; 2] {
        [format!("{}m", self.cpu_milli), format!("{}Mi", self.memory_bytes / MEBIBYTE)]
    }
}

pub(super) async fn run(session: &Session, top: &Top) -> Result<(), KubectlError> {
    let (wanted, pods) = match top {
        Top::Node(wanted) => (wanted, None),
        Top::Pod { wanted, all_namespaces, containers } => (wanted, Some((*all_namespaces, *containers))),
    };
    if !["", "cpu", "memory"].contains(&wanted.sort_by.as_str()) {
        return Err(KubectlError::usage("--sort-by accepts only cpu or memory"));
    }
    if wanted.name.is_some() && wanted.selector.is_some() {
        return Err(KubectlError::usage("only one of NAME or --selector can be provided"));
    }
    let collection = match pods {
        None => format!("{API}/nodes"),
        Some((true, _)) => format!("{API}/pods"),
        Some((false, _)) => format!("{API}/namespaces/{}/pods", session.namespace),
    };
    let found = measured(session, &collection, wanted).await?;
    if found.is_empty() {
        eprintln!("No resources found");
        return Ok(());
    }
    let grid = match pods {
        None => {
            let kind = session.catalogue().await?.find("nodes")?;
            nodes(&found, &session.list(kind, None, &[]).await?, &wanted.sort_by)
        }
        Some((namespaces, containers)) => of_pods(&found, namespaces, containers, &wanted.sort_by),
    };
    write(&grid.text(!wanted.no_headers))
}

/// The metrics asked for.
async fn measured(
    session: &Session,
    collection: &str,
    wanted: &TopWanted,
) -> Result<Vec<Value>, KubectlError> {
    let missing = || KubectlError::usage("Metrics API not available");
    // A name that is not known is told apart from an API that is not there.
    let served = session.rest.json(&Ask::get(API)).await;
    served.map_err(|error| if unserved(&error) { missing() } else { error.into() })?;
    if let Some(name) = &wanted.name {
        return Ok(vec![session.rest.json(&Ask::get(&format!("{collection}/{name}"))).await?]);
    }
    let query: Vec<(&str, &str)> =
        wanted.selector.as_deref().map(|selector| ("labelSelector", selector)).into_iter().collect();
    let mut list = session.rest.json(&Ask::get(collection).with(&query)).await?;
    let Value::Array(items) = list["items"].take() else { return Ok(Vec::new()) };
    Ok(items)
}

/// Whether nobody answers for the metrics API: it is not there, or what it passes on to is not.
fn unserved(error: &ClientError) -> bool {
    error.is_not_found() || error.code() == Some(503)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn nodes(found: &[Value], nodes: &[Value], sort_by: &str) -> Grid {
    let mut lines = Vec::new();
    for metrics in found {
        let name = text(&metrics["metadata"]["name"]);
        let usage = Usage::of(&metrics["usage"]);
        let node = nodes.iter().find(|node| node["metadata"]["name"] == *name);
        let whole = node.map(|node| Usage::of(&node["status"]["allocatable"])).unwrap_or_default();
        let [cpu, memory] = usage.cells();
        let row = vec![
            name,
            cpu,
            share(usage.cpu_milli, whole.cpu_milli),
            memory,
            share(usage.memory_bytes, whole.memory_bytes),
        ];
        lines.push((usage, row));
    }
    let mut grid = Grid::new(&["NAME", "CPU(cores)", "CPU(%)", "MEMORY(bytes)", "MEMORY(%)"]);
    grid.rows = sorted(lines, sort_by);
    grid
}

/// Percent, cut down; `<unknown>` of nothing.
fn share(part: i64, whole: i64) -> String {
    if whole <= 0 {
        "<unknown>".to_owned()
    } else {
        format!("{}%", i128::from(part) * 100 / i128::from(whole))
    }
}

fn of_pods(found: &[Value], namespaces: bool, containers: bool, sort_by: &str) -> Grid {
    let mut lines = Vec::new();
    for pod in found {
        let namespace = namespaces.then(|| text(&pod["metadata"]["namespace"]));
        let name = text(&pod["metadata"]["name"]);
        let mut sum = Usage::default();
        for container in pod["containers"].as_array().into_iter().flatten() {
            let usage = Usage::of(&container["usage"]);
            sum = sum.plus(usage);
            if containers {
                let mut row: Vec<String> = namespace.clone().into_iter().collect();
                row.extend([name.clone(), text(&container["name"])]);
                row.extend(usage.cells());
                lines.push((usage, row));
            }
        }
        if !containers {
            let mut row: Vec<String> = namespace.into_iter().chain([name]).collect();
            row.extend(sum.cells());
            lines.push((sum, row));
        }
    }
    let mut headers = Vec::new();
    headers.extend(namespaces.then_some("NAMESPACE"));
    headers.extend(if containers { &["POD", "NAME"][..] } else { &["NAME"][..] });
    headers.extend(["CPU(cores)", "MEMORY(bytes)"]);
    let mut grid = Grid::new(&headers);
    grid.rows = sorted(lines, sort_by);
    grid
}

/// Most first, or by what stands in front.
fn sorted(mut lines: Vec<(Usage, Vec<String>)>, sort_by: &str) -> Vec<Vec<String>> {
    lines.sort_by(|(a, left), (b, right)| match sort_by {
        "cpu" => b.cpu_milli.cmp(&a.cpu_milli),
        "memory" => b.memory_bytes.cmp(&a.memory_bytes),
        _ => left.cmp(right),
    });
    lines.into_iter().map(|(_, row)| row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pods_sum_their_containers() {
        let pod = |name: &str, cpu: &str| {
            json!({"metadata": {"name": name, "namespace": "n"}, "containers": [
                {"name": "a", "usage": {"cpu": cpu, "memory": "2Mi"}},
                {"name": "b", "usage": {"cpu": "1m", "memory": "1024Ki"}}]})
        };
        let found = [pod("x", "1500u"), pod("y", "1")];
        assert_eq!(of_pods(&found, false, false, "cpu").rows, [["y", "1001m", "3Mi"], ["x", "3m", "3Mi"]]);
        let grid = of_pods(&found, true, true, "");
        assert_eq!(grid.headers, ["NAMESPACE", "POD", "NAME", "CPU(cores)", "MEMORY(bytes)"]);
        assert_eq!(grid.rows[1], ["n", "x", "b", "1m", "1Mi"]);
    }

    #[test]
    fn nodes_have_shares() {
        let found = [json!({"metadata": {"name": "m"}, "usage": {"cpu": "500m", "memory": "1Gi"}})];
        let all =
            [json!({"metadata": {"name": "m"}, "status": {"allocatable": {"cpu": "2", "memory": "4Gi"}}})];
        assert_eq!(nodes(&found, &all, "").rows, [["m", "500m", "25%", "1024Mi", "25%"]]);
        assert_eq!(nodes(&found, &[], "").rows[0][2], "<unknown>");
    }
}

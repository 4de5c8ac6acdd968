//! `api-resources`, `api-versions` and `version`

use serde_json::{Value, json};
use trireme_client::Ask;

use crate::arguments::{ApiResources, Version};
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

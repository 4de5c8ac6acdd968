//! `api-resources`, `api-versions` and `version`

use trireme_client::Ask;

use super::get::write;
use crate::arguments::ApiResources;
use crate::error::KubectlError;
use crate::output::Grid;
use crate::session::Session;

pub(super) async fn api_resources(session: &Session, wanted: &ApiResources) -> Result<(), KubectlError> {
    let catalogue = session.catalogue().await?;
    let mut kinds: Vec<_> = catalogue.kinds.iter().collect();
    kinds.retain(|kind| {
        wanted.api_group.as_ref().is_none_or(|group| &kind.group == group)
            && wanted.namespaced.is_none_or(|namespaced| kind.namespaced == namespaced)
            && wanted.verbs.iter().all(|verb| kind.verbs.contains(verb))
    });
    kinds.sort_by(|a, b| (&a.group, &a.plural).cmp(&(&b.group, &b.plural)));
    // The preferred version comes first in discovery, and one line stands for a resource.
    kinds.dedup_by(|next, first| next.group == first.group && next.plural == first.plural);
    if wanted.output.as_deref() == Some("name") {
        return write(&kinds.iter().map(|kind| format!("{}\n", kind.full())).collect::<String>());
    }
    let wide = wanted.output.as_deref() == Some("wide");
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

pub(super) fn client_version() {
    println!("Client Version: v{} (trireme)", env!("CARGO_PKG_VERSION"));
}

pub(super) async fn version(session: &Session) -> Result<(), KubectlError> {
    client_version();
    let server = session.rest.json(&Ask::get("/version")).await?;
    write(&format!("Server Version: {}\n", server["gitVersion"].as_str().unwrap_or_default()))
}

//! [`Catalogue`]: the kinds that a cluster serves, and how people name them.

use serde_json::Value;
use trireme_client::{Ask, Rest};

use crate::error::KubectlError;

/// Aggregated discovery, which every server since 1.27 speaks.
const DISCOVERY: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;\
                         g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";

/// One kind in one version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) kind: String,
    pub(crate) plural: String,
    pub(crate) singular: String,
    pub(crate) short: Vec<String>,
    pub(crate) categories: Vec<String>,
    pub(crate) verbs: Vec<String>,
    pub(crate) subresources: Vec<String>,
    pub(crate) namespaced: bool,
}

impl Kind {
    /// `apps/v1`, `v1`.
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// `deployment.apps`, `pod`: how messages name an object's type.
    pub(crate) fn shown(&self) -> String {
        let name = if self.singular.is_empty() { self.kind.to_lowercase() } else { self.singular.clone() };
        if self.group.is_empty() { name } else { format!("{name}.{}", self.group) }
    }

    /// `deployments.apps`, `pods`.
    pub(crate) fn full(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// An item of a list, which leaves its type to the list.
    pub(crate) fn typed(&self, mut item: Value) -> Value {
        item["apiVersion"] = self.api_version().into();
        item["kind"] = self.kind.clone().into();
        item
    }

    fn is_called(&self, word: &str) -> bool {
        self.plural == word
            || self.singular == word
            || self.kind.eq_ignore_ascii_case(word)
            || self.short.iter().any(|short| short == word)
    }
}

/// All kinds, in the order of discovery: preferred groups and versions first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Catalogue {
    pub(crate) kinds: Vec<Kind>,
}

impl Catalogue {
    pub(crate) async fn read(rest: &Rest) -> Result<Self, KubectlError> {
        let mut kinds = Vec::new();
        for path in ["/api", "/apis"] {
            let found = rest.json(&Ask::get(path).accepting(DISCOVERY)).await?;
            for group in found["items"].as_array().into_iter().flatten() {
                read_group(group, &mut kinds);
            }
        }
        Ok(Self { kinds })
    }

    /// The kind that a word names: `po`, `pods`, `Pod`, `deployments.apps`, `deployments.v1.apps`.
    pub(crate) fn find(&self, word: &str) -> Result<&Kind, KubectlError> {
        let lower = word.to_lowercase();
        let (name, rest) = lower.split_once('.').unwrap_or((&lower, ""));
        let fits = |kind: &&Kind| {
            let (version, group) = rest.split_once('.').unwrap_or((rest, ""));
            kind.is_called(name)
                && (rest.is_empty() || kind.group == rest || (kind.version == version && kind.group == group))
        };
        let missing = || KubectlError::usage(format!("the server doesn't have a resource type \"{word}\""));
        self.kinds.iter().find(fits).ok_or_else(missing)
    }

    /// The kind of an object.
    pub(crate) fn of(&self, object: &Value) -> Result<&Kind, KubectlError> {
        let (version, kind) =
            (object["apiVersion"].as_str().unwrap_or(""), object["kind"].as_str().unwrap_or(""));
        let found = self.kinds.iter().find(|known| known.kind == kind && known.api_version() == version);
        found.ok_or_else(|| {
            KubectlError::usage(format!(
                "resource mapping not found for name: \"{}\" namespace: \"{}\": no matches for kind \"{kind}\" in version \
                 \"{version}\"\nensure CRDs are installed first",
                object["metadata"]["name"].as_str().unwrap_or(""),
                object["metadata"]["namespace"].as_str().unwrap_or(""),
            ))
        })
    }

    /// The kinds of a category, such as `all`.
    pub(crate) fn category(&self, word: &str) -> Vec<&Kind> {
        let mut found: Vec<&Kind> = Vec::new();
        for kind in self.kinds.iter().filter(|kind| kind.categories.iter().any(|category| category == word)) {
            if !found.iter().any(|seen| seen.group == kind.group && seen.plural == kind.plural) {
                found.push(kind);
            }
        }
        found
    }
}

fn read_group(group: &Value, kinds: &mut Vec<Kind>) {
    let name = group["metadata"]["name"].as_str().unwrap_or_default();
    for version in group["versions"].as_array().into_iter().flatten() {
        for resource in version["resources"].as_array().into_iter().flatten() {
            let text = |name: &str| resource[name].as_str().unwrap_or_default().to_owned();
            let list = |name: &str| {
                let items = resource[name].as_array().into_iter().flatten();
                items.filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>()
            };
            let subresources = resource["subresources"].as_array().into_iter().flatten();
            kinds.push(Kind {
                group: name.to_owned(),
                version: version["version"].as_str().unwrap_or_default().to_owned(),
                kind: resource["responseKind"]["kind"].as_str().unwrap_or_default().to_owned(),
                plural: text("resource"),
                singular: text("singularResource"),
                short: list("shortNames"),
                categories: list("categories"),
                verbs: list("verbs"),
                subresources: subresources
                    .filter_map(|sub| sub["subresource"].as_str())
                    .map(str::to_owned)
                    .collect(),
                namespaced: resource["scope"] == "Namespaced",
            });
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::json;

    pub(crate) fn catalogue() -> Catalogue {
        let resource = |plural: &str, singular: &str, kind: &str, short: &[&str]| {
            json!({"resource": plural, "singularResource": singular, "responseKind": {"kind": kind},
                "scope": "Namespaced", "shortNames": short, "categories": ["all"], "verbs": ["get"]})
        };
        let groups = [
            json!({"metadata": {}, "versions": [{"version": "v1", "resources": [
                resource("pods", "pod", "Pod", &["po"]), resource("services", "service", "Service", &["svc"]),
                resource("events", "event", "Event", &["ev"])]}]}),
            json!({"metadata": {"name": "apps"}, "versions": [{"version": "v1", "resources": [
                resource("deployments", "deployment", "Deployment", &["deploy"])]}]}),
            json!({"metadata": {"name": "events.k8s.io"}, "versions": [{"version": "v1", "resources": [
                resource("events", "event", "Event", &["ev"])]}]}),
        ];
        let mut found = Catalogue::default();
        for group in &groups {
            read_group(group, &mut found.kinds);
        }
        found
    }

    #[test]
    fn words_name_kinds() {
        let catalogue = catalogue();
        for (word, full) in [
            ("po", "pods"),
            ("Pod", "pods"),
            ("deploy", "deployments.apps"),
            ("deployments.apps", "deployments.apps"),
            ("deployments.v1.apps", "deployments.apps"),
            ("ev", "events"),
            ("events.events.k8s.io", "events.events.k8s.io"),
        ] {
            assert_eq!(catalogue.find(word).unwrap().full(), full, "{word}");
        }
        let refused = catalogue.find("gadgets").unwrap_err().to_string();
        assert_eq!(refused, "error: the server doesn't have a resource type \"gadgets\"");
        assert_eq!(catalogue.category("all").len(), 5);
        assert_eq!(catalogue.find("deploy").unwrap().shown(), "deployment.apps");
    }
}

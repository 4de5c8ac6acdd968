//! The table of built-in kinds: group, version, resource names, scope, verbs, subresources.
//!
//! Source: `data/resources.tsv`, what a real server lists in discovery, with the kinds that v1.35 added.

use std::collections::BTreeMap;
use std::sync::LazyLock;

/// A subresource such as `status`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subresource {
    /// Name in the path.
    pub name: String,
    /// Group of the kind it speaks.
    pub group: String,
    /// Version of the kind it speaks; empty means the parent's.
    pub version: String,
    /// Kind it speaks.
    pub kind: String,
    /// Verbs, sorted.
    pub verbs: Vec<String>,
}

/// A built-in kind as served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kind {
    /// API group; empty for core.
    pub group: String,
    /// Version.
    pub version: String,
    /// Kind, as `Pod`.
    pub kind: String,
    /// Resource, as `pods`.
    pub plural: String,
    /// As `pod`.
    pub singular: String,
    /// Objects live in namespaces.
    pub namespaced: bool,
    /// Verbs, sorted.
    pub verbs: Vec<String>,
    /// Such as `po`.
    pub short_names: Vec<String>,
    /// Such as `all`.
    pub categories: Vec<String>,
    /// Subresources, sorted by name.
    pub subresources: Vec<Subresource>,
}

impl Kind {
    /// `v1` or `apps/v1`.
    pub fn api_version(&self) -> String {
        api_version(&self.group, &self.version)
    }

    /// The subresource of that name.
    pub fn subresource(&self, name: &str) -> Option<&Subresource> {
        self.subresources.iter().find(|s| s.name == name)
    }
}

/// `v1` or `apps/v1`.
pub fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

/// Group and version of an `apiVersion`; `None` when it has more than one slash or no version.
pub fn parse_api_version(text: &str) -> Option<(&str, &str)> {
    match text.split_once('/') {
        None => Some(("", text)),
        Some((group, version)) if !version.contains('/') => Some((group, version)),
        Some(_) => None,
    }
}

struct Table {
    kinds: Vec<Kind>,
    by_resource: BTreeMap<(String, String, String), usize>,
    by_kind: BTreeMap<(String, String, String), usize>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let text = include_str!("../data/resources.tsv");
    let kinds: Vec<Kind> = text.lines().skip(1).filter_map(read_line).collect();
    let index = |name: fn(&Kind) -> &String| {
        kinds
            .iter()
            .enumerate()
            .map(|(i, k)| ((k.group.clone(), k.version.clone(), name(k).clone()), i))
            .collect()
    };
    Table { by_resource: index(|k| &k.plural), by_kind: index(|k| &k.kind), kinds }
});

fn words(text: &str) -> Vec<String> {
    text.split(',').filter(|w| !w.is_empty()).map(str::to_owned).collect()
}

fn read_line(line: &str) -> Option<Kind> {
    let mut f = line.split('\t');
    let mut next = || f.next().unwrap_or("");
    Some(Kind {
        group: next().to_owned(),
        version: next().to_owned(),
        kind: next().to_owned(),
        plural: next().to_owned(),
        singular: next().to_owned(),
        namespaced: next() == "True",
        verbs: words(next()),
        short_names: words(next()),
        categories: words(next()),
        subresources: next().split(';').filter_map(read_subresource).collect(),
    })
}

/// `scale(autoscaling/v1 Scale)[get,patch,update]`
fn read_subresource(text: &str) -> Option<Subresource> {
    let (name, rest) = text.split_once('(')?;
    let (kind, verbs) = rest.split_once(")[")?;
    let (group_version, kind) = kind.split_once(' ')?;
    let (group, version) = group_version.split_once('/')?;
    Some(Subresource {
        name: name.to_owned(),
        group: group.to_owned(),
        version: version.to_owned(),
        kind: kind.to_owned(),
        verbs: words(verbs.trim_end_matches(']')),
    })
}

/// All built-in kinds in discovery order.
pub fn all() -> &'static [Kind] {
    &TABLE.kinds
}

/// The kind served under a resource's plural name.
pub fn by_resource(group: &str, version: &str, plural: &str) -> Option<&'static Kind> {
    let key = (group.to_owned(), version.to_owned(), plural.to_owned());
    TABLE.by_resource.get(&key).map(|&i| &TABLE.kinds[i])
}

/// The kind of that name.
pub fn by_kind(group: &str, version: &str, kind: &str) -> Option<&'static Kind> {
    let key = (group.to_owned(), version.to_owned(), kind.to_owned());
    TABLE.by_kind.get(&key).map(|&i| &TABLE.kinds[i])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_are_complete() {
        let pods = by_resource("", "v1", "pods").unwrap();
        assert_eq!((pods.kind.as_str(), pods.namespaced), ("Pod", true));
        assert_eq!(pods.short_names, ["po"]);
        assert_eq!(pods.categories, ["all"]);
        let eviction = pods.subresource("eviction").unwrap();
        assert_eq!((eviction.group.as_str(), eviction.version.as_str()), ("policy", "v1"));
        assert!(pods.subresource("resize").is_some());
        assert!(by_kind("apps", "v1", "Deployment").unwrap().subresource("scale").is_some());
    }

    #[test]
    fn every_row_reads() {
        assert_eq!(all().len(), include_str!("../data/resources.tsv").lines().count() - 1);
        assert!(all().iter().all(|k| !k.verbs.is_empty() && !k.singular.is_empty()));
        assert!(by_resource("flowcontrol.apiserver.k8s.io", "v1beta3", "flowschemas").is_none());
        assert_eq!(parse_api_version("a/b/c"), None);
    }
}

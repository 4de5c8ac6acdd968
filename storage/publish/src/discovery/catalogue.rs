//! [`Catalogue`]: the kinds served, in discovery order.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::priority::{compare_versions, priority};
use super::served_kind::ServedKind;

/// The kinds served, grouped and ordered as clients see them. Build it anew when the set of kinds changes.
#[derive(Clone, Debug)]
pub struct Catalogue {
    pub(super) groups: Vec<Group>,
}

/// A group with its versions, the preferred one first.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) versions: Vec<Version>,
}

/// A version with its kinds, by resource name.
#[derive(Clone, Debug)]
pub(super) struct Version {
    pub(super) name: String,
    pub(super) kinds: Vec<ServedKind>,
}

impl Group {
    /// `apps/v1`, or `v1` in the core group.
    pub(super) fn group_version(&self, version: &str) -> String {
        trireme_schema::kinds::api_version(&self.name, version)
    }
}

impl Catalogue {
    /// The catalogue of these kinds; their order does not matter.
    pub fn new(kinds: impl IntoIterator<Item = ServedKind>) -> Self {
        let mut map: BTreeMap<String, BTreeMap<String, Vec<ServedKind>>> = BTreeMap::new();
        for served in kinds {
            map.entry(served.kind.group.clone())
                .or_default()
                .entry(served.kind.version.clone())
                .or_default()
                .push(served);
        }
        let mut groups: Vec<Group> = map
            .into_iter()
            .map(|(name, versions)| Group { versions: order_versions(&name, versions), name })
            .collect();
        // Stable: groups of equal priority stay in the order of their names.
        groups.sort_by_key(|g| {
            Reverse(g.versions.iter().map(|v| priority(&g.name, &v.name).group).max().unwrap_or(0))
        });
        Catalogue { groups }
    }

    /// The built-in kinds alone.
    pub fn built_in() -> Self {
        Self::new(ServedKind::all_built_in())
    }

    /// Group and version names, groups in discovery order, the preferred version of each first. The core group's
    /// name is empty.
    pub fn group_versions(&self) -> impl Iterator<Item = (&str, &str)> {
        self.groups.iter().flat_map(|g| g.versions.iter().map(|v| (g.name.as_str(), v.name.as_str())))
    }

    /// The kinds of a group and version, by resource name; empty when it is not served.
    pub fn kinds(&self, group: &str, version: &str) -> &[ServedKind] {
        self.version(group, version).map_or(&[], |v| &v.kinds)
    }

    pub(super) fn group(&self, name: &str) -> Option<&Group> {
        self.groups.iter().find(|g| g.name == name)
    }

    pub(super) fn version(&self, group: &str, version: &str) -> Option<&Version> {
        self.group(group)?.versions.iter().find(|v| v.name == version)
    }
}

fn order_versions(group: &str, versions: BTreeMap<String, Vec<ServedKind>>) -> Vec<Version> {
    let mut ordered: Vec<Version> = versions
        .into_iter()
        .map(|(name, mut kinds)| {
            kinds.sort_by(|a, b| a.kind.plural.cmp(&b.kind.plural));
            Version { name, kinds }
        })
        .collect();
    ordered.sort_by(|a, b| {
        let of = |v: &Version| priority(group, &v.name).version;
        of(b).cmp(&of(a)).then_with(|| compare_versions(&a.name, &b.name))
    });
    ordered
}

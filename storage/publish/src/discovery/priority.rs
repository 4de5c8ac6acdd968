//! The order of groups and versions: the priorities that upstream's APIServices carry.

use std::cmp::Ordering;

/// The two numbers of an APIService; higher comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Priority {
    /// `spec.groupPriorityMinimum`.
    pub group: i32,
    /// `spec.versionPriority`.
    pub version: i32,
}

/// The priority of every group that a CustomResourceDefinition brings.
pub const CUSTOM_PRIORITY: Priority = Priority { group: 1000, version: 100 };

type GroupRow = (&'static str, i32, &'static [(&'static str, i32)]);

/// Group, its priority, and its versions with theirs. The core group is the empty one.
const TABLE: &[GroupRow] = &[
    ("apiregistration.k8s.io", 20_000, &[("v1", 18)]),
    ("", 18_000, &[("v1", 1)]),
    ("apps", 17_800, &[("v1", 15)]),
    ("events.k8s.io", 17_750, &[("v1", 15), ("v1beta1", 5)]),
    ("authentication.k8s.io", 17_700, &[("v1", 15), ("v1beta1", 12), ("v1alpha1", 1)]),
    ("authorization.k8s.io", 17_600, &[("v1", 15)]),
    ("autoscaling", 17_500, &[("v2", 30), ("v1", 15), ("v2beta1", 9), ("v2beta2", 1)]),
    ("batch", 17_400, &[("v1", 15), ("v1beta1", 12), ("v2alpha1", 9)]),
    ("certificates.k8s.io", 17_300, &[("v1", 15), ("v1beta1", 12), ("v1alpha1", 9)]),
    ("networking.k8s.io", 17_200, &[("v1", 15), ("v1beta1", 9), ("v1alpha1", 1)]),
    ("policy", 17_100, &[("v1", 15), ("v1beta1", 9)]),
    ("rbac.authorization.k8s.io", 17_000, &[("v1", 15)]),
    ("storage.k8s.io", 16_800, &[("v1", 15), ("v1beta1", 9), ("v1alpha1", 1)]),
    ("storagemigration.k8s.io", 16_800, &[("v1beta1", 9), ("v1alpha1", 1)]),
    ("admissionregistration.k8s.io", 16_700, &[("v1", 15), ("v1beta1", 12), ("v1alpha1", 9)]),
    ("apiextensions.k8s.io", 16_700, &[("v1", 15)]),
    ("scheduling.k8s.io", 16_600, &[("v1", 15), ("v1alpha1", 9)]),
    ("coordination.k8s.io", 16_500, &[("v1", 15), ("v1beta1", 13), ("v1alpha2", 12)]),
    ("node.k8s.io", 16_300, &[("v1", 15), ("v1beta1", 9), ("v1alpha1", 1)]),
    ("discovery.k8s.io", 16_200, &[("v1", 15), ("v1beta1", 12)]),
    ("resource.k8s.io", 16_200, &[("v1", 20), ("v1beta2", 15), ("v1beta1", 9), ("v1alpha3", 1)]),
    ("flowcontrol.apiserver.k8s.io", 16_100, &[("v1", 21), ("v1beta3", 18), ("v1beta2", 15)]),
    ("internal.apiserver.k8s.io", 16_000, &[("v1alpha1", 9)]),
];

/// The priority of a group and version; that of a custom one when it is not built in.
pub fn priority(group: &str, version: &str) -> Priority {
    TABLE
        .iter()
        .find(|(name, ..)| *name == group)
        .and_then(|(_, group, versions)| {
            let (_, version) = versions.iter().find(|(name, _)| *name == version)?;
            Some(Priority { group: *group, version: *version })
        })
        .unwrap_or(CUSTOM_PRIORITY)
}

/// Upstream's order of version names, the most mature and newest first: `v10`, `v2`, `v1`, `v11beta2`, `v1beta1`,
/// `v3alpha1`; names of any other form come last, in alphabetical order.
pub fn compare_versions(a: &str, b: &str) -> Ordering {
    match (parse_version(a), parse_version(b)) {
        (Some(a), Some(b)) => b.cmp(&a),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.cmp(b),
    }
}

/// Maturity (2 stable, 1 beta, 0 alpha), major, minor.
fn parse_version(text: &str) -> Option<(u8, u64, u64)> {
    let rest = text.strip_prefix('v')?;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (major, tail) = rest.split_at(digits);
    let major = number(major)?;
    if tail.is_empty() {
        return Some((2, major, 0));
    }
    let (maturity, minor) = match tail.strip_prefix("beta") {
        Some(minor) => (1, minor),
        None => (0, tail.strip_prefix("alpha")?),
    };
    Some((maturity, major, number(minor)?))
}

/// A whole number without a leading zero.
fn number(text: &str) -> Option<u64> {
    let plain = !text.is_empty() && !text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_sort_by_maturity_then_age() {
        let mut versions = vec!["foo", "v1alpha2", "v2alpha1", "v1beta1", "v11", "v1", "bar", "v01"];
        versions.sort_by(|a, b| compare_versions(a, b));
        assert_eq!(versions, ["v11", "v1", "v1beta1", "v2alpha1", "v1alpha2", "bar", "foo", "v01"]);
    }

    #[test]
    fn unknown_groups_are_custom() {
        assert_eq!(priority("example.com", "v1"), CUSTOM_PRIORITY);
        assert_eq!(priority("apps", "v1"), Priority { group: 17_800, version: 15 });
    }
}

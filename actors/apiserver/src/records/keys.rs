//! Keys of objects in the store: `/registry/<group or core>/<resource>/[<namespace>/]<name>`.

use trireme_mvcc::Key;

/// Where all objects live.
pub const ROOT: &str = "/registry/";

/// A resource as the store knows it: the same for all versions of a kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceKey {
    /// API group of the stored version; empty for core.
    pub group: String,
    /// Plural name.
    pub resource: String,
    /// Objects live in namespaces.
    pub namespaced: bool,
}

impl ResourceKey {
    /// The prefix of all objects, or of those in one namespace; ends in a slash.
    pub fn prefix(&self, namespace: &str) -> String {
        let group = if self.group.is_empty() { "core" } else { &self.group };
        if self.namespaced && !namespace.is_empty() {
            format!("{ROOT}{group}/{}/{namespace}/", self.resource)
        } else {
            format!("{ROOT}{group}/{}/", self.resource)
        }
    }

    /// The key of one object; the namespace of a cluster-scoped kind is ignored.
    pub fn key(&self, namespace: &str, name: &str) -> Key {
        let namespace = if self.namespaced { namespace } else { "" };
        let prefix = self.prefix(namespace);
        // An object of a namespaced kind without a namespace has no key that any read could meet.
        let gap = if self.namespaced && namespace.is_empty() { "/" } else { "" };
        Key::from(format!("{prefix}{gap}{name}").as_str())
    }

    /// Namespace and name of a key of this resource.
    pub fn parse<'k>(&self, key: &'k [u8]) -> (&'k str, &'k str) {
        let text = std::str::from_utf8(key).unwrap_or("");
        let rest = text.get(self.prefix("").len()..).unwrap_or("");
        match rest.split_once('/') {
            Some((namespace, name)) if self.namespaced => (namespace, name),
            _ => ("", rest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_back() {
        let pods = ResourceKey { group: String::new(), resource: "pods".to_owned(), namespaced: true };
        assert_eq!(&*pods.key("n", "p"), b"/registry/core/pods/n/p");
        assert_eq!(pods.prefix("n"), "/registry/core/pods/n/");
        assert_eq!(pods.parse(b"/registry/core/pods/n/p"), ("n", "p"));
        let roles = ResourceKey {
            group: "rbac.authorization.k8s.io".to_owned(),
            resource: "clusterroles".to_owned(),
            namespaced: false,
        };
        assert_eq!(&*roles.key("", "a:b"), b"/registry/rbac.authorization.k8s.io/clusterroles/a:b");
        assert_eq!(roles.parse(&roles.key("", "a:b")), ("", "a:b"));
    }
}

//! [`User`]: an authenticated identity.

use std::collections::BTreeMap;

/// Who a request comes from, as upstream's `user.Info`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// Such as `alice` or `system:serviceaccount:ns:name`.
    pub name: String,
    /// Unique id, or empty.
    pub uid: String,
    /// Groups, in the order the authenticator gave them.
    pub groups: Vec<String>,
    /// Further facts, such as the pod a token is bound to.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl User {
    /// An identity inside the process, such as `system:apiserver` in `system:masters`.
    pub fn internal(name: &str, groups: &[&str]) -> Self {
        Self {
            name: name.to_owned(),
            groups: groups.iter().map(|&group| group.to_owned()).collect(),
            ..Self::default()
        }
    }

    /// Whether the identity is in a group.
    pub fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|own| own == group)
    }
}

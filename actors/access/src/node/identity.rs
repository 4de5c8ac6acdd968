//! Which node a user is.

use crate::known::{NODE_USER_PREFIX, NODES};
use crate::user::User;

/// What a user is among the nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeIdentity<'a> {
    /// Not a node.
    None,
    /// A node agent that does not say which node it is.
    Nameless,
    /// The agent of this node.
    Node(&'a str),
}

/// The node behind a user: named `system:node:<name>` and in the group `system:nodes`.
pub fn node_of(user: &User) -> NodeIdentity<'_> {
    match user.name.strip_prefix(NODE_USER_PREFIX) {
        Some(name) if user.is_in(NODES) => {
            if name.is_empty() {
                NodeIdentity::Nameless
            } else {
                NodeIdentity::Node(name)
            }
        }
        _ => NodeIdentity::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_and_group_make_a_node() {
        let user = User::internal("system:node:n1", &[NODES]);
        assert_eq!(node_of(&user), NodeIdentity::Node("n1"));
        assert_eq!(node_of(&User::internal("system:node:n1", &[])), NodeIdentity::None);
        assert_eq!(node_of(&User::internal("system:node:", &[NODES])), NodeIdentity::Nameless);
        assert_eq!(node_of(&User::internal("n1", &[NODES])), NodeIdentity::None);
    }
}

//! Names that upstream gives a meaning: users, groups, namespaces, keys of a user's extra facts.

/// The user of a request without credentials.
pub const ANONYMOUS: &str = "system:anonymous";
/// Group of everybody who showed credentials.
pub const AUTHENTICATED: &str = "system:authenticated";
/// Group of the anonymous user.
pub const UNAUTHENTICATED: &str = "system:unauthenticated";
/// Group that may do everything.
pub const MASTERS: &str = "system:masters";
/// Group of the node agents.
pub const NODES: &str = "system:nodes";
/// A node agent's user name is this and the node's name.
pub const NODE_USER_PREFIX: &str = "system:node:";
/// Group of all service accounts.
pub const SERVICE_ACCOUNTS: &str = "system:serviceaccounts";
/// A service account's user name is this, its namespace, a colon and its name.
pub const SERVICE_ACCOUNT_USER_PREFIX: &str = "system:serviceaccount:";
/// Groups of bootstrap tokens start with this.
pub const BOOTSTRAPPERS: &str = "system:bootstrappers";
/// Group of RBAC objects.
pub const RBAC_GROUP: &str = "rbac.authorization.k8s.io";

/// Key of a user's extra fact: which token or certificate was shown.
pub const CREDENTIAL_ID: &str = "authentication.kubernetes.io/credential-id";
/// Key of a user's extra fact: name of the pod a token is bound to.
pub const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
/// Key of a user's extra fact: UID of the pod a token is bound to.
pub const POD_UID: &str = "authentication.kubernetes.io/pod-uid";
/// Key of a user's extra fact: name of the node a token is bound to, or its pod runs on.
pub const NODE_NAME: &str = "authentication.kubernetes.io/node-name";
/// Key of a user's extra fact: UID of that node.
pub const NODE_UID: &str = "authentication.kubernetes.io/node-uid";

/// The user name of a service account.
pub fn service_account_user(namespace: &str, name: &str) -> String {
    format!("{SERVICE_ACCOUNT_USER_PREFIX}{namespace}:{name}")
}

/// Namespace and name of the service account behind a user name; `None` when it is not one's.
pub fn split_service_account(user: &str) -> Option<(&str, &str)> {
    let (namespace, name) = user.strip_prefix(SERVICE_ACCOUNT_USER_PREFIX)?.split_once(':')?;
    let valid = !name.contains(':')
        && trireme_schema::names::check_dns1123_label(namespace).is_empty()
        && trireme_schema::names::check_dns1123_subdomain(name).is_empty();
    valid.then_some((namespace, name))
}

/// The groups of a service account in a namespace.
pub fn service_account_groups(namespace: &str) -> Vec<String> {
    vec![SERVICE_ACCOUNTS.to_owned(), format!("{SERVICE_ACCOUNTS}:{namespace}")]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_account_names_go_both_ways() {
        assert_eq!(split_service_account(&service_account_user("a", "b")), Some(("a", "b")));
        for other in
            ["alice", "system:serviceaccount:a", "system:serviceaccount:a:b:c", "system:serviceaccount:A:b"]
        {
            assert_eq!(split_service_account(other), None, "{other}");
        }
    }
}

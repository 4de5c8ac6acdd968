//! [`Subject`]: whom a binding names.

use serde_json::Value;
use trireme_schema::view::View;

use crate::known;
use crate::quote::quote;
use crate::user::User;

/// One subject of a RoleBinding or ClusterRoleBinding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A user by name.
    User(String),
    /// Everybody in a group.
    Group(String),
    /// A service account.
    ServiceAccount {
        /// Its namespace; the binding's when the subject leaves it out.
        namespace: String,
        /// Its name.
        name: String,
    },
}

impl Subject {
    /// Reads `rbac/v1.Subject`; `None` for a kind that names nobody.
    pub fn from_value(value: &Value, binding_namespace: &str) -> Option<Self> {
        let name = value.text("name").to_owned();
        match value.text("kind") {
            "User" => Some(Self::User(name)),
            "Group" => Some(Self::Group(name)),
            "ServiceAccount" => {
                let own = value.text("namespace");
                let namespace = if own.is_empty() { binding_namespace } else { own }.to_owned();
                (!namespace.is_empty()).then_some(Self::ServiceAccount { namespace, name })
            }
            _ => None,
        }
    }

    /// Whether it names the user.
    pub fn is(&self, user: &User) -> bool {
        match self {
            Self::User(name) => *name == user.name,
            Self::Group(name) => user.is_in(name),
            Self::ServiceAccount { namespace, name } => {
                let rest = user.name.strip_prefix(known::SERVICE_ACCOUNT_USER_PREFIX);
                let rest = rest.and_then(|rest| rest.strip_prefix(namespace.as_str()));
                rest.and_then(|rest| rest.strip_prefix(':')) == Some(name.as_str())
            }
        }
    }

    /// As reasons print it: `User "alice"`, `ServiceAccount "name/namespace"`.
    pub fn describe(&self) -> String {
        match self {
            Self::User(name) => format!("User {}", quote(name)),
            Self::Group(name) => format!("Group {}", quote(name)),
            Self::ServiceAccount { namespace, name } => {
                format!("ServiceAccount {}", quote(&format!("{name}/{namespace}")))
            }
        }
    }
}

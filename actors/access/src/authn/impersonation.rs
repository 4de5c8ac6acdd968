//! [`impersonate`]: acting as somebody else, by the `Impersonate-*` headers.

use std::sync::Arc;

use thiserror::Error;
use trireme_schema::status::Failure;

use crate::attributes::{Attributes, Authorizer};
use crate::authz::authorize;
use crate::known::{
    ANONYMOUS, AUTHENTICATED, UNAUTHENTICATED, service_account_groups, service_account_user,
    split_service_account,
};
use crate::quote::quote;
use crate::user::User;

const GROUP: &str = "authentication.k8s.io";
const VERSION: &str = "v1";

/// Why a request may not act as somebody else.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ImpersonationError {
    /// 403 about the user, group, UID or extra that may not be impersonated.
    #[error("{}", .0.message)]
    Forbidden(Failure),
    /// Headers about a user without naming one: answer 500 with [`Self::text`] as plain text.
    #[error("{0}")]
    Incomplete(String),
}

impl ImpersonationError {
    /// The plain-text body of a 500 for a request with this URI (path and query).
    pub fn text(&self, uri: &str) -> String {
        format!("Internal Server Error: {}: {self}\n", quote(uri))
    }
}

/// One thing to become, in upstream's terms of an object reference.
enum Part {
    ServiceAccount { namespace: String, name: String },
    User(String),
    Group(String),
    Extra { key: String, value: String },
    Uid(String),
}

impl Part {
    /// As Go prints the reference: `{Group  g1    }`.
    fn print(&self) -> String {
        let whole = format!("{GROUP}/{VERSION}");
        match self {
            Self::ServiceAccount { namespace, name } => format!("{{ServiceAccount {namespace} {name}    }}"),
            Self::User(name) => format!("{{User  {name}    }}"),
            Self::Group(name) => format!("{{Group  {name}    }}"),
            Self::Extra { key, value } => format!("{{UserExtra  {value}  {whole}  {key}}}"),
            Self::Uid(uid) => format!("{{UID  {uid}  {whole}  }}"),
        }
    }

    fn attributes(&self, user: &Arc<User>) -> Attributes {
        let ask =
            |group, version, resource| Attributes::resource(user, "impersonate", group, version, resource);
        match self {
            Self::ServiceAccount { namespace, name } => {
                ask("", "", "serviceaccounts").within(namespace).named(name)
            }
            Self::User(name) => ask("", "", "users").named(name),
            Self::Group(name) => ask("", "", "groups").named(name),
            Self::Extra { key, value } => ask(GROUP, VERSION, "userextras").on(key).named(value),
            Self::Uid(uid) => ask(GROUP, VERSION, "uids").named(uid),
        }
    }
}

/// The user a request wants to be, if its headers (names in any case) say so and the authorizer lets `user` become that.
///
/// # Errors
/// [`ImpersonationError`].
pub fn impersonate(
    user: &Arc<User>,
    headers: &[(&str, &str)],
    authorizer: &dyn Authorizer,
) -> Result<Option<Arc<User>>, ImpersonationError> {
    let parts = parts(headers);
    if parts.is_empty() {
        return Ok(None);
    }
    if !parts.iter().any(|part| matches!(part, Part::User(_) | Part::ServiceAccount { .. })) {
        let parts: Vec<String> = parts.iter().map(Part::print).collect();
        let message = format!("requested [{}] without impersonating a user", parts.join(" "));
        return Err(ImpersonationError::Incomplete(message));
    }
    for part in &parts {
        authorize(authorizer, &part.attributes(user)).map_err(ImpersonationError::Forbidden)?;
    }
    Ok(Some(Arc::new(become_user(parts))))
}

fn parts(headers: &[(&str, &str)]) -> Vec<Part> {
    let with = |wanted: &'static str| {
        headers.iter().filter(move |(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| *value)
    };
    let mut out = Vec::new();
    if let Some(name) = with("impersonate-user").next().filter(|name| !name.is_empty()) {
        out.push(match split_service_account(name) {
            Some((namespace, name)) => {
                Part::ServiceAccount { namespace: namespace.to_owned(), name: name.to_owned() }
            }
            None => Part::User(name.to_owned()),
        });
    }
    out.extend(with("impersonate-group").map(|group| Part::Group(group.to_owned())));
    for (name, value) in headers {
        let lower = name.to_ascii_lowercase();
        if let Some(key) = lower.strip_prefix("impersonate-extra-") {
            out.push(Part::Extra { key: unescape(key), value: (*value).to_owned() });
        }
    }
    let uid = with("impersonate-uid").next().filter(|uid| !uid.is_empty());
    out.extend(uid.map(|uid| Part::Uid(uid.to_owned())));
    out
}

/// Resolves `%2f`; a text with a bad escape stays as it is.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first != b'%' {
            bytes.push(*first);
            rest = tail;
            continue;
        }
        let hex = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let Some(byte) = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) else { return text.to_owned() };
        bytes.push(byte);
        rest = &tail[2..];
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

fn become_user(parts: Vec<Part>) -> User {
    let mut user = User::default();
    let groups_given = parts.iter().any(|part| matches!(part, Part::Group(_)));
    for part in parts {
        match part {
            Part::ServiceAccount { namespace, name } => {
                user.name = service_account_user(&namespace, &name);
                if !groups_given {
                    user.groups = service_account_groups(&namespace);
                }
            }
            Part::User(name) => user.name = name,
            Part::Group(name) => user.groups.push(name),
            Part::Extra { key, value } => user.extra.entry(key).or_default().push(value),
            Part::Uid(uid) => user.uid = uid,
        }
    }
    if user.name == ANONYMOUS {
        if !user.is_in(UNAUTHENTICATED) {
            user.groups.push(UNAUTHENTICATED.to_owned());
        }
    } else if !user.is_in(AUTHENTICATED) && !user.is_in(UNAUTHENTICATED) {
        user.groups.push(AUTHENTICATED.to_owned());
    }
    user
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authz::Superusers;

    fn admin() -> Arc<User> {
        Arc::new(User::internal("admin", &["system:masters"]))
    }

    fn become_with(headers: &[(&str, &str)]) -> Result<Option<Arc<User>>, ImpersonationError> {
        impersonate(&admin(), headers, &Superusers)
    }

    #[test]
    fn headers_make_a_user() {
        let user = become_with(&[
            ("Impersonate-User", "zed"),
            ("Impersonate-Uid", "u-1"),
            ("Impersonate-Extra-Scopes", "a"),
            ("Impersonate-Extra-Scopes", "b"),
            ("Impersonate-Extra-Example.com%2fKey", "v"),
        ]);
        let user = user.unwrap().unwrap();
        assert_eq!((user.name.as_str(), user.uid.as_str()), ("zed", "u-1"));
        assert_eq!(user.groups, [AUTHENTICATED]);
        assert_eq!(user.extra["scopes"], ["a", "b"]);
        assert_eq!(user.extra["example.com/key"], ["v"]);
        let user = become_with(&[("impersonate-user", "system:serviceaccount:ns:sa")]).unwrap().unwrap();
        assert_eq!(user.groups, ["system:serviceaccounts", "system:serviceaccounts:ns", AUTHENTICATED]);
        let user = become_with(&[("impersonate-user", ANONYMOUS)]).unwrap().unwrap();
        assert_eq!(user.groups, [UNAUTHENTICATED]);
        assert_eq!(become_with(&[("Accept", "x")]), Ok(None));
    }

    #[test]
    fn a_user_must_be_named() {
        for (header, printed) in [
            ("Impersonate-Group", "{Group  g1    }"),
            ("Impersonate-Extra-A", "{UserExtra  g1  authentication.k8s.io/v1  a}"),
            ("Impersonate-Uid", "{UID  g1  authentication.k8s.io/v1  }"),
        ] {
            let error = become_with(&[(header, "g1")]).unwrap_err();
            let wanted = format!(
                "Internal Server Error: \"/x\": requested [{printed}] without impersonating a user\n"
            );
            assert_eq!(error.text("/x"), wanted);
        }
    }

    #[test]
    fn each_part_needs_permission() {
        let alice = Arc::new(User::internal("alice", &[]));
        let error = impersonate(&alice, &[("Impersonate-User", "system:serviceaccount:a:b")], &Superusers);
        let Err(ImpersonationError::Forbidden(failure)) = error else { panic!("{error:?}") };
        assert_eq!(
            failure.message,
            "serviceaccounts \"b\" is forbidden: User \"alice\" cannot impersonate resource \"serviceaccounts\" in API \
             group \"\" in the namespace \"a\""
        );
    }
}

//! The 403 of a request that no authorizer let pass.

use trireme_schema::status::{Failure, Status};

use crate::attributes::{Attributes, Authorizer, Decision};
use crate::quote::quote;

/// Asks, and answers 403 for anything but a yes; on a yes the reason comes back.
///
/// # Errors
/// See [`forbidden`].
pub fn authorize(authorizer: &dyn Authorizer, attributes: &Attributes) -> Result<String, Failure> {
    match authorizer.authorize(attributes) {
        Decision::Allow { reason } => Ok(reason),
        Decision::Deny { reason } | Decision::NoOpinion { reason } => Err(forbidden(attributes, &reason)),
    }
}

/// The 403 for a request, with the authorizers' reason (may be empty) at the end of its message.
pub fn forbidden(attributes: &Attributes, reason: &str) -> Failure {
    let mut why = explain(attributes);
    if !reason.is_empty() {
        why.push_str(": ");
        why.push_str(reason);
    }
    if attributes.resource_request {
        return Status::forbidden(&attributes.group, &attributes.resource, &attributes.name, &why);
    }
    let mut status = Status::forbidden("", "", "", &why);
    status.force_details = true;
    status
}

fn explain(attributes: &Attributes) -> String {
    let (user, verb) = (quote(&attributes.user.name), &attributes.verb);
    if !attributes.resource_request {
        return format!("User {user} cannot {verb} path {}", quote(&attributes.path));
    }
    let resource = if attributes.subresource.is_empty() {
        quote(&attributes.resource)
    } else {
        quote(&format!("{}/{}", attributes.resource, attributes.subresource))
    };
    let group = quote(&attributes.group);
    let place = if attributes.namespace.is_empty() {
        "at the cluster scope".to_owned()
    } else {
        format!("in the namespace {}", quote(&attributes.namespace))
    };
    format!("User {user} cannot {verb} resource {resource} in API group {group} {place}")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::user::User;

    #[test]
    fn messages_name_user_verb_and_place() {
        let alice = Arc::new(User::internal("alice", &[]));
        let log = Attributes::resource(&alice, "get", "", "v1", "pods").on("log").within("ns").named("p");
        assert_eq!(
            forbidden(&log, "").message,
            "pods \"p\" is forbidden: User \"alice\" cannot get resource \"pods/log\" in API group \"\" in the \
             namespace \"ns\""
        );
        let nodes = Attributes::resource(&alice, "list", "", "v1", "nodes");
        assert_eq!(
            forbidden(&nodes, "because").message,
            "nodes is forbidden: User \"alice\" cannot list resource \"nodes\" in API group \"\" at the cluster \
             scope: because"
        );
        let path = forbidden(&Attributes::path(&alice, "get", "/metrics"), "");
        assert_eq!(path.message, "forbidden: User \"alice\" cannot get path \"/metrics\"");
        assert_eq!(path.to_value()["details"], serde_json::json!({}));
    }
}

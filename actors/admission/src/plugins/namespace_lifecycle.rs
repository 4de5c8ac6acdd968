//! [`NamespaceLifecycle`]: nothing is made in a namespace that is missing or going, and some namespaces stay.

use trireme_schema::status::{Cause, Failure, Status};
use trireme_schema::view::View;

use crate::plugin::{Plugin, World};
use crate::refuse::forbidden;
use crate::request::{Operation, Request};

/// Namespaces that cannot be deleted.
const IMMORTAL: [&str; 3] = ["default", "kube-system", "kube-public"];

/// The plugin.
pub(crate) struct NamespaceLifecycle;

impl Plugin for NamespaceLifecycle {
    fn name(&self) -> &'static str {
        "NamespaceLifecycle"
    }

    fn handles(&self, operation: Operation) -> bool {
        operation != Operation::Connect
    }

    fn admit(&self, request: &mut Request<'_>, world: &World<'_>) -> Result<(), Failure> {
        if request.is("", "namespaces") {
            if request.operation == Operation::Delete && IMMORTAL.contains(&request.name) {
                let why = "this namespace may not be deleted";
                return Err(Status::forbidden("", "namespaces", request.name, why));
            }
            return Ok(());
        }
        let review = request.is("authorization.k8s.io", "localsubjectaccessreviews");
        if request.namespace.is_empty() || review || request.operation == Operation::Delete {
            return Ok(());
        }
        let namespace = world.objects.get("", "namespaces", "", request.namespace);
        let namespace = namespace.ok_or_else(|| Status::not_found("", "namespaces", request.namespace))?;
        let going = namespace.at("status").text("phase") == "Terminating";
        if request.operation == Operation::Create && going { Err(terminating(request)) } else { Ok(()) }
    }
}

fn terminating(request: &Request<'_>) -> Failure {
    let namespace = request.namespace;
    let why = format!("unable to create new content in namespace {namespace} because it is being terminated");
    let mut failure = forbidden(request, why);
    failure.details.causes.push(Cause {
        reason: "NamespaceTerminating".to_owned(),
        message: format!("namespace {namespace} is being terminated"),
        field: "metadata.namespace".to_owned(),
    });
    failure
}

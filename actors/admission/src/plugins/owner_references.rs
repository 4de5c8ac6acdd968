//! [`OwnerReferencesPermissionEnforcement`]: who makes an object disappear with another one, or holds up another
//! one's deletion, must be allowed to do so directly.

use std::sync::Arc;

use serde_json::Value;
use trireme_access::{Attributes, Decision};
use trireme_schema::kinds;
use trireme_schema::status::Failure;
use trireme_schema::view::{View, same};

use crate::plugin::{Plugin, World};
use crate::refuse::forbidden;
use crate::request::{Operation, Request, Verdict};

/// The plugin.
pub(crate) struct OwnerReferencesPermissionEnforcement;

impl Plugin for OwnerReferencesPermissionEnforcement {
    fn name(&self) -> &'static str {
        "OwnerReferencesPermissionEnforcement"
    }

    fn handles(&self, operation: Operation) -> bool {
        matches!(operation, Operation::Create | Operation::Update)
    }

    fn validate(&self, request: &Request<'_>, world: &World<'_>, _: &mut Verdict) -> Result<(), Failure> {
        let owners = |object: &'_ Value| object.at("metadata").list("ownerReferences").to_vec();
        let (old, new) = (owners(request.old_object()), owners(request.new_object()));
        let exempt = request.is("", "pods") && request.subresource == "status";
        if exempt || same(&Value::from(old.clone()), &Value::from(new.clone())) {
            return Ok(());
        }
        let user = Arc::new(request.user.clone());
        if request.operation != Operation::Create {
            let whole =
                Attributes::resource(&user, "delete", request.group, request.version, request.resource)
                    .within(request.namespace)
                    .named(request.object_name());
            let attributes = Attributes { subresource: request.subresource.to_owned(), ..whole };
            if let Some(reason) = refusal(world, &attributes) {
                let why = format!("cannot set an ownerRef on a resource you can't delete: {reason}, <nil>");
                return Err(forbidden(request, why));
            }
        }
        for owner in new_blockers(&old, &new) {
            check_blocker(request, world, &user, owner)?;
        }
        Ok(())
    }
}

/// Owners whose deletion the object did not hold up before.
fn new_blockers<'a>(old: &[Value], new: &'a [Value]) -> Vec<&'a Value> {
    const BLOCKS: &str = "blockOwnerDeletion";
    let was = |owner: &Value| {
        old.iter().any(|other| other.text("uid") == owner.text("uid") && other.is_true(BLOCKS))
    };
    new.iter().filter(|owner| owner.is_true(BLOCKS) && !was(owner)).collect()
}

fn check_blocker(
    request: &Request<'_>,
    world: &World<'_>,
    user: &Arc<trireme_access::User>,
    owner: &Value,
) -> Result<(), Failure> {
    let (api_version, kind) = (owner.text("apiVersion"), owner.text("kind"));
    let resolved = kinds::parse_api_version(api_version)
        .and_then(|(group, version)| Some((group, version, resource(world, group, version, kind)?)));
    let Some((group, version, (resource, namespaced))) = resolved else {
        let why = format!(
            "cannot set blockOwnerDeletion in this case because cannot find RESTMapping for APIVersion \
             {api_version} Kind {kind}: no matches for kind \"{kind}\" in version \"{api_version}\""
        );
        return Err(forbidden(request, why));
    };
    let whole = Attributes::resource(user, "update", group, version, &resource)
        .within(if namespaced { request.namespace } else { "" })
        .named(owner.text("name"));
    let attributes = Attributes { subresource: "finalizers".to_owned(), ..whole };
    match refusal(world, &attributes) {
        None => Ok(()),
        Some(reason) => {
            let why = format!(
                "cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set \
                 finalizers on: {reason}, <nil>"
            );
            Err(forbidden(request, why))
        }
    }
}

fn refusal(world: &World<'_>, attributes: &Attributes) -> Option<String> {
    match world.authorizer.authorize(attributes) {
        Decision::Allow { .. } => None,
        Decision::Deny { reason } | Decision::NoOpinion { reason } => Some(reason),
    }
}

/// Plural name and scope of a built-in or custom kind.
fn resource(world: &World<'_>, group: &str, version: &str, kind: &str) -> Option<(String, bool)> {
    if let Some(known) = kinds::by_kind(group, version, kind) {
        return Some((known.plural.clone(), known.namespaced));
    }
    let definitions = world.objects.list("apiextensions.k8s.io", "customresourcedefinitions", None);
    let wanted = |definition: &&Arc<Value>| {
        let spec = definition.at("spec");
        let served = |own: &Value| own.text("name") == version && own.is_true("served");
        spec.text("group") == group
            && spec.at("names").text("kind") == kind
            && spec.list("versions").iter().any(served)
    };
    let spec = definitions.iter().find(wanted)?.at("spec");
    Some((spec.at("names").text("plural").to_owned(), spec.text("scope") == "Namespaced"))
}

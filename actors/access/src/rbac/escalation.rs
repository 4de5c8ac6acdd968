//! Nobody grants what they do not have: checks on writes of roles and bindings.
//!
//! Upstream does this in the storage of the RBAC resources: after mutating admission, before validation.

use std::sync::Arc;

use serde_json::{Map, Value};
use trireme_schema::status::{Failure, Status};
use trireme_schema::view::{View, same};

use super::authorizer::Rbac;
use super::covers::{compact, covers, describe};
use super::rule::PolicyRule;
use crate::attributes::{Attributes, Authorizer};
use crate::known::{MASTERS, RBAC_GROUP};
use crate::quote::{aggregate, quote, quote_list};
use crate::user::User;

/// Who writes which RBAC object by which means.
pub struct Escalation<'a> {
    /// Resolves what the user holds.
    pub rbac: &'a Rbac,
    /// Asked for the verbs `escalate` and `bind`.
    pub authorizer: &'a dyn Authorizer,
    /// Who writes.
    pub user: &'a Arc<User>,
    /// `roles`, `clusterroles`, `rolebindings` or `clusterrolebindings`.
    pub resource: &'a str,
    /// Namespace of the request, or empty.
    pub namespace: &'a str,
    /// Name in the request's path: empty on create.
    pub name: &'a str,
}

/// Checks a create (`old` is `None`), update or patch. Other resources than the four pass.
///
/// # Errors
/// 403 that names what is missing; 404 when a binding refers to a role that is not there.
pub fn check_write(escalation: &Escalation<'_>, old: Option<&Value>, new: &Value) -> Result<(), Failure> {
    let trusted = escalation.user.is_in(MASTERS);
    match escalation.resource {
        _ if trusted => Ok(()),
        "roles" | "clusterroles" => escalation.check_role(old, new),
        "rolebindings" | "clusterrolebindings" => escalation.check_binding(old, new),
        _ => Ok(()),
    }
}

impl Escalation<'_> {
    fn check_role(&self, old: Option<&Value>, new: &Value) -> Result<(), Failure> {
        let ask = Attributes::resource(self.user, "escalate", RBAC_GROUP, "*", self.resource);
        if self.authorizer.authorize(&ask.within(self.namespace).named(self.name)).allowed() {
            return Ok(());
        }
        if let Some(old) = old {
            let same_rules = same(old.at("rules"), new.at("rules"))
                && same(old.at("aggregationRule"), new.at("aggregationRule"));
            if same_rules || only_for_collection(old, new) {
                return Ok(());
            }
        }
        self.confirm_held(new, &PolicyRule::of_role(new))?;
        let aggregates = |role: &Value| self.resource == "clusterroles" && role.has("aggregationRule");
        if aggregates(new) || old.is_some_and(aggregates) {
            let everything = [
                PolicyRule {
                    verbs: vec!["*".into()],
                    api_groups: vec!["*".into()],
                    resources: vec!["*".into()],
                    ..PolicyRule::default()
                },
                PolicyRule {
                    verbs: vec!["*".into()],
                    non_resource_urls: vec!["*".into()],
                    ..PolicyRule::default()
                },
            ];
            let why = "must have cluster-admin privileges to use the aggregationRule";
            self.confirm_held(new, &everything).map_err(|_| self.forbidden(new, why))?;
        }
        Ok(())
    }

    fn check_binding(&self, old: Option<&Value>, new: &Value) -> Result<(), Failure> {
        if old.is_some_and(|old| only_for_collection(old, new)) {
            return Ok(());
        }
        let role = new.at("roleRef");
        let roles = match role.text("kind") {
            "ClusterRole" => "clusterroles",
            "Role" => "roles",
            other => {
                return Err(Status::internal(&format!("unsupported role reference kind: {}", quote(other))));
            }
        };
        let ask = Attributes::resource(self.user, "bind", RBAC_GROUP, "*", roles);
        if self.authorizer.authorize(&ask.within(self.namespace).named(role.text("name"))).allowed() {
            return Ok(());
        }
        let namespace = if roles == "roles" { self.namespace } else { "" };
        let granted = self.rbac.role(roles, namespace, role.text("name"))?;
        self.confirm_held(new, &PolicyRule::of_role(&granted))
    }

    fn forbidden(&self, object: &Value, why: &str) -> Failure {
        Status::forbidden(RBAC_GROUP, self.resource, object.at("metadata").text("name"), why)
    }

    fn confirm_held(&self, object: &Value, wanted: &[PolicyRule]) -> Result<(), Failure> {
        let (held, errors) = self.rbac.rules_of(self.user, self.namespace);
        let missing = covers(&held, wanted);
        if missing.is_empty() {
            return Ok(());
        }
        let mut why = format!(
            "user {} (groups={}) is attempting to grant RBAC permissions not currently held:\n{}",
            quote(&self.user.name),
            quote_list(&self.user.groups),
            describe(&compact(&missing)).join("\n")
        );
        if !errors.is_empty() {
            why.push_str(&format!("; resolution errors: {}", aggregate(&errors)));
        }
        Err(self.forbidden(object, &why))
    }
}

/// Whether an update changes nothing but what garbage collection needs: owners and finalizers.
fn only_for_collection(old: &Value, new: &Value) -> bool {
    let rest = |object: &Value| {
        let mut object = object.as_object().cloned().unwrap_or_default();
        let mut metadata: Map<String, Value> =
            object.get("metadata").and_then(Value::as_object).cloned().unwrap_or_default();
        for field in ["ownerReferences", "finalizers", "selfLink", "managedFields"] {
            metadata.remove(field);
        }
        object.insert("metadata".to_owned(), metadata.into());
        Value::Object(object)
    };
    same(&rest(old), &rest(new))
}

//! [`Rbac`]: the authorizer.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use parking_lot::Mutex;
use serde_json::Value;
use trireme_schema::objects::Objects;
use trireme_schema::status::{Failure, Status};

use super::index::{Binding, Index, revisions};
use super::rule::PolicyRule;
use super::subject::Subject;
use crate::attributes::{Attributes, Authorizer, Decision, NonResourceRule, ResourceRule, Rules};
use crate::known::RBAC_GROUP;
use crate::quote::{aggregate, quote};
use crate::user::User;

/// Decides by Roles, ClusterRoles and their bindings. Keeps an index that is rebuilt (only the part that changed) when
/// [`Objects::revision`] says so; a decision then touches only the bindings that name the user.
pub struct Rbac {
    objects: Arc<dyn Objects>,
    index: ArcSwap<Index>,
    rebuilding: Mutex<()>,
}

impl Rbac {
    /// An authorizer over the cluster's RBAC objects.
    pub fn new(objects: Arc<dyn Objects>) -> Self {
        Self { objects, index: ArcSwap::default(), rebuilding: Mutex::new(()) }
    }

    fn index(&self) -> Guard<Arc<Index>> {
        let index = self.index.load();
        if index.is_at(&revisions(&*self.objects)) {
            return index;
        }
        let _one_at_a_time = self.rebuilding.lock();
        // Asked again: another thread may have just done it, and this request must not see less than it did.
        let now = revisions(&*self.objects);
        let index = self.index.load();
        if !index.is_at(&now) {
            self.index.store(Arc::new(index.next(now, &*self.objects)));
        }
        self.index.load()
    }

    /// Shows every rule that a user has, cluster-wide and in a namespace, until `visit` returns false.
    fn visit<'a>(
        index: &'a Index,
        user: &User,
        namespace: &str,
        errors: &mut Vec<String>,
        mut visit: impl FnMut(&'a Binding, &'a Subject, &'a PolicyRule) -> bool,
    ) {
        let cluster = index.cluster_bindings().of(user);
        let local = index.bindings(namespace).map(|bindings| bindings.of(user)).unwrap_or_default();
        for (binding, subject) in cluster.into_iter().chain(local) {
            match index.rules(&binding.role, &binding.namespace) {
                Err(error) => errors.push(error),
                Ok(rules) => {
                    for rule in rules {
                        if !visit(binding, subject, rule) {
                            return;
                        }
                    }
                }
            }
        }
    }

    /// A role object, `resource` being `roles` or `clusterroles`.
    pub(super) fn role(&self, resource: &str, namespace: &str, name: &str) -> Result<Arc<Value>, Failure> {
        let found = self.objects.get(RBAC_GROUP, resource, namespace, name);
        found.ok_or_else(|| Status::not_found(RBAC_GROUP, resource, name))
    }

    /// All rules a user has in a namespace (`""` for cluster-wide only), and the bindings that could not be resolved.
    pub fn rules_of(&self, user: &User, namespace: &str) -> (Vec<PolicyRule>, Vec<String>) {
        let index = self.index();
        let (mut rules, mut errors) = (Vec::new(), Vec::new());
        Self::visit(&index, user, namespace, &mut errors, |_, _, rule| {
            rules.push(rule.clone());
            true
        });
        (rules, errors)
    }
}

fn reason(binding: &Binding, subject: &Subject) -> String {
    let role = format!("{} {}", binding.role.kind, quote(&binding.role.name));
    let subject = subject.describe();
    if binding.namespace.is_empty() {
        format!("RBAC: allowed by ClusterRoleBinding {} of {role} to {subject}", quote(&binding.name))
    } else {
        let name = format!("{}/{}", binding.name, binding.namespace);
        format!("RBAC: allowed by RoleBinding {} of {role} to {subject}", quote(&name))
    }
}

impl Authorizer for Rbac {
    fn authorize(&self, attributes: &Attributes) -> Decision {
        let index = self.index();
        let (mut errors, mut found) = (Vec::new(), None);
        Self::visit(
            &index,
            &attributes.user,
            &attributes.namespace,
            &mut errors,
            |binding, subject, rule| {
                if rule.allows(attributes) {
                    found = Some((binding, subject));
                }
                found.is_none()
            },
        );
        match found {
            Some((binding, subject)) => Decision::Allow { reason: reason(binding, subject) },
            None if errors.is_empty() => Decision::NoOpinion { reason: String::new() },
            None => Decision::NoOpinion { reason: format!("RBAC: {}", aggregate(&errors)) },
        }
    }

    fn rules_for(&self, user: &User, namespace: &str) -> Rules {
        let (rules, errors) = self.rules_of(user, namespace);
        let mut out = Rules::default();
        for rule in rules {
            if !rule.resources.is_empty() {
                out.resources.push(ResourceRule {
                    verbs: rule.verbs.clone(),
                    api_groups: rule.api_groups,
                    resources: rule.resources,
                    resource_names: rule.resource_names,
                });
            }
            if !rule.non_resource_urls.is_empty() {
                out.non_resources
                    .push(NonResourceRule { verbs: rule.verbs, non_resource_urls: rule.non_resource_urls });
            }
        }
        if !errors.is_empty() {
            out.evaluation_error = aggregate(&errors);
        }
        out
    }
}

#[cfg(test)]
#[path = "authorizer_test.rs"]
mod tests;

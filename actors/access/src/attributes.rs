//! [`Attributes`]: what a request wants, as authorizers see it; [`Authorizer`], [`Decision`].

use std::sync::Arc;

use trireme_schema::selector::FieldSelector;

use crate::user::User;

/// What is asked for, by whom. Empty strings stand for what does not apply.
#[derive(Clone, Debug, Default)]
pub struct Attributes {
    /// Who.
    pub user: Arc<User>,
    /// Such as `get`, `list`, `deletecollection`; for other paths the HTTP method in lower case.
    pub verb: String,
    /// Namespace.
    pub namespace: String,
    /// API group.
    pub group: String,
    /// API version.
    pub version: String,
    /// Plural resource name.
    pub resource: String,
    /// Subresource.
    pub subresource: String,
    /// Name of the object.
    pub name: String,
    /// False for paths such as `/healthz`.
    pub resource_request: bool,
    /// The URL path.
    pub path: String,
    /// The field selector of a list, watch or deletecollection; empty otherwise. Authorizers may allow less than the
    /// whole list by it (a node lists its own pods).
    pub field_selector: FieldSelector,
}

impl Attributes {
    /// A request for a resource; namespace, subresource and name start empty.
    pub fn resource(user: &Arc<User>, verb: &str, group: &str, version: &str, resource: &str) -> Self {
        Self {
            user: user.clone(),
            verb: verb.to_owned(),
            group: group.to_owned(),
            version: version.to_owned(),
            resource: resource.to_owned(),
            resource_request: true,
            ..Self::default()
        }
    }

    /// A request for another path.
    pub fn path(user: &Arc<User>, verb: &str, path: &str) -> Self {
        Self { user: user.clone(), verb: verb.to_owned(), path: path.to_owned(), ..Self::default() }
    }

    /// The same in a namespace.
    #[must_use]
    pub fn within(mut self, namespace: &str) -> Self {
        namespace.clone_into(&mut self.namespace);
        self
    }

    /// The same for one object.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// The same for a subresource.
    #[must_use]
    pub fn on(mut self, subresource: &str) -> Self {
        subresource.clone_into(&mut self.subresource);
        self
    }
}

/// What an authorizer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Yes.
    Allow {
        /// Why, for audits and reviews.
        reason: String,
    },
    /// No, and nobody after this one may allow it.
    Deny {
        /// Why.
        reason: String,
    },
    /// Not known here; no, unless another authorizer allows it.
    NoOpinion {
        /// Why not.
        reason: String,
    },
}

impl Decision {
    /// Whether it is a yes.
    pub fn allowed(&self) -> bool {
        matches!(self, Self::Allow { .. })
    }
}

/// A rule about resources, as in SelfSubjectRulesReview.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResourceRule {
    /// Verbs.
    pub verbs: Vec<String>,
    /// API groups.
    pub api_groups: Vec<String>,
    /// Resources.
    pub resources: Vec<String>,
    /// Names; empty for all.
    pub resource_names: Vec<String>,
}

/// A rule about other paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NonResourceRule {
    /// Verbs.
    pub verbs: Vec<String>,
    /// Paths.
    pub non_resource_urls: Vec<String>,
}

/// All that a user may do in a namespace, as far as it can be listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// About resources.
    pub resources: Vec<ResourceRule>,
    /// About other paths.
    pub non_resources: Vec<NonResourceRule>,
    /// The list is not complete (an authorizer cannot list its rules).
    pub incomplete: bool,
    /// Why not.
    pub evaluation_error: String,
}

/// Decides whether a request may pass.
pub trait Authorizer: Send + Sync {
    /// Decides.
    fn authorize(&self, attributes: &Attributes) -> Decision;
    /// Lists what a user may do in a namespace.
    fn rules_for(&self, user: &User, namespace: &str) -> Rules;
}

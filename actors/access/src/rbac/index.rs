//! [`Index`]: roles by name and bindings by subject, as of certain revisions of the four RBAC resources.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;
use trireme_schema::objects::Objects;
use trireme_schema::view::View;

use super::rule::PolicyRule;
use super::subject::Subject;
use crate::known::{RBAC_GROUP, service_account_user};
use crate::user::User;

/// The role that a binding grants.
#[derive(Clone, Debug)]
pub(super) struct RoleRef {
    pub(super) kind: String,
    pub(super) name: String,
}

/// A binding as decisions need it.
#[derive(Debug)]
pub(super) struct Binding {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) role: RoleRef,
    pub(super) subjects: Vec<Subject>,
}

impl Binding {
    fn from_value(value: &Value) -> Self {
        let metadata = value.at("metadata");
        let namespace = metadata.text("namespace").to_owned();
        let role = value.at("roleRef");
        let subjects = value.list("subjects").iter();
        Self {
            role: RoleRef { kind: role.text("kind").to_owned(), name: role.text("name").to_owned() },
            subjects: subjects.filter_map(|subject| Subject::from_value(subject, &namespace)).collect(),
            name: metadata.text("name").to_owned(),
            namespace,
        }
    }
}

/// Bindings of one scope (the cluster, or a namespace), findable by whom they name.
#[derive(Debug, Default)]
pub(super) struct Bindings {
    all: Vec<Binding>,
    users: HashMap<String, Vec<Place>>,
    groups: HashMap<String, Vec<Place>>,
}

/// Number of a binding and of the subject in it.
type Place = (u32, u32);

impl Bindings {
    fn add(&mut self, binding: Binding) {
        let at = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
        for (number, subject) in binding.subjects.iter().enumerate() {
            let place = (at, u32::try_from(number).unwrap_or(u32::MAX));
            let (map, name) = match subject {
                Subject::User(name) => (&mut self.users, name.clone()),
                Subject::Group(name) => (&mut self.groups, name.clone()),
                Subject::ServiceAccount { namespace, name } => {
                    (&mut self.users, service_account_user(namespace, name))
                }
            };
            map.entry(name).or_default().push(place);
        }
        self.all.push(binding);
    }

    /// The bindings that name a user, in order of their names, each with the first subject that does.
    pub(super) fn of<'a>(&'a self, user: &User) -> Vec<(&'a Binding, &'a Subject)> {
        let mut places: Vec<Place> = Vec::new();
        places.extend(self.users.get(&user.name).into_iter().flatten());
        for group in &user.groups {
            places.extend(self.groups.get(group).into_iter().flatten());
        }
        places.sort_unstable();
        places.dedup_by_key(|place| place.0);
        let find = |(binding, subject): Place| {
            let binding = self.all.get(binding as usize)?;
            Some((binding, binding.subjects.get(subject as usize)?))
        };
        places.into_iter().filter_map(find).collect()
    }
}

type Rules = Arc<[PolicyRule]>;

/// The revisions an index was made at: cluster roles, cluster bindings, roles, bindings.
type Revisions = [u64; 4];

const RESOURCES: [&str; 4] = ["clusterroles", "clusterrolebindings", "roles", "rolebindings"];

/// Everything RBAC decides by. Parts whose resource did not change are shared with the index before.
#[derive(Debug, Default)]
pub(super) struct Index {
    revisions: Option<Revisions>,
    cluster_roles: Arc<HashMap<String, Rules>>,
    cluster_bindings: Arc<Bindings>,
    roles: Arc<HashMap<String, HashMap<String, Rules>>>,
    bindings: Arc<HashMap<String, Bindings>>,
}

pub(super) fn revisions(objects: &dyn Objects) -> Revisions {
    RESOURCES.map(|resource| objects.revision(RBAC_GROUP, resource))
}

impl Index {
    pub(super) fn is_at(&self, revisions: &Revisions) -> bool {
        self.revisions.as_ref() == Some(revisions)
    }

    /// The index at `revisions`, taken from the objects before the lists are read: what changes in between makes the
    /// next look rebuild it.
    pub(super) fn next(&self, revisions: Revisions, objects: &dyn Objects) -> Self {
        let changed = |part: usize| self.revisions.is_none_or(|own| own[part] != revisions[part]);
        let list = |part: usize| objects.list(RBAC_GROUP, RESOURCES[part], None);
        Self {
            cluster_roles: if changed(0) { cluster_roles(list(0)) } else { self.cluster_roles.clone() },
            cluster_bindings: if changed(1) {
                cluster_bindings(list(1))
            } else {
                self.cluster_bindings.clone()
            },
            roles: if changed(2) { roles(list(2)) } else { self.roles.clone() },
            bindings: if changed(3) { bindings(list(3)) } else { self.bindings.clone() },
            revisions: Some(revisions),
        }
    }

    pub(super) fn cluster_bindings(&self) -> &Bindings {
        &self.cluster_bindings
    }

    /// The bindings in a namespace, if it has any.
    pub(super) fn bindings(&self, namespace: &str) -> Option<&Bindings> {
        if namespace.is_empty() { None } else { self.bindings.get(namespace) }
    }

    /// The rules of the role that a binding refers to.
    ///
    /// # Errors
    /// In upstream's words, when there is no such role.
    pub(super) fn rules(&self, role: &RoleRef, namespace: &str) -> Result<&[PolicyRule], String> {
        let (found, kind) = match role.kind.as_str() {
            "ClusterRole" => (self.cluster_roles.get(&role.name), "clusterrole"),
            "Role" => (self.roles.get(namespace).and_then(|roles| roles.get(&role.name)), "role"),
            other => return Err(format!("unsupported role reference kind: {}", crate::quote::quote(other))),
        };
        let missing = || format!("{kind}.{RBAC_GROUP} {} not found", crate::quote::quote(&role.name));
        found.map(|rules| &rules[..]).ok_or_else(missing)
    }
}

fn key(object: &Value) -> (String, String) {
    let metadata = object.at("metadata");
    (metadata.text("namespace").to_owned(), metadata.text("name").to_owned())
}

fn cluster_roles(list: Vec<Arc<Value>>) -> Arc<HashMap<String, Rules>> {
    Arc::new(list.iter().map(|role| (key(role).1, PolicyRule::of_role(role).into())).collect())
}

fn roles(list: Vec<Arc<Value>>) -> Arc<HashMap<String, HashMap<String, Rules>>> {
    let mut out: HashMap<String, HashMap<String, Rules>> = HashMap::new();
    for role in list {
        let (namespace, name) = key(&role);
        out.entry(namespace).or_default().insert(name, PolicyRule::of_role(&role).into());
    }
    Arc::new(out)
}

fn cluster_bindings(list: Vec<Arc<Value>>) -> Arc<Bindings> {
    let mut out = Bindings::default();
    for binding in list {
        out.add(Binding::from_value(&binding));
    }
    Arc::new(out)
}

fn bindings(list: Vec<Arc<Value>>) -> Arc<HashMap<String, Bindings>> {
    let mut out: HashMap<String, Bindings> = HashMap::new();
    for binding in list {
        let binding = Binding::from_value(&binding);
        out.entry(binding.namespace.clone()).or_default().add(binding);
    }
    Arc::new(out)
}

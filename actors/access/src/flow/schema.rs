//! [`FlowSchema`]: which requests make which flow.

use serde_json::Value;
use trireme_schema::view::View;

use crate::attributes::Attributes;
use crate::known::split_service_account;
use crate::rbac::Subject;
use crate::user::User;

/// What a request was sorted into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Name of the FlowSchema.
    pub schema: String,
    /// Its UID, for the answer's `X-Kubernetes-PF-FlowSchema-UID`.
    pub schema_uid: String,
    /// Name of the priority level.
    pub level: String,
    /// User or namespace, as the schema tells flows apart; empty for one flow.
    pub distinguisher: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Distinguisher {
    None,
    ByUser,
    ByNamespace,
}

#[derive(Clone, Debug)]
struct ResourceRule {
    verbs: Vec<String>,
    groups: Vec<String>,
    resources: Vec<String>,
    namespaces: Vec<String>,
    cluster_scope: bool,
}

#[derive(Clone, Debug)]
struct PathRule {
    verbs: Vec<String>,
    paths: Vec<String>,
}

#[derive(Clone, Debug)]
struct Rule {
    subjects: Vec<Subject>,
    resources: Vec<ResourceRule>,
    paths: Vec<PathRule>,
}

/// A FlowSchema as matching needs it.
#[derive(Clone, Debug)]
pub struct FlowSchema {
    name: String,
    uid: String,
    level: String,
    precedence: i64,
    distinguisher: Distinguisher,
    rules: Vec<Rule>,
}

fn texts(value: &Value, field: &str) -> Vec<String> {
    value.list(field).iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn has(list: &[String], wanted: &str) -> bool {
    list.iter().any(|own| own == "*" || own == wanted)
}

fn subject(value: &Value) -> Option<Subject> {
    let name = |field: &str| value.at(field).text("name").to_owned();
    match value.text("kind") {
        "User" => Some(Subject::User(name("user"))),
        "Group" => Some(Subject::Group(name("group"))),
        "ServiceAccount" => {
            let namespace = value.at("serviceAccount").text("namespace").to_owned();
            Some(Subject::ServiceAccount { namespace, name: name("serviceAccount") })
        }
        _ => None,
    }
}

fn names(subject: &Subject, user: &User) -> bool {
    match subject {
        Subject::User(name) | Subject::Group(name) if name == "*" => true,
        Subject::ServiceAccount { namespace, name } if name == "*" => {
            split_service_account(&user.name).is_some_and(|(own, _)| own == namespace)
        }
        subject => subject.is(user),
    }
}

impl Rule {
    fn from_value(value: &Value) -> Self {
        let resources = value.list("resourceRules").iter().map(|rule| ResourceRule {
            verbs: texts(rule, "verbs"),
            groups: texts(rule, "apiGroups"),
            resources: texts(rule, "resources"),
            namespaces: texts(rule, "namespaces"),
            cluster_scope: rule.is_true("clusterScope"),
        });
        let paths = value
            .list("nonResourceRules")
            .iter()
            .map(|rule| PathRule { verbs: texts(rule, "verbs"), paths: texts(rule, "nonResourceURLs") });
        Self {
            subjects: value.list("subjects").iter().filter_map(subject).collect(),
            resources: resources.collect(),
            paths: paths.collect(),
        }
    }

    fn matches(&self, ask: &Attributes) -> bool {
        if !self.subjects.iter().any(|subject| names(subject, &ask.user)) {
            return false;
        }
        if ask.resource_request {
            self.resources.iter().any(|rule| rule.matches(ask))
        } else {
            self.paths.iter().any(|rule| has(&rule.verbs, &ask.verb) && rule.covers(&ask.path))
        }
    }
}

impl ResourceRule {
    fn matches(&self, ask: &Attributes) -> bool {
        let resource = if ask.subresource.is_empty() {
            has(&self.resources, &ask.resource)
        } else {
            has(&self.resources, &format!("{}/{}", ask.resource, ask.subresource))
        };
        let place =
            if ask.namespace.is_empty() { self.cluster_scope } else { has(&self.namespaces, &ask.namespace) };
        resource && place && has(&self.verbs, &ask.verb) && has(&self.groups, &ask.group)
    }
}

impl PathRule {
    fn covers(&self, path: &str) -> bool {
        self.paths.iter().any(|own| {
            let prefix = own.strip_suffix('*').filter(|prefix| prefix.ends_with('/'));
            own == "*" || own == path || prefix.is_some_and(|prefix| path.starts_with(prefix))
        })
    }
}

impl FlowSchema {
    /// Reads `flowcontrol/v1.FlowSchema`.
    pub fn from_value(object: &Value) -> Self {
        let (metadata, spec) = (object.at("metadata"), object.at("spec"));
        Self {
            name: metadata.text("name").to_owned(),
            uid: metadata.text("uid").to_owned(),
            level: spec.at("priorityLevelConfiguration").text("name").to_owned(),
            precedence: spec.int("matchingPrecedence").unwrap_or(1000),
            distinguisher: match spec.at("distinguisherMethod").text("type") {
                "ByUser" => Distinguisher::ByUser,
                "ByNamespace" => Distinguisher::ByNamespace,
                _ => Distinguisher::None,
            },
            rules: spec.list("rules").iter().map(Rule::from_value).collect(),
        }
    }

    /// Order in which schemas are asked: precedence, then name.
    pub(super) fn order(&self) -> (i64, &str) {
        (self.precedence, &self.name)
    }

    /// Name of its priority level.
    pub(super) fn level(&self) -> &str {
        &self.level
    }

    /// The flow of a request, if the schema matches it.
    pub fn flow(&self, ask: &Attributes) -> Option<Flow> {
        if !self.rules.iter().any(|rule| rule.matches(ask)) {
            return None;
        }
        let distinguisher = match self.distinguisher {
            Distinguisher::None => "",
            Distinguisher::ByUser => &ask.user.name,
            Distinguisher::ByNamespace => &ask.namespace,
        };
        Some(Flow {
            schema: self.name.clone(),
            schema_uid: self.uid.clone(),
            level: self.level.clone(),
            distinguisher: distinguisher.to_owned(),
        })
    }
}

//! [`Request`]: what is about to be written; [`Verdict`]: what admission adds to it.

use serde_json::Value;
use trireme_access::User;
use trireme_schema::view::View;

static NOTHING: Value = Value::Null;

/// What is about to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A new object.
    Create,
    /// Another version of an object.
    Update,
    /// An object goes.
    Delete,
    /// A connection to an object, such as exec.
    Connect,
}

/// A write on its way to the store.
#[derive(Debug)]
pub struct Request<'a> {
    /// What is about to happen.
    pub operation: Operation,
    /// API group.
    pub group: &'a str,
    /// API version of the request.
    pub version: &'a str,
    /// Kind of the body.
    pub kind: &'a str,
    /// Plural resource name.
    pub resource: &'a str,
    /// Subresource, or empty.
    pub subresource: &'a str,
    /// Namespace, or empty.
    pub namespace: &'a str,
    /// Name; empty for a create with `generateName`.
    pub name: &'a str,
    /// Objects of the resource live in namespaces.
    pub namespaced: bool,
    /// Who asks.
    pub user: &'a User,
    /// The new object; `None` for deletes and connections without a body.
    pub object: Option<Value>,
    /// The object as stored, for updates and deletes.
    pub old: Option<&'a Value>,
    /// CreateOptions, UpdateOptions or DeleteOptions.
    pub options: &'a Value,
    /// Nothing will be stored.
    pub dry_run: bool,
    /// Now, as `metav1.Time`.
    pub now: &'a str,
}

impl Request<'_> {
    /// The new object, or null.
    pub fn new_object(&self) -> &Value {
        self.object.as_ref().unwrap_or(&NOTHING)
    }

    /// The object as stored, or null.
    pub fn old_object(&self) -> &Value {
        self.old.unwrap_or(&NOTHING)
    }

    /// Whether it is about such objects; any subresource.
    pub fn is(&self, group: &str, resource: &str) -> bool {
        self.group == group && self.resource == resource
    }

    /// Whether it is about such objects themselves, not a subresource.
    pub fn is_whole(&self, group: &str, resource: &str) -> bool {
        self.is(group, resource) && self.subresource.is_empty()
    }

    /// The name in the path, or else in the object.
    pub fn object_name(&self) -> &str {
        if self.name.is_empty() { self.new_object().at("metadata").text("name") } else { self.name }
    }
}

impl Operation {
    /// Upstream's spelling, as in messages.
    pub fn text(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
        }
    }
}

/// A further object that is written in the request's own transaction, such as a quota's usage.
#[derive(Clone, Debug, PartialEq)]
pub struct SideWrite {
    /// API group.
    pub group: String,
    /// Plural resource name.
    pub resource: String,
    /// Namespace, or empty.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// The whole object, in its storage version.
    pub object: Value,
    /// The transaction fails when the stored object is not at this resourceVersion; the request is then judged again.
    pub expected_resource_version: String,
}

/// What validating admission adds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdict {
    /// Texts of `Warning` headers.
    pub warnings: Vec<String>,
    /// Writes that join the transaction.
    pub writes: Vec<SideWrite>,
}

//! [`Target`]: the kind a request is about; [`Context`]: where, by whom and when.

use serde_json::{Value, json};

use super::strategy::strategy;
use crate::custom::CustomKind;
use crate::kinds::Kind;
use crate::types::{TypeRef, conform, lookup};

/// The kind of the object in a request.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// API group.
    pub group: &'a str,
    /// Version.
    pub version: &'a str,
    /// Kind.
    pub kind: &'a str,
    /// Plural resource name.
    pub resource: &'a str,
    /// Objects live in namespaces.
    pub namespaced: bool,
    /// A custom kind: no built-in defaults, validation or strategy.
    pub custom: bool,
    /// Structure.
    pub of: TypeRef<'a>,
    /// The version of a custom kind, see [`CustomKind::target`].
    pub schema: Option<&'a CustomKind>,
}

impl Target<'static> {
    /// The target of a built-in kind; `None` when its type is missing.
    pub fn builtin(kind: &'static Kind) -> Option<Self> {
        Some(Target {
            group: &kind.group,
            version: &kind.version,
            kind: &kind.kind,
            resource: &kind.plural,
            namespaced: kind.namespaced,
            custom: false,
            of: lookup(&kind.group, &kind.version, &kind.kind)?,
            schema: None,
        })
    }
}

impl Target<'_> {
    /// Ordinary writes cannot change the status.
    pub fn has_status(&self) -> bool {
        match self.schema {
            Some(custom) => custom.status,
            None => self.custom || strategy(self.group, self.kind).status,
        }
    }

    /// `v1` or `apps/v1`.
    pub fn api_version(&self) -> String {
        crate::kinds::api_version(self.group, self.version)
    }

    /// The kind's empty object, against which a create is compared for field ownership.
    pub fn empty(&self) -> Value {
        let mut out = json!({});
        if conform(&mut out, self.of).is_err() {
            out = json!({});
        }
        out
    }
}

/// Where a request goes, by whom and when. Everything that is not in the body and not a fact of the kind.
#[derive(Clone, Copy, Debug, Default)]
pub struct Context<'a> {
    /// Namespace of the path; empty for cluster-scoped kinds.
    pub namespace: &'a str,
    /// Name of the path; empty for creates.
    pub name: &'a str,
    /// Subresource of the path, or empty.
    pub subresource: &'a str,
    /// Field manager.
    pub manager: &'a str,
    /// Now, as `metav1.Time`.
    pub time: &'a str,
    /// UID for a new object.
    pub uid: &'a str,
    /// Suffix for `generateName`, five characters upstream.
    pub suffix: &'a str,
}

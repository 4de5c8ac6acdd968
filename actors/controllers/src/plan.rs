//! [`Plan`]: the writes that a controller asks for.

use std::time::Duration;

use serde_json::Value;

use crate::controller::Resource;

/// One write through the API's pipeline.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// Creates an object (namespace and name or generateName in its metadata).
    Create {
        /// Of which resource.
        resource: Resource,
        /// The object.
        object: Value,
    },
    /// Replaces an object, at the resourceVersion it carries.
    Update {
        /// Of which resource.
        resource: Resource,
        /// Empty, `status`, or another subresource.
        subresource: &'static str,
        /// The whole object.
        object: Value,
    },
    /// Deletes an object if it is still the one that was seen.
    Delete {
        /// Of which resource.
        resource: Resource,
        /// Namespace, or empty.
        namespace: String,
        /// Name.
        name: String,
        /// UID that was seen.
        uid: String,
        /// Also its resourceVersion, where any change since would make the delete wrong.
        resource_version: Option<String>,
    },
    /// Tells people what happened to an object.
    Event {
        /// The object, for its reference.
        about: Value,
        /// `Normal` or `Warning`.
        kind: &'static str,
        /// Such as `SuccessfulCreate`.
        reason: &'static str,
        /// Text.
        message: String,
    },
}

/// What is to be done now. Writes are carried out in order; the first that fails ends the plan.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// The writes.
    pub writes: Vec<Write>,
    /// Look again after this time, even if nothing changes.
    pub again_after: Option<Duration>,
}

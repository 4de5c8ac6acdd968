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
    /// Merges a change into an object (RFC 7386), for identities that may patch it and not replace it.
    Patch {
        /// Of which resource.
        resource: Resource,
        /// Empty, `status`, or another subresource.
        subresource: &'static str,
        /// Namespace, or empty.
        namespace: String,
        /// Name.
        name: String,
        /// The change; its `metadata` says the uid and the resourceVersion that were seen.
        patch: Value,
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
        /// What becomes of its dependents.
        propagation: Propagation,
    },
    /// Takes an object out of the store at once, without the grace that its kind gives (a pod of a lost node), if it
    /// is still the one that was seen. Finalizers hold it still.
    Remove {
        /// Of which resource.
        resource: Resource,
        /// Namespace, or empty.
        namespace: String,
        /// Name.
        name: String,
        /// UID that was seen.
        uid: String,
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

/// What becomes of the dependents of a deleted object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// They are deleted afterwards.
    Background,
    /// They are deleted first.
    Foreground,
    /// They stay.
    Orphan,
}

/// What is to be done now. Writes are carried out in order; the first that is refused ends the plan. Creates (and
/// deletes) that follow each other may go side by side, in batches of 1, 2, 4 and so on, so that what refuses one (a
/// quota) does not have to refuse a thousand.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// The writes.
    pub writes: Vec<Write>,
    /// Look again after this time, even if nothing changes.
    pub again_after: Option<Duration>,
}

impl Plan {
    /// Nothing to do.
    pub fn settled() -> Self {
        Self::default()
    }

    /// A single write.
    pub fn one(write: Write) -> Self {
        Self { writes: vec![write], again_after: None }
    }

    /// Asks for a look after `wait`, or earlier if that is asked for already.
    pub fn look_again(&mut self, wait: Duration) {
        self.again_after = Some(self.again_after.map_or(wait, |before| before.min(wait)));
    }
}

//! One rule.

use super::{CallPattern, PathPattern};
use crate::identity::{IdentityKind, PeerIdentity};
use serde::{Deserialize, Serialize};
use trireme_kernel::Class;

/// Whom a rule is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Who {
    /// Everyone with a verified certificate.
    Anyone,
    /// Every identity of a kind.
    Kind(IdentityKind),
    /// One identity.
    Identity {
        /// Its kind.
        kind: IdentityKind,
        /// Its name.
        name: String,
    },
    /// Members of a group.
    Group(String),
}

impl Who {
    fn covers(&self, identity: &PeerIdentity) -> bool {
        match self {
            Self::Anyone => true,
            Self::Kind(kind) => *kind == identity.kind,
            Self::Identity { kind, name } => *kind == identity.kind && **name == *identity.name,
            Self::Group(group) => identity.groups.iter().any(|g| g == group),
        }
    }
}

/// What a matching rule says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The message may pass, unless another rule denies it.
    Allow,
    /// The message may not pass, whatever other rules say.
    Deny,
}

/// One line of the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Whom it is about.
    pub who: Who,
    /// Which actors.
    pub path: PathPattern,
    /// Which calls.
    pub call: CallPattern,
    /// Which classes; empty means all.
    pub classes: Vec<Class>,
    /// What it says.
    pub verdict: Verdict,
}

impl Rule {
    /// A rule that allows every class.
    pub fn allow(who: Who, path: &str, call: CallPattern) -> Self {
        Self { who, path: PathPattern(path.to_owned()), call, classes: Vec::new(), verdict: Verdict::Allow }
    }

    /// A rule that denies every class.
    pub fn deny(who: Who, path: &str, call: CallPattern) -> Self {
        Self { verdict: Verdict::Deny, ..Self::allow(who, path, call) }
    }

    /// Narrows the rule to some classes.
    #[must_use]
    pub fn on(mut self, classes: &[Class]) -> Self {
        self.classes = classes.to_vec();
        self
    }

    pub(super) fn covers(&self, identity: &PeerIdentity, path: &str, call: &str, class: Class) -> bool {
        (self.classes.is_empty() || self.classes.contains(&class))
            && self.who.covers(identity)
            && self.call.covers(call)
            && self.path.covers(path, &identity.name)
    }
}

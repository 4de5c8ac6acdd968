//! The table and its check.

use super::{CallPattern, Rule, Verdict, Who};
use crate::class::class_name;
use crate::identity::{IdentityKind, PeerIdentity};
use thiserror::Error;
use trireme_kernel::Class;

/// Most rules in a table; every message is checked against all of them.
pub const RULE_LIMIT: usize = 256;
/// The call name under which the right to subscribe is asked for.
pub const SUBSCRIBE_CALL: &str = "subscribe";

/// A message that no rule allows. Never retryable: the rules or the certificate must change first.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{identity} may not send {call} to {path} as class {class}: {why}")]
pub struct Denied {
    /// Who asked.
    pub identity: String,
    /// The actor that was asked.
    pub path: String,
    /// The call.
    pub call: String,
    /// The class's name.
    pub class: &'static str,
    /// Which half of the law refused it.
    pub why: &'static str,
}

/// All rules of a process.
#[derive(Debug, Clone, Default)]
pub struct PermissionTable {
    rules: Vec<Rule>,
}

impl PermissionTable {
    /// A table of these rules; an empty one denies everything.
    ///
    /// Panics above [`RULE_LIMIT`]: the rules are part of the program's composition.
    pub fn new(rules: Vec<Rule>) -> Self {
        assert!(rules.len() <= RULE_LIMIT, "{} permission rules, limit {RULE_LIMIT}", rules.len());
        Self { rules }
    }

    /// The rules every Trireme process starts from: servers may do everything; a node reaches its own actors
    /// (their counterparts on a server carry its name) and the listed calls on servers; members of
    /// `system:masters` may do everything.
    ///
    /// `node_calls`: pairs of path prefix and call name, as `("/server/*/pki", "renew")`.
    pub fn standard(node_calls: &[(&str, &str)]) -> Self {
        let node = || Who::Kind(IdentityKind::Node);
        let mut rules = vec![
            Rule::allow(Who::Kind(IdentityKind::Server), "/", CallPattern::Any),
            Rule::allow(node(), "/node/{self}", CallPattern::Any),
            Rule::allow(Who::Group("system:masters".to_owned()), "/", CallPattern::Any),
            // Consensus is between servers, whatever group a certificate names.
            Rule::deny(node(), "/", CallPattern::Any).on(&[Class::Raft]),
            Rule::deny(Who::Kind(IdentityKind::User), "/", CallPattern::Any).on(&[Class::Raft]),
        ];
        rules.extend(
            node_calls
                .iter()
                .map(|(path, call)| Rule::allow(node(), path, CallPattern::Exact((*call).to_owned()))),
        );
        Self::new(rules)
    }

    /// Whether the message may pass.
    pub fn check(&self, identity: &PeerIdentity, path: &str, call: &str, class: Class) -> Result<(), Denied> {
        let mut allowed = false;
        let mut denied = false;
        for rule in self.rules.iter().filter(|rule| rule.covers(identity, path, call, class)) {
            match rule.verdict {
                Verdict::Allow => allowed = true,
                Verdict::Deny => denied = true,
            }
        }
        if allowed && !denied {
            return Ok(());
        }
        Err(Denied {
            identity: identity.to_string(),
            path: path.to_owned(),
            call: call.to_owned(),
            class: class_name(class),
            why: if denied { "a rule forbids it" } else { "no rule allows it" },
        })
    }
}

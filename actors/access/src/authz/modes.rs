//! The value of `--authorization-mode`, and the authorizers it stands for.

use std::str::FromStr;
use std::sync::Arc;

use thiserror::Error;
use trireme_schema::objects::Objects;

use super::simple::{AlwaysAllow, AlwaysDeny, Superusers};
use super::union::Union;
use crate::attributes::Authorizer;
use crate::node::{NodeAuthorizer, NodeReads};
use crate::rbac::Rbac;

/// One of the comma-separated words of `--authorization-mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Everybody may do everything.
    AlwaysAllow,
    /// Nobody may do anything.
    AlwaysDeny,
    /// Node agents may do what their pods need.
    Node,
    /// Roles and bindings.
    Rbac,
}

/// A value of `--authorization-mode` that cannot be used. Not worth a retry: the flag must change.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ModeError {
    /// A mode that upstream has and this server has not built.
    #[error("authorization mode {0} is not built: use Node, RBAC, AlwaysAllow or AlwaysDeny")]
    NotBuilt(String),
    /// No such mode.
    #[error("authorization mode {0:?} is unknown: use Node, RBAC, AlwaysAllow or AlwaysDeny")]
    Unknown(String),
    /// A mode twice.
    #[error("authorization mode {0:?} is given more than once")]
    Repeated(Mode),
    /// No mode at all.
    #[error("at least one authorization mode must be given")]
    Empty,
}

impl FromStr for Mode {
    type Err = ModeError;

    fn from_str(text: &str) -> Result<Self, ModeError> {
        match text {
            "AlwaysAllow" => Ok(Self::AlwaysAllow),
            "AlwaysDeny" => Ok(Self::AlwaysDeny),
            "Node" => Ok(Self::Node),
            "RBAC" => Ok(Self::Rbac),
            "ABAC" | "Webhook" => Err(ModeError::NotBuilt(text.to_owned())),
            other => Err(ModeError::Unknown(other.to_owned())),
        }
    }
}

impl Mode {
    /// Reads `Node,RBAC`.
    ///
    /// # Errors
    /// [`ModeError`].
    pub fn parse_list(text: &str) -> Result<Vec<Self>, ModeError> {
        let mut out = Vec::new();
        for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            let mode = word.parse()?;
            if out.contains(&mode) {
                return Err(ModeError::Repeated(mode));
            }
            out.push(mode);
        }
        if out.is_empty() { Err(ModeError::Empty) } else { Ok(out) }
    }
}

/// The authorizer for a list of modes: superusers first, then each mode in order. `rbac` is shared with the escalation
/// checks, so that there is one index.
pub fn authorizers(
    modes: &[Mode],
    objects: &Arc<dyn Objects>,
    rbac: &Arc<Rbac>,
    node_reads: NodeReads,
) -> Arc<dyn Authorizer> {
    let mut members: Vec<Arc<dyn Authorizer>> = vec![Arc::new(Superusers)];
    for mode in modes {
        members.push(match mode {
            Mode::AlwaysAllow => Arc::new(AlwaysAllow),
            Mode::AlwaysDeny => Arc::new(AlwaysDeny),
            Mode::Node => Arc::new(NodeAuthorizer::new(objects.clone(), node_reads)),
            Mode::Rbac => rbac.clone(),
        });
    }
    Arc::new(Union::new(members))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_read_in_order() {
        assert_eq!(Mode::parse_list("Node,RBAC"), Ok(vec![Mode::Node, Mode::Rbac]));
        assert_eq!(Mode::parse_list("RBAC,RBAC"), Err(ModeError::Repeated(Mode::Rbac)));
        assert_eq!(Mode::parse_list("Webhook"), Err(ModeError::NotBuilt("Webhook".to_owned())));
        assert_eq!(Mode::parse_list("Foo"), Err(ModeError::Unknown("Foo".to_owned())));
        assert_eq!(Mode::parse_list(""), Err(ModeError::Empty));
    }
}

//! [`Union`]: several authorizers in order.

use std::sync::Arc;

use crate::attributes::{Attributes, Authorizer, Decision, Rules};
use crate::user::User;

/// Asks one authorizer after another: the first yes or no counts; without any the reasons are joined, one a line.
pub struct Union {
    members: Vec<Arc<dyn Authorizer>>,
}

impl Union {
    /// Asks `members` in order.
    pub fn new(members: Vec<Arc<dyn Authorizer>>) -> Self {
        Self { members }
    }
}

impl Authorizer for Union {
    fn authorize(&self, attributes: &Attributes) -> Decision {
        let mut reasons = Vec::new();
        for member in &self.members {
            match member.authorize(attributes) {
                Decision::NoOpinion { reason } if reason.is_empty() => {}
                Decision::NoOpinion { reason } => reasons.push(reason),
                decision => return decision,
            }
        }
        Decision::NoOpinion { reason: reasons.join("\n") }
    }

    fn rules_for(&self, user: &User, namespace: &str) -> Rules {
        let (mut out, mut errors) = (Rules::default(), Vec::new());
        for member in &self.members {
            let rules = member.rules_for(user, namespace);
            out.resources.extend(rules.resources);
            out.non_resources.extend(rules.non_resources);
            out.incomplete |= rules.incomplete;
            if !rules.evaluation_error.is_empty() {
                errors.push(rules.evaluation_error);
            }
        }
        if !errors.is_empty() {
            out.evaluation_error = crate::quote::aggregate(&errors);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Says(Decision);
    impl Authorizer for Says {
        fn authorize(&self, _: &Attributes) -> Decision {
            self.0.clone()
        }
        fn rules_for(&self, _: &User, _: &str) -> Rules {
            Rules::default()
        }
    }

    fn union(decisions: [Decision; 2]) -> Decision {
        let members = decisions.map(|decision| Arc::new(Says(decision)) as Arc<dyn Authorizer>);
        Union::new(members.into()).authorize(&Attributes::default())
    }

    fn reason(text: &str) -> String {
        text.to_owned()
    }

    #[test]
    fn deny_is_final() {
        let deny = Decision::Deny { reason: reason("no") };
        let allow = Decision::Allow { reason: reason("yes") };
        assert_eq!(union([deny.clone(), allow.clone()]), deny);
        assert_eq!(union([allow.clone(), deny]), allow);
    }

    #[test]
    fn no_opinions_are_joined() {
        let unsure = |text: &str| Decision::NoOpinion { reason: reason(text) };
        assert_eq!(union([unsure("a"), unsure("b")]), unsure("a\nb"));
        assert_eq!(union([unsure(""), unsure("b")]), unsure("b"));
    }
}

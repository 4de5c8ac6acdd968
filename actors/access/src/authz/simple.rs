//! Authorizers that need no look at the cluster.

use crate::attributes::{Attributes, Authorizer, Decision, NonResourceRule, ResourceRule, Rules};
use crate::known::MASTERS;
use crate::user::User;

fn star() -> Vec<String> {
    vec!["*".to_owned()]
}

fn everything() -> Rules {
    Rules {
        resources: vec![ResourceRule {
            verbs: star(),
            api_groups: star(),
            resources: star(),
            resource_names: Vec::new(),
        }],
        non_resources: vec![NonResourceRule { verbs: star(), non_resource_urls: star() }],
        ..Rules::default()
    }
}

/// Mode `AlwaysAllow`.
#[derive(Clone, Copy, Debug)]
pub struct AlwaysAllow;

impl Authorizer for AlwaysAllow {
    fn authorize(&self, _: &Attributes) -> Decision {
        Decision::Allow { reason: String::new() }
    }

    fn rules_for(&self, _: &User, _: &str) -> Rules {
        everything()
    }
}

/// Mode `AlwaysDeny`: it has no opinion, as upstream, so that a mode after it may still allow.
#[derive(Clone, Copy, Debug)]
pub struct AlwaysDeny;

impl Authorizer for AlwaysDeny {
    fn authorize(&self, _: &Attributes) -> Decision {
        Decision::NoOpinion { reason: "Everything is forbidden.".to_owned() }
    }

    fn rules_for(&self, _: &User, _: &str) -> Rules {
        Rules::default()
    }
}

/// Lets `system:masters` do everything, in front of every other authorizer.
#[derive(Clone, Copy, Debug)]
pub struct Superusers;

impl Authorizer for Superusers {
    fn authorize(&self, attributes: &Attributes) -> Decision {
        let reason = String::new();
        if attributes.user.is_in(MASTERS) {
            Decision::Allow { reason }
        } else {
            Decision::NoOpinion { reason }
        }
    }

    fn rules_for(&self, _: &User, _: &str) -> Rules {
        // Upstream's does not list itself; RBAC's binding of cluster-admin tells the same.
        Rules::default()
    }
}

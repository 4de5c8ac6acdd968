//! [`ResourceQuota`]: what a namespace may consume together. A request that fits is charged in its own transaction;
//! what becomes free is given back by a controller.
//!
//! A quota counts once its status says what is hard: before that nothing is known of the usage.

mod charge;
mod evaluator;
#[cfg(test)]
mod resource_quota_test;
mod scope;
mod tally;

pub use tally::{quota_kinds, quota_usage};

use trireme_schema::status::Failure;

use crate::config::{ChainConfig, LimitedResource};
use crate::plugin::{Plugin, World};
use crate::request::{Operation, Request, Verdict};

/// What is never counted: reviews, which are not stored, and events, which expire by themselves.
const IGNORED: [(&str, &str); 9] = [
    ("", "bindings"),
    ("", "componentstatuses"),
    ("", "events"),
    ("events.k8s.io", "events"),
    ("authentication.k8s.io", "tokenreviews"),
    ("authorization.k8s.io", "localsubjectaccessreviews"),
    ("authorization.k8s.io", "selfsubjectaccessreviews"),
    ("authorization.k8s.io", "selfsubjectrulesreviews"),
    ("authorization.k8s.io", "subjectaccessreviews"),
];

/// The plugin.
pub(crate) struct ResourceQuota {
    limited: Vec<LimitedResource>,
}

impl ResourceQuota {
    pub(crate) fn new(config: &ChainConfig) -> Self {
        Self { limited: config.limited_resources.clone() }
    }
}

impl Plugin for ResourceQuota {
    fn name(&self) -> &'static str {
        "ResourceQuota"
    }

    fn handles(&self, operation: Operation) -> bool {
        matches!(operation, Operation::Create | Operation::Update)
    }

    fn validate(
        &self,
        request: &Request<'_>,
        world: &World<'_>,
        verdict: &mut Verdict,
    ) -> Result<(), Failure> {
        let resized = request.is("", "pods") && request.subresource == "resize";
        let counted = request.namespaced
            && !request.namespace.is_empty()
            && (request.subresource.is_empty() || resized)
            && !IGNORED.contains(&(request.group, request.resource));
        if !counted {
            return Ok(());
        }
        let quotas = world.objects.list("", "resourcequotas", Some(request.namespace));
        if quotas.is_empty() && self.limited.is_empty() {
            return Ok(());
        }
        let writes = charge::plan(request, &quotas, &self.limited)?;
        if !request.dry_run {
            verdict.writes.extend(writes);
        }
        Ok(())
    }
}

//! [`LimitPodHardAntiAffinityTopology`]: a pod may keep others off its node, not off a whole zone.

use trireme_schema::status::Failure;
use trireme_schema::view::View;

use crate::plugin::{Plugin, World};
use crate::refuse::forbidden;
use crate::request::{Operation, Request, Verdict};

const HOSTNAME: &str = "kubernetes.io/hostname";

/// The plugin.
pub(crate) struct LimitPodHardAntiAffinityTopology;

impl Plugin for LimitPodHardAntiAffinityTopology {
    fn name(&self) -> &'static str {
        "LimitPodHardAntiAffinityTopology"
    }

    fn handles(&self, operation: Operation) -> bool {
        matches!(operation, Operation::Create | Operation::Update)
    }

    fn validate(&self, request: &Request<'_>, _: &World<'_>, _: &mut Verdict) -> Result<(), Failure> {
        if !request.is_whole("", "pods") {
            return Ok(());
        }
        let affinity = request.new_object().below(&["spec", "affinity", "podAntiAffinity"]);
        for term in affinity.list("requiredDuringSchedulingIgnoredDuringExecution") {
            let key = term.text("topologyKey");
            if key != HOSTNAME {
                let why = format!(
                    "affinity.PodAntiAffinity.RequiredDuringScheduling has TopologyKey {key} but only key \
                     {HOSTNAME} is allowed"
                );
                return Err(forbidden(request, why));
            }
        }
        Ok(())
    }
}

//! [`PodTolerationRestriction`]: a namespace's default tolerations, and those its pods may have at all.

use serde_json::{Value, json};
use trireme_schema::defaults::qos_class;
use trireme_schema::status::{Failure, Status};
use trireme_schema::view::{Edit, View};

use super::tolerations;
use crate::config::{ChainConfig, NamespaceTolerations};
use crate::plugin::{Plugin, World};
use crate::refuse::forbidden;
use crate::request::{Operation, Request, Verdict};

const DEFAULT_ANNOTATION: &str = "scheduler.alpha.kubernetes.io/defaultTolerations";
const ALLOWED_ANNOTATION: &str = "scheduler.alpha.kubernetes.io/tolerationsWhitelist";

/// The plugin.
pub(crate) struct PodTolerationRestriction {
    cluster: NamespaceTolerations,
}

impl PodTolerationRestriction {
    pub(crate) fn new(config: &ChainConfig) -> Self {
        Self { cluster: config.tolerations.clone() }
    }
}

impl Plugin for PodTolerationRestriction {
    fn name(&self) -> &'static str {
        "PodTolerationRestriction"
    }

    fn handles(&self, operation: Operation) -> bool {
        matches!(operation, Operation::Create | Operation::Update)
    }

    fn admit(&self, request: &mut Request<'_>, world: &World<'_>) -> Result<(), Failure> {
        if !request.is_whole("", "pods") {
            return Ok(());
        }
        let pod = request.new_object();
        let own = pod.at("spec").list("tolerations");
        let mut merged = own.to_vec();
        if request.operation == Operation::Create {
            let given = annotated(request, world, DEFAULT_ANNOTATION)?;
            merged = tolerations::merge(&given.unwrap_or_else(|| self.cluster.default.clone()), own);
        }
        if qos_class(pod) != "BestEffort" {
            let key = "node.kubernetes.io/memory-pressure";
            let pressure = json!({"key": key, "operator": "Exists", "effect": "NoSchedule"});
            merged = tolerations::merge(&merged, &[pressure]);
        }
        merged = tolerations::merge(&merged, &[]);
        if let Some(spec) = request.object.as_mut().and_then(|pod| pod.object("spec")) {
            if !merged.is_empty() {
                spec.put("tolerations", merged);
            }
        }
        self.check(request, world)
    }

    fn validate(&self, request: &Request<'_>, world: &World<'_>, _: &mut Verdict) -> Result<(), Failure> {
        if request.is_whole("", "pods") { self.check(request, world) } else { Ok(()) }
    }
}

impl PodTolerationRestriction {
    fn check(&self, request: &Request<'_>, world: &World<'_>) -> Result<(), Failure> {
        let allowed = annotated(request, world, ALLOWED_ANNOTATION)?;
        let allowed = allowed.unwrap_or_else(|| self.cluster.whitelist.clone());
        if tolerations::all_within(request.new_object().at("spec").list("tolerations"), &allowed) {
            return Ok(());
        }
        let why = "pod tolerations (possibly merged with namespace default tolerations) conflict with its \
                   namespace whitelist";
        Err(forbidden(request, why))
    }
}

/// Tolerations in an annotation of the request's namespace.
fn annotated(
    request: &Request<'_>,
    world: &World<'_>,
    annotation: &str,
) -> Result<Option<Vec<Value>>, Failure> {
    let namespace = world.objects.get("", "namespaces", "", request.namespace);
    let namespace = namespace.ok_or_else(|| Status::not_found("", "namespaces", request.namespace))?;
    let annotations = namespace.at("metadata").at("annotations");
    if !annotations.has(annotation) {
        return Ok(None);
    }
    let text = annotations.text(annotation);
    if text.is_empty() {
        return Ok(Some(Vec::new()));
    }
    serde_json::from_str(text).map(Some).map_err(|error| {
        let why = format!("the annotation {annotation} of the namespace is no list of tolerations: {error}");
        forbidden(request, why)
    })
}

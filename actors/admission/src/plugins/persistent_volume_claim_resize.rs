//! [`PersistentVolumeClaimResize`]: a claim may ask for more only where its class can give it.

use serde_json::Value;
use trireme_schema::Quantity;
use trireme_schema::status::Failure;
use trireme_schema::view::View;

use super::default_storage_class::CLASS_ANNOTATION;
use crate::plugin::{Plugin, World};
use crate::refuse::forbidden;
use crate::request::{Operation, Request, Verdict};

/// The plugin.
pub(crate) struct PersistentVolumeClaimResize;

impl Plugin for PersistentVolumeClaimResize {
    fn name(&self) -> &'static str {
        "PersistentVolumeClaimResize"
    }

    fn handles(&self, operation: Operation) -> bool {
        operation == Operation::Update
    }

    fn validate(&self, request: &Request<'_>, world: &World<'_>, _: &mut Verdict) -> Result<(), Failure> {
        let (old, new) = (request.old_object(), request.new_object());
        if !request.is_whole("", "persistentvolumeclaims") || size(new) <= size(old) {
            return Ok(());
        }
        if old.at("status").text("phase") != "Bound" {
            return Err(forbidden(request, "Only bound persistent volume claims can be expanded"));
        }
        let class = class(new);
        let grows = !class.is_empty()
            && class == self::class(old)
            && world
                .objects
                .get("storage.k8s.io", "storageclasses", "", class)
                .is_some_and(|class| class.is_true("allowVolumeExpansion"));
        if grows {
            return Ok(());
        }
        let why = "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc \
                   must support resize";
        Err(forbidden(request, why))
    }
}

fn size(claim: &Value) -> Quantity {
    claim.below(&["spec", "resources", "requests"]).text("storage").parse().unwrap_or(Quantity::ZERO)
}

/// The class of a claim; the annotation goes before the field.
pub(super) fn class(claim: &Value) -> &str {
    let old = claim.at("metadata").at("annotations").text(CLASS_ANNOTATION);
    if old.is_empty() { claim.at("spec").text("storageClassName") } else { old }
}

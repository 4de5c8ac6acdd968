//! [`DefaultStorageClass`]: a claim that names no class gets the default one.

use trireme_schema::status::Failure;
use trireme_schema::view::{Edit, View};

use super::newest::default_of;
use crate::plugin::{Plugin, World};
use crate::request::{Operation, Request};

/// The class of a claim, before there was a field for it.
pub(super) const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";
const DEFAULT_ANNOTATIONS: [&str; 2] =
    ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];

/// The plugin.
pub(crate) struct DefaultStorageClass;

impl Plugin for DefaultStorageClass {
    fn name(&self) -> &'static str {
        "DefaultStorageClass"
    }

    fn handles(&self, operation: Operation) -> bool {
        operation == Operation::Create
    }

    fn admit(&self, request: &mut Request<'_>, world: &World<'_>) -> Result<(), Failure> {
        let claim = request.new_object();
        let named = claim.at("spec").has("storageClassName")
            || claim.at("metadata").at("annotations").has(CLASS_ANNOTATION);
        if !request.is_whole("", "persistentvolumeclaims") || named {
            return Ok(());
        }
        let class = default_of(world, "storage.k8s.io", "storageclasses", &DEFAULT_ANNOTATIONS);
        let spec = request.object.as_mut().and_then(|claim| claim.object("spec"));
        if let (Some(class), Some(spec)) = (class, spec) {
            spec.put("storageClassName", class.at("metadata").text("name"));
        }
        Ok(())
    }
}

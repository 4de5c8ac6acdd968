//! [`StorageObjectInUseProtection`]: volumes, claims and attribute classes go only when nothing uses them; the
//! finalizer that holds them is put on here and taken off by controllers.

use trireme_schema::status::Failure;
use trireme_schema::view::{Edit, View};

use crate::plugin::{Plugin, World};
use crate::request::{Operation, Request};

/// Group, resource and finalizer.
const PROTECTED: [(&str, &str, &str); 3] = [
    ("", "persistentvolumes", "kubernetes.io/pv-protection"),
    ("", "persistentvolumeclaims", "kubernetes.io/pvc-protection"),
    ("storage.k8s.io", "volumeattributesclasses", "kubernetes.io/vac-protection"),
];

/// The plugin.
pub(crate) struct StorageObjectInUseProtection;

impl Plugin for StorageObjectInUseProtection {
    fn name(&self) -> &'static str {
        "StorageObjectInUseProtection"
    }

    fn handles(&self, operation: Operation) -> bool {
        operation == Operation::Create
    }

    fn admit(&self, request: &mut Request<'_>, _: &World<'_>) -> Result<(), Failure> {
        let row = PROTECTED.iter().find(|(group, resource, _)| request.is_whole(group, resource));
        let metadata = request.object.as_mut().and_then(|object| object.object("metadata"));
        if let (Some(&(_, _, finalizer)), Some(metadata)) = (row, metadata) {
            let mut finalizers = metadata.list("finalizers").to_vec();
            if !finalizers.iter().any(|own| own == finalizer) {
                finalizers.push(finalizer.into());
                metadata.put("finalizers", finalizers);
            }
        }
        Ok(())
    }
}

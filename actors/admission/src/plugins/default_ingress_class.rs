//! [`DefaultIngressClass`]: an ingress that names no class gets the default one.

use trireme_schema::status::Failure;
use trireme_schema::view::{Edit, View};

use super::newest::default_of;
use crate::plugin::{Plugin, World};
use crate::request::{Operation, Request};

const GROUP: &str = "networking.k8s.io";
/// The class of an ingress, before there was a field for it.
const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";
const DEFAULT_ANNOTATION: &str = "ingressclass.kubernetes.io/is-default-class";

/// The plugin.
pub(crate) struct DefaultIngressClass;

impl Plugin for DefaultIngressClass {
    fn name(&self) -> &'static str {
        "DefaultIngressClass"
    }

    fn handles(&self, operation: Operation) -> bool {
        operation == Operation::Create
    }

    fn admit(&self, request: &mut Request<'_>, world: &World<'_>) -> Result<(), Failure> {
        let ingress = request.new_object();
        let named = ingress.at("spec").has("ingressClassName")
            || ingress.at("metadata").at("annotations").has(CLASS_ANNOTATION);
        if !request.is_whole(GROUP, "ingresses") || named {
            return Ok(());
        }
        let class = default_of(world, GROUP, "ingressclasses", &[DEFAULT_ANNOTATION]);
        let spec = request.object.as_mut().and_then(|ingress| ingress.object("spec"));
        if let (Some(class), Some(spec)) = (class, spec) {
            spec.put("ingressClassName", class.at("metadata").text("name"));
        }
        Ok(())
    }
}

//! [`AlwaysPullImages`]: every start asks the registry, so that nobody runs another's private image from a node's
//! cache.

use trireme_schema::field::{ErrorList, Path};
use trireme_schema::status::Failure;
use trireme_schema::view::{Edit, View};

use crate::plugin::{Plugin, World};
use crate::pod::containers;
use crate::refuse::{aggregate, forbidden};
use crate::request::{Operation, Request, Verdict};

const ALWAYS: &str = "Always";
const LISTS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

/// The plugin.
pub(crate) struct AlwaysPullImages;

impl Plugin for AlwaysPullImages {
    fn name(&self) -> &'static str {
        "AlwaysPullImages"
    }

    fn handles(&self, operation: Operation) -> bool {
        matches!(operation, Operation::Create | Operation::Update)
    }

    fn admit(&self, request: &mut Request<'_>, _: &World<'_>) -> Result<(), Failure> {
        if !brings_images(request) {
            return Ok(());
        }
        let Some(spec) = request.object.as_mut().and_then(|pod| pod.get_some("spec")) else { return Ok(()) };
        for list in LISTS {
            for container in spec.items(list) {
                container.put("imagePullPolicy", ALWAYS);
            }
        }
        for volume in spec.items("volumes") {
            if let Some(image) = volume.get_some("image") {
                image.put("pullPolicy", ALWAYS);
            }
        }
        Ok(())
    }

    fn validate(&self, request: &Request<'_>, _: &World<'_>, _: &mut Verdict) -> Result<(), Failure> {
        if !brings_images(request) {
            return Ok(());
        }
        let spec = request.new_object().at("spec");
        let mut errors = ErrorList::new();
        for list in LISTS {
            for (i, container) in spec.list(list).iter().enumerate() {
                let policy = container.text("imagePullPolicy");
                if policy != ALWAYS {
                    let path = Path::new("spec");
                    let (path_list, name) = (path.child(list), "imagePullPolicy");
                    errors.not_supported(&path_list.index(i).child(name), policy, &[ALWAYS]);
                }
            }
        }
        if errors.is_empty() {
            return Ok(());
        }
        let reasons: Vec<String> = errors.iter().map(trireme_schema::field::FieldError::message).collect();
        Err(forbidden(request, aggregate(&reasons)))
    }
}

/// A new pod, or one that changes to an image it does not run yet.
fn brings_images(request: &Request<'_>) -> bool {
    if !request.is_whole("", "pods") {
        return false;
    }
    let old: Vec<&str> = containers(request.old_object().at("spec")).map(|c| c.text("image")).collect();
    request.operation == Operation::Create
        || containers(request.new_object().at("spec")).any(|c| !old.contains(&c.text("image")))
}

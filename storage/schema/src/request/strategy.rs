//! [`Strategy`]: what the server does to an object of a kind on every write, as upstream's registry strategies.

use crate::apply::Set;
use crate::names::{self, NameRule};

/// When `metadata.generation` rises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generation {
    /// Never set.
    None,
    /// Starts at 1 and rises when one of these fields changes.
    Fields(&'static [&'static str]),
    /// Starts at 1 and rises when anything but metadata and status changes, or labels do.
    ContentAndLabels,
    /// Unset at first, rises when one of these fields changes.
    FieldsFromZero(&'static [&'static str]),
}

/// The rules of one kind.
#[derive(Clone, Copy, Debug)]
pub struct Strategy {
    /// What names may look like.
    pub name_rule: NameRule,
    /// When the generation rises.
    pub generation: Generation,
    /// Status is a subresource: ordinary writes cannot change it.
    pub status: bool,
    /// An update of a missing object creates it.
    pub create_on_update: bool,
    /// An update may leave out the resourceVersion.
    pub unconditional_update: bool,
}

const SPEC: Generation = Generation::Fields(&["spec"]);

/// The strategy of a built-in kind.
pub fn strategy(group: &str, kind: &str) -> Strategy {
    let base = Strategy {
        name_rule: names::name_is_dns_subdomain,
        generation: Generation::None,
        status: false,
        create_on_update: false,
        unconditional_update: true,
    };
    let spec_and_status = Strategy { generation: SPEC, status: true, ..base };
    match (group, kind) {
        ("", "Pod") => spec_and_status,
        ("", "Node" | "PersistentVolume" | "PersistentVolumeClaim" | "ResourceQuota") => {
            Strategy { status: true, ..base }
        }
        ("", "Namespace") => Strategy { name_rule: names::name_is_dns_label, status: true, ..base },
        ("", "Service") => {
            Strategy { name_rule: names::name_is_dns1035_label, status: true, create_on_update: true, ..base }
        }
        ("", "ReplicationController") => spec_and_status,
        ("", "PodTemplate") => Strategy { generation: Generation::Fields(&["template"]), ..base },
        ("" | "events.k8s.io", "Event") => Strategy { create_on_update: true, ..base },
        ("", "Endpoints" | "LimitRange") => Strategy { create_on_update: true, ..base },
        ("apps", "Deployment") => {
            Strategy { generation: Generation::Fields(&["spec", "metadata.annotations"]), ..spec_and_status }
        }
        ("apps", "ReplicaSet" | "StatefulSet" | "DaemonSet") => spec_and_status,
        ("batch", "Job" | "CronJob") => spec_and_status,
        ("autoscaling", "HorizontalPodAutoscaler") => Strategy { status: true, ..base },
        ("policy", "PodDisruptionBudget") => Strategy { unconditional_update: false, ..spec_and_status },
        ("networking.k8s.io", "Ingress" | "ServiceCIDR") => spec_and_status,
        ("networking.k8s.io", "NetworkPolicy" | "IngressClass") => Strategy { generation: SPEC, ..base },
        ("discovery.k8s.io", "EndpointSlice") => {
            Strategy { generation: Generation::ContentAndLabels, ..base }
        }
        ("coordination.k8s.io", "Lease") => {
            Strategy { create_on_update: true, unconditional_update: false, ..base }
        }
        ("rbac.authorization.k8s.io", _) => {
            Strategy { name_rule: names::check_path_segment, create_on_update: true, ..base }
        }
        _ => cluster_strategy(group, kind, base, spec_and_status),
    }
}

/// The kinds that configure the cluster rather than run in it.
fn cluster_strategy(group: &str, kind: &str, base: Strategy, spec_and_status: Strategy) -> Strategy {
    match (group, kind) {
        ("scheduling.k8s.io", "PriorityClass") => Strategy { generation: Generation::Fields(&[]), ..base },
        ("storage.k8s.io", "CSIDriver") => Strategy {
            generation: Generation::FieldsFromZero(&["spec.tokenRequests", "spec.requiresRepublish"]),
            unconditional_update: false,
            ..base
        },
        ("storage.k8s.io", "VolumeAttachment") => {
            Strategy { status: true, unconditional_update: false, ..base }
        }
        ("storage.k8s.io", "CSINode" | "CSIStorageCapacity") => {
            Strategy { unconditional_update: false, ..base }
        }
        (
            "admissionregistration.k8s.io",
            "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration",
        ) => Strategy { generation: Generation::Fields(&["webhooks"]), unconditional_update: false, ..base },
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy") => {
            Strategy { unconditional_update: false, ..spec_and_status }
        }
        ("admissionregistration.k8s.io", _) => {
            Strategy { generation: SPEC, unconditional_update: false, ..base }
        }
        ("certificates.k8s.io", "CertificateSigningRequest") => Strategy { status: true, ..base },
        ("flowcontrol.apiserver.k8s.io", _) => spec_and_status,
        ("apiregistration.k8s.io", "APIService") => Strategy {
            name_rule: names::check_path_segment,
            status: true,
            unconditional_update: false,
            ..base
        },
        ("apiextensions.k8s.io", "CustomResourceDefinition") => {
            Strategy { unconditional_update: false, ..spec_and_status }
        }
        ("node.k8s.io", _) => Strategy { unconditional_update: false, ..base },
        ("resource.k8s.io", "ResourceClaim") => Strategy { status: true, ..base },
        ("resource.k8s.io", "ResourceSlice" | "DeviceClass") => Strategy { generation: SPEC, ..base },
        _ => base,
    }
}

/// Fields that a write cannot change through `subresource` and therefore does not come to own.
pub(super) fn reset_fields(group: &str, kind: &str, has_status: bool, subresource: &str) -> Set {
    let mut set = Set::new();
    match subresource {
        "" if has_status => {
            set.insert_fields(&["status"]);
            if (group, kind) == ("certificates.k8s.io", "CertificateSigningRequest") {
                set.insert_fields(&["spec"]);
            }
        }
        "finalize" => set.insert_fields(&["status"]),
        "status" => {
            set.insert_fields(&["spec"]);
            match (group, kind) {
                ("", "Pod") => {
                    set.insert_fields(&["metadata", "deletionTimestamp"]);
                    set.insert_fields(&["metadata", "ownerReferences"]);
                }
                ("apps", "Deployment") => set.insert_fields(&["metadata", "labels"]),
                ("storage.k8s.io", "VolumeAttachment") => set.insert_fields(&["metadata"]),
                _ => {}
            }
        }
        _ => {}
    }
    set
}

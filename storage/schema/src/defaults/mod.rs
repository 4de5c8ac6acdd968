//! Defaulting: what the server fills in when it decodes an object, per kind, as upstream's v1 defaults do.
//!
//! Runs on objects that [`crate::types::conform`] brought into canonical form. Values that need other objects or
//! allocation (addresses, service accounts, priorities) come from admission and the allocators, not from here.

mod apps;
mod batch;
mod core;
mod pod;
mod qos;
mod rest;

use serde_json::Value;

pub(crate) use apps::TEMPLATE_GENERATION;
pub use batch::generate_job_selector;
pub use pod::default_pod_template;
pub use qos::qos_class;

/// Fills in the defaults of a built-in kind; kinds without defaults stay as they are.
pub fn apply_defaults(group: &str, version: &str, kind: &str, object: &mut Value) {
    match (group, kind) {
        ("", "Pod") => pod::default_pod(object),
        ("", "PodTemplate") => pod::default_template_field(object, "template"),
        ("", "Service") => core::service(object),
        ("", "ReplicationController") => apps::replication_controller(object),
        ("", "Secret") => core::secret(object),
        ("", "Endpoints") => core::endpoints(object),
        ("", "LimitRange") => core::limit_range(object),
        ("", "Namespace") => core::namespace(object),
        ("", "Node") => core::node(object),
        ("", "PersistentVolume") => core::persistent_volume(object),
        ("", "PersistentVolumeClaim") => core::persistent_volume_claim(object),
        ("apps", "Deployment") => apps::deployment(object),
        ("apps", "ReplicaSet") => apps::replica_set(object),
        ("apps", "StatefulSet") => apps::stateful_set(object),
        ("apps", "DaemonSet") => apps::daemon_set(object),
        ("batch", "Job") => batch::job(object),
        ("batch", "CronJob") => batch::cron_job(object),
        ("autoscaling", "HorizontalPodAutoscaler") => rest::autoscaler(object, version),
        ("networking.k8s.io", "NetworkPolicy") => rest::network_policy(object),
        ("networking.k8s.io", "IngressClass") => rest::ingress_class(object),
        ("discovery.k8s.io", "EndpointSlice") => rest::endpoint_slice(object),
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => rest::role_binding(object),
        ("storage.k8s.io", "StorageClass") => rest::storage_class(object),
        ("storage.k8s.io", "CSIDriver") => rest::csi_driver(object),
        ("scheduling.k8s.io", "PriorityClass") => rest::priority_class(object),
        ("admissionregistration.k8s.io", "MutatingWebhookConfiguration") => rest::webhooks(object, true),
        ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration") => rest::webhooks(object, false),
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy") => rest::admission_policy(object),
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding") => {
            rest::admission_policy_binding(object);
        }
        ("flowcontrol.apiserver.k8s.io", "FlowSchema") => rest::flow_schema(object),
        ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration") => rest::priority_level(object),
        ("apiregistration.k8s.io", "APIService") => rest::api_service(object),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => rest::custom_resource_definition(object),
        ("authentication.k8s.io", "TokenRequest") => rest::token_request(object),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn defaulted(group: &str, kind: &str, mut object: Value) -> Value {
        let of = crate::types::lookup(group, "v1", kind).unwrap();
        crate::types::conform(&mut object, of).unwrap();
        apply_defaults(group, "v1", kind, &mut object);
        object
    }

    #[test]
    fn pods_and_templates_differ() {
        let spec = json!({"hostNetwork":true,"containers":[{"name":"a","image":"img","ports":[{"containerPort":80}],
            "resources":{"limits":{"cpu":"1"}}}]});
        let pod = defaulted("", "Pod", json!({"spec":spec}));
        assert_eq!(
            pod["spec"]["containers"][0]["ports"][0],
            json!({"containerPort":80,"hostPort":80,"protocol":"TCP"})
        );
        assert_eq!(pod["spec"]["containers"][0]["resources"]["requests"], json!({"cpu":"1"}));
        assert_eq!(pod["spec"]["enableServiceLinks"], json!(true));
        let job = defaulted("batch", "Job", json!({"spec":{"template":{"spec":spec}}}));
        let template = &job["spec"]["template"]["spec"];
        assert_eq!(template["containers"][0]["imagePullPolicy"], "Always");
        assert!(template.get("enableServiceLinks").is_none());
        assert!(template["containers"][0]["resources"].get("requests").is_none());
    }

    #[test]
    fn services_follow_their_type() {
        let service = defaulted("", "Service", json!({"spec":{"type":"LoadBalancer","ports":[{"port":80}]}}));
        assert_eq!(
            service["spec"],
            json!({"type":"LoadBalancer","sessionAffinity":"None","externalTrafficPolicy":"Cluster",
                "internalTrafficPolicy":"Cluster","allocateLoadBalancerNodePorts":true,
                "ports":[{"port":80,"protocol":"TCP","targetPort":80}]})
        );
    }
}

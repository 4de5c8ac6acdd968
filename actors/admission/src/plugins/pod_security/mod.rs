//! [`PodSecurity`]: pods keep to the Pod Security Standard that their namespace's labels name.
//!
//! Pods are refused by the enforced standard; pods and templates of pods are warned about by the other. Audit
//! annotations await the audit log.

mod baseline;
mod finding;
mod kernel;
#[cfg(test)]
mod pod_security_test;
mod policy;
mod restricted;
mod standard;

use serde_json::Value;
use trireme_schema::status::{Failure, Status};
use trireme_schema::view::View;

use crate::chain::ChainError;
use crate::config::{ChainConfig, PodSecurityConfig};
use crate::plugin::{Plugin, World};
use crate::refuse::forbidden;
use crate::request::{Operation, Request, Verdict};
use finding::Subject;
use policy::{Level, Policy, Standard};

/// Pods looked at when a namespace's standard changes.
const NAMESPACE_PODS: usize = 3000;
/// Subresources of pods that do not carry a pod, or none whose spec changes.
const IGNORED: [&str; 8] = ["exec", "attach", "binding", "eviction", "log", "portforward", "proxy", "status"];
/// Group, resource and where the pod's template lies.
const TEMPLATES: [(&str, &str, &[&str]); 8] = [
    ("", "podtemplates", &["template"]),
    ("", "replicationcontrollers", &["spec", "template"]),
    ("apps", "replicasets", &["spec", "template"]),
    ("apps", "deployments", &["spec", "template"]),
    ("apps", "statefulsets", &["spec", "template"]),
    ("apps", "daemonsets", &["spec", "template"]),
    ("batch", "jobs", &["spec", "template"]),
    ("batch", "cronjobs", &["spec", "jobTemplate", "spec", "template"]),
];

/// The plugin.
pub(crate) struct PodSecurity {
    defaults: Policy,
    config: PodSecurityConfig,
}

impl PodSecurity {
    pub(crate) fn new(config: &ChainConfig) -> Result<Self, ChainError> {
        let config = config.pod_security.clone();
        let defaults = Policy::from_defaults(&config.defaults)
            .map_err(|why| ChainError::Setting { plugin: "PodSecurity", why })?;
        Ok(Self { defaults, config })
    }
}

impl Plugin for PodSecurity {
    fn name(&self) -> &'static str {
        "PodSecurity"
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
        if request.is_whole("", "namespaces") {
            return self.namespace(request, world, verdict);
        }
        if request.is("", "pods") {
            return self.pod(request, world, verdict);
        }
        let row = TEMPLATES.iter().find(|(group, resource, _)| request.is_whole(group, resource));
        let Some((_, _, path)) = row else { return Ok(()) };
        let template = request.new_object().below(path);
        if template.is_null() {
            return Ok(());
        }
        self.judge(request, world, Subject::of(template), false, verdict)
    }
}

impl PodSecurity {
    fn pod(&self, request: &Request<'_>, world: &World<'_>, verdict: &mut Verdict) -> Result<(), Failure> {
        let pod = request.new_object();
        let ignored = IGNORED.contains(&request.subresource);
        let unchanged = request.operation == Operation::Update && !is_significant(request.old_object(), pod);
        if ignored || unchanged {
            return Ok(());
        }
        self.judge(request, world, Subject::of(pod), true, verdict)
    }

    /// Refuses by the enforced standard, warns by the other.
    fn judge(
        &self,
        request: &Request<'_>,
        world: &World<'_>,
        subject: Subject<'_>,
        enforce: bool,
        verdict: &mut Verdict,
    ) -> Result<(), Failure> {
        let exempt = self.is_exempt_namespace(request.namespace)
            || self.config.exempt_users.contains(&request.user.name)
            || self.is_exempt_class(subject.spec);
        if exempt {
            return Ok(());
        }
        let Some(namespace) = world.objects.get("", "namespaces", "", request.namespace) else {
            return Err(Status::internal(&format!("failed to lookup namespace {}", request.namespace)));
        };
        let (policy, _) = self.policy(&namespace);
        let findings = |standard: Standard| standard::findings(standard, subject);
        let told = |found: &[finding::Finding]| {
            let told = found.iter().map(|one| format!("{} ({})", one.reason, one.detail));
            told.collect::<Vec<_>>().join(", ")
        };
        if enforce {
            let found = findings(policy.enforce);
            if !found.is_empty() {
                let standard = policy.enforce.to_string();
                let why = format!("violates PodSecurity {standard:?}: {}", told(&found));
                return Err(forbidden(request, why));
            }
        }
        let found = findings(policy.warn);
        if !found.is_empty() {
            let standard = policy.warn.to_string();
            verdict.warnings.push(format!("would violate PodSecurity {standard:?}: {}", told(&found)));
        }
        Ok(())
    }

    /// Labels must be well-formed when they are new; a stricter standard tells about pods that break it.
    fn namespace(
        &self,
        request: &Request<'_>,
        world: &World<'_>,
        verdict: &mut Verdict,
    ) -> Result<(), Failure> {
        let namespace = request.new_object();
        let name = namespace.at("metadata").text("name");
        let (new, errors) = self.policy(namespace);
        let update = request.operation == Operation::Update;
        let (old, old_errors) = self.policy(request.old_object());
        let kept = update && errors == old_errors;
        if !errors.is_empty() && !kept {
            return Err(Status::invalid("", "Namespace", name, &errors));
        }
        let relaxed = new.enforce.version == old.enforce.version && new.enforce.level <= old.enforce.level;
        if self.is_exempt_namespace(name) {
            if new.enforce.level != Level::Privileged && (!update || !relaxed) {
                verdict.warnings.push(format!(
                    "namespace {name:?} is exempt from Pod Security, and the policy (enforce={}) will be ignored",
                    new.enforce
                ));
            }
            return Ok(());
        }
        if update && !relaxed && new.enforce.level != Level::Privileged {
            verdict.warnings.extend(self.existing(world, name, new.enforce));
        }
        Ok(())
    }

    /// What a namespace's pods break of a standard, pods of one kind of breach together.
    fn existing(&self, world: &World<'_>, namespace: &str, standard: Standard) -> Vec<String> {
        let pods = world.objects.list("", "pods", Some(namespace));
        let mut breaches: Vec<(String, &str, usize)> = Vec::new();
        for pod in pods.iter().take(NAMESPACE_PODS).filter(|pod| !self.is_exempt_class(pod.at("spec"))) {
            let found = standard::findings(standard, Subject::of(pod));
            if found.is_empty() {
                continue;
            }
            let reasons = found.iter().map(|one| one.reason.as_str()).collect::<Vec<_>>().join(", ");
            let name = pod.at("metadata").text("name");
            match breaches.iter_mut().find(|(other, _, _)| *other == reasons) {
                Some((_, first, count)) => {
                    *first = name.min(*first);
                    *count += 1;
                }
                None => breaches.push((reasons, name, 1)),
            }
        }
        let mut warnings = Vec::new();
        if pods.len() > NAMESPACE_PODS {
            warnings.push(format!(
                "new PodSecurity enforce level only checked against the first {NAMESPACE_PODS} of {} existing pods",
                pods.len()
            ));
        }
        if !breaches.is_empty() {
            let standard = standard.to_string();
            warnings.push(format!(
                "existing pods in namespace {namespace:?} violate the new PodSecurity enforce level {standard:?}"
            ));
        }
        let mut told: Vec<String> = breaches
            .into_iter()
            .map(|(reasons, first, count)| match count {
                1 => format!("{first}: {reasons}"),
                2 => format!("{first} (and 1 other pod): {reasons}"),
                more => format!("{first} (and {} other pods): {reasons}", more - 1),
            })
            .collect();
        told.sort();
        warnings.extend(told);
        warnings
    }

    fn policy(&self, namespace: &Value) -> (Policy, trireme_schema::field::ErrorList) {
        self.defaults.labelled(namespace.at("metadata").map("labels"))
    }

    fn is_exempt_namespace(&self, name: &str) -> bool {
        self.config.exempt_namespaces.iter().any(|exempt| exempt == name)
    }

    fn is_exempt_class(&self, spec: &Value) -> bool {
        let class = spec.text("runtimeClassName");
        !class.is_empty() && self.config.exempt_runtime_classes.iter().any(|exempt| exempt == class)
    }
}

/// Whether an update changes anything that a standard looks at: images, seccomp annotations, further containers.
fn is_significant(old: &Value, new: &Value) -> bool {
    let annotation = |pod: &Value, key: &str| pod.at("metadata").at("annotations").text(key).to_owned();
    let differs = |key: &str| annotation(old, key) != annotation(new, key);
    let changed = |before: &Value, after: &Value| {
        let key = format!("{}{}", baseline::SECCOMP_CONTAINER, after.text("name"));
        before.text("image") != after.text("image") || differs(&key)
    };
    if differs(baseline::SECCOMP_POD) {
        return true;
    }
    let (before, after) = (old.at("spec"), new.at("spec"));
    for list in ["containers", "initContainers"] {
        let (before, after) = (before.list(list), after.list(list));
        if before.len() != after.len() || before.iter().zip(after).any(|(b, a)| changed(b, a)) {
            return true;
        }
    }
    let debuggers = before.list("ephemeralContainers");
    after.list("ephemeralContainers").iter().any(|container| {
        let same_name = |other: &&Value| other.text("name") == container.text("name");
        debuggers.iter().find(same_name).is_none_or(|other| changed(other, container))
    })
}

//! [`PodNodeSelector`]: a namespace's pods run on the namespace's nodes.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use trireme_schema::selector::{LabelSelector, Operator};
use trireme_schema::status::{Failure, Status};
use trireme_schema::view::{Edit, View};

use crate::chain::ChainError;
use crate::config::ChainConfig;
use crate::plugin::{Plugin, World};
use crate::refuse::forbidden;
use crate::request::{Operation, Request, Verdict};

const ANNOTATION: &str = "scheduler.alpha.kubernetes.io/node-selector";

/// The plugin.
pub(crate) struct PodNodeSelector {
    cluster_default: Map<String, Value>,
    by_namespace: BTreeMap<String, Map<String, Value>>,
}

impl PodNodeSelector {
    pub(crate) fn new(config: &ChainConfig) -> Result<Self, ChainError> {
        let read =
            |text: &str| read(text).map_err(|why| ChainError::Setting { plugin: "PodNodeSelector", why });
        let given = &config.node_selectors;
        let by_namespace = given.by_namespace.iter().map(|(name, text)| Ok((name.clone(), read(text)?)));
        Ok(Self {
            cluster_default: read(&given.cluster_default)?,
            by_namespace: by_namespace.collect::<Result<_, ChainError>>()?,
        })
    }

    fn of_namespace(&self, request: &Request<'_>, world: &World<'_>) -> Result<Map<String, Value>, Failure> {
        let namespace = world.objects.get("", "namespaces", "", request.namespace);
        let namespace = namespace.ok_or_else(|| Status::not_found("", "namespaces", request.namespace))?;
        let annotations = namespace.at("metadata").at("annotations");
        if annotations.has(ANNOTATION) {
            return read(annotations.text(ANNOTATION)).map_err(|why| forbidden(request, why));
        }
        Ok(self.cluster_default.clone())
    }

    fn check(&self, request: &Request<'_>, selector: &Map<String, Value>) -> Result<(), Failure> {
        let allowed = self.by_namespace.get(request.namespace).filter(|allowed| !allowed.is_empty());
        let fits = |allowed: &Map<String, Value>| {
            selector.iter().all(|(key, value)| allowed.get(key) == Some(value))
        };
        if allowed.is_none_or(fits) {
            return Ok(());
        }
        Err(forbidden(request, "pod node label selector labels conflict with its namespace whitelist"))
    }
}

impl Plugin for PodNodeSelector {
    fn name(&self) -> &'static str {
        "PodNodeSelector"
    }

    fn handles(&self, operation: Operation) -> bool {
        operation == Operation::Create
    }

    fn admit(&self, request: &mut Request<'_>, world: &World<'_>) -> Result<(), Failure> {
        if !request.is_whole("", "pods") {
            return Ok(());
        }
        let mut merged = self.of_namespace(request, world)?;
        let own = request.new_object().at("spec").map("nodeSelector").cloned().unwrap_or_default();
        check_conflict(request, &merged, &own)?;
        merged.extend(own);
        self.check(request, &merged)?;
        if let Some(spec) = request.object.as_mut().and_then(|pod| pod.object("spec")) {
            if !merged.is_empty() {
                spec.put("nodeSelector", Value::Object(merged));
            }
        }
        Ok(())
    }

    fn validate(&self, request: &Request<'_>, world: &World<'_>, _: &mut Verdict) -> Result<(), Failure> {
        if !request.is_whole("", "pods") {
            return Ok(());
        }
        let own = request.new_object().at("spec").map("nodeSelector").cloned().unwrap_or_default();
        check_conflict(request, &self.of_namespace(request, world)?, &own)?;
        self.check(request, &own)
    }
}

fn check_conflict(
    request: &Request<'_>,
    namespace: &Map<String, Value>,
    own: &Map<String, Value>,
) -> Result<(), Failure> {
    if own.iter().any(|(key, value)| namespace.get(key).is_some_and(|other| other != value)) {
        let why = "pod node label selector conflicts with its namespace node label selector";
        return Err(forbidden(request, why));
    }
    Ok(())
}

/// Labels from a text such as `a=b,c=d`.
fn read(text: &str) -> Result<Map<String, Value>, String> {
    let selector = LabelSelector::parse(text).map_err(|error| error.to_string())?;
    selector
        .requirements()
        .iter()
        .map(|requirement| match (requirement.operator, requirement.values.first()) {
            (Operator::Equals | Operator::In, Some(value)) if requirement.values.len() == 1 => {
                Ok((requirement.key.clone(), value.clone().into()))
            }
            _ => Err(format!("{text:?} must be labels as in `a=b,c=d`")),
        })
        .collect()
}

//! [`NamespaceController`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use trireme_schema::time::Moment;
use trireme_schema::view::{Edit, View, same};

use crate::condition::{self, Says};
use crate::controller::{Change, Controller, Look, Resource, resources};
use crate::key::Key;
use crate::owner::is_deleting;
use crate::plan::{Plan, Propagation, Write};
use crate::world::World;

/// The finalizer in `spec.finalizers` that this controller removes.
const FINALIZER: &str = "kubernetes";
/// Most objects that one plan deletes; the others come with the next look.
const DELETES_PER_PLAN: usize = 500;
/// Time between two looks at a namespace whose content is held by somebody else's finalizers.
const LOOK_AGAIN: Duration = Duration::from_secs(15);

static WATCHED: [Resource; 1] = [resources::NAMESPACES];

/// See the module.
#[derive(Debug, Default)]
pub struct NamespaceController {}

/// What is left in a namespace.
#[derive(Default)]
struct Content {
    objects: Vec<(Resource, Arc<Value>)>,
}

impl Content {
    fn of(world: &dyn World, namespace: &str) -> Self {
        let resources = world.namespaced_resources();
        let objects = resources.into_iter().flat_map(|resource| {
            let listed = resource.list(world, Some(namespace));
            listed.into_iter().map(move |object| (resource.clone(), object))
        });
        Self { objects: objects.collect() }
    }

    /// The next objects to delete: pods alone while there are any.
    fn deletes(&self) -> Vec<Write> {
        let pods = self.objects.iter().any(|(resource, _)| *resource == resources::PODS);
        let turn = self.objects.iter().filter(|(resource, _)| !pods || *resource == resources::PODS);
        let here = turn.filter(|(_, object)| !is_deleting(object));
        let deletes = here.take(DELETES_PER_PLAN).map(|(resource, object)| {
            let metadata = object.at("metadata");
            Write::Delete {
                resource: resource.clone(),
                namespace: metadata.text("namespace").to_owned(),
                name: metadata.text("name").to_owned(),
                uid: metadata.text("uid").to_owned(),
                resource_version: None,
                propagation: Propagation::Background,
            }
        });
        deletes.collect()
    }

    /// Numbers by resource, as upstream words them.
    fn remaining(&self) -> String {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for (resource, _) in &self.objects {
            *counts.entry(format!("{}.{}", resource.plural, resource.group)).or_default() += 1;
        }
        let said = counts.iter().map(|(name, count)| format!("{name} has {count} resource instances"));
        said.collect::<Vec<_>>().join(", ")
    }

    fn finalizers(&self) -> String {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for (_, object) in &self.objects {
            for finalizer in object.at("metadata").list("finalizers") {
                *counts.entry(finalizer.as_str().unwrap_or("")).or_default() += 1;
            }
        }
        let said = counts.iter().map(|(name, count)| format!("{name} in {count} resource instances"));
        said.collect::<Vec<_>>().join(", ")
    }

    fn say(&self, status: &mut Value, now: Moment) {
        let mut says = |kind, bad, reason, message: &str| {
            let status_text = if bad { "True" } else { "False" };
            condition::set(status, Says { kind, status: status_text, reason, message }, now);
        };
        says(
            "NamespaceDeletionDiscoveryFailure",
            false,
            "ResourcesDiscovered",
            "All resources successfully discovered",
        );
        says(
            "NamespaceDeletionGroupVersionParsingFailure",
            false,
            "ParsedGroupVersions",
            "All legacy kube types successfully parsed",
        );
        says(
            "NamespaceDeletionContentFailure",
            false,
            "ContentDeleted",
            "All content successfully deleted, may be waiting on finalization",
        );
        match self.remaining() {
            left if left.is_empty() => {
                says(
                    "NamespaceContentRemaining",
                    false,
                    "ContentRemoved",
                    "All content successfully removed",
                );
            }
            left => {
                let message = format!("Some resources are remaining: {left}");
                says("NamespaceContentRemaining", true, "SomeResourcesRemain", &message);
            }
        }
        match self.finalizers() {
            left if left.is_empty() => says(
                "NamespaceFinalizersRemaining",
                false,
                "ContentHasNoFinalizers",
                "All content-preserving finalizers finished",
            ),
            left => {
                let message = format!("Some content in the namespace has finalizers remaining: {left}");
                says("NamespaceFinalizersRemaining", true, "SomeFinalizersRemain", &message);
            }
        }
    }
}

/// The namespace without our finalizer, if it has it.
fn finalized(namespace: &Value) -> Option<Value> {
    let finalizers = namespace.at("spec").list("finalizers");
    let rest: Vec<Value> = finalizers.iter().filter(|f| f.as_str() != Some(FINALIZER)).cloned().collect();
    if rest.len() == finalizers.len() {
        return None;
    }
    let mut namespace = namespace.clone();
    namespace["spec"].put("finalizers", rest);
    Some(namespace)
}

impl Controller for NamespaceController {
    fn name(&self) -> &'static str {
        "namespace-controller"
    }

    fn resources(&self) -> &'static [Resource] {
        &WATCHED
    }

    fn concerns(&self, _: &Resource) -> bool {
        true
    }

    fn metadata_only(&self, resource: &Resource) -> bool {
        *resource != resources::NAMESPACES
    }

    fn keys(&self, change: &Change, world: &dyn World) -> Vec<Key> {
        if change.resource == resources::NAMESPACES {
            let namespaces = change.new.iter().filter(|namespace| is_deleting(namespace));
            return namespaces.map(|namespace| Key::new("", namespace.at("metadata").text("name"))).collect();
        }
        // What goes from, or appears in, a namespace that is on its way out.
        let object = change.new.as_ref().or(change.old.as_ref()).expect("a change has an object");
        let name = object.at("metadata").text("namespace");
        let leaving = !name.is_empty()
            && resources::NAMESPACES.get(world, "", name).is_some_and(|namespace| is_deleting(&namespace));
        if leaving { vec![Key::new("", name)] } else { Vec::new() }
    }

    fn reconcile(&self, look: &Look<'_>) -> Plan {
        let Some(namespace) = resources::NAMESPACES.get(look.world, "", &look.key.name) else {
            return Plan::settled();
        };
        let Some(finalized) = finalized(&namespace).filter(|_| is_deleting(&namespace)) else {
            return Plan::settled();
        };
        let content = Content::of(look.world, &look.key.name);
        if content.objects.is_empty() {
            let write =
                Write::Update { resource: resources::NAMESPACES, subresource: "finalize", object: finalized };
            return Plan { writes: vec![write], again_after: None };
        }
        let mut plan = Plan { writes: content.deletes(), again_after: None };
        let mut status = namespace.at("status").clone();
        content.say(&mut status, look.now);
        if plan.writes.is_empty() {
            // Somebody else's finalizers hold what is left: people want to know whose.
            if !same(namespace.at("status"), &status) {
                let mut object = (*namespace).clone();
                object.put("status", status);
                plan.writes.push(Write::Update {
                    resource: resources::NAMESPACES,
                    subresource: "status",
                    object,
                });
            }
            plan.look_again(LOOK_AGAIN);
        }
        plan
    }
}

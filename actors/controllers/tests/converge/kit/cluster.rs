//! [`Cluster`]: the API as controllers meet it: revisions, uids, conflicts, graceful deletion, finalizers, garbage.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};
use trireme_controllers::{Change, Propagation, Refusable, Refused, Resource, World, Write, resources};
use trireme_schema::objects::Objects;
use trireme_schema::time::Moment;

/// Group, plural, namespace, name.
type Place = (String, String, String, String);

/// The objects at one revision.
#[derive(Clone, Default)]
pub(crate) struct Snapshot {
    pub(crate) revision: u64,
    objects: BTreeMap<Place, Arc<Value>>,
}

fn controller_uid(object: &Value) -> Option<&str> {
    let references = object["metadata"]["ownerReferences"].as_array()?;
    references.iter().find(|reference| reference["controller"] == true)?["uid"].as_str()
}

impl Snapshot {
    fn of<'a>(
        &'a self,
        group: &'a str,
        plural: &'a str,
    ) -> impl Iterator<Item = (&'a Place, &'a Arc<Value>)> {
        let first: Place = (group.to_owned(), plural.to_owned(), String::new(), String::new());
        self.objects.range(first..).take_while(move |((g, p, ..), _)| *g == group && *p == plural)
    }

    pub(crate) fn everything(&self) -> Vec<(Resource, Arc<Value>)> {
        let all = self.objects.iter();
        all.map(|((group, plural, ..), object)| (Resource::named(group, plural), object.clone())).collect()
    }

    pub(crate) fn all(&self, resource: &Resource) -> Vec<Arc<Value>> {
        self.of(&resource.group, &resource.plural).map(|(_, object)| object.clone()).collect()
    }

    pub(crate) fn take(&mut self, change: &Change) {
        self.revision += 1;
        let object = change.new.as_ref().or(change.old.as_ref()).expect("a change has an object");
        let place = place(&change.resource, object);
        match &change.new {
            Some(new) => self.objects.insert(place, new.clone()),
            None => self.objects.remove(&place),
        };
    }
}

fn place(resource: &Resource, object: &Value) -> Place {
    let text = |name: &str| object["metadata"][name].as_str().unwrap_or("").to_owned();
    (resource.group.to_string(), resource.plural.to_string(), text("namespace"), text("name"))
}

impl Objects for Snapshot {
    fn get(&self, group: &str, resource: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        let place = (group.to_owned(), resource.to_owned(), namespace.to_owned(), name.to_owned());
        self.objects.get(&place).cloned()
    }

    fn list(&self, group: &str, resource: &str, namespace: Option<&str>) -> Vec<Arc<Value>> {
        let wanted = self.of(group, resource).filter(|((_, _, ns, _), _)| namespace.is_none_or(|n| n == ns));
        wanted.map(|(_, object)| object.clone()).collect()
    }

    fn revision(&self, _: &str, _: &str) -> u64 {
        self.revision
    }
}

impl World for Snapshot {
    fn controlled_by(&self, resource: &Resource, namespace: &str, owner_uid: &str) -> Vec<Arc<Value>> {
        let mut out = self.list(&resource.group, &resource.plural, Some(namespace));
        out.retain(|object| controller_uid(object) == Some(owner_uid));
        out
    }

    fn by_uid(&self, uid: &str) -> Option<(Resource, Arc<Value>)> {
        let mut found = self.objects.iter().filter(|(_, object)| object["metadata"]["uid"] == *uid);
        found.next().map(|((group, plural, ..), object)| (Resource::named(group, plural), object.clone()))
    }

    fn dependents(&self, owner_uid: &str) -> Vec<(Resource, Arc<Value>)> {
        let refers = |object: &Value| {
            let references = object["metadata"]["ownerReferences"].as_array();
            references.is_some_and(|list| list.iter().any(|reference| reference["uid"] == *owner_uid))
        };
        let found = self.objects.iter().filter(|(_, object)| refers(object));
        found.map(|((group, plural, ..), object)| (Resource::named(group, plural), object.clone())).collect()
    }

    fn namespaced_resources(&self) -> Vec<Resource> {
        vec![Resource::new("", "configmaps"), resources::PODS, resources::REPLICA_SETS]
    }

    fn resource_of(&self, _: &str, _: &str) -> Option<Resource> {
        None
    }

    fn uncontrolled(&self, resource: &Resource, namespace: &str) -> Vec<Arc<Value>> {
        let mut out = self.list(&resource.group, &resource.plural, Some(namespace));
        out.retain(|object| controller_uid(object).is_none());
        out
    }
}

/// RFC 7386.
fn merge(object: &mut Value, patch: &Value) {
    let Some(fields) = patch.as_object() else {
        *object = patch.clone();
        return;
    };
    if !object.is_object() {
        *object = json!({});
    }
    for (name, value) in fields {
        if value.is_null() {
            object.as_object_mut().expect("it is one by now").remove(name);
        } else {
            merge(&mut object[name], value);
        }
    }
}

/// The latest state, and every change that led to it.
#[derive(Default)]
pub(crate) struct Cluster {
    pub(crate) state: Snapshot,
    pub(crate) log: Vec<Change>,
    pub(crate) events: Vec<(String, String)>,
    uids: u64,
    /// The story has namespaces; objects of `d` need it.
    namespaces: bool,
    /// Creates of pods beyond this many are refused, as by a quota.
    pub(crate) pod_quota: Option<usize>,
}

impl Cluster {
    fn commit(&mut self, resource: &Resource, old: Option<Arc<Value>>, new: Option<Value>) {
        let new = new.map(|mut object| {
            object["metadata"]["resourceVersion"] = json!((self.state.revision + 1).to_string());
            Arc::new(object)
        });
        let change = Change { resource: resource.clone(), old, new };
        self.state.take(&change);
        self.log.push(change);
    }

    pub(crate) fn create(
        &mut self,
        resource: &Resource,
        mut object: Value,
        now: Moment,
    ) -> Result<(), Refused> {
        let refuse = |reason: &str, message: &str| {
            let (reason, message) = (reason.to_owned(), message.to_owned());
            Err(Refused { write: Refusable::Create, reason, message })
        };
        let wanted = place(resource, &object);
        assert!(!wanted.3.is_empty(), "the kit wants names: {object}");
        if self.state.objects.contains_key(&wanted) {
            return refuse("AlreadyExists", "it exists");
        }
        self.namespaces |= *resource == resources::NAMESPACES;
        let namespace = self.find(&resources::NAMESPACES, "", &wanted.2);
        let open = namespace.is_some_and(|namespace| namespace["metadata"]["deletionTimestamp"].is_null());
        if self.namespaces && wanted.2 == "d" && !open {
            return refuse("Forbidden", "the namespace is gone or being terminated");
        }
        let pods = self.state.all(&resources::PODS).len();
        if *resource == resources::PODS && self.pod_quota.is_some_and(|quota| pods >= quota) {
            return refuse("Forbidden", "exceeded quota");
        }
        self.uids += 1;
        object["metadata"]["uid"] = json!(format!("uid-{}", self.uids));
        object["metadata"]["creationTimestamp"] = json!(now.to_time());
        object["metadata"]["generation"] = json!(1);
        if *resource == resources::PODS {
            object["status"] = json!({"phase": "Pending"});
        } else {
            object["status"] = json!({});
        }
        self.commit(resource, None, Some(object));
        Ok(())
    }

    pub(crate) fn update(&mut self, resource: &Resource, sub: &str, object: &Value) -> Result<(), Refused> {
        let refuse = |reason: &str| {
            let (reason, message) = (reason.to_owned(), String::new());
            Err(Refused { write: Refusable::Update, reason, message })
        };
        let Some(old) = self.state.objects.get(&place(resource, object)).cloned() else {
            return refuse("NotFound");
        };
        if old["metadata"]["resourceVersion"] != object["metadata"]["resourceVersion"] {
            return refuse("Conflict");
        }
        let of_status = matches!(sub, "status" | "approval");
        let mut new = if of_status { (*old).clone() } else { object.clone() };
        if of_status {
            new["status"] = object["status"].clone();
        } else {
            new["status"] = old["status"].clone();
            if sub.is_empty() && new["spec"] != old["spec"] {
                new["metadata"]["generation"] =
                    json!(old["metadata"]["generation"].as_i64().expect("set at creation") + 1);
            }
        }
        if new == *old {
            return Ok(());
        }
        let none = |finalizers: &Value| finalizers.as_array().is_none_or(Vec::is_empty);
        let gone = !new["metadata"]["deletionTimestamp"].is_null()
            && none(&new["metadata"]["finalizers"])
            && (*resource != resources::NAMESPACES || none(&new["spec"]["finalizers"]))
            && *resource != resources::PODS;
        self.commit(resource, Some(old), (!gone).then_some(new));
        Ok(())
    }

    /// Pods linger until the kit's kubelet lets them go; other kinds until their finalizers are gone.
    pub(crate) fn delete(&mut self, resource: &Resource, old: &Arc<Value>, now: Moment) {
        self.delete_with(resource, old, Propagation::Background, now);
    }

    pub(crate) fn delete_with(
        &mut self,
        resource: &Resource,
        old: &Arc<Value>,
        how: Propagation,
        now: Moment,
    ) {
        let mut old = old.clone();
        let finalizer = match how {
            Propagation::Background => None,
            Propagation::Foreground => Some("foregroundDeletion"),
            Propagation::Orphan => Some("orphan"),
        };
        if let Some(finalizer) = finalizer.filter(|_| old["metadata"]["deletionTimestamp"].is_null()) {
            let mut new = (*old).clone();
            let mut finalizers = new["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
            finalizers.retain(|other| !matches!(other.as_str(), Some("foregroundDeletion" | "orphan")));
            finalizers.push(json!(finalizer));
            new["metadata"]["finalizers"] = json!(finalizers);
            self.commit(resource, Some(old.clone()), Some(new));
            let text = |name: &str| old["metadata"][name].as_str().unwrap_or("").to_owned();
            old = self.find(resource, &text("namespace"), &text("name")).expect("it was written just now");
        }
        let old = &old;
        let waits = *resource == resources::PODS
            || *resource == resources::NAMESPACES
            || old["metadata"]["finalizers"].as_array().is_some_and(|finalizers| !finalizers.is_empty());
        if !waits {
            self.commit(resource, Some(old.clone()), None);
        } else if old["metadata"]["deletionTimestamp"].is_null() {
            let mut new = (**old).clone();
            new["metadata"]["deletionTimestamp"] = json!(now.to_time());
            self.commit(resource, Some(old.clone()), Some(new));
        }
    }

    /// The object is no more, whatever held it.
    pub(crate) fn vanish(&mut self, resource: &Resource, old: &Arc<Value>) {
        self.commit(resource, Some(old.clone()), None);
    }

    pub(crate) fn find(&self, resource: &Resource, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.state.get(&resource.group, &resource.plural, namespace, name)
    }

    pub(crate) fn write(&mut self, write: &Write, now: Moment) -> Result<(), Refused> {
        match write {
            Write::Create { resource, object } => self.create(resource, object.clone(), now),
            Write::Update { resource, subresource, object } => self.update(resource, subresource, object),
            Write::Patch { resource, subresource, namespace, name, patch } => {
                let Some(old) = self.find(resource, namespace, name) else {
                    let (reason, message) = ("NotFound".to_owned(), String::new());
                    return Err(Refused { write: Refusable::Update, reason, message });
                };
                let mut object = (*old).clone();
                assert!(patch["metadata"]["resourceVersion"].is_string(), "it says what was seen: {patch}");
                merge(&mut object, patch);
                self.update(resource, subresource, &object)
            }
            Write::Delete { resource, namespace, name, uid, resource_version, propagation } => {
                let refuse = |reason: &str| {
                    let (reason, message) = (reason.to_owned(), String::new());
                    Err(Refused { write: Refusable::Delete, reason, message })
                };
                let Some(old) = self.find(resource, namespace, name) else { return refuse("NotFound") };
                let seen = old["metadata"]["resourceVersion"].as_str().expect("every stored object has one");
                if old["metadata"]["uid"] != **uid || resource_version.as_ref().is_some_and(|v| v != seen) {
                    return refuse("Conflict");
                }
                self.delete_with(resource, &old, *propagation, now);
                Ok(())
            }
            Write::Remove { resource, namespace, name, uid } => {
                let found = self.find(resource, namespace, name);
                match found.filter(|object| object["metadata"]["uid"] == **uid) {
                    Some(old) => self.vanish(resource, &old),
                    None => {
                        let (reason, message) = ("NotFound".to_owned(), String::new());
                        return Err(Refused { write: Refusable::Delete, reason, message });
                    }
                }
                Ok(())
            }
            Write::Event { reason, message, .. } => {
                self.events.push(((*reason).to_owned(), message.clone()));
                Ok(())
            }
        }
    }

    /// Deletes what belongs to owners that are no more; true when there was something.
    pub(crate) fn collect_garbage(&mut self, now: Moment) -> bool {
        let uids: BTreeSet<&str> =
            self.state.objects.values().filter_map(|object| object["metadata"]["uid"].as_str()).collect();
        let garbage = self.state.objects.iter().find(|(_, object)| {
            let lost = controller_uid(object).is_some_and(|owner| !uids.contains(owner));
            lost && object["metadata"]["deletionTimestamp"].is_null()
        });
        let Some(((group, plural, ..), object)) = garbage else { return false };
        let (resource, object) = (Resource::named(group, plural), object.clone());
        self.delete(&resource, &object, now);
        true
    }
}

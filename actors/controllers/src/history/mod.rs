//! ControllerRevisions: what an object's pod template was, by revision.
//!
//! Laws: equal content reuses its revision (its number moves to the end instead); names that are taken by other
//! content are avoided with a collision count; revisions in use are never forgotten.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};
use trireme_schema::selector::LabelSelector;
use trireme_schema::view::{Edit, View, same};

use crate::claim::Claim;
use crate::controller::{Look, Resource, resources};
use crate::key::Key;
use crate::owner::{controller_of, is_deleting};
use crate::plan::{Propagation, Write};
use crate::suffix::digits_of_hash;
use crate::world::World;
use crate::writes::{create, delete, update};

/// Longest part of the owner's name that a revision's name takes over, as upstream.
const NAME_PREFIX_LIMIT: usize = 223;

/// Whose history it is.
pub(crate) struct Chronicle<'a> {
    /// The object with the template.
    pub(crate) owner: &'a Value,
    /// The owner's reference.
    pub(crate) reference: Value,
    /// Selects the owner's revisions, which carry the template's labels.
    pub(crate) selector: &'a LabelSelector,
    /// The label that carries the hash.
    pub(crate) hash_label: &'static str,
}

/// The revisions of an owner.
pub(crate) struct History {
    /// By number, oldest first; the one that stands for the template now is among them, even if it is still to be
    /// written.
    pub(crate) revisions: Vec<Arc<Value>>,
    /// The one that stands for the template now.
    pub(crate) now: Arc<Value>,
    /// How often names were taken.
    pub(crate) collisions: i64,
    /// What has to be written before anything refers to `now`.
    pub(crate) writes: Vec<Write>,
}

impl Chronicle<'_> {
    /// Finds or makes the revision of the present template.
    pub(crate) fn settle(&self, look: &Look<'_>) -> History {
        let claim = Claim {
            resource: resources::CONTROLLER_REVISIONS,
            owner: self.owner,
            reference: self.reference.clone(),
            selector: self.selector,
        };
        let claimed = claim.settle(look.world, |_| true);
        let mut writes = claimed.writes;
        let adopting: BTreeSet<String> = writes.iter().filter_map(written_name).collect();
        let mut revisions = claimed.owned;
        revisions.retain(|revision| !is_deleting(revision));
        revisions.sort_by_key(|revision| (number(revision), name(revision).to_owned()));
        let collisions = self.owner.at("status").int("collisionCount").unwrap_or(0);
        let data = data_of(self.owner.at("spec").at("template"));
        let next = revisions.last().map_or(0, |last| number(last)) + 1;

        let equal = revisions.iter().rposition(|revision| same(revision.at("data"), &data));
        if let Some(place) = equal {
            let latest = place + 1 == revisions.len();
            if latest || adopting.contains(name(&revisions[place])) {
                // One that is taken in just now gets its number at the next look.
                let now = revisions[place].clone();
                return History { revisions, now, collisions, writes };
            }
            let mut again = (*revisions.remove(place)).clone();
            again.put("revision", next);
            writes.push(update(&resources::CONTROLLER_REVISIONS, again.clone()));
            let now = Arc::new(again);
            revisions.push(now.clone());
            return History { revisions, now, collisions, writes };
        }
        let (fresh, collisions) = self.fresh(&data, next, collisions, look);
        writes.push(create(&resources::CONTROLLER_REVISIONS, fresh.clone()));
        let now = Arc::new(fresh);
        revisions.push(now.clone());
        History { revisions, now, collisions, writes }
    }

    /// A new revision under a name that nothing has.
    fn fresh(&self, data: &Value, next: i64, mut collisions: i64, look: &Look<'_>) -> (Value, i64) {
        let metadata = self.owner.at("metadata");
        let (namespace, owner) = (metadata.text("namespace"), metadata.text("name"));
        let end = owner.len().min(NAME_PREFIX_LIMIT);
        loop {
            let hash = hash(data, collisions);
            let name = format!("{}-{hash}", &owner[..end]);
            if resources::CONTROLLER_REVISIONS.get(look.world, namespace, &name).is_some() {
                collisions += 1;
                continue;
            }
            let mut labels = self.owner.at("spec").at("template").at("metadata").at("labels").clone();
            if labels.is_null() {
                labels = json!({});
            }
            labels.put(self.hash_label, hash);
            let mut object = json!({
                "apiVersion": "apps/v1", "kind": "ControllerRevision",
                "metadata": {
                    "name": name, "namespace": namespace, "labels": labels, "ownerReferences": [self.reference],
                },
                "data": data, "revision": next,
            });
            if metadata.has("annotations") {
                object["metadata"].put("annotations", metadata.at("annotations").clone());
            }
            return (object, collisions);
        }
    }
}

impl History {
    /// Whether nothing is left to be written.
    pub(crate) fn is_written(&self) -> bool {
        self.writes.is_empty()
    }

    /// The revision with a name.
    pub(crate) fn find(&self, wanted: &str) -> Option<&Arc<Value>> {
        self.revisions.iter().find(|revision| name(revision) == wanted)
    }

    /// Deletes the oldest that are not in use beyond `limit`. `counts_used` says whether those in use count as kept.
    pub(crate) fn forget(
        &self,
        limit: i64,
        in_use: impl Fn(&Value) -> bool,
        counts_used: bool,
    ) -> Vec<Write> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let current = |revision: &&Arc<Value>| name(revision) == name(&self.now);
        let unused: Vec<&Arc<Value>> =
            self.revisions.iter().filter(|revision| !current(revision) && !in_use(revision)).collect();
        let considered = if counts_used { self.revisions.len() - 1 } else { unused.len() };
        let surplus = considered.saturating_sub(limit);
        unused
            .into_iter()
            .take(surplus)
            .map(|revision| delete(&resources::CONTROLLER_REVISIONS, revision, Propagation::Background))
            .collect()
    }
}

/// A revision's name.
pub(crate) fn name(revision: &Value) -> &str {
    revision.at("metadata").text("name")
}

/// A revision's number.
fn number(revision: &Value) -> i64 {
    revision.int("revision").unwrap_or(0)
}

/// The template that a revision holds.
pub(crate) fn template_of(revision: &Value) -> Value {
    let mut template = revision.at("data").at("spec").at("template").clone();
    template.remove("$patch");
    template
}

/// A template as a revision holds it: a strategic merge patch that replaces the template.
fn data_of(template: &Value) -> Value {
    let mut template = template.clone();
    template.put("$patch", "replace");
    json!({"spec": {"template": template}})
}

/// FNV-1a (32 bits) over the canonical JSON, in the characters of generated names.
fn hash(data: &Value, collisions: i64) -> String {
    let mut text = data.to_string();
    if collisions > 0 {
        text.push_str(&collisions.to_string());
    }
    digits_of_hash(&text)
}

fn written_name(write: &Write) -> Option<String> {
    match write {
        Write::Patch { name, .. } => Some(name.clone()),
        _ => None,
    }
}

/// The owners that changed revisions concern: who controls them, or who might take them in.
pub(crate) fn keys<'a>(
    versions: impl Iterator<Item = &'a Value>,
    kind: &str,
    owners: &Resource,
    world: &dyn World,
) -> Vec<Key> {
    let mut keys = Vec::new();
    for revision in versions {
        let metadata = revision.at("metadata");
        let namespace = metadata.text("namespace");
        if let Some(owner) = controller_of(revision) {
            if owner.text("kind") == kind {
                keys.push(Key::new(namespace, owner.text("name")));
            }
            continue;
        }
        for owner in owners.list(world, Some(namespace)) {
            let selector = LabelSelector::from_object(owner.at("spec").at("selector"));
            let mut wanted = selector.iter().filter(|selector| !selector.is_everything());
            if wanted.any(|selector| selector.matches(metadata.map("labels"))) {
                keys.push(Key::new(namespace, owner.at("metadata").text("name")));
            }
        }
    }
    keys
}

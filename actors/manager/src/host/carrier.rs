//! [`Carrier`]: carries out what a controller plans, through the API's pipeline.

use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::{Value, json};
use trireme_apiserver::{ApiClient, client};
use trireme_controllers::{Plan, Propagation, Refusable, Refused, Resource, Write};
use trireme_schema::status::{Failure, Status};
use trireme_schema::view::View;

use crate::events::EventSink;
use crate::feed::Feed;

/// Most writes of one plan that are on their way at once.
const SIDE_BY_SIDE: usize = 256;

/// What became of a plan.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Carried {
    /// All of it is written, and the feed shows it.
    Done,
    /// The world has moved on; the feed shows how.
    Stale(String),
    /// A write was refused for what it is.
    Refused(Refused),
}

/// See the module.
pub(crate) struct Carrier {
    pub(crate) client: Arc<ApiClient>,
    pub(crate) feed: Arc<Feed>,
    pub(crate) events: EventSink,
}

/// Writes of one plan that may go together.
enum Run {
    SideBySide(Vec<Write>),
    Single(Write),
}

impl Carrier {
    /// Writes in order until one is refused, then waits until the feed shows what was written, and what refused it.
    pub(crate) async fn carry_out(&self, plan: Plan) -> Carried {
        let mut outcome = Carried::Done;
        for run in runs(plan.writes) {
            if let Err((write, failure)) = self.run(run).await {
                outcome = judge(write, &failure);
                if failure.code >= 500 {
                    // It may have been done all the same: see it before anything is decided anew.
                    let _unavailable = self.feed.server().records().settle().await;
                }
                break;
            }
        }
        self.feed.caught_up().await;
        outcome
    }

    async fn run(&self, run: Run) -> Result<(), (Refusable, Failure)> {
        let writes = match run {
            Run::Single(write) => return self.write(&write).await,
            Run::SideBySide(writes) => writes,
        };
        let mut writes = writes.as_slice();
        let mut size = 1;
        while !writes.is_empty() {
            let (batch, rest) = writes.split_at(size.min(writes.len()));
            let answers = join_all(batch.iter().map(|write| self.write(write))).await;
            answers.into_iter().collect::<Result<(), _>>()?;
            writes = rest;
            size = (2 * size).min(SIDE_BY_SIDE);
        }
        Ok(())
    }

    async fn write(&self, write: &Write) -> Result<(), (Refusable, Failure)> {
        match write {
            Write::Create { resource, object } => {
                self.create(resource, object).await.map_err(|failure| (Refusable::Create, failure))
            }
            Write::Update { resource, subresource, object } => {
                let updated = self.update(resource, subresource, object).await;
                updated.map_err(|failure| (Refusable::Update, failure))
            }
            Write::Patch { resource, subresource, namespace, name, patch } => {
                let kind = self.served(resource, "").map_err(|failure| (Refusable::Update, failure))?;
                let place = client::Place { namespace, name, subresource };
                let patched =
                    self.client.patch(at(&kind), place, "application/merge-patch+json", patch, &[]).await;
                patched.map(drop).map_err(|failure| (Refusable::Update, failure))
            }
            Write::Delete { resource, namespace, name, .. }
            | Write::Remove { resource, namespace, name, .. } => {
                let kind = self.served(resource, "").map_err(|failure| (Refusable::Delete, failure))?;
                let place = client::Place { namespace, name, subresource: "" };
                let deleted = self.client.delete(at(&kind), place, &delete_options(write)).await;
                deleted.map(drop).map_err(|failure| (Refusable::Delete, failure))
            }
            Write::Event { about, kind, reason, message } => {
                self.events.tell(about.clone(), kind, reason, message.clone());
                Ok(())
            }
        }
    }

    async fn create(&self, resource: &Resource, object: &Value) -> Result<(), Failure> {
        let kind = self.served(resource, object.text("apiVersion"))?;
        let namespace = object.at("metadata").text("namespace");
        let place = client::Place { namespace, ..client::Place::default() };
        self.client.create(at(&kind), place, object).await.map(drop)
    }

    async fn update(&self, resource: &Resource, subresource: &str, object: &Value) -> Result<(), Failure> {
        let kind = self.served(resource, object.text("apiVersion"))?;
        let metadata = object.at("metadata");
        let place =
            client::Place { namespace: metadata.text("namespace"), name: metadata.text("name"), subresource };
        if kind.api_version() == object.text("apiVersion") {
            return self.client.update(at(&kind), place, object).await.map(drop);
        }
        // Its stored version is not served: it is written in one that is.
        let object = kind.rules.served_form(object.clone())?;
        self.client.update(at(&kind), place, &object).await.map(drop)
    }

    fn served(
        &self,
        resource: &Resource,
        api_version: &str,
    ) -> Result<Arc<trireme_apiserver::catalogue::ServedKind>, Failure> {
        let kinds = self.feed.kinds();
        kinds.served(resource, api_version).cloned().ok_or_else(Status::unknown_path)
    }
}

fn at(kind: &trireme_apiserver::catalogue::ServedKind) -> client::Resource<'_> {
    client::Resource { group: &kind.group, version: &kind.version, resource: &kind.plural }
}

/// Creates and deletes that follow each other go side by side; so do those of a kind only.
fn runs(writes: Vec<Write>) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for write in writes {
        let together = matches!(write, Write::Create { .. } | Write::Delete { .. });
        if let Some(Run::SideBySide(run)) = runs.last_mut()
            && together
            && run
                .first()
                .is_some_and(|first| std::mem::discriminant(first) == std::mem::discriminant(&write))
        {
            run.push(write);
        } else if together {
            runs.push(Run::SideBySide(vec![write]));
        } else {
            runs.push(Run::Single(write));
        }
    }
    runs
}

fn delete_options(write: &Write) -> Value {
    if let Write::Remove { uid, .. } = write {
        return json!({
            "apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}, "gracePeriodSeconds": 0,
        });
    }
    let Write::Delete { uid, resource_version, propagation, .. } = write else { return Value::Null };
    let mut preconditions = json!({"uid": uid});
    if let Some(version) = resource_version {
        preconditions["resourceVersion"] = version.as_str().into();
    }
    let propagation = match propagation {
        Propagation::Background => "Background",
        Propagation::Foreground => "Foreground",
        Propagation::Orphan => "Orphan",
    };
    json!({
        "apiVersion": "v1", "kind": "DeleteOptions", "preconditions": preconditions,
        "propagationPolicy": propagation,
    })
}

fn judge(write: Refusable, failure: &Status) -> Carried {
    let changed = failure.reason == "Conflict";
    // What was to be changed is gone. For a create, it is the namespace that is not there.
    let gone = failure.reason == "NotFound" && write != Refusable::Create;
    if changed || gone {
        return Carried::Stale(failure.message.clone());
    }
    let (reason, message) = (failure.reason.clone(), failure.message.clone());
    Carried::Refused(Refused { write, reason, message })
}

#[cfg(test)]
mod tests {
    use trireme_controllers::resources;

    use super::*;

    fn create(name: &str) -> Write {
        Write::Create { resource: resources::PODS, object: json!({"metadata": {"name": name}}) }
    }

    fn delete(version: Option<&str>) -> Write {
        Write::Delete {
            resource: resources::PODS,
            namespace: "d".to_owned(),
            name: "a".to_owned(),
            uid: "u".to_owned(),
            resource_version: version.map(str::to_owned),
            propagation: Propagation::Foreground,
        }
    }

    #[test]
    fn creates_go_together_and_deletes_but_not_with_each_other() {
        let update = Write::Update { resource: resources::PODS, subresource: "", object: json!({}) };
        let writes = vec![create("a"), create("b"), update.clone(), update, delete(None), create("c")];
        let sizes: Vec<usize> = runs(writes)
            .iter()
            .map(|run| match run {
                Run::SideBySide(writes) => writes.len(),
                Run::Single(_) => 0,
            })
            .collect();
        assert_eq!(sizes, [2, 0, 0, 1, 1]);
    }

    #[test]
    fn a_delete_names_what_was_seen() {
        let options = delete_options(&delete(Some("7")));
        assert_eq!(options["preconditions"], json!({"uid": "u", "resourceVersion": "7"}));
        assert_eq!(options["propagationPolicy"], "Foreground");
        assert_eq!(delete_options(&delete(None))["preconditions"], json!({"uid": "u"}));
    }

    #[test]
    fn only_a_world_that_moved_on_is_stale() {
        let failure = |code, reason: &str| {
            let mut status = Status::plain(code, "why");
            status.reason = reason.to_owned();
            status
        };
        let stale = |write, reason| matches!(judge(write, &failure(409, reason)), Carried::Stale(_));
        assert!(stale(Refusable::Update, "Conflict") && stale(Refusable::Delete, "NotFound"));
        assert!(!stale(Refusable::Create, "NotFound") && !stale(Refusable::Create, "AlreadyExists"));
        assert!(!stale(Refusable::Create, "Forbidden"));
    }
}

//! [`ApiClient`]: the API for actors of the same process: the whole pipeline without a socket, under an identity of its
//! own, fenced by the term under which its owner decides.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;
use trireme_access::User;
use trireme_access::authz::authorize;
use trireme_schema::status::{Failure, Status};

use crate::dispatch;
use crate::gate;
use crate::outcome::{Content, Items, Outcome};
use crate::query::Query;
use crate::request_info::RequestInfo;
use crate::scope::Scope;
use crate::server::Server;

/// A resource in a version, such as `apps`, `v1`, `deployments`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resource<'a> {
    /// API group; empty for core.
    pub group: &'a str,
    /// Version.
    pub version: &'a str,
    /// Plural name.
    pub resource: &'a str,
}

/// Which object, or whose part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place<'a> {
    /// Namespace, or empty.
    pub namespace: &'a str,
    /// Name, or empty.
    pub name: &'a str,
    /// Subresource, or empty.
    pub subresource: &'a str,
}

/// A pod and the node that it is to run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PodBinding<'a> {
    /// The pod's namespace.
    pub namespace: &'a str,
    /// The pod's name.
    pub name: &'a str,
    /// Its uid: a pod of the same name that is another one is not bound.
    pub uid: &'a str,
    /// The node's name.
    pub node: &'a str,
}

/// A list and the revision it speaks of: where a watch goes on.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Objects by namespace and name, with their type.
    pub items: Vec<Value>,
    /// resourceVersion.
    pub revision: u64,
}

/// The API under one identity. Clones are cheap.
#[derive(Clone)]
pub struct ApiClient {
    server: Arc<Server>,
    user: Arc<User>,
    agent: String,
    fence: Option<u64>,
}

impl ApiClient {
    /// As `user`; `agent` becomes the field manager.
    pub fn new(server: Arc<Server>, user: User, agent: &str) -> Self {
        Self { server, user: Arc::new(user), agent: agent.to_owned(), fence: None }
    }

    /// The same for the reign of `term`: the store refuses its writes once the term is over.
    #[must_use]
    pub fn fenced(self, term: u64) -> Self {
        Self { fence: Some(term), ..self }
    }

    /// Reads one object at the newest state.
    ///
    /// # Errors
    /// As a client over HTTPS is told; see [`Status`].
    pub async fn get(&self, resource: Resource<'_>, place: Place<'_>) -> Result<Value, Failure> {
        self.object("GET", "get", resource, place, &[], None).await
    }

    /// Lists objects; `query` as over HTTPS (`labelSelector`, `resourceVersion`, ...).
    ///
    /// # Errors
    /// As [`ApiClient::get`].
    pub async fn list(
        &self,
        resource: Resource<'_>,
        namespace: &str,
        query: &[(&str, &str)],
    ) -> Result<Listed, Failure> {
        let place = Place { namespace, ..Place::default() };
        let (scope, outcome) = self.ask("GET", "list", resource, place, query, None).await?;
        let Content::List(list) = outcome.content else {
            return Err(Status::internal("a list was asked for"));
        };
        let items = match list.items {
            Items::Objects(objects) => objects,
            Items::Stored(records) => {
                records.iter().map(|record| self.shown(&scope, record)).collect::<Result<_, _>>()?
            }
        };
        Ok(Listed { items, revision: list.revision.get() })
    }

    /// Creates an object, or posts to a subresource.
    ///
    /// # Errors
    /// As [`ApiClient::get`].
    pub async fn create(
        &self,
        resource: Resource<'_>,
        place: Place<'_>,
        object: &Value,
    ) -> Result<Value, Failure> {
        self.object("POST", "create", resource, place, &[], Some(("application/json", object))).await
    }

    /// Replaces an object, or what its subresource shows. With the resourceVersion that was read, the write is refused
    /// (409) when the object changed since.
    ///
    /// # Errors
    /// As [`ApiClient::get`].
    pub async fn update(
        &self,
        resource: Resource<'_>,
        place: Place<'_>,
        object: &Value,
    ) -> Result<Value, Failure> {
        self.object("PUT", "update", resource, place, &[], Some(("application/json", object))).await
    }

    /// Patches an object; `content_type` names the kind of the patch.
    ///
    /// # Errors
    /// As [`ApiClient::get`].
    pub async fn patch(
        &self,
        resource: Resource<'_>,
        place: Place<'_>,
        content_type: &str,
        patch: &Value,
        query: &[(&str, &str)],
    ) -> Result<Value, Failure> {
        self.object("PATCH", "patch", resource, place, query, Some((content_type, patch))).await
    }

    /// Deletes an object; `options` is a DeleteOptions.
    ///
    /// # Errors
    /// As [`ApiClient::get`].
    pub async fn delete(
        &self,
        resource: Resource<'_>,
        place: Place<'_>,
        options: &Value,
    ) -> Result<Value, Failure> {
        self.object("DELETE", "delete", resource, place, &[], Some(("application/json", options))).await
    }

    /// Binds pods (`pods/binding`), in one transaction unless something is in the way of one of them. The answers are in
    /// the order of the bindings; each is as [`ApiClient::create`] would give it. At most
    /// [`trireme_mvcc::limits::OPERATIONS_MAX`] at once.
    pub async fn bind_pods(&self, bindings: &[PodBinding<'_>]) -> Vec<Result<(), Failure>> {
        let resource = Resource { group: "", version: "v1", resource: "pods" };
        let mut answers: Vec<Option<Failure>> = Vec::with_capacity(bindings.len());
        let mut allowed = Vec::new();
        for one in bindings {
            let place = Place { namespace: one.namespace, name: one.name, subresource: "binding" };
            match self.scope("create", resource, place, &[], Some("application/json")) {
                Ok(scope) => {
                    let binding = serde_json::json!({
                        "kind": "Binding", "apiVersion": "v1",
                        "metadata": {"namespace": one.namespace, "name": one.name, "uid": one.uid},
                        "target": {"kind": "Node", "name": one.node},
                    });
                    allowed.push((scope, binding));
                    answers.push(None);
                }
                Err(failure) => answers.push(Some(failure)),
            }
        }
        let mut bound = crate::subresources::bind_many(&self.server, &allowed).await.into_iter();
        let answer = |refused: Option<Failure>| match refused {
            Some(failure) => Err(failure),
            None => bound.next().expect("there is an answer for each binding that was allowed"),
        };
        answers.into_iter().map(answer).collect()
    }

    async fn object(
        &self,
        method: &str,
        verb: &str,
        resource: Resource<'_>,
        place: Place<'_>,
        query: &[(&str, &str)],
        body: Option<(&str, &Value)>,
    ) -> Result<Value, Failure> {
        let (scope, outcome) = self.ask(method, verb, resource, place, query, body).await?;
        match outcome.content {
            Content::Stored(_, record) => self.shown(&scope, &record),
            Content::Object(_, object) | Content::Other(object) => Ok(object),
            Content::List(_) | Content::Watch(..) => Err(Status::internal("one object was asked for")),
        }
    }

    fn shown(&self, scope: &Scope, record: &crate::records::Record) -> Result<Value, Failure> {
        let stored = self.server.records.decode(record);
        let stored = stored.map_err(|error| Status::internal(&error.to_string()))?;
        scope.kind.rules.served_form((*stored).clone())
    }

    async fn ask(
        &self,
        method: &str,
        verb: &str,
        resource: Resource<'_>,
        place: Place<'_>,
        query: &[(&str, &str)],
        body: Option<(&str, &Value)>,
    ) -> Result<(Scope, Outcome), Failure> {
        let content_type = body.map(|(content_type, _)| content_type);
        let scope = self.scope(verb, resource, place, query, content_type)?;
        let route = dispatch::route(&scope, method)?;
        let bytes = body.map_or_else(Bytes::new, |(_, value)| Bytes::from(value.to_string()));
        let outcome = dispatch::serve(&self.server, &scope, route, bytes).await?;
        Ok((scope, outcome))
    }

    /// What a request of this client is, once it is allowed.
    fn scope(
        &self,
        verb: &str,
        resource: Resource<'_>,
        place: Place<'_>,
        query: &[(&str, &str)],
        content_type: Option<&str>,
    ) -> Result<Scope, Failure> {
        let catalogue = self.server.catalogue.load_full();
        let kind = catalogue.get(resource.group, resource.version, resource.resource);
        let kind = kind.cloned().ok_or_else(Status::unknown_path)?;
        let parts = [resource.resource, place.name, place.subresource];
        let info = RequestInfo {
            resource_request: true,
            verb: verb.to_owned(),
            group: resource.group.to_owned(),
            version: resource.version.to_owned(),
            namespace: place.namespace.to_owned(),
            resource: resource.resource.to_owned(),
            subresource: place.subresource.to_owned(),
            name: place.name.to_owned(),
            parts: parts.iter().filter(|part| !part.is_empty()).map(|part| (*part).to_owned()).collect(),
            ..RequestInfo::default()
        };
        let query = Query::of(query);
        authorize(&*self.server.authorizer, &gate::attributes(&self.user, &info, &query))?;
        Ok(Scope {
            info,
            query: Arc::new(query),
            user: self.user.clone(),
            kind,
            user_agent: self.agent.clone(),
            accept: None,
            content_type: content_type.map(str::to_owned),
            fence: self.fence,
            now: crate::scope::now().to_time(),
            said: Arc::default(),
            seat: Arc::default(),
        })
    }
}

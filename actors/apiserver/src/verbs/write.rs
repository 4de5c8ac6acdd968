//! [`Writing`]: what all writes share: the moment's identifiers, admission, and the transaction.

use serde_json::{Value, json};
use trireme_admission::{Operation, SideWrite};
use trireme_mvcc::{Key, Operation as StoreOperation, Revision};
use trireme_schema::request::Context;
use trireme_schema::status::{Failure, Status};

use crate::failures::WriteError;
use crate::limits::WRITE_ATTEMPTS;
use crate::records::{Commit, Record, RecordsError, encode};
use crate::scope::Scope;
use crate::server::Server;

/// One attempt of a write.
pub(crate) struct Writing<'a> {
    pub(crate) server: &'a Server,
    pub(crate) scope: &'a Scope,
    uid: String,
    suffix: String,
    manager: String,
    pub(crate) options: Value,
}

/// What was written, or would have been.
pub(crate) struct Stored {
    /// In the stored version.
    pub(crate) object: Value,
    /// The version in the store; `None` after a dry run or a delete.
    pub(crate) record: Option<Record>,
}

impl<'a> Writing<'a> {
    pub(crate) fn new(server: &'a Server, scope: &'a Scope, options_kind: &str) -> Self {
        let options = options_value(scope, options_kind);
        let manager = scope.manager();
        Self { server, scope, uid: server.new_uid(), suffix: server.new_suffix(), manager, options }
    }

    pub(crate) fn context(&self) -> Context<'_> {
        Context {
            namespace: self.scope.namespace(),
            name: &self.scope.info.name,
            subresource: &self.scope.info.subresource,
            manager: &self.manager,
            time: &self.scope.now,
            uid: &self.uid,
            suffix: &self.suffix,
        }
    }

    /// A request for admission.
    pub(crate) fn request<'r>(
        &'r self,
        operation: Operation,
        object: Option<Value>,
        old: Option<&'r Value>,
        name: &'r str,
    ) -> trireme_admission::Request<'r> {
        let scope = self.scope;
        trireme_admission::Request {
            operation,
            group: &scope.kind.group,
            version: &scope.kind.version,
            kind: &scope.kind.kind,
            resource: &scope.kind.plural,
            subresource: &scope.info.subresource,
            namespace: if scope.kind.plural == "namespaces" && scope.kind.group.is_empty() {
                name
            } else {
                scope.namespace()
            },
            name,
            namespaced: scope.kind.namespaced,
            user: &scope.user,
            object,
            old,
            options: &self.options,
            dry_run: scope.dry_run(),
            now: &scope.now,
        }
    }

    /// Mutating admission of an object.
    pub(crate) fn admit(
        &self,
        operation: Operation,
        object: Value,
        old: Option<&Value>,
        name: &str,
    ) -> Result<Value, Failure> {
        let mut request = self.request(operation, Some(object), old, name);
        self.server.admission.admit(&mut request, &*self.server.view, &*self.server.authorizer)?;
        Ok(request.object.take().unwrap_or(Value::Null))
    }

    /// Validating admission of an object.
    pub(crate) fn validate(
        &self,
        operation: Operation,
        object: Option<Value>,
        old: Option<&Value>,
        name: &str,
    ) -> Result<(Option<Value>, trireme_admission::Verdict), Failure> {
        let mut request = self.request(operation, object, old, name);
        let verdict =
            self.server.admission.validate(&request, &*self.server.view, &*self.server.authorizer)?;
        Ok((request.object.take(), verdict))
    }

    /// Adds admission's own writes to a transaction.
    pub(crate) fn add_side_writes(
        &self,
        commit: &mut Commit,
        writes: Vec<SideWrite>,
    ) -> Result<(), WriteError> {
        for write in writes {
            let Some(at) = self.server.stored_at(&write.group, &write.resource) else {
                let why = format!("admission writes {}.{}, which is not served", write.resource, write.group);
                return Err(Status::internal(&why).into());
            };
            let revision = write.expected_resource_version.parse().unwrap_or(0);
            commit.replace(
                at.key(&write.namespace, &write.name),
                Revision::new(revision),
                encode(&write.object),
            );
        }
        Ok(())
    }

    /// Carries a transaction out whose first put is `key`, and gives that version.
    pub(crate) async fn commit(&self, mut commit: Commit, key: &Key) -> Result<Record, RecordsError> {
        commit.fence = self.scope.fence;
        let at = commit.operations.iter().position(|operation| operation.key() == key).unwrap_or(0);
        let value = match commit.operations.get(at) {
            Some(StoreOperation::Put { value, .. }) => Some(value.clone()),
            _ => None,
        };
        let revisions = self.server.records.commit(commit).await?;
        let revision = revisions.get(at).copied().flatten().unwrap_or(Revision::ZERO);
        let found = self.server.records.get(key).await?;
        match (found, value) {
            (Some(record), _) if record.revision() == revision => Ok(record),
            // Overwritten or deleted since: the version that was written answers all the same.
            (_, Some(value)) => Ok(Record::written(key.clone(), value, revision)?),
            (_, None) => Err(RecordsError::Unknown("the version just written cannot be read".to_owned())),
        }
    }
}

/// Whether an attempt is worth repeating: the object changed under it.
pub(crate) fn repeats(attempt: usize, error: &WriteError) -> bool {
    matches!(error, WriteError::Store(RecordsError::Changed)) && attempt + 1 < WRITE_ATTEMPTS
}

/// The options of a write as admission sees them.
fn options_value(scope: &Scope, kind: &str) -> Value {
    let mut options = json!({"kind": kind, "apiVersion": "meta.k8s.io/v1"});
    for name in ["fieldManager", "fieldValidation"] {
        if let Some(text) = scope.query.first(name).filter(|text| !text.is_empty()) {
            options[name] = text.into();
        }
    }
    let dry_run = scope.query.all("dryRun");
    if !dry_run.is_empty() {
        options["dryRun"] = dry_run.into();
    }
    if kind == "PatchOptions" && scope.query.first("force").is_some() {
        options["force"] = scope.query.is_true("force").into();
    }
    options
}

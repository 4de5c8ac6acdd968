//! get

use trireme_mvcc::Revision;
use trireme_schema::resource_version::{Wanted, parse};
use trireme_schema::status::{Failure, Status};

use crate::failures::{bad_resource_version, store_failure};
use crate::limits::FUTURE_WAIT;
use crate::outcome::Outcome;
use crate::records::{Record, RecordsError};
use crate::scope::Scope;
use crate::server::Server;

/// Reads one object.
pub(crate) async fn get(server: &Server, scope: &Scope) -> Result<Outcome, Failure> {
    let record = read(server, scope, scope.query.text("resourceVersion")).await?;
    Ok(Outcome::stored(200, &scope.kind, record))
}

/// The stored object of the scope at the newest state, or at least at a resourceVersion.
pub(crate) async fn read(server: &Server, scope: &Scope, version: &str) -> Result<Record, Failure> {
    let key = scope.kind.storage.key(scope.namespace(), &scope.info.name);
    let records = &server.records;
    let found = async {
        match parse(version) {
            Ok(Wanted::Newest) => records.settle().await?,
            Ok(Wanted::Any) => {}
            Ok(Wanted::At(at)) => records.wait_revision(Revision::new(at), FUTURE_WAIT).await?,
            Err(_) => return Ok(Err(bad_resource_version(version))),
        }
        Ok::<_, RecordsError>(Ok(records.get(&key).await?))
    };
    match found.await {
        Ok(Ok(Some(record))) => Ok(record),
        Ok(Ok(None)) => Err(Status::not_found(&scope.kind.group, &scope.kind.plural, &scope.info.name)),
        Ok(Err(failure)) => Err(failure),
        Err(error) => Err(store_failure(&error)),
    }
}

//! deletecollection

use trireme_schema::status::Failure;

use super::delete::{Deleted, delete_one};
use super::delete_options::DeleteOptions;
use super::list::read_list;
use super::list_options::ListOptions;
use crate::outcome::{Content, Items, Outcome};
use crate::scope::Scope;
use crate::server::Server;

/// Deletes every object that a list would show, and answers with them.
pub(crate) async fn delete_collection(
    server: &Server,
    scope: &Scope,
    bytes: &[u8],
) -> Result<Outcome, Failure> {
    let options = DeleteOptions::parse(scope, bytes)?;
    let list_options = ListOptions::parse(&scope.query, false)?;
    let mut content = read_list(server, scope, &list_options).await?;
    let mut warnings = Vec::new();
    if let Items::Stored(records) = &content.items {
        let mut shown = Vec::with_capacity(records.len());
        for record in records {
            let mut one = scope.clone();
            let (namespace, name) = scope.kind.storage.parse(record.key());
            one.info.name = name.to_owned();
            one.info.namespace = if scope.kind.namespaced { namespace } else { name }.to_owned();
            let before = super::update::current(server, scope, record).map_err(|e| e.into_failure())?;
            match delete_one(server, &one, &options, &mut warnings).await {
                Ok(Deleted::Gone(_) | Deleted::Marked(..)) => {}
                // Gone meanwhile: what was to be done is done.
                Err(failure) if failure.code == 404 => {}
                Err(failure) => return Err(failure),
            }
            shown.push((*before).clone());
        }
        content.items = Items::Objects(shown);
    }
    warnings.extend(super::delete::kept_dependents(scope, &options));
    warnings.dedup();
    Ok(Outcome { status: 200, content: Content::List(Box::new(content)), warnings })
}

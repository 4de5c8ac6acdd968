//! list

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use trireme_mvcc::{Key, Revision};
use trireme_schema::resource_version::Wanted;
use trireme_schema::status::{Failure, Status};
use trireme_schema::view::View;

use super::list_options::ListOptions;
use crate::failures::store_failure;
use crate::limits::{CONTINUE_BYTES, FUTURE_WAIT, LIST_CHUNK_OBJECTS};
use crate::outcome::{Content, Items, ListContent, Outcome};
use crate::records::{Record, RecordsError};
use crate::scope::Scope;
use crate::selectable::Selection;
use crate::server::Server;

/// Lists objects.
pub(crate) async fn list(server: &Server, scope: &Scope) -> Result<Outcome, Failure> {
    let options = ListOptions::parse(&scope.query, false)?;
    let content = read_list(server, scope, &options).await?;
    Ok(Outcome { status: 200, content: Content::List(Box::new(content)), warnings: Vec::new() })
}

/// Where a list begins and of which state it speaks.
struct Place {
    at: Option<Revision>,
    after: Option<Key>,
}

/// Reads the list that the options ask for.
pub(crate) async fn read_list(
    server: &Server,
    scope: &Scope,
    options: &ListOptions,
) -> Result<ListContent, Failure> {
    let selection = Selection::parse(&scope.kind, &options.label_selector, &options.field_selector)?;
    let prefix = scope.kind.storage.prefix(scope.namespace());
    let place = place(server, options, &prefix).await?;
    let mut reader = Reader { server, scope, selection, prefix, place, limit: options.limit };
    reader.read().await.map_err(|error| match error {
        RecordsError::Compacted { .. } if !options.continue_token.is_empty() => expired_continue(),
        error => store_failure(&error),
    })
}

async fn place(server: &Server, options: &ListOptions, prefix: &str) -> Result<Place, Failure> {
    let records = &server.records;
    if !options.continue_token.is_empty() {
        if options.resource_version.is_some_and(|wanted| wanted != Wanted::Any) {
            let why = "specifying resource version is not allowed when using continue";
            return Err(Status::bad_request(why));
        }
        return continued(&options.continue_token, prefix);
    }
    let exact = options.version_match == "Exact" || (options.version_match.is_empty() && options.limit > 0);
    let settled = match options.resource_version {
        None => records.settle().await.map(|()| None),
        Some(Wanted::Any | Wanted::Newest) => Ok(None),
        Some(Wanted::At(at)) => {
            let at = Revision::new(at);
            records.wait_revision(at, FUTURE_WAIT).await.map(|()| exact.then_some(at))
        }
    };
    settled.map(|at| Place { at, after: None }).map_err(|error| store_failure(&error))
}

struct Reader<'a> {
    server: &'a Server,
    scope: &'a Scope,
    selection: Selection,
    prefix: String,
    place: Place,
    limit: usize,
}

impl Reader<'_> {
    async fn read(&mut self) -> Result<ListContent, RecordsError> {
        if let Some(found) = self.read_one().await? {
            return Ok(found);
        }
        let everything = self.selection.is_everything();
        let mut out = Vec::new();
        let (revision, remaining) = loop {
            let wanted = match self.limit {
                0 => LIST_CHUNK_OBJECTS,
                limit if everything => (limit - out.len()).min(LIST_CHUNK_OBJECTS),
                limit => (limit * 2).clamp(100, LIST_CHUNK_OBJECTS),
            };
            let records = &self.server.records;
            let page = records.list(&self.prefix, self.place.after.as_ref(), self.place.at, wanted).await?;
            // All pages of one list speak of one state.
            self.place.at = Some(page.revision);
            let count = page.records.len();
            for (index, record) in page.records.into_iter().enumerate() {
                self.place.after = Some(record.key().clone());
                if self.matches(&record)? {
                    out.push(record);
                }
                if self.limit > 0 && out.len() >= self.limit {
                    let left = u64::try_from(count - index - 1).unwrap_or(u64::MAX);
                    return Ok(self.content(out, page.revision, page.remaining.saturating_add(left)));
                }
            }
            if page.remaining == 0 {
                break (page.revision, 0);
            }
        };
        Ok(self.content(out, revision, remaining))
    }

    /// A selector that names one object needs no range.
    async fn read_one(&self) -> Result<Option<ListContent>, RecordsError> {
        let Some(name) = self.selection.name() else { return Ok(None) };
        let namespace = match (self.scope.kind.namespaced, self.scope.namespace()) {
            (true, "") => match self.selection.namespace() {
                Some(namespace) => namespace,
                None => return Ok(None),
            },
            (_, own) => own,
        };
        if self.place.at.is_some() || self.place.after.is_some() {
            return Ok(None);
        }
        let key = self.scope.kind.storage.key(namespace, name);
        let store = self.server.records.store().await?;
        use trireme_raft::store::Store;
        let (found, revision) = store.read(|state| (state.get(&key).cloned(), state.revision()));
        let record = found.map(|object| Record::new(&object)).transpose()?;
        let mut records = Vec::new();
        if let Some(record) = record
            && self.matches(&record)?
        {
            records.push(record);
        }
        Ok(Some(self.content(records, revision, 0)))
    }

    fn matches(&self, record: &Record) -> Result<bool, RecordsError> {
        if self.selection.is_everything() {
            return Ok(true);
        }
        if self.selection.is_by_key() {
            let (namespace, name) = self.scope.kind.storage.parse(record.key());
            return Ok(self.selection.matches_key(namespace, name));
        }
        Ok(self.selection.matches(&*self.server.records.decode(record)?))
    }

    fn content(&self, records: Vec<Record>, revision: Revision, remaining: u64) -> ListContent {
        let last = self.place.after.as_ref().filter(|_| remaining > 0);
        let continue_token = last.map(|key| encode_continue(revision, key, &self.prefix));
        ListContent {
            kind: self.scope.kind.clone(),
            items: Items::Stored(records),
            revision,
            remaining: (continue_token.is_some() && self.selection.is_everything()).then_some(remaining),
            continue_token,
        }
    }
}

fn encode_continue(revision: Revision, last: &Key, prefix: &str) -> String {
    let text = String::from_utf8_lossy(last);
    let start = format!("{}\0", text.strip_prefix(prefix).unwrap_or(&text));
    let token = json!({"v": "meta.k8s.io/v1", "rv": revision.get(), "start": start});
    URL_SAFE_NO_PAD.encode(token.to_string())
}

fn continued(token: &str, prefix: &str) -> Result<Place, Failure> {
    let bad =
        |why: &str| Status::bad_request(format!("invalid continue token: continue key is not valid: {why}"));
    if token.len() > CONTINUE_BYTES {
        return Err(bad("it is too long"));
    }
    let bytes =
        URL_SAFE_NO_PAD.decode(token.trim_end_matches('=')).map_err(|error| bad(&error.to_string()))?;
    let document = trireme_schema::json::parse(&bytes).map_err(|error| bad(&error.to_string()))?;
    let value: Value = document.value;
    match value.text("v") {
        "meta.k8s.io/v1" => {}
        other => return Err(bad(&format!("server does not recognize this encoded version {other}"))),
    }
    let revision = value.int("rv").and_then(|rv| u64::try_from(rv).ok()).filter(|rv| *rv > 0);
    let revision =
        revision.ok_or_else(|| bad("incorrect encoded start resourceVersion (version meta.k8s.io/v1)"))?;
    let start = value.text("start");
    if start.is_empty() {
        return Err(bad("encoded start key empty (version meta.k8s.io/v1)"));
    }
    if start.starts_with('/') || start.split('/').any(|part| part == "..") {
        return Err(bad(start));
    }
    let start = start.strip_suffix('\0').unwrap_or(start);
    let after = Key::from(format!("{prefix}{start}").as_str());
    Ok(Place { at: Some(Revision::new(revision)), after: Some(after) })
}

/// 410: the state that a continue token speaks of is forgotten.
fn expired_continue() -> Failure {
    Status::expired(
        "The provided continue parameter is too old to display a consistent list result. You must start a new list \
         without the continue parameter.",
    )
}

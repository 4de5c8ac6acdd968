//! From an [`Outcome`] to an HTTP answer in the form that the client asked for.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde_json::{Map, Value, json};
use trireme_http::negotiate::{Accepted, Format, Target, gzip, gzip_wanted, negotiate_accept};
use trireme_http::{Reply, ReplyBody};
use trireme_publish::partial::{partial_list, partial_object};
use trireme_publish::table::{Header, IncludeObject, Release, TableOptions};
use trireme_schema::status::{Failure, Status};

use crate::catalogue::ServedKind;
use crate::limits::{WARNING_BYTES, WARNING_CUT_BYTES};
use crate::outcome::{Content, Items, ListContent, Outcome};
use crate::records::Record;
use crate::scope::Scope;
use crate::server::Server;

/// Formats of answers, best first.
pub(crate) const FORMATS: &[Format] = &[Format::Json, Format::Yaml];
/// What a 406 lists, in upstream's words.
const ACCEPTED: [&str; 3] = ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];

/// The release whose columns Tables have.
pub(crate) const RELEASE: Release = Release::V1_35;

/// Media types that routes know, before anything else is looked at.
const PRODUCED: [&str; 3] = ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];

/// Refuses what no route produces, as upstream's router does: by whole media types, `*/*` or nothing.
///
/// # Errors
/// 406.
pub(crate) fn check_accept(accept: Option<&str>, watch: bool) -> Result<(), Failure> {
    let text = accept.unwrap_or_default().trim();
    if text.is_empty() {
        return Ok(());
    }
    let known = |range: &str| {
        let media = range.split(';').next().unwrap_or_default().trim();
        media == "*/*" || PRODUCED.contains(&media)
    };
    if text.split(',').any(known) {
        return Ok(());
    }
    let mut all: Vec<String> = PRODUCED.iter().map(|media| (*media).to_owned()).collect();
    if watch {
        all.push("application/json;stream=watch".to_owned());
        all.push("application/vnd.kubernetes.protobuf;stream=watch".to_owned());
    }
    let mut status =
        Status::plain(406, format!("406: Not Acceptable\n\nAvailable representations: {}", all.join(", ")));
    status.reason = "NotAcceptable".to_owned();
    status.force_details = true;
    Err(status)
}

/// What the client wants; Tables and partial metadata only where they make sense.
///
/// # Errors
/// 406.
pub(crate) fn negotiate(accept: Option<&str>, transforms: bool) -> Result<Accepted, Failure> {
    let allows = |_: Format, target: Option<&Target>| match target {
        None => true,
        Some(target) if !transforms => target.kind.is_empty(),
        Some(target) => ["Table", "PartialObjectMetadata", "PartialObjectMetadataList"]
            .iter()
            .any(|kind| target.is_meta(kind)),
    };
    negotiate_accept(accept, FORMATS, allows).map_err(|_| Status::not_acceptable(&ACCEPTED))
}

/// Renders what a verb gave.
pub(crate) async fn outcome(
    server: &Server,
    scope: &Scope,
    outcome: Outcome,
    accept_encoding: Option<&str>,
) -> Result<Reply, Failure> {
    let Outcome { status, content, warnings: own } = outcome;
    let mut warnings = std::mem::take(&mut *scope.said.lock());
    warnings.extend(own);
    if let Some(text) = &scope.kind.deprecation {
        warnings.insert(0, text.clone());
    }
    if let Content::Watch(frames, content_type) = content {
        let mut response = Response::new(ReplyBody::frames(frames));
        set_type(response.headers_mut(), content_type);
        return Ok(finish(response, status, &warnings));
    }
    let accepted = negotiate(scope.accept.as_deref(), true)?;
    let bytes = body(server, scope, content, &accepted)?;
    Ok(with_body(status, bytes, accepted.format, &warnings, accept_encoding).await)
}

fn body(server: &Server, scope: &Scope, content: Content, accepted: &Accepted) -> Result<Bytes, Failure> {
    let pretty = accepted.pretty || wants_pretty(scope);
    let plain = accepted.target.is_none() && accepted.format == Format::Json && !pretty;
    match content {
        Content::Stored(kind, record) if plain && kind.is_stored && !kind.custom => Ok(record.to_json()),
        Content::List(list) if plain && list.kind.is_stored && !list.kind.custom => match &list.items {
            Items::Stored(records) => Ok(stored_list(&list, records)),
            Items::Objects(_) => Ok(encode(&list_value(server, *list)?, Format::Json, false)),
        },
        Content::Stored(kind, record) => {
            let object = shown(server, &kind, &record)?;
            let object = transform_object(scope, &kind, object, accepted.target.as_ref())?;
            Ok(encode(&object, accepted.format, pretty))
        }
        Content::Object(kind, object) => {
            let object = transform_object(scope, &kind, object, accepted.target.as_ref())?;
            Ok(encode(&object, accepted.format, pretty))
        }
        Content::Other(value) => Ok(encode(&value, accepted.format, pretty)),
        Content::List(list) => {
            let value = match &accepted.target {
                None => list_value(server, *list)?,
                Some(target) => transform_list(server, scope, *list, target)?,
            };
            Ok(encode(&value, accepted.format, pretty))
        }
        Content::Watch(..) => Err(Status::internal("a watch has no body")),
    }
}

/// `pretty=true`, or a browser or curl.
fn wants_pretty(scope: &Scope) -> bool {
    match scope.query.first("pretty") {
        Some(_) => scope.query.is_true("pretty"),
        None => ["curl", "Wget", "Mozilla"].iter().any(|agent| scope.user_agent.starts_with(agent)),
    }
}

/// A stored object in the version that is served.
fn shown(server: &Server, kind: &ServedKind, record: &Record) -> Result<Value, Failure> {
    let value = server.records.decode(record).map_err(|error| Status::internal(&error.to_string()))?;
    kind.rules.served_form((*value).clone())
}

fn stored_list(list: &ListContent, records: &[Record]) -> Bytes {
    let head = json!({"kind": list.kind.list_kind, "apiVersion": list.kind.api_version()});
    let size: usize = records.iter().map(|record| record.value().len() + 40).sum();
    let mut out = Vec::with_capacity(size + 256);
    out.extend_from_slice(b"{\"kind\":");
    out.extend_from_slice(head["kind"].to_string().as_bytes());
    out.extend_from_slice(b",\"apiVersion\":");
    out.extend_from_slice(head["apiVersion"].to_string().as_bytes());
    out.extend_from_slice(b",\"metadata\":");
    out.extend_from_slice(Value::Object(list_metadata(list)).to_string().as_bytes());
    out.extend_from_slice(b",\"items\":[");
    let skip = list.kind.item_skip_bytes();
    for (index, record) in records.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        record.write_json(record.revision(), skip, &mut out);
    }
    out.extend_from_slice(b"]}\n");
    Bytes::from(out)
}

fn list_metadata(list: &ListContent) -> Map<String, Value> {
    let mut metadata = Map::new();
    metadata.insert("resourceVersion".to_owned(), list.revision.to_string().into());
    match &list.continue_token {
        Some(token) => drop(metadata.insert("continue".to_owned(), token.clone().into())),
        // Lists of custom objects always say it, as upstream's do.
        None if list.kind.custom => drop(metadata.insert("continue".to_owned(), "".into())),
        None => {}
    }
    if let Some(remaining) = list.remaining {
        metadata.insert("remainingItemCount".to_owned(), remaining.into());
    }
    metadata
}

fn items(server: &Server, list: &ListContent) -> Result<Vec<Value>, Failure> {
    match &list.items {
        Items::Stored(records) => records.iter().map(|record| shown(server, &list.kind, record)).collect(),
        Items::Objects(objects) => Ok(objects.clone()),
    }
}

fn list_value(server: &Server, list: ListContent) -> Result<Value, Failure> {
    let mut items = items(server, &list)?;
    if !list.kind.custom {
        for item in items.iter_mut().filter_map(Value::as_object_mut) {
            item.remove("kind");
            item.remove("apiVersion");
        }
    }
    Ok(json!({
        "kind": list.kind.list_kind,
        "apiVersion": list.kind.api_version(),
        "metadata": list_metadata(&list),
        "items": items,
    }))
}

fn transform_list(
    server: &Server,
    scope: &Scope,
    list: ListContent,
    target: &Target,
) -> Result<Value, Failure> {
    let mut metadata = list_metadata(&list);
    metadata.retain(|_, value| value != "");
    let metadata = Value::Object(metadata);
    let objects = items(server, &list)?;
    match target.kind.as_str() {
        "Table" => {
            let options = table_options(scope, target, Header::Full)?;
            Ok(list.kind.table().list(&objects, &metadata, &options))
        }
        "PartialObjectMetadataList" => Ok(partial_list(&objects, &metadata, &target.version)),
        _ => {
            let why = format!("you requested {}, but the requested object is a list", target.kind);
            let mut status = Status::plain(406, why);
            status.reason = "NotAcceptable".to_owned();
            Err(status)
        }
    }
}

fn table_options<'t>(scope: &Scope, target: &'t Target, header: Header) -> Result<TableOptions<'t>, Failure> {
    let include = IncludeObject::parse(scope.query.text("includeObject"))
        .map_err(|error| Status::bad_request(error.to_string()))?;
    Ok(TableOptions { include, version: &target.version, now: crate::scope::now(), header })
}

fn transform_object(
    scope: &Scope,
    kind: &ServedKind,
    object: Value,
    target: Option<&Target>,
) -> Result<Value, Failure> {
    let Some(target) = target else { return Ok(object) };
    match target.kind.as_str() {
        "Table" => {
            let options = table_options(scope, target, Header::Full)?;
            Ok(kind.table().single(&object, &options))
        }
        "PartialObjectMetadata" => Ok(partial_object(&object, &target.version)),
        _ => {
            let why = format!("you requested {}, but the requested object is not a list", target.kind);
            let mut status = Status::plain(406, why);
            status.reason = "NotAcceptable".to_owned();
            Err(status)
        }
    }
}

/// JSON or YAML text of a value.
pub(crate) fn encode(value: &Value, format: Format, pretty: bool) -> Bytes {
    let text = match (format, pretty) {
        (Format::Yaml, _) => trireme_schema::yaml::print(value).into_bytes(),
        (_, true) => serde_json::to_vec_pretty(value).expect("a value is always JSON"),
        (_, false) => serde_json::to_vec(value).expect("a value is always JSON"),
    };
    let mut text = text;
    if text.last() != Some(&b'\n') {
        text.push(b'\n');
    }
    Bytes::from(text)
}

/// An answer with a body in a format, compressed when it is long and the client takes that.
pub(crate) async fn with_body(
    status: u16,
    bytes: Bytes,
    format: Format,
    warnings: &[String],
    accept_encoding: Option<&str>,
) -> Reply {
    let zipped = gzip_wanted(accept_encoding, bytes.len());
    let bytes = if zipped {
        let plain = bytes.clone();
        tokio::task::spawn_blocking(move || gzip(&[plain])).await.unwrap_or(bytes)
    } else {
        bytes
    };
    let mut response = Response::new(ReplyBody::full(bytes));
    set_type(response.headers_mut(), format.media_type());
    if zipped {
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    }
    finish(response, status, warnings)
}

/// The answer of a failed request.
pub(crate) fn failure(failure: &Status, accept: Option<&str>, warnings: &[String]) -> Reply {
    let format = negotiate(accept, true).map_or(Format::Json, |accepted| accepted.format);
    let bytes = encode(&failure.to_value(), format, false);
    let mut response = Response::new(ReplyBody::full(bytes));
    set_type(response.headers_mut(), format.media_type());
    if failure.details.retry_after_seconds > 0 {
        let seconds = HeaderValue::from(failure.details.retry_after_seconds);
        response.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
    finish(response, failure.code, warnings)
}

/// 429: the server has too much to do; in upstream's plain text.
pub(crate) fn too_many() -> Reply {
    let mut reply = text(429, "Too many requests, please try again later.\n");
    if let Reply::Answer(response) = &mut reply {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    reply
}

/// A text answer.
pub(crate) fn text(status: u16, body: impl Into<Bytes>) -> Reply {
    let mut response = Response::new(ReplyBody::full(body.into()));
    set_type(response.headers_mut(), "text/plain; charset=utf-8");
    response.headers_mut().insert("X-Content-Type-Options", HeaderValue::from_static("nosniff"));
    finish(response, status, &[])
}

pub(crate) fn set_type(headers: &mut HeaderMap, content_type: &'static str) {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
}

/// Adds what every answer carries.
pub(crate) fn finish(mut response: Response<ReplyBody>, status: u16, warnings: &[String]) -> Reply {
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    for warning in warning_headers(warnings) {
        headers.append(header::WARNING, warning);
    }
    Reply::from(response)
}

/// `299 - "text"`, each text once, together within a limit.
fn warning_headers(warnings: &[String]) -> Vec<HeaderValue> {
    let total: usize = warnings.iter().map(String::len).sum();
    let cut = if total > WARNING_BYTES { WARNING_CUT_BYTES } else { usize::MAX };
    let mut seen: Vec<&str> = Vec::new();
    let mut out = Vec::new();
    let mut left = WARNING_BYTES;
    for warning in warnings {
        if seen.contains(&warning.as_str()) {
            continue;
        }
        seen.push(warning);
        let short: String = warning.chars().filter(|c| !c.is_control()).collect();
        let mut end = short.len().min(cut);
        while !short.is_char_boundary(end) {
            end -= 1;
        }
        let short = &short[..end];
        let Some(rest) = left.checked_sub(short.len()) else { break };
        left = rest;
        let quoted = short.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_bytes(format!("299 - \"{quoted}\"").as_bytes()) {
            out.push(value);
        }
    }
    out
}

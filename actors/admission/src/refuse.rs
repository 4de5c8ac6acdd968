//! Refusals in upstream's words: who is named, and how several reasons join.

use trireme_schema::status::{Failure, Status};
use trireme_schema::view::View;

use crate::request::Request;

/// 403 about the request's object. An object that has no name yet is named by its `generateName`.
pub(crate) fn forbidden(request: &Request<'_>, why: impl AsRef<str>) -> Failure {
    Status::forbidden(request.group, request.resource, shown_name(request), why.as_ref())
}

fn shown_name<'a>(request: &'a Request<'_>) -> &'a str {
    if !request.name.is_empty() {
        return request.name;
    }
    let Some(object) = &request.object else { return "Unknown" };
    let metadata = object.at("metadata");
    [metadata.text("name"), metadata.text("generateName")]
        .into_iter()
        .find(|name| !name.is_empty())
        .unwrap_or("Unknown")
}

/// Several reasons as upstream's aggregate prints them: one as it is, more in brackets; repeated ones once.
pub(crate) fn aggregate(reasons: &[String]) -> String {
    let mut once: Vec<&str> = Vec::with_capacity(reasons.len());
    for reason in reasons {
        if !once.contains(&reason.as_str()) {
            once.push(reason);
        }
    }
    if let [only] = once.as_slice() { (*only).to_owned() } else { format!("[{}]", once.join(", ")) }
}

/// `"a", "b"`; nothing inside is escaped.
pub(crate) fn quoted<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> String {
    names.into_iter().map(|name| format!("\"{}\"", name.as_ref())).collect::<Vec<_>>().join(", ")
}

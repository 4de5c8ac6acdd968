//! [`Status`]: the answer of a request that failed (or of one that has nothing else to say), with upstream's codes,
//! reasons, details and wording.

use serde_json::{Map, Value, json};

use crate::field::{ErrorList, FieldError};

/// One cause in the details of a Status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// Machine-readable reason, such as `FieldValueInvalid`.
    pub reason: String,
    /// Text for people.
    pub message: String,
    /// The field, or empty.
    pub field: String,
}

/// What the request was about, and why it failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// Name of the object.
    pub name: String,
    /// API group.
    pub group: String,
    /// Kind, or resource, as upstream mixes them.
    pub kind: String,
    /// UID of the object.
    pub uid: String,
    /// Causes in order.
    pub causes: Vec<Cause>,
    /// Whole seconds after which to try again; 0 for no advice.
    pub retry_after_seconds: u32,
}

impl Details {
    fn is_empty(&self) -> bool {
        *self == Details::default()
    }
}

/// A `v1.Status`. Boxed where it is an error, since it is rare and large.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// HTTP status code.
    pub code: u16,
    /// Machine-readable reason; may be empty.
    pub reason: String,
    /// Text for people.
    pub message: String,
    /// Details; left out when empty.
    pub details: Details,
    /// The answer prints `details` even when empty (upstream does for some errors).
    pub force_details: bool,
}

/// A failed request.
pub type Failure = Box<Status>;

fn qualified(resource: &str, group: &str) -> String {
    if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") }
}

impl Status {
    fn new(code: u16, reason: &str, message: impl Into<String>) -> Failure {
        Box::new(Status {
            code,
            reason: reason.to_owned(),
            message: message.into(),
            details: Details::default(),
            force_details: false,
        })
    }

    fn about(code: u16, reason: &str, group: &str, kind: &str, name: &str, message: String) -> Failure {
        let mut status = Status::new(code, reason, message);
        status.details.name = name.to_owned();
        status.details.group = group.to_owned();
        status.details.kind = kind.to_owned();
        status
    }

    /// A failure with a message and nothing else, as upstream answers a plain error.
    pub fn plain(code: u16, message: impl Into<String>) -> Failure {
        Status::new(code, "", message)
    }

    /// 404 for one object.
    pub fn not_found(group: &str, resource: &str, name: &str) -> Failure {
        let message = format!("{} \"{name}\" not found", qualified(resource, group));
        Status::about(404, "NotFound", group, resource, name, message)
    }

    /// 404 for a path that the server does not know.
    pub fn unknown_path() -> Failure {
        let mut status = Status::new(404, "NotFound", "the server could not find the requested resource");
        status.force_details = true;
        status
    }

    /// 409: the name is taken.
    pub fn already_exists(group: &str, resource: &str, name: &str) -> Failure {
        let message = format!("{} \"{name}\" already exists", qualified(resource, group));
        Status::about(409, "AlreadyExists", group, resource, name, message)
    }

    /// 409: the operation cannot be done on this state; `why` ends the message.
    pub fn conflict(group: &str, resource: &str, name: &str, why: &str) -> Failure {
        let message =
            format!("Operation cannot be fulfilled on {} \"{name}\": {why}", qualified(resource, group));
        Status::about(409, "Conflict", group, resource, name, message)
    }

    /// 409: the object changed since the client read it.
    pub fn modified(group: &str, resource: &str, name: &str) -> Failure {
        let why =
            "the object has been modified; please apply your changes to the latest version and try again";
        Status::conflict(group, resource, name, why)
    }

    /// 409 of server-side apply: fields that others own.
    pub fn apply_conflict(causes: Vec<Cause>, message: String) -> Failure {
        let mut status = Status::new(409, "Conflict", message);
        status.details.causes = causes;
        status
    }

    /// 422 with a cause for each finding. `kind` and `group` name the type.
    pub fn invalid(group: &str, kind: &str, name: &str, errors: &ErrorList) -> Failure {
        let text = if errors.is_empty() { String::new() } else { errors.aggregate() };
        let message = format!("{} \"{name}\" is invalid: {text}", qualified(kind, group));
        let mut status = Status::about(422, "Invalid", group, kind, name, message);
        status.details.causes = errors
            .iter()
            .map(|e: &FieldError| Cause {
                reason: e.kind.reason().to_owned(),
                message: e.body(),
                field: e.field.clone(),
            })
            .collect();
        status
    }

    /// 400.
    pub fn bad_request(message: impl Into<String>) -> Failure {
        Status::new(400, "BadRequest", message)
    }

    /// 401.
    pub fn unauthorized(message: &str) -> Failure {
        Status::new(401, "Unauthorized", if message.is_empty() { "Unauthorized" } else { message })
    }

    /// 403; without a name the message speaks of the resource.
    pub fn forbidden(group: &str, resource: &str, name: &str, why: &str) -> Failure {
        let what = match (resource, name) {
            ("", _) => format!("forbidden: {why}"),
            (_, "") => format!("{} is forbidden: {why}", qualified(resource, group)),
            _ => format!("{} \"{name}\" is forbidden: {why}", qualified(resource, group)),
        };
        Status::about(403, "Forbidden", group, resource, name, what)
    }

    /// 405 for a method on a resource.
    pub fn method_not_supported(group: &str, resource: &str, verb: &str) -> Failure {
        let message =
            format!("{verb} is not supported on resources of kind \"{}\"", qualified(resource, group));
        Status::about(405, "MethodNotAllowed", group, resource, "", message)
    }

    /// 405 for a method on a path.
    pub fn method_not_allowed() -> Failure {
        let message = "the server does not allow this method on the requested resource";
        let mut status = Status::new(405, "MethodNotAllowed", message);
        status.force_details = true;
        status
    }

    /// 406.
    pub fn not_acceptable(accepted: &[&str]) -> Failure {
        let message = format!("only the following media types are accepted: {}", accepted.join(", "));
        Status::new(406, "NotAcceptable", message)
    }

    /// 410: the resourceVersion or continue token is too old.
    pub fn expired(message: impl Into<String>) -> Failure {
        Status::new(410, "Expired", message)
    }

    /// 410 for what is gone for good.
    pub fn gone(message: impl Into<String>) -> Failure {
        Status::new(410, "Gone", message)
    }

    /// 413.
    pub fn too_large(what: &str) -> Failure {
        Status::new(413, "RequestEntityTooLarge", format!("Request entity too large: {what}"))
    }

    /// 415 of a request body.
    pub fn unsupported_media_type(accepted: &[&str]) -> Failure {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {}",
            accepted.join(", ")
        );
        Status::new(415, "UnsupportedMediaType", message)
    }

    /// 429 with advice when to come back.
    pub fn too_many_requests(message: impl Into<String>, retry_after_seconds: u32) -> Failure {
        let mut status = Status::new(429, "TooManyRequests", message);
        status.details.retry_after_seconds = retry_after_seconds;
        status
    }

    /// 500 for an error inside the server.
    pub fn internal(message: &str) -> Failure {
        let mut status = Status::new(500, "InternalError", format!("Internal error occurred: {message}"));
        status.details.causes =
            vec![Cause { reason: String::new(), message: message.to_owned(), field: String::new() }];
        status
    }

    /// 503.
    pub fn unavailable(message: impl Into<String>) -> Failure {
        Status::new(503, "ServiceUnavailable", message)
    }

    /// 504: the server gave up waiting; the outcome may be unknown.
    pub fn timeout(message: impl Into<String>) -> Failure {
        let message = message.into();
        Status::new(504, "Timeout", format!("Timeout: {message}"))
    }

    /// 500 `ServerTimeout`: the operation could not be finished now and may be tried again.
    pub fn server_timeout(group: &str, resource: &str, verb: &str, retry_after_seconds: u32) -> Failure {
        let message = format!(
            "The {verb} operation against {} could not be completed at this time, please try again.",
            qualified(resource, group)
        );
        let mut status = Status::about(500, "ServerTimeout", group, resource, "", message);
        status.details.name = verb.to_owned();
        status.details.retry_after_seconds = retry_after_seconds;
        status
    }

    /// The body of a Success Status for a deletion.
    pub fn deleted(group: &str, resource: &str, name: &str, uid: &str) -> Value {
        let mut details = Map::new();
        for (key, value) in [("name", name), ("group", group), ("kind", resource), ("uid", uid)] {
            if !value.is_empty() {
                details.insert(key.to_owned(), value.into());
            }
        }
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})
    }

    /// The wire form.
    pub fn to_value(&self) -> Value {
        let mut out = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "code": self.code,
        });
        let Some(map) = out.as_object_mut() else { return out };
        if self.message.is_empty() {
            map.remove("message");
        }
        if !self.reason.is_empty() {
            map.insert("reason".to_owned(), self.reason.clone().into());
        }
        if self.force_details || !self.details.is_empty() {
            map.insert("details".to_owned(), details_value(&self.details));
        }
        out
    }
}

fn details_value(details: &Details) -> Value {
    let mut map = Map::new();
    for (key, value) in
        [("name", &details.name), ("group", &details.group), ("kind", &details.kind), ("uid", &details.uid)]
    {
        if !value.is_empty() {
            map.insert(key.to_owned(), value.clone().into());
        }
    }
    if !details.causes.is_empty() {
        let causes = details.causes.iter().map(|cause| {
            let mut map = Map::new();
            for (key, value) in
                [("reason", &cause.reason), ("message", &cause.message), ("field", &cause.field)]
            {
                if !value.is_empty() {
                    map.insert(key.to_owned(), value.clone().into());
                }
            }
            Value::Object(map)
        });
        map.insert("causes".to_owned(), causes.collect());
    }
    if details.retry_after_seconds > 0 {
        map.insert("retryAfterSeconds".to_owned(), details.retry_after_seconds.into());
    }
    Value::Object(map)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::Path;

    #[test]
    fn invalid_carries_causes() {
        let mut errors = ErrorList::new();
        errors.required(&Path::new("metadata").child("name"), "name or generateName is required");
        let body = Status::invalid("", "ConfigMap", "", &errors).to_value();
        assert_eq!(
            body,
            json!({"apiVersion":"v1","code":422,"kind":"Status","metadata":{},"reason":"Invalid","status":"Failure",
                "message":"ConfigMap \"\" is invalid: metadata.name: Required value: name or generateName is required",
                "details":{"kind":"ConfigMap","causes":[{"field":"metadata.name","reason":"FieldValueRequired",
                    "message":"Required value: name or generateName is required"}]}})
        );
    }

    #[test]
    fn names_are_qualified_by_group() {
        assert_eq!(Status::not_found("apps", "deployments", "x").message, "deployments.apps \"x\" not found");
        assert_eq!(
            Status::already_exists("", "pods", "x").to_value()["details"],
            json!({"kind":"pods","name":"x"})
        );
        assert_eq!(Status::forbidden("", "pods", "", "no").message, "pods is forbidden: no");
        assert_eq!(Status::too_many_requests("x", 1).to_value()["details"], json!({"retryAfterSeconds":1}));
    }
}

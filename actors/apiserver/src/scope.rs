//! [`Scope`]: one request on its way through the pipeline.

use std::sync::Arc;

use http::HeaderMap;
use parking_lot::Mutex;
use trireme_access::User;
use trireme_schema::request::FieldValidation;
use trireme_schema::time::Moment;

use crate::catalogue::ServedKind;
use crate::flow::Seat;
use crate::limits::MANAGER_BYTES;
use crate::query::Query;
use crate::request_info::RequestInfo;

/// A request about objects of a kind: who, what, where, when.
#[derive(Clone)]
pub(crate) struct Scope {
    /// What path and method say.
    pub(crate) info: RequestInfo,
    /// Parameters.
    pub(crate) query: Arc<Query>,
    /// Who asks.
    pub(crate) user: Arc<User>,
    /// The kind in the asked version.
    pub(crate) kind: Arc<ServedKind>,
    /// `User-Agent`.
    pub(crate) user_agent: String,
    /// `Accept`.
    pub(crate) accept: Option<String>,
    /// `Content-Type`.
    pub(crate) content_type: Option<String>,
    /// The term under which a leader's actor decided this write.
    pub(crate) fence: Option<u64>,
    /// The moment of the request, as `metav1.Time`.
    pub(crate) now: String,
    /// Texts for Warning headers that are sent whatever comes of the request.
    pub(crate) said: Arc<Mutex<Vec<String>>>,
    /// The request's seats; whoever works on after the answer has begun takes them along.
    pub(crate) seat: Arc<Mutex<Option<Seat>>>,
}

impl Scope {
    /// The values of a header, joined as lists are.
    pub(crate) fn header(headers: &HeaderMap, name: http::header::HeaderName) -> Option<String> {
        let mut values = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
        let mut out = values.next()?.into_owned();
        for value in values {
            out.push_str(", ");
            out.push_str(&value);
        }
        Some(out)
    }

    /// The field manager: as given, or derived from the user agent.
    pub(crate) fn manager(&self) -> String {
        match self.query.text("fieldManager") {
            "" => manager_of(&self.user_agent),
            given => given.to_owned(),
        }
    }

    /// The namespace that the request's objects live in; empty for cluster-scoped kinds.
    pub(crate) fn namespace(&self) -> &str {
        if self.kind.namespaced { &self.info.namespace } else { "" }
    }

    /// `fieldValidation`, already checked.
    pub(crate) fn validation(&self) -> FieldValidation {
        match self.query.text("fieldValidation") {
            "Strict" => FieldValidation::Strict,
            "Ignore" => FieldValidation::Ignore,
            _ => FieldValidation::Warn,
        }
    }

    /// Warns the sender, whether or not the request succeeds.
    pub(crate) fn say(&self, warnings: &[String]) {
        self.said.lock().extend_from_slice(warnings);
    }

    /// Nothing shall be stored.
    pub(crate) fn dry_run(&self) -> bool {
        !self.query.all("dryRun").is_empty()
    }
}

/// The printable part of a user agent before its first slash.
fn manager_of(agent: &str) -> String {
    let mut out = String::new();
    for c in agent.split('/').next().unwrap_or("").chars() {
        if out.len() + c.len_utf8() > MANAGER_BYTES {
            break;
        }
        if !c.is_control() && c != '\u{feff}' {
            out.push(c);
        }
    }
    out
}

/// Now, from the machine's clock.
pub(crate) fn now() -> Moment {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Moment::from_unix(i64::try_from(since.as_secs()).unwrap_or(i64::MAX), since.subsec_nanos())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn managers_come_from_user_agents() {
        assert_eq!(manager_of("kubectl/v1.28 (linux/amd64)"), "kubectl");
        assert_eq!(manager_of("a\u{1}b"), "ab");
        assert_eq!(manager_of(&"ä".repeat(100)).len(), MANAGER_BYTES);
    }
}

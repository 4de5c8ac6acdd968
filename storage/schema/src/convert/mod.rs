//! Versions of built-in kinds: every kind that is served in more than one version (or group) has one hub, at which its
//! objects are stored, and a conversion each way for every other.
//!
//! Custom kinds convert by [`crate::custom`].

mod autoscaler;
mod event;
mod metrics;
mod ordered;

use serde_json::Value;
use thiserror::Error;

use crate::kinds::{api_version, parse_api_version};
use crate::types::{conform, lookup};
use crate::view::{Edit, View};

/// Why an object cannot be converted. Not retryable: the object is malformed, or the kind has no such version.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConvertError {
    /// The kind is not served at that version.
    #[error("{kind} cannot be converted from {from} to {to}: no such version is served")]
    Unknown {
        /// Kind.
        kind: String,
        /// Version of the object.
        from: String,
        /// Version asked for.
        to: String,
    },
    /// The converted object does not decode.
    #[error("{kind} cannot be converted to {to}: {why}")]
    Malformed {
        /// Kind.
        kind: String,
        /// Version asked for.
        to: String,
        /// The decoder's words.
        why: String,
    },
}

/// Changes an object's shape; `apiVersion` is set by the caller.
type Step = fn(&mut Value);

/// A version besides the hub.
struct Spoke {
    kind: &'static str,
    group: &'static str,
    version: &'static str,
    /// Group and version of the hub.
    hub: (&'static str, &'static str),
    to_hub: Step,
    from_hub: Step,
}

const SPOKES: [Spoke; 2] = [
    Spoke {
        kind: "HorizontalPodAutoscaler",
        group: "autoscaling",
        version: "v1",
        hub: ("autoscaling", "v2"),
        to_hub: autoscaler::v1_to_v2,
        from_hub: autoscaler::v2_to_v1,
    },
    Spoke {
        kind: "Event",
        group: "events.k8s.io",
        version: "v1",
        hub: ("", "v1"),
        to_hub: event::to_core,
        from_hub: event::from_core,
    },
];

fn spoke(kind: &str, group: &str, version: &str) -> Option<&'static Spoke> {
    SPOKES.iter().find(|s| (s.kind, s.group, s.version) == (kind, group, version))
}

/// Group and version at which objects of a kind are stored. Kinds served in one version are their own hub.
pub fn hub<'a>(group: &'a str, version: &'a str, kind: &str) -> (&'a str, &'a str) {
    spoke(kind, group, version).map_or((group, version), |s| s.hub)
}

/// Every group and version at which a kind with this hub is served, the hub first.
pub fn versions(group: &str, version: &str, kind: &str) -> Vec<(String, String)> {
    let mut out = vec![(group.to_owned(), version.to_owned())];
    let spokes = SPOKES.iter().filter(|s| s.kind == kind && s.hub == (group, version));
    out.extend(spokes.map(|s| (s.group.to_owned(), s.version.to_owned())));
    out
}

/// Brings an object to another group and version of its kind, by way of the hub. Objects that arrive at the hub get
/// its defaults.
///
/// # Errors
/// [`ConvertError`].
pub fn convert(mut object: Value, group: &str, version: &str) -> Result<Value, ConvertError> {
    let wanted = api_version(group, version);
    let given = object.text("apiVersion").to_owned();
    if given == wanted {
        return Ok(object);
    }
    let kind = object.text("kind").to_owned();
    let (from_group, from_version) = parse_api_version(&given).unwrap_or(("", &given));
    let (to_hub, from_hub) = (spoke(&kind, from_group, from_version), spoke(&kind, group, version));
    let unknown = || ConvertError::Unknown { kind: kind.clone(), from: given.clone(), to: wanted.clone() };
    let at = to_hub.map_or((from_group, from_version), |s| s.hub);
    if at != from_hub.map_or((group, version), |s| s.hub) {
        return Err(unknown());
    }
    if let Some(spoke) = to_hub {
        (spoke.to_hub)(&mut object);
        settle(&mut object, &kind, at)?;
        crate::defaults::apply_defaults(at.0, at.1, &kind, &mut object);
    }
    if let Some(spoke) = from_hub {
        (spoke.from_hub)(&mut object);
        settle(&mut object, &kind, (group, version))?;
    }
    Ok(object)
}

/// Names the version and brings the object into that version's canonical form.
fn settle(object: &mut Value, kind: &str, (group, version): (&str, &str)) -> Result<(), ConvertError> {
    let to = api_version(group, version);
    object.put("apiVersion", to.clone());
    let malformed = |why: String| ConvertError::Malformed { kind: kind.to_owned(), to: to.clone(), why };
    let of = lookup(group, version, kind).ok_or_else(|| malformed("its type is not known".to_owned()))?;
    conform(object, of).map_err(|error| malformed(error.to_string()))?;
    // The newer form of events always shows its time.
    if (group, kind) == ("events.k8s.io", "Event") && !object.has("eventTime") {
        object.put("eventTime", Value::Null);
    }
    Ok(())
}

/// Renames fields.
fn rename(object: &mut Value, names: &[(&str, &str)]) {
    for (from, to) in names {
        if let Some(value) = object.remove(from) {
            object.put(to, value);
        }
    }
}

#[cfg(test)]
#[path = "convert_test.rs"]
mod tests;

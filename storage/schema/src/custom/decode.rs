//! Decoding requests about custom objects, reading stored ones, and converting between versions.

use serde_json::Value;

use super::defaulting::fill_defaults;
use super::kind::{Conversion, CustomKind};
use super::metadata::{Malformed, coerce_embedded, decode_metadata};
use super::prune::{drop_nulls, prune};
use crate::kinds::parse_api_version;
use crate::status::{Failure, Status};
use crate::view::{Edit, View};

impl CustomKind {
    /// Brings an object of a request into shape: metadata typed, unknown fields dropped, defaults filled in. An
    /// object of another kind is left for validation to refuse. Returns the paths of unknown fields.
    ///
    /// # Errors
    /// The first malformed part, in upstream's words.
    pub fn decode(&self, object: &mut Value) -> Result<Vec<String>, String> {
        let mut unknown: Vec<String> = Vec::new();
        if let Some(metadata) = object.as_object_mut().and_then(|m| m.get_mut("metadata")) {
            let names = decode_metadata(metadata, Malformed::Refuse).map_err(|error| error.to_string())?;
            unknown.extend(names.into_iter().map(|name| format!("metadata.{name}")));
        }
        if object.text("kind") == self.kind.kind {
            unknown.extend(prune(object, self.rule()));
            drop_nulls(object, self.rule());
            unknown.extend(coerce_embedded(object, self.rule(), Malformed::Refuse)?);
            fill_defaults(object, self.rule()).map_err(|error| error.to_string())?;
        }
        Ok(unknown)
    }

    /// Repairs a stored object of this version after its schema changed: what the schema does not name any more goes,
    /// new defaults are filled in, malformed metadata is dropped.
    fn repair(&self, object: &mut Value) -> Result<(), Failure> {
        if let Some(metadata) = object.object("metadata") {
            // Dropping never fails.
            let _ = decode_metadata(metadata, Malformed::Drop);
            if metadata.int("generation").unwrap_or(0) == 0 {
                metadata.put("generation", 1);
            }
        }
        self.fit(object);
        fill_defaults(object, self.rule()).map_err(|error| Status::internal(&error.to_string()))
    }

    /// Drops what this version's schema does not know.
    fn fit(&self, object: &mut Value) {
        prune(object, self.rule());
        drop_nulls(object, self.rule());
        // Dropping never fails.
        let _ = coerce_embedded(object, self.rule(), Malformed::Drop);
    }
}

/// The version of a kind that an object is at.
fn version_of<'a>(versions: &'a [CustomKind], object: &Value) -> Result<&'a CustomKind, Failure> {
    let api_version = object.text("apiVersion");
    let version = parse_api_version(api_version).map_or("", |(_, version)| version);
    versions.iter().find(|v| v.kind.version == version).ok_or_else(|| {
        Status::internal(&format!("request to convert CR from an invalid group/version: {api_version}"))
    })
}

fn convert(object: &mut Value, from: &CustomKind, to: &CustomKind) -> Result<(), Failure> {
    if from.kind.version == to.kind.version {
        return Ok(());
    }
    if to.conversion == Conversion::Webhook {
        return Err(Status::internal(&format!(
            "conversion webhook for {}, Kind={} failed: webhooks are not built yet; use strategy None or one version",
            from.kind.api_version(),
            from.kind.kind
        )));
    }
    object.put("apiVersion", to.kind.api_version());
    to.fit(object);
    Ok(())
}

/// A stored object as version `to` shows it. `versions` are all versions of its kind.
///
/// # Errors
/// 500 when it cannot be converted.
pub fn read_stored(versions: &[CustomKind], to: &CustomKind, mut stored: Value) -> Result<Value, Failure> {
    let from = version_of(versions, &stored)?;
    from.repair(&mut stored)?;
    convert(&mut stored, from, to)?;
    Ok(stored)
}

/// An object of a request in the form in which it is stored. `versions` are all versions of its kind.
///
/// # Errors
/// 500 when it cannot be converted.
pub fn to_stored(versions: &[CustomKind], mut object: Value) -> Result<Value, Failure> {
    let from = version_of(versions, &object)?;
    let Some(to) = versions.iter().find(|v| v.storage) else {
        return Err(Status::internal("the custom resource definition has no storage version"));
    };
    convert(&mut object, from, to)?;
    whole_numbers(&mut object);
    Ok(object)
}

/// Whole numbers are stored without a fraction, as upstream's encoder writes them.
fn whole_numbers(value: &mut Value) {
    /// Floats below this hold every whole number exactly.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value {
        Value::Number(number) if number.is_f64() => {
            let whole = number.as_f64().filter(|f| f.fract() == 0.0 && f.abs() < EXACT);
            if let Some(whole) = whole.and_then(|f| format!("{f:.0}").parse::<i64>().ok()) {
                *value = whole.into();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        Value::Object(map) => map.values_mut().for_each(whole_numbers),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn widgets(strategy: &str) -> Vec<CustomKind> {
        let schema = |p: Value| json!({"openAPIV3Schema":{"type":"object","properties":{"spec":{"type":"object","properties":p}}}});
        CustomKind::compile(&json!({"spec":{"group":"e.com","scope":"Namespaced",
            "names":{"plural":"widgets","kind":"Widget"},"conversion":{"strategy":strategy},
            "versions":[
                {"name":"v1","served":true,"storage":true,
                 "schema":schema(json!({"a":{"type":"string"},"old":{"type":"string"},"t":{"type":"string","default":"d"}}))},
                {"name":"v2","served":true,"schema":schema(json!({"a":{"type":"string"},"b":{"type":"string","default":"two"}}))}]}}))
        .unwrap()
    }

    #[test]
    fn requests_are_pruned_and_defaulted() {
        let kinds = widgets("None");
        let mut object = json!({"apiVersion":"e.com/v1","kind":"Widget","metadata":{"name":"x","zork":1},
            "spec":{"a":"x","z":1,"old":null}});
        let unknown = kinds[0].decode(&mut object).unwrap();
        assert_eq!(unknown, ["metadata.zork", "spec.z"]);
        assert_eq!(object["spec"], json!({"a":"x","t":"d"}));
        let mut bad = json!({"apiVersion":"e.com/v1","kind":"Widget","metadata":{"labels":{"a":5}}});
        assert_eq!(
            kinds[0].decode(&mut bad).unwrap_err(),
            "json: cannot unmarshal number into Go struct field ObjectMeta.labels of type string"
        );
        let mut bad = json!({"apiVersion":"e.com/v1","kind":"Widget","metadata":"x"});
        assert_eq!(
            kinds[0].decode(&mut bad).unwrap_err(),
            "json: cannot unmarshal string into Go value of type v1.ObjectMeta"
        );
    }

    #[test]
    fn versions_convert_by_name() {
        let kinds = widgets("None");
        let stored = json!({"apiVersion":"e.com/v1","kind":"Widget","metadata":{"name":"x"},
            "spec":{"a":"x","old":"y","gone":1}});
        let v1 = read_stored(&kinds, &kinds[0], stored.clone()).unwrap();
        assert_eq!(v1["spec"], json!({"a":"x","old":"y","t":"d"}));
        assert_eq!(v1["metadata"]["generation"], 1);
        let v2 = read_stored(&kinds, &kinds[1], stored).unwrap();
        assert_eq!((&v2["apiVersion"], &v2["spec"]), (&json!("e.com/v2"), &json!({"a":"x"})));
        let back = to_stored(&kinds, v2).unwrap();
        assert_eq!(back["apiVersion"], "e.com/v1");
    }

    #[test]
    fn webhooks_are_refused() {
        let kinds = widgets("Webhook");
        let stored = json!({"apiVersion":"e.com/v1","kind":"Widget","metadata":{"name":"x"}});
        assert!(
            read_stored(&kinds, &kinds[0], stored.clone()).is_ok(),
            "the same version needs no conversion"
        );
        let refused = read_stored(&kinds, &kinds[1], stored).unwrap_err();
        assert_eq!(refused.code, 500);
        assert!(refused.message.contains("webhooks are not built yet"), "{}", refused.message);
    }
}

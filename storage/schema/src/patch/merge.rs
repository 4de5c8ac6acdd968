//! JSON merge patch (RFC 7396).

use serde_json::{Map, Value};

use super::error::PatchError;

/// Checks that a decoded merge patch is an object.
///
/// # Errors
/// [`PatchError::Malformed`] in upstream's words.
pub fn decode_merge_patch(patch: &Value) -> Result<(), PatchError> {
    let what = match patch {
        Value::Object(_) | Value::Null => return Ok(()),
        Value::Array(_) => "array",
        Value::String(_) => "string",
        Value::Number(_) => "number",
        Value::Bool(_) => "bool",
    };
    let target = "Go value of type map[string]interface {}";
    Err(PatchError::Malformed(format!("error decoding patch: json: cannot unmarshal {what} into {target}")))
}

/// Merges `patch` into `object`: null removes, objects merge, anything else replaces.
pub fn apply_merge_patch(object: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        if !patch.is_null() {
            *object = patch.clone();
        }
        return;
    };
    if !object.is_object() {
        *object = Value::Object(Map::new());
    }
    let Value::Object(map) = object else { return };
    for (name, change) in changes {
        match change {
            Value::Null => {
                map.remove(name);
            }
            Value::Object(_) => apply_merge_patch(map.entry(name.clone()).or_insert(Value::Null), change),
            other => {
                map.insert(name.clone(), other.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn examples_of_the_rfc() {
        for (object, patch, result) in [
            (json!({"a":"b"}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"b"}), json!({"b":"c"}), json!({"a":"b","b":"c"})),
            (json!({"a":"b"}), json!({"a":null}), json!({})),
            (json!({"a":["b"]}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":{"b":"c"}}), json!({"a":{"b":"d","c":null}}), json!({"a":{"b":"d"}})),
            (json!({"e":null}), json!({"a":1}), json!({"e":null,"a":1})),
            (json!({}), json!({"a":{"bb":{"ccc":null}}}), json!({"a":{"bb":{}}})),
        ] {
            let mut object = object;
            apply_merge_patch(&mut object, &patch);
            assert_eq!(object, result);
        }
        assert!(decode_merge_patch(&json!([])).is_err());
    }
}

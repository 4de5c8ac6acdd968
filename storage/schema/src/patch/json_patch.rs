//! JSON patch (RFC 6902) with upstream's limits.

use serde_json::Value;

use super::error::PatchError;
use super::pointer::{get, get_mut, index, steps};
use crate::limits::{JSON_PATCH_COPY_BYTES, JSON_PATCH_OPERATIONS};
use crate::view::View;

/// Applies the operations in order; `object` is in an undefined state when one fails.
///
/// # Errors
/// [`PatchError`]: not a list, too many operations, or an operation that fails.
pub fn apply_json_patch(object: &mut Value, patch: &Value) -> Result<(), PatchError> {
    let Value::Array(operations) = patch else {
        let what = match patch {
            Value::Object(_) => "object",
            Value::String(_) => "string",
            Value::Number(_) => "number",
            Value::Bool(_) => "bool",
            Value::Array(_) => "array",
            Value::Null => return Ok(()),
        };
        let message = format!(
            "error decoding patch: json: cannot unmarshal {what} into Go value of type []handlers.jsonPatchOp"
        );
        return Err(PatchError::Malformed(message));
    };
    if operations.len() > JSON_PATCH_OPERATIONS {
        let got = operations.len();
        let message =
            format!("The allowed maximum operations in a JSON patch is {JSON_PATCH_OPERATIONS}, got {got}");
        return Err(PatchError::TooLarge(message));
    }
    if let Some(bad) = operations.iter().find(|o| !o.is_object()) {
        let message = format!(
            "error decoding patch: json: cannot unmarshal {bad} into Go value of type handlers.jsonPatchOp"
        );
        return Err(PatchError::Malformed(message));
    }
    let mut copied_bytes = 0;
    for operation in operations {
        apply_one(object, operation, &mut copied_bytes)?;
    }
    Ok(())
}

fn rejected(operation: &str, path: &str, why: &str) -> PatchError {
    PatchError::Rejected(format!(
        "{operation} operation does not apply: doc is missing path \"{path}\": {why}"
    ))
}

fn pointer(operation: &Value, name: &str) -> Result<Vec<String>, PatchError> {
    let kind = operation.text("op");
    let Some(text) = operation.at(name).as_str() else {
        return Err(rejected(kind, "", "missing value"));
    };
    steps(text).ok_or_else(|| rejected(kind, text, "missing value"))
}

fn apply_one(object: &mut Value, operation: &Value, copied_bytes: &mut usize) -> Result<(), PatchError> {
    let kind = operation.text("op");
    let fail = |why: &str| rejected(kind, operation.text("path"), why);
    let missing = || fail("missing value");
    match kind {
        "add" => add(object, &pointer(operation, "path")?, operation.at("value").clone()).ok_or_else(missing),
        "remove" => remove(object, &pointer(operation, "path")?).map(|_| ()).ok_or_else(missing),
        "replace" => {
            let path = pointer(operation, "path")?;
            // Upstream's library takes any field of a map for there.
            let absent_field = path
                .split_last()
                .is_some_and(|(_, parent)| get(object, parent).is_some_and(Value::is_object));
            if absent_field {
                return add(object, &path, operation.at("value").clone()).ok_or_else(missing);
            }
            *get_mut(object, &path).ok_or_else(missing)? = operation.at("value").clone();
            Ok(())
        }
        "move" => {
            let (from, to) = (pointer(operation, "from")?, pointer(operation, "path")?);
            if to.len() > from.len() && to.starts_with(&from) {
                return Err(fail("cannot move a value into itself"));
            }
            let value = remove(object, &from).ok_or_else(missing)?;
            add(object, &to, value).ok_or_else(missing)
        }
        "copy" => {
            let (from, to) = (pointer(operation, "from")?, pointer(operation, "path")?);
            let value = get(object, &from).ok_or_else(missing)?.clone();
            *copied_bytes += size(&value);
            if *copied_bytes > JSON_PATCH_COPY_BYTES {
                return Err(PatchError::TooLarge(format!("copies exceed {JSON_PATCH_COPY_BYTES} bytes")));
            }
            add(object, &to, value).ok_or_else(missing)
        }
        "test" => {
            let path = pointer(operation, "path")?;
            let expected = operation.at("value");
            match get(object, &path) {
                Some(value) if equal(value, expected) => Ok(()),
                None if expected.is_null() => Ok(()),
                _ => Err(fail("testing value failed")),
            }
        }
        _ => Err(PatchError::Rejected(format!("Unexpected kind: {kind}"))),
    }
}

fn size(value: &Value) -> usize {
    match value {
        Value::String(s) => s.len() + 2,
        Value::Array(items) => items.iter().map(|v| size(v) + 1).sum::<usize>() + 2,
        Value::Object(map) => map.iter().map(|(k, v)| k.len() + 4 + size(v)).sum::<usize>() + 2,
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
    }
}

/// Numbers compare by value, so that 1 equals 1.0.
fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => x == y || (x.as_f64() == y.as_f64() && x.as_f64().is_some()),
        (Value::Array(x), Value::Array(y)) => x.len() == y.len() && x.iter().zip(y).all(|(x, y)| equal(x, y)),
        (Value::Object(x), Value::Object(y)) => {
            x.len() == y.len() && x.iter().all(|(k, v)| y.get(k).is_some_and(|w| equal(v, w)))
        }
        _ => a == b,
    }
}

fn add(object: &mut Value, path: &[String], value: Value) -> Option<()> {
    let Some((last, parents)) = path.split_last() else {
        *object = value;
        return Some(());
    };
    match get_mut(object, parents)? {
        Value::Object(map) => {
            map.insert(last.clone(), value);
        }
        Value::Array(items) if last == "-" => items.push(value),
        Value::Array(items) => {
            // Inserting may address one past the end; -1 is the place after the last item.
            let at = index(last, items.len() + 1)?;
            items.insert(at, value);
        }
        _ => return None,
    }
    Some(())
}

fn remove(object: &mut Value, path: &[String]) -> Option<Value> {
    let (last, parents) = path.split_last()?;
    match get_mut(object, parents)? {
        Value::Object(map) => map.remove(last),
        Value::Array(items) => {
            let at = index(last, items.len())?;
            Some(items.remove(at))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn patched(mut object: Value, patch: Value) -> Result<Value, PatchError> {
        apply_json_patch(&mut object, &patch).map(|()| object)
    }

    #[test]
    fn operations() {
        let start = json!({"a":{"k~/":1},"l":[1,2,3]});
        let patch = json!([
            {"op":"test","path":"/a/k~0~1","value":1.0}, {"op":"add","path":"/l/-","value":4},
            {"op":"add","path":"/l/0","value":0}, {"op":"remove","path":"/l/-1"},
            {"op":"copy","from":"/a","path":"/b"}, {"op":"move","from":"/a","path":"/c"},
            {"op":"replace","path":"/l/1","value":"x"}, {"op":"test","path":"/zz","value":null},
            {"op":"add","path":"/n"}
        ]);
        assert_eq!(
            patched(start, patch).unwrap(),
            json!({"b":{"k~/":1},"c":{"k~/":1},"l":[0,"x",2,3],"n":null})
        );
        assert_eq!(patched(json!({"a":1}), json!([{"op":"replace","path":"","value":7}])).unwrap(), json!(7));
    }

    #[test]
    fn failures() {
        for bad in [
            json!([{"op":"remove","path":"/zz"}]),
            json!([{"op":"replace","path":"/zz/y","value":1}]),
            json!([{"op":"add","path":"/zz/y","value":1}]),
            json!([{"op":"add","value":1}]),
            json!([{"path":"/a"}]),
            json!([{"op":"test","path":"/a","value":2}]),
            json!([{"op":"move","from":"/a","path":"/a/b"}]),
            json!([{"op":"add","path":"/l/9","value":1}]),
            json!([{"op":"remove","path":""}]),
            json!([{"op":"add","path":"a","value":1}]),
        ] {
            assert!(
                matches!(patched(json!({"a":1,"l":[]}), bad.clone()), Err(PatchError::Rejected(_))),
                "{bad}"
            );
        }
        assert!(matches!(patched(json!({}), json!({})), Err(PatchError::Malformed(_))));
        let many: Vec<Value> = (0..10_001).map(|_| json!({"op":"test","path":"/a","value":null})).collect();
        assert!(matches!(patched(json!({}), Value::Array(many)), Err(PatchError::TooLarge(_))));
    }

    #[test]
    fn copies_cannot_explode() {
        let mut bomb = vec![json!({"op":"add","path":"/a","value":["xxxxxxxxxxxxxxxx"]})];
        bomb.extend((0..60).map(|_| json!({"op":"copy","from":"/a","path":"/a/-"})));
        assert!(matches!(patched(json!({}), Value::Array(bomb)), Err(PatchError::TooLarge(_))));
    }
}

//! Strategic merge patch: merges by the patch rules of the type tree and by directives inside the patch.
//!
//! Behaviour follows upstream's strategicpatch package, its list order included: items named by the patch come in the
//! patch's order, items only the server has keep theirs, and where the two lists meet the server's order decides.

use serde_json::{Map, Value};

use super::error::PatchError;
use super::go::{go_list, go_map};
use crate::types::{Field, PatchRule, StructType, TypeRef};

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const ORDER: &str = "$setElementOrder/";
const DELETE_PRIMITIVES: &str = "$deleteFromPrimitiveList/";
pub(super) type Object = Map<String, Value>;

/// Merges `patch` into `object`, whose type is `of`.
///
/// # Errors
/// [`PatchError`]: a malformed directive, an item without its merge key, a patch that is no object. `object` is then
/// in an undefined state.
pub fn apply_strategic_patch(object: &mut Value, patch: Value, of: TypeRef<'_>) -> Result<(), PatchError> {
    let patch = match patch {
        Value::Object(map) => map,
        Value::Null => return Ok(()),
        other => {
            let what = go_kind(&other);
            let message =
                format!("json: cannot unmarshal {what} into Go value of type map[string]interface {{}}");
            return Err(PatchError::Malformed(message));
        }
    };
    let original = std::mem::take(object);
    let original = if let Value::Object(map) = original { map } else { Object::new() };
    *object = Value::Object(merge_map(original, patch, Some(of))?);
    Ok(())
}

fn go_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn bad_argument(value: &Value) -> PatchError {
    let got = match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(n) if n.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    };
    PatchError::Unexpected(format!("expected a []interface {{}}, but received a {got}"))
}

fn field_of<'a>(of: Option<TypeRef<'a>>, name: &str) -> Option<&'a Field> {
    of.and_then(|t| t.as_struct()).and_then(|s: &'a StructType| s.field(name))
}

fn rule_of(of: Option<TypeRef<'_>>, name: &str) -> PatchRule {
    field_of(of, name).map(|f| f.patch.clone()).unwrap_or_default()
}

fn merge_map(mut original: Object, mut patch: Object, of: Option<TypeRef<'_>>) -> Result<Object, PatchError> {
    if let Some(directive) = patch.get(PATCH) {
        return match directive.as_str() {
            Some("replace") => {
                patch.remove(PATCH);
                Ok(patch)
            }
            Some("delete") => Ok(Object::new()),
            _ => {
                let shown = directive.as_str().map_or_else(|| directive.to_string(), str::to_owned);
                let map = go_map(&patch);
                Err(PatchError::Unexpected(format!("unknown patch type: {shown} in map: {map}")))
            }
        };
    }
    retain_keys(&mut original, &mut patch)?;
    merge_ordered_lists(&mut original, &mut patch, of)?;
    for (key, change) in patch {
        let (name, delete_list) = match key.strip_prefix(DELETE_PRIMITIVES) {
            Some(name) => (name.to_owned(), true),
            None => (key, false),
        };
        if change.is_null() {
            original.remove(&name);
            continue;
        }
        let Some(current) = original.get_mut(&name) else {
            if !delete_list {
                original.insert(name, without_nulls_and_directives(change));
            }
            continue;
        };
        match (&mut *current, change) {
            (Value::Object(current), Value::Object(change)) => {
                if rule_of(of, &name).replace {
                    *current = change;
                } else {
                    let child = of.and_then(|t| t.child(&name));
                    *current = merge_map(std::mem::take(current), change, child)?;
                }
            }
            (Value::Array(current), Value::Array(change)) => {
                let rule = rule_of(of, &name);
                if rule.merge || delete_list {
                    let item = of.and_then(|t| t.child(&name)).and_then(|t| t.item());
                    *current = merge_list(std::mem::take(current), change, &rule, delete_list, item)?;
                } else {
                    *current = change;
                }
            }
            (current, change) => {
                if !delete_list {
                    *current = without_nulls_and_directives(change);
                }
            }
        }
    }
    Ok(original)
}

fn retain_keys(original: &mut Object, patch: &mut Object) -> Result<(), PatchError> {
    let Some(directive) = patch.remove(RETAIN_KEYS) else { return Ok(()) };
    let malformed = || PatchError::Malformed("invalid patch format of retainKeys".to_owned());
    let Value::Array(keys) = directive else { return Err(malformed()) };
    let listed = |name: &str| keys.iter().any(|k| k.as_str() == Some(name));
    for (name, value) in patch.iter() {
        let exempt = value.is_null() || name.starts_with(DELETE_PRIMITIVES) || name.starts_with(ORDER);
        if !exempt && !listed(name) {
            return Err(malformed());
        }
    }
    original.retain(|name, _| listed(name));
    Ok(())
}

fn merge_ordered_lists(
    original: &mut Object,
    patch: &mut Object,
    of: Option<TypeRef<'_>>,
) -> Result<(), PatchError> {
    let directives: Vec<String> = patch.keys().filter(|k| k.starts_with(ORDER)).cloned().collect();
    for directive in directives {
        let Some(order) = patch.remove(&directive) else { continue };
        let Value::Array(order) = order else { return Err(bad_argument(&order)) };
        let name = &directive[ORDER.len()..];
        let rule = rule_of(of, name);
        let key = rule.merge_key.as_deref();
        let change = match patch.remove(name) {
            None => None,
            Some(Value::Array(items)) => Some(items),
            Some(other) => return Err(bad_argument(&other)),
        };
        let current = match original.get(name) {
            None => None,
            Some(Value::Array(items)) => Some(items.clone()),
            Some(other) => return Err(bad_argument(other)),
        };
        check_order(change.as_deref().unwrap_or(&[]), &order, key)?;
        let server_order = current.clone().unwrap_or_default();
        let merged = match (current, change) {
            (None, None) => continue,
            (Some(items), None) => items,
            (None, Some(items)) => without_directives_list(items),
            (Some(items), Some(change)) if rule.merge => {
                let item = of.and_then(|t| t.child(name)).and_then(|t| t.item());
                merge_list(items, change, &rule, false, item)?
            }
            (Some(_), Some(change)) => change,
        };
        original.insert(name.to_owned(), Value::Array(in_order(merged, &order, &server_order, key)?));
    }
    Ok(())
}

fn merge_list(
    mut original: Vec<Value>,
    patch: Vec<Value>,
    rule: &PatchRule,
    delete_list: bool,
    item: Option<TypeRef<'_>>,
) -> Result<Vec<Value>, PatchError> {
    if original.is_empty() && patch.is_empty() {
        return Ok(original);
    }
    if original.iter().chain(&patch).any(Value::is_array) {
        return Err(PatchError::Rejected("Lists of lists are not supported".to_owned()));
    }
    let maps = original.first().or(patch.first()).is_some_and(Value::is_object);
    if original.iter().chain(&patch).any(|v| v.is_object() != maps) {
        return Err(PatchError::Unexpected("list element types are not identical".to_owned()));
    }
    if !maps {
        if delete_list {
            original.retain(|v| !patch.contains(v));
            return Ok(original);
        }
        let server_order = original.clone();
        for value in &patch {
            if !original.contains(value) {
                original.push(value.clone());
            }
        }
        original.dedup();
        return in_order(original, &patch, &server_order, None);
    }
    let Some(key) = rule.merge_key.as_deref() else {
        let message = "cannot merge lists without merge key for schema".to_owned();
        return Err(PatchError::Unexpected(message));
    };
    let (mut original, patch) = special_items(original, patch, key)?;
    let server_order: Vec<Value> = original.iter().map(|v| key_only(v, key)).collect();
    let patch_order: Vec<Value> = patch.iter().map(|v| key_only(v, key)).collect();
    for change in patch {
        let Value::Object(change) = change else { continue };
        let Some(wanted) = change.get(key) else { return Err(no_merge_key(&change, key)) };
        match original.iter_mut().find(|o| o.get(key) == Some(wanted)) {
            Some(slot) => {
                if let Value::Object(current) = std::mem::take(slot) {
                    *slot = Value::Object(merge_map(current, change, item)?);
                }
            }
            None => original.push(without_nulls_and_directives(Value::Object(change))),
        }
    }
    in_order(original, &patch_order, &server_order, Some(key))
}

fn key_only(item: &Value, key: &str) -> Value {
    let mut map = Object::new();
    if let Some(value) = item.get(key) {
        map.insert(key.to_owned(), value.clone());
    }
    Value::Object(map)
}

fn no_merge_key(map: &Object, key: &str) -> PatchError {
    PatchError::Unexpected(format!("map: {} does not contain declared merge key: {key}", go_map(map)))
}

/// Carries out the `$patch` directives among list items.
fn special_items(
    mut original: Vec<Value>,
    patch: Vec<Value>,
    key: &str,
) -> Result<(Vec<Value>, Vec<Value>), PatchError> {
    let mut rest = Vec::with_capacity(patch.len());
    let mut replace = false;
    for change in patch {
        match change.get(PATCH).map(|d| d.as_str().unwrap_or("")) {
            None => rest.push(change),
            Some("delete") => match change.get(key) {
                Some(wanted) => original.retain(|o| o.get(key) != Some(wanted)),
                None => {
                    let map = change.as_object().cloned().unwrap_or_default();
                    return Err(no_merge_key(&map, key));
                }
            },
            Some("replace") => replace = true,
            Some("merge") => {
                let message = "merging lists cannot yet be specified in the patch".to_owned();
                return Err(PatchError::Unexpected(message));
            }
            Some(other) => {
                let map = change.as_object().map(go_map).unwrap_or_default();
                return Err(PatchError::Unexpected(format!("unknown patch type: {other} in map: {map}")));
            }
        }
    }
    if replace { Ok((rest, Vec::new())) } else { Ok((original, rest)) }
}

/// Patch items in patch order, server items in server order, merged.
fn in_order(
    merged: Vec<Value>,
    patch_order: &[Value],
    server_order: &[Value],
    key: Option<&str>,
) -> Result<Vec<Value>, PatchError> {
    let position = |order: &[Value], item: &Value| match key {
        Some(key) => order.iter().position(|o| o.get(key).is_some() && o.get(key) == item.get(key)),
        None => order.iter().position(|o| o == item),
    };
    if let (Some(key), Some(bad)) = (key, merged.iter().find(|m| m.get(key.unwrap_or("")).is_none())) {
        return Err(no_merge_key(bad.as_object().unwrap_or(&Object::new()), key));
    }
    let (mut patched, mut server): (Vec<_>, Vec<_>) = (Vec::new(), Vec::new());
    for item in merged {
        match position(patch_order, &item) {
            Some(at) => patched.push((at, item)),
            None => server.push((position(server_order, &item).unwrap_or(usize::MAX), item)),
        }
    }
    patched.sort_by_key(|(at, _)| *at);
    server.sort_by_key(|(at, _)| *at);
    let mut out = Vec::with_capacity(patched.len() + server.len());
    let mut server = server.into_iter().peekable();
    for (_, item) in patched {
        if let Some(limit) = position(server_order, &item) {
            while server.peek().is_some_and(|(at, _)| *at < limit) {
                out.extend(server.next().map(|(_, v)| v));
            }
        }
        out.push(item);
    }
    out.extend(server.map(|(_, v)| v));
    Ok(out)
}

/// The patch's items (deletions aside) must occur in the order directive, in the same order.
fn check_order(patch: &[Value], order: &[Value], key: Option<&str>) -> Result<(), PatchError> {
    let same = |a: &Value, b: &Value| match key {
        Some(key) => a.get(key).is_some() && a.get(key) == b.get(key),
        None => a == b,
    };
    if let Some(key) = key {
        for item in patch.iter().chain(order) {
            if item.get(key).is_none() {
                return Err(no_merge_key(item.as_object().unwrap_or(&Object::new()), key));
            }
        }
    }
    let kept: Vec<&Value> = patch.iter().filter(|v| v.get(PATCH).is_none()).collect();
    let mut wanted = kept.iter().peekable();
    for item in order {
        if wanted.peek().is_some_and(|w| same(w, item)) {
            wanted.next();
        }
    }
    if wanted.peek().is_none() {
        return Ok(());
    }
    let (patch, order) = (go_list(patch), go_list(order));
    Err(PatchError::Unexpected(format!(
        "The order in patch list:\n{patch}\n doesn't match $setElementOrder list:\n{order}\n"
    )))
}

fn is_directive(name: &str) -> bool {
    name == PATCH || name == RETAIN_KEYS || name.starts_with(ORDER) || name.starts_with(DELETE_PRIMITIVES)
}

fn without_directives_list(items: Vec<Value>) -> Vec<Value> {
    items
        .into_iter()
        .filter(|v| v.get(PATCH).and_then(Value::as_str) != Some("delete"))
        .map(without_nulls_and_directives)
        .collect()
}

/// New content from a patch: directives and nulls in maps have nothing to act on.
fn without_nulls_and_directives(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.into_iter().filter(|(name, v)| {
                let deleted = v.get(PATCH).and_then(Value::as_str) == Some("delete");
                !v.is_null() && !is_directive(name) && !deleted
            });
            Value::Object(kept.map(|(name, v)| (name, without_nulls_and_directives(v))).collect())
        }
        Value::Array(items) => Value::Array(without_directives_list(items)),
        other => other,
    }
}

#[cfg(test)]
#[path = "strategic_test.rs"]
mod tests;

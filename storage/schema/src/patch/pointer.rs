//! JSON pointers (RFC 6901) as JSON patch uses them, with upstream's negative list indexes.

use serde_json::Value;

/// The unescaped steps of a pointer; `None` when it does not start with a slash.
pub(super) fn steps(pointer: &str) -> Option<Vec<String>> {
    if pointer.is_empty() {
        return Some(Vec::new());
    }
    let rest = pointer.strip_prefix('/')?;
    Some(rest.split('/').map(|s| s.replace("~1", "/").replace("~0", "~")).collect())
}

/// The position of an existing item. Negative numbers count from the end.
pub(super) fn index(step: &str, len: usize) -> Option<usize> {
    if let Some(back) = step.strip_prefix('-') {
        let back: usize = back.parse().ok()?;
        return len.checked_sub(back).filter(|_| back > 0);
    }
    step.parse().ok().filter(|&i| i < len)
}

/// The value at `steps`.
pub(super) fn get<'a>(root: &'a Value, steps: &[String]) -> Option<&'a Value> {
    steps.iter().try_fold(root, |value, step| match value {
        Value::Object(map) => map.get(step),
        Value::Array(items) => items.get(index(step, items.len())?),
        _ => None,
    })
}

/// The value at `steps` for change.
pub(super) fn get_mut<'a>(root: &'a mut Value, steps: &[String]) -> Option<&'a mut Value> {
    steps.iter().try_fold(root, |value, step| match value {
        Value::Object(map) => map.get_mut(step),
        Value::Array(items) => {
            let at = index(step, items.len())?;
            items.get_mut(at)
        }
        _ => None,
    })
}

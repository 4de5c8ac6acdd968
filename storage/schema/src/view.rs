//! Short ways into a [`Value`] for code that walks objects: absent, null and wrongly typed read alike as "nothing".

use serde_json::{Map, Value};

static NULL: Value = Value::Null;
static EMPTY: &[Value] = &[];

/// Read access by field name.
pub trait View {
    /// The field, or null.
    fn at(&self, name: &str) -> &Value;
    /// The value below a list of names, or null.
    fn below(&self, names: &[&str]) -> &Value;
    /// The text of a string field, or `""`.
    fn text(&self, name: &str) -> &str;
    /// The number of an integer field.
    fn int(&self, name: &str) -> Option<i64>;
    /// The field is there and not null.
    fn has(&self, name: &str) -> bool;
    /// The field is true.
    fn is_true(&self, name: &str) -> bool;
    /// The items of a list field, or none.
    fn list(&self, name: &str) -> &[Value];
    /// The entries of a map field.
    fn map(&self, name: &str) -> Option<&Map<String, Value>>;
}

impl View for Value {
    fn at(&self, name: &str) -> &Value {
        self.as_object().and_then(|m| m.get(name)).unwrap_or(&NULL)
    }
    fn below(&self, names: &[&str]) -> &Value {
        names.iter().fold(self, |v, name| v.at(name))
    }
    fn text(&self, name: &str) -> &str {
        self.at(name).as_str().unwrap_or("")
    }
    fn int(&self, name: &str) -> Option<i64> {
        self.at(name).as_i64()
    }
    fn has(&self, name: &str) -> bool {
        !self.at(name).is_null()
    }
    fn is_true(&self, name: &str) -> bool {
        self.at(name) == &Value::Bool(true)
    }
    fn list(&self, name: &str) -> &[Value] {
        self.at(name).as_array().map_or(EMPTY, Vec::as_slice)
    }
    fn map(&self, name: &str) -> Option<&Map<String, Value>> {
        self.at(name).as_object()
    }
}

/// Write access by field name.
pub trait Edit {
    /// The object behind field `name`, made when absent; `None` when another type stands there.
    fn object(&mut self, name: &str) -> Option<&mut Value>;
    /// Sets a field.
    fn put(&mut self, name: &str, value: impl Into<Value>);
    /// Sets a field that is absent or null.
    fn default(&mut self, name: &str, value: impl Into<Value>);
    /// Sets a string field that is absent, null or empty.
    fn default_text(&mut self, name: &str, value: &str);
    /// Takes a field out.
    fn remove(&mut self, name: &str) -> Option<Value>;
    /// A field for change, when it is there and not null.
    fn get_some(&mut self, name: &str) -> Option<&mut Value>;
    /// The items of a list field for change.
    fn items(&mut self, name: &str) -> std::slice::IterMut<'_, Value>;
}

impl Edit for Value {
    fn object(&mut self, name: &str) -> Option<&mut Value> {
        let slot = self.as_object_mut()?.entry(name).or_insert(Value::Null);
        if slot.is_null() {
            *slot = Value::Object(Map::new());
        }
        slot.is_object().then_some(slot)
    }
    fn put(&mut self, name: &str, value: impl Into<Value>) {
        if let Some(map) = self.as_object_mut() {
            map.insert(name.to_owned(), value.into());
        }
    }
    fn default(&mut self, name: &str, value: impl Into<Value>) {
        if !self.has(name) {
            self.put(name, value);
        }
    }
    fn default_text(&mut self, name: &str, value: &str) {
        if self.text(name).is_empty() && (self.at(name).is_string() || !self.has(name)) {
            self.put(name, value);
        }
    }
    fn remove(&mut self, name: &str) -> Option<Value> {
        self.as_object_mut()?.remove(name)
    }
    fn get_some(&mut self, name: &str) -> Option<&mut Value> {
        self.as_object_mut()?.get_mut(name).filter(|v| !v.is_null())
    }
    fn items(&mut self, name: &str) -> std::slice::IterMut<'_, Value> {
        match self.as_object_mut().and_then(|m| m.get_mut(name)) {
            Some(Value::Array(items)) => items.iter_mut(),
            _ => [].iter_mut(),
        }
    }
}

/// A value that upstream's encoder would leave out: null, `""`, 0, false, an empty list or map.
pub fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(b) => !b,
        Value::Number(n) => n.as_f64() == Some(0.0),
        Value::String(s) => s.is_empty(),
        Value::Array(a) => a.is_empty(),
        Value::Object(o) => o.is_empty(),
    }
}

/// Equality in which absent, null and empty read alike at every depth (upstream's semantic equality of structs).
pub fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(x), Value::Object(y)) => {
            x.iter().all(|(k, v)| same(v, y.get(k).unwrap_or(&NULL)))
                && y.iter().all(|(k, v)| x.contains_key(k) || hollow(v))
        }
        (Value::Array(x), Value::Array(y)) => x.len() == y.len() && x.iter().zip(y).all(|(x, y)| same(x, y)),
        _ => a == b || (hollow(a) && hollow(b)),
    }
}

fn hollow(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(a) => a.is_empty(),
        Value::Object(o) => o.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn semantic_equality() {
        assert!(same(&json!({"a":null,"b":[]}), &json!({"c":{}})));
        assert!(!same(&json!({"a":0}), &json!({})));
        assert!(same(&json!([{"x":1}]), &json!([{"x":1,"y":null}])));
    }

    #[test]
    fn defaults_fill_only_gaps() {
        let mut v = json!({"a":"", "b": null, "c": 0});
        v.default_text("a", "x");
        v.default("b", 1);
        v.default("c", 2);
        v.default_text("d", "y");
        assert_eq!(v, json!({"a":"x","b":1,"c":0,"d":"y"}));
    }
}

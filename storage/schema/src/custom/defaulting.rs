//! Defaulting: absent fields (and nulls that may not stand) take the schema's defaults.

use serde_json::Value;
use thiserror::Error;

use super::limits::DEFAULTED_BYTES;
use super::rule::{Additional, Rule};

/// The defaults of a schema would make an object too large. Not retryable with the same object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the defaults of the schema would add more than {DEFAULTED_BYTES} bytes to the object")]
pub struct TooMuchDefaulted;

/// Fills in defaults.
///
/// # Errors
/// [`TooMuchDefaulted`]; the value is then half done and must be dropped.
pub fn fill_defaults(value: &mut Value, rule: &Rule) -> Result<(), TooMuchDefaulted> {
    let mut filler = Filler { left_bytes: DEFAULTED_BYTES };
    filler.walk(value, rule)
}

struct Filler {
    left_bytes: usize,
}

/// A rough size in memory.
fn weight(value: &Value) -> usize {
    const NODE_BYTES: usize = 32;
    NODE_BYTES
        + match value {
            Value::String(text) => text.len(),
            Value::Array(items) => items.iter().map(weight).sum(),
            Value::Object(map) => map.iter().map(|(k, v)| k.len() + weight(v)).sum(),
            _ => 0,
        }
}

impl Filler {
    fn copy(&mut self, default: &Value) -> Result<Value, TooMuchDefaulted> {
        self.left_bytes = self.left_bytes.checked_sub(weight(default)).ok_or(TooMuchDefaulted)?;
        Ok(default.clone())
    }

    fn walk(&mut self, value: &mut Value, rule: &Rule) -> Result<(), TooMuchDefaulted> {
        match value {
            Value::Object(map) => {
                for (name, property) in &rule.properties {
                    let Some(default) = &property.default else { continue };
                    let absent = map.get(name).is_none_or(|v| v.is_null() && !property.nullable);
                    if absent {
                        map.insert(name.clone(), self.copy(default)?);
                    }
                }
                for (name, inner) in map.iter_mut() {
                    match (rule.properties.get(name), &rule.additional) {
                        (Some(property), _) => self.walk(inner, property)?,
                        (None, Additional::Each(each)) => self.item(inner, each)?,
                        _ => {}
                    }
                }
            }
            Value::Array(items) => {
                if let Some(item_rule) = rule.items.as_deref() {
                    for item in items {
                        self.item(item, item_rule)?;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// An item of a list or an entry of a map.
    fn item(&mut self, value: &mut Value, rule: &Rule) -> Result<(), TooMuchDefaulted> {
        if value.is_null() && !rule.nullable {
            *value = self.copy(rule.default.as_ref().unwrap_or(&Value::Null))?;
        }
        self.walk(value, rule)
    }
}

#[cfg(test)]
mod tests {
    use super::super::compile::compile_schema;
    use super::*;
    use serde_json::json;

    #[test]
    fn gaps_and_nulls_are_filled() {
        let rule = compile_schema(&json!({"type":"object","properties":{
            "a":{"type":"string","default":"x"},"n":{"type":"string","nullable":true,"default":"n"},
            "o":{"type":"object","default":{},"properties":{"b":{"type":"boolean","default":true}}},
            "p":{"type":"object","properties":{"d":{"type":"string","default":"deep"}}},
            "l":{"type":"array","items":{"type":"integer","default":7}},
            "m":{"type":"object","additionalProperties":{"type":"integer","default":8}}}}))
        .unwrap();
        let mut object = json!({"n":null,"a":null,"l":[1,null],"m":{"k":null}});
        fill_defaults(&mut object, &rule).unwrap();
        assert_eq!(object, json!({"n":null,"a":"x","o":{"b":true},"l":[1,7],"m":{"k":8}}));
    }

    #[test]
    fn a_default_cannot_explode() {
        let long = "x".repeat(100_000);
        let rule = compile_schema(&json!({"type":"array","items":{"type":"object","properties":{
            "a":{"type":"string","default":long}}}}))
        .unwrap();
        let mut small = json!([{}, {}]);
        assert!(fill_defaults(&mut small, &rule).is_ok());
        let mut bomb = Value::Array(vec![json!({}); 1_000]);
        assert_eq!(fill_defaults(&mut bomb, &rule), Err(TooMuchDefaulted));
    }
}

//! From a schema in OpenAPI's notation to a [`Rule`].

use serde_json::Value;
use thiserror::Error;

use super::format::Format;
use super::limits::{PATTERNS_BYTES, SCHEMA_DEPTH_LEVELS};
use super::pattern::{Pattern, PatternError};
use super::rule::{Additional, Bound, Checks, JsonType, ListRule, Rule};
use crate::view::View;

/// Why a schema cannot be compiled. Not retryable: the schema must change. Validation of the
/// CustomResourceDefinition refuses such schemas before.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CompileError {
    /// A regular expression is malformed or too large.
    #[error("{path}: pattern {pattern:?}: {error}")]
    Pattern {
        /// Where in the schema.
        path: String,
        /// The expression.
        pattern: String,
        /// Why.
        error: PatternError,
    },
    /// The schema is nested too deeply.
    #[error("the schema is nested deeper than {SCHEMA_DEPTH_LEVELS} levels")]
    TooDeep,
    /// The definition lacks what serving needs.
    #[error("the definition has no {0}")]
    Missing(&'static str),
}

/// Compiles `openAPIV3Schema`; null compiles to a rule without any content.
///
/// # Errors
/// [`CompileError`].
pub fn compile_schema(schema: &Value) -> Result<Rule, CompileError> {
    let mut compiler = Compiler { pattern_bytes: PATTERNS_BYTES, trail: Vec::new() };
    compiler.rule(schema, 0)
}

struct Compiler {
    /// Memory left for regular expressions.
    pattern_bytes: usize,
    trail: Vec<String>,
}

impl Compiler {
    fn below(&mut self, step: String, schema: &Value, depth: usize) -> Result<Rule, CompileError> {
        self.trail.push(step);
        let rule = self.rule(schema, depth + 1);
        self.trail.pop();
        rule
    }

    fn rule(&mut self, schema: &Value, depth: usize) -> Result<Rule, CompileError> {
        if depth > SCHEMA_DEPTH_LEVELS {
            return Err(CompileError::TooDeep);
        }
        let types = if schema.is_true("x-kubernetes-int-or-string") {
            vec![JsonType::Integer, JsonType::String]
        } else {
            JsonType::named(schema.text("type")).into_iter().collect()
        };
        let mut rule = Rule {
            nullable: schema.is_true("nullable"),
            default: schema.has("default").then(|| schema.at("default").clone()),
            preserve_unknown: schema.is_true("x-kubernetes-preserve-unknown-fields"),
            embedded: schema.is_true("x-kubernetes-embedded-resource"),
            list: list_rule(schema),
            checks: Box::new(self.checks(schema, &types, depth)?),
            types,
            ..Rule::default()
        };
        for (name, property) in schema.map("properties").into_iter().flatten() {
            let inner = self.below(format!("properties[{name}]"), property, depth)?;
            rule.properties.insert(name.clone(), inner);
        }
        rule.additional = match schema.at("additionalProperties") {
            Value::Bool(true) => Additional::Any,
            Value::Bool(false) => Additional::Forbidden,
            inner @ Value::Object(_) => {
                Additional::Each(Box::new(self.below("additionalProperties".to_owned(), inner, depth)?))
            }
            _ => Additional::Unsaid,
        };
        if schema.at("items").is_object() {
            rule.items = Some(Box::new(self.below("items".to_owned(), schema.at("items"), depth)?));
        }
        Ok(rule)
    }

    fn checks(&mut self, schema: &Value, types: &[JsonType], depth: usize) -> Result<Checks, CompileError> {
        let bound = |name: &str, exclusive: &str| {
            let value = schema.at(name).as_f64()?;
            Some(Bound { value, exclusive: schema.is_true(exclusive) })
        };
        let mut branches = |name: &str| -> Result<Vec<Rule>, CompileError> {
            let mut out = Vec::new();
            for (i, branch) in schema.list(name).iter().enumerate() {
                out.push(self.below(format!("{name}[{i}]"), branch, depth)?);
            }
            Ok(out)
        };
        let (all_of, any_of, one_of) = (branches("allOf")?, branches("anyOf")?, branches("oneOf")?);
        let not = match schema.at("not") {
            inner @ Value::Object(_) => Some(Box::new(self.below("not".to_owned(), inner, depth)?)),
            _ => None,
        };
        let pattern = schema.text("pattern");
        Ok(Checks {
            format: Format::named(schema.text("format"), types),
            minimum: bound("minimum", "exclusiveMinimum"),
            maximum: bound("maximum", "exclusiveMaximum"),
            multiple_of: schema.at("multipleOf").as_f64(),
            min_length: schema.int("minLength"),
            max_length: schema.int("maxLength"),
            pattern: if pattern.is_empty() { None } else { Some(self.pattern(pattern)?) },
            min_items: schema.int("minItems"),
            max_items: schema.int("maxItems"),
            min_properties: schema.int("minProperties"),
            max_properties: schema.int("maxProperties"),
            values: schema.list("enum").to_vec(),
            texts: schema.list("enum").iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            required: schema.list("required").iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            all_of,
            any_of,
            one_of,
            not,
        })
    }

    fn pattern(&mut self, text: &str) -> Result<Pattern, CompileError> {
        let pattern = Pattern::compile(text, self.pattern_bytes).map_err(|error| CompileError::Pattern {
            path: self.trail.join("."),
            pattern: text.to_owned(),
            error,
        })?;
        self.pattern_bytes -= pattern.program_bytes();
        Ok(pattern)
    }
}

fn list_rule(schema: &Value) -> ListRule {
    match schema.text("x-kubernetes-list-type") {
        "set" => ListRule::Set,
        "map" => {
            let keys = schema.list("x-kubernetes-list-map-keys").iter().filter_map(Value::as_str);
            ListRule::Map(keys.map(str::to_owned).collect())
        }
        _ => ListRule::Atomic,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn patterns_share_a_budget() {
        let one = json!({"type":"string","pattern":"(a{200}){20}"});
        let many: serde_json::Map<String, Value> = (0..500).map(|i| (format!("f{i}"), one.clone())).collect();
        let schema = json!({"type":"object","properties":many});
        let error = compile_schema(&schema).unwrap_err();
        assert!(matches!(error, CompileError::Pattern { error: PatternError::TooLarge, .. }), "{error}");
        assert!(compile_schema(&json!({"type":"object","properties":{"f":one}})).is_ok());
    }

    #[test]
    fn depth_is_bounded() {
        let mut schema = json!({"type":"string"});
        for _ in 0..SCHEMA_DEPTH_LEVELS + 1 {
            schema = json!({"type":"array","items":schema});
        }
        assert_eq!(compile_schema(&schema).unwrap_err(), CompileError::TooDeep);
    }
}

//! Validation of custom objects against their schema, in the order and words of upstream's OpenAPI validator.
//!
//! # Invariants
//! - Time is bounded: visits by [`CHECK_STEPS`](super::limits::CHECK_STEPS), regular expressions by
//!   [`PATTERN_STEPS`](super::limits::PATTERN_STEPS). A check that runs out is a finding, never a pass.
//! - Ratcheting (KEP-4008): a value that an update leaves as it was may go on breaking its rule.

mod composed;
mod correlate;
mod lists;
mod outcome;
mod values;

use serde_json::Value;

use super::limits::{CHECK_STEPS, PATTERN_STEPS};
use super::rule::{Additional, JsonType, Rule};
use crate::field::{ErrorList, Path};
use correlate::Correlated;
pub(super) use lists::check_lists;
use outcome::Outcome;

/// Findings about `value`. With `old`, what stayed as it was is not found fault with. Field names start with
/// `prefix`, which may be empty.
pub(super) fn check(rule: &Rule, value: &Value, old: Option<&Value>, prefix: &str, errors: &mut ErrorList) {
    let mut checker = Checker { steps: CHECK_STEPS, pattern_steps: PATTERN_STEPS, exhausted: false };
    let correlated = old.map(|old| Correlated { old, shape: rule });
    let root = Path::new("");
    let outcome = checker.ratchet(rule, value, correlated, &root, true);
    if checker.exhausted {
        Outcome::exhausted().report(prefix, errors);
    }
    outcome.report(prefix, errors);
}

/// What a failed check costs besides: its findings are written down.
const FAILED_STEPS: usize = 20;

/// What is left of the budget of one validation.
struct Checker {
    steps: usize,
    pattern_steps: usize,
    /// Nothing more is checked; the object is refused.
    exhausted: bool,
}

/// The JSON type of a value and the format upstream deduces for it.
fn kind_of(value: &Value) -> (JsonType, &'static str) {
    match value {
        Value::Bool(_) | Value::Null => (JsonType::Boolean, ""),
        Value::String(_) => (JsonType::String, ""),
        Value::Number(n) if n.is_i64() => (JsonType::Integer, "int64"),
        Value::Number(_) => (JsonType::Number, "float64"),
        Value::Array(_) => (JsonType::Array, ""),
        Value::Object(_) => (JsonType::Object, ""),
    }
}

impl Checker {
    /// Checks a value, and forgives it if it stayed as it was.
    fn ratchet(
        &mut self,
        rule: &Rule,
        value: &Value,
        old: Option<Correlated<'_>>,
        path: &Path<'_>,
        root: bool,
    ) -> Outcome {
        let outcome = self.check(rule, value, old, path, root);
        if !outcome.is_valid() && old.is_some_and(|o| o.old == value) {
            return outcome.forgiven();
        }
        outcome
    }

    /// Checks a value against one rule with all its parts.
    fn check(
        &mut self,
        rule: &Rule,
        value: &Value,
        old: Option<Correlated<'_>>,
        path: &Path<'_>,
        root: bool,
    ) -> Outcome {
        let mut out = Outcome::default();
        if !self.spend(1) {
            return Outcome::exhausted();
        }
        if value.is_null() {
            if !rule.types.is_empty() && !rule.nullable {
                out.wrong_type(path, &type_names(&rule.types), "null");
            }
            self.values(rule, value, path, &mut out);
            return out;
        }
        if !rule.types.is_empty() || rule.checks.format.is_some() {
            let fits = self.types(rule, value, path, &mut out);
            out.count(fits);
        }
        let composed = self.composed(rule, value, old, path);
        out.merge(composed);
        out.count(true);
        match value {
            Value::String(text) => self.text(rule, text, path, &mut out),
            Value::Number(number) => values::number(rule, number, path, &mut out),
            Value::Array(items) => self.array(rule, items, old, path, &mut out),
            _ => {}
        }
        self.values(rule, value, path, &mut out);
        out.count(true);
        if let Value::Object(map) = value {
            self.object(rule, map, old, path, root, &mut out);
            out.count(true);
        }
        out.count(true);
        if !out.is_valid() {
            self.spend(FAILED_STEPS);
        }
        out
    }

    /// Takes steps from the budget; false when there are none left.
    fn spend(&mut self, steps: usize) -> bool {
        match self.steps.checked_sub(steps) {
            Some(left) if !self.exhausted => self.steps = left,
            _ => self.exhausted = true,
        }
        !self.exhausted
    }

    /// Whether the value has an allowed type.
    fn types(&self, rule: &Rule, value: &Value, path: &Path<'_>, out: &mut Outcome) -> bool {
        let (kind, kind_format) = kind_of(value);
        let has = |kind: JsonType| rule.types.contains(&kind);
        let whole = kind == JsonType::Number && value.as_f64().is_some_and(values::is_whole);
        let fits = has(kind)
            || (whole && has(JsonType::Integer))
            || (kind == JsonType::Integer && has(JsonType::Number));
        let textual = matches!(kind, JsonType::String | JsonType::Array);
        if let Some(format) = &rule.checks.format {
            if !textual && !fits {
                out.wrong_type(path, &format.name, kind_format);
                return false;
            }
            if textual && !has(JsonType::Number) && !has(JsonType::Integer) {
                return true;
            }
        }
        if !fits {
            out.wrong_type(path, &type_names(&rule.types), kind.name());
        }
        fits
    }

    fn array(
        &mut self,
        rule: &Rule,
        items: &[Value],
        old: Option<Correlated<'_>>,
        path: &Path<'_>,
        out: &mut Outcome,
    ) {
        if let Some(item_rule) = rule.items.as_deref() {
            for (i, item) in items.iter().enumerate() {
                let before = old.and_then(|o| o.item(item));
                let inner = self.ratchet(item_rule, item, before, &path.index(i), false);
                out.merge(inner);
            }
        }
        values::item_count(rule, items.len(), path, out);
        out.count(true);
    }

    fn object(
        &mut self,
        rule: &Rule,
        map: &serde_json::Map<String, Value>,
        old: Option<Correlated<'_>>,
        path: &Path<'_>,
        root: bool,
        out: &mut Outcome,
    ) {
        values::entry_count(rule, map.len(), path, out);
        for (name, inner) in map {
            if rule.properties.contains_key(name) {
                continue;
            }
            match &rule.additional {
                Additional::Forbidden => out.forbidden_field(path, name),
                Additional::Each(each) => {
                    let before = old.and_then(|o| o.field(name));
                    let inner = self.ratchet(each, inner, before, &path.child(name), false);
                    out.merge(inner);
                }
                Additional::Unsaid | Additional::Any => {}
            }
        }
        for (name, property) in &rule.properties {
            let Some(inner) = map.get(name) else { continue };
            let identity = root && matches!(name.as_str(), "apiVersion" | "kind");
            let before = old.filter(|_| !identity).and_then(|o| o.field(name));
            let inner = self.ratchet(property, inner, before, &path.child(name), false);
            out.merge(inner);
        }
        for name in &rule.checks.required {
            if !map.contains_key(name) {
                out.required(&path.child(name));
            }
        }
    }
}

fn type_names(types: &[JsonType]) -> String {
    let names: Vec<&str> = types.iter().map(|t| t.name()).collect();
    names.join(",")
}

#[cfg(test)]
#[path = "check_test.rs"]
mod tests;

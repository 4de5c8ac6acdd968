//! Checks of single values: texts, numbers, enumerations, sizes.

use serde_json::{Number, Value};

use super::Checker;
use super::outcome::Outcome;
use crate::custom::go;
use crate::custom::limits::PATTERN_STEPS;
use crate::custom::rule::{Bound, Rule};
use crate::field::{Path, quote};

impl Checker {
    /// Length and pattern; the first that fails is told. Then the format.
    pub(super) fn text(&mut self, rule: &Rule, text: &str, path: &Path<'_>, out: &mut Outcome) {
        let checks = &rule.checks;
        let length = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
        if let Some(limit) = checks.max_length.filter(|limit| length > *limit) {
            out.too_long(path, limit);
        } else if let Some(limit) = checks.min_length.filter(|limit| length < *limit) {
            out.invalid(path, quote(text), &format!("should be at least {limit} chars long"));
        } else if let Some(pattern) = &checks.pattern {
            match self.pattern_steps.checked_sub(pattern.cost_steps(text)) {
                None => {
                    let why = format!(
                        "cannot be matched with '{}': the expressions of the schema would take more than {PATTERN_STEPS} steps over this object",
                        pattern.text()
                    );
                    out.invalid(path, "\"\"".to_owned(), &why);
                }
                Some(left) => {
                    self.pattern_steps = left;
                    if !pattern.matches(text) {
                        out.invalid(path, quote(text), &format!("should match '{}'", pattern.text()));
                    }
                }
            }
        }
        out.count(false);
        if let Some(format) = &checks.format {
            if !format.accepts(text) {
                out.wrong_type(path, &format.name, text);
            }
            out.count(false);
        }
    }

    /// The enumeration.
    pub(super) fn values(&mut self, rule: &Rule, value: &Value, path: &Path<'_>, out: &mut Outcome) {
        let choices = &rule.checks.values;
        let listed = match value {
            _ if choices.is_empty() => true,
            Value::Null => false,
            Value::String(text) => rule.checks.texts.contains(text),
            _ => {
                self.spend(choices.len() / CHOICES_PER_STEP);
                choices.iter().any(|c| equal(c, value))
            }
        };
        if listed {
            return;
        }
        let shown: Vec<String> =
            choices.iter().map(|c| c.as_str().map_or_else(|| c.to_string(), str::to_owned)).collect();
        let value = if value.is_null() { "null".to_owned() } else { go::syntax(value) };
        out.not_supported(path, value, &shown);
    }
}

/// Comparisons with a choice that cost as much as one check.
const CHOICES_PER_STEP: usize = 16;

/// Equal, whole numbers in either notation.
fn equal(a: &Value, b: &Value) -> bool {
    a == b || (a.is_number() && b.is_number() && a.as_f64() == b.as_f64())
}

/// A whole number, but for the last digits of its notation.
pub(super) fn is_whole(value: f64) -> bool {
    const EPSILON: f64 = 1e-9;
    const MOST: f64 = 9_007_199_254_740_991.0;
    if !value.is_finite() || value.abs() > MOST {
        return false;
    }
    let near = value.round();
    value == near || (value - near).abs() / (value.abs() + near.abs()) < EPSILON
}

/// Bounds and factor.
pub(super) fn number(rule: &Rule, number: &Number, path: &Path<'_>, out: &mut Outcome) {
    let checks = &rule.checks;
    let Some(value) = number.as_f64() else { return };
    let shown = || number.as_i64().map_or_else(|| go::float(Some(value)), |n| n.to_string());
    if let Some(factor) = checks.multiple_of {
        let quotient = if factor < 1.0 { value * (1.0 / factor) } else { value / factor };
        if factor <= 0.0 {
            let why = format!(
                "factor MultipleOf declared for {path} must be positive: {}",
                go::float(Some(factor))
            );
            out.composed(why);
        } else if !is_whole(quotient) {
            out.invalid(path, shown(), &format!("should be a multiple of {}", go::float(Some(factor))));
        }
    }
    if let Some(Bound { value: bound, exclusive }) = checks.minimum
        && (value < bound || (exclusive && value == bound))
    {
        let than = if exclusive { "greater than" } else { "greater than or equal to" };
        out.invalid(path, shown(), &format!("should be {than} {}", go::float(Some(bound))));
    }
    if let Some(Bound { value: bound, exclusive }) = checks.maximum
        && (value > bound || (exclusive && value == bound))
    {
        let than = if exclusive { "less than" } else { "less than or equal to" };
        out.invalid(path, shown(), &format!("should be {than} {}", go::float(Some(bound))));
    }
    out.count(true);
}

fn below(limit: Option<i64>, size: usize) -> Option<i64> {
    limit.filter(|limit| i64::try_from(size).is_ok_and(|size| size < *limit))
}

fn above(limit: Option<i64>, size: usize) -> Option<i64> {
    limit.filter(|limit| i64::try_from(size).map_or(true, |size| size > *limit))
}

/// Size of a list.
pub(super) fn item_count(rule: &Rule, size: usize, path: &Path<'_>, out: &mut Outcome) {
    if let Some(limit) = below(rule.checks.min_items, size) {
        out.invalid(path, size.to_string(), &format!("should have at least {limit} items"));
    }
    if let Some(limit) = above(rule.checks.max_items, size) {
        out.too_many(path, size, limit);
    }
}

/// Size of a map.
pub(super) fn entry_count(rule: &Rule, size: usize, path: &Path<'_>, out: &mut Outcome) {
    if let Some(limit) = below(rule.checks.min_properties, size) {
        out.invalid(path, size.to_string(), &format!("should have at least {limit} properties"));
    }
    if let Some(limit) = above(rule.checks.max_properties, size) {
        out.too_many(path, size, limit);
    }
}

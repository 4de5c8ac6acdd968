//! Following a path through a value.

use std::cmp::Ordering;

use serde_json::Value;

use super::{FOUND_LIMIT, Filter, JsonPath, Operand, Operator, Step};

impl JsonPath {
    /// The values the path leads to, in document order; empty when it leads nowhere.
    pub fn find<'a>(&self, root: &'a Value) -> Vec<&'a Value> {
        let mut found = vec![root];
        for step in &self.steps {
            let mut next = Vec::new();
            for value in found {
                step.follow(value, &mut next);
            }
            next.truncate(FOUND_LIMIT);
            found = next;
        }
        found
    }
}

impl Step {
    fn follow<'a>(&self, value: &'a Value, out: &mut Vec<&'a Value>) {
        match self {
            Step::Field(name) => out.extend(value.as_object().and_then(|m| m.get(name))),
            Step::Index(index) => {
                out.extend(value.as_array().and_then(|a| a.get(position(*index, a.len())?)))
            }
            Step::Slice { start, end, step } => {
                let items = value.as_array().map_or(&[][..], Vec::as_slice);
                let start = bound(start.unwrap_or(0), items.len());
                let end = bound(end.unwrap_or(i64::MAX), items.len()).max(start);
                out.extend(items[start..end].iter().step_by(usize::try_from(*step).unwrap_or(1).max(1)));
            }
            Step::Union(steps) => steps.iter().for_each(|step| step.follow(value, out)),
            Step::Wildcard => match value {
                Value::Array(items) => out.extend(items),
                Value::Object(map) => out.extend(map.values()),
                _ => {}
            },
            Step::Descend => descend(value, out),
            Step::Filter(filter) => {
                let items = value.as_array().map_or(&[][..], Vec::as_slice);
                out.extend(items.iter().filter(|item| filter.holds(item)));
            }
        }
    }
}

/// Values nested deeper than the JSON decoder allows do not exist, so the recursion is bounded.
fn descend<'a>(value: &'a Value, out: &mut Vec<&'a Value>) {
    if out.len() >= FOUND_LIMIT {
        return;
    }
    out.push(value);
    match value {
        Value::Array(items) => items.iter().for_each(|item| descend(item, out)),
        Value::Object(map) => map.values().for_each(|item| descend(item, out)),
        _ => {}
    }
}

/// Negative indexes count from the end.
fn position(index: i64, length: usize) -> Option<usize> {
    let length = i64::try_from(length).ok()?;
    usize::try_from(if index < 0 { index + length } else { index }).ok()
}

fn bound(index: i64, length: usize) -> usize {
    let signed = i64::try_from(length).unwrap_or(i64::MAX);
    let from_start = if index < 0 { index.saturating_add(signed) } else { index };
    usize::try_from(from_start.clamp(0, signed)).unwrap_or(length)
}

impl Filter {
    fn holds(&self, item: &Value) -> bool {
        match self {
            Filter::Exists(path) => !path.find(item).is_empty(),
            Filter::Compare { left, operator, right } => {
                let (Some(left), Some(right)) = (left.value(item), right.value(item)) else {
                    return false;
                };
                let order = compare(left, right);
                match operator {
                    Operator::Equal => order == Some(Ordering::Equal),
                    Operator::NotEqual => order != Some(Ordering::Equal),
                    Operator::Less => order == Some(Ordering::Less),
                    Operator::LessOrEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
                    Operator::Greater => order == Some(Ordering::Greater),
                    Operator::GreaterOrEqual => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
                }
            }
        }
    }
}

impl Operand {
    fn value<'a>(&'a self, item: &'a Value) -> Option<&'a Value> {
        match self {
            Operand::Path(path) => path.find(item).into_iter().next(),
            Operand::Literal(value) => Some(value),
        }
    }
}

fn compare(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        (Value::Number(a), Value::Number(b)) => a.as_f64()?.partial_cmp(&b.as_f64()?),
        _ => None,
    }
}

/// A value as text: strings bare, everything else as JSON.
pub fn print_value(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

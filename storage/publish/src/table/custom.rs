//! [`CustomColumns`]: the cells of a custom kind's printer columns.

use serde_json::{Number, Value};
use trireme_schema::time::Moment;
use trireme_schema::view::View;

use super::column::{Column, creation_description};
use super::duration::{human_duration, moment};
use crate::jsonpath::{JsonPath, print_value};

/// The columns of one version of a custom kind.
#[derive(Clone, Debug)]
pub(super) struct CustomColumns {
    columns: Vec<(Column, Option<JsonPath>)>,
}

impl CustomColumns {
    /// From `additionalPrinterColumns`; none at all means the age.
    pub(super) fn new(printer_columns: &Value) -> Self {
        let mut columns: Vec<_> =
            printer_columns.as_array().map_or(&[][..], Vec::as_slice).iter().map(read).collect();
        if columns.is_empty() {
            let age = Column {
                name: "Age".to_owned(),
                kind: "date".to_owned(),
                format: String::new(),
                description: creation_description(),
                priority: 0,
            };
            columns.push((age, JsonPath::parse(".metadata.creationTimestamp").ok()));
        }
        CustomColumns { columns }
    }

    pub(super) fn columns(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().map(|(column, _)| column)
    }

    pub(super) fn cells(&self, object: &Value, now: Moment) -> impl Iterator<Item = Value> {
        self.columns.iter().map(move |(column, path)| {
            let found = path.as_ref().and_then(|p| p.find(object).into_iter().next());
            found.map_or(Value::Null, |value| cell(&column.kind, value, now))
        })
    }
}

fn read(definition: &Value) -> (Column, Option<JsonPath>) {
    let path = definition.text("jsonPath");
    let mut description = definition.text("description").to_owned();
    if description.is_empty() {
        description = format!("Custom resource definition column (in JSONPath format): {path}");
    }
    let column = Column {
        name: definition.text("name").to_owned(),
        kind: definition.text("type").to_owned(),
        format: definition.text("format").to_owned(),
        description,
        priority: definition.int("priority").unwrap_or(0),
    };
    (column, JsonPath::parse(path).ok())
}

/// A value of the wrong type leaves the cell empty, except that text columns print anything.
fn cell(kind: &str, value: &Value, now: Moment) -> Value {
    match (kind, value) {
        (_, Value::Null) => Value::Null,
        ("string", value) => print_value(value).into(),
        ("integer", Value::Number(n)) => match n.as_i64() {
            Some(whole) => whole.into(),
            None => truncated(n),
        },
        ("number", Value::Number(_)) | ("boolean", Value::Bool(_)) => value.clone(),
        ("date", Value::String(text)) if text.is_empty() => "<unknown>".into(),
        ("date", Value::String(_)) => match moment(value) {
            Some(then) => human_duration(now.unix_seconds() - then.unix_seconds()).into(),
            None => "<invalid>".into(),
        },
        _ => Value::Null,
    }
}

/// Towards zero, as upstream casts.
fn truncated(n: &Number) -> Value {
    let number = n.as_f64().unwrap_or(0.0).trunc();
    format!("{number:.0}").parse::<i64>().map_or(Value::Null, Value::from)
}

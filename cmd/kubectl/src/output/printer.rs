//! [`Printer`]: `-o`.

use serde_json::{Value, json};

use super::columns::Columns;
use super::jsonpath::JsonPath;
use crate::catalogue::Kind;
use crate::error::KubectlError;

/// How objects are printed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Format {
    /// Columns for people.
    Table {
        wide: bool,
    },
    Printed(Printer),
}

/// A format that is made here, from objects.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Printer {
    Json,
    Yaml,
    Name,
    Path(JsonPath),
    Columns(super::columns::Columns),
}

impl Format {
    /// Reads `-o`.
    pub(crate) fn parse(text: Option<&str>) -> Result<Self, KubectlError> {
        let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(Self::Table { wide: false }) };
        let (name, rest) = text.split_once('=').unwrap_or((text, ""));
        Ok(Self::Printed(match name {
            "wide" => return Ok(Self::Table { wide: true }),
            "json" => Printer::Json,
            "yaml" => Printer::Yaml,
            "name" => Printer::Name,
            "jsonpath" if rest.is_empty() => {
                return Err(KubectlError::usage("template format specified but no template given"));
            }
            "jsonpath" => Printer::Path(JsonPath::parse(rest)?),
            "custom-columns" => Printer::Columns(Columns::parse(rest)?),
            "go-template"
            | "go-template-file"
            | "jsonpath-file"
            | "jsonpath-as-json"
            | "custom-columns-file"
            | "template"
            | "templatefile" => return Err(KubectlError::not_built(&format!("-o {name}"))),
            other => {
                return Err(KubectlError::usage(format!(
                    "unable to match a printer suitable for the output format \"{other}\", allowed formats are: \
                     custom-columns,json,jsonpath,name,wide,yaml"
                )));
            }
        }))
    }
}

/// Prints objects: one as it is, several (or `as_list`) as a List. Managed fields are left out unless asked for.
pub(crate) fn print_objects(
    printer: &Printer,
    mut objects: Vec<(Kind, Value)>,
    as_list: bool,
    managed_fields: bool,
    headers: bool,
) -> String {
    if !managed_fields && matches!(printer, Printer::Json | Printer::Yaml) {
        for (_, object) in &mut objects {
            if let Some(metadata) = object["metadata"].as_object_mut() {
                metadata.remove("managedFields");
            }
        }
    }
    if let Printer::Name = printer {
        let name = |object: &Value| object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        return objects.iter().map(|(kind, object)| format!("{}/{}\n", kind.shown(), name(object))).collect();
    }
    if let Printer::Columns(columns) = printer {
        return columns.grid(objects.iter().map(|(_, object)| object)).text(headers);
    }
    let whole = if as_list || objects.len() != 1 {
        let items: Vec<Value> = objects.into_iter().map(|(_, object)| object).collect();
        json!({"apiVersion": "v1", "items": items, "kind": "List", "metadata": {"resourceVersion": ""}})
    } else {
        objects.pop().map_or(Value::Null, |(_, object)| object)
    };
    match printer {
        Printer::Json => format!("{}\n", indented(&whole)),
        Printer::Yaml => trireme_schema::yaml::print(&whole),
        Printer::Path(path) => path.render(&whole),
        Printer::Name | Printer::Columns(_) => String::new(),
    }
}

/// JSON indented by four, as upstream prints it.
fn indented(value: &Value) -> String {
    let mut out = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, formatter);
    match serde::Serialize::serialize(value, &mut serializer) {
        Ok(()) => String::from_utf8(out).unwrap_or_default(),
        Err(_) => value.to_string(),
    }
}

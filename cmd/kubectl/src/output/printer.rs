//! [`Printer`]: `-o`.

use serde_json::{Value, json};

use super::columns::Columns;
use super::jsonpath::JsonPath;
use crate::catalogue::Kind;
use crate::error::KubectlError;

/// What upstream names when it is asked for another format.
const ALL_FORMATS: &str = "custom-columns,custom-columns-file,go-template,go-template-file,json,jsonpath,\
                           jsonpath-as-json,jsonpath-file,name,template,templatefile,wide,yaml";
const RESULT_FORMATS: &str = "go-template,go-template-file,json,jsonpath,jsonpath-as-json,jsonpath-file,name,template,\
                              templatefile,yaml";

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
    /// Every value that the path finds, as a JSON list.
    PathAsJson(JsonPath),
    Columns(super::columns::Columns),
}

impl Format {
    /// Reads `-o`.
    pub(crate) fn parse(text: Option<&str>) -> Result<Self, KubectlError> {
        Self::read(text, true)
    }

    /// Reads `-o` of a command that prints no columns.
    pub(crate) fn of_results(text: Option<&str>) -> Result<Self, KubectlError> {
        Self::read(text, false)
    }

    fn read(text: Option<&str>, columns: bool) -> Result<Self, KubectlError> {
        let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(Self::Table { wide: false }) };
        let (name, rest) = text.split_once('=').unwrap_or((text, ""));
        let given = || match rest {
            "" => Err(KubectlError::usage("template format specified but no template given")),
            rest => Ok(rest.to_owned()),
        };
        let file = || {
            let path = given()?;
            std::fs::read_to_string(&path)
                .map_err(|error| KubectlError::usage(format!("error reading --template {path}, {error}")))
        };
        Ok(Self::Printed(match name {
            "wide" if columns => return Ok(Self::Table { wide: true }),
            "json" => Printer::Json,
            "yaml" => Printer::Yaml,
            "name" => Printer::Name,
            "jsonpath" => Printer::Path(JsonPath::parse(&given()?)?),
            "jsonpath-file" => Printer::Path(JsonPath::parse(file()?.trim_end_matches('\n'))?),
            "jsonpath-as-json" => Printer::PathAsJson(JsonPath::parse(&given()?)?),
            "custom-columns" if columns => Printer::Columns(Columns::parse(rest)?),
            "custom-columns-file" if columns => Printer::Columns(Columns::parse_file(&file()?)?),
            "go-template" | "go-template-file" | "template" | "templatefile" => {
                return Err(KubectlError::not_built(&format!("-o {name}")));
            }
            _ => {
                let allowed = if columns { ALL_FORMATS } else { RESULT_FORMATS };
                return Err(KubectlError::usage(format!(
                    "unable to match a printer suitable for the output format \"{text}\", allowed formats are: {allowed}"
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
        Printer::PathAsJson(path) => format!("{}\n", indented(&json!(path.values(&whole)))),
        Printer::Name | Printer::Columns(_) => String::new(),
    }
}

/// JSON indented by four, as upstream prints it.
pub(crate) fn indented(value: &Value) -> String {
    let mut out = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, formatter);
    match serde::Serialize::serialize(value, &mut serializer) {
        Ok(()) => String::from_utf8(out).unwrap_or_default(),
        Err(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_that_do_not_fit_are_refused() {
        assert!(Format::parse(Some("wide")).is_ok() && Format::of_results(Some("wide")).is_err());
        assert!(Format::of_results(Some("custom-columns=A:.a")).is_err());
        let refused = Format::of_results(Some("nmae")).unwrap_err().to_string();
        assert!(refused.starts_with(
            "error: unable to match a printer suitable for the output format \"nmae\", allowed"
        ));
        assert!(Format::parse(Some("go-template={{.x}}")).unwrap_err().to_string().contains("not built"));
        assert!(Format::parse(Some("jsonpath=")).is_err());
    }

    #[test]
    fn paths_as_json() {
        let printer = Printer::PathAsJson(JsonPath::parse("{.a[*]}").unwrap());
        let text = print_objects(&printer, vec![(Kind::default(), json!({"a": [1, 2]}))], false, false, true);
        assert_eq!(text, "[\n    1,\n    2\n]\n");
    }
}

//! `explain`: what a field is, from the server's OpenAPI v3.

use serde_json::Value;
use trireme_client::Ask;

use crate::arguments::Explain;
use crate::catalogue::Kind;
use crate::error::KubectlError;
use crate::output::write;
use crate::session::Session;

/// Where a line of a description breaks.
const COLUMNS: usize = 80;
/// Deepest level that `--recursive` shows; schemas may contain themselves.
const DEPTH: usize = 32;

pub(super) async fn run(session: &Session, explain: &Explain) -> Result<(), KubectlError> {
    if explain.output != "plaintext" {
        return Err(KubectlError::not_built(&format!("explain -o {}", explain.output)));
    }
    let [word] = explain.words.as_slice() else {
        return Err(KubectlError::usage(if explain.words.is_empty() {
            "You must specify the type of resource to explain. Use \"kubectl api-resources\" for a complete list of supported \
             resources."
        } else {
            "We accept only this format: explain RESOURCE"
        }));
    };
    let mut parts = word.trim_end_matches('.').split('.');
    let name = parts.next().unwrap_or_default();
    let fields: Vec<&str> = parts.collect();
    let kind = kind(session, name, explain.api_version.as_deref()).await?;
    let root = if kind.group.is_empty() { "api" } else { "apis" };
    let path = format!("/openapi/v3/{root}/{}", kind.api_version());
    let document = session.rest.json(&Ask::get(&path)).await?;
    write(&text(&document, &kind, &fields, explain.recursive)?)
}

async fn kind(session: &Session, name: &str, version: Option<&str>) -> Result<Kind, KubectlError> {
    let catalogue = session.catalogue().await?;
    let Some(version) = version else { return Ok(catalogue.find(name)?.clone()) };
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    let full =
        if group.is_empty() { format!("{name}.{version}.") } else { format!("{name}.{version}.{group}") };
    Ok(catalogue.find(&full)?.clone())
}

fn text(document: &Value, kind: &Kind, fields: &[&str], recursive: bool) -> Result<String, KubectlError> {
    let of_kind = |schema: &&Value| {
        schema["x-kubernetes-group-version-kind"].as_array().into_iter().flatten().any(|gvk| {
            gvk["group"] == *kind.group && gvk["version"] == *kind.version && gvk["kind"] == *kind.kind
        })
    };
    let schemas = document["components"]["schemas"].as_object().into_iter().flat_map(|all| all.values());
    let mut schema = { schemas }.find(of_kind).ok_or_else(|| {
        KubectlError::usage(format!(
            "GVR ({}, Resource={}) not found in OpenAPI schema",
            kind.api_version(),
            kind.plural
        ))
    })?;
    let mut described = schema;
    let mut name = None;
    for field in fields {
        let inner = items(document, schema);
        let next = &inner["properties"][*field];
        if next.is_null() {
            return Err(KubectlError::usage(format!("field \"{field}\" does not exist")));
        }
        described = next;
        schema = resolve(document, next);
        name = Some((*field, type_of(document, next)));
    }
    let mut out = String::new();
    if !kind.group.is_empty() {
        out.push_str(&format!("GROUP:      {}\n", kind.group));
    }
    out.push_str(&format!("KIND:       {}\nVERSION:    {}\n\n", kind.kind, kind.version));
    if let Some((field, of_type)) = &name {
        out.push_str(&format!("FIELD: {field} <{of_type}>\n\n"));
    }
    if let Some(values) = schema["enum"].as_array() {
        out.push_str("ENUM:\n");
        values.iter().for_each(|value| out.push_str(&format!("    {}\n", plain(value))));
        out.push('\n');
    }
    out.push_str("DESCRIPTION:\n");
    let inner = items(document, schema);
    let mut texts: Vec<&str> = Vec::new();
    for text in [described, resolve(document, described), inner]
        .iter()
        .filter_map(|part| part["description"].as_str())
    {
        if !text.is_empty() && !texts.contains(&text) {
            texts.push(text);
        }
    }
    if texts.is_empty() {
        texts.push("<empty>");
    }
    texts.iter().for_each(|text| wrap(text, 4, &mut out));
    out.push_str("    \n");
    if inner["properties"].is_object() {
        out.push_str("FIELDS:\n");
        list(document, inner, recursive, 2, &mut out);
    }
    out.push('\n');
    Ok(out)
}

fn list(document: &Value, schema: &Value, recursive: bool, indent: usize, out: &mut String) {
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let mark = if required.contains(&name.as_str()) { " -required-" } else { "" };
        out.push_str(&format!("{:indent$}{name}\t<{}>{mark}\n", "", type_of(document, field)));
        let inner = items(document, resolve(document, field));
        let values = resolve(document, field)["enum"].as_array();
        if let Some(values) = values {
            let shown: Vec<String> = values.iter().map(plain).collect();
            out.push_str(&format!("{:indent$}enum: {}\n", "", shown.join(", ")));
        }
        if recursive {
            if inner["properties"].is_object() && indent / 2 < DEPTH && !std::ptr::eq(inner, schema) {
                list(document, inner, true, indent + 2, out);
            }
        } else {
            let text = [field, resolve(document, field), inner]
                .into_iter()
                .find_map(|part| part["description"].as_str());
            wrap(text.unwrap_or("<no description>"), indent + 2, out);
            out.push('\n');
        }
    }
}

/// Follows `$ref`, also through the lone `allOf` that carries a description beside it.
fn resolve<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    let reference = schema["$ref"].as_str().or_else(|| schema["allOf"][0]["$ref"].as_str());
    match reference.and_then(|reference| document.pointer(reference.trim_start_matches('#'))) {
        Some(found) => found,
        None => schema,
    }
}

/// What a list or a map holds, or the schema itself.
fn items<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    let schema = resolve(document, schema);
    match (schema["type"].as_str(), &schema["additionalProperties"]) {
        (Some("array"), _) => items(document, &schema["items"]),
        (_, inner @ Value::Object(_)) => items(document, inner),
        _ => schema,
    }
}

/// `[]Container`, `map[string]string`, `integer`.
fn type_of(document: &Value, schema: &Value) -> String {
    let reference = schema["$ref"].as_str().or_else(|| schema["allOf"][0]["$ref"].as_str());
    let found = resolve(document, schema);
    match (found["type"].as_str(), &found["additionalProperties"]) {
        (Some("array"), _) => format!("[]{}", type_of(document, &found["items"])),
        (_, inner @ Value::Object(_)) => format!("map[string]{}", type_of(document, inner)),
        (Some("object") | None, _) if reference.is_some() => {
            reference.and_then(|reference| reference.rsplit('.').next()).unwrap_or("Object").to_owned()
        }
        (Some("object"), _) => "Object".to_owned(),
        (Some(name), _) => name.to_owned(),
        (None, _) if found["x-kubernetes-int-or-string"] == true || found["oneOf"].is_array() => {
            "IntOrString".to_owned()
        }
        (None, _) => "Object".to_owned(),
    }
}

fn plain(value: &Value) -> String {
    match value.as_str() {
        Some("") => "\"\"".to_owned(),
        Some(text) => text.to_owned(),
        None => value.to_string(),
    }
}

/// Breaks a description's lines at blanks.
fn wrap(text: &str, indent: usize, out: &mut String) {
    for paragraph in text.trim_end().split('\n') {
        let mut line = String::new();
        for word in paragraph.split(' ') {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > COLUMNS - indent {
                out.push_str(&format!("{:indent$}{line}\n", ""));
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        out.push_str(&format!("{:indent$}{line}\n", ""));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_are_explained() {
        let document = json!({"components": {"schemas": {
            "x.Widget": {"type": "object", "description": "A widget.", "required": ["spec"],
                "x-kubernetes-group-version-kind": [{"group": "e.com", "version": "v1", "kind": "Widget"}],
                "properties": {"spec": {"allOf": [{"$ref": "#/components/schemas/x.Spec"}], "description": "How."},
                    "marks": {"type": "object", "additionalProperties": {"type": "string"}}}},
            "x.Spec": {"type": "object", "description": "The spec.", "properties": {
                "parts": {"type": "array", "items": {"$ref": "#/components/schemas/x.Part"}}}},
            "x.Part": {"type": "object", "properties": {"mode": {"type": "string", "enum": ["A", "B"]}}}}}});
        let kind =
            Kind { group: "e.com".into(), version: "v1".into(), kind: "Widget".into(), ..Kind::default() };
        let whole = text(&document, &kind, &[], false).unwrap();
        for expected in [
            "GROUP:      e.com\nKIND:       Widget\nVERSION:    v1\n\nDESCRIPTION:\n    A widget.\n",
            "  spec\t<Spec> -required-\n    How.\n",
            "  marks\t<map[string]string>\n    <no description>\n",
        ] {
            assert!(whole.contains(expected), "{expected:?} in\n{whole}");
        }
        let parts = text(&document, &kind, &["spec", "parts"], false).unwrap();
        assert!(
            parts.contains("FIELD: parts <[]Part>\n") && parts.contains("  mode\t<string>\n  enum: A, B\n"),
            "{parts}"
        );
        let recursive = text(&document, &kind, &[], true).unwrap();
        assert!(
            recursive.contains("  spec\t<Spec> -required-\n    parts\t<[]Part>\n      mode\t<string>\n"),
            "{recursive}"
        );
        let refused = text(&document, &kind, &["nothing"], false).unwrap_err().to_string();
        assert_eq!(refused, "error: field \"nothing\" does not exist");
    }
}

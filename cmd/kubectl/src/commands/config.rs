//! `config`: contexts of the kubeconfig files. No server is asked.
//!
//! Files are read and written as plain values, so that nothing a file holds is lost by an edit.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::arguments::{ConfigCommand, Connection};
use crate::error::KubectlError;
use crate::kubeconfig;
use crate::output::{Format, Grid, print_objects, write};

/// The parts of a kubeconfig that are lists of named entries.
const LISTS: [&str; 3] = ["clusters", "contexts", "users"];

/// Fields whose values are secret, and what is shown in their place.
const SECRETS: [(&str, &str); 6] = [
    ("certificate-authority-data", "DATA+OMITTED"),
    ("client-certificate-data", "DATA+OMITTED"),
    ("client-key-data", "DATA+OMITTED"),
    ("token", "REDACTED"),
    ("password", "REDACTED"),
    ("id-token", "REDACTED"),
];

/// A kubeconfig file as it stands.
struct Layer {
    path: PathBuf,
    value: Value,
}

pub(super) fn run(connection: &Connection, command: &ConfigCommand) -> Result<(), KubectlError> {
    let mut layers = layers(connection)?;
    match command {
        ConfigCommand::View { raw, minify, output } => view(&layers, connection, *raw, *minify, output),
        ConfigCommand::CurrentContext => match current(&merged(&layers)) {
            "" => Err(KubectlError::usage("current-context is not set")),
            name => write(&format!("{name}\n")),
        },
        ConfigCommand::GetContexts { names, output, no_headers } => {
            let whole = merged(&layers);
            match output.as_deref() {
                None | Some("") => write(&contexts(&whole, names)?.text(!no_headers)),
                Some("name") => {
                    let rows = contexts(&whole, names)?.rows;
                    write(&rows.iter().map(|row| format!("{}\n", row[1])).collect::<String>())
                }
                Some(other) => {
                    Err(KubectlError::usage(format!("output must be one of '' or 'name': {other}")))
                }
            }
        }
        ConfigCommand::UseContext { name } => {
            let at = layer_of(&layers, name).map(|_| current_layer(&layers));
            let at = at
                .ok_or_else(|| KubectlError::usage(format!("no context exists with the name: \"{name}\"")))?;
            layers[at].value["current-context"] = name.clone().into();
            store(&layers[at])?;
            write(&format!("Switched to context \"{name}\".\n"))
        }
        ConfigCommand::SetContext { name, current: of_current } => {
            let whole = merged(&layers);
            let name = match (name, of_current) {
                (Some(name), false) => name.clone(),
                (None, true) if current(&whole).is_empty() => {
                    return Err(KubectlError::usage("no current context is set"));
                }
                (None, true) => current(&whole).to_owned(),
                _ => {
                    return Err(KubectlError::usage(
                        "you must specify a non-empty context name or --current",
                    ));
                }
            };
            let at = layer_of(&layers, &name).unwrap_or(0);
            let done = set_context(&mut layers[at].value, &name, connection);
            store(&layers[at])?;
            write(&format!("Context \"{name}\" {done}.\n"))
        }
        ConfigCommand::DeleteContext { name } => delete(&mut layers, name),
    }
}

fn view(
    layers: &[Layer],
    connection: &Connection,
    raw: bool,
    minify: bool,
    output: &str,
) -> Result<(), KubectlError> {
    let mut whole = merged(layers);
    if let Some(context) = &connection.context {
        whole["current-context"] = context.clone().into();
    }
    if minify {
        minified(&mut whole)?;
    }
    if !raw {
        redact(&mut whole);
    }
    let Format::Printed(printer) = Format::of_results(Some(output))? else {
        return Err(KubectlError::usage("an output format is required"));
    };
    let kind = crate::catalogue::Kind::default();
    write(&print_objects(&printer, vec![(kind, whole)], false, true, true))
}

fn delete(layers: &mut [Layer], name: &str) -> Result<(), KubectlError> {
    let Some(at) = layer_of(layers, name) else {
        let path = layers[0].path.display();
        return Err(KubectlError::usage(format!("cannot delete context {name}, not in {path}")));
    };
    if current(&merged(layers)) == name {
        eprintln!(
            "warning: this removed your active context, use \"kubectl config use-context\" to select a different one"
        );
    }
    if let Some(list) = layers[at].value["contexts"].as_array_mut() {
        list.retain(|context| context["name"] != *name);
    }
    store(&layers[at])?;
    write(&format!("deleted context {name} from {}\n", layers[at].path.display()))
}

/// The files, at least one; one that is not there is empty.
fn layers(connection: &Connection) -> Result<Vec<Layer>, KubectlError> {
    let mut layers = Vec::new();
    for path in kubeconfig::files(connection) {
        let wrong = |why: String| {
            KubectlError::usage(format!("error loading config file \"{}\": {why}", path.display()))
        };
        let value = match fs::read(&path) {
            Ok(text) => trireme_schema::yaml::parse(&text).map_err(|error| wrong(error.to_string()))?.value,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Value::Null,
            Err(error) => return Err(wrong(error.to_string())),
        };
        let value = if value.is_null() { empty() } else { value };
        if !value.is_object() {
            return Err(wrong("it is no mapping".to_owned()));
        }
        layers.push(Layer { path, value });
    }
    if layers.is_empty() {
        return Err(KubectlError::usage("no kubeconfig file is named"));
    }
    Ok(layers)
}

fn empty() -> Value {
    json!({"apiVersion": "v1", "kind": "Config", "clusters": [], "contexts": [], "users": [],
        "current-context": "", "preferences": {}})
}

/// All files as one: of entries with one name, the first counts.
fn merged(layers: &[Layer]) -> Value {
    let mut whole = empty();
    for layer in layers {
        if current(&whole).is_empty() {
            whole["current-context"] = current(&layer.value).into();
        }
        for list in LISTS {
            for entry in layer.value[list].as_array().into_iter().flatten() {
                let Some(known) = whole[list].as_array_mut() else { continue };
                if !known.iter().any(|other| other["name"] == entry["name"]) {
                    known.push(entry.clone());
                }
            }
        }
    }
    whole
}

fn current(value: &Value) -> &str {
    value["current-context"].as_str().unwrap_or_default()
}

fn named<'a>(value: &'a Value, list: &str, name: &str) -> Option<&'a Value> {
    value[list].as_array()?.iter().find(|entry| entry["name"] == *name)
}

fn layer_of(layers: &[Layer], context: &str) -> Option<usize> {
    layers.iter().position(|layer| named(&layer.value, "contexts", context).is_some())
}

/// The file whose current context counts.
fn current_layer(layers: &[Layer]) -> usize {
    layers.iter().position(|layer| !current(&layer.value).is_empty()).unwrap_or(0)
}

/// Keeps what the current context uses.
fn minified(whole: &mut Value) -> Result<(), KubectlError> {
    let name = current(whole).to_owned();
    let context = named(whole, "contexts", &name).cloned().ok_or_else(|| {
        KubectlError::usage(if name.is_empty() {
            "current-context must exist in order to minify".to_owned()
        } else {
            format!("cannot locate context {name}")
        })
    })?;
    let used =
        [("clusters", "cluster"), ("users", "user")].map(|(list, field)| (list, &context["context"][field]));
    for (list, wanted) in used.into_iter().chain([("contexts", &context["name"])]) {
        if let Some(entries) = whole[list].as_array_mut() {
            entries.retain(|entry| entry["name"] == *wanted);
        }
    }
    Ok(())
}

fn redact(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map.iter_mut() {
                match SECRETS.iter().find(|(field, _)| field == key) {
                    Some((_, shown)) if inner.is_string() => *inner = (*shown).into(),
                    _ => redact(inner),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(redact),
        _ => {}
    }
}

fn contexts(whole: &Value, names: &[String]) -> Result<Grid, KubectlError> {
    let mut grid = Grid::new(&["CURRENT", "NAME", "CLUSTER", "AUTHINFO", "NAMESPACE"]);
    if let Some(missing) = names.iter().find(|name| named(whole, "contexts", name).is_none()) {
        return Err(KubectlError::usage(format!("context {missing} not found")));
    }
    for entry in whole["contexts"].as_array().into_iter().flatten() {
        let name = entry["name"].as_str().unwrap_or_default();
        if !names.is_empty() && !names.iter().any(|wanted| wanted == name) {
            continue;
        }
        let text = |field: &str| entry["context"][field].as_str().unwrap_or_default().to_owned();
        let mark = if current(whole) == name { "*" } else { "" };
        grid.rows.push(vec![
            mark.to_owned(),
            name.to_owned(),
            text("cluster"),
            text("user"),
            text("namespace"),
        ]);
    }
    grid.rows.sort_by(|a, b| a[1].cmp(&b[1]));
    Ok(grid)
}

/// Sets what the connection's flags name; gives what became of the context.
fn set_context(value: &mut Value, name: &str, connection: &Connection) -> &'static str {
    if !value["contexts"].is_array() {
        value["contexts"] = json!([]);
    }
    let list = value["contexts"].as_array_mut().expect("the list was made above");
    let known = list.iter().position(|entry| entry["name"] == *name);
    let at = known.unwrap_or_else(|| {
        list.push(json!({"name": name, "context": {"cluster": "", "user": ""}}));
        list.len() - 1
    });
    for (field, wanted) in [
        ("cluster", &connection.cluster),
        ("user", &connection.user.last().cloned()),
        ("namespace", &connection.namespace),
    ] {
        if let Some(wanted) = wanted {
            list[at]["context"][field] = wanted.clone().into();
        }
    }
    if known.is_some() { "modified" } else { "created" }
}

/// Writes a file whole or not at all, for its owner's eyes.
fn store(layer: &Layer) -> Result<(), KubectlError> {
    // A link stays a link.
    let path = fs::canonicalize(&layer.path).unwrap_or_else(|_| layer.path.clone());
    let failed = |error: std::io::Error| KubectlError::Io(format!("{}: {error}", path.display()));
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(failed)?;
    let fresh = path.with_extension(format!("{}.new", std::process::id()));
    let mut file =
        fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh).map_err(failed)?;
    let text = trireme_schema::yaml::print(&layer.value);
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    written.and_then(|()| fs::rename(&fresh, &path)).map_err(|error| {
        // What was begun is taken away; the old file stands.
        let _ = fs::remove_file(&fresh);
        failed(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(text: &str) -> Layer {
        let value = trireme_schema::yaml::parse(text.as_bytes()).unwrap().value;
        Layer { path: PathBuf::from("x"), value }
    }

    fn two() -> [Layer; 2] {
        [
            layer(
                "current-context: a\ncontexts: [{name: a, context: {cluster: c, user: u}}]\nusers: [{name: u, user: {token: t}}]\n",
            ),
            layer(
                "current-context: b\ncontexts: [{name: b, context: {cluster: d, user: v, namespace: dev}}, {name: a, context: {cluster: z}}]\nclusters: [{name: c, cluster: {server: s}}, {name: d, cluster: {certificate-authority-data: x}}]\n",
            ),
        ]
    }

    #[test]
    fn the_first_file_counts() {
        let mut whole = merged(&two());
        assert_eq!(current(&whole), "a");
        let grid = contexts(&whole, &[]).unwrap();
        assert_eq!(
            grid.text(true),
            "CURRENT   NAME   CLUSTER   AUTHINFO   NAMESPACE\n*         a      c         u          \n          b      d         v          dev\n"
        );
        assert_eq!(
            contexts(&whole, &["q".to_owned()]).unwrap_err().to_string(),
            "error: context q not found"
        );
        assert_eq!(layer_of(&two(), "b"), Some(1));
        redact(&mut whole);
        assert_eq!(whole["users"][0]["user"]["token"], "REDACTED");
        assert_eq!(whole["clusters"][1]["cluster"]["certificate-authority-data"], "DATA+OMITTED");
        minified(&mut whole).unwrap();
        assert_eq!(
            (whole["contexts"].as_array().unwrap().len(), &whole["clusters"][0]["name"]),
            (1, &json!("c"))
        );
    }

    #[test]
    fn contexts_are_set_and_what_else_stands_is_kept() {
        let mut value = two()[0].value.clone();
        value["extra"] = json!(1);
        let connection = Connection { namespace: Some("n".to_owned()), ..Connection::default() };
        assert_eq!(set_context(&mut value, "a", &connection), "modified");
        assert_eq!(value["contexts"][0]["context"], json!({"cluster": "c", "user": "u", "namespace": "n"}));
        assert_eq!(set_context(&mut value, "new", &connection), "created");
        assert_eq!((&value["extra"], &value["users"][0]["name"]), (&json!(1), &json!("u")));
    }
}

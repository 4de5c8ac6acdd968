//! Objects from files, folders and standard input (`-f`).

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::error::KubectlError;

/// Largest file taken, in bytes.
const FILE_BYTES: u64 = 64 * 1024 * 1024;

/// Reads all objects of `-f` arguments, lists taken apart, in order.
pub(crate) fn read(names: &[String], recursive: bool) -> Result<Vec<Value>, KubectlError> {
    let mut objects = Vec::new();
    for name in names {
        for text in texts(name, recursive)? {
            for object in parse(&text)? {
                take_apart(object, &mut objects);
            }
        }
    }
    if objects.is_empty() {
        return Err(KubectlError::usage("no objects passed to this command"));
    }
    Ok(objects)
}

/// Whether an object's labels fit a selector: `a=b`, `a==b`, `a!=b`, `a in (b,c)`, `a notin (b)`, `a`, `!a`.
pub(crate) fn selected(object: &Value, selector: &str) -> bool {
    let labels = &object["metadata"]["labels"];
    terms(selector).iter().all(|term| fits(labels, term))
}

/// Commas apart, but for those in parentheses.
fn terms(selector: &str) -> Vec<String> {
    let (mut terms, mut term, mut depth) = (Vec::new(), String::new(), 0);
    for c in selector.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                terms.push(std::mem::take(&mut term));
                continue;
            }
            _ => {}
        }
        term.push(c);
    }
    terms.push(term);
    terms.into_iter().map(|term| term.trim().to_owned()).filter(|term| !term.is_empty()).collect()
}

fn fits(labels: &Value, term: &str) -> bool {
    let value = |key: &str| labels[key.trim()].as_str();
    let listed = |list: &str| {
        let bare = list.trim().trim_start_matches('(').trim_end_matches(')');
        bare.split(',').map(|item| item.trim().to_owned()).collect::<Vec<_>>()
    };
    if let Some((key, list)) = term.split_once(" notin ") {
        return value(key).is_none_or(|found| !listed(list).iter().any(|item| item == found));
    }
    if let Some((key, list)) = term.split_once(" in ") {
        return value(key).is_some_and(|found| listed(list).iter().any(|item| item == found));
    }
    if let Some((key, wanted)) = term.split_once("!=") {
        return value(key) != Some(wanted.trim());
    }
    if let Some((key, wanted)) = term.split_once("==").or_else(|| term.split_once('=')) {
        return value(key) == Some(wanted.trim());
    }
    match term.strip_prefix('!') {
        Some(key) => value(key).is_none(),
        None => value(term).is_some(),
    }
}

/// The documents of a text, YAML or JSON.
pub(crate) fn parse(text: &str) -> Result<Vec<Value>, KubectlError> {
    let documents = trireme_schema::yaml::parse_all(text.as_bytes());
    let documents = documents.map_err(|error| KubectlError::usage(format!("error parsing: {error}")))?;
    Ok(documents.into_iter().map(|document| document.value).collect())
}

fn texts(name: &str, recursive: bool) -> Result<Vec<String>, KubectlError> {
    if name == "-" {
        let mut text = String::new();
        std::io::stdin()
            .take(FILE_BYTES)
            .read_to_string(&mut text)
            .map_err(|error| io("standard input", &error))?;
        return Ok(vec![text]);
    }
    if name.starts_with("http://") || name.starts_with("https://") {
        return Err(KubectlError::not_built("reading manifests from the web"));
    }
    let path = Path::new(name);
    if !path.exists() {
        return Err(KubectlError::usage(format!("the path \"{name}\" does not exist")));
    }
    let mut files = Vec::new();
    if path.is_dir() {
        folder(path, recursive, &mut files)?
    } else {
        files.push(path.to_owned())
    }
    files
        .iter()
        .map(|file| fs::read_to_string(file).map_err(|error| io(&file.display().to_string(), &error)))
        .collect()
}

fn folder(path: &Path, recursive: bool, files: &mut Vec<PathBuf>) -> Result<(), KubectlError> {
    let entries = fs::read_dir(path).map_err(|error| io(&path.display().to_string(), &error))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    for path in paths {
        let manifest =
            path.extension().is_some_and(|end| ["json", "yaml", "yml"].iter().any(|known| end == *known));
        if path.is_dir() && recursive {
            folder(&path, true, files)?;
        } else if path.is_file() && manifest {
            files.push(path);
        }
    }
    Ok(())
}

fn take_apart(mut object: Value, objects: &mut Vec<Value>) {
    let is_list =
        object["kind"].as_str().is_some_and(|kind| kind.ends_with("List")) && object["items"].is_array();
    if !is_list {
        objects.push(object);
        return;
    }
    if let Value::Array(items) = object["items"].take() {
        for item in items {
            take_apart(item, objects);
        }
    }
}

fn io(what: &str, error: &std::io::Error) -> KubectlError {
    KubectlError::Io(format!("{what}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_of_what_is_in_files() {
        let object = serde_json::json!({"metadata": {"labels": {"a": "b", "c": "d"}}});
        for (selector, expected) in [
            ("a=b", true),
            ("a==b,c=d", true),
            ("a=x", false),
            ("a!=x", true),
            ("z!=x", true),
            ("a in (x, b)", true),
            ("a notin (b)", false),
            ("z notin (b)", true),
            ("a,!z", true),
            ("!a", false),
            ("a in (x),c=d", false),
        ] {
            assert_eq!(selected(&object, selector), expected, "{selector}");
        }
    }

    #[test]
    fn folders_lists_and_documents() {
        let folder = std::env::temp_dir().join(format!("trireme-kubectl-files-{}", std::process::id()));
        fs::create_dir_all(folder.join("deep")).unwrap();
        fs::write(folder.join("b.yaml"), "kind: A\n---\nkind: PodList\nitems: [{kind: B}, {kind: C}]\n")
            .unwrap();
        fs::write(folder.join("c.json"), "{\"kind\": \"D\"}").unwrap();
        fs::write(folder.join("note.txt"), "kind: X").unwrap();
        fs::write(folder.join("deep/e.yml"), "kind: E").unwrap();
        let kinds = |recursive| {
            let objects = read(&[folder.display().to_string()], recursive).unwrap();
            objects.iter().map(|o| o["kind"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(kinds(false), ["A", "B", "C", "D"]);
        assert_eq!(kinds(true), ["A", "B", "C", "D", "E"]);
        fs::remove_dir_all(&folder).unwrap();
        assert!(read(&["/nonexistent/x.yaml".to_owned()], false).is_err());
    }
}

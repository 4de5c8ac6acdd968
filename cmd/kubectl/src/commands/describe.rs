//! `describe`: an object for people, with the events about it.

use serde_json::Value;

use super::describe_service as service;
use super::found::Query;
use crate::arguments::Describe;
use crate::catalogue::Kind;
use crate::error::{Failures, KubectlError};
use crate::output::{Grid, age_since, write};
use crate::session::Session;

/// Columns before a value.
const WIDTH: usize = 14;

pub(super) async fn run(session: &Session, describe: &Describe) -> Result<(), KubectlError> {
    if describe.words.is_empty() && describe.files.filename.is_empty() {
        eprintln!(
            "You must specify the type of resource to describe. Use \"kubectl api-resources\" for a complete list of \
             supported resources.\n"
        );
        return Err(KubectlError::see_help("Required resource not specified.", "describe"));
    }
    let mut failures = Failures::default();
    let selector = describe.selector.as_deref();
    let mut query = Query::of(&describe.words, &describe.files).selector(selector).all(selector.is_none());
    query.all_namespaces = describe.all_namespaces;
    let found = query.find(session, &mut failures).await?;
    if found.is_empty() && failures.is_empty() {
        if describe.all_namespaces {
            eprintln!("No resources found");
        } else {
            eprintln!("No resources found in {} namespace.", session.namespace);
        }
    }
    let mut first = true;
    for one in &found {
        let objects = match one.live(session).await {
            // A name that nobody bears may be the beginning of names.
            Err(error) if error.is_not_found() && !one.from_file => {
                let beginning = |object: &Value| {
                    object["metadata"]["name"].as_str().is_some_and(|name| name.starts_with(&one.name))
                };
                let mut all = session.list(&one.kind, Some(&session.namespace), &[]).await?;
                all.retain(beginning);
                if all.is_empty() { Err(error) } else { Ok(all) }
            }
            other => other.map(|object| vec![object]),
        };
        for object in failures.note(objects).into_iter().flatten() {
            if !first {
                write("\n\n")?;
            }
            first = false;
            let mut text = match one.kind.full().as_str() {
                "services" => service::described(session, &object).await?,
                _ => described(&one.kind, &object),
            };
            if describe.show_events {
                text.push_str(&events(session, &object).await?);
            }
            write(&text)?;
        }
    }
    failures.finish()
}

fn described(kind: &Kind, object: &Value) -> String {
    let metadata = &object["metadata"];
    let mut out = String::new();
    line(&mut out, 0, "Name", metadata["name"].as_str().unwrap_or_default());
    if kind.namespaced {
        line(&mut out, 0, "Namespace", metadata["namespace"].as_str().unwrap_or_default());
    }
    pairs(&mut out, "Labels", &metadata["labels"]);
    pairs(&mut out, "Annotations", &metadata["annotations"]);
    line(&mut out, 0, "API Version", object["apiVersion"].as_str().unwrap_or_default());
    line(&mut out, 0, "Kind", object["kind"].as_str().unwrap_or_default());
    let left = ["apiVersion", "kind", "metadata"];
    for (name, value) in
        object.as_object().into_iter().flatten().filter(|(name, _)| !left.contains(&name.as_str()))
    {
        field(&mut out, 0, name, value);
    }
    out
}

fn line(out: &mut String, indent: usize, name: &str, value: &str) {
    let label = format!("{name}:");
    let width = WIDTH.saturating_sub(indent);
    out.push_str(&format!("{:indent$}{label:<width$}", ""));
    if label.len() >= width {
        out.push_str("  ");
    }
    out.push_str(value);
    out.push('\n');
}

fn pairs(out: &mut String, name: &str, map: &Value) {
    let mut lines = map
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(key, _)| *key != "kubectl.kubernetes.io/last-applied-configuration");
    let shown = |(key, value): (&String, &Value), mark: &str| {
        format!("{key}{mark}{}", value.as_str().unwrap_or_default())
    };
    let mark = if name == "Labels" { "=" } else { ": " };
    let Some(first) = lines.next() else { return line(out, 0, name, "<none>") };
    line(out, 0, name, &shown(first, mark));
    for pair in lines {
        out.push_str(&format!("{:WIDTH$}{}\n", "", shown(pair, mark)));
    }
}

/// A field and what is below it, its name in words.
fn field(out: &mut String, indent: usize, name: &str, value: &Value) {
    let title = words(name);
    match value {
        Value::Object(map) if map.is_empty() => line(out, indent, &title, ""),
        Value::Object(map) => {
            out.push_str(&format!("{:indent$}{title}:\n", ""));
            for (name, value) in map {
                field(out, indent + 2, name, value);
            }
        }
        Value::Array(items) if items.is_empty() => line(out, indent, &title, "<none>"),
        Value::Array(items) => {
            out.push_str(&format!("{:indent$}{title}:\n", ""));
            for item in items {
                match item {
                    Value::Object(map) => {
                        map.iter().for_each(|(name, value)| field(out, indent + 2, name, value))
                    }
                    other => out.push_str(&format!("{:width$}{}\n", "", plain(other), width = indent + 2)),
                }
            }
        }
        other => line(out, indent, &title, &plain(other)),
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// `restartPolicy` becomes `Restart Policy`; names that are no field names stay.
fn words(name: &str) -> String {
    if !name.chars().all(|c| c.is_ascii_alphanumeric()) {
        return name.to_owned();
    }
    let mut out = String::new();
    let mut before = ' ';
    for (at, c) in name.chars().enumerate() {
        if at == 0 {
            out.extend(c.to_uppercase());
        } else {
            if c.is_ascii_uppercase() && !before.is_ascii_uppercase() {
                out.push(' ');
            }
            out.push(c);
        }
        before = c;
    }
    out
}

async fn events(session: &Session, object: &Value) -> Result<String, KubectlError> {
    let metadata = &object["metadata"];
    let selector = format!(
        "involvedObject.name={},involvedObject.kind={},involvedObject.uid={}",
        metadata["name"].as_str().unwrap_or_default(),
        object["kind"].as_str().unwrap_or_default(),
        metadata["uid"].as_str().unwrap_or_default()
    );
    let events = session.catalogue().await?.find("events")?;
    let namespace = metadata["namespace"].as_str();
    let found = session.list(events, namespace, &[("fieldSelector", &selector)]).await?;
    if found.is_empty() {
        return Ok(format!("{:<WIDTH$}<none>\n", "Events:"));
    }
    let mut grid = Grid::new(&["  Type", "Reason", "Age", "From", "Message"]);
    grid.rows.push(["  ----", "------", "----", "----", "-------"].map(str::to_owned).to_vec());
    for event in &found {
        let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
        let last =
            ["lastTimestamp", "eventTime", "firstTimestamp"].iter().find_map(|name| event[*name].as_str());
        let age = last.map_or_else(|| "<unknown>".to_owned(), age_since);
        let count = event["count"].as_i64().filter(|count| *count > 1);
        let first = event["firstTimestamp"].as_str().map(age_since);
        let age = match (count, first) {
            (Some(count), Some(first)) => format!("{age} (x{count} over {first})"),
            _ => age,
        };
        let from = event["source"]["component"]
            .as_str()
            .or(event["reportingComponent"].as_str())
            .unwrap_or_default();
        grid.rows.push(vec![
            format!("  {}", text("type")),
            text("reason"),
            age,
            from.to_owned(),
            text("message"),
        ]);
    }
    Ok(format!("Events:\n{}", grid.text(true)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn objects_for_people() {
        let kind = Kind { namespaced: true, ..Kind::default() };
        let object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "n", "labels": {"x": "y"}},
            "spec": {"restartPolicy": "Always", "containers": [{"name": "c"}], "podIPs": []}});
        let text = described(&kind, &object);
        for expected in [
            "Name:         a\n",
            "Labels:       x=y\n",
            "Annotations:  <none>\n",
            "Spec:\n",
            "  Restart Policy:  Always\n",
        ] {
            assert!(text.contains(expected), "{expected:?} in\n{text}");
        }
        assert_eq!(words("podIPs"), "Pod IPs");
        assert_eq!(words("a.b/c"), "a.b/c");
    }
}

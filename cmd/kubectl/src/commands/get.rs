//! `get`

use std::io::Write;

use serde_json::Value;
use trireme_client::Ask;

use crate::arguments::Get;
use crate::catalogue::Kind;
use crate::error::KubectlError;
use crate::files;
use crate::output::{Format, Grid, JsonPath, Printer, Shown, print_objects, server_table};
use crate::session::Session;
use crate::target::{self, Target};

/// The server's Tables, or plain objects from a server that has none.
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

pub(super) async fn run(session: &Session, get: &Get) -> Result<(), KubectlError> {
    if let Some(path) = &get.raw {
        let body = session.rest.bytes(&Ask::get(path)).await?;
        return write(&String::from_utf8_lossy(&body));
    }
    let format = Format::parse(get.output.as_deref())?;
    let targets = targets(session, get).await?;
    if get.watch || get.watch_only {
        return watch(session, get, &format, &targets).await;
    }
    match &format {
        Format::Table { wide } => tables(session, get, *wide, &targets).await,
        Format::Printed(printer) => objects(session, get, printer, &targets).await,
    }
}

async fn targets(session: &Session, get: &Get) -> Result<Vec<Target>, KubectlError> {
    let catalogue = session.catalogue().await?;
    if get.selection.filename.is_empty() {
        return target::read(&get.selection.words, catalogue);
    }
    let objects = files::read(&get.selection.filename, get.selection.recursive)?;
    let target = |object: &Value| {
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        Ok(Target { kind: catalogue.of(object)?.clone(), names: vec![name] })
    };
    objects.iter().map(target).collect()
}

/// One list or object to ask for.
struct One<'a> {
    kind: &'a Kind,
    path: String,
    query: Vec<(&'a str, &'a str)>,
    named: bool,
}

fn ones<'a>(session: &Session, get: &'a Get, target: &'a Target) -> Vec<One<'a>> {
    let namespace = (!get.selection.all_namespaces).then_some(session.namespace.as_str());
    let mut query = Vec::new();
    query.extend(get.selection.selector.as_deref().map(|text| ("labelSelector", text)));
    query.extend(get.selection.field_selector.as_deref().map(|text| ("fieldSelector", text)));
    if target.names.is_empty() {
        let path = Session::collection(&target.kind, namespace);
        return vec![One { kind: &target.kind, path, query, named: false }];
    }
    let one = |name: &String| One {
        kind: &target.kind,
        path: Session::object(&target.kind, &session.namespace, name),
        query: Vec::new(),
        named: true,
    };
    target.names.iter().map(one).collect()
}

async fn tables(session: &Session, get: &Get, wide: bool, targets: &[Target]) -> Result<(), KubectlError> {
    let several = targets.len() > 1;
    let mut first_error = None;
    let mut any = false;
    for target in targets {
        let shown = Shown {
            wide,
            namespaces: get.selection.all_namespaces && target.kind.namespaced,
            labels: get.show_labels,
            typed: get.show_kind || several,
        };
        let mut grid: Option<Grid> = None;
        for one in ones(session, get, target) {
            let asked = session.rest.json(&Ask::get(&one.path).with(&one.query).accepting(TABLE)).await;
            match asked {
                Ok(mut table) => {
                    sort(get, &mut table)?;
                    let part = server_table(&table, shown, &one.kind.shown());
                    match &mut grid {
                        Some(grid) => grid.rows.extend(part.rows),
                        None => grid = Some(part),
                    }
                }
                Err(error) => note(get, KubectlError::from(error), &mut first_error),
            }
        }
        let Some(grid) = grid.filter(|grid| !grid.rows.is_empty()) else { continue };
        if any {
            write("\n")?;
        }
        any = true;
        write(&grid.text(!get.no_headers))?;
    }
    if let Some(error) = first_error {
        return Err(error);
    }
    if !any && !get.ignore_not_found {
        let namespaced = targets.iter().all(|target| target.kind.namespaced) && !get.selection.all_namespaces;
        if namespaced {
            eprintln!("No resources found in {} namespace.", session.namespace);
        } else {
            eprintln!("No resources found");
        }
    }
    Ok(())
}

/// Keeps the first failure and tells the others, so that what was found is still printed.
fn note(get: &Get, error: KubectlError, first: &mut Option<KubectlError>) {
    if get.ignore_not_found && error.is_not_found() {
        return;
    }
    match first {
        None => *first = Some(error),
        Some(_) => eprintln!("{error}"),
    }
}

async fn objects(
    session: &Session,
    get: &Get,
    printer: &Printer,
    targets: &[Target],
) -> Result<(), KubectlError> {
    let mut found = Vec::new();
    let mut first_error = None;
    let mut as_list = targets.len() > 1;
    for target in targets {
        for one in ones(session, get, target) {
            if one.named {
                match session.rest.json(&Ask::get(&one.path)).await {
                    Ok(object) => found.push((one.kind.clone(), object)),
                    Err(error) => note(get, error.into(), &mut first_error),
                }
                continue;
            }
            as_list = true;
            let namespace = (!get.selection.all_namespaces).then_some(session.namespace.as_str());
            let items = session.list(one.kind, namespace, &one.query).await?;
            found.extend(items.into_iter().map(|item| (one.kind.clone(), item)));
        }
    }
    if let Some(path) = &get.sort_by {
        let path = JsonPath::parse(path)?;
        found.sort_by(|(_, a), (_, b)| compare(&path.values(a), &path.values(b)));
    }
    if !(found.is_empty() && (first_error.is_some() || get.ignore_not_found)) {
        write(&print_objects(printer, found, as_list, get.show_managed_fields, !get.no_headers))?;
    }
    first_error.map_or(Ok(()), Err)
}

fn sort(get: &Get, table: &mut Value) -> Result<(), KubectlError> {
    let Some(path) = &get.sort_by else { return Ok(()) };
    let path = JsonPath::parse(path)?;
    if let Some(rows) = table["rows"].as_array_mut() {
        rows.sort_by(|a, b| compare(&path.values(&a["object"]), &path.values(&b["object"])));
    }
    Ok(())
}

/// Numbers by value, all else as text; what is missing comes first.
fn compare(a: &[&Value], b: &[&Value]) -> std::cmp::Ordering {
    match (a.first(), b.first()) {
        (Some(a), Some(b)) => match (a.as_f64(), b.as_f64()) {
            (Some(a), Some(b)) => a.total_cmp(&b),
            _ => text(a).cmp(&text(b)),
        },
        (a, b) => a.is_some().cmp(&b.is_some()),
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

async fn watch(
    session: &Session,
    get: &Get,
    format: &Format,
    targets: &[Target],
) -> Result<(), KubectlError> {
    let [target] = targets else {
        return Err(KubectlError::usage("you may only specify a single resource type"));
    };
    let mut query = Vec::new();
    query.extend(get.selection.selector.as_deref().map(|text| ("labelSelector", text.to_owned())));
    match target.names.as_slice() {
        [] => query
            .extend(get.selection.field_selector.as_deref().map(|text| ("fieldSelector", text.to_owned()))),
        [name] => query.push(("fieldSelector", format!("metadata.name={name}"))),
        _ => {
            return Err(KubectlError::usage(
                "watch is only supported on individual resources and resource collections",
            ));
        }
    }
    let namespace = (!get.selection.all_namespaces).then_some(session.namespace.as_str());
    let path = Session::collection(&target.kind, namespace);
    let selectors: Vec<(&str, &str)> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let list = session.rest.json(&Ask::get(&path).with(&selectors)).await?;
    let revision = list["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
    if !get.watch_only {
        let wide = matches!(format, Format::Table { wide: true });
        match format {
            Format::Table { .. } => tables(session, get, wide, targets).await?,
            Format::Printed(printer) => {
                let items = list["items"].as_array().cloned().unwrap_or_default();
                for mut item in items {
                    item["apiVersion"] = target.kind.api_version().into();
                    item["kind"] = target.kind.kind.clone().into();
                    let one = vec![(target.kind.clone(), item)];
                    write(&print_objects(printer, one, false, get.show_managed_fields, false))?;
                }
            }
        }
    }
    follow(session, get, format, target, &path, &selectors, revision).await
}

async fn follow(
    session: &Session,
    get: &Get,
    format: &Format,
    target: &Target,
    path: &str,
    selectors: &[(&str, &str)],
    mut revision: String,
) -> Result<(), KubectlError> {
    let shown = Shown {
        wide: matches!(format, Format::Table { wide: true }),
        namespaces: get.selection.all_namespaces && target.kind.namespaced,
        labels: get.show_labels,
        typed: get.show_kind,
    };
    let mut headers = get.watch_only && !get.no_headers;
    loop {
        let mut query = selectors.to_vec();
        query.push(("resourceVersion", &revision));
        let accept = if let Format::Table { .. } = format { TABLE } else { "application/json" };
        let mut events = session.rest.watch(&Ask::get(path).with(&query).accepting(accept)).await?;
        let mut next = None;
        while let Some(event) = events.next().await? {
            if event.kind == trireme_client::EventKind::Bookmark {
                continue;
            }
            let object = if event.object["kind"] == "Table" {
                &event.object["rows"][0]["object"]
            } else {
                &event.object
            };
            next = object["metadata"]["resourceVersion"].as_str().map(str::to_owned).or(next);
            match format {
                Format::Table { .. } => {
                    write(&server_table(&event.object, shown, &target.kind.shown()).text(headers))?
                }
                Format::Printed(printer) => {
                    let one = vec![(target.kind.clone(), event.object)];
                    write(&print_objects(printer, one, false, get.show_managed_fields, headers))?;
                }
            }
            headers = false;
        }
        match next {
            Some(seen) => revision = seen,
            None => return Ok(()),
        }
    }
}

/// Prints; a reader that went away (`| head`) ends the command quietly.
pub(super) fn write(text: &str) -> Result<(), KubectlError> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Err(KubectlError::Closed),
        Err(error) => Err(KubectlError::Io(format!("standard output: {error}"))),
        Ok(()) => Ok(()),
    }
}

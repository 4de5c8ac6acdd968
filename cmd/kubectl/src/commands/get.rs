//! `get`

use serde_json::Value;
use trireme_client::Ask;

use crate::arguments::Get;
use crate::catalogue::Kind;
use crate::error::{Failures, KubectlError};
use crate::files;
use crate::output::{Format, Grid, JsonPath, Printer, Shown, bytes, print_objects, server_table, write};
use crate::session::Session;
use crate::target::{self, Target};

use super::get_watch;

/// The server's Tables, or plain objects from a server that has none.
pub(super) const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

const NO_TYPE: &str = "Required resource not specified.\nUse \"kubectl explain <resource>\" for a detailed description \
                       of that resource (e.g. kubectl explain pods).\nSee 'kubectl get -h' for help and examples";

pub(super) async fn run(session: &Session, get: &Get) -> Result<(), KubectlError> {
    if let Some(path) = &get.raw {
        return bytes(&session.rest.bytes(&Ask::get(path)).await?);
    }
    let format = Format::parse(get.output.as_deref())?;
    if get.output_watch_events && !(get.watch || get.watch_only) {
        return Err(KubectlError::usage(
            "--output-watch-events option can only be used with --watch or --watch-only",
        ));
    }
    if get.watch || get.watch_only {
        return get_watch::run(session, get, &format, &targets(session, get).await?).await;
    }
    let groups = groups(session, get).await?;
    match &format {
        Format::Table { wide } => tables(session, get, *wide, &groups).await,
        Format::Printed(printer) => objects(session, get, printer, &groups).await,
    }
}

async fn targets(session: &Session, get: &Get) -> Result<Vec<Target>, KubectlError> {
    if !get.files.filename.is_empty() {
        return Err(KubectlError::not_built("watching the objects of files"));
    }
    if get.words.is_empty() {
        eprintln!(
            "You must specify the type of resource to get. Use \"kubectl api-resources\" for a complete list of supported \
             resources.\n"
        );
        return Err(KubectlError::usage(NO_TYPE));
    }
    let targets = target::read(&get.words, session.catalogue().await?)?;
    let named = targets.iter().any(|target| !target.names.is_empty());
    if named && (get.selector.is_some() || get.field_selector.is_some()) {
        return Err(KubectlError::usage("name cannot be provided when a selector is specified"));
    }
    if named && get.all_namespaces {
        return Err(KubectlError::usage("a resource cannot be retrieved by name across all namespaces"));
    }
    Ok(targets)
}

/// What is asked for of one kind.
struct Group {
    kind: Kind,
    ones: Vec<One>,
}

/// One list or object to ask for.
struct One {
    path: String,
    named: bool,
}

async fn groups(session: &Session, get: &Get) -> Result<Vec<Group>, KubectlError> {
    let below = |path: String| match &get.subresource {
        Some(subresource) => format!("{path}/{subresource}"),
        None => path,
    };
    if !get.files.filename.is_empty() {
        if !get.words.is_empty() {
            return Err(KubectlError::usage(
                "when paths, URLs, or stdin is provided as resource input, you may not specify resource arguments as well",
            ));
        }
        let catalogue = session.catalogue().await?;
        let mut groups: Vec<Group> = Vec::new();
        for object in files::read(&get.files.filename, get.files.recursive)? {
            let kind = catalogue.of(&object)?;
            let text = |name: &str| object["metadata"][name].as_str().unwrap_or_default();
            let namespace = session.namespace_of(kind, text("namespace"))?;
            let one = One { path: below(Session::object(kind, &namespace, text("name"))), named: true };
            match groups.last_mut().filter(|group| group.kind == *kind) {
                Some(group) => group.ones.push(one),
                None => groups.push(Group { kind: kind.clone(), ones: vec![one] }),
            }
        }
        return Ok(groups);
    }
    let namespace = (!get.all_namespaces).then_some(session.namespace.as_str());
    let mut groups: Vec<Group> = Vec::new();
    for target in targets(session, get).await? {
        if target.names.is_empty() && get.subresource.is_some() {
            return Err(KubectlError::usage("subresource cannot be used when bulk resources are specified"));
        }
        let ones: Vec<One> = if target.names.is_empty() {
            vec![One { path: Session::collection(&target.kind, namespace), named: false }]
        } else {
            let path = |name: &String| below(Session::object(&target.kind, &session.namespace, name));
            target.names.iter().map(|name| One { path: path(name), named: true }).collect()
        };
        match groups.last_mut().filter(|group| group.kind == target.kind) {
            Some(group) => group.ones.extend(ones),
            None => groups.push(Group { kind: target.kind, ones }),
        }
    }
    Ok(groups)
}

/// An object, or a whole list: its pages put together.
async fn ask(session: &Session, get: &Get, one: &One, accept: &str) -> Result<Value, KubectlError> {
    if one.named {
        return Ok(session.rest.json(&Ask::get(&one.path).accepting(accept)).await?);
    }
    let limit = get.chunk_size.to_string();
    let mut whole: Option<Value> = None;
    let mut next = String::new();
    loop {
        let mut query: Vec<(&str, &str)> = Vec::new();
        query.extend(get.selector.as_deref().map(|text| ("labelSelector", text)));
        query.extend(get.field_selector.as_deref().map(|text| ("fieldSelector", text)));
        query.extend((get.chunk_size > 0).then_some(("limit", limit.as_str())));
        query.extend((!next.is_empty()).then_some(("continue", next.as_str())));
        let mut page = session.rest.json(&Ask::get(&one.path).with(&query).accepting(accept)).await?;
        next = page["metadata"]["continue"].as_str().unwrap_or_default().to_owned();
        match &mut whole {
            None => whole = Some(page),
            Some(whole) => {
                for field in ["items", "rows"] {
                    if let (Some(all), Some(more)) = (whole[field].as_array_mut(), page[field].as_array_mut())
                    {
                        all.append(more);
                    }
                }
            }
        }
        if next.is_empty() {
            return Ok(whole.unwrap_or(Value::Null));
        }
    }
}

async fn tables(session: &Session, get: &Get, wide: bool, groups: &[Group]) -> Result<(), KubectlError> {
    let mut failures = Failures::default();
    let mut any = false;
    for group in groups {
        let shown = Shown {
            wide,
            namespaces: get.all_namespaces && group.kind.namespaced,
            labels: get.show_labels,
            label_columns: &get.label_columns,
            typed: get.show_kind || groups.len() > 1,
        };
        let mut grid: Option<Grid> = None;
        for one in &group.ones {
            match ask(session, get, one, TABLE).await {
                Ok(mut table) => {
                    sort(get, &mut table)?;
                    let part = server_table(&table, shown, &group.kind.shown());
                    match &mut grid {
                        Some(grid) => grid.rows.extend(part.rows),
                        None => grid = Some(part),
                    }
                }
                Err(error) if get.ignore_not_found && error.is_not_found() => {}
                Err(error) => _ = failures.note::<()>(Err(error)),
            }
        }
        let Some(grid) = grid.filter(|grid| !grid.rows.is_empty()) else { continue };
        if any {
            write("\n")?;
        }
        any = true;
        write(&grid.text(!get.no_headers))?;
    }
    if !any && !get.ignore_not_found && failures.is_empty() {
        let namespaced = groups.iter().all(|group| group.kind.namespaced) && !get.all_namespaces;
        if namespaced {
            eprintln!("No resources found in {} namespace.", session.namespace);
        } else {
            eprintln!("No resources found");
        }
    }
    failures.finish()
}

async fn objects(
    session: &Session,
    get: &Get,
    printer: &Printer,
    groups: &[Group],
) -> Result<(), KubectlError> {
    let mut found = Vec::new();
    let mut failures = Failures::default();
    let mut as_list = groups.iter().map(|group| group.ones.len()).sum::<usize>() > 1;
    for group in groups {
        for one in &group.ones {
            as_list |= !one.named;
            match ask(session, get, one, "application/json").await {
                Ok(object) if one.named => found.push((group.kind.clone(), object)),
                Ok(mut list) => {
                    let Value::Array(items) = list["items"].take() else { continue };
                    found.extend(items.into_iter().map(|item| (group.kind.clone(), group.kind.typed(item))));
                }
                Err(error) if get.ignore_not_found && error.is_not_found() => {}
                Err(error) => _ = failures.note::<()>(Err(error)),
            }
        }
    }
    if let Some(path) = &get.sort_by {
        let path = JsonPath::parse(path)?;
        found.sort_by(|(_, a), (_, b)| compare(&path.values(a), &path.values(b)));
    }
    if !(found.is_empty() && (!failures.is_empty() || get.ignore_not_found)) {
        write(&print_objects(printer, found, as_list, get.show_managed_fields, !get.no_headers))?;
    }
    failures.finish()
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

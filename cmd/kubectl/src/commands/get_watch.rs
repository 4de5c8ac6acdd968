//! `get --watch`

use serde_json::{Value, json};
use trireme_client::{Ask, EventKind};

use super::get::TABLE;
use crate::arguments::Get;
use crate::error::KubectlError;
use crate::output::{Format, Grid, Shown, print_objects, server_table, write};
use crate::session::Session;
use crate::target::Target;

/// One watched resource and how it is shown.
struct Watched<'a> {
    session: &'a Session,
    get: &'a Get,
    format: &'a Format,
    target: &'a Target,
    /// Whether headers are still to be printed.
    headers: bool,
}

pub(super) async fn run(
    session: &Session,
    get: &Get,
    format: &Format,
    targets: &[Target],
) -> Result<(), KubectlError> {
    let [target] = targets else {
        return Err(KubectlError::usage("you may only specify a single resource type"));
    };
    if get.subresource.is_some() {
        return Err(KubectlError::not_built("watching a subresource"));
    }
    if get.sort_by.is_some() {
        eprintln!("warning: --watch requested, --sort-by will be ignored for watch events received");
    }
    let mut query = Vec::new();
    query.extend(get.selector.as_deref().map(|text| ("labelSelector", text.to_owned())));
    match target.names.as_slice() {
        [] => query.extend(get.field_selector.as_deref().map(|text| ("fieldSelector", text.to_owned()))),
        [name] => query.push(("fieldSelector", format!("metadata.name={name}"))),
        _ => {
            return Err(KubectlError::usage(
                "watch is only supported on individual resources and resource collections",
            ));
        }
    }
    let namespace = (!get.all_namespaces).then_some(session.namespace.as_str());
    let path = Session::collection(&target.kind, namespace);
    let selectors: Vec<(&str, &str)> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let accept = if let Format::Table { .. } = format { TABLE } else { "application/json" };
    if let [name] = target.names.as_slice() {
        // An object that is not there is not waited for.
        session.get(&target.kind, &session.namespace, name).await?;
    }
    let list = session.rest.json(&Ask::get(&path).with(&selectors).accepting(accept)).await?;
    let revision = list["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
    let mut watched = Watched { session, get, format, target, headers: !get.no_headers };
    if !get.watch_only {
        watched.list(&list)?;
    }
    watched.follow(&path, &selectors, accept, revision).await
}

impl Watched<'_> {
    fn list(&mut self, list: &Value) -> Result<(), KubectlError> {
        match self.format {
            Format::Table { .. } if !self.get.output_watch_events => self.rows(list, None),
            Format::Table { .. } => {
                for row in list["rows"].as_array().into_iter().flatten() {
                    let mut one = list.clone();
                    one["rows"] = json!([row]);
                    self.rows(&one, Some("ADDED"))?;
                }
                Ok(())
            }
            Format::Printed(_) => {
                for item in list["items"].as_array().into_iter().flatten() {
                    self.object(self.target.kind.typed(item.clone()), "ADDED")?;
                }
                Ok(())
            }
        }
    }

    fn rows(&mut self, table: &Value, event: Option<&str>) -> Result<(), KubectlError> {
        let get = self.get;
        let shown = Shown {
            wide: matches!(self.format, Format::Table { wide: true }),
            namespaces: get.all_namespaces && self.target.kind.namespaced,
            labels: get.show_labels,
            label_columns: &get.label_columns,
            typed: get.show_kind,
        };
        let mut grid: Grid = server_table(table, shown, &self.target.kind.shown());
        if grid.rows.is_empty() {
            return Ok(());
        }
        if let Some(event) = event {
            grid.headers.insert(0, "EVENT".to_owned());
            grid.rows.iter_mut().for_each(|row| row.insert(0, format!("{event:<8}")));
        }
        let text = grid.text(self.headers);
        self.headers = false;
        write(&text)
    }

    fn object(&mut self, object: Value, event: &str) -> Result<(), KubectlError> {
        let Format::Printed(printer) = self.format else { return Ok(()) };
        let object =
            if self.get.output_watch_events { json!({"type": event, "object": object}) } else { object };
        let one = vec![(self.target.kind.clone(), object)];
        let text = print_objects(printer, one, false, self.get.show_managed_fields, self.headers);
        self.headers = false;
        write(&text)
    }

    async fn follow(
        &mut self,
        path: &str,
        selectors: &[(&str, &str)],
        accept: &str,
        mut revision: String,
    ) -> Result<(), KubectlError> {
        loop {
            let mut query = selectors.to_vec();
            query.extend([("resourceVersion", revision.as_str()), ("allowWatchBookmarks", "true")]);
            let mut events = self.session.rest.watch(&Ask::get(path).with(&query).accepting(accept)).await?;
            let mut next = None;
            while let Some(event) = events.next().await? {
                let table = event.object["kind"] == "Table";
                let object = if table { &event.object["rows"][0]["object"] } else { &event.object };
                next = object["metadata"]["resourceVersion"].as_str().map(str::to_owned).or(next);
                let word = match event.kind {
                    EventKind::Added => "ADDED",
                    EventKind::Modified => "MODIFIED",
                    EventKind::Deleted => "DELETED",
                    EventKind::Bookmark => continue,
                };
                match self.format {
                    Format::Table { .. } => {
                        self.rows(&event.object, self.get.output_watch_events.then_some(word))?;
                    }
                    Format::Printed(_) => self.object(event.object, word)?,
                }
            }
            match next {
                Some(seen) => revision = seen,
                // Nothing came: the same place is still good.
                None if revision.is_empty() => return Ok(()),
                None => {}
            }
        }
    }
}

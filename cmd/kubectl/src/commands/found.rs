//! [`Found`]: the objects that a command is about, each in its own namespace.

use serde_json::Value;

use crate::arguments::Files;
use crate::catalogue::Kind;
use crate::error::{Failures, KubectlError};
use crate::files;
use crate::session::Session;
use crate::target;

const NOTHING_GIVEN: &str = "You must provide one or more resources by argument or filename.\nExample resource \
                             specifications include:\n   '-f rsrc.yaml'\n   '--filename=rsrc.json'\n   '<resource> \
                             <name>'\n   '<resource>'";

/// One object.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) kind: Kind,
    /// Empty for kinds that live in none.
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// As a file or a list had it.
    pub(crate) object: Option<Value>,
    /// Whether [`Found::object`] came from a file, not from the server.
    pub(crate) from_file: bool,
}

impl Found {
    pub(crate) fn path(&self) -> String {
        Session::object(&self.kind, &self.namespace, &self.name)
    }

    /// `deployment.apps/web`
    pub(crate) fn shown(&self) -> String {
        format!("{}/{}", self.kind.shown(), self.name)
    }

    /// The object on the server.
    pub(crate) async fn live(&self, session: &Session) -> Result<Value, KubectlError> {
        match &self.object {
            Some(object) if !self.from_file => Ok(object.clone()),
            _ => session.get(&self.kind, &self.namespace, &self.name).await,
        }
    }
}

/// How objects were named.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Query<'a> {
    pub(crate) words: &'a [String],
    pub(crate) files: Option<&'a Files>,
    pub(crate) selector: Option<&'a str>,
    pub(crate) field_selector: Option<&'a str>,
    pub(crate) all_namespaces: bool,
    /// A type alone means all of it.
    pub(crate) all: bool,
}

impl<'a> Query<'a> {
    pub(crate) fn of(words: &'a [String], files: &'a Files) -> Self {
        Self { words, files: Some(files), ..Self::default() }
    }

    pub(crate) fn selector(self, selector: Option<&'a str>) -> Self {
        Self { selector, ..self }
    }

    pub(crate) fn all(self, all: bool) -> Self {
        Self { all, ..self }
    }

    /// The objects. Those of words without a name come from a list; `failures` gets what kept single ones back.
    pub(crate) async fn find(
        &self,
        session: &Session,
        failures: &mut Failures,
    ) -> Result<Vec<Found>, KubectlError> {
        if let Some(files) = self.files.filter(|files| !files.filename.is_empty()) {
            if !self.words.is_empty() {
                return Err(KubectlError::usage(
                    "when paths, URLs, or stdin is provided as resource input, you may not specify resource arguments as well",
                ));
            }
            return self.of_files(session, files, failures).await;
        }
        if self.words.is_empty() {
            return Err(KubectlError::usage(NOTHING_GIVEN));
        }
        let selected = self.selector.is_some() || self.field_selector.is_some();
        if selected && self.all {
            return Err(KubectlError::usage("setting 'all' parameter but found a non empty selector. "));
        }
        let mut found = Vec::new();
        for target in target::read(self.words, session.catalogue().await?)? {
            if !target.names.is_empty() {
                if selected {
                    return Err(KubectlError::usage("name cannot be provided when a selector is specified"));
                }
                if self.all_namespaces {
                    return Err(KubectlError::usage(
                        "a resource cannot be retrieved by name across all namespaces",
                    ));
                }
                let namespace =
                    if target.kind.namespaced { session.namespace.clone() } else { String::new() };
                let one = |name: &String| Found {
                    kind: target.kind.clone(),
                    namespace: namespace.clone(),
                    name: name.clone(),
                    object: None,
                    from_file: false,
                };
                found.extend(target.names.iter().map(one));
                continue;
            }
            if !selected && !self.all {
                return Err(KubectlError::usage("resource(s) were provided, but no name was specified"));
            }
            found.extend(failures.note(self.listed(session, &target.kind).await).into_iter().flatten());
        }
        Ok(found)
    }

    async fn listed(&self, session: &Session, kind: &Kind) -> Result<Vec<Found>, KubectlError> {
        let mut query = Vec::new();
        query.extend(self.selector.map(|text| ("labelSelector", text)));
        query.extend(self.field_selector.map(|text| ("fieldSelector", text)));
        let namespace = (!self.all_namespaces).then_some(session.namespace.as_str());
        let items = session.list(kind, namespace, &query).await?;
        let one = |object: Value| {
            let text = |name: &str| object["metadata"][name].as_str().unwrap_or_default().to_owned();
            let (namespace, name) = (text("namespace"), text("name"));
            Found { kind: kind.clone(), namespace, name, object: Some(object), from_file: false }
        };
        Ok(items.into_iter().map(one).collect())
    }

    async fn of_files(
        &self,
        session: &Session,
        files: &Files,
        failures: &mut Failures,
    ) -> Result<Vec<Found>, KubectlError> {
        let catalogue = session.catalogue().await?;
        let mut found = Vec::new();
        for object in files::read(&files.filename, files.recursive)? {
            let Some(kind) = failures.note(catalogue.of(&object)) else { continue };
            if !self.selector.is_none_or(|selector| files::selected(&object, selector)) {
                continue;
            }
            let text = |name: &str| object["metadata"][name].as_str().unwrap_or_default();
            let Some(namespace) = failures.note(session.namespace_of(kind, text("namespace"))) else {
                continue;
            };
            found.push(Found {
                kind: kind.clone(),
                namespace,
                name: text("name").to_owned(),
                object: Some(object),
                from_file: true,
            });
        }
        Ok(found)
    }
}

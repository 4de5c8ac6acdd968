//! The paths of a group and version.

use trireme_schema::kinds::{Subresource, api_version};

use super::constants::*;
use super::operation::{Body, Operation, Parameter, Paths, parameter, parameters, path_parameter};
use super::schemas::Gvk;
use super::types::{META, kind_type, list_type};
use crate::discovery::ServedKind;

/// The paths of a group and version.
pub(super) fn group_version_paths(group: &str, version: &str, kinds: &[ServedKind]) -> Paths {
    let names = Names::of(group, version);
    let mut paths = Paths::new();
    paths.insert(format!("{}/", names.base), vec![names.resource_list()]);
    for served in kinds {
        Resource { names: &names, served }.add_to(&mut paths);
    }
    paths
}

/// How a group and version appears in paths and identifiers.
struct Names {
    base: String,
    /// `AppsV1`.
    camel: String,
    /// `apps_v1`.
    tag: String,
}

impl Names {
    fn of(group: &str, version: &str) -> Self {
        let words = if group.is_empty() { "Core".to_owned() } else { group_words(group) };
        let base = if group.is_empty() { "/api/".to_owned() } else { "/apis/".to_owned() };
        Names {
            base: base + &api_version(group, version),
            camel: format!("{words}{}", upper_first(version)),
            tag: format!("{}_{version}", lower_first(&words)),
        }
    }

    fn resource_list(&self) -> Operation {
        Operation {
            method: "get",
            id: format!("get{}APIResources", self.camel),
            tag: self.tag.clone(),
            description: "get available resources".to_owned(),
            parameters: Vec::new(),
            body: None,
            consumes: ANY_TYPE,
            produces: OBJECT_TYPES,
            answers: vec![(200, Some(Body::Type(format!("{META}APIResourceList"))))],
            action: None,
            kind: None,
        }
    }
}

/// `rbac.authorization.k8s.io` as `RbacAuthorization`.
pub(super) fn group_words(group: &str) -> String {
    let short = group.strip_suffix(".k8s.io").unwrap_or(group);
    short.split(['.', '-']).map(upper_first).collect()
}

fn upper_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |c| c.to_uppercase().chain(chars).collect())
}

pub(super) fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |c| c.to_lowercase().chain(chars).collect())
}

/// One resource of a group and version.
struct Resource<'a> {
    names: &'a Names,
    served: &'a ServedKind,
}

impl Resource<'_> {
    fn add_to(&self, paths: &mut Paths) {
        let kind = &self.served.kind;
        let base = &self.names.base;
        let scope = if kind.namespaced { "/namespaces/{namespace}" } else { "" };
        let collection = format!("{base}{scope}/{}", kind.plural);
        let single = format!("{collection}/{{name}}");
        let mut add = |path: String, operations: Vec<Operation>| {
            if !operations.is_empty() {
                paths.insert(path, operations);
            }
        };
        add(collection, self.collection());
        add(single.clone(), self.single());
        if kind.namespaced && self.has("list") {
            add(format!("{base}/{}", kind.plural), vec![self.list(false)]);
        }
        if self.has("watch") {
            add(format!("{base}/watch{scope}/{}", kind.plural), vec![self.watch(kind.namespaced, false)]);
            add(
                format!("{base}/watch{scope}/{}/{{name}}", kind.plural),
                vec![self.watch(kind.namespaced, true)],
            );
            if kind.namespaced {
                add(format!("{base}/watch/{}", kind.plural), vec![self.watch(false, false)]);
            }
        }
        for subresource in &kind.subresources {
            let path = format!("{single}/{}", subresource.name);
            add(path.clone(), self.subresource(subresource, false));
            if subresource.name == "proxy" {
                add(format!("{path}/{{path}}"), self.subresource(subresource, true));
            }
        }
    }

    fn has(&self, verb: &str) -> bool {
        self.served.kind.verbs.iter().any(|v| v == verb)
    }

    fn gvk(&self) -> Gvk {
        let kind = &self.served.kind;
        (kind.group.clone(), kind.version.clone(), kind.kind.clone())
    }

    /// Full name of the kind's type.
    fn type_name(&self) -> String {
        let kind = &self.served.kind;
        type_name(self.served.custom, &kind.group, &kind.version, &kind.kind)
    }

    /// An operation with what all operations of the resource have alike.
    fn operation(&self, method: &'static str, action: &'static str, verb: &str, tail: &str) -> Operation {
        let kind = &self.served.kind;
        let scope = if kind.namespaced { "Namespaced" } else { "" };
        Operation {
            method,
            id: format!("{verb}{}{scope}{}{tail}", self.names.camel, kind.kind),
            tag: self.names.tag.clone(),
            description: String::new(),
            parameters: Vec::new(),
            body: None,
            consumes: ANY_TYPE,
            produces: OBJECT_TYPES,
            answers: Vec::new(),
            action: Some(action),
            kind: Some(self.gvk()),
        }
    }

    fn in_path(&self, namespaced: bool, named: bool, mut query: Vec<Parameter>) -> Vec<Parameter> {
        if named {
            query.push(path_parameter("name", &format!("name of the {}", self.served.kind.kind)));
        }
        if namespaced {
            query.push(path_parameter("namespace", "the namespace of the object"));
        }
        query.sort_by(|a, b| a.name.cmp(&b.name));
        query
    }

    fn collection(&self) -> Vec<Operation> {
        let kind = &self.served.kind;
        let mut out = Vec::new();
        if self.has("list") {
            out.push(self.list(kind.namespaced));
        }
        if self.has("create") {
            let mut create = self.operation("post", "post", "create", "");
            create.description = format!("create a {}", kind.kind);
            create.parameters = self.in_path(kind.namespaced, false, parameters(WRITE_PARAMETERS));
            create.body = Some((self.type_name(), true));
            create.answers = [200, 201, 202].map(|code| (code, Some(Body::Type(self.type_name())))).to_vec();
            out.push(create);
        }
        if self.has("deletecollection") {
            let mut delete = self.operation("delete", "deletecollection", "delete", "");
            let scope = if kind.namespaced { "Namespaced" } else { "" };
            delete.id = format!("delete{}Collection{scope}{}", self.names.camel, kind.kind);
            delete.description = format!("delete collection of {}", kind.kind);
            delete.parameters =
                self.in_path(kind.namespaced, false, parameters(DELETE_COLLECTION_PARAMETERS));
            delete.body = Some((format!("{META}DeleteOptions"), false));
            delete.answers = vec![(200, Some(Body::Type(format!("{META}Status"))))];
            out.push(delete);
        }
        out
    }

    /// `in_namespace` is false for the list over all namespaces, and for kinds that live in none.
    fn list(&self, in_namespace: bool) -> Operation {
        let kind = &self.served.kind;
        let mut list = self.operation("get", "list", "list", "");
        if kind.namespaced && !in_namespace {
            list.id = format!("list{}{}ForAllNamespaces", self.names.camel, kind.kind);
        }
        list.description = format!("list or watch objects of kind {}", kind.kind);
        list.parameters = self.in_path(in_namespace, false, parameters(LIST_PARAMETERS));
        list.produces = STREAM_TYPES;
        list.answers = vec![(200, Some(Body::Type(list_type(&self.type_name()))))];
        list
    }

    fn watch(&self, in_namespace: bool, named: bool) -> Operation {
        let kind = &self.served.kind;
        let (action, tail) = if named { ("watch", "") } else { ("watchlist", "List") };
        let mut watch = self.operation("get", action, "watch", tail);
        if kind.namespaced && !in_namespace {
            watch.id = format!("watch{}{}ListForAllNamespaces", self.names.camel, kind.kind);
        }
        let what = if named { "an object" } else { "objects" };
        watch.description = format!(
            "watch changes of {what} of kind {}. Deprecated: use the 'watch' parameter with a list instead.",
            kind.kind
        );
        watch.parameters = self.in_path(in_namespace, named, parameters(LIST_PARAMETERS));
        watch.produces = STREAM_TYPES;
        watch.answers = vec![(200, Some(Body::Type(format!("{META}WatchEvent"))))];
        watch
    }

    fn single(&self) -> Vec<Operation> {
        let kind = &self.served.kind;
        let verbs = |verb: &str| self.has(verb);
        let mut out = self.object_verbs(&self.type_name(), &self.gvk(), "", &verbs);
        if self.has("delete") {
            let mut delete = self.operation("delete", "delete", "delete", "");
            delete.description = format!("delete a {}", kind.kind);
            delete.parameters = self.in_path(kind.namespaced, true, parameters(DELETE_PARAMETERS));
            delete.body = Some((format!("{META}DeleteOptions"), false));
            let object = !self.served.custom && DELETED_OBJECT.contains(&kind.kind.as_str());
            let answer = if object { self.type_name() } else { format!("{META}Status") };
            delete.answers = [200, 202].map(|code| (code, Some(Body::Type(answer.clone())))).to_vec();
            out.push(delete);
        }
        out
    }

    /// get, put and patch of an object or of a subresource that is an object.
    fn object_verbs(
        &self,
        type_name: &str,
        gvk: &Gvk,
        subresource: &str,
        has: &dyn Fn(&str) -> bool,
    ) -> Vec<Operation> {
        let kind = &self.served.kind;
        let of = match subresource {
            "" => format!("the specified {}", kind.kind),
            name => format!("{name} of the specified {}", kind.kind),
        };
        let body = || Some(Body::Type(type_name.to_owned()));
        let patches = if self.served.custom { CUSTOM_PATCH_TYPES } else { PATCH_TYPES };
        let mut out = Vec::new();
        for (verb, method, action, word, says) in [
            ("get", "get", "get", "read", "read"),
            ("update", "put", "put", "replace", "replace"),
            ("patch", "patch", "patch", "patch", "partially update"),
        ] {
            if !has(verb) {
                continue;
            }
            let mut one = self.operation(method, action, word, &upper_first(subresource));
            one.description = format!("{says} {of}");
            one.kind = Some(gvk.clone());
            one.answers = vec![(200, body())];
            let query = match verb {
                "get" => parameters(&["pretty"]),
                "update" => parameters(WRITE_PARAMETERS),
                _ => parameters(PATCH_PARAMETERS),
            };
            one.parameters = self.in_path(kind.namespaced, true, query);
            if verb != "get" {
                one.answers.push((201, body()));
                let patch = verb == "patch";
                one.body = Some((if patch { format!("{META}Patch") } else { type_name.to_owned() }, true));
                one.consumes = if patch { patches } else { ANY_TYPE };
            }
            out.push(one);
        }
        out
    }

    fn subresource(&self, subresource: &Subresource, with_path: bool) -> Vec<Operation> {
        let kind = &self.served.kind;
        let gvk = match subresource.version.as_str() {
            "" => (kind.group.clone(), kind.version.clone(), subresource.kind.clone()),
            version => (subresource.group.clone(), version.to_owned(), subresource.kind.clone()),
        };
        if subresource.kind.ends_with("Options") {
            return self.connect(subresource, &gvk, with_path);
        }
        let has = |verb: &str| subresource.verbs.iter().any(|v| v == verb);
        if subresource.name == "log" {
            let mut log = self.operation("get", "get", "read", "Log");
            log.description = format!("read log of the specified {}", kind.kind);
            log.parameters = self.in_path(kind.namespaced, true, parameters(LOG_PARAMETERS));
            log.produces = LOG_TYPES;
            log.answers = vec![(200, Some(Body::Text))];
            return vec![log];
        }
        let own = self.served.custom && gvk.0 == kind.group && gvk.1 == kind.version;
        let name = type_name(own, &gvk.0, &gvk.1, &gvk.2);
        let mut out = self.object_verbs(&name, &gvk, &subresource.name, &has);
        if has("create") {
            let mut create = self.operation("post", "post", "create", &upper_first(&subresource.name));
            create.description = format!("create {} of a {}", subresource.name, kind.kind);
            create.parameters = self.in_path(kind.namespaced, true, parameters(WRITE_PARAMETERS));
            create.body = Some((name.clone(), true));
            create.kind = Some(gvk);
            create.answers = [200, 201, 202].map(|code| (code, Some(Body::Type(name.clone())))).to_vec();
            out.push(create);
        }
        out
    }

    /// Streams and proxies: every method that the subresource's verbs stand for.
    fn connect(&self, subresource: &Subresource, gvk: &Gvk, with_path: bool) -> Vec<Operation> {
        let kind = &self.served.kind;
        let query: &[&str] = match subresource.name.as_str() {
            "exec" => &["command", "container", "stderr", "stdin", "stdout", "tty"],
            "attach" => &["container", "stderr", "stdin", "stdout", "tty"],
            "portforward" => &["ports"],
            _ => &["path"],
        };
        let methods: &[(&str, &str)] = match subresource.name.as_str() {
            "proxy" => &[
                ("delete", "Delete"),
                ("get", "Get"),
                ("head", "Head"),
                ("options", "Options"),
                ("patch", "Patch"),
                ("post", "Post"),
                ("put", "Put"),
            ],
            _ => &[("get", "Get"), ("post", "Post")],
        };
        let tail = if with_path { "WithPath" } else { "" };
        let scope = if kind.namespaced { "Namespaced" } else { "" };
        let one = |(method, word): &(&'static str, &str)| {
            let mut operation = self.operation(method, "connect", "connect", "");
            let name = upper_first(&subresource.name);
            operation.id = format!("connect{}{word}{scope}{}{name}{tail}", self.names.camel, kind.kind);
            operation.description = format!(
                "connect {} requests to {} of {}",
                method.to_uppercase(),
                subresource.name,
                kind.kind
            );
            operation.kind = Some(gvk.clone());
            operation.produces = ANY_TYPE;
            operation.answers = vec![(200, Some(Body::Text))];
            let mut all: Vec<Parameter> = query.iter().map(|q| parameter(q)).collect();
            if with_path {
                all.push(path_parameter("path", "path to the resource"));
            }
            operation.parameters = self.in_path(kind.namespaced, true, all);
            operation
        };
        methods.iter().map(one).collect()
    }
}

/// The full name of the type that a kind is published under.
pub(super) fn type_name(custom: bool, group: &str, version: &str, kind: &str) -> String {
    match kind_type(group, version, kind).filter(|_| !custom) {
        Some(name) => name,
        None => custom_type(group, version, kind),
    }
}

/// `example.com`, `v1`, `Widget` as `com.example.v1.Widget`.
pub(super) fn custom_type(group: &str, version: &str, kind: &str) -> String {
    let mut parts: Vec<&str> = group.split('.').rev().collect();
    parts.extend([version, kind]);
    parts.join(".")
}

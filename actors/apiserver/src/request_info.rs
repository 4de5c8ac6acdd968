//! [`RequestInfo`]: what a path and a method ask for, as upstream's `RequestInfo`.

use crate::query::Query;

/// What a request is about. Empty strings stand for what does not apply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestInfo {
    /// False for paths such as `/healthz` and `/apis`.
    pub resource_request: bool,
    /// The path as sent.
    pub path: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`; for other paths the method
    /// in lower case.
    pub verb: String,
    /// `api` or `apis`.
    pub prefix: String,
    /// API group.
    pub group: String,
    /// API version.
    pub version: String,
    /// Namespace.
    pub namespace: String,
    /// Plural resource name.
    pub resource: String,
    /// Subresource.
    pub subresource: String,
    /// Name of the object.
    pub name: String,
    /// Path segments behind the version and the namespace: resource, name, subresource and whatever follows.
    pub parts: Vec<String>,
}

/// Subresources that namespaces have themselves: `/namespaces/x/status` is no resource `status` in namespace `x`.
const NAMESPACE_SUBRESOURCES: [&str; 2] = ["status", "finalize"];

impl RequestInfo {
    /// Reads method, path and query.
    pub fn parse(method: &str, path: &str, query: &Query) -> Self {
        let mut info = RequestInfo {
            path: path.to_owned(),
            verb: method.to_ascii_lowercase(),
            ..RequestInfo::default()
        };
        let mut parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        if parts.len() < 3 || !matches!(parts[0], "api" | "apis") {
            return info;
        }
        info.prefix = parts.remove(0).to_owned();
        if info.prefix == "apis" {
            // A group without a version and a resource is discovery.
            if parts.len() < 3 {
                return info;
            }
            info.group = parts.remove(0).to_owned();
        }
        info.resource_request = true;
        info.version = parts.remove(0).to_owned();
        let mut special_watch = false;
        if parts[0] == "watch" && parts.len() > 1 {
            special_watch = true;
            parts.remove(0);
        } else if parts[0] == "proxy" && parts.len() > 1 {
            info.verb = "proxy".to_owned();
            parts.remove(0);
        }
        if info.verb != "proxy" {
            info.verb = verb_of(method).to_owned();
        }
        info.take_namespace(&mut parts);
        info.parts = parts.iter().map(|part| (*part).to_owned()).collect();
        info.resource = info.parts.first().cloned().unwrap_or_default();
        info.name = info.parts.get(1).cloned().unwrap_or_default();
        info.subresource = info.parts.get(2).cloned().unwrap_or_default();
        info.settle_verb(query, special_watch);
        info
    }

    fn take_namespace(&mut self, parts: &mut Vec<&str>) {
        if parts[0] != "namespaces" || parts.len() < 2 {
            return;
        }
        self.namespace = parts[1].to_owned();
        if parts.len() > 2 && !NAMESPACE_SUBRESOURCES.contains(&parts[2]) {
            parts.drain(..2);
        }
    }

    /// A GET without a name lists or watches; a DELETE without one deletes a collection.
    fn settle_verb(&mut self, query: &Query, special_watch: bool) {
        if special_watch {
            self.verb = "watch".to_owned();
        }
        if self.name.is_empty() && self.verb == "get" {
            self.verb = if query.is_true("watch") { "watch" } else { "list" }.to_owned();
        }
        if matches!(self.verb.as_str(), "list" | "watch" | "deletecollection" | "delete")
            && self.name.is_empty()
            && let Some(name) = single_name(query)
        {
            // `fieldSelector=metadata.name=x` is authorized like the one object.
            self.name = name;
            if self.verb == "delete" {
                self.verb = "deletecollection".to_owned();
            }
            return;
        }
        if self.name.is_empty() && self.verb == "delete" {
            self.verb = "deletecollection".to_owned();
        }
    }

    /// The path names a namespace that the resource is looked for in, as opposed to the namespace object itself.
    pub fn namespace_in_path(&self) -> bool {
        !self.namespace.is_empty() && self.resource != "namespaces"
    }

    /// The path names one object.
    pub fn has_path_name(&self) -> bool {
        self.parts.get(1).is_some_and(|name| !name.is_empty())
    }
}

fn verb_of(method: &str) -> &'static str {
    match method {
        "POST" => "create",
        "GET" | "HEAD" => "get",
        "PUT" => "update",
        "PATCH" => "patch",
        "DELETE" => "delete",
        _ => "",
    }
}

fn single_name(query: &Query) -> Option<String> {
    let text = query.first("fieldSelector")?;
    let selector = trireme_schema::selector::FieldSelector::parse(text).ok()?;
    selector.required("metadata.name").filter(|name| is_path_name(name)).map(str::to_owned)
}

fn is_path_name(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '%'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(method: &str, target: &str) -> RequestInfo {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        RequestInfo::parse(method, path, &Query::parse(query))
    }

    fn short(info: &RequestInfo) -> [&str; 6] {
        [&info.verb, &info.group, &info.namespace, &info.resource, &info.name, &info.subresource]
    }

    #[test]
    fn resources() {
        let cases = [
            ("GET", "/api/v1/namespaces/n/pods/p", ["get", "", "n", "pods", "p", ""]),
            ("GET", "/api/v1/namespaces/n/pods", ["list", "", "n", "pods", "", ""]),
            ("GET", "/apis/apps/v1/deployments?watch=1", ["watch", "apps", "", "deployments", "", ""]),
            ("DELETE", "/api/v1/namespaces/n/pods", ["deletecollection", "", "n", "pods", "", ""]),
            ("PUT", "/api/v1/namespaces/n/status", ["update", "", "n", "namespaces", "n", "status"]),
            ("GET", "/api/v1/namespaces/n", ["get", "", "n", "namespaces", "n", ""]),
            ("GET", "/api/v1/namespaces", ["list", "", "", "namespaces", "", ""]),
            ("POST", "/api/v1/namespaces/n/pods/p/exec", ["create", "", "n", "pods", "p", "exec"]),
            ("GET", "/api/v1/watch/namespaces/n/pods", ["watch", "", "n", "pods", "", ""]),
            ("GET", "/api/v1/pods?fieldSelector=metadata.name%3Dx", ["list", "", "", "pods", "x", ""]),
        ];
        for (method, target, wanted) in cases {
            let info = parse(method, target);
            assert!(info.resource_request, "{target}");
            assert_eq!(short(&info), wanted, "{method} {target}");
        }
    }

    #[test]
    fn other_paths() {
        for target in ["/healthz", "/api", "/apis", "/api/v1", "/apis/apps", "/apis/apps/v1", "/", "/version"]
        {
            let info = parse("GET", target);
            assert!(!info.resource_request, "{target}");
            assert_eq!(info.verb, "get");
        }
    }
}

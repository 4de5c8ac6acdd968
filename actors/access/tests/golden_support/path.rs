//! From method and path to attributes, as the pipeline's request info does.

use std::sync::Arc;

use trireme_access::{Attributes, User};
use trireme_schema::selector::FieldSelector;

fn query_value<'a>(query: &'a str, key: &str) -> Option<&'a str> {
    query.split('&').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='))
}

/// What a request asks for.
pub(crate) fn attributes(user: &Arc<User>, method: &str, path: &str, query: &str) -> Attributes {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let (group, version, mut rest) = match parts[..] {
        ["api", version, ref rest @ ..] if !rest.is_empty() => ("", version, rest),
        ["apis", group, version, ref rest @ ..] if !rest.is_empty() => (group, version, rest),
        _ => return Attributes::path(user, &method.to_ascii_lowercase(), path),
    };
    let mut verb = match method {
        "POST" => "create",
        "PUT" => "update",
        "PATCH" => "patch",
        "DELETE" => "delete",
        _ => "get",
    };
    if let ["watch", tail @ ..] = rest {
        (verb, rest) = ("watch", tail);
    }
    let (namespace, rest) = match rest {
        ["namespaces", namespace, tail @ ..]
            if !tail.is_empty() && tail[0] != "status" && tail[0] != "finalize" =>
        {
            (*namespace, tail)
        }
        ["namespaces", namespace, ..] => (*namespace, rest),
        _ => ("", rest),
    };
    let part = |at: usize| rest.get(at).copied().unwrap_or("");
    let (resource, mut name, subresource) = (part(0), part(1), part(2));
    let mut field_selector = FieldSelector::default();
    if name.is_empty() && ["get", "delete"].contains(&verb) {
        verb = match verb {
            "delete" => "deletecollection",
            _ if query_value(query, "watch") == Some("true") => "watch",
            _ => "list",
        };
    }
    let selector = query_value(query, "fieldSelector").unwrap_or("").replace("%3D", "=");
    if ["list", "watch", "deletecollection"].contains(&verb) {
        field_selector = FieldSelector::parse(&selector).expect("a selector of the corpus");
        if let Some(wanted) = selector.strip_prefix("metadata.name=").filter(|_| name.is_empty()) {
            name = wanted;
        }
    }
    let ask = Attributes::resource(user, verb, group, version, resource).within(namespace);
    Attributes { field_selector, ..ask.named(name).on(subresource) }
}

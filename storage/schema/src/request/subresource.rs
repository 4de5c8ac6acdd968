//! What an update through a subresource (besides `status` and `scale`) may bring in; all else stays as it was.

use serde_json::Value;

use crate::view::{Edit, View};

/// Takes from `new` only what the subresource is for.
pub(super) fn prepare(old: &Value, new: &mut Value, group: &str, kind: &str, name: &str) {
    match (group, kind, name) {
        ("", "Pod", "ephemeralcontainers") => {
            let added = new.at("spec").at("ephemeralContainers").clone();
            restore(old, new);
            put_or_remove(new, "ephemeralContainers", added);
        }
        ("", "Pod", "resize") => {
            let asked = new.clone();
            restore(old, new);
            for list in ["containers", "initContainers"] {
                resize(new, &asked, list);
            }
        }
        ("", "Namespace", "finalize") => match old.at("status") {
            Value::Null => drop(new.remove("status")),
            status => new.put("status", status.clone()),
        },
        ("certificates.k8s.io", "CertificateSigningRequest", "approval") => {
            let conditions = new.at("status").at("conditions").clone();
            restore(old, new);
            if let Some(status) = new.object("status") {
                if conditions.is_null() {
                    status.remove("conditions");
                } else {
                    status.put("conditions", conditions);
                }
            }
        }
        _ => {}
    }
}

/// Everything as it was, but for the version that the writer saw and the record of who wrote.
fn restore(old: &Value, new: &mut Value) {
    let metadata = new.at("metadata").clone();
    *new = old.clone();
    if let Some(kept) = new.object("metadata") {
        for name in ["name", "namespace", "uid", "resourceVersion", "managedFields"] {
            match metadata.at(name) {
                Value::Null => {
                    kept.remove(name);
                }
                value => kept.put(name, value.clone()),
            }
        }
    }
}

fn put_or_remove(new: &mut Value, name: &str, value: Value) {
    let Some(spec) = new.object("spec") else { return };
    if value.is_null() {
        spec.remove(name);
    } else {
        spec.put(name, value);
    }
}

/// Resources and resize policies of containers of the same name.
fn resize(new: &mut Value, asked: &Value, list: &str) {
    let wanted = asked.at("spec").list(list);
    let Some(spec) = new.get_some("spec") else { return };
    for container in spec.items(list) {
        let Some(other) = wanted.iter().find(|c| c.text("name") == container.text("name")) else { continue };
        for name in ["resources", "resizePolicy"] {
            match other.at(name) {
                Value::Null => {
                    container.remove(name);
                }
                value => container.put(name, value.clone()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_its_own_part_is_taken() {
        let old = json!({"metadata":{"name":"x","labels":{"a":"b"}},"spec":{"nodeName":"n",
            "containers":[{"name":"c","image":"i","resources":{}}]}});
        let mut new = json!({"metadata":{"name":"x","resourceVersion":"5","labels":{"z":"z"}},"spec":{"nodeName":"m",
            "containers":[{"name":"c","image":"j","resources":{"limits":{"cpu":"1"}}}],
            "ephemeralContainers":[{"name":"e"}]}});
        let mut resized = new.clone();
        prepare(&old, &mut new, "", "Pod", "ephemeralcontainers");
        assert_eq!(new["spec"]["ephemeralContainers"], json!([{"name":"e"}]));
        assert_eq!((&new["spec"]["nodeName"], &new["metadata"]["labels"]), (&json!("n"), &json!({"a":"b"})));
        assert_eq!(new["metadata"]["resourceVersion"], "5");
        prepare(&old, &mut resized, "", "Pod", "resize");
        let container = &resized["spec"]["containers"][0];
        assert_eq!(
            (&container["image"], &container["resources"]),
            (&json!("i"), &json!({"limits":{"cpu":"1"}}))
        );
    }
}

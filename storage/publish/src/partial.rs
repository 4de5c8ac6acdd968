//! PartialObjectMetadata: objects reduced to their metadata.

use serde_json::{Value, json};
use trireme_schema::view::View;

/// The metadata of an object, as PartialObjectMetadata of meta.k8s.io's `version`.
pub fn partial_object(object: &Value, version: &str) -> Value {
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": format!("meta.k8s.io/{version}"),
        "metadata": object.at("metadata"),
    })
}

/// The metadata of a list's objects. `list_metadata` is the list's own.
pub fn partial_list<'a>(
    objects: impl IntoIterator<Item = &'a Value>,
    list_metadata: &Value,
    version: &str,
) -> Value {
    let items: Vec<Value> = objects.into_iter().map(|object| partial_object(object, version)).collect();
    json!({
        "kind": "PartialObjectMetadataList",
        "apiVersion": format!("meta.k8s.io/{version}"),
        "metadata": list_metadata,
        "items": items,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_metadata_is_left() {
        let object = json!({"kind": "Pod", "metadata": {"name": "a"}, "spec": {"x": 1}});
        let list = partial_list([&object], &json!({"resourceVersion": "5"}), "v1");
        assert_eq!(list["items"][0]["metadata"], json!({"name": "a"}));
        assert_eq!(list["items"][0].get("spec"), None);
        assert_eq!(list["metadata"]["resourceVersion"], "5");
        assert_eq!(partial_object(&object, "v1beta1")["apiVersion"], "meta.k8s.io/v1beta1");
    }
}

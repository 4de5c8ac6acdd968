use serde_json::Value;
use trireme_schema::kinds::{Kind, Subresource};

use super::*;

fn widget(version: &str) -> ServedKind {
    let words = |list: &[&str]| list.iter().map(|&w| w.to_owned()).collect::<Vec<_>>();
    let kind = Kind {
        group: "example.com".to_owned(),
        version: version.to_owned(),
        kind: "Widget".to_owned(),
        plural: "widgets".to_owned(),
        singular: "widget".to_owned(),
        namespaced: true,
        verbs: words(&["create", "get"]),
        short_names: words(&["wd"]),
        categories: words(&["all"]),
        subresources: vec![Subresource {
            name: "scale".to_owned(),
            group: "autoscaling".to_owned(),
            version: "v1".to_owned(),
            kind: "Scale".to_owned(),
            verbs: words(&["get"]),
        }],
    };
    ServedKind::custom(kind, "v1")
}

fn catalogue() -> Catalogue {
    Catalogue::new(ServedKind::all_built_in().chain([widget("v1alpha1"), widget("v2"), widget("v1")]))
}

#[test]
fn custom_groups_come_last_with_the_newest_version_first() {
    let list = catalogue().api_group_list();
    let groups = list["groups"].as_array().unwrap();
    assert_eq!(groups.first().unwrap()["name"], "apiregistration.k8s.io");
    let last = groups.last().unwrap();
    assert_eq!(last["name"], "example.com");
    assert_eq!(last["preferredVersion"]["version"], "v2");
    let versions: Vec<&Value> = last["versions"].as_array().unwrap().iter().map(|v| &v["version"]).collect();
    assert_eq!(versions, ["v2", "v1", "v1alpha1"]);
}

#[test]
fn custom_kinds_are_named_in_full() {
    let document = catalogue().aggregated_groups(AggregatedVersion::V2);
    let list: Value = serde_json::from_slice(&document.body).unwrap();
    let group = list["items"].as_array().unwrap().last().unwrap().clone();
    let resource = &group["versions"][1]["resources"][0];
    assert_eq!(
        resource["responseKind"],
        serde_json::json!({ "group": "example.com", "version": "v1", "kind": "Widget" })
    );
    assert_eq!(resource["subresources"][0]["responseKind"]["group"], "autoscaling");
    let hash = |version: &str| {
        catalogue().api_resource_list("example.com", version).unwrap()["resources"][0]["storageVersionHash"]
            .clone()
    };
    assert_eq!(hash("v1"), hash("v2"));
}

#[test]
fn what_is_not_served_is_none() {
    assert_eq!(catalogue().api_group("nothing"), None);
    assert_eq!(catalogue().api_group(""), None);
    assert_eq!(catalogue().api_resource_list("apps", "v2"), None);
}

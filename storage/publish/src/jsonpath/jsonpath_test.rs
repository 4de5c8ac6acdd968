use serde_json::{Value, json};

use super::*;

fn texts(path: &str, value: &Value) -> Vec<String> {
    JsonPath::parse(path).unwrap().find(value).into_iter().map(print_value).collect()
}

#[test]
fn paths_find_values() {
    let value = json!({
        "spec": {"a.b": 7, "l": [{"k": "a", "v": 1}, {"k": "b", "v": 2}, {"k": "c", "v": 3}]},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    });
    assert_eq!(texts(".spec.l[0].v", &value), ["1"]);
    assert_eq!(texts("{.spec.l[-1].k}", &value), ["c"]);
    assert_eq!(texts(".spec.l[*].k", &value), ["a", "b", "c"]);
    assert_eq!(texts(".spec.l[1:].v", &value), ["2", "3"]);
    assert_eq!(texts(".spec.l[0,2].v", &value), ["1", "3"]);
    assert_eq!(texts(".spec['a.b']", &value), ["7"]);
    assert_eq!(texts(".spec.a\\.b", &value), ["7"]);
    assert_eq!(texts(".spec.l[?(@.k==\"b\")].v", &value), ["2"]);
    assert_eq!(texts(".spec.l[?(@.v>1)].k", &value), ["b", "c"]);
    assert_eq!(texts(".status.conditions[?(@.type=='Ready')].status", &value), ["True"]);
    assert_eq!(texts("..k", &value), ["a", "b", "c"]);
    assert_eq!(texts(".spec.l[?(@.k)].v", &value), ["1", "2", "3"]);
    assert_eq!(texts(".spec.missing[3].x", &value), Vec::<String>::new());
    assert_eq!(texts(".spec.l[9].v", &value), Vec::<String>::new());
    assert_eq!(texts(".status.conditions", &value), ["[{\"status\":\"True\",\"type\":\"Ready\"}]"]);
}

#[test]
fn what_is_no_path_is_refused() {
    for path in [".a[", ".a[x]", ".a[?(@.b==]", ".a[?(@.b", ".a['x", ".a]", ".a[1:2:0]", ".a\\"] {
        assert!(JsonPath::parse(path).is_err(), "{path}");
    }
    assert!(JsonPath::parse(&format!(".{}", "a".repeat(PATH_LIMIT_BYTES))).is_err());
}

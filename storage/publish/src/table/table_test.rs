use serde_json::json;
use trireme_schema::time::Moment;

use super::*;

fn options(include: IncludeObject) -> TableOptions<'static> {
    let now = Moment::parse_time("2024-01-01T00:02:00Z").unwrap();
    TableOptions { include, version: "v1", now, header: Header::Full }
}

#[test]
fn custom_columns_print_what_fits() {
    let format = TableFormat::custom(&json!([
        {"name": "A", "type": "string", "jsonPath": ".spec.a"},
        {"name": "N", "type": "integer", "jsonPath": ".spec.n", "priority": 1, "format": "int32"},
        {"name": "F", "type": "number", "jsonPath": ".spec.f"},
        {"name": "B", "type": "boolean", "jsonPath": ".spec.b"},
        {"name": "T", "type": "date", "jsonPath": ".spec.t"},
        {"name": "Bad", "type": "string", "jsonPath": ".spec["},
    ]));
    assert_eq!(format.columns()[2].priority, 1);
    assert_eq!(
        format.columns()[1].description,
        "Custom resource definition column (in JSONPath format): .spec.a"
    );
    let object = json!({
        "metadata": {"name": "x"},
        "spec": {"a": 5, "n": 2.9, "f": 1.5, "b": true, "t": "2024-01-01T00:00:00Z"},
    });
    let row = format.row(&object, &options(IncludeObject::None));
    assert_eq!(row["cells"], json!(["x", "5", 2, 1.5, true, "2m", null]));
    assert_eq!(row["object"], json!(null));
    let wrong = json!({"metadata": {"name": "y"}, "spec": {"n": "s", "f": "s", "b": 1, "t": "x"}});
    let row = format.row(&wrong, &options(IncludeObject::None));
    assert_eq!(row["cells"], json!(["y", null, null, null, null, "<invalid>", null]));
}

#[test]
fn without_columns_the_age_is_shown() {
    let format = TableFormat::custom(&json!(null));
    let object = json!({"metadata": {"name": "x", "creationTimestamp": "2024-01-01T00:00:00Z"}});
    let table = format.single(&object, &options(IncludeObject::Metadata));
    assert_eq!(table["rows"][0]["cells"], json!(["x", "2m"]));
    assert_eq!(table["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    assert_eq!(table["columnDefinitions"][1]["type"], "date");
}

#[test]
fn lists_keep_their_metadata_and_watches_leave_out_the_header() {
    let format = TableFormat::built_in("", "v1", "ConfigMap", Release::V1_28);
    let metadata = json!({"resourceVersion": "7", "continue": "", "remainingItemCount": 3});
    let mut options = options(IncludeObject::Object);
    options.header = Header::Omitted;
    let object = json!({"kind": "ConfigMap", "data": {"a": "b"}});
    let table = format.list([&object], &metadata, &options);
    assert_eq!(table["metadata"], json!({"resourceVersion": "7", "remainingItemCount": 3}));
    assert_eq!(table["columnDefinitions"], json!(null));
    assert_eq!(table["rows"][0]["object"], object);
    assert_eq!(table["rows"][0]["cells"], json!(["", 1, "<unknown>"]));
}

#[test]
fn include_object_is_one_of_three() {
    assert_eq!(IncludeObject::parse(""), Ok(IncludeObject::Metadata));
    assert_eq!(IncludeObject::parse("Object"), Ok(IncludeObject::Object));
    let error = IncludeObject::parse("Foo").unwrap_err().to_string();
    assert!(
        error.ends_with("Invalid value: \"Foo\": must be 'Metadata', 'Object', 'None', or empty"),
        "{error}"
    );
}

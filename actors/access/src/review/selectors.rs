//! Selectors in the resource attributes of access reviews (v1.31 and later).

use serde_json::Value;
use trireme_schema::field::{ErrorList, Path};
use trireme_schema::selector::FieldSelector;
use trireme_schema::view::View;

/// Checks a `fieldSelector` or `labelSelector`, as `name` says.
pub(super) fn check(selector: &Value, name: &str, path: &Path<'_>, errors: &mut ErrorList) {
    let raw = selector.text("rawSelector");
    let requirements = selector.list("requirements");
    let list = path.child("requirements");
    match (raw.is_empty(), selector.has("requirements")) {
        (false, _) if !requirements.is_empty() => {
            let why = "may not specified at the same time as requirements";
            errors.invalid_str(&path.child("rawSelector"), raw, why);
        }
        (true, false) => {
            errors.required(
                &list,
                format!("when {name} is specified, requirements or rawSelector is required"),
            );
        }
        (true, true) if requirements.is_empty() => {
            errors.required(
                &list,
                format!("when {name} is specified, requirements or rawSelector is required"),
            );
        }
        _ => {}
    }
    for (index, requirement) in requirements.iter().enumerate() {
        let path = list.index(index);
        if requirement.text("key").is_empty() {
            errors.required(&path.child("key"), "must be specified");
        }
        let values = path.child("values");
        let none = requirement.list("values").is_empty();
        match requirement.text("operator") {
            "In" | "NotIn" if none => {
                errors.required(&values, "must be specified when `operator` is 'In' or 'NotIn'");
            }
            "Exists" | "DoesNotExist" if !none => {
                errors
                    .forbidden(&values, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => errors.invalid_str(&path.child("operator"), other, "not a valid selector operator"),
        }
    }
}

/// The field selector that attributes carry: of the requirements, those that compare with one value.
///
/// # Errors
/// What cannot be said as a field selector; upstream reports it as an evaluation error and goes on without.
pub(super) fn field_selector(selector: &Value) -> Result<FieldSelector, String> {
    let raw = selector.text("rawSelector");
    if !raw.is_empty() {
        return FieldSelector::parse(raw).map_err(|error| error.to_string());
    }
    let mut terms = Vec::new();
    for requirement in selector.list("requirements") {
        let key = requirement.text("key");
        let operator = match requirement.text("operator") {
            "In" => "=",
            "NotIn" => "!=",
            other => return Err(format!("fieldSelectors do not support operator {other:?} for {key:?}")),
        };
        let [value] = requirement.list("values") else {
            return Err(format!("fieldSelectors require exactly one value for {key:?}"));
        };
        let value = value.as_str().unwrap_or("");
        let escaped = value.replace('\\', "\\\\").replace(',', "\\,").replace('=', "\\=");
        terms.push(format!("{key}{operator}{escaped}"));
    }
    FieldSelector::parse(&terms.join(",")).map_err(|error| error.to_string())
}

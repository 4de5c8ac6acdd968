//! [`DeleteOptions`]: how an object shall go.

use serde_json::Value;
use trireme_schema::field::{ErrorList, Path};
use trireme_schema::status::{Failure, Status};
use trireme_schema::view::View;

use crate::body;
use crate::scope::Scope;

/// Read and checked options of a delete.
#[derive(Clone, Debug, Default)]
pub(crate) struct DeleteOptions {
    /// Seconds that the object may take to end.
    pub(crate) grace_seconds: Option<i64>,
    /// The UID that the object must have.
    pub(crate) uid: Option<String>,
    /// The resourceVersion that the object must have.
    pub(crate) resource_version: Option<String>,
    /// The deprecated boolean.
    pub(crate) orphan_dependents: Option<bool>,
    /// `Orphan`, `Background` or `Foreground`.
    pub(crate) propagation: Option<String>,
    /// Nothing shall be stored.
    pub(crate) dry_run: bool,
    /// As sent, for admission.
    pub(crate) raw: Value,
}

impl DeleteOptions {
    /// From a body or, without one, from the parameters.
    ///
    /// # Errors
    /// 400, 415 for bodies that do not decode, 422 for options that make no sense.
    pub(crate) fn parse(scope: &Scope, bytes: &[u8]) -> Result<Self, Failure> {
        let content_type = scope.content_type.as_deref();
        let sent = body::value(content_type, bytes)?;
        Self::of_value(match sent {
            Some(value) => from_body(value)?,
            None => from_query(scope)?,
        })
    }

    /// From a DeleteOptions object, or nothing.
    ///
    /// # Errors
    /// 422 for options that make no sense.
    pub(crate) fn of_value(raw: Value) -> Result<Self, Failure> {
        let mut raw = if raw.is_object() { raw } else { Value::Object(serde_json::Map::new()) };
        if let Some(map) = raw.as_object_mut() {
            map.insert("kind".to_owned(), "DeleteOptions".into());
            map.insert("apiVersion".to_owned(), "meta.k8s.io/v1".into());
        }
        let preconditions = raw.at("preconditions");
        let text = |name: &str| preconditions.at(name).as_str().map(str::to_owned);
        let options = Self {
            grace_seconds: raw.int("gracePeriodSeconds"),
            uid: text("uid"),
            resource_version: text("resourceVersion"),
            orphan_dependents: raw.at("orphanDependents").as_bool(),
            propagation: raw.at("propagationPolicy").as_str().map(str::to_owned),
            dry_run: !raw.list("dryRun").is_empty(),
            raw: Value::Null,
        };
        options.check(&raw)?;
        Ok(Self { raw, ..options })
    }

    fn check(&self, raw: &Value) -> Result<(), Failure> {
        let mut errors = ErrorList::new();
        let policy = Path::new("propagationPolicy");
        if self.propagation.is_some() && self.orphan_dependents.is_some() {
            let shown = self.propagation.as_deref().unwrap_or_default();
            errors.invalid_str(&policy, shown, "orphanDependents and deletionPropagation cannot be both set");
        }
        if let Some(given) = self.propagation.as_deref()
            && !matches!(given, "Foreground" | "Background" | "Orphan")
        {
            errors.not_supported(&policy, given, &["Background", "Foreground", "Orphan"]);
        }
        let dry_run: Vec<&str> = raw.list("dryRun").iter().filter_map(Value::as_str).collect();
        if dry_run.iter().any(|value| *value != "All") {
            let shown: Vec<String> = dry_run.iter().map(|value| format!("{value:?}")).collect();
            let shown = format!("[]string{{{}}}", shown.join(", "));
            errors.not_supported_text(&Path::new("dryRun"), shown, &["All"]);
        }
        if errors.is_empty() {
            return Ok(());
        }
        Err(Status::invalid("meta.k8s.io", "DeleteOptions", "", &errors))
    }
}

fn from_body(value: Value) -> Result<Value, Failure> {
    let (kind, api_version) = (value.text("kind"), value.text("apiVersion"));
    if !kind.is_empty() && kind != "DeleteOptions" {
        let scheme = "k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme/register.go:27";
        return Err(Status::plain(
            500,
            format!("no kind {kind:?} is registered for version {api_version:?} in scheme {scheme:?}"),
        ));
    }
    for (name, fits, go) in [
        ("gracePeriodSeconds", Value::is_i64 as fn(&Value) -> bool, "int64"),
        ("orphanDependents", Value::is_boolean, "bool"),
        ("propagationPolicy", Value::is_string, "v1.DeletionPropagation"),
        ("preconditions", Value::is_object, "v1.Preconditions"),
        ("dryRun", Value::is_array, "[]string"),
    ] {
        let given = value.at(name);
        if !given.is_null() && !fits(given) {
            let what = match given {
                Value::String(_) => "string",
                Value::Number(_) => "number",
                Value::Bool(_) => "bool",
                Value::Array(_) => "array",
                _ => "object",
            };
            return Err(Status::plain(
                500,
                format!(
                    "json: cannot unmarshal {what} into Go struct field DeleteOptions.{name} of type {go}"
                ),
            ));
        }
    }
    Ok(value)
}

fn from_query(scope: &Scope) -> Result<Value, Failure> {
    let mut out = serde_json::Map::new();
    let query = &scope.query;
    if let Some(text) = query.first("gracePeriodSeconds").filter(|text| !text.is_empty()) {
        let seconds: i64 = text.parse().map_err(|_| {
            Status::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax"))
        })?;
        out.insert("gracePeriodSeconds".to_owned(), seconds.into());
    }
    if query.first("orphanDependents").is_some() {
        out.insert("orphanDependents".to_owned(), query.is_true("orphanDependents").into());
    }
    if let Some(text) = query.first("propagationPolicy") {
        out.insert("propagationPolicy".to_owned(), text.into());
    }
    let dry_run = query.all("dryRun");
    if !dry_run.is_empty() {
        out.insert("dryRun".to_owned(), dry_run.into());
    }
    Ok(Value::Object(out))
}

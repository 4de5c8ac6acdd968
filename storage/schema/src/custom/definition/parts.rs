//! [`Parts`]: a definition's spec with the parts that all versions share at its top, as upstream's internal form.

use serde_json::Value;

use crate::view::{View, same};

/// A part of a version, or of all.
pub(super) struct Shared<'a>(Option<&'a Value>);

/// The view.
pub(super) struct Parts<'a> {
    pub(super) spec: &'a Value,
    pub(super) versions: &'a [Value],
    schema: Shared<'a>,
    subresources: Shared<'a>,
    columns: Shared<'a>,
    selectable: Shared<'a>,
}

fn shared<'a>(versions: &'a [Value], name: &str) -> Shared<'a> {
    let Some(first) = versions.first() else { return Shared(None) };
    let alike = versions.iter().all(|v| same(v.at(name), first.at(name)));
    Shared(alike.then(|| first.at(name)))
}

static NULL: Value = Value::Null;

impl<'a> Shared<'a> {
    /// The part at the top, or null.
    fn top(&self) -> &'a Value {
        self.0.unwrap_or(&NULL)
    }

    /// The part in a version, or null when it stands at the top.
    fn own(&self, version: &'a Value, name: &str) -> &'a Value {
        if self.0.is_some() { &NULL } else { version.at(name) }
    }
}

impl<'a> Parts<'a> {
    pub(super) fn of(spec: &'a Value) -> Parts<'a> {
        let versions = spec.list("versions");
        Parts {
            spec,
            versions,
            schema: shared(versions, "schema"),
            subresources: shared(versions, "subresources"),
            columns: shared(versions, "additionalPrinterColumns"),
            selectable: shared(versions, "selectableFields"),
        }
    }

    pub(super) fn schema(&self) -> &'a Value {
        self.schema.top()
    }
    pub(super) fn subresources(&self) -> &'a Value {
        self.subresources.top()
    }
    pub(super) fn columns(&self) -> &'a [Value] {
        self.columns.top().as_array().map_or(&[], Vec::as_slice)
    }
    pub(super) fn selectable(&self) -> &'a [Value] {
        self.selectable.top().as_array().map_or(&[], Vec::as_slice)
    }

    pub(super) fn schema_of(&self, version: &'a Value) -> &'a Value {
        self.schema.own(version, "schema")
    }
    pub(super) fn subresources_of(&self, version: &'a Value) -> &'a Value {
        self.subresources.own(version, "subresources")
    }
    pub(super) fn columns_of(&self, version: &'a Value) -> &'a [Value] {
        self.columns.own(version, "additionalPrinterColumns").as_array().map_or(&[], Vec::as_slice)
    }
    pub(super) fn selectable_of(&self, version: &'a Value) -> &'a [Value] {
        self.selectable.own(version, "selectableFields").as_array().map_or(&[], Vec::as_slice)
    }

    /// Some version has its status as a subresource.
    pub(super) fn any_status(&self) -> bool {
        self.versions.iter().any(|v| v.at("subresources").has("status"))
    }
}

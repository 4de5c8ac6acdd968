//! [`RenderedShape`]: the frames of a watch that is not plain JSON of the stored version.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use trireme_http::negotiate::{Accepted, Format, Target};
use trireme_publish::partial::partial_object;
use trireme_publish::table::{Header, IncludeObject, TableOptions};
use trireme_schema::status::{Failure, Status};

use crate::catalogue::ServedKind;
use crate::render::encode;
use crate::scope::Scope;

/// Turns stored objects into the frames of a watch that is not plain.
pub(crate) struct RenderedShape {
    key: String,
    kind: Arc<ServedKind>,
    format: Format,
    target: Option<Target>,
    include: IncludeObject,
}

impl RenderedShape {
    pub(crate) fn new(scope: &Scope, accepted: &Accepted) -> Result<Self, Failure> {
        let include = scope.query.text("includeObject");
        let key = format!(
            "{}/{} {:?} {:?} {include}",
            scope.kind.group, scope.kind.version, accepted.format, accepted.target
        );
        Ok(Self {
            key,
            kind: scope.kind.clone(),
            format: accepted.format,
            target: accepted.target.clone(),
            include: IncludeObject::parse(include).map_err(|error| Status::bad_request(error.to_string()))?,
        })
    }

    fn shaped(&self, object: Value, first: bool) -> Value {
        let Some(target) = &self.target else { return object };
        match target.kind.as_str() {
            "Table" => {
                let header = if first { Header::Full } else { Header::Omitted };
                let options = TableOptions {
                    include: self.include,
                    version: &target.version,
                    now: crate::scope::now(),
                    header,
                };
                self.kind.table().single(&object, &options)
            }
            _ => partial_object(&object, &target.version),
        }
    }

    fn frame(&self, kind: &str, object: Value) -> Bytes {
        let event = json!({"type": kind, "object": object});
        match self.format {
            Format::Yaml => {
                let mut out = encode(&event, Format::Yaml, false).to_vec();
                out.extend_from_slice(b"---\n");
                Bytes::from(out)
            }
            _ => encode(&event, Format::Json, false),
        }
    }
}

impl crate::watch::ShapeEncoder for RenderedShape {
    fn key(&self) -> &str {
        &self.key
    }

    fn differs_at_first(&self) -> bool {
        self.target.as_ref().is_some_and(|target| target.kind == "Table")
    }

    fn event(&self, kind: crate::watch::EventType, object: &Value, first: bool) -> Bytes {
        match self.kind.rules.served_form(object.clone()) {
            Ok(object) => self.frame(kind.name(), self.shaped(object, first)),
            Err(failure) => self.frame("ERROR", failure.to_value()),
        }
    }

    fn raw(&self, kind: &str, object: Value) -> Bytes {
        let object = if kind == "BOOKMARK" { self.shaped(object, false) } else { object };
        self.frame(kind, object)
    }
}

//! Request bodies in their formats.

use serde_json::Value;
use trireme_http::negotiate::Format;
use trireme_schema::json;
use trireme_schema::request::Decoded;
use trireme_schema::status::{Failure, Status};

use crate::scope::Scope;

/// The formats that bodies may have, in upstream's words.
const ACCEPTED: [&str; 3] = ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];

/// The format that a content type names.
///
/// # Errors
/// 415.
pub(crate) fn format(content_type: Option<&str>) -> Result<Format, Failure> {
    let text = content_type.unwrap_or_default();
    let media = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match media.as_str() {
        "" | "application/json" => Ok(Format::Json),
        "application/yaml" => Ok(Format::Yaml),
        "application/vnd.kubernetes.protobuf" => Ok(Format::Protobuf),
        _ => Err(Status::unsupported_media_type(&ACCEPTED)),
    }
}

/// Decodes a body into the scope's kind.
///
/// # Errors
/// 400, 415.
pub(crate) fn decode(scope: &Scope, body: &[u8]) -> Result<Decoded, Failure> {
    match format(scope.content_type.as_deref())? {
        Format::Yaml => {
            let (value, duplicates) = yaml(body)?;
            scope.kind.rules.decode_value(value, duplicates, scope.validation())
        }
        Format::Protobuf => scope.kind.rules.decode_value(protobuf(body)?, Vec::new(), scope.validation()),
        _ => scope.kind.rules.decode(body, scope.validation()),
    }
}

/// Reads a body as a plain value, whatever its kind; an empty one is `None`.
///
/// # Errors
/// 400, 415.
pub(crate) fn value(content_type: Option<&str>, body: &[u8]) -> Result<Option<Value>, Failure> {
    if body.is_empty() {
        return Ok(None);
    }
    match format(content_type)? {
        Format::Yaml => Ok(Some(yaml(body)?.0)),
        Format::Protobuf => protobuf(body).map(Some),
        _ => {
            let document = trireme_schema::json::parse(body);
            document.map(|document| Some(document.value)).map_err(|error| {
                Status::bad_request(format!("couldn't get version/kind; json parse error: {error}"))
            })
        }
    }
}

/// Reads YAML, of which JSON is a part. Gives what is to be said of repeated keys.
///
/// # Errors
/// 400.
pub(crate) fn yaml(body: &[u8]) -> Result<(Value, Vec<String>), Failure> {
    if body.first() == Some(&b'{')
        && let Ok(document) = trireme_schema::json::parse(body)
    {
        return Ok((document.value, json::repeated(&document.duplicates)));
    }
    let document = trireme_schema::yaml::parse(body)
        .map_err(|error| Status::bad_request(format!("error converting YAML to JSON: {error}")))?;
    Ok((document.value, document.duplicates))
}

/// Reads an object in protobuf.
///
/// # Errors
/// 400.
pub(crate) fn protobuf(body: &[u8]) -> Result<Value, Failure> {
    trireme_protobuf::decode_object(body).map_err(|error| Status::bad_request(error.to_string()))
}

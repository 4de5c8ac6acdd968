//! The stored form of an object, and how it becomes an answer without being parsed.
//!
//! A value is one format byte, the splice offset (u32, little endian) and JSON: `kind` and `apiVersion` first, then the
//! other fields sorted, without `metadata.resourceVersion`. At the offset (counted within the JSON) the version is
//! spliced in, so that a get or a list copies bytes. List items leave `kind` and `apiVersion` out: those are the JSON's
//! beginning, of a length that the kind knows.

use bytes::Bytes;
use serde_json::{Map, Value};
use thiserror::Error;
use trireme_mvcc::{Key, Object, Revision};

/// The format that this build writes.
const FORMAT: u8 = 1;
/// Format byte and offset.
const HEADER_BYTES: usize = 5;

/// Why a stored value is not an object. Not retryable: the store holds what another build wrote, or is damaged.
#[derive(Debug, Error)]
#[error("the stored value of {key} is not readable by this build: {why}")]
pub struct RecordError {
    /// Whose value.
    pub key: String,
    /// What is wrong.
    pub why: String,
}

/// One stored version of an object. Clones share the bytes.
#[derive(Clone, Debug)]
pub struct Record {
    key: Key,
    value: Bytes,
    revision: Revision,
}

impl Record {
    /// Checks the header.
    ///
    /// # Errors
    /// The format is unknown or the offset lies outside.
    pub fn new(object: &Object) -> Result<Self, RecordError> {
        Self::written(object.key().clone(), object.value().clone(), object.mod_revision())
    }

    /// A version that was written at `revision`.
    ///
    /// # Errors
    /// As [`Record::new`].
    pub fn written(key: Key, value: Bytes, revision: Revision) -> Result<Self, RecordError> {
        let fail = |why: &str| RecordError { key: key.to_string(), why: why.to_owned() };
        if value.first() != Some(&FORMAT) || value.len() < HEADER_BYTES {
            return Err(fail("unknown format"));
        }
        if offset(&value) > value.len() - HEADER_BYTES {
            return Err(fail("the splice offset lies outside"));
        }
        Ok(Self { key, value, revision })
    }

    /// Where it is stored.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The stored bytes.
    pub fn value(&self) -> &Bytes {
        &self.value
    }

    /// The object as JSON, without its resourceVersion.
    pub fn stored_json(&self) -> &[u8] {
        &self.value[HEADER_BYTES..]
    }

    /// The revision of this version: its resourceVersion.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The JSON before and after the place of the resourceVersion.
    fn halves(&self) -> (&[u8], &[u8]) {
        self.value[HEADER_BYTES..].split_at(offset(&self.value))
    }

    /// Appends the whole object as JSON, with `revision` as its resourceVersion, leaving out the first `skip` bytes
    /// behind the opening brace.
    pub fn write_json(&self, revision: Revision, skip: usize, out: &mut Vec<u8>) {
        let (before, after) = self.halves();
        out.reserve(before.len() + after.len() + 48);
        if skip == 0 {
            out.extend_from_slice(before);
        } else {
            out.push(b'{');
            out.extend_from_slice(before.get(1 + skip..).unwrap_or_default());
        }
        splice(revision, before, after, out);
        out.extend_from_slice(after);
    }

    /// The whole object as JSON.
    pub fn to_json(&self) -> Bytes {
        let mut out = Vec::new();
        self.write_json(self.revision(), 0, &mut out);
        Bytes::from(out)
    }

    /// Decodes the object, with its resourceVersion.
    ///
    /// # Errors
    /// The JSON is damaged.
    pub fn decode(&self) -> Result<Value, RecordError> {
        self.decode_at(self.revision())
    }

    /// Decodes the object with another resourceVersion, as a DELETED event carries it.
    ///
    /// # Errors
    /// The JSON is damaged.
    pub fn decode_at(&self, revision: Revision) -> Result<Value, RecordError> {
        let json = &self.value[HEADER_BYTES..];
        let mut value: Value = serde_json::from_slice(json)
            .map_err(|error| RecordError { key: self.key.to_string(), why: error.to_string() })?;
        if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.insert("resourceVersion".to_owned(), revision.to_string().into());
        }
        Ok(value)
    }
}

/// `"resourceVersion":"N"` with the comma that its place needs.
fn splice(revision: Revision, before: &[u8], after: &[u8], out: &mut Vec<u8>) {
    let last = after.first() == Some(&b'}');
    if last && before.last() != Some(&b'{') {
        out.push(b',');
    }
    out.extend_from_slice(b"\"resourceVersion\":\"");
    out.extend_from_slice(revision.to_string().as_bytes());
    out.push(b'"');
    if !last {
        out.push(b',');
    }
}

fn offset(value: &[u8]) -> usize {
    let bytes = [value[1], value[2], value[3], value[4]];
    usize::try_from(u32::from_le_bytes(bytes)).expect("32 bits fit a usize on every supported target")
}

/// The bytes that a list item leaves out behind its brace: `"kind":K,"apiVersion":V,`.
pub fn type_prefix_bytes(kind: &str, api_version: &str) -> usize {
    // Kinds and versions are plain identifiers: no character needs escaping.
    r#""kind":"","apiVersion":"","#.len() + kind.len() + api_version.len()
}

/// Whether two objects store the same, whatever their resourceVersions.
pub fn same_content(a: &Value, b: &Value) -> bool {
    let without = |value: &Value| {
        let mut value = value.clone();
        if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("resourceVersion");
        }
        value
    };
    without(a) == without(b)
}

/// The value to store for an object. Its resourceVersion is left out; it must have `metadata`.
pub fn encode(object: &Value) -> Bytes {
    static EMPTY: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
    let map = object.as_object().unwrap_or(&EMPTY);
    let mut out = vec![FORMAT, 0, 0, 0, 0];
    let mut at = 0;
    out.push(b'{');
    for name in ["kind", "apiVersion"] {
        if let Some(value) = map.get(name) {
            field(name, &mut out);
            json(value, &mut out);
        }
    }
    for (name, value) in map.iter().filter(|(name, _)| !matches!(name.as_str(), "kind" | "apiVersion")) {
        field(name, &mut out);
        match value {
            Value::Object(metadata) if name == "metadata" => at = write_metadata(metadata, &mut out),
            value => json(value, &mut out),
        }
    }
    out.push(b'}');
    let at = u32::try_from(at - HEADER_BYTES).expect("an object is far below 4 GiB");
    out[1..HEADER_BYTES].copy_from_slice(&at.to_le_bytes());
    Bytes::from(out)
}

/// Writes metadata without the resourceVersion; gives the place where it belongs.
fn write_metadata(metadata: &Map<String, Value>, out: &mut Vec<u8>) -> usize {
    out.push(b'{');
    let mut at = None;
    for (name, value) in metadata.iter().filter(|(name, _)| name.as_str() != "resourceVersion") {
        if name.as_str() > "resourceVersion" && at.is_none() {
            comma(out);
            at = Some(out.len());
            json_key(name, out);
        } else {
            field(name, out);
        }
        json(value, out);
    }
    let at = at.unwrap_or(out.len());
    out.push(b'}');
    at
}

fn comma(out: &mut Vec<u8>) {
    if out.last() != Some(&b'{') {
        out.push(b',');
    }
}

fn field(name: &str, out: &mut Vec<u8>) {
    comma(out);
    json_key(name, out);
}

fn json_key(name: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(&mut *out, name).expect("writing into memory does not fail");
    out.push(b':');
}

fn json(value: &Value, out: &mut Vec<u8>) {
    serde_json::to_writer(out, value).expect("writing a value into memory does not fail");
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read_back(object: &Value, skip: usize) -> Value {
        let value = encode(object);
        let (before, after) = value[HEADER_BYTES..].split_at(offset(&value));
        let mut out = Vec::new();
        if skip > 0 {
            out.push(b'{');
            out.extend_from_slice(&before[1 + skip..]);
        } else {
            out.extend_from_slice(before);
        }
        splice(Revision::new(7), before, after, &mut out);
        out.extend_from_slice(after);
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn the_version_is_spliced_in_wherever_metadata_ends() {
        for metadata in [
            json!({"name": "a", "uid": "u", "resourceVersion": "3"}),
            json!({"name": "a"}),
            json!({"uid": "u"}),
            json!({}),
        ] {
            let object =
                json!({"apiVersion": "v1", "kind": "Pod", "aaa": [1], "metadata": metadata, "spec": {}});
            let mut wanted = object.clone();
            wanted["metadata"]["resourceVersion"] = "7".into();
            assert_eq!(read_back(&object, 0), wanted);
        }
    }

    #[test]
    fn list_items_leave_the_type_out() {
        let object =
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a", "uid": "u"}});
        let item = read_back(&object, type_prefix_bytes("Deployment", "apps/v1"));
        assert_eq!(item, json!({"metadata": {"name": "a", "uid": "u", "resourceVersion": "7"}}));
    }
}

//! OpenAPI v2 in protobuf: the messages of gnostic's `openapi.v2`, which kubectl reads instead of JSON.
//!
//! Written straight from the JSON pieces; only the fields that this server's documents have are known.

use serde_json::Value;
use trireme_schema::view::View;

/// Writes protobuf fields.
#[derive(Default)]
struct Message {
    bytes: Vec<u8>,
}

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(u8::try_from(value & 0x7f).expect("seven bits") | 0x80);
            value >>= 7;
        }
        self.bytes.push(u8::try_from(value).expect("below 128"));
    }

    fn key(&mut self, field: u32, wire_type: u32) {
        self.varint(u64::from(field << 3 | wire_type));
    }

    fn raw(&mut self, field: u32, bytes: &[u8]) {
        self.key(field, 2);
        self.varint(bytes.len() as u64);
        self.bytes.extend_from_slice(bytes);
    }

    /// An empty text is not written, as proto3 has it.
    fn text(&mut self, field: u32, text: &str) {
        if !text.is_empty() {
            self.raw(field, text.as_bytes());
        }
    }

    fn texts(&mut self, field: u32, list: &[Value]) {
        for text in list {
            self.raw(field, text.as_str().unwrap_or("").as_bytes());
        }
    }

    fn flag(&mut self, field: u32, on: bool) {
        if on {
            self.key(field, 0);
            self.varint(1);
        }
    }

    fn whole(&mut self, field: u32, value: Option<i64>) {
        if let Some(value) = value {
            self.key(field, 0);
            // Two's complement, as int64 is encoded.
            self.varint(u64::from_ne_bytes(value.to_ne_bytes()));
        }
    }

    fn number(&mut self, field: u32, value: Option<f64>) {
        if let Some(value) = value {
            self.key(field, 1);
            self.bytes.extend_from_slice(&value.to_le_bytes());
        }
    }

    fn message(&mut self, field: u32, message: &Message) {
        self.raw(field, &message.bytes);
    }

    /// An entry of a map that is written as a list of pairs.
    fn named(&mut self, field: u32, name: &str, value: &Message) {
        let mut pair = Message::default();
        pair.text(1, name);
        pair.message(2, value);
        self.message(field, &pair);
    }

    /// The `x-` fields of an object.
    fn extensions(&mut self, field: u32, of: &Value) {
        for (name, value) in of.as_object().into_iter().flatten() {
            if name.starts_with("x-") {
                self.named(field, name, &any(value));
            }
        }
    }
}

/// Any JSON value: gnostic keeps its YAML text, and JSON is YAML.
fn any(value: &Value) -> Message {
    let mut message = Message::default();
    message.text(2, &format!("{value}\n"));
    message
}

/// A schema as a `Schema` message.
pub(super) fn encode_schema(value: &Value) -> Vec<u8> {
    schema(value).bytes
}

/// The document under construction.
pub(super) struct DocumentWriter {
    head: Message,
    paths: Message,
    definitions: Message,
}

impl DocumentWriter {
    pub(super) fn new(title: &str, version: &str) -> Self {
        let mut info = Message::default();
        info.text(1, title);
        info.text(2, version);
        let mut head = Message::default();
        head.text(1, "2.0");
        head.message(2, &info);
        DocumentWriter { head, paths: Message::default(), definitions: Message::default() }
    }

    pub(super) fn path(&mut self, path: &str, item: &Value) {
        self.paths.named(2, path, &path_item(item));
    }

    /// `schema` is what [`encode_schema`] gave.
    pub(super) fn definition(&mut self, name: &str, schema: &[u8]) {
        self.definitions.named(1, name, &Message { bytes: schema.to_vec() });
    }

    /// The whole document; `bearer` is the one security definition.
    pub(super) fn finish(self, bearer: &Value) -> Vec<u8> {
        let mut out = self.head;
        out.message(8, &self.paths);
        out.message(9, &self.definitions);
        let (mut names, mut requirement) = (Message::default(), Message::default());
        requirement.named(1, "BearerToken", &Message::default());
        out.message(12, &requirement);
        let (mut key, mut item) = (Message::default(), Message::default());
        for (field, name) in [(1, "type"), (2, "name"), (3, "in"), (4, "description")] {
            key.text(field, bearer.text(name));
        }
        item.message(2, &key);
        names.named(1, "BearerToken", &item);
        out.message(13, &names);
        out.bytes
    }
}

fn path_item(item: &Value) -> Message {
    let mut out = Message::default();
    let methods =
        [(2, "get"), (3, "put"), (4, "post"), (5, "delete"), (6, "options"), (7, "head"), (8, "patch")];
    for (field, method) in methods {
        if item.has(method) {
            out.message(field, &operation(item.at(method)));
        }
    }
    for one in item.list("parameters") {
        out.message(9, &parameter(one));
    }
    out
}

fn operation(of: &Value) -> Message {
    let mut out = Message::default();
    out.texts(1, of.list("tags"));
    out.text(3, of.text("description"));
    out.text(5, of.text("operationId"));
    out.texts(6, of.list("produces"));
    out.texts(7, of.list("consumes"));
    for one in of.list("parameters") {
        out.message(8, &parameter(one));
    }
    let mut responses = Message::default();
    for (code, answer) in of.map("responses").into_iter().flatten() {
        let mut response = Message::default();
        response.text(1, answer.text("description"));
        if answer.has("schema") {
            let mut item = Message::default();
            item.message(1, &schema(answer.at("schema")));
            response.message(2, &item);
        }
        let mut value = Message::default();
        value.message(1, &response);
        responses.named(1, code, &value);
    }
    out.message(9, &responses);
    out.texts(10, of.list("schemes"));
    out.extensions(13, of);
    out
}

/// A `ParametersItem`: two choices deep for a body, three for the rest.
fn parameter(of: &Value) -> Message {
    let mut choice = Message::default();
    let mut inner = Message::default();
    match of.text("in") {
        "body" => {
            inner.text(1, of.text("description"));
            inner.text(2, of.text("name"));
            inner.text(3, "body");
            inner.flag(4, of.is_true("required"));
            inner.message(5, &schema(of.at("schema")));
            choice.message(1, &inner);
        }
        place => {
            let query = place == "query";
            inner.flag(1, of.is_true("required"));
            inner.text(2, place);
            inner.text(3, of.text("description"));
            inner.text(4, of.text("name"));
            // A query parameter has one field more, which moves the rest.
            inner.text(if query { 6 } else { 5 }, of.text("type"));
            inner.flag(if query { 20 } else { 19 }, of.is_true("uniqueItems"));
            let mut non_body = Message::default();
            non_body.message(if query { 3 } else { 4 }, &inner);
            choice.message(2, &non_body);
        }
    }
    let mut item = Message::default();
    item.message(1, &choice);
    item
}

fn schema(of: &Value) -> Message {
    let mut out = Message::default();
    for (field, name) in [(1, "$ref"), (2, "format"), (3, "title"), (4, "description"), (13, "pattern")] {
        out.text(field, of.text(name));
    }
    for (field, name) in [(5, "default"), (30, "example")] {
        if of.has(name) {
            out.message(field, &any(of.at(name)));
        }
    }
    for (field, name) in [(6, "multipleOf"), (7, "maximum"), (9, "minimum")] {
        out.number(field, of.at(name).as_f64());
    }
    for (field, name) in
        [(8, "exclusiveMaximum"), (10, "exclusiveMinimum"), (16, "uniqueItems"), (27, "readOnly")]
    {
        out.flag(field, of.is_true(name));
    }
    let counts = [
        (11, "maxLength"),
        (12, "minLength"),
        (14, "maxItems"),
        (15, "minItems"),
        (17, "maxProperties"),
        (18, "minProperties"),
    ];
    for (field, name) in counts {
        out.whole(field, of.int(name));
    }
    out.texts(19, of.list("required"));
    for value in of.list("enum") {
        out.message(20, &any(value));
    }
    let additional = of.at("additionalProperties");
    if additional.is_object() || additional.is_boolean() {
        let mut item = Message::default();
        match additional.as_bool() {
            // A choice is written even when it is false.
            Some(on) => item.bytes.extend_from_slice(&[2 << 3, u8::from(on)]),
            None => item.message(1, &schema(additional)),
        }
        out.message(21, &item);
    }
    if of.has("type") {
        let mut item = Message::default();
        item.text(1, of.text("type"));
        out.message(22, &item);
    }
    if of.has("items") {
        let mut item = Message::default();
        item.message(1, &schema(of.at("items")));
        out.message(23, &item);
    }
    for one in of.list("allOf") {
        out.message(24, &schema(one));
    }
    if let Some(properties) = of.map("properties") {
        let mut all = Message::default();
        for (name, value) in properties {
            all.named(1, name, &schema(value));
        }
        out.message(25, &all);
    }
    out.extensions(31, of);
    out
}

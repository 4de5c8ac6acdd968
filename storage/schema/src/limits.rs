//! Named limits of this crate, each with its unit.

/// Deepest nesting of a JSON document, in levels. Upstream's decoder stops at 10,000; every walk here recurses, so
/// the bound is what a small thread stack carries.
pub const JSON_DEPTH_LEVELS: usize = 500;
/// Largest request body, in bytes (upstream's `MaxRequestBodyBytes`).
pub const BODY_BYTES: usize = 3 * 1024 * 1024;
/// Sum of all annotation keys and values of an object, in bytes.
pub const ANNOTATIONS_BYTES: usize = 256 * 1024;
/// Operations in one JSON patch.
pub const JSON_PATCH_OPERATIONS: usize = 10_000;
/// Bytes that the `copy` operations of one JSON patch may add.
pub const JSON_PATCH_COPY_BYTES: usize = BODY_BYTES;
/// Field managers with operation Update kept per object before the oldest are folded into one.
pub const UPDATE_MANAGERS: usize = 10;
/// Length of a field manager's name, in bytes.
pub const FIELD_MANAGER_BYTES: usize = 128;
/// Strict-decoding complaints gathered for one body; later ones are counted out.
pub const STRICT_ERRORS: usize = 64;
/// Data of one ConfigMap or Secret, in bytes.
pub const CONFIG_DATA_BYTES: usize = 1024 * 1024;
/// Terms of one selector.
pub const SELECTOR_TERMS: usize = 10_000;
/// A name that the server generated, in bytes; the base is cut to leave room for the suffix.
pub const GENERATED_NAME_BYTES: usize = 63;

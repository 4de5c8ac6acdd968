//! [`KindRules`]: what a kind does with its objects. Built-in and custom kinds differ in this alone.

use serde_json::Value;
use trireme_publish::table::TableFormat;
use trireme_schema::custom::CustomKind;
use trireme_schema::request::{self, Context, Decoded, FieldValidation, PatchType, Target};
use trireme_schema::status::Failure;

/// Decoding, completing, checking, converting.
pub trait KindRules: Send + Sync {
    /// The kind as the request machinery takes it.
    fn target(&self) -> Target<'_>;

    /// Decodes and defaults a JSON body.
    ///
    /// # Errors
    /// 400 in upstream's words.
    fn decode(&self, body: &[u8], validation: FieldValidation) -> Result<Decoded, Failure> {
        request::decode(body, &self.target(), validation)
    }

    /// Decodes and defaults a value, from YAML say.
    ///
    /// # Errors
    /// As [`KindRules::decode`].
    fn decode_value(
        &self,
        value: Value,
        duplicates: Vec<String>,
        validation: FieldValidation,
    ) -> Result<Decoded, Failure> {
        request::decode_value(value, duplicates, &self.target(), validation)
    }

    /// Patches an object.
    ///
    /// # Errors
    /// As upstream answers.
    fn patch(
        &self,
        old: &Value,
        body: &[u8],
        patch: PatchType,
        validation: FieldValidation,
    ) -> Result<Decoded, Failure> {
        request::patch_object(old, body, patch, &self.target(), validation)
    }

    /// Applies a configuration.
    ///
    /// # Errors
    /// 409 for conflicts among others.
    fn apply(
        &self,
        old: Option<&Value>,
        config: &Value,
        context: &Context<'_>,
        force: bool,
        validation: FieldValidation,
    ) -> Result<Decoded, Failure> {
        request::apply_object(old, config, &self.target(), context, force, validation)
    }

    /// Completes and validates a new object, after mutating admission.
    ///
    /// # Errors
    /// 422 with every finding.
    fn finish_create(&self, object: &mut Value, context: &Context<'_>) -> Result<(), Failure> {
        request::finish_create(object, &self.target(), context)
    }

    /// Completes and validates an update, after mutating admission.
    ///
    /// # Errors
    /// 409 or 422.
    fn finish_update(&self, old: &Value, new: &mut Value, context: &Context<'_>) -> Result<(), Failure> {
        request::finish_update(old, new, &self.target(), context)
    }

    /// Texts for Warning headers about an object that is well-formed.
    fn warnings(&self, old: Option<&Value>, object: &Value) -> Vec<String>;

    /// From the stored version to this one.
    ///
    /// # Errors
    /// The object cannot be expressed in this version.
    fn served_form(&self, object: Value) -> Result<Value, Failure>;

    /// From this version to the stored one.
    ///
    /// # Errors
    /// The object cannot be expressed in the stored version.
    fn to_stored(&self, object: Value) -> Result<Value, Failure>;

    /// An update of a missing object creates it.
    fn creates_on_update(&self) -> bool;

    /// The fields that field selectors may name besides `metadata.name` and `metadata.namespace`.
    fn selectable_fields(&self) -> Vec<&str>;

    /// The definition, for custom kinds.
    fn custom(&self) -> Option<&CustomKind> {
        None
    }

    /// The columns of its Table.
    fn table(&self) -> TableFormat;
}

//! The parameters that every write takes, checked as upstream does.

use crate::field::{ErrorList, Path};
use crate::limits::FIELD_MANAGER_BYTES;
use crate::status::{Failure, Status};

/// The raw parameters of a write.
#[derive(Clone, Copy, Debug, Default)]
pub struct WriteOptions<'a> {
    /// `fieldManager`
    pub field_manager: &'a str,
    /// Each `dryRun`.
    pub dry_run: &'a [&'a str],
    /// `fieldValidation`
    pub field_validation: &'a str,
    /// `force` was given.
    pub force: bool,
    /// The write is a server-side apply.
    pub apply: bool,
}

/// Checks the parameters. `kind` is `CreateOptions`, `UpdateOptions` or `PatchOptions`.
///
/// # Errors
/// 422 naming the options kind.
pub fn check_options(kind: &str, options: &WriteOptions<'_>) -> Result<(), Failure> {
    let mut errors = ErrorList::new();
    if kind == "PatchOptions" {
        if options.apply && options.field_manager.is_empty() {
            errors.required(&Path::new("fieldManager"), "is required for apply patch");
        }
        if !options.apply && options.force {
            errors.forbidden(&Path::new("force"), "may not be specified for non-apply patch");
        }
    }
    field_manager(options.field_manager, &mut errors);
    if options.dry_run.iter().any(|d| *d != "All") {
        let shown: Vec<String> = options.dry_run.iter().map(|d| crate::field::quote(d)).collect();
        let shown = format!("[]string{{{}}}", shown.join(", "));
        errors.not_supported_text(&Path::new("dryRun"), shown, &["All"]);
    }
    let choices = ["", "Ignore", "Strict", "Warn"];
    if !choices.contains(&options.field_validation) {
        errors.not_supported(&Path::new("fieldValidation"), options.field_validation, &choices);
    }
    if errors.is_empty() { Ok(()) } else { Err(Status::invalid("meta.k8s.io", kind, "", &errors)) }
}

fn field_manager(name: &str, errors: &mut ErrorList) {
    let path = Path::new("fieldManager");
    if name.len() > FIELD_MANAGER_BYTES {
        errors.too_long(&path, FIELD_MANAGER_BYTES);
    }
    for (at, c) in name.char_indices() {
        if c.is_control() {
            let text = format!("invalid character U+{:04X} (at position {at})", u32::from(c));
            errors.invalid_str(&path, name, text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wording() {
        let message =
            |kind: &str, options: &WriteOptions<'_>| check_options(kind, options).unwrap_err().message;
        let long = "m".repeat(129);
        assert_eq!(
            message("CreateOptions", &WriteOptions { field_manager: &long, ..Default::default() }),
            "CreateOptions.meta.k8s.io \"\" is invalid: fieldManager: Too long: must have at most 128 bytes"
        );
        assert_eq!(
            message("CreateOptions", &WriteOptions { field_manager: "a\u{1}b", ..Default::default() }),
            "CreateOptions.meta.k8s.io \"\" is invalid: fieldManager: Invalid value: \"a\\x01b\": invalid character U+0001 (at position 1)"
        );
        assert_eq!(
            message("CreateOptions", &WriteOptions { dry_run: &["Foo"], ..Default::default() }),
            "CreateOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: []string{\"Foo\"}: supported values: \"All\""
        );
        assert_eq!(
            message("UpdateOptions", &WriteOptions { field_validation: "Foo", ..Default::default() }),
            "UpdateOptions.meta.k8s.io \"\" is invalid: fieldValidation: Unsupported value: \"Foo\": supported values: \"\", \"Ignore\", \"Strict\", \"Warn\""
        );
        assert_eq!(
            message("PatchOptions", &WriteOptions { apply: true, ..Default::default() }),
            "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch"
        );
        assert!(
            check_options(
                "PatchOptions",
                &WriteOptions { field_manager: "m", apply: true, force: true, ..Default::default() }
            )
            .is_ok()
        );
    }
}

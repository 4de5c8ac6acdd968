//! [`Outcome`]: what a check found, and how well the value matched (which picks the failures that `oneOf` and `anyOf`
//! report).

use std::collections::BTreeSet;

use super::super::limits::{CHECK_STEPS, FINDINGS};
use crate::field::{ErrorList, ErrorType, FieldError, Path, quote};

#[derive(Clone, Debug)]
struct Finding {
    error: FieldError,
    /// Speaks of the whole object, whatever the path.
    composed: bool,
}

/// The findings of one check.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcome {
    findings: Vec<Finding>,
    seen: BTreeSet<String>,
    /// Findings beyond the limit.
    more: bool,
    /// Checks that held.
    pub(super) matches: u32,
}

impl Outcome {
    pub(super) fn is_valid(&self) -> bool {
        self.findings.is_empty() && !self.more
    }

    /// The same without its findings.
    pub(super) fn forgiven(self) -> Outcome {
        Outcome { matches: self.matches, ..Outcome::default() }
    }

    /// One more check was made; `held` when it counts.
    pub(super) fn count(&mut self, held: bool) {
        self.matches += 1 + u32::from(held);
    }

    /// Takes in the findings of a part.
    pub(super) fn merge(&mut self, other: Outcome) {
        self.matches += other.matches;
        self.more |= other.more;
        for finding in other.findings {
            self.add(finding);
        }
    }

    fn add(&mut self, finding: Finding) {
        if self.findings.len() >= FINDINGS {
            self.more = true;
            return;
        }
        if self.seen.insert(finding.error.message()) {
            self.findings.push(finding);
        }
    }

    fn push(&mut self, kind: ErrorType, path: &Path<'_>, value: String, detail: String) {
        let error = FieldError { kind, field: path.to_string(), value, detail };
        self.add(Finding { error, composed: false });
    }

    /// A complaint about the object as a whole.
    pub(super) fn composed(&mut self, detail: String) {
        let error =
            FieldError { kind: ErrorType::Invalid, field: String::new(), value: "\"\"".to_owned(), detail };
        self.add(Finding { error, composed: true });
    }

    /// The budget ran out.
    pub(super) fn exhausted() -> Outcome {
        let mut out = Outcome::default();
        out.composed(format!(
            "the object cannot be validated: its schema demands more than {CHECK_STEPS} checks of it; make the schema or the object smaller"
        ));
        out
    }

    pub(super) fn wrong_type(&mut self, path: &Path<'_>, wanted: &str, got: &str) {
        let detail = format!("{path} in body must be of type {wanted}: {}", quote(got));
        self.push(ErrorType::TypeInvalid, path, quote(got), detail);
    }

    pub(super) fn invalid(&mut self, path: &Path<'_>, value: String, why: &str) {
        self.push(ErrorType::Invalid, path, value, format!("{path} in body {why}"));
    }

    pub(super) fn required(&mut self, path: &Path<'_>) {
        self.push(ErrorType::Required, path, String::new(), String::new());
    }

    pub(super) fn not_supported(&mut self, path: &Path<'_>, value: String, choices: &[String]) {
        let choices: Vec<String> = choices.iter().map(|c| quote(c)).collect();
        self.push(ErrorType::NotSupported, path, value, format!("supported values: {}", choices.join(", ")));
    }

    pub(super) fn too_long(&mut self, path: &Path<'_>, limit: i64) {
        self.push(ErrorType::TooLong, path, String::new(), format!("may not be more than {limit} bytes"));
    }

    pub(super) fn too_many(&mut self, path: &Path<'_>, actual: usize, limit: i64) {
        let items = if limit == 1 { "item" } else { "items" };
        self.push(ErrorType::TooMany, path, actual.to_string(), format!("must have at most {limit} {items}"));
    }

    pub(super) fn forbidden_field(&mut self, path: &Path<'_>, name: &str) {
        let detail = format!("{} in body is a forbidden property", path.child(name));
        self.push(ErrorType::Invalid, path, "\"\"".to_owned(), detail);
    }

    /// Writes the findings out, below `prefix`.
    pub(super) fn report(self, prefix: &str, errors: &mut ErrorList) {
        for Finding { mut error, composed } in self.findings {
            let path = if composed { "" } else { error.field.as_str() };
            error.field = match (prefix, path) {
                ("", "") => "<nil>".to_owned(),
                ("", path) => path.to_owned(),
                (prefix, "") => prefix.to_owned(),
                (prefix, path) => format!("{prefix}.{path}"),
            };
            errors.push(error);
        }
    }
}

//! [`Reporter`]: what became of an object, as a line or in the format asked for.

use serde_json::Value;

use super::printer::{Format, print_objects};
use super::write::write;
use crate::arguments::{DryRun, Printing};
use crate::catalogue::Kind;
use crate::error::KubectlError;

/// Made before anything is written, so that a format that does not exist changes nothing.
#[derive(Clone, Debug)]
pub(crate) struct Reporter {
    format: Format,
    managed_fields: bool,
    pub(crate) dry_run: DryRun,
}

impl Reporter {
    pub(crate) fn new(printing: &Printing, dry_run: DryRun) -> Result<Self, KubectlError> {
        let format = Format::of_results(printing.output.as_deref())?;
        Ok(Self { format, managed_fields: printing.show_managed_fields, dry_run })
    }

    /// Whether a line about each object is printed, not the object itself.
    pub(crate) fn is_line(&self) -> bool {
        matches!(self.format, Format::Table { .. })
    }

    /// Prints `pod/x created`, or the object.
    pub(crate) fn report(&self, kind: &Kind, object: Value, verb: &str) -> Result<(), KubectlError> {
        if let Format::Printed(printer) = &self.format {
            return write(&print_objects(
                printer,
                vec![(kind.clone(), object)],
                false,
                self.managed_fields,
                true,
            ));
        }
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        write(&format!("{}/{name} {verb}{}\n", kind.shown(), self.dry_run.note()))
    }
}

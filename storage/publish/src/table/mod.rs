//! Tables (meta.k8s.io Table): objects as rows of cells, the form kubectl prints.
//!
//! A [`TableFormat`] is the columns of one kind with what computes their cells: a printer for built-in kinds, JSONPath
//! for custom ones, name and creation time for the rest. Rows always hold every column, also those that kubectl shows
//! only with `-o wide` (priority 1). Ages are relative to a moment that the caller gives.

mod column;
mod custom;
mod duration;
mod format;
mod include_object;
mod printers;

pub use column::{Column, Release};
pub use duration::human_duration;
pub use format::{Header, TableFormat, TableOptions};
pub use include_object::{IncludeObject, IncludeObjectError};

#[cfg(test)]
mod printers_test;
#[cfg(test)]
mod table_test;

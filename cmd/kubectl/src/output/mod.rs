//! What is printed, and how.

mod age;
mod columns;
mod jsonpath;
mod printer;
mod report;
mod table;
mod write;

pub(crate) use age::{age_since, now};
pub(crate) use jsonpath::JsonPath;
pub(crate) use printer::{Format, Printer, indented, print_objects};
pub(crate) use report::Reporter;
pub(crate) use table::{Grid, Shown, server_table};
pub(crate) use write::{bytes, write};

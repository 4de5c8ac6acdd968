//! What is printed, and how.

mod age;
mod columns;
mod jsonpath;
mod printer;
mod table;

pub(crate) use age::{age_since, now};
pub(crate) use jsonpath::JsonPath;
pub(crate) use printer::{Format, Printer, print_objects};
pub(crate) use table::{Grid, Shown, server_table};

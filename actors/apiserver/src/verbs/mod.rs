//! The verbs, each over any kind.

mod collection;
mod create;
mod delete;
mod delete_options;
mod get;
mod list;
mod list_options;
mod patch;
mod update;
mod write;

pub(crate) use collection::delete_collection;
pub(crate) use create::create;
pub(crate) use delete::{delete, delete_one};
pub(crate) use delete_options::DeleteOptions;
pub(crate) use get::{get, read};
pub(crate) use list::{list, read_list};
pub(crate) use list_options::ListOptions;
pub(crate) use patch::patch;
pub(crate) use update::{Tracking, current, is_stale, replace, update};
pub(crate) use write::{Stored, Writing, repeats};
